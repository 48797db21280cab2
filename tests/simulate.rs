//! `presence-mesh sim` as its users meet it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// Quick, and passes.
const TINY: &str = r#"
about = "three nodes for a moment"
seed = 5
nodes = 3
duration = "4s"

[[fault]]
at = "1s"
until = "2s"
isolate = "n1"
"#;

/// Fails: nobody can agree a millisecond after a cut is mended. Only the cut and the writes matter.
const HOPELESS: &str = r#"
nodes = 4
duration = "12s"
settle = "1ms"

[workload]
every = "500ms"

[[fault]]
at = "2s"
until = "4s"
loss = 0.1

[[fault]]
at = "3s"
partition = [["n0"], ["n1", "n2", "n3"]]

[[fault]]
at = "5s"
until = "6s"
pause = "n2"
"#;

/// A folder with the two in it, where the program works.
fn folder() -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    fs::write(folder.path().join("tiny.toml"), TINY).expect("it is writable");
    fs::write(folder.path().join("hopeless.toml"), HOPELESS).expect("it is writable");
    folder
}

fn sim(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_presence-mesh"))
        .arg("sim")
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn list_shows_every_scenario() {
    let output = sim(root(), &["list"]);
    assert_eq!(output.status.code(), Some(0));
    let table = text(&output.stdout);
    for name in ["clean", "split-heal", "thousand-nodes", "WHAT IT SHOWS"] {
        assert!(table.contains(name), "{name} in\n{table}");
    }
    let output = sim(root(), &["list", "--json"]);
    let all: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let all = all.as_array().expect("an array");
    let wan = all.iter().find(|one| one["name"] == "slow-wan");
    assert_eq!(wan.expect("it is there")["nodes"], 6);
    assert!(all.len() >= 22);

    let folder = folder();
    let output = sim(folder.path(), &["list", "--dir", "."]);
    assert!(text(&output.stdout).contains("three nodes for a moment"));
    let output = sim(folder.path(), &["list"]);
    assert_eq!(
        output.status.code(),
        Some(2),
        "there is no folder simulations"
    );
}

#[test]
fn a_scenario_that_passes_exits_with_0() {
    let output = sim(root(), &["run", "clean"]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.starts_with("clean seed 1: pass\n"), "{said}");
    for row in [
        "\nseen ",
        "\nagreed ",
        "\nlamps     none lied\n",
        "\ncopies ",
        "\nsent ",
    ] {
        assert!(said.contains(row), "{row} in\n{said}");
    }
}

#[test]
fn json_and_report_say_the_same() {
    let folder = folder();
    let arguments = [
        "run",
        "tiny.toml",
        "--seed",
        "9",
        "--json",
        "--report",
        "out/report",
    ];
    let output = sim(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let printed: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(
        (&printed["scenario"], &printed["seed"]),
        (&"tiny".into(), &9.into())
    );
    assert_eq!(printed["trace_hash"].as_str().map(str::len), Some(32));
    assert!(printed["figures"]["writes"].as_u64() > Some(0));
    assert!(printed.to_string().contains("pass"));

    let report = folder.path().join("out/report");
    let result = fs::read(report.join("result.json")).expect("it was written");
    let result: Value = serde_json::from_slice(&result).expect("JSON");
    assert_eq!(result, printed);
    for name in ["index.html", "trace.ndjson", "metrics.csv"] {
        let content = fs::read(report.join(name)).expect("it was written");
        assert!(!content.is_empty(), "{name}");
    }
}

#[test]
fn seeds_come_in_order_and_each_is_the_same_as_alone() {
    let folder = folder();
    let output = sim(
        folder.path(),
        &["run", "tiny.toml", "--seeds", "3..9", "--json"],
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let lines = text(&output.stdout);
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("one JSON object a line"))
        .collect();
    let seeds: Vec<_> = lines.iter().map(|line| line["seed"].as_u64()).collect();
    assert_eq!(seeds, (3..9).map(Some).collect::<Vec<_>>());
    let alone = sim(
        folder.path(),
        &["run", "tiny.toml", "--seed", "5", "--json"],
    );
    let alone: Value = serde_json::from_slice(&alone.stdout).expect("JSON");
    assert_eq!(lines[2], alone);
    assert_ne!(lines[1]["trace_hash"], lines[2]["trace_hash"]);

    let output = sim(folder.path(), &["run", "tiny.toml", "--seeds", "3..9"]);
    let said = text(&output.stdout);
    assert!(
        said.starts_with("tiny: 6 of 6 seeds kept every promise\n"),
        "{said}"
    );
    let output = sim(folder.path(), &["run", "tiny.toml", "--seeds", "9..3"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn replay_tells_what_happened_twice_the_same() {
    let folder = folder();
    let output = sim(folder.path(), &["replay", "tiny.toml", "--seed", "9"]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("fault begins"), "{said}");
    assert!(said.contains("\ntiny seed 9: pass\n"), "{said}");
    assert!(said.ends_with(", the same twice\n"), "{said}");
}

#[test]
fn a_bad_file_is_told_with_its_line_and_exits_with_2() {
    let folder = folder();
    let bad = TINY.replace("until = \"2s\"", "until = \"5s\"");
    fs::write(folder.path().join("bad.toml"), bad).expect("it is writable");
    for command in ["run", "replay"] {
        let output = sim(folder.path(), &[command, "bad.toml", "--seed", "1"]);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(
            text(&output.stderr),
            "presence-mesh: bad.toml:9: fault.until: must be at most the end at 4s, not \"5s\"\n"
        );
        assert!(output.stdout.is_empty());
    }
    let output = sim(folder.path(), &["run", "nowhere"]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(
        said.contains("cannot read simulations/nowhere.toml: "),
        "{said}"
    );
}

#[test]
fn a_seed_that_fails_is_replayed_and_shrunk() {
    let folder = folder();
    let output = sim(folder.path(), &["run", "hopeless.toml", "--seed", "3"]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("hopeless seed 3: FAIL, convergence at "),
        "{said}"
    );
    let replay = "presence-mesh sim replay hopeless.toml --seed 3";
    assert!(said.lines().any(|line| line == replay), "{said}");

    let file = folder.path().join("hopeless-seed-3.toml");
    let small = fs::read_to_string(&file).expect("it was written");
    assert!(
        small.starts_with("# Shrunk from hopeless, seed 3. Fails by convergence: "),
        "{small}"
    );
    assert_eq!(small.matches("[[fault]]").count(), 1, "{small}");
    assert!(
        small.contains("nodes = [\"n0\", ") || small.contains("nodes = 2"),
        "{small}"
    );
    let told = text(&output.stderr);
    assert!(
        told.contains("presence-mesh sim run hopeless-seed-3.toml"),
        "{told}"
    );

    // What was found before is not lost when it is found again.
    let replayed = sim(folder.path(), &["replay", "hopeless.toml", "--seed", "3"]);
    assert_eq!(replayed.status.code(), Some(1));
    let output = sim(folder.path(), &["run", "hopeless.toml", "--seeds", "3..5"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("2 of 2 seeds broke a promise"));
    assert_eq!(fs::read_to_string(&file).expect("it is there"), small);
    let second = folder.path().join("hopeless-seed-3-2.toml");
    assert_eq!(fs::read_to_string(second).expect("it was written"), small);

    // The small one fails by itself, with the seed in it.
    let output = sim(folder.path(), &["run", "hopeless-seed-3.toml", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let outcome: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(outcome["seed"], 3);
    assert!(outcome.to_string().contains("convergence"));
}
