//! Whose eyes HTTP sees with.

use std::sync::Arc;

use futures::FutureExt as _;
use presence_mesh::Mesh;
use tokio::sync::watch;

/// The node that is shown. A `run` has one for good; the demo changes it when that node is killed, so no
/// [`Mesh`] may be kept beyond a request.
#[derive(Debug, Clone)]
pub struct View(Arc<watch::Sender<Mesh>>);

impl View {
    pub fn of(mesh: Mesh) -> Self {
        Self(Arc::new(watch::Sender::new(mesh)))
    }

    pub fn mesh(&self) -> Mesh {
        self.0.borrow().clone()
    }

    /// Shows another node from now on.
    pub fn show(&self, mesh: Mesh) {
        drop(self.0.send_replace(mesh));
    }

    /// Whether the node that is shown has left the mesh, or its driver died.
    pub fn is_stopped(&self) -> bool {
        matches!(
            self.mesh().watch_peers().changed().now_or_never(),
            Some(None)
        )
    }

    /// Resolves when the node shown now has ended, or another one is shown. Cancel safe.
    pub async fn over(&self) {
        let mut shown = self.0.subscribe();
        let mut peers = shown.borrow_and_update().watch_peers();
        loop {
            tokio::select! {
                _ = shown.changed() => return,
                next = peers.changed() => if next.is_none() {
                    return;
                },
            }
        }
    }
}
