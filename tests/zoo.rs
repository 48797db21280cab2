//! The bug zoo: every fault that can be planted in the core is caught by the simulator's checkers.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use presence_mesh::crdt::{Hlc, Register, Stamp, merge_registers};
use presence_mesh::model::{Incarnation, Key, MessageCounts, Source, SpaceId};
use presence_mesh::proto::{Config, Input, Now, Output, Replica, Write};
use presence_mesh::sim::{self, Chance, Disk, Draws, Latency, Purpose, Scenario, Verb, Verdict};
use presence_mesh::wire::{Frame, MeshId};
use presence_mesh::zoo::{Fault, plant};
use presence_mesh::{Identity, Limits, Merge, MeshKey, Preset};

/// Within so many seeds a fault must be caught.
const SEEDS: u64 = 1_000;
/// So many seeds of each scenario must be clean when nothing is planted.
const CLEAN: u64 = 50;

const SECOND: u64 = 1_000_000;

/// A fault, where it shows, and who may catch it.
struct Exhibit {
    fault: Fault,
    shown_by: Shows,
    /// Checkers for which this fault is what they are there for; any of them may be the first.
    caught_by: &'static [&'static str],
}

#[derive(Clone, Copy)]
enum Shows {
    /// A scenario of the simulator, judged by all its checkers.
    Scenario(fn() -> Scenario),
    /// A little world of its own; see there.
    Alone(&'static str, fn(u64) -> Option<Caught>),
}

/// The checker that saw something, and what.
type Caught = (String, String);

const ZOO: [Exhibit; 24] = [
    exhibit(Fault::CountsByGreatestSeq, overtaken, &["moment"]),
    exhibit(Fault::NoWatermark, away, &["moment"]),
    exhibit(Fault::ResetLosesWatermark, handed_on, &["moment"]),
    exhibit(Fault::CoveredRangeApplied, replayed, &["moment"]),
    exhibit(Fault::ShownAboveHead, overtaken, &["moment", "emitted"]),
    exhibit(Fault::ReplyCutShort, away, &["emitted"]),
    exhibit(Fault::ResetWithoutCursor, away, &["convergence"]),
    exhibit(Fault::UptoAboveOwnHead, overtaken, &["emitted"]),
    exhibit(Fault::LivesMixed, restarts, &["moment", "invariants"]),
    exhibit(Fault::RestartBlinks, restarts, &["steady"]),
    Exhibit {
        fault: Fault::BareRegister,
        shown_by: Shows::Alone("cloned-machine", cloned_machine),
        caught_by: &["merging-commutes"],
    },
    exhibit(Fault::StampWithoutReplica, emptied, &["register"]),
    exhibit(Fault::LeaseWritten, dying, &["liveness-writes-nothing"]),
    exhibit(
        Fault::RootIgnoresIncarnation,
        no_clock_battery,
        &["agreement"],
    ),
    exhibit(Fault::FutureStampAdopted, future_clock, &["clock"]),
    exhibit(
        Fault::AcceptedByClock,
        future_clock,
        &["convergence", "lamp"],
    ),
    exhibit(Fault::SameIncarnation, restarts, &["own", "moment"]),
    exhibit(Fault::PendingAsHead, overtaken, &["emitted"]),
    exhibit(Fault::RelayRenews, dying, &["lamp"]),
    exhibit(Fault::OldBeatRenews, stalled, &["lamp"]),
    exhibit(Fault::TombstoneCompetes, shared, &["register"]),
    exhibit(Fault::ReplyEchoes, lost_disk, &["emitted"]),
    exhibit(Fault::GoneShownLive, dying, &["lamp"]),
    exhibit(Fault::BeatsUnannounced, growing, &["beat"]),
];

const fn exhibit(
    fault: Fault,
    scenario: fn() -> Scenario,
    caught_by: &'static [&'static str],
) -> Exhibit {
    Exhibit {
        fault,
        shown_by: Shows::Scenario(scenario),
        caught_by,
    }
}

#[test]
fn every_planted_fault_is_caught() {
    let mut left = Vec::new();
    let found = each(&ZOO, |exhibit| {
        let _planted = plant(exhibit.fault);
        (0..SEEDS).find_map(|seed| Some((seed, exhibit.shown_by.run(seed)?)))
    });
    println!(
        "{:<26} {:<18} {:<24} seeds",
        "fault", "scenario", "caught by"
    );
    for (exhibit, found) in ZOO.iter().zip(found) {
        let Some((seed, (checker, text))) = found else {
            left.push(format!("{}: not caught in {SEEDS} seeds", exhibit.fault));
            continue;
        };
        let scenario = exhibit.shown_by.name();
        println!(
            "{:<26} {scenario:<18} {checker:<24} {}",
            exhibit.fault,
            seed + 1
        );
        println!("    {}", text.chars().take(150).collect::<String>());
        if !exhibit.caught_by.contains(&checker.as_str()) {
            left.push(format!("{}: caught by {checker}: {text}", exhibit.fault));
        }
    }
    assert!(left.is_empty(), "{}", left.join("\n"));
}

#[test]
fn without_a_fault_the_same_scenarios_are_clean() {
    let all: BTreeMap<String, Shows> = ZOO
        .iter()
        .map(|exhibit| (exhibit.shown_by.name(), exhibit.shown_by))
        .collect();
    let runs: Vec<(&String, &Shows, u64)> = all
        .iter()
        .flat_map(|(name, shows)| (0..CLEAN).map(move |seed| (name, shows, seed)))
        .collect();
    let wrong = each(&runs, |(name, shows, seed)| {
        let (checker, text) = shows.run(*seed)?;
        Some(format!("{name} seed {seed}: {checker}: {text}"))
    });
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every name is taken once, so that no fault hides behind another.
#[test]
fn every_fault_is_exhibited() {
    let exhibited: Vec<Fault> = ZOO.iter().map(|exhibit| exhibit.fault).collect();
    assert_eq!(exhibited, Fault::ALL);
}

impl Shows {
    fn name(self) -> String {
        match self {
            Self::Scenario(scenario) => scenario().name,
            Self::Alone(name, _) => name.to_owned(),
        }
    }

    fn run(self, seed: u64) -> Option<Caught> {
        match self {
            Self::Scenario(scenario) => match sim::run(&scenario(), seed, false).0.verdict {
                Verdict::Pass => None,
                Verdict::Fail(violation) => Some((violation.checker, violation.text)),
            },
            Self::Alone(_, run) => run(seed),
        }
    }
}

/// Does something for each, on two threads; the results are in order.
fn each<T: Sync, R: Send>(all: &[T], job: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let work = || {
        while let Some((number, one)) = {
            let number = next.fetch_add(1, Ordering::Relaxed);
            all.get(number).map(|one| (number, one))
        } {
            let result = job(one);
            done.lock().expect("no job panics").insert(number, result);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    done.into_inner()
        .expect("no job panics")
        .into_values()
        .collect()
}

fn fault(at: u64, until: u64, verb: Verb) -> sim::Fault {
    sim::Fault {
        at_us: at * SECOND,
        until_us: Some(until * SECOND),
        verb,
    }
}

fn crash(node: usize, disk: Disk) -> Verb {
    Verb::Crash {
        node,
        disk,
        power: false,
    }
}

/// Many keys for few writes, half of which withdraw: what is withdrawn stays so until it is collected. That takes
/// more than a minute, so beats are rare.
fn sparse(scenario: &mut Scenario, keys: usize) {
    scenario.timing = Preset::Lan.timing();
    scenario.timing.beat = Duration::from_secs(4);
    scenario.timing.stale_after = Duration::from_secs(12);
    scenario.timing.gone_after = Duration::from_secs(30);
    scenario.workload.shared_keys = 0;
    scenario.workload.keys = keys;
    scenario.workload.every_us = Some(4 * SECOND);
    scenario.workload.clear = Chance(500_000);
}

/// Frames overtake each other, so that later ones come too early. Nothing is lost: whoever loses questions and
/// answers too is behind for longer than a lamp may be.
fn overtaken() -> Scenario {
    let mut scenario = Scenario::new("overtaken", 3, 15 * SECOND);
    scenario.network.latency = Latency::Uniform(50_000, 150_000);
    scenario.workload.every_us = Some(300_000);
    scenario.faults = vec![fault(0, 15, Verb::Reorder(Chance(300_000)))];
    scenario
}

/// One node is away until tombstones have been collected, and answers are small.
fn away() -> Scenario {
    let mut scenario = Scenario::new("away", 3, 100 * SECOND);
    scenario.network.latency = Latency::Constant(20_000);
    scenario.limits.part_bytes = 500;
    sparse(&mut scenario, 10);
    scenario.faults = vec![fault(10, 90, Verb::Isolate(2))];
    scenario
}

/// One node is away until tombstones have been collected; then it is brought up to date, and brings
/// another up to date that was away with it.
fn handed_on() -> Scenario {
    let mut scenario = Scenario::new("handed-on", 3, 105 * SECOND);
    sparse(&mut scenario, 10);
    scenario.faults = vec![
        fault(10, 90, Verb::Isolate(1)),
        fault(10, 95, Verb::Isolate(2)),
        fault(95, 104, Verb::Partition(vec![vec![0], vec![1, 2]])),
    ];
    scenario
}

/// Old frames arrive again after tombstones have been collected.
fn replayed() -> Scenario {
    let mut scenario = Scenario::new("replayed", 2, 120 * SECOND);
    sparse(&mut scenario, 20);
    scenario.faults = vec![fault(0, 120, Verb::Replay(Chance::CERTAIN))];
    scenario
}

/// Servers restart over unchanged phones, and are heard of late.
fn restarts() -> Scenario {
    let mut scenario = Scenario::new("restarts", 3, 20 * SECOND);
    scenario.network.latency = Latency::Uniform(50_000, 300_000);
    scenario.faults = vec![
        fault(8, 9, crash(0, Disk::Kept)),
        fault(11, 12, crash(1, Disk::Kept)),
    ];
    scenario
}

/// Servers start again with nothing, and restate what their PBXs know: all under the same stamp.
fn emptied() -> Scenario {
    let mut scenario = restarts();
    scenario.name = "emptied".to_owned();
    scenario.faults = vec![
        fault(8, 9, crash(0, Disk::Lost)),
        fault(11, 12, crash(1, Disk::Lost)),
    ];
    scenario
}

/// A server dies while another is cut off, which then hears of it from a third.
fn dying() -> Scenario {
    let mut scenario = Scenario::new("dying", 3, 40 * SECOND);
    scenario.faults = vec![
        fault(10, 24, Verb::Isolate(2)),
        fault(15, 38, crash(0, Disk::Kept)),
    ];
    scenario
}

/// Nodes start one after another, and so many should beat more rarely than each said when it knew itself alone.
fn growing() -> Scenario {
    let mut scenario = Scenario::new("growing", 8, 5 * SECOND);
    scenario.timing.beat = Duration::from_millis(20);
    scenario
}

/// A box without a battery for its clock, whose disk is replaced, starts at the same time twice; one node is
/// cut off and knows only the first of the two.
fn no_clock_battery() -> Scenario {
    let mut scenario = Scenario::new("no-clock-battery", 3, 20 * SECOND);
    scenario.workload.every_us = None;
    let clock = Verb::Clock {
        node: 0,
        offset_ms: -8_000,
        drift_ppm: 0,
    };
    scenario.faults = vec![
        fault(1, 2, crash(0, Disk::Kept)),
        fault(5, 18, Verb::Isolate(2)),
        fault(7, 10, crash(0, Disk::Lost)),
        fault(8, 20, clock),
    ];
    scenario
}

/// One clock is an hour ahead for a while.
fn future_clock() -> Scenario {
    let mut scenario = Scenario::new("future-clock", 3, 20 * SECOND);
    let clock = Verb::Clock {
        node: 0,
        offset_ms: 3_600_000,
        drift_ppm: 0,
    };
    scenario.faults = vec![fault(5, 15, clock)];
    scenario
}

/// A link stalls, its far end stands still, and the link lets go of what it held.
fn stalled() -> Scenario {
    let mut scenario = Scenario::new("stalled", 2, 40 * SECOND);
    scenario.faults = vec![
        fault(10, 30, Verb::Hold(vec![0], vec![1])),
        fault(15, 38, Verb::Pause(0)),
    ];
    scenario
}

/// Mailboxes that all write and clear.
fn shared() -> Scenario {
    let mut scenario = Scenario::new("shared", 3, 15 * SECOND);
    scenario.workload.shared = Chance(800_000);
    scenario.workload.clear = Chance(300_000);
    scenario
}

/// A server starts with a new disk and a clock set back, below its earlier life.
fn lost_disk() -> Scenario {
    let mut scenario = Scenario::new("lost-disk", 3, 20 * SECOND);
    let clock = Verb::Clock {
        node: 0,
        offset_ms: -3_600_000,
        drift_ppm: 0,
    };
    scenario.faults = vec![fault(8, 10, crash(0, Disk::Lost)), fault(9, 20, clock)];
    scenario
}

/// A machine is cloned as it runs: two processes of one identity and one life write something else under one
/// stamp, and each is heard by another reader. What the two readers show must merge to the same register,
/// whoever merges.
///
/// Within one replica no two registers with equal stamps ever meet: it shows one entry per origin, and takes one
/// content per dot. So no scenario can show this one by what replicas do; the law itself is held against
/// what they show.
fn cloned_machine(seed: u64) -> Option<Caught> {
    let now = Now {
        mono: Duration::from_secs(1),
        wall_ms: sim::EPOCH_MS,
    };
    let mesh = MeshId::derive(&MeshKey::from_bytes([9; 32]), "world");
    let mut draws = Draws::new(seed, 0, Purpose::Write);
    let key = Key::new(SpaceId::MAILBOXES, "100@default").expect("a short name");
    let mut shown_from = |reader: u8| {
        let mut clone = replica(1, mesh, now);
        let counts = MessageCounts::new(u32::try_from(draws.below(100)).expect("small"), 0);
        let how = Write {
            source: Source::API,
            restate: false,
        };
        clone
            .write(vec![(key.clone(), Some(counts.into()))], how, now)
            .expect("a write");
        let mut reader = replica(reader, mesh, now);
        while let Some(output) = clone.poll_output() {
            if let Output::Publish { frame } = output {
                let frame = Frame::decode(&frame.sign(), &mesh).expect("it is genuine");
                let from = clone.id();
                reader.handle(Input::Frame { from, frame }, now);
            }
        }
        let shown = reader.get(&key, now).expect("it heard of it");
        let one = &shown.contributions[0];
        Register {
            val: shown.value.clone(),
            marker: Stamp {
                hlc: Hlc(one.hlc),
                replica: one.replica,
                incarnation: one.incarnation,
                seq: one.seq,
            },
        }
    };
    let (one, other) = (shown_from(2), shown_from(3));
    assert_eq!(one.marker, other.marker, "clones write under one stamp");
    let here = merge_registers(one.clone(), other.clone());
    let there = merge_registers(other, one);
    let text = format!("{here:?} here, {there:?} there");
    (here != there).then_some(("merging-commutes".to_owned(), text))
}

fn replica(number: u8, mesh: MeshId, now: Now) -> Replica {
    let config = Config {
        mesh,
        node: format!("n{number}"),
        version: "zoo".to_owned(),
        timing: Preset::Lan.timing(),
        limits: Limits::default(),
        mailboxes: Merge::Latest,
        incarnation_floor: Incarnation::default(),
        hlc_floor: Hlc::ZERO,
        seed: 7,
    };
    Replica::new(config, Identity::from_bytes([number; 32]), now)
}
