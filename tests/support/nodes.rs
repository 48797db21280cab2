//! Real nodes in this process, over loopback, and waiting for what they do.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::time::{Duration, Instant};

use presence_mesh::{DeviceState, Identity, Mesh, MeshBuilder, MeshKey, Peer, Preset, ReplicaId};
use tokio::time::timeout;

/// Long enough for anything on a loaded machine; nothing waits for it to pass.
pub const DEADLINE: Duration = Duration::from_secs(30);

pub const KEY: MeshKey = MeshKey::from_bytes([42; 32]);

/// Node `n`, not started: quick timings, no discovery, a free port.
pub fn builder(n: u8) -> MeshBuilder {
    Mesh::builder("acme")
        .node(format!("node{n}"))
        .key(KEY)
        .identity(identity(n))
        .preset(Preset::Local)
        .mdns(false)
        .listen("127.0.0.1:0")
        .expect("an address")
}

pub fn identity(n: u8) -> Identity {
    Identity::from_bytes([n; 32])
}

pub fn id(n: u8) -> ReplicaId {
    identity(n).replica()
}

pub async fn start(builder: MeshBuilder) -> Mesh {
    builder.start().await.expect("the node starts")
}

pub fn peer(mesh: &Mesh, replica: ReplicaId) -> Option<Peer> {
    mesh.peers()
        .into_iter()
        .find(|peer| peer.replica == replica)
}

pub fn connected(mesh: &Mesh, replica: ReplicaId) -> bool {
    peer(mesh, replica).is_some_and(|peer| peer.connected)
}

pub fn state(mesh: &Mesh, device: &str) -> Option<DeviceState> {
    mesh.devices().get(device).map(|shown| shown.value)
}

/// Waits until something is so, looking again whenever a little time has passed; panics at the deadline.
pub async fn until(what: &str, condition: impl FnMut() -> bool) -> Duration {
    until_within(DEADLINE, what, condition).await
}

pub async fn until_within(
    limit: Duration,
    what: &str,
    mut condition: impl FnMut() -> bool,
) -> Duration {
    let start = Instant::now();
    let mut look = tokio::time::interval(Duration::from_millis(5));
    let seen = timeout(limit, async {
        while !condition() {
            look.tick().await;
        }
    });
    assert!(seen.await.is_ok(), "not within {limit:?}: {what}");
    start.elapsed()
}
