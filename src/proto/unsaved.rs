//! What is not saved yet.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Key, ReplicaId};

/// What is not saved yet: names only, so that a key written a thousand times takes the room of one.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    /// Everything saved before is to be dropped.
    pub(super) anew: bool,
    /// What has to be saved soon.
    pub(super) origins: BTreeMap<ReplicaId, Dirty>,
    pub(super) graves: BTreeSet<ReplicaId>,
    /// Origins of which only signs of life came: these are saved now and then.
    pub(super) heard: BTreeSet<ReplicaId>,
    /// When those were saved last.
    pub(super) heard_saved_at: i64,
    /// The wall clock less our monotonic one, in ms, by which what is saved is dated.
    pub(super) dated_by: i64,
}

/// What is not saved of one origin.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    /// Everything saved of it before is to be dropped.
    pub(super) anew: bool,
    /// All its entries after this seq are to be saved.
    pub(super) sweep: Option<u64>,
    /// And these keys, with or without an entry.
    pub(super) keys: BTreeSet<Key>,
}

/// Keys remembered by name before a whole map is swept instead, at the least: a few hundred KB.
const MIN_KEYS: usize = 4_096;

impl Unsaved {
    /// A key of an origin that has given `entries` keys a value has changed.
    pub(super) fn key(&mut self, origin: ReplicaId, key: &Key, entries: usize) {
        let dirty = self.origins.entry(origin).or_default();
        // Where nothing can be written for long, keys that came and went must not pile up.
        if dirty.keys.len() >= entries.max(MIN_KEYS) {
            *dirty = Dirty::whole();
        } else if !dirty.keys.contains(key) {
            dirty.keys.insert(key.clone());
        }
    }

    /// How far an origin is known has changed.
    pub(super) fn facts(&mut self, origin: ReplicaId) {
        self.origins.entry(origin).or_default();
    }

    /// An origin has to be saved from nothing, or is forgotten.
    pub(super) fn whole(&mut self, origin: ReplicaId) {
        self.origins.insert(origin, Dirty::whole());
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.anew && self.origins.is_empty() && self.graves.is_empty()
    }
}

impl Dirty {
    fn whole() -> Self {
        Self {
            anew: true,
            sweep: Some(0),
            keys: BTreeSet::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SpaceId;

    #[test]
    fn keys_that_come_and_go_do_not_pile_up() {
        let mut unsaved = Unsaved::default();
        let origin = ReplicaId::from_public_key([1; 32]);
        for number in 0..3 * MIN_KEYS {
            let key = Key::new(SpaceId::DEVICES, format!("PJSIP/{number}")).expect("a key");
            unsaved.key(origin, &key, 1);
            assert!(unsaved.origins[&origin].keys.len() <= MIN_KEYS);
        }
        assert!(
            unsaved.origins[&origin].anew,
            "the whole map is saved instead"
        );
    }
}
