//! A map from keys to whatever, in which everything has a number.

use std::hash::BuildHasher as _;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

use crate::model::Key;

/// A map from keys to values, whose slots are numbered: who keeps a slot finds its value without a look at the key.
///
/// Growing moves nothing but the numbers. The order is that of the slots: no particular one, but the same at every
/// run.
#[derive(Debug, Clone)]
pub(crate) struct KeyMap<T> {
    slots: Vec<Option<(Key, T)>>,
    free: Vec<Slot>,
    by_key: HashTable<Slot>,
}

/// Names a key within its map; given again once the key is removed.
pub(crate) type Slot = u32;

impl<T> KeyMap<T> {
    pub(crate) fn with_capacity(keys: usize) -> Self {
        Self {
            slots: Vec::with_capacity(keys),
            free: Vec::new(),
            by_key: HashTable::with_capacity(keys),
        }
    }

    pub(crate) fn find(&self, key: &Key) -> Option<Slot> {
        self.by_key
            .find(hash(key), |slot| self.at(*slot).0 == *key)
            .copied()
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&T> {
        self.find(key).map(|slot| &self.at(slot).1)
    }

    /// Like [`KeyMap::get`], without a search when the key is in slot `near`, which then tells where it is.
    pub(crate) fn get_near(&self, key: &Key, near: &mut Slot) -> Option<&T> {
        *near = self.find_near(key, *near)?;
        Some(&self.at(*near).1)
    }

    /// Like [`KeyMap::find`], without a search when the key is in slot `near`.
    pub(crate) fn find_near(&self, key: &Key, near: Slot) -> Option<Slot> {
        match self.slots.get(near as usize) {
            Some(Some((there, _))) if there == key => Some(near),
            _ => self.find(key),
        }
    }

    pub(crate) fn at(&self, slot: Slot) -> &(Key, T) {
        self.slots[slot as usize]
            .as_ref()
            .expect("a slot is filled until it is removed")
    }

    pub(crate) fn at_mut(&mut self, slot: Slot) -> (&Key, &mut T) {
        let (key, value) = self.slots[slot as usize]
            .as_mut()
            .expect("a slot is filled until it is removed");
        (key, value)
    }

    /// Adds a key that is not there.
    pub(crate) fn insert(&mut self, key: Key, value: T) -> Slot {
        debug_assert_eq!(self.find(&key), None, "{key} is there already");
        let hashed = hash(&key);
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                Slot::try_from(self.slots.len() - 1).expect("entries are limited far below 2^32")
            }
        };
        self.slots[slot as usize] = Some((key, value));
        let slots = &self.slots;
        let rehash = |other: &Slot| {
            let (key, _) = slots[*other as usize]
                .as_ref()
                .expect("a slot is filled until it is removed");
            hash(key)
        };
        self.by_key.insert_unique(hashed, slot, rehash);
        slot
    }

    pub(crate) fn remove(&mut self, slot: Slot) {
        let (key, _) = self.slots[slot as usize]
            .take()
            .expect("a slot is filled until it is removed");
        if let Ok(found) = self.by_key.find_entry(hash(&key), |other| *other == slot) {
            found.remove();
        }
        self.free.push(slot);
    }

    /// The key in a slot, if there is one; `None` after the last slot.
    pub(crate) fn key_at(&self, slot: Slot) -> Option<Option<&Key>> {
        let slot = self.slots.get(slot as usize)?;
        Some(slot.as_ref().map(|(key, _)| key))
    }

    /// Slots in use, or free again.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &T)> {
        self.slots.iter().flatten().map(|(key, value)| (key, value))
    }
}

impl<T> Default for KeyMap<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_key: HashTable::new(),
        }
    }
}

/// Which of `places` a key belongs to, chosen by other bits than where it is kept there.
pub(crate) fn place(key: &Key, places: usize) -> usize {
    (hash(key) >> 32) as usize % places
}

fn hash(key: &Key) -> u64 {
    FxBuildHasher.hash_one(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SpaceId;

    #[test]
    fn a_slot_that_another_key_has_by_now_only_costs_a_search() {
        let key = |name: &str| Key::new(SpaceId::DEVICES, name).expect("a short name");
        let (first, second) = (key("PJSIP/1"), key("PJSIP/2"));
        let mut map = KeyMap::default();
        let was = map.insert(first.clone(), 1);
        map.remove(was);
        assert_eq!(map.find_near(&first, was), None, "it is gone");
        assert_eq!(map.insert(second.clone(), 2), was, "slots are given again");
        assert_eq!(map.find_near(&first, was), None, "another is there");
        let now = map.insert(first.clone(), 3);
        let mut near = was;
        assert_eq!(map.get_near(&first, &mut near), Some(&3));
        assert_eq!(near, now, "then it is known where it is");
        assert_eq!(
            map.find_near(&second, 7),
            Some(was),
            "there is no such slot"
        );
    }
}
