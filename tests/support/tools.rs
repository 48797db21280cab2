//! Programs of the system that a test needs.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

/// Whether `program` runs. Where it does not, that is said on the real standard error, and is a failure where
/// `MESH_TESTS_REQUIRE` names it.
pub fn has(program: &str, package: &str, test: &str) -> bool {
    let ran = Command::new(program).arg("--version").output();
    if ran.is_ok_and(|output| output.status.success()) {
        return true;
    }
    missing(
        program,
        &format!("{program} is not installed ({package})"),
        test,
    );
    false
}

/// Says that a test is skipped, or fails it where `name` is required.
pub fn missing(name: &str, problem: &str, test: &str) {
    let required = std::env::var("MESH_TESTS_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|word| word.trim() == name),
        "{test}: {problem}"
    );
    // The harness swallows what `eprintln!` says in a test that passes.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {problem}");
}

/// What a command says, both ways.
pub fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// Runs it, and demands that it succeeds.
pub fn succeed(command: &mut Command) -> String {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    said(&output)
}

/// Puts the targets that our unit names into a folder of units.
pub fn write_targets(units: &Path) {
    for target in [
        "sysinit",
        "basic",
        "shutdown",
        "network-online",
        "multi-user",
    ] {
        let file = units.join(format!("{target}.target"));
        std::fs::write(file, "[Unit]\nDescription=one\n").expect("a writable folder");
    }
}
