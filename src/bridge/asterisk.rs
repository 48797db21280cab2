//! The bridge to Asterisk.

mod answerer;
mod body;
mod digest;
mod eid;
mod message;
mod transaction;

pub use body::{Body, BodyError, Package};
pub use eid::{Eid, ParseEidError};
pub use transaction::Retransmit;
