//! How many keys are shown, and which ones of the namespaces.

use std::collections::{BTreeMap, BTreeSet};

use super::super::shown::Freshness;
use crate::model::{Key, Scope, SpaceId};

/// Counts what is shown, and keeps the keys of namespaces in order: one namespace is listed and counted
/// without looking at any other.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// By freshness: live, stale, gone.
    spaces: BTreeMap<SpaceId, [usize; 3]>,
    /// By the part of the name up to the slash, the slash included.
    namespaces: BTreeMap<SpaceId, BTreeMap<Box<str>, usize>>,
    named: BTreeSet<Key>,
}

impl Index {
    /// A key is shown otherwise than it was.
    pub(super) fn turn(&mut self, key: &Key, old: Option<Freshness>, new: Option<Freshness>) {
        if old == new {
            return;
        }
        let counts = self.spaces.entry(key.space()).or_default();
        for (freshness, up) in [(old, false), (new, true)] {
            if let Some(freshness) = freshness {
                step(&mut counts[place(freshness)], up);
            }
        }
        let shown = new.is_some();
        if old.is_some() == shown {
            return;
        }
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
        if scope.prefix().is_empty() {
            return self.count_by_freshness(scope.space()).iter().sum();
        }
        let counts = self.namespaces.get(&scope.space());
        let count = counts.and_then(|counts| counts.get(scope.prefix()));
        count.copied().unwrap_or_default()
    }

    /// How many are shown of a space: live, stale and gone ones.
    pub(super) fn count_by_freshness(&self, space: SpaceId) -> [usize; 3] {
        self.spaces.get(&space).copied().unwrap_or_default()
    }

    /// The keys of a custom scope, in order. None of other spaces, whose keys are not kept in order.
    pub(super) fn in_order<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = &'a Key> {
        // An empty name is no key, and every name follows it.
        let first = Key::new(scope.space(), scope.prefix()).ok();
        let from = first.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Included);
        let keys = self.named.range((from, std::ops::Bound::Unbounded));
        keys.take_while(|key| key.name().starts_with(scope.prefix()))
    }
}

fn place(freshness: Freshness) -> usize {
    match freshness {
        Freshness::Live => 0,
        Freshness::Stale => 1,
        Freshness::Gone => 2,
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
