//! What must hold inside the nodes: the simulator's rules J, A and M over the real stack's stores.
//!
//! The simulator's own checkers need a world of its own kind around them; the same is asked here of the
//! [`Replica`] inside each node.

use std::collections::BTreeMap;

use presence_mesh::proto::Replica;
use presence_mesh::{Incarnation, ReplicaId};

use crate::outcome::Outcome;
use crate::world::Node;

/// - **moment** (J, A): a copy of an origin's map equals the original as it was at that head, and two copies with
///   equal heads are equal.
/// - **head** (M): `(incarnation, head)` of an origin never goes back on a node.
/// - **invariants**: what is shown is what the store makes of it from nothing; every queue is within its bound.
#[derive(Default)]
pub struct Stores {
    /// The hash of an origin's map by head: the original's, or that of the first copy seen.
    moments: BTreeMap<(ReplicaId, Incarnation, u64), u128>,
    /// By node and origin.
    heads: BTreeMap<(usize, ReplicaId), (Incarnation, u64)>,
}

impl Stores {
    /// A node begins a life, knowing nothing.
    pub fn started(&mut self, node: usize) {
        self.heads.retain(|(observer, _), _| *observer != node);
    }

    /// Looks into every node.
    pub fn look(&mut self, nodes: &[Node], outcome: &mut Outcome) {
        for (number, node) in nodes.iter().enumerate() {
            if let Some(mesh) = &node.mesh {
                mesh.inspect(|replica| self.judge(number, replica, outcome));
            }
        }
    }

    fn judge(&mut self, node: usize, replica: &Replica, outcome: &mut Outcome) {
        if let Err(text) = replica.invariants() {
            outcome.demand(false, || format!("invariants: node{node}: {text}"));
        }
        for map in replica.maps() {
            let head = (map.incarnation, map.head);
            let before = self.heads.insert((node, map.replica), head);
            outcome.demand(before.is_none_or(|before| before <= head), || {
                format!("head: node{node} went from {before:?} to {head:?}")
            });
            let place = (map.replica, map.incarnation, map.head);
            let hash = *self.moments.entry(place).or_insert(map.hash);
            outcome.demand(hash == map.hash, || {
                format!(
                    "moment: node{node} has another map of {} at {head:?}",
                    map.replica
                )
            });
        }
    }
}
