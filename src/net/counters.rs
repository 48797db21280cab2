//! What the network layer has done since its start.

use std::collections::BTreeMap;

/// What the network layer of a node has done since its start. All only ever rise.
///
/// ```
/// # use presence_mesh::{MeshKey, blocking};
/// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
/// # let node = blocking::Mesh::start(builder)?;
/// # let mesh = node.handle();
/// let counters = mesh.net_counters();
/// println!("{} dials, {} failed", counters.dials, counters.dials_failed);
/// for ((what, why), times) in &counters.rejected {
///     println!("{what} refused {times} times: {why}");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct NetCounters {
    /// Dials begun.
    pub dials: u64,
    /// Dials that ended without a connection.
    pub dials_failed: u64,
    /// Connections made, both ways.
    pub connections: u64,
    /// Connections that were never made because the other did not prove that it has the mesh's key, or spoke
    /// something else.
    pub handshakes_failed: u64,
    /// Inbound connections whose other side went away before it had proved anything.
    pub handshakes_abandoned: u64,
    /// Connections refused because of who it was (`allow`, `ban`) or because there were too many.
    pub connections_refused: u64,
    /// Peers disconnected because a second connection showed that the first was dead.
    pub stale_connections: u64,
    /// Peers disconnected because nothing new came from them.
    pub silent_peers: u64,
    /// Connections closed because a ping was not answered.
    pub pings_failed: u64,
    /// Frames given to gossipsub and sent to somebody.
    pub frames_published: u64,
    /// Frames nobody was there to get, or for which every queue was full. Normal; anti-entropy repairs it.
    pub publish_failures: u64,
    /// Frames gossipsub handed us, after it dropped duplicates.
    pub frames_received: u64,
    /// Frames dropped on purpose by `Links`.
    pub frames_lost: u64,
    /// Times gossipsub reported that a peer does not take messages quickly enough.
    pub slow_peers: u64,
    /// Questions of peers answered.
    pub requests_served: u64,
    /// Bytes of questions and answers that came.
    pub sync_bytes_received: u64,
    /// Bytes of questions and answers that were sent.
    pub sync_bytes_sent: u64,
    /// Questions to peers that got no answer.
    pub requests_failed: u64,
    /// Bytes refused, by what they should have been (`frame`, `request`, `response`) and why (`signature`,
    /// `malformed`, `truncated`, `oversize`, ...).
    pub rejected: BTreeMap<(&'static str, &'static str), u64>,
    /// Times the DHT named a node of this mesh.
    pub found_in_dht: u64,
    /// Peers not remembered because as many as may be are known already.
    pub peers_ignored: u64,
}

impl NetCounters {
    pub(super) fn reject(&mut self, what: &'static str, why: &'static str) {
        *self.rejected.entry((what, why)).or_default() += 1;
    }
}
