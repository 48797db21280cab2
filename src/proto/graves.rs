//! The remembered ends of forgotten origins.

use std::collections::{BTreeMap, VecDeque};

use crate::model::{Incarnation, ReplicaId};

/// How far each forgotten origin had got. Only a frame after that brings it back, so that a replica that was
/// away for long cannot bring the dead with it.
#[derive(Debug)]
pub(super) struct Graves {
    all: BTreeMap<ReplicaId, (Incarnation, u64)>,
    /// In the order in which they were dug; some may have been lifted.
    order: VecDeque<ReplicaId>,
    limit: usize,
}

impl Graves {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            all: BTreeMap::new(),
            order: VecDeque::new(),
            limit,
        }
    }

    /// Remembers the last frame of a forgotten origin. When there are too many, the oldest is filled in.
    pub(super) fn dig(&mut self, replica: ReplicaId, incarnation: Incarnation, frame: u64) {
        if self.all.insert(replica, (incarnation, frame)).is_none() {
            self.order.push_back(replica);
        }
        while self.order.len() > self.limit {
            if let Some(oldest) = self.order.pop_front() {
                self.all.remove(&oldest);
            }
        }
    }

    /// Whether a frame of `replica` is after its end; if so there is no grave any more.
    pub(super) fn lift(
        &mut self,
        replica: ReplicaId,
        incarnation: Incarnation,
        frame: u64,
    ) -> bool {
        match self.all.get(&replica) {
            Some(end) if (incarnation, frame) <= *end => false,
            Some(_) => {
                self.all.remove(&replica);
                self.order.retain(|buried| *buried != replica);
                true
            }
            None => true,
        }
    }

    /// Where `replica` ended, if it did.
    pub(super) fn end(&self, replica: ReplicaId) -> Option<(Incarnation, u64)> {
        self.all.get(&replica).copied()
    }

    /// Everyone buried.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ReplicaId, (Incarnation, u64))> {
        self.all.iter().map(|(replica, end)| (*replica, *end))
    }

    /// Whether a life of `replica` ended here.
    pub(super) fn holds(&self, replica: ReplicaId, incarnation: Incarnation) -> bool {
        self.all
            .get(&replica)
            .is_some_and(|(end, _)| incarnation < *end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_later_frame_lifts_a_grave() {
        let replica = ReplicaId::from_public_key([1; 32]);
        let mut graves = Graves::new(10);
        graves.dig(replica, Incarnation(5), 9);
        assert!(!graves.lift(replica, Incarnation(5), 9));
        assert!(!graves.lift(replica, Incarnation(4), 99));
        assert!(graves.lift(replica, Incarnation(5), 10));
        assert!(
            graves.lift(replica, Incarnation(1), 1),
            "once lifted, there is none"
        );
    }

    #[test]
    fn graves_are_bounded_and_the_oldest_goes_first() {
        let replica = |n: u8| ReplicaId::from_public_key([n; 32]);
        let mut graves = Graves::new(2);
        (1..=3).for_each(|n| graves.dig(replica(n), Incarnation(5), 9));
        assert!(graves.lift(replica(1), Incarnation(1), 1));
        assert!(!graves.lift(replica(3), Incarnation(1), 1));
    }
}
