//! The rows of `[[fault]]`.

use super::item::Item;
use super::parse::Nodes;
use super::problem::{Problem, Wrong};
use super::table::Table;
use super::units::span_text;
use crate::sim::scenario::{Disk, Fault, VERBS, Verb};
use crate::sim::world::EPOCH_MS;

/// Reads one row.
pub(super) fn fault(row: Table<'_>, nodes: &Nodes, duration_us: u64) -> Result<Fault, Wrong> {
    let row = row.known()?;
    let at = row.require("at")?;
    let at_us = at.moment_us()?;
    if at_us >= duration_us {
        return Err(at.must_be(format!("before the end at {}", span_text(duration_us))));
    }
    let until_us = match row.get("until") {
        Some(until) => {
            let until_us = until.span_us()?;
            if until_us > duration_us {
                return Err(until.must_be(format!("at most the end at {}", span_text(duration_us))));
            }
            if until_us <= at_us {
                return Err(until.must_be(format!("after at, {}", span_text(at_us))));
            }
            Some(until_us)
        }
        None => None,
    };
    Ok(Fault {
        at_us,
        until_us,
        verb: verb(&row, nodes, at_us)?,
    })
}

fn verb(row: &Table<'_>, nodes: &Nodes, at_us: u64) -> Result<Verb, Wrong> {
    let mut found = VERBS
        .iter()
        .filter_map(|word| row.get(word).map(|item| (*word, item)));
    let Some((word, item)) = found.next() else {
        return Err(Wrong {
            span: row.span.clone(),
            problem: Problem::NoVerb {
                verbs: VERBS.join(", "),
            },
        });
    };
    if let Some((second, item)) = found.next() {
        return Err(item.wrong(Problem::TwoVerbs {
            first: word.to_owned(),
            second: second.to_owned(),
        }));
    }
    for (key, verb) in [
        ("disk", "crash"),
        ("power", "crash"),
        ("offset", "clock"),
        ("set", "clock"),
        ("drift_ppm", "clock"),
    ] {
        if let Some(item) = row.get(key).filter(|_| word != verb) {
            return Err(item.wrong(Problem::NotWithout {
                key: item.name.clone(),
                verb: verb.to_owned(),
            }));
        }
    }
    Ok(match word {
        "partition" => Verb::Partition(groups(&item, nodes)?),
        "one_way" => {
            let (from, to) = from_to(&item, nodes)?;
            Verb::OneWay(from, to)
        }
        "bridge" => Verb::Bridge(nodes.one(&item)?),
        "ring" => {
            if !item.switch()? {
                return Err(item.must_be("true"));
            }
            Verb::Ring
        }
        "isolate" => Verb::Isolate(nodes.one(&item)?),
        "hold" => {
            let (from, to) = from_to(&item, nodes)?;
            Verb::Hold(from, to)
        }
        "crash" => Verb::Crash {
            node: nodes.one(&item)?,
            disk: row.get("disk").map_or(Ok(Disk::Kept), |item| disk(&item))?,
            power: row.get("power").map_or(Ok(false), |item| item.switch())?,
        },
        "leave" => Verb::Leave(nodes.one(&item)?),
        "pause" => Verb::Pause(nodes.one(&item)?),
        "loss" => Verb::Loss(item.chance()?),
        "burst" => Verb::Burst(item.burst()?),
        "duplicate" => Verb::Duplicate(item.chance()?),
        "reorder" => Verb::Reorder(item.chance()?),
        "latency" => Verb::Latency(item.latency()?),
        "bandwidth" => Verb::Bandwidth(item.rate()?),
        "clock" => clock(row, &item, nodes, at_us)?,
        "clone" => Verb::Clone(nodes.one(&item)?),
        "garbage" => Verb::Garbage(item.chance()?),
        "replay" => Verb::Replay(item.chance()?),
        other => unreachable!("{other} is no verb"),
    })
}

/// Groups of nodes, none in two of them.
fn groups(item: &Item<'_>, nodes: &Nodes) -> Result<Vec<Vec<usize>>, Wrong> {
    const GROUPS: &str = "a list of lists of nodes, as in [[\"n0\"], [\"n1\", \"n2\"]]";
    let lists = item.list(GROUPS)?;
    if lists.is_empty() {
        return Err(item.wrong(Problem::NoNode {
            key: item.name.clone(),
        }));
    }
    let mut seen = Vec::new();
    let mut groups = Vec::new();
    for list in lists {
        let group = nodes.some(&list)?;
        if let Some(node) = group.iter().find(|node| seen.contains(*node)) {
            return Err(list.wrong(Problem::Twice {
                key: item.name.clone(),
                name: nodes.name(*node).to_owned(),
            }));
        }
        seen.extend(&group);
        groups.push(group);
    }
    Ok(groups)
}

/// `{ from = ["n0"], to = ["n1"] }`, none in both.
fn from_to(item: &Item<'_>, nodes: &Nodes) -> Result<(Vec<usize>, Vec<usize>), Wrong> {
    let table = item
        .table("a table, as in { from = [\"n0\"], to = [\"n1\"] }")?
        .closed(&["from", "to"])?;
    let from = nodes.some(&table.require("from")?)?;
    let to_item = table.require("to")?;
    let to = nodes.some(&to_item)?;
    if let Some(node) = to.iter().find(|node| from.contains(*node)) {
        return Err(to_item.wrong(Problem::Twice {
            key: item.name.clone(),
            name: nodes.name(*node).to_owned(),
        }));
    }
    Ok((from, to))
}

fn disk(item: &Item<'_>) -> Result<Disk, Wrong> {
    match item.text()? {
        "kept" => Ok(Disk::Kept),
        "lost" => Ok(Disk::Lost),
        "old" => Ok(Disk::Old),
        _ => Err(item.must_be("kept, lost or old")),
    }
}

fn clock(row: &Table<'_>, item: &Item<'_>, nodes: &Nodes, at_us: u64) -> Result<Verb, Wrong> {
    let node = nodes.one(item)?;
    let (offset, set, drift) = (row.get("offset"), row.get("set"), row.get("drift_ppm"));
    if let (Some(offset), Some(_)) = (&offset, &set) {
        return Err(offset.wrong(Problem::TwoVerbs {
            first: "set".to_owned(),
            second: "offset".to_owned(),
        }));
    }
    if offset.is_none() && set.is_none() && drift.is_none() {
        return Err(item.must_be("with offset, set or drift_ppm"));
    }
    let right_ms = (EPOCH_MS + at_us / 1_000).cast_signed();
    let offset_ms = match (offset, set) {
        (Some(offset), _) => {
            let offset_ms = offset.offset_ms()?;
            if !(0..MAX_WALL_MS).contains(&right_ms.saturating_add(offset_ms)) {
                return Err(offset.must_be("a step to a year from 1970 to 9999"));
            }
            offset_ms
        }
        (None, Some(set)) => set.date_ms()? - right_ms,
        (None, None) => 0,
    };
    let drift_ppm = drift.map_or(Ok(0), |drift| drift.whole(-MAX_DRIFT_PPM, MAX_DRIFT_PPM))?;
    Ok(Verb::Clock {
        node,
        offset_ms,
        drift_ppm,
    })
}

/// Twice as fast, or (nearly) standing still at its negative: no quartz is within a thousandth of it.
const MAX_DRIFT_PPM: i64 = 500_000;

/// The year 10,000.
const MAX_WALL_MS: i64 = 253_402_300_800_000;
