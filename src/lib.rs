//! Share device state, message counts and presence between any number of phone servers.

pub mod crdt;
pub mod model;
pub mod wire;

pub use model::*;
