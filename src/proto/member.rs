//! The other replicas, as seen from here.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{Incarnation, NodeRecord, ReplicaId};

/// How far an origin is believed; a local opinion, never replicated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Standing {
    /// Heard of within its lease, and all it had written by then is here.
    Alive,
    /// Silent for `stale_after`, or what it wrote has been missing here for as long.
    Suspect,
    /// Silent for `gone_after`, or it has left.
    Gone,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Alive => "alive",
            Self::Suspect => "suspect",
            Self::Gone => "gone",
        })
    }
}

/// Another replica, as seen from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub replica: ReplicaId,
    /// In which life.
    pub incarnation: Incarnation,
    /// What it says of itself; `None` until its record arrived.
    pub record: Option<NodeRecord>,
    /// How far it is believed.
    pub standing: Standing,
    /// Whether it is gone because it said so.
    pub left: bool,
    /// How long ago it was last known alive; `None` when it never was, as seen from here.
    pub age: Option<Duration>,
    /// Its wall clock less ours, in ms, as of its last answer.
    pub clock_skew_ms: Option<i64>,
    /// How many keys it has given a value.
    pub entries: usize,
}
