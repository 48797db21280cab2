//! What brings one origin's map forward.

use thiserror::Error;

use super::entry::Entry;
use crate::model::{Incarnation, Key};

/// The greatest seq accepted from anyone: far beyond what an origin can write in one life (a million writes a
/// second for 2,000 years), and far enough from the end of `u64` that adding to it never wraps.
pub const MAX_SEQ: u64 = 1 << 56;

/// Entries that bring one origin's shard from `base` to `upto`, or its whole map as it was at `upto`.
///
/// A compacted range: a key written several times within it appears once, with its last write. `upto` is
/// always the head of whoever made the delta, never a point in between (rule 6 of [`crate::crdt`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// The origin's life.
    pub incarnation: Incarnation,
    /// Whoever has everything up to here can apply it. 0 in a reset.
    pub base: u64,
    /// What is known afterwards.
    pub upto: u64,
    /// `Some(watermark)` makes it a reset: the whole map, and below that seq the sender has collected
    /// tombstones.
    pub reset: Option<u64>,
    /// In strictly ascending seq, each in `(base, upto]`.
    pub entries: Vec<(Key, Entry)>,
}

impl Delta {
    /// Checks what every delta made by these rules obeys.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), DeltaError> {
        if self.upto > MAX_SEQ {
            return Err(DeltaError::SeqTooGreat(self.upto));
        }
        if self.base > self.upto || (self.reset.is_some() && self.base != 0) {
            return Err(DeltaError::Base {
                base: self.base,
                upto: self.upto,
            });
        }
        if self.reset.is_some_and(|watermark| watermark > self.upto) {
            return Err(DeltaError::Watermark { upto: self.upto });
        }
        let mut after = self.base;
        for (_, entry) in &self.entries {
            if entry.seq() <= after || entry.seq() > self.upto {
                return Err(DeltaError::Entry {
                    seq: entry.seq(),
                    after,
                    upto: self.upto,
                });
            }
            after = entry.seq();
        }
        Ok(())
    }
}

/// A delta contradicts itself; it is refused whole.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DeltaError {
    /// No origin writes that often.
    #[error("seq {0} is beyond {MAX_SEQ}")]
    SeqTooGreat(u64),
    /// A delta leads forward, and a reset starts from nothing.
    #[error("base {base} does not lead to {upto}")]
    Base {
        /// Where it starts.
        base: u64,
        /// Where it ends.
        upto: u64,
    },
    /// A watermark is at most the head.
    #[error("the watermark is above the head {upto}")]
    Watermark {
        /// Where it ends.
        upto: u64,
    },
    /// Entries come in ascending seq within the range.
    #[error("entry {seq} is not between {after} and {upto}")]
    Entry {
        /// The entry's number.
        seq: u64,
        /// The one before it, or the base.
        after: u64,
        /// Where the delta ends.
        upto: u64,
    },
}
