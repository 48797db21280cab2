//! The bridge to Asterisk.

mod body;
mod digest;
mod eid;
mod message;

pub use body::{Body, BodyError, Package};
pub use eid::{Eid, ParseEidError};
