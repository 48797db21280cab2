//! Scenarios as TOML files.
//!
//! ```toml
//! about = "the network is cut in two and heals"
//! seed = 1                      # when none is given
//! nodes = 5                     # n0 to n4, or a list of names
//! duration = "60s"              # writes and faults end here, and everything is mended
//! settle = "30s"                # after so long everyone must agree
//! preset = "lan"                # lan | wan | local: the timings that [timing] changes
//! mailboxes = "latest"          # latest | sum
//! gossip = true                 # false: links carry anti-entropy only; or a table of parameters
//!
//! [network]
//! latency = { uniform = ["200us", "2ms"] }
//! loss = 0.01
//!
//! [workload]
//! keys = 4
//! every = "1s"                  # false: nothing is written after the start
//!
//! [[fault]]
//! at = "10s"
//! until = "30s"                 # without: until everything is mended
//! partition = [["n0", "n1"], ["n2", "n3", "n4"]]
//! ```
//! The other tables are `[timing]`, `[limits]`, `[network.regions]` with `[network.matrix]`, `[network.overlay]`
//! and `[chaos]`; their keys are the fields of [`Scenario`](super::Scenario)'s parts without their units.
//! A fault has one of the verbs of [`Verb`](super::Verb).

mod fault;
mod gossip;
mod item;
mod parse;
mod print;
mod problem;
mod size;
mod table;
mod units;

use std::fs;
use std::path::Path;

use super::scenario::Scenario;

pub use problem::{FileError, Problem};
pub use size::{MAX_BYTES, MAX_NODES};
pub use units::MAX_SPAN_US;

impl Scenario {
    /// Reads a scenario of this name from its text.
    ///
    /// ```
    /// use presence_mesh::sim::Scenario;
    /// let scenario = Scenario::from_toml("two", "nodes = 2\nduration = \"10s\"")?;
    /// assert_eq!(scenario.nodes, ["n0", "n1"]);
    /// let error = Scenario::from_toml("two", "nodes = 2\n\ndurations = \"10s\"").unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "two.toml:3: unknown key \"durations\", the nearest known key is duration"
    /// );
    /// # Ok::<(), presence_mesh::sim::FileError>(())
    /// ```
    ///
    /// # Errors
    /// The first thing that is wrong, with its line and the bound it breaks.
    pub fn from_toml(name: &str, text: &str) -> Result<Self, FileError> {
        parse::scenario(name, text).map_err(|wrong| wrong.at(format!("{name}.toml"), text))
    }

    /// Reads a scenario file; the file's name without its ending is the scenario's.
    ///
    /// # Errors
    /// The file cannot be read, or the first thing in it that is wrong, with its line and the bound it breaks.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text = fs::read_to_string(path).map_err(|source| FileError::Read {
            path: path.to_owned(),
            source,
        })?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        parse::scenario(&name, &text).map_err(|wrong| wrong.at(path.display().to_string(), &text))
    }

    /// The scenario as a file, without what is as by default. Reading it gives the same scenario.
    pub fn to_toml(&self) -> String {
        print::scenario(self)
    }
}

#[cfg(test)]
mod tests;
