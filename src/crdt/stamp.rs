//! What last-writer-wins decides by, and the register a reader sees.

use crdts::{CvRDT, LWWReg};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::hlc::Hlc;
use crate::model::{Incarnation, Origin, ReplicaId, Value};
use crate::zoo::{Fault, planted};

/// Names one write, for ever: an origin and its seq.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dot {
    /// Who wrote.
    pub replica: ReplicaId,
    /// In which life.
    pub incarnation: Incarnation,
    /// The number of the write within that life, from 1.
    pub seq: u64,
}

/// When and by whom a value of a shared key was written.
///
/// Compared field by field in this order: a total order, and unique unless a machine was cloned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// Hybrid time of the write.
    pub hlc: Hlc,
    /// Its writer.
    pub replica: ReplicaId,
    /// The writer's life.
    pub incarnation: Incarnation,
    /// The number of the write within that life.
    pub seq: u64,
}

impl Stamp {
    /// The write this stamp belongs to.
    pub fn dot(&self) -> Dot {
        Dot {
            replica: self.replica,
            incarnation: self.incarnation,
            seq: self.seq,
        }
    }

    /// The writer.
    pub fn origin(&self) -> Origin {
        Origin {
            replica: self.replica,
            incarnation: self.incarnation,
        }
    }
}

/// What a reader sees of a key that several origins write.
pub type Register = LWWReg<Value, Stamp>;

/// Merges two registers: the greater stamp wins; of two values under one stamp, the greater encoding.
///
/// [`LWWReg::merge`] alone keeps the local value when stamps are equal, so two readers of a cloned machine's
/// writes would differ for ever.
pub fn merge_registers(mut a: Register, b: Register) -> Register {
    if a.validate_merge(&b).is_err() && !planted(Fault::BareRegister) {
        return if a.val >= b.val { a } else { b };
    }
    a.merge(b);
    a
}

/// A candidate for what a shared key shows, as last-writer-wins sees it. Tombstones are none.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// When and by whom it was written.
    pub stamp: Stamp,
    /// What it says.
    pub value: &'a Value,
    /// The held-back writes it was made over.
    pub over: &'a [Dot],
    /// Whether its stamp is too far in the future to be believed yet.
    pub held: bool,
}

/// The register a reader sees of a shared key, whatever the order of the claims.
///
/// Held-back stamps lose to all others; a write that was made over a held-back one has named it, and a named
/// one never wins.
pub fn latest_writer<'a>(claims: impl Iterator<Item = Claim<'a>> + Clone) -> Option<Register> {
    let named: SmallVec<[&Dot; 4]> = claims.clone().flat_map(|claim| claim.over).collect();
    let eligible = || {
        claims
            .clone()
            .filter(|claim| !named.contains(&&claim.stamp.dot()))
    };
    let register = |claim: Claim<'_>| Register {
        val: claim.value.clone(),
        marker: claim.stamp,
    };
    let acceptable = eligible().filter(|claim| !claim.held).map(register);
    acceptable
        .reduce(merge_registers)
        .or_else(|| eligible().map(register).reduce(merge_registers))
}

/// What a write over these claims must be above, and the held-back ones it must name, the greatest first.
///
/// It must also be above a claim that is named and no longer held back: the write that named it is about to be
/// replaced, and with it goes the name.
pub fn write_over<'a>(claims: impl Iterator<Item = Claim<'a>>) -> (Hlc, Vec<Dot>) {
    let (mut floor, mut held) = (Hlc::ZERO, Vec::new());
    for claim in claims {
        if claim.held {
            held.push(claim.stamp);
        } else {
            floor = floor.max(claim.stamp.hlc);
        }
    }
    held.sort_unstable_by(|a, b| b.cmp(a));
    (floor, held.iter().map(Stamp::dot).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Few values of each field, so that equal stamps with different values are common.
    fn register() -> impl Strategy<Value = Register> {
        (0u64..3, 0u8..2, 0u64..2, 0u64..2, 0u8..3).prop_map(
            |(hlc, replica, incarnation, seq, value)| Register {
                val: Value::from_bytes(&[value]).expect("short"),
                marker: Stamp {
                    hlc: Hlc(hlc),
                    replica: ReplicaId::from_public_key([replica; 32]),
                    incarnation: Incarnation(incarnation),
                    seq,
                },
            },
        )
    }

    proptest! {
        #[test]
        fn merging_registers_is_commutative(a in register(), b in register()) {
            prop_assert_eq!(merge_registers(a.clone(), b.clone()), merge_registers(b, a));
        }

        #[test]
        fn merging_registers_is_associative(a in register(), b in register(), c in register()) {
            let left = merge_registers(merge_registers(a.clone(), b.clone()), c.clone());
            prop_assert_eq!(left, merge_registers(a, merge_registers(b, c)));
        }

        #[test]
        fn merging_registers_is_idempotent(a in register()) {
            prop_assert_eq!(merge_registers(a.clone(), a.clone()), a);
        }
    }

    /// The counterexample that rules out the bare register: it keeps whichever value came first.
    #[test]
    fn bare_lww_registers_diverge_on_equal_stamps() {
        let stamp = Stamp {
            hlc: Hlc(1),
            replica: ReplicaId::from_public_key([1; 32]),
            incarnation: Incarnation(1),
            seq: 1,
        };
        let one = Register {
            val: Value::from_bytes(b"1").expect("short"),
            marker: stamp,
        };
        let two = Register {
            val: Value::from_bytes(b"2").expect("short"),
            marker: stamp,
        };
        let (mut here, mut there) = (one.clone(), two.clone());
        here.merge(two.clone());
        there.merge(one.clone());
        assert_ne!(here, there);
        assert_eq!(
            merge_registers(one.clone(), two.clone()),
            merge_registers(two, one)
        );
    }
}
