//! Share device state, message counts and presence between any number of phone servers.

pub mod model;

pub use model::*;
