//! What is a little smaller than a scenario.

use crate::sim::latency::Latency;
use crate::sim::prf::Chance;
use crate::sim::scenario::{Fault, Network, Regions, Scenario, Verb};

/// With less time.
pub(super) fn shorter(scenario: &Scenario) -> Vec<Scenario> {
    let whole = scenario.duration_us;
    let shorter = |duration_us: u64| {
        let mut candidate = scenario.clone();
        candidate.duration_us = duration_us;
        candidate.faults.retain(|fault| fault.at_us < duration_us);
        for fault in &mut candidate.faults {
            // What lasts until the end still does.
            fault.until_us = fault.until_us.filter(|until_us| *until_us <= duration_us);
        }
        candidate
    };
    [whole / 2, whole / 4 * 3, whole / 8 * 7]
        .into_iter()
        .map(round)
        .filter(|us| (1..whole).contains(us))
        .map(shorter)
        .collect()
}

/// With faults that end earlier, or begin later.
pub(super) fn shorter_faults(scenario: &Scenario) -> Vec<Scenario> {
    let change = |number: usize, change: fn(&mut Fault, u64)| {
        let mut candidate = scenario.clone();
        let fault = &mut candidate.faults[number];
        let until_us = fault.until_us.unwrap_or(scenario.duration_us);
        let middle_us = round(fault.at_us.midpoint(until_us));
        if middle_us <= fault.at_us || middle_us >= until_us {
            return None;
        }
        change(fault, middle_us);
        candidate.faults.sort_by_key(|fault| fault.at_us);
        Some(candidate)
    };
    (0..scenario.faults.len())
        .filter(|number| {
            let fault = &scenario.faults[*number];
            fault.until_us.unwrap_or(scenario.duration_us) - fault.at_us > SHORTEST_US
        })
        .flat_map(|number| {
            [
                change(number, |fault, us| fault.until_us = Some(us)),
                change(number, |fault, us| fault.at_us = us),
            ]
        })
        .flatten()
        .collect()
}

/// Faults are not made shorter than this: nobody reads better for it.
const SHORTEST_US: u64 = 1_000_000;

/// To the whole second, or to the whole millisecond below ten seconds: a person is to read it.
fn round(us: u64) -> u64 {
    let unit = if us >= 10_000_000 { 1_000_000 } else { 1_000 };
    us / unit * unit
}

/// Without one node; the others keep their names and get new numbers.
pub(super) fn without_node(scenario: &Scenario, gone: usize) -> Scenario {
    let mut smaller = scenario.clone();
    smaller.nodes.remove(gone);
    let count = smaller.nodes.len();
    let renumber = |node: usize| match node.cmp(&gone) {
        std::cmp::Ordering::Less => Some(node),
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Greater => Some(node - 1),
    };
    smaller.faults = scenario
        .faults
        .iter()
        .filter_map(|fault| {
            Some(Fault {
                verb: without(&fault.verb, &renumber)?,
                ..fault.clone()
            })
        })
        .collect();
    let network = &mut smaller.network;
    if network.dial == Network::new(scenario.nodes.len()).dial {
        network.dial = Network::new(count).dial;
    }
    if let Some(overlay) = &mut network.overlay {
        let pairs = overlay
            .iter()
            .filter_map(|(a, b)| Some((renumber(*a)?, renumber(*b)?)));
        *overlay = pairs.collect();
    }
    if let Some(regions) = &mut network.regions {
        regions.of.remove(gone);
        remove_empty(regions);
    }
    smaller
}

/// What a verb becomes when a node is gone; `None` when it was about that node alone.
fn without(verb: &Verb, renumber: &impl Fn(usize) -> Option<usize>) -> Option<Verb> {
    let some = |nodes: &[usize]| {
        let nodes: Vec<_> = nodes.iter().filter_map(|node| renumber(*node)).collect();
        (!nodes.is_empty()).then_some(nodes)
    };
    Some(match verb {
        Verb::Partition(groups) => {
            let groups: Vec<_> = groups.iter().filter_map(|group| some(group)).collect();
            if groups.is_empty() {
                return None;
            }
            Verb::Partition(groups)
        }
        Verb::OneWay(from, to) => Verb::OneWay(some(from)?, some(to)?),
        Verb::Hold(from, to) => Verb::Hold(some(from)?, some(to)?),
        Verb::Bridge(node) => Verb::Bridge(renumber(*node)?),
        Verb::Isolate(node) => Verb::Isolate(renumber(*node)?),
        Verb::Crash { node, disk, power } => Verb::Crash {
            node: renumber(*node)?,
            disk: *disk,
            power: *power,
        },
        Verb::Leave(node) => Verb::Leave(renumber(*node)?),
        Verb::Pause(node) => Verb::Pause(renumber(*node)?),
        Verb::Clock {
            node,
            offset_ms,
            drift_ppm,
        } => Verb::Clock {
            node: renumber(*node)?,
            offset_ms: *offset_ms,
            drift_ppm: *drift_ppm,
        },
        Verb::Clone(node) => Verb::Clone(renumber(*node)?),
        Verb::Ring
        | Verb::Loss(_)
        | Verb::Burst(_)
        | Verb::Duplicate(_)
        | Verb::Reorder(_)
        | Verb::Latency(_)
        | Verb::Bandwidth(_)
        | Verb::Garbage(_)
        | Verb::Replay(_) => verb.clone(),
    })
}

/// Takes out the regions in which no node is left.
fn remove_empty(regions: &mut Regions) {
    for region in (0..regions.names.len()).rev() {
        if regions.of.contains(&region) {
            continue;
        }
        regions.names.remove(region);
        regions.one_way_us.remove(region);
        for row in &mut regions.one_way_us {
            row.remove(region);
        }
        for of in &mut regions.of {
            *of -= usize::from(*of > region);
        }
    }
}

/// With fewer keys, shared keys, or keys in one write.
pub(super) fn fewer_keys(scenario: &Scenario) -> Vec<Scenario> {
    let workload = &scenario.workload;
    let mut candidates = Vec::new();
    let mut offer = |change: &dyn Fn(&mut Scenario)| {
        let mut candidate = scenario.clone();
        change(&mut candidate);
        candidates.push(candidate);
    };
    for keys in less(workload.keys as u64, 0) {
        offer(&|scenario| scenario.workload.keys = keys as usize);
    }
    for keys in less(workload.shared_keys as u64, 0) {
        offer(&|scenario| scenario.workload.shared_keys = keys as usize);
    }
    for batch in less(workload.batch as u64, 1) {
        offer(&|scenario| scenario.workload.batch = batch as usize);
    }
    candidates
}

/// With fewer writes.
pub(super) fn fewer_writes(scenario: &Scenario) -> Vec<Scenario> {
    let workload = &scenario.workload;
    let mut candidates = Vec::new();
    let mut offer = |change: &dyn Fn(&mut Scenario)| {
        let mut candidate = scenario.clone();
        change(&mut candidate);
        candidates.push(candidate);
    };
    if let Some(every_us) = workload.every_us {
        offer(&|scenario| scenario.workload.every_us = None);
        if every_us < scenario.duration_us {
            offer(&|scenario| scenario.workload.every_us = Some(every_us * 2));
        }
    }
    if let Some(adds) = workload.adds {
        for adds in less(adds, 1) {
            offer(&|scenario| scenario.workload.adds = Some(adds));
        }
    }
    if workload.clear != Chance::NEVER {
        offer(&|scenario| scenario.workload.clear = Chance::NEVER);
    }
    if workload.shared != Chance::NEVER {
        offer(&|scenario| scenario.workload.shared = Chance::NEVER);
    }
    candidates
}

/// On a network on which less goes wrong.
pub(super) fn quieter(scenario: &Scenario) -> Vec<Scenario> {
    let plain = Network::new(scenario.nodes.len());
    let changes: [fn(&mut Network, &Network); 8] = [
        |network, plain| *network = plain.clone(),
        |network, plain| network.loss = plain.loss,
        |network, plain| network.burst = plain.burst,
        |network, plain| network.duplicate = plain.duplicate,
        |network, plain| network.reorder = plain.reorder,
        |network, plain| network.bandwidth = plain.bandwidth,
        |network, _| network.regions = None,
        |network, plain| {
            // A constant is as simple as the default, and simpler than all others.
            if !matches!(network.latency, Latency::Constant(_)) {
                network.latency = plain.latency;
            }
        },
    ];
    changes
        .into_iter()
        .map(|change| {
            let mut candidate = scenario.clone();
            change(&mut candidate.network, &plain);
            candidate
        })
        .filter(|candidate| candidate != scenario)
        .collect()
}

/// Smaller numbers to try, the least first.
fn less(number: u64, least: u64) -> Vec<u64> {
    let mut numbers = vec![least, number / 2, number.saturating_sub(1)];
    numbers.retain(|smaller| (least..number).contains(smaller));
    numbers.dedup();
    numbers
}
