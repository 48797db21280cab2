//! One stored write.

use crdts::{CvRDT, LWWReg};

use super::hlc::Hlc;
use super::stamp::Dot;
use crate::model::{Source, Value};
use crate::zoo::{Fault, planted};

/// The most held-back writes one write can name. More of them at once take more clocks gone wrong than this.
pub const MAX_NAMED_DOTS: usize = 8;

/// What a write said: a value or a tombstone, by which adapter, and over which held-back writes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Content {
    /// The value; `None` is a tombstone.
    pub value: Option<Value>,
    /// The adapter that wrote it.
    pub source: Source,
    /// Writes with a stamp too far in the future that this one was made over: they never win any more.
    /// Boxed twice because almost every entry has none. At most [`MAX_NAMED_DOTS`].
    #[allow(clippy::box_collection)]
    pub over: Option<Box<Vec<Dot>>>,
}

/// One stored write of one origin: a last-writer-wins register ordered by seq.
///
/// The origin and its incarnation are those of the map it lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry(LWWReg<Content, Mark>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    seq: u64,
    hlc: Hlc,
}

impl Entry {
    /// The write numbered `seq`, made at `hlc`.
    pub fn new(seq: u64, hlc: Hlc, content: Content) -> Self {
        Self(LWWReg {
            val: content,
            marker: Mark { seq, hlc },
        })
    }

    /// Number of the write within its origin and shard, from 1.
    pub fn seq(&self) -> u64 {
        self.0.marker.seq
    }

    /// Hybrid time of the write; [`Hlc::ZERO`] for what was merely restated.
    pub fn hlc(&self) -> Hlc {
        self.0.marker.hlc
    }

    /// The value; `None` for a tombstone.
    pub fn value(&self) -> Option<&Value> {
        self.0.val.value.as_ref()
    }

    /// Whether it withdraws the key.
    pub fn is_tombstone(&self) -> bool {
        self.0.val.value.is_none()
    }

    /// The adapter that wrote it.
    pub fn source(&self) -> Source {
        self.0.val.source
    }

    /// The held-back writes it was made over.
    pub fn over(&self) -> &[Dot] {
        self.0.val.over.as_deref().map_or(&[], Vec::as_slice)
    }

    /// All that was written.
    pub fn content(&self) -> &Content {
        &self.0.val
    }

    /// Keeps the later write; of two different ones under one number (which only cloned machines make) the
    /// one with the greater content, so that the outcome does not depend on which came first.
    pub fn merge(&mut self, other: Self) {
        if self.0.validate_merge(&other.0).is_err() && !planted(Fault::BareRegister) {
            if other.0.val > self.0.val {
                self.0 = other.0;
            }
        } else {
            self.0.merge(other.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = Entry> {
        (0u64..3, 0u64..2, proptest::option::of(0u8..3), 0u8..2).prop_map(
            |(seq, hlc, value, source)| {
                let value = value.map(|byte| Value::from_bytes(&[byte]).expect("short"));
                Entry::new(
                    seq,
                    Hlc(hlc),
                    Content {
                        value,
                        source: Source(source),
                        over: None,
                    },
                )
            },
        )
    }

    fn merged(mut a: Entry, b: Entry) -> Entry {
        a.merge(b);
        a
    }

    proptest! {
        #[test]
        fn merging_entries_is_commutative(a in entry(), b in entry()) {
            prop_assert_eq!(merged(a.clone(), b.clone()), merged(b, a));
        }

        #[test]
        fn merging_entries_is_associative(a in entry(), b in entry(), c in entry()) {
            let left = merged(merged(a.clone(), b.clone()), c.clone());
            prop_assert_eq!(left, merged(a, merged(b, c)));
        }

        #[test]
        fn merging_entries_is_idempotent(a in entry()) {
            prop_assert_eq!(merged(a.clone(), a.clone()), a);
        }
    }
}
