//! Keys that are stored and not shown anew yet.

use std::collections::{BTreeSet, VecDeque};

use super::store::{OriginIndex, OriginState, Store};
use crate::crdt::{OriginMap, Slot};
use crate::model::Key;

/// Very many keys that one input changed at once, waiting to be shown slice by slice, so that nobody waits for all
/// of them.
///
/// What is stored changes in one step, and single keys are read from there: to a reader, all of them change at
/// once. Only what is kept about what was shown last (counts, and what watchers are told) follows in slices. Holds
/// no more keys than the inputs since it was last empty changed.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    jobs: VecDeque<(OriginIndex, Keys)>,
}

/// Which keys of an origin.
#[derive(Debug)]
enum Keys {
    Named(std::vec::IntoIter<Key>),
    /// All of what was known before, of what its earlier life said, and of what it says now: one map after another,
    /// slot by slot. What is written meanwhile is shown by itself, and a map that takes the place of one of them
    /// has a job of its own.
    All {
        before: Option<Box<OriginMap>>,
        map: usize,
        slot: Slot,
    },
}

/// Fewer keys than this are shown at once.
pub(super) const AT_ONCE: usize = 1_024;

impl Backlog {
    pub(super) fn add(&mut self, origin: OriginIndex, keys: Vec<Key>) {
        self.jobs.push_back((origin, Keys::Named(keys.into_iter())));
    }

    /// All keys of an origin, and all of `before`, whose place its map took.
    pub(super) fn add_all(&mut self, origin: OriginIndex, before: Option<OriginMap>) {
        let all = Keys::All {
            before: before.map(Box::new),
            map: 0,
            slot: 0,
        };
        self.jobs.push_back((origin, all));
    }

    /// How many keys there are, or a few more.
    pub(super) fn len(&self, store: &Store) -> usize {
        let left = |(origin, keys): &(OriginIndex, Keys)| match keys {
            Keys::Named(keys) => keys.len(),
            Keys::All { before, map, slot } => {
                let maps = maps(before.as_deref(), store.get(*origin));
                let slots = maps.iter().skip(*map).flatten().map(|map| map.slots());
                slots.sum::<usize>().saturating_sub(*slot as usize)
            }
        };
        self.jobs.iter().map(left).sum()
    }

    /// The next key, and whose it is.
    pub(super) fn next(&mut self, store: &Store) -> Option<(OriginIndex, Key)> {
        loop {
            let (origin, keys) = self.jobs.front_mut()?;
            let next = match keys {
                Keys::Named(keys) => keys.next(),
                Keys::All { before, map, slot } => {
                    next_of_all(maps(before.as_deref(), store.get(*origin)), map, slot)
                }
            };
            match next {
                Some(key) => return Some((*origin, key)),
                None => drop(self.jobs.pop_front()),
            }
        }
    }

    /// Whose keys wait, each of them once.
    pub(super) fn origins(&self) -> BTreeSet<OriginIndex> {
        self.jobs.iter().map(|(origin, _)| *origin).collect()
    }
}

fn maps<'a>(before: Option<&'a OriginMap>, origin: &'a OriginState) -> [Option<&'a OriginMap>; 3] {
    [before, origin.previous.as_ref(), Some(&origin.map)]
}

fn next_of_all(maps: [Option<&OriginMap>; 3], map: &mut usize, slot: &mut Slot) -> Option<Key> {
    while let Some(current) = maps.get(*map) {
        let Some(key) = current.and_then(|current| current.key_at(*slot)) else {
            (*map, *slot) = (*map + 1, 0);
            continue;
        };
        *slot += 1;
        if key.is_some() {
            return key.cloned();
        }
    }
    None
}
