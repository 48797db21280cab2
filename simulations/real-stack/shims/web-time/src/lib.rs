//! What libp2p uses of `web-time`, with tokio's [`Instant`]: it stands still while virtual time does. The wall
//! clock stays the machine's.

pub use std::time::{Duration, SystemTime, SystemTimeError, TryFromFloatSecsError, UNIX_EPOCH};

pub use tokio::time::Instant;
