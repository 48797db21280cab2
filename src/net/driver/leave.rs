//! Going in good order.

use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::{Instant, timeout_at};

use super::Driver;

/// How long the goodbye may take to reach everyone.
const FAREWELL: Duration = Duration::from_millis(500);
/// How long closing what is left open may take.
const CLOSING: Duration = Duration::from_millis(500);

impl Driver {
    /// Says goodbye, sees it arrive, and closes everything. Takes a second at most.
    ///
    /// Gossip acknowledges nothing; but whoever reads that we left hangs up, and that is how we know.
    pub(super) async fn leave(&mut self) {
        self.shared.with_turns(|replica, now| replica.leave(now));
        self.carry_out();
        self.swarm.behaviour_mut().gossip.unsubscribe(&self.topic);
        self.until_alone(Instant::now() + FAREWELL).await;

        let rest: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in rest {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        self.until_alone(Instant::now() + CLOSING).await;
        tracing::info!("left the mesh");
    }

    async fn until_alone(&mut self, deadline: Instant) {
        while self.swarm.connected_peers().next().is_some() {
            let Ok(event) = timeout_at(deadline, self.swarm.select_next_some()).await else {
                return;
            };
            self.on_event(event);
            self.carry_out();
        }
    }
}
