//! Core values with a canonical form, by which states are compared and hashed.
//!
//! An `OriginMap` has no equality: what it holds can lie in its slots in many orders. Its canonical form is
//! what can be told of it from outside: incarnation, head, watermark, and all entries in ascending seq.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use presence_mesh::crdt::{Delta, Entry, Head, OriginMap, Pending};
use presence_mesh::model::{Incarnation, Key};

/// A value and its canonical form.
#[derive(Debug, Clone)]
pub struct Canonical<T> {
    pub value: T,
    words: Box<[u64]>,
}

/// A value that can be written down as numbers, equal ones if and only if nothing can tell two values apart.
pub trait Words {
    fn words(&self, words: &mut Vec<u64>);
}

/// A copy of an origin's map, and what came too early for it.
#[derive(Debug, Clone, Default)]
pub struct Copy {
    pub map: OriginMap,
    pub pending: Pending,
}

impl Copy {
    pub fn new(incarnation: Incarnation) -> Self {
        Self {
            map: OriginMap::new(incarnation),
            pending: Pending::default(),
        }
    }

    pub fn head(&self) -> Head {
        Head {
            incarnation: self.map.incarnation(),
            seq: self.map.head(),
        }
    }

    /// Takes a delta from anyone, as a replica does: a later life, which its header proves, begins first.
    pub fn accept(&mut self, delta: Delta, pending_limit: usize) -> Vec<Key> {
        if delta.incarnation > self.map.incarnation() {
            *self = Self::new(delta.incarnation);
        }
        let outcome = self.pending.accept(&mut self.map, delta, pending_limit);
        assert!(
            self.pending.len() <= pending_limit,
            "pending ranges are bounded"
        );
        outcome.changed
    }

    /// Every entry it holds, shown or not, with the life it is said to be of.
    pub fn entries(&self) -> Vec<(Incarnation, Key, Entry)> {
        let life = self.map.incarnation();
        let shown = self.map.page(0, usize::MAX).entries;
        let shown = shown.into_iter().map(|(key, entry)| (life, key, entry));
        let waiting = self.pending.iter().flat_map(|delta| {
            let entries = delta.entries.iter().cloned();
            entries.map(|(key, entry)| (delta.incarnation, key, entry))
        });
        shown.chain(waiting).collect()
    }
}

impl<T: Words> From<T> for Canonical<T> {
    fn from(value: T) -> Self {
        let mut words = Vec::with_capacity(32);
        value.words(&mut words);
        Self {
            value,
            words: words.into(),
        }
    }
}

impl<T> PartialEq for Canonical<T> {
    fn eq(&self, other: &Self) -> bool {
        self.words == other.words
    }
}

impl<T> Eq for Canonical<T> {}

impl<T> PartialOrd for Canonical<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Canonical<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.words.cmp(&other.words)
    }
}

impl<T> Hash for Canonical<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.words.hash(state);
    }
}

impl Words for Copy {
    fn words(&self, words: &mut Vec<u64>) {
        let map = &self.map;
        words.extend([map.incarnation().0, map.head(), map.watermark()]);
        push_entries(&map.page(0, usize::MAX).entries, words);
        for delta in self.pending.iter() {
            delta.words(words);
        }
    }
}

impl Words for Delta {
    fn words(&self, words: &mut Vec<u64>) {
        let reset = self.reset.map_or(0, |watermark| watermark + 1);
        words.extend([self.incarnation.0, self.base, self.upto, reset]);
        push_entries(&self.entries, words);
    }
}

fn push_entries(entries: &[(Key, Entry)], words: &mut Vec<u64>) {
    words.push(entries.len() as u64);
    for (key, entry) in entries {
        let name = key
            .name()
            .bytes()
            .fold(0, |name, byte| name << 8 | u64::from(byte));
        let value = entry.value().map_or(0, |value| {
            let bytes = value.as_bytes().iter();
            bytes.fold(1, |value, byte| value << 8 | u64::from(*byte))
        });
        words.extend([name, entry.seq(), entry.hlc().0, value]);
        words.push(entry.over().len() as u64);
        for dot in entry.over() {
            let replica = dot.replica.public_key()[0];
            words.extend([u64::from(replica), dot.incarnation.0, dot.seq]);
        }
    }
}
