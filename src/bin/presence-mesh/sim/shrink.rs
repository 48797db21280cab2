//! From a failing seed to a small scenario that fails.

use std::fs::File;
use std::io::{self, Write as _};
use std::panic;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use presence_mesh::sim::{self, Scenario, Verdict};

use crate::cli::SimRunArgs;

/// Looks for a smaller scenario that fails by the same checker, and writes it down.
pub fn shrink(
    args: &SimRunArgs,
    scenario: &Scenario,
    seed: u64,
    checker: &str,
) -> anyhow::Result<()> {
    let trials = trials(scenario.nodes.len());
    eprintln!("looking for a smaller scenario that fails by {checker}, in at most {trials} runs");
    // What panics again and again need not be told again and again.
    let told = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let mut text = None;
    let small = sim::shrink(scenario, seed, trials, |candidate| {
        match sim::run(candidate, seed, false).0.verdict {
            Verdict::Fail(violation) if violation.checker == checker => {
                text = Some(violation.text);
                true
            }
            _ => false,
        }
    });
    panic::set_hook(told);
    let reason = text.map(|text| format!(": {text}")).unwrap_or_default();
    let reason = reason.replace(['\n', '\r'], " ");
    let content = format!(
        "# Shrunk from {}, seed {seed}. Fails by {checker}{reason}\n{}",
        scenario.name,
        small.to_toml()
    );
    let folder = args.report.as_ref().and_then(|dir| dir.parent());
    let name = format!("{}-seed-{seed}", scenario.name);
    let path = write_new(folder.unwrap_or(Path::new("")), &name, &content)
        .context("the smaller scenario could not be written")?;
    eprintln!(
        "{} of {} faults and {} of {} nodes fail, too: presence-mesh sim run {}",
        small.faults.len(),
        scenario.with_chaos(seed).faults.len(),
        small.nodes.len(),
        scenario.nodes.len(),
        path.display()
    );
    Ok(())
}

/// How many runs shrinking may take: a minute or two on one core.
fn trials(nodes: usize) -> usize {
    (40_000 / (nodes * nodes).max(1)).clamp(10, 400)
}

/// Writes a file that was not there before: `NAME.toml`, or `NAME-2.toml` if there is one, and so on.
fn write_new(folder: &Path, name: &str, content: &str) -> io::Result<PathBuf> {
    let mut number = 1;
    loop {
        let ending = if number == 1 {
            String::new()
        } else {
            format!("-{number}")
        };
        let path = folder.join(format!("{name}{ending}.toml"));
        match File::create_new(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
            Ok(mut file) => {
                file.write_all(content.as_bytes())?;
                return Ok(path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let first = write_new(folder.path(), "x-seed-1", "one").unwrap();
        let second = write_new(folder.path(), "x-seed-1", "two").unwrap();
        assert_eq!(first, folder.path().join("x-seed-1.toml"));
        assert_eq!(second, folder.path().join("x-seed-1-2.toml"));
        assert_eq!(std::fs::read_to_string(first).unwrap(), "one");
    }
}
