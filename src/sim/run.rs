//! One run, from its beginning to its verdict.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::check::{Broken, Checker, all_checkers};
use super::checks::settled_nodes;
use super::outcome::{Band, Figures, Outcome, Recording, Verdict, Violation};
use super::recorder::Recorder;
use super::report;
use super::scenario::{Fault, Scenario, Verb};
use super::world::{World, device};

/// Runs a scenario with a seed, and says what came of it. `record`: and what a report draws.
///
/// The same scenario and seed give the same outcome, on any machine. A panic in the code under test is a
/// violation like any other.
pub fn run(scenario: &Scenario, seed: u64, record: bool) -> (Outcome, Option<Recording>) {
    run_with(scenario, seed, record, all_checkers())
}

/// Like [`run`], with other checkers.
pub fn run_with(
    scenario: &Scenario,
    seed: u64,
    record: bool,
    checkers: Vec<Box<dyn Checker>>,
) -> (Outcome, Option<Recording>) {
    let scenario = scenario.with_chaos(seed);
    let mut run = Run::new(&scenario, seed, record, checkers);
    let result = catch_unwind(AssertUnwindSafe(|| run.play()));
    let verdict = match result {
        Ok(Ok(())) => Verdict::Pass,
        Ok(Err(violation)) => Verdict::Fail(violation),
        Err(panic) => Verdict::Fail(Violation {
            checker: "panic".to_owned(),
            at_us: run.world.now_us(),
            node: None,
            text: panic_text(panic.as_ref()),
        }),
    };
    let outcome = Outcome {
        scenario: scenario.name.clone(),
        seed,
        verdict,
        trace_hash: run.world.trace().to_string(),
        figures: run.figures(),
    };
    let recording = run.world.take_recorder().map(|mut recorder| {
        recorder.bands(bands(&scenario));
        recorder.finish()
    });
    (outcome, recording)
}

struct Run {
    world: World,
    checkers: Vec<Box<dyn Checker>>,
    /// When everything is looked at, besides the regular times: just before and after each change of faults.
    looks: Vec<u64>,
    sweep_us: u64,
    /// Since when all stores have been equal, after the mending.
    equal_since_us: Option<u64>,
}

/// Lamps drawn in a report.
const LAMPS: usize = 3;
/// Stores must stay equal, and views be equal, for so long before a run ends.
const STEADY_US: u64 = 2_000_000;
/// Nodes whose watchers are followed, in worlds of at most [`SMALL`] nodes; in larger ones the first one's is.
const WATCHED: usize = 8;
const SMALL: usize = 24;

impl Run {
    fn new(scenario: &Scenario, seed: u64, record: bool, checkers: Vec<Box<dyn Checker>>) -> Self {
        let mut world = World::new(scenario, seed);
        if record {
            let keys = (0..scenario.nodes.len().min(LAMPS)).map(|node| device(node, 0));
            world.record(Recorder::new(keys.collect()));
        }
        let ends = scenario.faults.iter().filter_map(|fault| fault.until_us);
        let begins = scenario.faults.iter().map(|fault| fault.at_us);
        let mut looks: Vec<u64> = begins
            .chain(ends)
            .chain([scenario.mended_at_us()])
            .flat_map(|at| [at.saturating_sub(1), at])
            .collect();
        looks.sort_unstable();
        looks.dedup();
        looks.reverse();
        let sweep_us = match scenario.nodes.len() {
            0..=SMALL => 100_000,
            25..=200 => 1_000_000,
            _ => 5_000_000,
        };
        Self {
            world,
            checkers,
            looks,
            sweep_us,
            equal_since_us: None,
        }
    }

    fn play(&mut self) -> Result<(), Violation> {
        let end_us = self.world.scenario().ends_at_us();
        let mut regular_us = self.sweep_us;
        loop {
            let look = self.looks.last().copied().unwrap_or(u64::MAX);
            let until = regular_us.min(look).min(end_us);
            while let Some(step) = self.world.step(until) {
                let world = &self.world;
                check(&mut self.checkers, world, |checker| {
                    checker.step(world, &step)
                })?;
            }
            self.looks.pop_if(|look| *look <= until);
            if until >= regular_us {
                regular_us += self.sweep_us;
            }
            self.look()?;
            let now = self.world.now_us();
            let steady = self
                .equal_since_us
                .is_some_and(|since| now - since >= STEADY_US);
            if steady && self.settled().is_ok() {
                return Ok(());
            }
            if now >= end_us {
                return self.never_agreed();
            }
        }
    }

    fn look(&mut self) -> Result<(), Violation> {
        let followed = if self.world.len() <= SMALL {
            WATCHED
        } else {
            1
        };
        for node in 0..self.world.len().min(followed) {
            let watched = self.world.take_watched(node);
            let world = &self.world;
            for (space, items) in watched {
                check(&mut self.checkers, world, |checker| {
                    checker.watched(world, node, space, &items)
                })?;
            }
        }
        let world = &self.world;
        check(&mut self.checkers, world, |checker| checker.sweep(world))?;
        self.compare();
        Ok(())
    }

    /// How many stores differ, and since when none does.
    fn compare(&mut self) {
        let mut roots: BTreeMap<_, usize> = BTreeMap::new();
        let nodes = settled_nodes(&self.world);
        for node in &nodes {
            let replica = self.world.replica(*node).expect("it is up");
            *roots.entry(replica.digest()).or_default() += 1;
        }
        let most = roots.values().max().copied().unwrap_or_default();
        let differ = nodes.len() - most;
        let now = self.world.now_us();
        if let Some(recorder) = self.world.recorder_mut() {
            recorder.divergence(now, differ);
        }
        let complete = nodes.len() == self.world.scenario().nodes.len();
        if differ > 0 || !complete || !self.world.is_mended() {
            self.equal_since_us = None;
        } else {
            self.equal_since_us.get_or_insert(now);
        }
    }

    fn settled(&mut self) -> Result<(), Violation> {
        let world = &self.world;
        check(&mut self.checkers, world, |checker| checker.settled(world))
    }

    fn never_agreed(&mut self) -> Result<(), Violation> {
        if self.equal_since_us.is_some() {
            return self.settled();
        }
        let world = &self.world;
        let roots: Vec<String> = (0..world.len())
            .map(|node| match world.replica(node) {
                Some(replica) => format!("{} {}", world.name(node), replica.digest()),
                None => format!("{} down", world.name(node)),
            })
            .collect();
        Err(Violation {
            checker: "convergence".to_owned(),
            at_us: world.now_us(),
            node: None,
            text: format!(
                "stores differ {} s after everything was mended: {}",
                world.scenario().settle_us / 1_000_000,
                roots.join(", ")
            ),
        })
    }

    fn figures(&self) -> Figures {
        let world = &self.world;
        let mut figures = world.figures().clone();
        figures.virtual_us = world.now_us();
        figures.converged_us = self
            .equal_since_us
            .map(|since| since - world.scenario().mended_at_us());
        figures.lamp_lie_us = self
            .checkers
            .iter()
            .map(|checker| checker.lamp_lie_us())
            .max()
            .unwrap_or_default();
        for (node, counted) in figures.nodes.iter_mut().enumerate() {
            let maps = world.replica(node).map(|replica| replica.maps());
            let entries = maps
                .unwrap_or_default()
                .into_iter()
                .map(|map| map.entries as u64);
            counted.entries = entries.sum();
        }
        figures
    }
}

fn check(
    checkers: &mut [Box<dyn Checker>],
    world: &World,
    mut look: impl FnMut(&mut dyn Checker) -> Result<(), Broken>,
) -> Result<(), Violation> {
    for checker in checkers {
        look(checker.as_mut()).map_err(|broken| Violation {
            checker: checker.name().to_owned(),
            at_us: world.now_us(),
            node: broken.node.map(|node| world.name(node).to_owned()),
            text: broken.text,
        })?;
    }
    Ok(())
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic without a text".to_owned())
}

/// The faults as a report draws them.
fn bands(scenario: &Scenario) -> Vec<Band> {
    let band = |fault: &Fault| {
        let (nodes, cut) = match &fault.verb {
            Verb::OneWay(from, to) | Verb::Hold(from, to) => ([&from[..], to].concat(), true),
            // Nodes in no group of a partition are a group of their own.
            Verb::Partition(_) | Verb::Ring | Verb::Bridge(_) => {
                ((0..scenario.nodes.len()).collect(), true)
            }
            Verb::Isolate(node)
            | Verb::Crash { node, .. }
            | Verb::Leave(node)
            | Verb::Pause(node) => (vec![*node], true),
            Verb::Clock { node, .. } | Verb::Clone(node) => (vec![*node], false),
            _ => (Vec::new(), false),
        };
        Band {
            from_us: fault.at_us,
            until_us: fault.until_us.unwrap_or(scenario.mended_at_us()),
            nodes,
            label: report::describe(scenario, &fault.verb),
            cut,
        }
    };
    scenario.faults.iter().map(band).collect()
}
