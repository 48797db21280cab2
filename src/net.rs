//! libp2p: the swarm, and the task that drives it.
//!
//! Swarm events become inputs of the [`Replica`](crate::proto::Replica), its outputs become calls on the
//! swarm. [`Shared`] is where the task and the users' handles meet. Nothing outside this folder names a
//! libp2p type.

mod address;
mod behaviour;
mod care;
mod clock;
mod config;
mod counters;
mod driver;
mod gate;
mod invites;
#[cfg(feature = "faults")]
mod links;
mod links_table;
#[cfg(feature = "metrics")]
mod metrics;
mod own_addresses;
#[cfg(feature = "faults")]
pub mod parts;
mod random;
mod redeem;
mod refusals;
mod shared;
mod start;
mod sync_codec;
mod transport;

pub(crate) use address::{host_port, parse_join_address, parse_listen_address, tcp_port};
pub(crate) use clock::Clock;
#[cfg(feature = "faults")]
pub(crate) use clock::Substitute;
pub(crate) use config::NetConfig;
pub use config::{AddressError, StartError};
pub use counters::NetCounters;
pub use invites::InviteError;
pub(crate) use invites::{Invites, MAX_INVITE_LIFETIME};
#[cfg(feature = "faults")]
pub use links::Links;
pub use links_table::FoundBy;
pub use redeem::{RedeemError, Welcome};
pub(crate) use shared::{Command, Shared};
pub(crate) use start::start;

/// Peers that can be connected at once.
pub(crate) const MAX_CONNECTED: usize = behaviour::MAX_CONNECTIONS as usize;
