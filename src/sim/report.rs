//! A run as people and scripts read it: a page, and three files of figures.
//!
//! The page loads nothing and runs nothing: one file that can be mailed or put beside a bug. The same input
//! gives the same bytes.

mod bars;
mod cdf;
mod data;
mod divergence;
mod faults;
mod figures;
mod lamp;
mod lanes;
mod markup;
mod page;
mod scale;
mod segments;
mod timeline;
mod words;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::{fs, io};

use thiserror::Error;

use super::{Outcome, Recording, Scenario, Verb};

/// Writes the report of a run into a folder, made if absent; files of the same names are replaced.
///
/// | file | holds |
/// |---|---|
/// | `index.html` | the page |
/// | `result.json` | the [`Outcome`] |
/// | `trace.ndjson` | [`Recording::lines`], one JSON object a line; the last one says how many were left out, if any |
/// | `metrics.csv` | a row per node, and their sum |
pub fn write(
    dir: &Path,
    scenario: &Scenario,
    outcome: &Outcome,
    recording: &Recording,
) -> Result<(), ReportError> {
    fs::create_dir_all(dir).map_err(|source| ReportError::Folder {
        path: dir.to_owned(),
        source,
    })?;
    let file = |name: &str, bytes: Vec<u8>| {
        let path = dir.join(name);
        fs::write(&path, bytes).map_err(|source| ReportError::File { path, source })
    };
    file(
        "index.html",
        page::page(scenario, outcome, recording).into_bytes(),
    )?;
    file("result.json", data::result(outcome))?;
    file("trace.ndjson", data::trace(recording))?;
    file("metrics.csv", data::metrics(outcome).into_bytes())
}

/// A fault in words: what bands are labelled with.
pub(crate) fn describe(scenario: &Scenario, verb: &Verb) -> String {
    words::verb(scenario, verb)
}

/// A report could not be written. What was written before is left.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The folder is not there and could not be made.
    #[error("cannot make the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// One of the files could not be written.
    #[error("cannot write {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
