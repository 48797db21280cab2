//! Parts of a delta that are here, until all of them are.

use std::collections::VecDeque;

use super::statistics::SpaceCounts;
use crate::crdt::{Entry, Whole};
use crate::model::{Incarnation, Key, ReplicaId};

/// The parts of a delta that have arrived so far.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) from: ReplicaId,
    pub(super) incarnation: Incarnation,
    pub(super) base: u64,
    pub(super) reset: Option<u64>,
    pub(super) cursor: u64,
    /// As they came, less what is in `whole` already.
    pub(super) pages: VecDeque<std::vec::IntoIter<(Key, Entry)>>,
    /// Where the entries go, some at a time, if they are to take the place of the map.
    pub(super) whole: Option<Whole>,
    /// Of all entries that came.
    pub(super) spaces: SpaceCounts,
    pub(super) entries: usize,
    /// Where the delta ends; once it is known, nothing more comes.
    pub(super) upto: Option<u64>,
}

impl Staged {
    /// Whether nothing more comes.
    pub(super) fn is_here(&self) -> bool {
        self.upto.is_some()
    }

    /// Puts entries where they go while the budget lasts. Says whether all that came are there.
    pub(super) fn put_in(&mut self, budget: &mut usize, look: &mut impl FnMut(&Entry)) -> bool {
        let Some(whole) = &mut self.whole else {
            return true;
        };
        while let Some(page) = self.pages.front_mut() {
            for (key, entry) in page.by_ref().take(*budget) {
                *budget -= 1;
                look(&entry);
                self.spaces.add(key.space());
                whole.add(key, entry);
            }
            if !page.as_slice().is_empty() {
                return false;
            }
            self.pages.pop_front();
        }
        true
    }
}

/// A map that is here as a whole.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) origin: ReplicaId,
    pub(super) whole: Whole,
    pub(super) upto: u64,
    pub(super) is_reset: bool,
    pub(super) entries: usize,
    pub(super) spaces: SpaceCounts,
}
