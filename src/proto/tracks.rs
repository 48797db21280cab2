//! Values that this node says for as long as somebody holds a token.

use std::collections::BTreeMap;

use crate::model::{Key, Source, Value};

/// Names a token that keeps a key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackId(u64);

/// The tokens of all tracked keys, and what each of them says. Kept here only: nothing of it is sent, and
/// nothing of it outlives the process.
///
/// One entry a token, made and dropped by the program that embeds this; the limit on own entries bounds the keys.
#[derive(Debug, Default)]
pub(super) struct Tracks {
    keys: BTreeMap<TrackId, Key>,
    /// Per key in the order in which the tokens were made.
    tokens: BTreeMap<Key, BTreeMap<TrackId, Said>>,
    next: u64,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) value: Value,
    pub(super) source: Source,
}

impl Tracks {
    pub(super) fn add(&mut self, key: Key, said: Said) -> TrackId {
        let id = TrackId(self.next);
        self.next += 1;
        self.keys.insert(id, key.clone());
        self.tokens.entry(key).or_default().insert(id, said);
        id
    }

    /// The key of a token, its adapter, and whether it is the newest of its key.
    pub(super) fn find(&self, id: TrackId) -> Option<(Key, Source, bool)> {
        let key = self.keys.get(&id)?;
        let tokens = self.tokens.get(key)?;
        let newest = tokens.last_key_value().is_some_and(|(last, _)| *last == id);
        Some((key.clone(), tokens.get(&id)?.source, newest))
    }

    pub(super) fn say(&mut self, id: TrackId, value: Value) {
        let tokens = self.keys.get(&id).and_then(|key| self.tokens.get_mut(key));
        if let Some(said) = tokens.and_then(|tokens| tokens.get_mut(&id)) {
            said.value = value;
        }
    }

    /// Ends a token. Returns its key, and what the newest of those that remain says.
    pub(super) fn remove(&mut self, id: TrackId) -> Option<(Key, Option<Said>)> {
        let key = self.keys.remove(&id)?;
        let tokens = self.tokens.get_mut(&key)?;
        tokens.remove(&id);
        let newest = tokens.last_key_value().map(|(_, said)| said.clone());
        if newest.is_none() {
            self.tokens.remove(&key);
        }
        Some((key, newest))
    }

    pub(super) fn holds(&self, key: &Key) -> bool {
        self.tokens.contains_key(key)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.tokens.keys()
    }
}
