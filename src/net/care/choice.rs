//! To whom to connect when there are too many for everyone to know everyone.

use super::{ALL_UP_TO, Action, Care, DOZEN, Why};
use crate::model::ReplicaId;

impl Care {
    /// Chooses everyone, or enough of them.
    pub(super) fn fill(&mut self) {
        let candidates = self.peers.values().filter(|peer| peer.candidate()).count();
        if candidates <= ALL_UP_TO {
            self.peers
                .values_mut()
                .for_each(|peer| peer.chosen = peer.candidate());
            return;
        }
        let mut chosen = self
            .peers
            .values()
            .filter(|peer| peer.candidate() && peer.chosen)
            .count();
        let mut others = self.matching(|chosen| !chosen);
        while chosen < DOZEN && !others.is_empty() {
            let pick = others.swap_remove(self.random.index(others.len()));
            self.peers
                .get_mut(&pick)
                .expect("it was just listed")
                .chosen = true;
            chosen += 1;
        }
    }

    /// Lets one of too many go, so that over time everyone is met and two halves that do not know each other
    /// cannot last; the place is taken by another when there are no more than a dozen.
    pub(super) fn exchange_one(&mut self) {
        let candidates = self.peers.values().filter(|peer| peer.candidate()).count();
        let chosen = self.matching(|chosen| chosen);
        if candidates > ALL_UP_TO && chosen.len() >= DOZEN {
            let pick = chosen[self.random.index(chosen.len())];
            let peer = self.peers.get_mut(&pick).expect("it was just listed");
            peer.chosen = false;
            // What the other dialled is the other's choice.
            let ours = !peer.connections.is_empty()
                && peer
                    .connections
                    .iter()
                    .all(|connection| connection.outbound);
            if ours && peer.joined.is_empty() {
                self.queued.push(Action::Disconnect {
                    peer: pick,
                    why: Why::Exchanged,
                });
            }
        }
        self.fill();
    }

    fn matching(&self, wanted: impl Fn(bool) -> bool) -> Vec<ReplicaId> {
        let candidates = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.candidate() && wanted(peer.chosen));
        candidates.map(|(&replica, _)| replica).collect()
    }
}
