//! Asking every connected peer to answer.

use std::time::Duration;

use libp2p::PeerId;
use libp2p::request_response::OutboundRequestId;
use tokio::sync::mpsc;

use super::super::address::replica_id;
use super::Driver;
use crate::model::ReplicaId;
use crate::wire::Request;

/// Such questions under way at once; peers beyond it are not asked, and count as silent.
const MAX_PINGS: usize = 8_192;

/// A question under way.
pub(super) struct Pinged {
    to: ReplicaId,
    at: Duration,
    answers: mpsc::Sender<(ReplicaId, Duration)>,
}

impl Driver {
    /// Offers nothing to everyone: the shortest question that a replica itself must answer.
    pub(super) fn ping(&mut self, answers: &mpsc::Sender<(ReplicaId, Duration)>) {
        let at = self.shared.now().mono;
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            let Some(to) = replica_id(&peer).filter(|_| self.pings.len() < MAX_PINGS) else {
                continue;
            };
            let question = Ok(Request::Have(Vec::new()));
            let id = self
                .swarm
                .behaviour_mut()
                .sync
                .send_request(&peer, question);
            let answers = answers.clone();
            self.pings.insert(id, Pinged { to, at, answers });
        }
    }

    /// Says whether that was such a question. `answered`: when, if it was.
    pub(super) fn pinged(&mut self, id: OutboundRequestId, answered: Option<Duration>) -> bool {
        let Some(pinged) = self.pings.remove(&id) else {
            return false;
        };
        if let Some(now) = answered {
            // Whoever asked may have gone away; there is room for everyone who can be connected.
            let _ = pinged
                .answers
                .try_send((pinged.to, now.saturating_sub(pinged.at)));
        }
        true
    }
}
