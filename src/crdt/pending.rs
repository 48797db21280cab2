//! Deltas that came too early: rule 4 of [`crate::crdt`].

use super::delta::Delta;
use super::origin_map::{Accepted, OriginMap};
use crate::model::Key;

/// Deltas of one origin's life that came too early: kept unseen until what precedes them is known.
#[derive(Debug, Clone, Default)]
pub struct Pending(Vec<Delta>);

/// What became of a delta, and of those that waited for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Keys written or withdrawn.
    pub changed: Vec<Key>,
    /// All of it was known already.
    pub old: bool,
    /// Something before it is missing.
    pub early: bool,
    /// It was early, and there was no room to keep it.
    pub full: bool,
    /// It was a reset.
    pub reset: bool,
}

impl Pending {
    /// Applies a delta to `map` and whatever follows from it, or keeps it if fewer than `limit` are kept.
    pub fn accept(&mut self, map: &mut OriginMap, delta: Delta, limit: usize) -> Outcome {
        let before = (map.incarnation(), map.head());
        let mut outcome = Outcome {
            reset: delta.reset.is_some(),
            ..Outcome::default()
        };
        match map.accept(delta) {
            Accepted::Old => outcome.old = true,
            Accepted::Early(delta) => {
                outcome.early = true;
                outcome.full = !self.keep(delta, limit);
            }
            Accepted::Applied(changed) => outcome.changed = changed,
        }
        while let Some(next) = self.take(map.head()) {
            match map.accept(next) {
                Accepted::Applied(changed) => outcome.changed.extend(changed),
                Accepted::Old => {}
                Accepted::Early(_) => {
                    unreachable!("a pending range is taken only when it follows the head")
                }
            }
        }
        assert!(
            (map.incarnation(), map.head()) >= before,
            "heads never go back"
        );
        outcome
    }

    /// Forgets all of them: a new life has begun.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Delta> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn keep(&mut self, delta: Delta, limit: usize) -> bool {
        if self
            .0
            .iter()
            .any(|held| held.base <= delta.base && delta.upto <= held.upto)
        {
            return true;
        }
        self.0
            .retain(|held| held.base < delta.base || delta.upto < held.upto);
        let room = self.0.len() < limit;
        if room {
            self.0.push(delta);
        }
        room
    }

    fn take(&mut self, head: u64) -> Option<Delta> {
        self.0.retain(|held| held.upto > head);
        let next = self.0.iter().position(|held| held.base <= head)?;
        Some(self.0.swap_remove(next))
    }
}
