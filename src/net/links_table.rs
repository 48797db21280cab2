//! What the network knows of each peer.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::ReplicaId;

/// How a peer was found first.
///
/// ```
/// use presence_mesh::FoundBy;
/// assert_eq!(FoundBy::Mdns.to_string(), "mdns");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FoundBy {
    /// At an address we were told to join, or it joined at ours.
    Join,
    /// On the LAN.
    Mdns,
    /// In the DHT.
    Kad,
    /// In the mesh's own state, or it found us there.
    Member,
}

impl fmt::Display for FoundBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Join => "join",
            Self::Mdns => "mdns",
            Self::Kad => "kad",
            Self::Member => "member",
        })
    }
}

/// What the network knows of one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) connected: bool,
    pub(crate) rtt: Option<Duration>,
    pub(crate) addresses: Vec<String>,
    pub(crate) found_by: FoundBy,
}

/// By peer. Bounded by the driver, which fills it.
pub(crate) type LinkTable = BTreeMap<ReplicaId, Link>;
