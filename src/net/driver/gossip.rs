//! Frames: published, received, judged.

use std::time::Duration;

use bytes::Bytes;
use libp2p::PeerId;
use libp2p::gossipsub::{Event, Message, MessageAcceptance, MessageId};

use super::super::address::replica_id;
use super::Driver;
use crate::model::ReplicaId;
use crate::proto::Input;
use crate::wire::Frame;

impl Driver {
    /// Whether anybody gets it does not matter: what is lost here, anti-entropy repairs.
    pub(super) fn publish(&mut self, frame: &Bytes) {
        let result = self
            .swarm
            .behaviour_mut()
            .gossip
            .publish(self.topic.hash(), frame.to_vec());
        match result {
            Ok(_) => self.shared.count(|counters| counters.frames_published += 1),
            Err(error) => {
                tracing::debug!(%error, "a frame was not published");
                self.shared.count(|counters| counters.publish_failures += 1);
            }
        }
    }

    pub(super) fn on_gossip(&mut self, event: Event, now: Duration) {
        match event {
            Event::Message {
                propagation_source,
                message_id,
                message,
            } => {
                self.on_message(propagation_source, &message_id, &message, now);
            }
            Event::Subscribed { peer_id, .. } => {
                let Some(replica) = replica_id(&peer_id) else {
                    return;
                };
                if !self.care.is_subscribed(replica) {
                    let found_by = self
                        .care
                        .link(replica, now)
                        .map(|link| link.found_by.to_string());
                    tracing::info!(peer = %replica, found_by, "a peer came");
                }
                self.care.subscribed(replica, now);
                self.shared
                    .with_turns(|proto, now| proto.begin(Input::PeerUp { peer: replica }, now));
                self.show(replica, now);
            }
            Event::Unsubscribed { peer_id, .. } => {
                let Some(replica) = replica_id(&peer_id) else {
                    return;
                };
                self.peer_down(replica);
                self.show(replica, now);
            }
            Event::SlowPeer { peer_id, .. } => {
                tracing::debug!(peer = %peer_id, "a peer takes messages slowly");
                self.shared.count(|counters| counters.slow_peers += 1);
            }
            Event::GossipsubNotSupported { peer_id } => {
                tracing::debug!(peer = %peer_id, "a peer does not gossip");
            }
        }
    }

    fn on_message(&mut self, source: PeerId, id: &MessageId, message: &Message, now: Duration) {
        self.shared.count(|counters| counters.frames_received += 1);
        let acceptance = match replica_id(&source) {
            Some(from) if self.is_lost(from) => MessageAcceptance::Ignore,
            Some(from) => self.judge(from, &message.data, now),
            None => MessageAcceptance::Ignore,
        };
        // Answered at once: gossipsub forwards nothing before. It says no when the message is too old.
        let _ = self
            .swarm
            .behaviour_mut()
            .gossip
            .report_message_validation_result(id, &source, acceptance);
    }

    /// Decodes a frame and checks its signature, both before the replica's lock is taken.
    fn judge(&mut self, from: ReplicaId, bytes: &[u8], now: Duration) -> MessageAcceptance {
        match Frame::decode(bytes, &self.mesh) {
            Ok(frame) => {
                let beat = Duration::from_millis(frame.header().beat_ms.into());
                self.care.heard(from, None, now);
                self.care.heard(frame.header().replica, Some(beat), now);
                self.shared
                    .with_turns(|replica, now| replica.begin(Input::Frame { from, frame }, now));
                MessageAcceptance::Accept
            }
            Err(error) => {
                tracing::debug!(%from, %error, "a frame was rejected");
                self.shared
                    .count(|counters| counters.reject("frame", error.reason()));
                MessageAcceptance::Reject
            }
        }
    }

    #[cfg(feature = "faults")]
    fn is_lost(&self, from: ReplicaId) -> bool {
        let lost = self
            .links
            .as_ref()
            .is_some_and(|links| links.loses(from, self.local));
        if lost {
            self.shared.count(|counters| counters.frames_lost += 1);
        }
        lost
    }

    #[cfg(not(feature = "faults"))]
    fn is_lost(&self, _: ReplicaId) -> bool {
        false
    }
}
