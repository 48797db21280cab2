//! `sim replay`.

use std::time::Instant;

use presence_mesh::sim::{self, Verdict};
use serde_json::Value;

use super::account;
use crate::cli::SimReplayArgs;
use crate::output;

/// Runs a seed twice and tells what happened.
pub fn replay(args: &SimReplayArgs) -> anyhow::Result<()> {
    let scenario = super::read(&args.file)?;
    let began = Instant::now();
    let (outcome, recording) = sim::run(&scenario, args.seed, true);
    let took = began.elapsed();
    let recording = recording.expect("it was asked for");
    for line in &recording.lines {
        output::line(account_of(line))?;
    }
    if recording.left_out > 0 {
        output::line(format!("{} more are left out", recording.left_out))?;
    }
    output::line(account::figures(&outcome.figures, took))?;
    output::line(account::verdict(&outcome))?;
    let (again, _) = sim::run(&scenario, args.seed, false);
    if again.trace_hash != outcome.trace_hash {
        anyhow::bail!(
            "two runs of one seed differ: trace {} and {}",
            outcome.trace_hash,
            again.trace_hash
        );
    }
    output::line(format!("trace {}, the same twice", outcome.trace_hash))?;
    match outcome.verdict {
        Verdict::Pass => Ok(()),
        Verdict::Fail(_) => Err(anyhow::anyhow!("seed {} broke a promise", args.seed)),
    }
}

/// A line of the record: when, where, what.
fn account_of(line: &Value) -> String {
    let text = |field: &str| line[field].as_str().unwrap_or_default();
    let at_us = line["at_us"].as_u64().unwrap_or_default();
    format!(
        "{:>5}.{:06}  {:<12} {:<14} {}",
        at_us / 1_000_000,
        at_us % 1_000_000,
        text("node"),
        text("what"),
        text("text")
    )
    .trim_end()
    .to_owned()
}
