#![cfg_attr(feature = "net", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "net"), doc = "The sans-IO core of presence-mesh.")]

// The guides' programs are compiled and run with the documentation tests.
#[cfg(all(doctest, feature = "net"))]
#[doc = include_str!("../docs/embedding.md")]
mod embedding {}
#[cfg(all(doctest, feature = "sim"))]
#[doc = include_str!("../docs/simulating.md")]
mod simulating {}

#[cfg(feature = "net")]
pub mod blocking;
#[cfg(feature = "asterisk")]
pub mod bridge;
#[cfg(feature = "capi")]
pub mod capi;
pub mod crdt;
pub mod model;
pub mod proto;
#[cfg(feature = "sim")]
pub mod sim;
pub mod wire;
#[cfg(feature = "zoo")]
pub mod zoo;

#[cfg(feature = "net")]
mod config;
#[cfg(feature = "net")]
pub mod error;
#[cfg(feature = "net")]
mod events;
#[cfg(feature = "net")]
mod mesh;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(feature = "net")]
mod net;
#[cfg(feature = "persist")]
mod persist;
#[cfg(feature = "net")]
mod space;
#[cfg(feature = "net")]
mod watch;
#[cfg(not(feature = "zoo"))]
mod zoo;

pub use model::*;
pub use proto::{
    Change, ConfigError, Contribution, Counters, Explanation, FollowError, Freshness, Limits,
    Merge, Preset, Propagation, PublishError, ReplicaStatistics, Rule, Shown, SpaceCounts,
    Standing, Timing, UnknownWord, WriteError,
};
pub use wire::{
    Digest, Identity, Invite, KeyFileError, MeshKey, ParseDigestError, ParseInviteError,
};

#[cfg(feature = "net")]
pub use config::MeshBuilder;
#[cfg(feature = "net")]
pub use error::{
    AddressError, InviteError, KeyUseError, RedeemError, SetAttributeError, StartError,
};
#[cfg(feature = "net")]
pub use events::{EventStream, Events};
#[cfg(feature = "net")]
pub use mesh::{Departure, Mesh, Peer, PeerChange, PeerWatcher, Pong, Statistics, Status};
#[cfg(feature = "faults")]
pub use net::Links;
#[cfg(feature = "faults")]
#[doc(hidden)]
pub use net::parts as net_parts;
#[cfg(feature = "net")]
pub use net::{FoundBy, NetCounters, Welcome};
#[cfg(feature = "persist")]
pub use persist::{SaveError, SaveStatus};
#[cfg(feature = "net")]
pub use space::{Space, StateValue, Tracked};
#[cfg(feature = "net")]
pub use watch::{Watch, Watcher};
