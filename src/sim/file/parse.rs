//! From a file's text to a [`Scenario`].

use std::time::Duration;

use toml::de::DeTable;

use super::fault;
use super::gossip;
use super::item::Item;
use super::problem::{Problem, Wrong};
use super::size::{self, MAX_NODES};
use super::table::Table;
use crate::proto::{Limits, Merge, Preset, Timing};
use crate::sim::scenario::{Chaos, Network, Regions, Scenario, VERBS, Workload};

/// Reads a scenario.
pub(super) fn scenario(name: &str, text: &str) -> Result<Scenario, Wrong> {
    let document = DeTable::parse(text).map_err(|error| Wrong {
        span: error.span().unwrap_or_default(),
        problem: Problem::Syntax(error.message().to_owned()),
    })?;
    let file = Table::open(String::new(), 0..0, document.get_ref()).known()?;
    let (nodes_item, duration) = (file.require("nodes")?, file.require("duration")?);
    let nodes = Nodes::read(&nodes_item)?;
    let mut scenario = Scenario::new(name, nodes.names.len(), duration.span_us()?);
    scenario.nodes.clone_from(&nodes.names);
    if let Some(item) = file.get("about") {
        item.text()?.clone_into(&mut scenario.about);
    }
    if let Some(item) = file.get("seed") {
        scenario.seed = item.whole(0, i64::MAX)?.cast_unsigned();
    }
    if let Some(item) = file.get("settle") {
        scenario.settle_us = item.span_us()?;
    }
    if let Some(item) = file.get("mailboxes") {
        scenario.mailboxes = match item.text()? {
            "latest" => Merge::Latest,
            "sum" => Merge::Sum,
            _ => return Err(item.must_be("latest or sum")),
        };
    }
    scenario.timing = timing(&file)?;
    if let Some(item) = file.get("limits") {
        limits(&item, &mut scenario.limits)?;
    }
    if let Some(item) = file.get("gossip") {
        scenario.gossip = gossip::read(&item)?;
    }
    if let Some(item) = file.get("network") {
        network(&item, &nodes, &mut scenario.network)?;
    }
    if let Some(item) = file.get("workload") {
        workload(&item, &mut scenario.workload)?;
    }
    if let Some(item) = file.get("chaos") {
        scenario.chaos = Some(chaos(&item, scenario.duration_us)?);
    }
    size::check(&scenario).map_err(|problem| nodes_item.wrong(problem))?;
    if let Some(item) = file.get("fault") {
        for row in item.list("rows, [[fault]]")? {
            let row = row.table("a row, [[fault]]")?;
            let fault = fault::fault(row, &nodes, scenario.duration_us)?;
            scenario.faults.push(fault);
        }
    }
    // Stable: those at the same time stay as they stand.
    scenario.faults.sort_by_key(|fault| fault.at_us);
    Ok(scenario)
}

/// The nodes' names, and what a file says of them.
pub(super) struct Nodes {
    names: Vec<String>,
}

impl Nodes {
    fn read(item: &Item<'_>) -> Result<Self, Wrong> {
        let many = format!("a whole number from 1 to {MAX_NODES}, or a list of so many names");
        let Ok(list) = item.list(&many) else {
            let count = item
                .count(1, MAX_NODES as i64)
                .map_err(|_| item.must_be(many))?;
            return Ok(Self {
                names: (0..count).map(|node| format!("n{node}")).collect(),
            });
        };
        if list.is_empty() || list.len() > MAX_NODES {
            return Err(item.must_be(many));
        }
        let mut names: Vec<String> = Vec::new();
        let mut known = std::collections::BTreeSet::new();
        for name in list {
            let text = name.text()?;
            if text.is_empty() {
                return Err(name.must_be("a name"));
            }
            if !known.insert(text) {
                return Err(name.wrong(Problem::Twice {
                    key: name.name.clone(),
                    name: text.to_owned(),
                }));
            }
            names.push(text.to_owned());
        }
        Ok(Self { names })
    }

    pub(super) fn name(&self, node: usize) -> &str {
        &self.names[node]
    }

    /// The node that a text names.
    pub(super) fn one(&self, item: &Item<'_>) -> Result<usize, Wrong> {
        self.find(item, item.text()?)
    }

    /// The nodes that a list names: at least one, none twice.
    pub(super) fn some(&self, item: &Item<'_>) -> Result<Vec<usize>, Wrong> {
        let list = item.list("a list of nodes")?;
        if list.is_empty() {
            return Err(item.wrong(Problem::NoNode {
                key: item.name.clone(),
            }));
        }
        let mut nodes = Vec::new();
        for name in list {
            let node = self.one(&name)?;
            if nodes.contains(&node) {
                return Err(name.wrong(Problem::Twice {
                    key: name.name.clone(),
                    name: self.name(node).to_owned(),
                }));
            }
            nodes.push(node);
        }
        Ok(nodes)
    }

    fn find(&self, item: &Item<'_>, name: &str) -> Result<usize, Wrong> {
        self.names
            .iter()
            .position(|known| known == name)
            .ok_or_else(|| {
                let nodes = match &self.names[..] {
                    [first, _, _, _, _, _, _, _, .., last] => format!("{first} to {last}"),
                    few => few.join(", "),
                };
                item.wrong(Problem::UnknownNode {
                    key: item.name.clone(),
                    node: name.to_owned(),
                    nodes,
                })
            })
    }
}

/// The preset's timings, and what `[timing]` says over them.
fn timing(file: &Table<'_>) -> Result<Timing, Wrong> {
    let preset = match file.get("preset") {
        None => Preset::Lan,
        Some(item) => match item.text()? {
            "lan" => Preset::Lan,
            "wan" => Preset::Wan,
            "local" => Preset::Local,
            _ => return Err(item.must_be("lan, wan or local")),
        },
    };
    let mut timing = preset.timing();
    let Some(section) = file.get("timing") else {
        return Ok(timing);
    };
    let table = section.section()?.known()?;
    for (key, span) in timing_fields(&mut timing) {
        if let Some(item) = table.get(key) {
            *span = Duration::from_micros(item.span_us()?);
        }
    }
    timing.check().map_err(|error| {
        // A timing that is as the preset has it became too short for one that stands here.
        let place = table.get(error.field()).unwrap_or(section);
        place.wrong(Problem::Timing(error))
    })?;
    Ok(timing)
}

/// Every timing and its key.
pub(super) fn timing_fields(timing: &mut Timing) -> [(&'static str, &mut Duration); 8] {
    [
        ("beat", &mut timing.beat),
        ("stale_after", &mut timing.stale_after),
        ("gone_after", &mut timing.gone_after),
        ("forget_after", &mut timing.forget_after),
        ("sync", &mut timing.sync),
        ("retry", &mut timing.retry),
        ("tombstone", &mut timing.tombstone),
        ("max_clock_drift", &mut timing.max_clock_drift),
    ]
}

fn limits(section: &Item<'_>, limits: &mut Limits) -> Result<(), Wrong> {
    let table = section.section()?.known()?;
    for (key, limit) in limit_fields(limits) {
        if let Some(item) = table.get(key) {
            *limit = item.count(1, i64::from(u32::MAX))?;
        }
    }
    Ok(())
}

/// Every limit and its key.
pub(super) fn limit_fields(limits: &mut Limits) -> [(&'static str, &mut usize); 7] {
    [
        ("entries_per_origin", &mut limits.entries_per_origin),
        ("origins", &mut limits.origins),
        ("pending_ranges", &mut limits.pending_ranges),
        ("staged_entries", &mut limits.staged_entries),
        ("graves", &mut limits.graves),
        ("outgoing_frames", &mut limits.outgoing_frames),
        ("watch_queue", &mut limits.watch_queue),
    ]
}

fn network(section: &Item<'_>, nodes: &Nodes, network: &mut Network) -> Result<(), Wrong> {
    let table = section.section()?.known()?;
    if let Some(item) = table.get("latency") {
        network.latency = item.latency()?;
    }
    for (key, chance) in [
        ("loss", &mut network.loss),
        ("duplicate", &mut network.duplicate),
        ("reorder", &mut network.reorder),
    ] {
        if let Some(item) = table.get(key) {
            *chance = item.chance()?;
        }
    }
    if let Some(item) = table.get("burst") {
        network.burst = Some(item.burst()?);
    }
    if let Some(item) = table.get("bandwidth") {
        network.bandwidth = Some(item.rate()?);
    }
    if let Some(item) = table.get("dial") {
        network.dial = item.count(1, MAX_NODES as i64)?;
    }
    for (key, us) in [
        ("notice", &mut network.notice_us),
        ("redial", &mut network.redial_us),
    ] {
        if let Some(item) = table.get(key) {
            *us = item.span_us()?;
        }
    }
    network.regions = match (table.get("regions"), table.get("matrix")) {
        (None, None) => None,
        (Some(regions), Some(matrix)) => Some(self::regions(&regions, &matrix, nodes)?),
        (Some(_), None) => return Err(table.require("matrix").expect_err("it is not there")),
        (None, Some(_)) => return Err(table.require("regions").expect_err("it is not there")),
    };
    if let Some(item) = table.get("overlay") {
        network.overlay = Some(overlay(&item, nodes)?);
    }
    Ok(())
}

/// Regions and the times between them: both ways the same unless both are given, and 0 within a region unless
/// it is given.
fn regions(section: &Item<'_>, matrix: &Item<'_>, nodes: &Nodes) -> Result<Regions, Wrong> {
    let mut names: Vec<String> = Vec::new();
    let mut of = vec![None; nodes.names.len()];
    for (name, item) in section.section()?.entries() {
        if name.is_empty() || name.contains('-') {
            return Err(item.must_be("under a name without a hyphen"));
        }
        for node in nodes.some(&item)? {
            if of[node].replace(names.len()).is_some() {
                return Err(item.wrong(Problem::Twice {
                    key: section.name.clone(),
                    name: nodes.name(node).to_owned(),
                }));
            }
        }
        names.push(name.to_owned());
    }
    let of: Option<Vec<usize>> = of.iter().copied().collect();
    let Some(of) = of else {
        let lost = (0..nodes.names.len()).find(|node| {
            !section
                .section()
                .map(|table| table.entries())
                .unwrap_or_default()
                .iter()
                .any(|(_, item)| nodes.some(item).is_ok_and(|some| some.contains(node)))
        });
        return Err(section.wrong(Problem::NoRegion {
            key: section.name.clone(),
            node: nodes.name(lost.unwrap_or_default()).to_owned(),
        }));
    };
    Ok(Regions {
        one_way_us: one_way(matrix, &names)?,
        names,
        of,
    })
}

fn one_way(matrix: &Item<'_>, names: &[String]) -> Result<Vec<Vec<u64>>, Wrong> {
    let find = |item: &Item<'_>, region: &str| {
        names.iter().position(|name| name == region).ok_or_else(|| {
            item.wrong(Problem::UnknownRegion {
                key: matrix.name.clone(),
                region: region.to_owned(),
                regions: names.join(", "),
            })
        })
    };
    let mut given = vec![vec![None; names.len()]; names.len()];
    for (pair, item) in matrix.section()?.entries() {
        let Some((from, to)) = pair.split_once('-') else {
            return Err(item.must_be("under two regions, as in \"europe-asia\""));
        };
        given[find(&item, from)?][find(&item, to)?] = Some(item.moment_us()?);
    }
    let between = |from: usize, to: usize| {
        let within = (from == to).then_some(0);
        given[from][to]
            .or(given[to][from])
            .or(within)
            .ok_or_else(|| {
                matrix.wrong(Problem::NoLatency {
                    key: matrix.name.clone(),
                    from: names[from].clone(),
                    to: names[to].clone(),
                })
            })
    };
    (0..names.len())
        .map(|from| (0..names.len()).map(|to| between(from, to)).collect())
        .collect()
}

/// Who may connect to whom, each pair once, the lesser number first.
fn overlay(section: &Item<'_>, nodes: &Nodes) -> Result<Vec<(usize, usize)>, Wrong> {
    let mut pairs = Vec::new();
    for (name, item) in section.section()?.entries() {
        let node = nodes.find(&item, name)?;
        for other in nodes.some(&item)? {
            if other == node {
                return Err(item.wrong(Problem::Twice {
                    key: item.name.clone(),
                    name: name.to_owned(),
                }));
            }
            pairs.push((node.min(other), node.max(other)));
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    Ok(pairs)
}

fn workload(section: &Item<'_>, workload: &mut Workload) -> Result<(), Wrong> {
    let table = section.section()?.known()?;
    if let Some(item) = table.get("keys") {
        workload.keys = item.count(0, MAX_KEYS)?;
    }
    if let Some(item) = table.get("shared_keys") {
        workload.shared_keys = item.count(0, MAX_KEYS)?;
    }
    if let Some(item) = table.get("every") {
        workload.every_us = if item.is_false() {
            None
        } else {
            Some(item.span_us()?)
        };
    }
    if let Some(item) = table.get("adds") {
        workload.adds = Some(item.whole(1, MAX_KEYS)?.cast_unsigned());
    }
    for (key, chance) in [
        ("shared", &mut workload.shared),
        ("clear", &mut workload.clear),
    ] {
        if let Some(item) = table.get(key) {
            *chance = item.chance()?;
        }
    }
    if let Some(item) = table.get("batch") {
        workload.batch = item.count(1, MAX_KEYS)?;
    }
    Ok(())
}

/// As many entries as one node may write by default.
const MAX_KEYS: i64 = 1_000_000;

fn chaos(section: &Item<'_>, duration_us: u64) -> Result<Chaos, Wrong> {
    let table = section.section()?.known()?;
    let mut kinds = Vec::new();
    if let Some(item) = table.get("kinds") {
        for kind in item.list("a list of verbs")? {
            let word = kind.text()?;
            if !VERBS.contains(&word) {
                return Err(kind.must_be(format!("one of {}", VERBS.join(", "))));
            }
            kinds.push(word.to_owned());
        }
    }
    let longest = table.require("longest")?;
    let longest_us = longest.span_us()?;
    if longest_us > duration_us {
        return Err(longest.must_be(format!(
            "at most the duration, {}",
            super::units::span_text(duration_us)
        )));
    }
    Ok(Chaos {
        every_us: table.require("every")?.span_us()?,
        longest_us,
        kinds,
    })
}
