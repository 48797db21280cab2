//! A whole map while it is being built.

use std::collections::VecDeque;

use super::statistics::SpaceCounts;
use crate::crdt::{Entry, HybridClock, Whole};
use crate::model::{Key, ReplicaId};

/// A whole map of another origin, and those of its entries that have arrived and are not in it yet.
///
/// [`Replica::lend`](super::Replica::lend) hands it out and [`Replica::take_back`](super::Replica::take_back) takes it
/// back. Between the two nothing of the replica is needed: who keeps it behind a lock builds without the lock.
#[derive(Debug)]
pub struct Building {
    pub(super) origin: ReplicaId,
    /// Tells this transfer from all others.
    pub(super) number: u64,
    pub(super) whole: Whole,
    pub(super) pages: VecDeque<std::vec::IntoIter<(Key, Entry)>>,
    /// Of the entries that are in the map.
    pub(super) spaces: SpaceCounts,
    /// Learns their stamps, for the replica's own.
    pub(super) stamps: HybridClock,
    /// As of when it was lent: this node's wall clock, and how far another's may be ahead of it.
    pub(super) wall_ms: u64,
    pub(super) drift_ms: u64,
}

impl Building {
    pub(super) fn new(origin: ReplicaId, number: u64, whole: Whole) -> Self {
        Self {
            origin,
            number,
            whole,
            pages: VecDeque::new(),
            spaces: SpaceCounts::default(),
            stamps: HybridClock::default(),
            wall_ms: 0,
            drift_ms: 0,
        }
    }

    /// Puts at most `keys` of the entries that have arrived into the map; returns how many.
    pub fn build(&mut self, keys: usize) -> usize {
        let mut left = keys;
        while let Some(page) = self.pages.front_mut() {
            for (key, entry) in page.by_ref().take(left) {
                left -= 1;
                self.stamps
                    .observe(entry.hlc(), self.wall_ms, self.drift_ms);
                self.spaces.add(key.space());
                self.whole.add(key, entry);
            }
            if !page.as_slice().is_empty() {
                break;
            }
            self.pages.pop_front();
        }
        keys - left
    }
}
