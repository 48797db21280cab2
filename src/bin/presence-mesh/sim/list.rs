//! `sim list`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use presence_mesh::sim::Scenario;
use serde_json::json;

use super::account::span;
use crate::cli::SimListArgs;
use crate::{exit, output, table};

/// Prints the scenarios of a folder. One that cannot be read ends it: a folder of scenarios is good as a whole.
pub fn list(args: &SimListArgs) -> anyhow::Result<()> {
    let scenarios = files(&args.dir)
        .and_then(|files| {
            files
                .iter()
                .map(|path| Ok(Scenario::read(path)?))
                .collect::<anyhow::Result<Vec<_>>>()
        })
        .map_err(|error| exit::usage(format!("{error:#}")))?;
    if args.json {
        let all: Vec<_> = scenarios
            .iter()
            .map(|scenario| {
                json!({
                    "name": scenario.name,
                    "about": scenario.about,
                    "seed": scenario.seed,
                    "nodes": scenario.nodes.len(),
                    "duration_us": scenario.duration_us,
                    "settle_us": scenario.settle_us,
                    "faults": scenario.faults.len(),
                    "chaos": scenario.chaos.is_some(),
                })
            })
            .collect();
        return output::line(serde_json::to_string(&all)?);
    }
    let rows = scenarios.iter().map(|scenario| {
        let faults = match (scenario.faults.len(), &scenario.chaos) {
            (0, None) => "none".to_owned(),
            (0, Some(_)) => "drawn".to_owned(),
            (count, None) => count.to_string(),
            (count, Some(_)) => format!("{count} and drawn"),
        };
        vec![
            scenario.name.clone(),
            scenario.nodes.len().to_string(),
            span(scenario.duration_us),
            faults,
            scenario.about.clone(),
        ]
    });
    output::line(table::table(
        &["SCENARIO", "NODES", "TIME", "FAULTS", "WHAT IT SHOWS"],
        rows,
    ))
}

/// The scenario files directly in a folder, by name.
fn files(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        fs::read_dir(dir)?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_, _>>()
    };
    let mut files = read().with_context(|| format!("cannot read the folder {}", dir.display()))?;
    files.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    files.sort();
    Ok(files)
}
