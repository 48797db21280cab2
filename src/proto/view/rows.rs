//! What is kept of each key: who says something of it, and what was last shown.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use smallvec::SmallVec;

use super::super::store::OriginIndex;
use super::Was;
use crate::crdt::{KeyMap, Slot, place};
use crate::model::Key;

/// Rows by key, divided so that single keys are read while others are shown: whoever shows a key keeps those from
/// reading it who want one of the same shard, and nobody else. Growing, too, holds up one shard at a time.
#[derive(Debug)]
pub(super) struct Rows {
    shards: Box<[RwLock<Shard>]>,
}

pub(super) type Shard = KeyMap<Row>;

/// Of two keys, one in so many pairs has to wait for the other.
const SHARDS: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Row {
    /// All who say something of the key are among them.
    pub(super) contributors: Contributors,
    pub(super) shown: Option<Was>,
}

/// Who says something of a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contributor {
    pub(super) origin: OriginIndex,
    /// Where in its map that was the last time, to be looked for there first.
    pub(super) slot: Slot,
}

pub(super) type Contributors = SmallVec<[Contributor; 2]>;

impl From<OriginIndex> for Contributor {
    fn from(origin: OriginIndex) -> Self {
        Self { origin, slot: 0 }
    }
}

impl Row {
    /// `origin` says something of the key, or did, or may.
    pub(super) fn may_come_from(&mut self, origin: OriginIndex) {
        may_say(&mut self.contributors, origin);
    }
}

/// `origin` is among them now.
pub(super) fn may_say(contributors: &mut Contributors, origin: OriginIndex) {
    if !contributors.iter().any(|known| known.origin == origin) {
        contributors.push(origin.into());
    }
}

impl Rows {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
        }
    }

    /// The shard of a key, to be looked at.
    pub(super) fn read(&self, key: &Key) -> RwLockReadGuard<'_, Shard> {
        read(self.of(key))
    }

    /// The shard of a key, to be changed.
    pub(super) fn write(&self, key: &Key) -> RwLockWriteGuard<'_, Shard> {
        let shard = self.of(key).write();
        shard.unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a key is in its shard.
    pub(super) fn find(&mut self, key: &Key) -> Option<Slot> {
        let shard = self.shards[place(key, SHARDS)].get_mut();
        shard.unwrap_or_else(PoisonError::into_inner).find(key)
    }

    /// All of it as it is at one moment.
    pub(super) fn all(&self) -> Vec<RwLockReadGuard<'_, Shard>> {
        self.shards.iter().map(read).collect()
    }

    fn of(&self, key: &Key) -> &RwLock<Shard> {
        &self.shards[place(key, SHARDS)]
    }
}

fn read(shard: &RwLock<Shard>) -> RwLockReadGuard<'_, Shard> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}
