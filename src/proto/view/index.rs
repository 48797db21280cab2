//! How many keys are shown, and which ones of the namespaces.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Key, Scope, SpaceId};

/// Counts what is shown, and keeps the keys of namespaces in order: one namespace is listed and counted
/// without looking at any other.
#[derive(Debug, Default)]
pub(super) struct Index {
    spaces: BTreeMap<SpaceId, usize>,
    /// By the part of the name up to the slash, the slash included.
    namespaces: BTreeMap<SpaceId, BTreeMap<Box<str>, usize>>,
    named: BTreeSet<Key>,
}

impl Index {
    /// A key came to be shown, or is shown no more.
    pub(super) fn turn(&mut self, key: &Key, shown: bool) {
        step(self.spaces.entry(key.space()).or_default(), shown);
        let Some(namespace) = namespace(key) else {
            return;
        };
        let counts = self.namespaces.entry(key.space()).or_default();
        match counts.get_mut(namespace) {
            Some(count) => step(count, shown),
            None => drop(counts.insert(namespace.into(), 1)),
        }
        if counts.get(namespace) == Some(&0) {
            counts.remove(namespace);
        }
        if key.space() == SpaceId::CUSTOM {
            if shown {
                self.named.insert(key.clone());
            } else {
                self.named.remove(key);
            }
        }
    }

    /// How many are shown.
    pub(super) fn count(&self, scope: &Scope) -> usize {
        let count = if scope.prefix().is_empty() {
            self.spaces.get(&scope.space())
        } else {
            let counts = self.namespaces.get(&scope.space());
            counts.and_then(|counts| counts.get(scope.prefix()))
        };
        count.copied().unwrap_or_default()
    }

    /// The keys of a custom scope, in order; `None` for spaces whose keys are not kept in order.
    pub(super) fn in_order<'a>(
        &'a self,
        scope: &'a Scope,
    ) -> Option<impl Iterator<Item = &'a Key>> {
        if scope.space() != SpaceId::CUSTOM {
            return None;
        }
        // An empty name is no key, and every name follows it.
        let first = Key::new(scope.space(), scope.prefix()).ok();
        let from = first.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Included);
        let keys = self.named.range((from, std::ops::Bound::Unbounded));
        Some(keys.take_while(|key| key.name().starts_with(scope.prefix())))
    }
}

/// The part of the name up to the slash, in spaces that are divided into namespaces.
fn namespace(key: &Key) -> Option<&str> {
    if ![SpaceId::CUSTOM, SpaceId::CUSTOM_PER_ORIGIN].contains(&key.space()) {
        return None;
    }
    let slash = key.name().find('/')?;
    Some(&key.name()[..=slash])
}

fn step(count: &mut usize, up: bool) {
    *count = if up { *count + 1 } else { *count - 1 };
}
