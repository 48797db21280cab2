//! The bridge to Asterisk.

mod answerer;
mod body;
mod digest;
mod eid;
mod ledger;
mod message;
mod publisher;
mod reconcile;
mod transaction;
#[cfg(test)]
mod transcript;

pub use body::{Body, BodyError, Package};
pub use eid::{Eid, ParseEidError};
pub use ledger::LedgerError;
pub use transaction::Retransmit;
