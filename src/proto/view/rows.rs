//! What is kept of each key: who says something of it, and what was last shown.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use smallvec::SmallVec;

use super::super::store::OriginIndex;
use super::Was;
use crate::crdt::{KeyMap, place};
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
    pub(super) origins: Origins,
    pub(super) shown: Option<Was>,
}

pub(super) type Origins = SmallVec<[OriginIndex; 4]>;

impl Row {
    /// `origin` says something of the key, or did, or may.
    pub(super) fn may_come_from(&mut self, origin: OriginIndex) {
        if !self.origins.contains(&origin) {
            self.origins.push(origin);
        }
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
