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
        let mut outcome = self.offer(map, delta, limit);
        while let Some(next) = self.follow(map) {
            outcome.changed.extend(next.changed);
        }
        outcome
    }

    /// Applies a delta to `map` alone, or keeps it if fewer than `limit` are kept. [`Pending::follow`] applies
    /// what was waiting for it, one after another: each of them is a moment of the original, and who looks on
    /// between them misses none.
    pub fn offer(&mut self, map: &mut OriginMap, delta: Delta, limit: usize) -> Outcome {
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
        assert!(
            (map.incarnation(), map.head()) >= before,
            "heads never go back"
        );
        outcome
    }

    /// Applies one delta that was kept and is not early any more.
    pub fn follow(&mut self, map: &mut OriginMap) -> Option<Outcome> {
        while let Some(next) = self.take(map.head()) {
            let reset = next.reset.is_some();
            match map.accept(next) {
                Accepted::Applied(changed) => {
                    return Some(Outcome {
                        changed,
                        reset,
                        ..Outcome::default()
                    });
                }
                // Of a life that is over.
                Accepted::Old => {}
                Accepted::Early(_) => {
                    unreachable!("a pending range is taken only when it follows the head")
                }
            }
        }
        None
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
