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
//! Inside, `store` converges and knows no time; `view` decides what users see and looks at leases; `sync`
//! decides whom to ask for what.

mod backlog;
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
mod store;
mod sync;
mod tracks;
mod unsaved;
mod view;
mod watches;

pub use config::{Config, ConfigError, Limits, Merge, Preset, Timing};
pub use counters::Counters;
pub use error::{FollowError, PublishError, WriteError};
pub use events::SubscriptionId;
pub use io::{Input, Now, Output, Report, RequestId};
pub use member::{Member, Standing};
pub use replica::{MapSummary, Replica, Write};
pub use saved::{Changes, Facts, OriginChanges, Proof, Restored, Saved, SavedOrigin};
pub use shown::{Change, Contribution, Explanation, Freshness, Rule, Shown};
pub use tracks::TrackId;
pub use watches::{WatchId, Watched};
