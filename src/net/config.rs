//! What the network layer is told at its start.

use std::io;
use std::sync::Arc;

use thiserror::Error;

use super::invites::Invites;
use crate::model::ReplicaId;
use crate::wire::{Identity, MeshKey};

/// What the network layer is told at its start.
#[derive(Debug, Clone)]
pub struct NetConfig {
    /// The mesh's secret.
    pub key: MeshKey,
    /// The mesh's name.
    pub mesh: String,
    /// Who we are.
    pub identity: Identity,
    /// Where to listen: multiaddrs without `/p2p/…`. Port 0 takes a free one.
    pub listen: Vec<String>,
    /// Whom to join: multiaddrs, with or without `/p2p/…`. Redialled for ever.
    pub join: Vec<String>,
    /// Find others on the LAN.
    pub mdns: bool,
    /// Find others in a DHT made of the nodes themselves.
    pub kad: bool,
    /// Dial members learnt from the mesh's state.
    pub dial_members: bool,
    /// Only these replicas may connect; empty: everyone who holds the key.
    pub allow: Vec<ReplicaId>,
    /// These may not.
    pub ban: Vec<ReplicaId>,
    /// What is open to who was invited.
    pub invites: Arc<Invites>,
    /// Seeds jitter and the choice of peers.
    pub seed: u64,
    /// Cuts, stalls and delays, for tests and the demo.
    #[cfg(feature = "faults")]
    pub links: Option<super::Links>,
}

impl NetConfig {
    /// Whether the addresses are this machine's.
    pub(super) fn uses_sockets(&self) -> bool {
        #[cfg(feature = "faults")]
        return !self.links.as_ref().is_some_and(super::Links::is_in_memory);
        #[cfg(not(feature = "faults"))]
        return true;
    }
}

/// The text is not an address to listen on or to dial.
///
/// ```
/// let error = presence_mesh::Mesh::builder("acme").listen("nowhere").expect_err("no port");
/// assert_eq!(error.address, "nowhere");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{address:?} is not an address: {problem}; expected host:port or a multiaddr such as /ip4/192.0.2.1/tcp/4747"
)]
pub struct AddressError {
    /// The text.
    pub address: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Why a node could not start. Nothing is left running.
///
/// ```
/// use presence_mesh::{Mesh, StartError, blocking};
/// let refused = blocking::Mesh::start(Mesh::builder("acme"));
/// assert!(matches!(refused, Err(StartError::NoKey)));
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// No key was given: a mesh without one would let everybody in.
    #[error("no mesh key was given")]
    NoKey,
    /// The timings contradict each other.
    #[error("bad timing")]
    Timing(#[from] crate::proto::ConfigError),
    /// The mesh's or the node's name cannot be used.
    #[error("the {what} name is {bytes} bytes long, it must be 1 to 63 printable characters")]
    Name {
        /// Which name.
        what: &'static str,
        /// Its length in bytes.
        bytes: usize,
    },
    /// The address is none.
    #[error("bad address")]
    Address(#[from] AddressError),
    /// The address cannot be listened on: taken, not this machine's, or not permitted.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// A file in the data directory cannot be read or written.
    #[error("cannot use {path}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Another node runs with this saved state: two must never share an identity.
    #[error("the saved state {path} is in use: another node runs with it, stop that one first")]
    StateInUse {
        /// The file.
        path: String,
    },
    /// The network stack could not be set up.
    #[error("cannot set up the network: {0}")]
    Network(String),
}
