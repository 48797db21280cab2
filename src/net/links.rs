//! Faults on the real stack: cuts, stalls and delays between pairs of nodes.

/// Cuts, stalls and delays connections between pairs of nodes.
#[derive(Debug, Clone, Default)]
pub struct Links {}
