//! The simulator itself: same seed, same trace; verbs do what they say; checkers can fail.
#![cfg(feature = "sim")]

use presence_mesh::sim::{self, Chance, Disk, Fault, Outcome, Scenario, Verb, Verdict};

const SECOND: u64 = 1_000_000;

fn fault(at: u64, until: u64, verb: Verb) -> Fault {
    Fault {
        at_us: at * SECOND,
        until_us: Some(until * SECOND),
        verb,
    }
}

fn passes(scenario: &Scenario, seed: u64) -> Outcome {
    let (outcome, _) = sim::run(scenario, seed, false);
    assert_eq!(
        outcome.verdict,
        Verdict::Pass,
        "{} seed {seed}",
        scenario.name
    );
    outcome
}

#[test]
fn a_quiet_world_agrees() {
    for seed in 0..10 {
        let outcome = passes(&Scenario::new("clean", 5, 20 * SECOND), seed);
        println!("{} {}", outcome.trace_hash, outcome.figures.events);
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let scenario = everything();
    let (first, _) = sim::run(&scenario, 7, false);
    let (second, _) = sim::run(&scenario, 7, true);
    let (other, _) = sim::run(&scenario, 8, false);
    assert_eq!(first.trace_hash, second.trace_hash);
    assert_eq!(first, second, "recording changes nothing");
    assert_ne!(first.trace_hash, other.trace_hash);
}

fn everything() -> Scenario {
    let mut scenario = Scenario::new("everything", 6, 90 * SECOND);
    scenario.faults = vec![
        fault(5, 12, Verb::Partition(vec![vec![0, 1, 2], vec![3, 4, 5]])),
        fault(8, 20, Verb::Loss(Chance(200_000))),
        fault(14, 22, Verb::OneWay(vec![0], vec![1, 2])),
        fault(20, 32, Verb::Hold(vec![3], vec![0, 1, 2, 4, 5])),
        fault(
            24,
            36,
            Verb::Crash {
                node: 3,
                disk: Disk::Kept,
                power: true,
            },
        ),
        fault(
            30,
            40,
            Verb::Crash {
                node: 4,
                disk: Disk::Lost,
                power: false,
            },
        ),
        fault(35, 50, Verb::Pause(2)),
        fault(40, 50, Verb::Leave(1)),
        fault(
            45,
            60,
            Verb::Clock {
                node: 0,
                offset_ms: 3_600_000,
                drift_ppm: 500,
            },
        ),
        fault(50, 60, Verb::Duplicate(Chance(200_000))),
        fault(52, 66, Verb::Reorder(Chance(300_000))),
        fault(55, 70, Verb::Garbage(Chance(100_000))),
        fault(55, 75, Verb::Replay(Chance(100_000))),
        fault(60, 70, Verb::Bridge(2)),
        fault(70, 80, Verb::Ring),
        fault(75, 85, Verb::Isolate(5)),
        fault(
            78,
            88,
            Verb::Crash {
                node: 0,
                disk: Disk::Old,
                power: false,
            },
        ),
    ];
    scenario
}

#[test]
fn everything_at_once_is_survived() {
    for seed in 0..30 {
        passes(&everything(), seed);
    }
}

/// A server left, came back, and its old lamps were lit once more until it had restated them.
#[test]
fn what_a_gone_life_said_stays_gone_when_the_next_begins() {
    for seed in 0..10 {
        let mut scenario = Scenario::new("returns", 4, 40 * SECOND);
        scenario.faults = vec![
            fault(5, 20, Verb::Leave(1)),
            fault(
                8,
                30,
                Verb::Crash {
                    node: 2,
                    disk: Disk::Lost,
                    power: true,
                },
            ),
        ];
        passes(&scenario, seed);
    }
}
