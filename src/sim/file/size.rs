//! How much memory a scenario needs.

use crate::sim::scenario::Scenario;

use super::problem::Problem;

/// A run may need so much: 5 GiB, what a machine with 8 GiB can spare.
pub const MAX_BYTES: u64 = 5 << 30;

/// Nodes in one run: as many as a replica knows origins by default.
pub const MAX_NODES: usize = 10_000;

/// What an entry costs at each node that keeps it: 266 bytes of live heap were measured in a store alone
/// (`BENCHMARKS.md`), and shared values make it less when all nodes are in one process.
const ENTRY_BYTES: u64 = 266;
/// What a node costs at each other node: lease, header, heads, what checkers remember. A thousand nodes with eleven
/// entries each took 4,560 MiB: 4,780 bytes for each of a million pairs, those of the entries included.
const ORIGIN_BYTES: u64 = 1_900;

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
