//! `sim`: scenarios in virtual time.

mod account;
mod fleet;
mod list;
mod replay;
mod shrink;
mod yardstick;

use std::path::Path;

use anyhow::Context as _;
use presence_mesh::sim::{self, Outcome, Scenario, Verdict};

use crate::cli::{SimCommand, SimRunArgs};
use crate::{exit, output};

/// Where scenarios are looked for by name.
const FOLDER: &str = "simulations";

/// `sim`.
pub fn run(command: &SimCommand) -> anyhow::Result<()> {
    match command {
        SimCommand::List(args) => list::list(args),
        SimCommand::Run(args) => match &args.seeds {
            Some(seeds) => fleet::fleet(args, seeds.clone()),
            None => one(args),
        },
        SimCommand::Replay(args) => replay::replay(args),
    }
}

/// One seed.
fn one(args: &SimRunArgs) -> anyhow::Result<()> {
    let scenario = read(&args.file)?;
    let seed = args.seed.unwrap_or(scenario.seed);
    let began = std::time::Instant::now();
    let (outcome, recording) = sim::run(&scenario, seed, args.report.is_some());
    let took = began.elapsed();
    if let (Some(dir), Some(recording)) = (&args.report, &recording) {
        sim::report::write(dir, &scenario.with_chaos(seed), &outcome, recording)
            .context("the report could not be written")?;
    }
    if args.json {
        output::line(serde_json::to_string(&outcome)?)?;
    } else {
        output::line(account::verdict(&outcome))?;
        output::line(account::figures(&outcome.figures, took))?;
        if let Some(table) = yardstick::table(&outcome) {
            output::line(table)?;
        }
    }
    if let Some(dir) = args.report.as_ref().filter(|_| !args.json) {
        output::line(format!("report    {}", dir.join("index.html").display()))?;
    }
    failed(args, &scenario, &[outcome], 1)
}

/// Ends a command whose seeds were run: says how to replay what failed, and shrinks the first of it.
fn failed(
    args: &SimRunArgs,
    scenario: &Scenario,
    outcomes: &[Outcome],
    seeds: u64,
) -> anyhow::Result<()> {
    let failures = || {
        outcomes
            .iter()
            .filter_map(|outcome| match &outcome.verdict {
                Verdict::Fail(violation) => Some((outcome, violation)),
                Verdict::Pass => None,
            })
    };
    let Some((first, violation)) = failures().next() else {
        return Ok(());
    };
    for (outcome, _) in failures() {
        let line = replay_line(&args.file, outcome.seed);
        if args.json {
            eprintln!("{line}");
        } else {
            output::line(line)?;
        }
    }
    shrink::shrink(args, scenario, first.seed, &violation.checker)?;
    let count = failures().count();
    Err(anyhow::anyhow!(
        "{count} of {seeds} seed{} broke a promise",
        if seeds == 1 { "" } else { "s" }
    ))
}

/// The line to paste.
fn replay_line(file: &Path, seed: u64) -> String {
    format!("presence-mesh sim replay {} --seed {seed}", file.display())
}

/// Reads a file, or the scenario of that name in [`FOLDER`].
fn read(file: &Path) -> anyhow::Result<Scenario> {
    let named = Path::new(FOLDER).join(file).with_extension("toml");
    let is_name = file.components().count() == 1 && file.extension().is_none();
    let path = if is_name && !file.is_file() {
        &named
    } else {
        file
    };
    Scenario::read(path).map_err(|error| exit::usage(format!("{:#}", anyhow::Error::from(error))))
}
