//! Numbers about a replica.

use std::time::Duration;

use super::super::statistics::{ReplicaStatistics, SpaceCounts};
use super::super::store::{OriginIndex, Store};
use super::super::{Freshness, Standing};
use super::Replica;
use crate::crdt::Delta;
use crate::model::{Key, SpaceId};

impl Replica {
    /// How this replica is doing, in numbers.
    pub fn statistics(&self) -> ReplicaStatistics {
        let standings = [Standing::Alive, Standing::Suspect, Standing::Gone];
        let mut statistics = ReplicaStatistics {
            counters: self.counters.clone(),
            peers: standings.map(|standing| (standing, 0)).into(),
            clock_skew: Duration::from_millis(self.sync.greatest_skew_ms()),
            queues: [
                ("outputs", self.outbox.len()),
                ("keys", self.backlog().len(&self.store)),
                ("events", self.events.outgoing()),
                ("staged", self.sync.staged_entries()),
            ]
            .into(),
            ..ReplicaStatistics::default()
        };
        for (index, origin) in self.store.iter() {
            statistics.pending_ranges += origin.pending.len();
            if index != Store::OWN {
                let standing = if origin.left() {
                    Standing::Gone
                } else {
                    origin.lease.standing
                };
                *statistics.peers.entry(standing).or_default() += 1;
                statistics.peers_left += usize::from(origin.left());
            }
        }
        for space in SpaceId::VISIBLE {
            let counts = self.view.count_by_freshness(space);
            let freshnesses = [Freshness::Live, Freshness::Stale, Freshness::Gone];
            let entries = freshnesses.map(|freshness| (space, freshness));
            statistics.entries.extend(entries.into_iter().zip(counts));
        }
        statistics
    }

    /// Counts what is known already, or cannot be kept, of a delta that is about to be applied.
    pub(super) fn count_delta(&mut self, index: OriginIndex, delta: &Delta) -> SpaceCounts {
        let head = self.store.get(index).map.head();
        if delta.base <= head && head < delta.upto {
            return SpaceCounts::default();
        }
        let spaces = count_spaces(delta);
        if delta.upto <= head {
            self.counters.remote_old.add_all(spaces);
        }
        spaces
    }

    /// Counts what was applied, and, where it is `news`, how long it took to come here.
    pub(super) fn count_applied(&mut self, index: OriginIndex, changed: &[Key], news: bool) {
        self.counters.entries_applied += changed.len() as u64;
        let origin = self.store.get(index);
        let skew_ms = self.sync.skew(origin.replica).unwrap_or_default();
        let wall_ms = self.now.wall_ms.saturating_add_signed(skew_ms);
        // Written in an earlier life, and told again in this one.
        let born_ms = origin.map.incarnation().started_ms();
        for key in changed {
            self.counters.remote_applied.add(key.space());
            let visible = news && key.space() != SpaceId::NODES;
            let Some(entry) = origin.map.get(key).filter(|_| visible) else {
                continue;
            };
            let written_ms = entry.hlc().wall_ms();
            if written_ms >= born_ms {
                let took_ms = wall_ms.saturating_sub(written_ms);
                self.counters.propagation.record(took_ms);
            }
        }
    }
}

/// The spaces of all that a delta says.
pub(super) fn count_spaces(delta: &Delta) -> SpaceCounts {
    SpaceCounts::of(delta.entries.iter().map(|(key, _)| key.space()))
}
