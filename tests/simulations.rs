//! The scenarios of `simulations/`: each keeps its promises, and the same seed is the same run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs, thread};

use presence_mesh::sim::{Outcome, Scenario, Verdict, fleet, run};

/// What takes more than a moment runs in the benchmarks (`hundred-nodes` also here, once).
const LARGE: [&str; 5] = [
    "hundred-nodes",
    "icde19-mesh",
    "icde19-tree",
    "late-join",
    "thousand-nodes",
];

/// Seeds for each small scenario, new ones at every run of the tests: 204 in all.
const NEW_SEEDS: u64 = 12;

/// Overrides the base seed, to repeat what a run of the tests printed.
const BASE_SEED: &str = "MESH_SIM_SEED";

/// Every file directly in `simulations/`, by name.
fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("simulations");
    let entries = fs::read_dir(folder).expect("simulations can be read");
    let paths = entries.map(|entry| entry.expect("simulations can be read").path());
    let mut files: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .collect();
    files.sort();
    files
}

fn read(path: &Path) -> Scenario {
    Scenario::read(path).unwrap_or_else(|error| panic!("{error}"))
}

fn small() -> impl Iterator<Item = Scenario> {
    let all = files().into_iter().map(|path| read(&path));
    all.filter(|scenario| !LARGE.contains(&scenario.name.as_str()))
}

fn threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// What failed, with the line that repeats it.
fn failure(outcome: &Outcome) -> Option<String> {
    let Verdict::Fail(violation) = &outcome.verdict else {
        return None;
    };
    Some(format!(
        "presence-mesh sim replay {} --seed {}\n  {} at {} µs: {}",
        outcome.scenario, outcome.seed, violation.checker, violation.at_us, violation.text
    ))
}

#[test]
fn every_file_says_what_it_shows_and_what_must_hold() {
    let names: Vec<_> = files().iter().map(|path| read(path).name).collect();
    for wanted in [
        "bridge-node",
        "clean",
        "clock-skew",
        "cloned-identity",
        "crash-mid-call",
        "duplicate-reorder",
        "flapping",
        "garbage",
        "hundred-nodes",
        "icde19-mesh",
        "icde19-tree",
        "isolate-owner",
        "late-join",
        "lossy-30",
        "old-disk",
        "one-way",
        "power-cut",
        "restart-with-nothing",
        "rolling-restart",
        "slow-wan",
        "split-heal",
        "swarm",
        "thousand-nodes",
    ] {
        assert!(
            names.iter().any(|name| name == wanted),
            "{wanted}.toml is there"
        );
    }
    for path in files() {
        let text = fs::read_to_string(&path).expect("it can be read");
        let name = path.display();
        assert!(text.starts_with("# "), "{name} begins with what it shows");
        assert!(text.contains("# Holds: "), "{name} says what must hold");
        assert!(!read(&path).about.is_empty(), "{name} has an about");
    }
}

#[test]
fn written_again_every_file_says_the_same() {
    for path in files() {
        let scenario = read(&path);
        let again = Scenario::from_toml(&scenario.name, &scenario.to_toml());
        assert_eq!(again.expect("it was written by us"), scenario);
    }
}

#[test]
fn every_small_scenario_keeps_its_promises() {
    let mut failures = Vec::new();
    for scenario in small() {
        let began = Instant::now();
        let (outcome, _) = run(&scenario, scenario.seed, false);
        println!("{:<24} {:?}", scenario.name, began.elapsed());
        failures.extend(failure(&outcome));
        assert!(outcome.figures.writes > 0, "{} writes", scenario.name);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn new_seeds_keep_the_promises_too() {
    let base = match env::var(BASE_SEED) {
        Ok(seed) => seed.parse().expect("a base seed is a number"),
        // Two digits less than a day has milliseconds: short enough to type.
        Err(_) => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as u64 % 1_000_000),
    };
    println!("base seed {base}; repeat with {BASE_SEED}={base}");
    let mut failures = Vec::new();
    for scenario in small() {
        fleet(&scenario, base..base + NEW_SEEDS, threads(), |outcome| {
            failures.extend(failure(&outcome));
        });
    }
    assert!(
        failures.is_empty(),
        "{BASE_SEED}={base}:\n{}",
        failures.join("\n")
    );
}

#[test]
fn a_hundred_nodes_keep_the_promises() {
    let scenario = small_or_large("hundred-nodes");
    let began = Instant::now();
    let (outcome, _) = run(&scenario, scenario.seed, false);
    println!("hundred-nodes {:?}", began.elapsed());
    assert_eq!(failure(&outcome), None);
}

fn small_or_large(name: &str) -> Scenario {
    let file = format!("simulations/{name}.toml");
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(file))
}

/// Said by a child of [`the_same_seed_is_the_same_run_in_another_process`].
const CHILD: &str = "MESH_SIM_CHILD";

#[test]
fn the_same_seed_is_the_same_run_in_another_process() {
    let hashes = || -> BTreeMap<String, String> {
        small()
            .map(|scenario| {
                let (outcome, _) = run(&scenario, 77, false);
                (outcome.scenario, outcome.trace_hash)
            })
            .collect()
    };
    if env::var_os(CHILD).is_some() {
        for (name, hash) in hashes() {
            println!("\nhash {name} {hash}");
        }
        return;
    }
    let name = "the_same_seed_is_the_same_run_in_another_process";
    let child = Command::new(env::current_exe().expect("it runs"))
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .expect("it can be run again");
    let said = String::from_utf8_lossy(&child.stdout);
    let theirs: BTreeMap<String, String> = said
        .lines()
        .filter_map(|line| line.strip_prefix("hash ")?.split_once(' '))
        .map(|(name, hash)| (name.to_owned(), hash.to_owned()))
        .collect();
    let ours = hashes();
    assert!(ours.len() > 10 && ours.values().all(|hash| hash.len() == 32));
    assert_eq!(theirs, ours);
    assert_eq!(hashes(), ours, "and again in this one");
}
