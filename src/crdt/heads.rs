//! How much of each origin is known: the version vector.

use std::collections::BTreeMap;
use std::convert::Infallible;

use crdts::CvRDT;
use serde::{Deserialize, Serialize};

use crate::model::{Incarnation, ReplicaId};

/// How far one origin's writes are known without gaps.
///
/// Ordered by incarnation, then by seq: a later life always knows more.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Head {
    /// The origin's life.
    pub incarnation: Incarnation,
    /// The highest seq below which nothing is missing; 0 when nothing is known yet.
    pub seq: u64,
}

/// The heads of all origins, per shard: a version vector.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heads(BTreeMap<(ReplicaId, u16), Head>);

impl Heads {
    /// The head of one origin's shard.
    pub fn get(&self, replica: ReplicaId, shard: u16) -> Option<Head> {
        self.0.get(&(replica, shard)).copied()
    }

    /// Raises one head; a lower one changes nothing.
    pub fn raise(&mut self, replica: ReplicaId, shard: u16, head: Head) {
        let known = self.0.entry((replica, shard)).or_default();
        *known = (*known).max(head);
    }

    /// All heads, ordered by replica and shard.
    pub fn iter(&self) -> impl Iterator<Item = (ReplicaId, u16, Head)> {
        self.0
            .iter()
            .map(|((replica, shard), head)| (*replica, *shard, *head))
    }
}

impl CvRDT for Heads {
    type Validation = Infallible;

    fn validate_merge(&self, _: &Self) -> Result<(), Infallible> {
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        for ((replica, shard), head) in other.0 {
            self.raise(replica, shard, head);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn heads() -> impl Strategy<Value = Heads> {
        proptest::collection::vec((0u8..3, 0u16..2, 0u64..3, 0u64..4), 0..6).prop_map(|all| {
            let mut heads = Heads::default();
            for (replica, shard, incarnation, seq) in all {
                let head = Head {
                    incarnation: Incarnation(incarnation),
                    seq,
                };
                heads.raise(ReplicaId::from_public_key([replica; 32]), shard, head);
            }
            heads
        })
    }

    fn merged(mut a: Heads, b: Heads) -> Heads {
        a.merge(b);
        a
    }

    proptest! {
        #[test]
        fn merging_heads_is_commutative(a in heads(), b in heads()) {
            prop_assert_eq!(merged(a.clone(), b.clone()), merged(b, a));
        }

        #[test]
        fn merging_heads_is_associative(a in heads(), b in heads(), c in heads()) {
            let left = merged(merged(a.clone(), b.clone()), c.clone());
            prop_assert_eq!(left, merged(a, merged(b, c)));
        }

        #[test]
        fn merging_heads_is_idempotent(a in heads()) {
            prop_assert_eq!(merged(a.clone(), a.clone()), a);
        }
    }
}
