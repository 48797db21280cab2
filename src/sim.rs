//! A world of replicas in virtual time: links, faults, workload, checkers, report.

pub mod gossip;
mod histogram;
mod latency;
mod outcome;
mod prf;
mod scenario;

pub use histogram::Histogram;
pub use latency::Latency;
pub use outcome::{
    Band, Figures, LampStep, MAX_LINES, NodeFigures, Outcome, Recording, Verdict, Violation,
};
pub use prf::{Chance, Draws, Purpose, prf};
pub use scenario::{
    Burst, Chaos, DIALLED, Disk, Fault, MAX_FULL_MESH, Network, Regions, Scenario, Verb, Workload,
};
