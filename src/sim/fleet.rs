//! Many seeds at once.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use super::outcome::{Figures, Outcome, Verdict, Violation};
use super::run::{panic_text, run};
use super::scenario::Scenario;

/// Runs a scenario with every seed of a range on so many threads (at least one), and hands each outcome to
/// `each`, in the order of the seeds, as soon as all before it are there. A seed that fails stops nothing.
pub fn fleet(scenario: &Scenario, seeds: Range<u64>, threads: usize, each: impl FnMut(Outcome)) {
    fleet_of(seeds, threads, |seed| one(scenario, seed), each);
}

/// One run. What panics outside of the replicas is a failure of its seed, too.
fn one(scenario: &Scenario, seed: u64) -> Outcome {
    let caught = catch_unwind(AssertUnwindSafe(|| run(scenario, seed, false).0));
    caught.unwrap_or_else(|panic| Outcome {
        scenario: scenario.name.clone(),
        seed,
        verdict: Verdict::Fail(Violation {
            checker: "panic".to_owned(),
            at_us: 0,
            node: None,
            text: panic_text(panic.as_ref()),
        }),
        trace_hash: String::new(),
        figures: Figures::default(),
    })
}

fn fleet_of<T: Send>(
    seeds: Range<u64>,
    threads: usize,
    run: impl Fn(u64) -> T + Sync,
    mut each: impl FnMut(T),
) {
    let next = AtomicU64::new(seeds.start);
    // Whoever is ahead waits for room here, and what is out of order waits below: together a few outcomes per
    // thread, unless one seed takes very much longer than all others.
    let (done, outcomes) = mpsc::sync_channel(threads.max(1));
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            let (done, next, run, end) = (done.clone(), &next, &run, seeds.end);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    // `fetch_add` may go past the greatest number of all.
                    if seed >= end || seed < seeds.start {
                        break;
                    }
                    if done.send((seed, run(seed))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(done);
        let mut waiting = BTreeMap::new();
        let mut due = seeds.start;
        for (seed, outcome) in outcomes {
            waiting.insert(seed, outcome);
            while let Some(outcome) = waiting.remove(&due) {
                each(outcome);
                due += 1;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_come_in_the_order_of_seeds() {
        for threads in [0, 1, 4] {
            let mut got = Vec::new();
            // Later ones are quicker.
            let work = |seed: u64| {
                let mut sum = 0u64;
                for n in 0..(50 - seed) * 2_000 {
                    sum = sum.wrapping_add(std::hint::black_box(n));
                }
                (seed, sum)
            };
            fleet_of(10..50, threads, work, |(seed, _)| got.push(seed));
            assert_eq!(got, (10..50).collect::<Vec<_>>(), "{threads} threads");
        }
        fleet_of(
            5..5,
            2,
            |seed| seed,
            |seed| panic!("{seed} was not asked for"),
        );
        let mut last = Vec::new();
        fleet_of(
            u64::MAX - 2..u64::MAX,
            2,
            |seed| seed,
            |seed| last.push(seed),
        );
        assert_eq!(last, [u64::MAX - 2, u64::MAX - 1]);
    }

    /// A scenario whose building alone panics: the range of a latency is upside down.
    #[test]
    fn a_panic_is_a_failure_of_its_seed_and_of_no_other() {
        let mut scenario = Scenario::new("broken", 2, 1_000_000);
        scenario.network.latency = crate::sim::Latency::Uniform(2, 1);
        let mut checkers = Vec::new();
        fleet(&scenario, 0..3, 2, |outcome| match outcome.verdict {
            Verdict::Fail(violation) => checkers.push((outcome.seed, violation.checker)),
            Verdict::Pass => panic!("seed {} passed", outcome.seed),
        });
        let panics = (0..3).map(|seed| (seed, "panic".to_owned()));
        assert_eq!(checkers, panics.collect::<Vec<_>>());
    }
}
