//! Asking everyone to answer.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::peers;
use crate::model::ReplicaId;
use crate::net::{Command, MAX_CONNECTED, Shared};
use crate::proto::Standing;

/// How long an answer is waited for: far longer than any path of a phone network takes, short enough for a
/// person who waits.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether a node answered.
///
/// ```
/// # use presence_mesh::{MeshKey, blocking};
/// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
/// # let node = blocking::Mesh::start(builder)?;
/// # let mesh = node.handle();
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let pongs = mesh.ping().await;
/// assert!(pongs.iter().all(|pong| pong.rtt.is_some()), "everybody answered: there is nobody else");
/// # });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pong {
    /// Who was asked.
    pub replica: ReplicaId,
    /// What people call it.
    pub node: String,
    /// How long its answer took; `None` when there was none in 2 s, or no connection to ask over.
    pub rtt: Option<Duration>,
    /// Whether there is a connection to it. In a mesh of more than 50 nodes not everyone is connected to everyone.
    pub connected: bool,
    /// How far it is believed, however it answered.
    pub standing: Standing,
}

/// Asks, and waits until all have answered or time is up.
pub(super) async fn ping(shared: &Shared) -> Vec<Pong> {
    let (answers, mut answered) = mpsc::channel(MAX_CONNECTED);
    // A node that has left asks nobody, and hears from nobody.
    let _ = shared.commands().send(Command::Ping(answers)).await;
    let deadline = Instant::now() + PING_TIMEOUT;
    let mut rtts: BTreeMap<ReplicaId, Duration> = BTreeMap::new();
    // Ends early once the driver has dropped its ends: nobody is left to answer.
    while let Ok(Some((replica, rtt))) = timeout_at(deadline, answered.recv()).await {
        rtts.entry(replica).or_insert(rtt);
    }
    let here = peers::list(shared).into_iter().filter(|peer| !peer.left);
    here.map(|peer| Pong {
        rtt: rtts.get(&peer.replica).copied(),
        replica: peer.replica,
        node: peer.node,
        connected: peer.connected,
        standing: peer.standing,
    })
    .collect()
}
