//! How a node is doing, in numbers.

use std::collections::BTreeMap;

use super::Mesh;
use crate::net::{NetCounters, Shared};
use crate::proto::ReplicaStatistics;

/// How a node is doing, in numbers: for graphs and alerts.
///
/// ```
/// # use presence_mesh::{MeshKey, blocking};
/// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
/// # let node = blocking::Mesh::start(builder)?;
/// # let mesh = node.handle();
/// let statistics = mesh.statistics();
/// assert_eq!((statistics.peers_connected, statistics.saves), (0, None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// What the replica counted, and what it holds.
    pub replica: ReplicaStatistics,
    /// What the network layer counted.
    pub net: NetCounters,
    /// To how many peers there is a connection.
    pub peers_connected: usize,
    /// Whether the first exchange with a peer is done, or there was no peer for 5 s.
    pub ready: bool,
    /// Transactions that saved the state, and attempts that failed; `None` when nothing is kept.
    pub saves: Option<(u64, u64)>,
    /// What waits, by queue: the replica's, and `commands` for the network's task. Each has a bound.
    pub queues: BTreeMap<&'static str, usize>,
}

pub(super) fn of(mesh: &Mesh) -> Statistics {
    let shared: &Shared = &mesh.inner.shared;
    let links = shared.links();
    let peers_connected = links.values().filter(|link| link.connected).count();
    drop(links);
    let (replica, ready) = shared.read(|replica, _| (replica.statistics(), replica.is_ready()));
    let mut queues = replica.queues.clone();
    queues.insert("commands", shared.waiting_commands());
    #[cfg(feature = "persist")]
    let saves = mesh
        .save_status()
        .map(|status| (status.saves, status.failures));
    #[cfg(not(feature = "persist"))]
    let saves = None;
    Statistics {
        replica,
        net: shared.net_counters(),
        peers_connected,
        ready,
        saves,
        queues,
    }
}
