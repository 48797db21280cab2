//! Keys that are stored and not shown anew yet.

use std::collections::VecDeque;

use super::store::OriginIndex;
use crate::model::Key;

/// Very many keys that one input changed at once, waiting to be shown slice by slice, so that nobody waits for all
/// of them.
///
/// What is stored changes in one step, and single keys are read from there: to a reader, all of them change at
/// once. Only what is kept about what was shown last (counts, and what watchers are told) follows in slices. Holds
/// no more keys than the inputs since it was last empty changed.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    jobs: VecDeque<(OriginIndex, std::vec::IntoIter<Key>)>,
}

/// Fewer keys than this are shown at once.
pub(super) const AT_ONCE: usize = 1_024;

impl Backlog {
    pub(super) fn add(&mut self, origin: OriginIndex, keys: Vec<Key>) {
        self.jobs.push_back((origin, keys.into_iter()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.iter().map(|(_, keys)| keys.len()).sum()
    }

    /// The next key, and whose it is.
    pub(super) fn next(&mut self) -> Option<(OriginIndex, Key)> {
        loop {
            let (origin, keys) = self.jobs.front_mut()?;
            match keys.next() {
                Some(key) => return Some((*origin, key)),
                None => drop(self.jobs.pop_front()),
            }
        }
    }

    /// Whose keys wait.
    pub(super) fn origins(&self) -> impl Iterator<Item = OriginIndex> {
        self.jobs.iter().map(|(origin, _)| *origin)
    }
}
