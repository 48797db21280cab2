//! How fast the simulator runs, and how much memory it takes.
//!
//! `cargo bench --no-default-features --features sim --bench simulator [-- NAME]`: one line per world: virtual
//! seconds, real seconds, their ratio, events, copies, and the greatest resident memory of the process so far; then,
//! as `fleet`, [`SEEDS`] seeds over the small scenarios of `simulations/`. A name chooses;
//! `thousand-nodes-a-write-a-second` runs only when it is named, for hours.

use std::time::Instant;

use presence_mesh::sim::{self, Chance, Disk, Fault, Scenario, Verb};

const SECOND: u64 = 1_000_000;

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let chosen = |name: &str| wanted.is_empty() || wanted.iter().any(|one| name == one);
    let worlds = [
        ("five-nodes", world("five-nodes", 5, 4, 60)),
        ("hundred-nodes", shipped("hundred-nodes")),
        (WRITING, world(WRITING, 100, 100, 60)),
        ("thousand-nodes", shipped("thousand-nodes")),
        (BUSY, world(BUSY, 1_000, 10, 60)),
    ];
    for (name, scenario) in worlds {
        if chosen(name) && !(name == BUSY && wanted.is_empty()) {
            time(name, &scenario);
        }
    }
    if chosen("fleet") {
        fleet();
    }
}

/// Five times as many writes as the shipped hundred nodes make.
const WRITING: &str = "hundred-nodes-a-write-a-second";
/// Far slower than real time: a thousand frames, and five million copies of them, in a virtual second.
const BUSY: &str = "thousand-nodes-a-write-a-second";

fn time(name: &str, scenario: &Scenario) {
    let begun = Instant::now();
    let (outcome, _) = sim::run(scenario, 1, false);
    let real = begun.elapsed().as_secs_f64();
    let virtual_s = outcome.figures.virtual_us as f64 / 1e6;
    println!(
        "{name}: {virtual_s:.1} virtual s in {real:.2} s, {:.1} times real time; {} events, {} copies, {} of them new; {} MiB resident at most; trace {}; {:?}",
        virtual_s / real,
        outcome.figures.events,
        outcome.figures.copies,
        outcome.figures.deliveries,
        resident_mib(),
        outcome.trace_hash,
        outcome.verdict,
    );
}

/// Seeds of the fleet, spread evenly over the scenarios.
const SEEDS: u64 = 10_000;
/// Scenarios of at most so many nodes and entries are small.
const SMALL: (usize, usize) = (8, 100);

fn fleet() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/simulations");
    let files = std::fs::read_dir(folder).expect("simulations can be read");
    let mut scenarios: Vec<Scenario> = files
        .filter_map(|file| Some(file.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .map(|path| Scenario::read(&path).expect("scenarios are valid"))
        .filter(|scenario| {
            let entries = scenario.nodes.len() * scenario.workload.keys;
            scenario.nodes.len() <= SMALL.0 && entries <= SMALL.1
        })
        .collect();
    scenarios.sort_by(|a, b| a.name.cmp(&b.name));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let each = SEEDS.div_ceil(scenarios.len() as u64);
    let (mut failures, mut lies_us) = (0, 0);
    let begun = Instant::now();
    for scenario in &scenarios {
        let begun = Instant::now();
        sim::fleet(scenario, 1_000..1_000 + each, threads, |outcome| {
            lies_us = lies_us.max(outcome.figures.lamp_lie_us);
            if let sim::Verdict::Fail(violation) = &outcome.verdict {
                failures += 1;
                println!("  {} seed {}: {violation:?}", scenario.name, outcome.seed);
            }
        });
        println!(
            "  {}: {each} seeds in {:.1} s",
            scenario.name,
            begun.elapsed().as_secs_f64()
        );
    }
    println!(
        "fleet: {} seeds over {} scenarios on {threads} threads in {:.0} s, {failures} violations, lamps lied for {lies_us} us",
        each * scenarios.len() as u64,
        scenarios.len(),
        begun.elapsed().as_secs_f64(),
    );
}

/// A scenario of `simulations/`, as it is.
fn shipped(name: &str) -> Scenario {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/simulations");
    let file = std::path::Path::new(folder).join(format!("{name}.toml"));
    Scenario::read(&file).expect("scenarios are valid")
}

fn world(name: &str, nodes: usize, keys: usize, seconds: u64) -> Scenario {
    let mut scenario = Scenario::new(name, nodes, seconds * SECOND);
    scenario.settle_us = 60 * SECOND;
    scenario.workload.keys = keys;
    scenario.workload.shared_keys = nodes.div_ceil(5);
    scenario.workload.shared = Chance(50_000);
    let fault = |at: u64, until: u64, verb| Fault {
        at_us: at * SECOND,
        until_us: Some(until * SECOND),
        verb,
    };
    let half = nodes / 2;
    scenario.faults = vec![
        fault(
            10,
            25,
            Verb::Partition(vec![(0..half).collect(), (half..nodes).collect()]),
        ),
        fault(20, 35, Verb::Loss(Chance(50_000))),
        fault(
            30,
            45,
            Verb::Crash {
                node: 1,
                disk: Disk::Kept,
                power: true,
            },
        ),
        fault(40, 50, Verb::Isolate(2)),
    ];
    scenario
}

/// `VmHWM` of this process, in MiB; 0 where there is none.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}
