//! Faults drawn for a seed.

use super::latency::Latency;
use super::prf::{Chance, Draws, Purpose};
use super::scenario::{Burst, Chaos, Disk, Fault, Scenario, VERBS, Verb};
use super::world::EPOCH_MS;

impl Scenario {
    /// The scenario with its chaos drawn for a seed: explicit faults beside those it has, in order of time.
    ///
    /// Of each kind of fault with probability one half there is none at all (Groce et al., "Swarm testing",
    /// 2012): what many kinds together hide, few bring out. At least one node is always up, no fault
    /// contradicts another at the same node, and all end before the run does.
    pub fn with_chaos(&self, seed: u64) -> Self {
        let mut scenario = self.clone();
        let Some(chaos) = scenario.chaos.take() else {
            return scenario;
        };
        let words = kinds(&chaos, seed);
        if words.is_empty() {
            return scenario;
        }
        let last_us = (self.duration_us / MS).saturating_sub(1) * MS;
        let mut at_us = 0;
        for number in 0.. {
            // Every fault draws from a sequence of its own.
            let mut draws = Draws::new(seed, number, Purpose::Chaos);
            at_us += whole_ms(draws.below(2 * chaos.every_us));
            if at_us >= last_us {
                break;
            }
            let until_us = (at_us + whole_ms(draws.below(chaos.longest_us))).min(last_us);
            let word = words[draws.below(words.len() as u64) as usize];
            let fitting = (0..TRIES)
                .filter_map(|_| verb(word, self.nodes.len(), at_us, &mut draws))
                .map(|verb| Fault {
                    at_us,
                    until_us: Some(until_us),
                    verb,
                })
                .find(|fault| fits(&scenario, fault));
            scenario.faults.extend(fitting);
        }
        scenario.faults.sort_by_key(|fault| fault.at_us);
        scenario
    }
}

/// So often a fault is drawn anew that contradicts another one; then there is one less.
const TRIES: usize = 8;
const MS: u64 = 1_000;
/// A process is given this time between two faults of its own.
const REST_US: u64 = 1_000_000;

/// The kinds that this seed has.
fn kinds(chaos: &Chaos, seed: u64) -> Vec<&'static str> {
    VERBS
        .into_iter()
        .enumerate()
        .filter(|(_, word)| chaos.kinds.is_empty() || chaos.kinds.iter().any(|kind| kind == word))
        .filter(|(number, _)| {
            let entity = u64::MAX - *number as u64;
            Draws::new(seed, entity, Purpose::Chaos).happens(Chance(500_000))
        })
        .map(|(_, word)| word)
        .collect()
}

/// At least one; whole, so that a drawn scenario can be read.
fn whole_ms(us: u64) -> u64 {
    (us / MS + 1) * MS
}

/// Whether a fault contradicts none of those there are, and leaves a node up.
fn fits(scenario: &Scenario, new: &Fault) -> bool {
    let ends = |fault: &Fault| fault.until_us.unwrap_or(scenario.duration_us);
    let at_once =
        |fault: &&Fault| fault.at_us < ends(new) + REST_US && new.at_us < ends(fault) + REST_US;
    let beside: Vec<&Fault> = scenario.faults.iter().filter(at_once).collect();
    let contradicts = |fault: &&Fault| match (process(&fault.verb), process(&new.verb)) {
        (Some(a), Some(b)) => a == b,
        _ => clock(&fault.verb).is_some() && clock(&fault.verb) == clock(&new.verb),
    };
    if beside.iter().any(contradicts) {
        return false;
    }
    let mut down: Vec<usize> = beside
        .iter()
        .map(|fault| &fault.verb)
        .chain([&new.verb])
        .filter(|verb| !matches!(verb, Verb::Clone(_)))
        .filter_map(process)
        .collect();
    down.sort_unstable();
    down.dedup();
    down.len() < scenario.nodes.len()
}

/// The node whose process a fault concerns.
fn process(verb: &Verb) -> Option<usize> {
    match verb {
        Verb::Crash { node, .. } | Verb::Leave(node) | Verb::Pause(node) | Verb::Clone(node) => {
            Some(*node)
        }
        _ => None,
    }
}

/// The node whose clock a fault concerns.
fn clock(verb: &Verb) -> Option<usize> {
    match verb {
        Verb::Clock { node, .. } => Some(*node),
        _ => None,
    }
}

/// A fault of this kind; `None` when there are too few nodes for it.
fn verb(word: &str, nodes: usize, at_us: u64, draws: &mut Draws) -> Option<Verb> {
    let least = match word {
        "bridge" | "ring" => 3,
        "partition" | "one_way" | "hold" | "isolate" => 2,
        _ => 1,
    };
    if nodes < least {
        return None;
    }
    let node = draws.below(nodes as u64) as usize;
    Some(match word {
        "partition" => {
            let (one, other) = split(nodes, draws);
            Verb::Partition(vec![one, other])
        }
        "one_way" => {
            let (one, other) = split(nodes, draws);
            Verb::OneWay(one, other)
        }
        "bridge" => Verb::Bridge(node),
        "ring" => Verb::Ring,
        "isolate" => Verb::Isolate(node),
        "hold" => {
            let (one, other) = split(nodes, draws);
            Verb::Hold(one, other)
        }
        "crash" => Verb::Crash {
            node,
            disk: [Disk::Kept, Disk::Kept, Disk::Lost, Disk::Old][draws.below(4) as usize],
            power: draws.happens(Chance(500_000)),
        },
        "leave" => Verb::Leave(node),
        "pause" => Verb::Pause(node),
        "loss" => Verb::Loss(chance(5, 60, draws)),
        "burst" => Verb::Burst(Burst {
            enter: chance(1, 10, draws),
            leave: chance(5, 30, draws),
            loss: chance(50, 100, draws),
        }),
        "duplicate" => Verb::Duplicate(chance(5, 50, draws)),
        "reorder" => Verb::Reorder(chance(5, 50, draws)),
        "latency" => Verb::Latency(latency(draws)),
        "bandwidth" => Verb::Bandwidth(8_000 << draws.below(8)),
        "clock" => Verb::Clock {
            node,
            offset_ms: offset_ms(at_us, draws),
            drift_ppm: draws.below(1_001).cast_signed() - 500,
        },
        "clone" => Verb::Clone(node),
        "garbage" => Verb::Garbage(chance(5, 50, draws)),
        "replay" => Verb::Replay(chance(5, 50, draws)),
        other => unreachable!("{other} is no verb"),
    })
}

/// All nodes, in two groups.
fn split(nodes: usize, draws: &mut Draws) -> (Vec<usize>, Vec<usize>) {
    // One is on each side for certain.
    let first = draws.below(nodes as u64) as usize;
    let second = (first + 1 + draws.below(nodes as u64 - 1) as usize) % nodes;
    (0..nodes).partition(|node| {
        let heads = draws.happens(Chance(500_000));
        *node == first || (heads && *node != second)
    })
}

/// A probability between two, in per cent.
fn chance(least: u64, most: u64, draws: &mut Draws) -> Chance {
    Chance(((least + draws.below(most - least + 1)) * 10_000) as u32)
}

fn latency(draws: &mut Draws) -> Latency {
    let least_us = whole_ms(draws.below(50_000));
    let more_us = whole_ms(draws.below(300_000));
    match draws.below(4) {
        0 => Latency::Constant(least_us),
        1 => Latency::Uniform(least_us, least_us + more_us),
        2 => Latency::Exponential {
            least_us,
            mean_us: more_us,
        },
        _ => Latency::Pareto {
            least_us,
            shape_milli: 1_100 + draws.below(20) * 100,
            most_us: 3_000_000,
        },
    }
}

/// A clock that a person set wrongly, forgot, or that lost its battery.
fn offset_ms(at_us: u64, draws: &mut Draws) -> i64 {
    let sign = if draws.happens(Chance(500_000)) {
        1
    } else {
        -1
    };
    match draws.below(4) {
        0 => 0,
        1 => sign * draws.below(10_000).cast_signed(),
        2 => sign * draws.below(86_400_000).cast_signed(),
        _ => YEAR_2100_MS - (EPOCH_MS + at_us / 1_000).cast_signed(),
    }
}

const YEAR_2100_MS: i64 = 4_102_444_800_000;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn swarm(nodes: usize) -> Scenario {
        let mut scenario = Scenario::new("swarm", nodes, 60_000_000);
        scenario.chaos = Some(Chaos {
            every_us: 3_000_000,
            longest_us: 15_000_000,
            kinds: Vec::new(),
        });
        scenario
    }

    #[test]
    fn what_is_drawn_is_a_scenario_like_any_other() {
        for seed in 0..300 {
            let drawn = swarm(2 + seed as usize % 5).with_chaos(seed);
            assert_eq!(drawn.chaos, None);
            assert!(drawn.faults.is_sorted_by_key(|fault| fault.at_us));
            for fault in &drawn.faults {
                let until_us = fault.until_us.expect("every drawn fault ends");
                assert!(fault.at_us < until_us && until_us < drawn.duration_us);
            }
            let read = Scenario::from_toml("swarm", &drawn.to_toml()).unwrap();
            assert_eq!(read, drawn);
        }
    }

    #[test]
    fn a_seed_draws_the_same_and_another_draws_another() {
        assert_eq!(swarm(5).with_chaos(3), swarm(5).with_chaos(3));
        assert_ne!(swarm(5).with_chaos(3), swarm(5).with_chaos(4));
    }

    #[test]
    fn every_kind_is_drawn_and_half_of_them_by_each_seed() {
        let mut all = BTreeSet::new();
        let mut of_seeds = 0;
        for seed in 0..300 {
            let drawn = swarm(5).with_chaos(seed);
            let kinds: BTreeSet<_> = drawn.faults.iter().map(|fault| fault.verb.word()).collect();
            of_seeds += self::kinds(swarm(5).chaos.as_ref().unwrap(), seed).len();
            all.extend(kinds);
        }
        assert_eq!(all.len(), VERBS.len(), "{all:?}");
        let mean = of_seeds as f64 / 300.0;
        assert!(
            (8.5..10.5).contains(&mean),
            "{mean} kinds of {}",
            VERBS.len()
        );
    }

    #[test]
    fn only_the_kinds_that_are_named_are_drawn() {
        let mut scenario = swarm(5);
        scenario.chaos.as_mut().unwrap().kinds = vec!["crash".to_owned(), "loss".to_owned()];
        let verbs: BTreeSet<_> = (0..40)
            .flat_map(|seed| scenario.with_chaos(seed).faults)
            .map(|fault| fault.verb.word())
            .collect();
        assert_eq!(verbs, ["crash", "loss"].into());
    }

    /// A crashed node is not crashed again, and somebody is always there.
    #[test]
    fn nothing_contradicts_and_one_node_is_up() {
        for seed in 0..300 {
            let mut scenario = swarm(3);
            scenario.chaos.as_mut().unwrap().every_us = 500_000;
            scenario.faults = vec![Fault {
                at_us: 20_000_000,
                until_us: None,
                verb: Verb::Leave(1),
            }];
            let drawn = scenario.with_chaos(seed);
            let ends = |fault: &Fault| fault.until_us.unwrap_or(drawn.duration_us);
            for fault in &drawn.faults {
                let at = fault.at_us;
                let now: Vec<_> = drawn
                    .faults
                    .iter()
                    .filter(|fault| fault.at_us <= at && at < ends(fault))
                    .filter_map(|fault| process(&fault.verb))
                    .collect();
                let nodes: BTreeSet<_> = now.iter().collect();
                assert_eq!(nodes.len(), now.len(), "seed {seed} at {at}");
                let down = drawn.faults.iter().filter(|fault| {
                    fault.at_us <= at
                        && at < ends(fault)
                        && !matches!(fault.verb, Verb::Clone(_))
                        && process(&fault.verb).is_some()
                });
                assert!(down.count() < 3, "seed {seed} at {at}");
            }
        }
    }
}
