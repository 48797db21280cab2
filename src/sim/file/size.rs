//! How much memory a scenario needs.

use crate::sim::scenario::Scenario;

use super::problem::Problem;

/// A run may need so much: 4 GiB, what a small machine can spare.
pub const MAX_BYTES: u64 = 4 << 30;

/// Nodes in one run: as many as a replica knows origins by default.
pub const MAX_NODES: usize = 10_000;

/// What an entry costs at each node that keeps it: 266 bytes of live heap were measured in a store alone
/// (`BENCHMARKS.md`), and shared values make it less when all nodes are in one process.
const ENTRY_BYTES: u64 = 266;
/// What a node costs at each other node: lease, header, heads, addresses (a guess above what was seen).
const ORIGIN_BYTES: u64 = 1_024;

/// How many entries each node keeps in the end.
fn entries(scenario: &Scenario) -> u64 {
    let workload = &scenario.workload;
    let own = workload.keys as u64 + workload.shared_keys as u64 + workload.adds.unwrap_or(0);
    // Each node's own record is an entry, too.
    (own + 1).saturating_mul(scenario.nodes.len() as u64)
}

/// Checks that a run can be kept in memory.
pub(super) fn check(scenario: &Scenario) -> Result<(), Problem> {
    let nodes = scenario.nodes.len() as u64;
    let entries = entries(scenario);
    let needed = entries
        .saturating_mul(ENTRY_BYTES)
        .saturating_add(nodes * ORIGIN_BYTES)
        .saturating_mul(nodes);
    if needed <= MAX_BYTES {
        return Ok(());
    }
    Err(Problem::TooLarge {
        nodes: scenario.nodes.len(),
        entries,
        needed: needed >> 20,
        bound: MAX_BYTES >> 20,
    })
}
