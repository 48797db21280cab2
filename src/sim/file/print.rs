//! From a [`Scenario`] to a file's text.

use std::fmt::Write as _;
use std::time::Duration;

use super::gossip::{self, Field};
use super::parse::{limit_fields, timing_fields};
use super::units::{chance_text, offset_text, rate_text, span_text, thousandth_text};
use crate::proto::{Limits, Merge, Preset, Timing};
use crate::sim::gossip::Params;
use crate::sim::latency::Latency;
use crate::sim::prf::Chance;
use crate::sim::scenario::{Burst, Chaos, Disk, Fault, Network, Regions, Scenario, Verb, Workload};

/// The file, without what is as by default.
pub(super) fn scenario(scenario: &Scenario) -> String {
    let plain = Scenario::new(&scenario.name, scenario.nodes.len(), scenario.duration_us);
    let mut file = File::default();
    if scenario.about != plain.about {
        file.row("about", quoted(&scenario.about));
    }
    file.row("seed", scenario.seed.to_string());
    if scenario.nodes == plain.nodes {
        file.row("nodes", scenario.nodes.len().to_string());
    } else {
        file.row("nodes", names(scenario.nodes.iter()));
    }
    file.row("duration", span(scenario.duration_us));
    file.row("settle", span(scenario.settle_us));
    let (preset, preset_timing) = preset(&scenario.timing);
    if preset != "lan" {
        file.row("preset", quoted(preset));
    }
    if scenario.mailboxes == Merge::Sum {
        file.row("mailboxes", quoted("sum"));
    }
    if scenario.gossip.is_none() {
        file.row("gossip", "false".to_owned());
    }
    timing(&mut file, &scenario.timing, preset_timing);
    limits(&mut file, &scenario.limits);
    if let Some(params) = &scenario.gossip {
        gossip(&mut file, params);
    }
    network(&mut file, scenario, &plain.network);
    workload(&mut file, &scenario.workload);
    if let Some(chaos) = &scenario.chaos {
        self::chaos(&mut file, chaos);
    }
    for fault in &scenario.faults {
        self::fault(&mut file, fault, &scenario.nodes);
    }
    file.text
}

/// A text of rows; the head of a table is written with its first row.
#[derive(Default)]
struct File {
    text: String,
    head: Option<&'static str>,
}

impl File {
    fn table(&mut self, head: &'static str) {
        self.head = Some(head);
    }

    fn row(&mut self, key: &str, value: String) {
        if let Some(head) = self.head.take() {
            let _ = write!(self.text, "\n{head}\n");
        }
        let _ = writeln!(self.text, "{key} = {value}");
    }
}

/// The preset from which the fewest timings differ.
fn preset(timing: &Timing) -> (&'static str, Timing) {
    [
        ("lan", Preset::Lan),
        ("wan", Preset::Wan),
        ("local", Preset::Local),
    ]
    .into_iter()
    .map(|(name, preset)| (name, preset.timing()))
    .min_by_key(|(_, preset)| {
        let (mut a, mut b) = (timing.clone(), preset.clone());
        timing_fields(&mut a)
            .iter()
            .zip(timing_fields(&mut b))
            .filter(|((_, a), (_, b))| **a != **b)
            .count()
    })
    .expect("there are presets")
}

fn timing(file: &mut File, timing: &Timing, mut preset: Timing) {
    file.table("[timing]");
    let mut timing = timing.clone();
    for ((key, value), (_, preset)) in timing_fields(&mut timing)
        .into_iter()
        .zip(timing_fields(&mut preset))
    {
        if value != preset {
            file.row(key, span(us(*value)));
        }
    }
}

fn limits(file: &mut File, limits: &Limits) {
    file.table("[limits]");
    let (mut limits, mut plain) = (limits.clone(), Limits::default());
    for ((key, value), (_, plain)) in limit_fields(&mut limits)
        .into_iter()
        .zip(limit_fields(&mut plain))
    {
        if value != plain {
            file.row(key, value.to_string());
        }
    }
}

fn gossip(file: &mut File, params: &Params) {
    file.table("[gossip]");
    let (mut params, mut plain) = (params.clone(), Params::default());
    let text = |field: &Field<'_>| match field {
        Field::Count(count) => count.to_string(),
        Field::Number(number) => number.to_string(),
        Field::Span(us) | Field::Delay(us) => span(**us),
        Field::Switch(switch) => switch.to_string(),
    };
    for ((key, value), (_, plain)) in gossip::fields(&mut params)
        .iter()
        .zip(gossip::fields(&mut plain))
    {
        if text(value) != text(&plain) {
            file.row(key, text(value));
        }
    }
}

fn network(file: &mut File, scenario: &Scenario, plain: &Network) {
    let network = &scenario.network;
    file.table("[network]");
    if network.latency != plain.latency {
        file.row("latency", latency(network.latency));
    }
    for (key, chance) in [
        ("loss", network.loss),
        ("duplicate", network.duplicate),
        ("reorder", network.reorder),
    ] {
        if chance != Chance::NEVER {
            file.row(key, chance_text(chance));
        }
    }
    if let Some(burst) = network.burst {
        file.row("burst", self::burst(burst));
    }
    if let Some(bandwidth) = network.bandwidth {
        file.row("bandwidth", quoted(&rate_text(bandwidth)));
    }
    if network.dial != plain.dial {
        file.row("dial", network.dial.to_string());
    }
    if network.notice_us != plain.notice_us {
        file.row("notice", span(network.notice_us));
    }
    if network.redial_us != plain.redial_us {
        file.row("redial", span(network.redial_us));
    }
    if let Some(regions) = &network.regions {
        self::regions(file, regions, &scenario.nodes);
    }
    if let Some(overlay) = &network.overlay {
        file.table("[network.overlay]");
        for (node, name) in scenario.nodes.iter().enumerate() {
            let others: Vec<_> = overlay.iter().filter(|(a, _)| *a == node).collect();
            if !others.is_empty() {
                let others = others.iter().map(|(_, other)| &scenario.nodes[*other]);
                file.row(&key(name), names(others));
            }
        }
        if overlay.is_empty() {
            file.text.push_str("\n[network.overlay]\n");
        }
    }
}

fn regions(file: &mut File, regions: &Regions, nodes: &[String]) {
    file.table("[network.regions]");
    for (region, name) in regions.names.iter().enumerate() {
        let members = nodes.iter().zip(&regions.of);
        let members = members.filter_map(|(node, of)| (*of == region).then_some(node));
        file.row(&key(name), names(members));
    }
    file.table("[network.matrix]");
    let times = &regions.one_way_us;
    for (from, row) in times.iter().enumerate() {
        for (to, us) in row.iter().enumerate() {
            let said = (from == to && *us == 0) || (from > to && *us == times[to][from]);
            if !said {
                let pair = format!("{}-{}", regions.names[from], regions.names[to]);
                file.row(&key(&pair), span(*us));
            }
        }
    }
    if times.len() == 1 && times[0][0] == 0 {
        file.text.push_str("\n[network.matrix]\n");
    }
}

fn workload(file: &mut File, workload: &Workload) {
    let plain = Workload::default();
    file.table("[workload]");
    if workload.keys != plain.keys {
        file.row("keys", workload.keys.to_string());
    }
    if workload.shared_keys != plain.shared_keys {
        file.row("shared_keys", workload.shared_keys.to_string());
    }
    if workload.every_us != plain.every_us {
        file.row("every", workload.every_us.map_or("false".to_owned(), span));
    }
    if let Some(adds) = workload.adds {
        file.row("adds", adds.to_string());
    }
    if workload.shared != plain.shared {
        file.row("shared", chance_text(workload.shared));
    }
    if workload.clear != plain.clear {
        file.row("clear", chance_text(workload.clear));
    }
    if workload.batch != plain.batch {
        file.row("batch", workload.batch.to_string());
    }
}

fn chaos(file: &mut File, chaos: &Chaos) {
    file.table("[chaos]");
    file.row("every", span(chaos.every_us));
    file.row("longest", span(chaos.longest_us));
    if !chaos.kinds.is_empty() {
        file.row("kinds", names(chaos.kinds.iter()));
    }
}

fn fault(file: &mut File, fault: &Fault, nodes: &[String]) {
    let name = |node: &usize| quoted(&nodes[*node]);
    let group = |group: &[usize]| names(group.iter().map(|node| &nodes[*node]));
    let ways =
        |from: &[usize], to: &[usize]| format!("{{ from = {}, to = {} }}", group(from), group(to));
    file.table("[[fault]]");
    file.row("at", span(fault.at_us));
    if let Some(until_us) = fault.until_us {
        file.row("until", span(until_us));
    }
    let value = match &fault.verb {
        Verb::Partition(groups) => {
            let groups: Vec<_> = groups.iter().map(|nodes| group(nodes)).collect();
            format!("[{}]", groups.join(", "))
        }
        Verb::OneWay(from, to) | Verb::Hold(from, to) => ways(from, to),
        Verb::Ring => "true".to_owned(),
        Verb::Bridge(node)
        | Verb::Isolate(node)
        | Verb::Crash { node, .. }
        | Verb::Leave(node)
        | Verb::Pause(node)
        | Verb::Clock { node, .. }
        | Verb::Clone(node) => name(node),
        Verb::Loss(chance)
        | Verb::Duplicate(chance)
        | Verb::Reorder(chance)
        | Verb::Garbage(chance)
        | Verb::Replay(chance) => chance_text(*chance),
        Verb::Burst(burst) => self::burst(*burst),
        Verb::Latency(latency) => self::latency(*latency),
        Verb::Bandwidth(bytes) => quoted(&rate_text(*bytes)),
    };
    file.row(fault.verb.word(), value);
    match fault.verb {
        Verb::Crash { disk, power, .. } => {
            match disk {
                Disk::Kept => {}
                Disk::Lost => file.row("disk", quoted("lost")),
                Disk::Old => file.row("disk", quoted("old")),
            }
            if power {
                file.row("power", "true".to_owned());
            }
        }
        Verb::Clock {
            offset_ms,
            drift_ppm,
            ..
        } => {
            if offset_ms != 0 || drift_ppm == 0 {
                file.row("offset", quoted(&offset_text(offset_ms)));
            }
            if drift_ppm != 0 {
                file.row("drift_ppm", drift_ppm.to_string());
            }
        }
        _ => {}
    }
}

fn latency(latency: Latency) -> String {
    match latency {
        Latency::Constant(us) => span(us),
        Latency::Uniform(least, most) => {
            format!("{{ uniform = [{}, {}] }}", span(least), span(most))
        }
        Latency::Exponential { least_us, mean_us } => {
            format!(
                "{{ exponential = {}, least = {} }}",
                span(mean_us),
                span(least_us)
            )
        }
        Latency::Pareto {
            least_us,
            shape_milli,
            most_us,
        } => format!(
            "{{ pareto = {}, least = {}, most = {} }}",
            thousandth_text(shape_milli, 3),
            span(least_us),
            span(most_us)
        ),
    }
}

fn burst(burst: Burst) -> String {
    let [enter, leave, loss] = [burst.enter, burst.leave, burst.loss].map(chance_text);
    format!("{{ enter = {enter}, leave = {leave}, loss = {loss} }}")
}

fn us(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

fn span(us: u64) -> String {
    quoted(&span_text(us))
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<_> = names.map(|name| quoted(name)).collect();
    format!("[{}]", names.join(", "))
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A key, quoted where it must be.
fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(bare) {
        name.to_owned()
    } else {
        quoted(name)
    }
}
