//! The scenarios of `simulations/`.

use std::fs;
use std::path::{Path, PathBuf};

use presence_mesh::sim::Scenario;

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
        assert!(
            text.starts_with("# "),
            "{} begins with what it shows",
            path.display()
        );
        assert!(
            text.contains("# Holds: "),
            "{} says what must hold",
            path.display()
        );
        assert!(
            !read(&path).about.is_empty(),
            "{} has an about",
            path.display()
        );
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
