//! The bridge to Asterisk.

mod answerer;
mod body;
mod clock;
mod desired;
mod digest;
mod eid;
mod ledger;
mod link;
mod message;
mod pbx;
mod publisher;
mod reconcile;
mod transaction;
#[cfg(test)]
mod transcript;

pub use body::{Body, BodyError, Package};
pub use desired::EID_ATTRIBUTE;
pub use eid::{Eid, ParseEidError};
pub use ledger::LedgerError;
pub use pbx::PbxStanding;
pub use transaction::Retransmit;
