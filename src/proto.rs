//! The decisions: a state machine without sockets, tasks or clocks.
//!
//! [`Replica`] takes an [`Input`] and the time, and queues [`Output`]s:
//!
//! 1. tell it what happened: [`Replica::handle`], or a local write such as [`Replica::write`];
//! 2. carry out every [`Replica::poll_output`] until there is none;
//! 3. when [`Replica::poll_timeout`] has passed, hand in [`Input::Timeout`];
//! 4. go to 1.
//!
//! The same inputs at the same times give the same outputs on any machine, which is what lets the simulator
//! run the production code.
//!
//! ```
//! use presence_mesh::proto::{Config, Input, Now, Output, Replica, Write};
//! use presence_mesh::wire::{Frame, MeshId};
//! use presence_mesh::{DeviceState, Identity, Key, Limits, Merge, MeshKey, Preset, Source, SpaceId};
//! use std::time::Duration;
//!
//! let mesh = MeshId::derive(&MeshKey::from_bytes([7; 32]), "acme");
//! let start = Now { mono: Duration::ZERO, wall_ms: 1_767_225_600_000 };
//! let replica = |number: u8| {
//!     let config = Config {
//!         mesh,
//!         node: format!("n{number}"),
//!         version: "1".into(),
//!         timing: Preset::Lan.timing(),
//!         limits: Limits::default(),
//!         mailboxes: Merge::Latest,
//!         incarnation_floor: Default::default(),
//!         hlc_floor: Default::default(),
//!         seed: number.into(),
//!     };
//!     Replica::new(config, Identity::from_bytes([number; 32]), start)
//! };
//! let (mut one, mut two) = (replica(1), replica(2));
//! let lamp = Key::new(SpaceId::DEVICES, "PJSIP/100")?;
//! let how = Write { source: Source::API, restate: false };
//! one.write(vec![(lamp.clone(), Some(DeviceState::InUse.into()))], how, start)?;
//! // The world: what is gossiped arrives.
//! while let Some(output) = one.poll_output() {
//!     if let Output::Publish { frame } = output {
//!         let frame = Frame::decode(&frame.sign(), &mesh)?;
//!         two.handle(Input::Frame { from: one.id(), frame }, start);
//!     }
//! }
//! let shown = two.get(&lamp, start).expect("it has arrived");
//! assert_eq!(shown.value.device_state(), DeviceState::InUse);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Inside, `store` converges and knows no time; `view` decides what users see and looks at leases; `sync`
//! decides whom to ask for what.

mod backlog;
mod building;
mod config;
mod counters;
mod error;
mod evaluate;
mod events;
mod graves;
mod io;
mod lease;
mod member;
mod replica;
mod saved;
mod shown;
mod staged;
mod statistics;
mod store;
mod sync;
mod tracks;
mod unsaved;
mod view;
mod watches;

pub use building::Building;
pub use config::{Config, ConfigError, Limits, Merge, Preset, Timing, UnknownWord};
pub use counters::Counters;
pub use error::{FollowError, PublishError, WriteError};
pub use events::SubscriptionId;
pub use io::{Input, Now, Output, Report, RequestId};
pub use member::{Member, Standing};
pub use replica::{MapSummary, Replica, Write};
pub use saved::{Changes, Facts, OriginChanges, Proof, Restored, Saved, SavedOrigin};
pub use shown::{Change, Contribution, Explanation, Freshness, Rule, Shown};
pub use statistics::{Propagation, ReplicaStatistics, SpaceCounts};
pub use tracks::TrackId;
pub use watches::{WatchId, Watched};
