//! What a replica keeps for its next life, and what of it has changed. No files here: whoever drives the replica
//! writes [`Changes`] where they outlive the process, and hands back [`Saved`].

use std::collections::BTreeMap;

use crate::crdt::{Entry, Hlc};
use crate::model::{Incarnation, Key, ReplicaId};
use crate::wire::SignedHeader;

/// What earlier lives left behind. The default is a first life's: nothing.
///
/// Whoever starts a replica puts `incarnation` and `hlc` into its [`Config`](super::Config) as floors, and hands
/// the whole to [`Replica::restore`](super::Replica::restore).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Saved {
    /// The latest life.
    pub incarnation: Incarnation,
    /// Every stamp handed out or observed until the last save is at most this.
    pub hlc: Hlc,
    /// The wall clock at the last save.
    pub wall_ms: u64,
    /// What this replica itself said and would say again.
    pub own: BTreeMap<Key, Entry>,
    /// What was known of the others.
    pub others: BTreeMap<ReplicaId, SavedOrigin>,
    /// The ends of forgotten origins: their last lives and frames.
    pub graves: BTreeMap<ReplicaId, (Incarnation, u64)>,
}

/// What was known of another origin: one true moment of it.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedOrigin {
    /// How far, and how old.
    pub facts: Facts,
    /// Every key it had given a value then. Tombstones are not kept: a restored map begins with its watermark at
    /// its head.
    pub entries: BTreeMap<Key, Entry>,
}

/// How far an origin was known, and how old that was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The latest that it signed, verbatim; names its life.
    pub header: SignedHeader,
    /// The highest seq known without gaps.
    pub head: u64,
    /// The hash of its live entries at that head: proof that what was saved is whole.
    pub hash: u128,
    /// When it was last alive, or first heard of when that was never proved, by our wall clock.
    pub alive_wall_ms: u64,
    /// `None` when it was never proved alive.
    pub proof: Option<Proof>,
}

/// What proved an origin alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Proof {
    /// When what we held of it was last complete, by our wall clock; `None` when that was never proved.
    pub complete_wall_ms: Option<u64>,
    /// Where its own clock stood when it was last alive: ms since its start.
    pub up_ms: u64,
}

/// What has changed since the last time. Applied whole up to one that is `complete`, or not at all: only then is
/// what is saved of every origin a true moment of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Changes {
    /// Everything saved before is to be dropped first.
    pub anew: bool,
    /// Replaces [`Saved::incarnation`].
    pub incarnation: Incarnation,
    /// Replaces [`Saved::hlc`].
    pub hlc: Hlc,
    /// Replaces [`Saved::wall_ms`].
    pub wall_ms: u64,
    /// Ordered by replica; our own is among them.
    pub origins: Vec<OriginChanges>,
    /// Graves dug (`Some`) and lifted.
    pub graves: Vec<(ReplicaId, Option<(Incarnation, u64)>)>,
    /// Whether this is all for now. If not, ask again at once.
    pub complete: bool,
}

/// What has changed of one origin.
#[derive(Debug, Clone, PartialEq)]
pub struct OriginChanges {
    /// Which one.
    pub replica: ReplicaId,
    /// Everything saved of it before is to be dropped first.
    pub anew: bool,
    /// `None` for our own, and for one that was forgotten.
    pub facts: Option<Facts>,
    /// Keys with what is kept under them now, or nothing.
    pub rows: Vec<(Key, Option<Entry>)>,
}

/// What [`Replica::restore`](super::Replica::restore) made of what was saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Restored {
    /// Own keys that are said again.
    pub own: usize,
    /// Other origins.
    pub origins: usize,
    /// Their keys.
    pub entries: usize,
    /// Origins silent for longer than `forget_after`, forgotten.
    pub forgotten: usize,
    /// Origins that were not as they must be, left out: the others have them.
    pub refused: usize,
}

impl Saved {
    /// Takes changes in, as a file does.
    pub fn apply(&mut self, me: ReplicaId, changes: Changes) {
        if changes.anew {
            *self = Self::default();
        }
        (self.incarnation, self.hlc) = (changes.incarnation, changes.hlc);
        self.wall_ms = changes.wall_ms;
        for origin in changes.origins {
            let entries = if origin.replica == me {
                &mut self.own
            } else if let Some(facts) = origin.facts {
                let saved = self.others.entry(origin.replica);
                let saved = saved.or_insert_with(|| SavedOrigin {
                    facts: facts.clone(),
                    entries: BTreeMap::new(),
                });
                saved.facts = facts;
                &mut saved.entries
            } else {
                self.others.remove(&origin.replica);
                continue;
            };
            if origin.anew {
                entries.clear();
            }
            for (key, entry) in origin.rows {
                match entry {
                    Some(entry) => entries.insert(key, entry),
                    None => entries.remove(&key),
                };
            }
        }
        for (replica, end) in changes.graves {
            match end {
                Some(end) => self.graves.insert(replica, end),
                None => self.graves.remove(&replica),
            };
        }
    }
}
