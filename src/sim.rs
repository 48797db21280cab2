//! A world of replicas in virtual time: links, faults, workload, checkers, report.
//!
//! ```
//! use presence_mesh::sim::{Scenario, Verdict, run};
//! let quiet = Scenario::new("quiet", 3, 2_000_000); // µs
//! let (outcome, _) = run(&quiet, 7, false);
//! assert_eq!(outcome.verdict, Verdict::Pass);
//! let (again, _) = run(&quiet, 7, false);
//! assert_eq!(again.trace_hash, outcome.trace_hash, "one seed is one run");
//! ```

mod chaos;
mod check;
pub mod checks;
mod file;
mod fleet;
pub mod gossip;
mod histogram;
mod latency;
mod outcome;
mod prf;
mod recorder;
pub mod report;
mod run;
mod scenario;
mod shrink;
mod trace;
mod world;

pub use check::{Broken, Checker, all_checkers};
pub use file::{FileError, MAX_BYTES, MAX_NODES, MAX_SPAN_US, Problem};
pub use fleet::fleet;
pub use histogram::Histogram;
pub use latency::Latency;
pub use outcome::{
    Band, Figures, LampStep, MAX_LINES, NodeFigures, Outcome, Recording, Verdict, Violation,
};
pub use prf::{Chance, Draws, Purpose, prf};
pub use recorder::Recorder;
pub use run::{run, run_with};
pub use scenario::{
    Burst, Chaos, DIALLED, Disk, Fault, MAX_FULL_MESH, Network, Regions, Scenario, VERBS, Verb,
    Workload,
};
pub use shrink::shrink;
pub use trace::Trace;
pub use world::{Cause, EPOCH_MS, Listed, Log, Logged, News, Sent, Step, World};
