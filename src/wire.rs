//! Frames and messages as bytes.
//!
//! What is gossiped is a [`Frame`]: a signed [`Header`] and a body. What two replicas say to each other to
//! repair what was lost is a [`Request`] and its [`Response`]:
//!
//! ```text
//!  asker                                   answerer
//!    │ Root(root) ─────────────────────────►│   equal roots: Equal, done
//!    │◄───────────────────────── Heads(...) │   else what the answerer has, and how old its news of each is
//!    │ Pull(wants) ────────────────────────►│
//!    │◄─────────────────── Parts(..., more) │   repeated by cursor until the last part of each
//!    │ Have(heads) ────────────────────────►│   where the asker is ahead: the answerer pulls in its turn
//!    │◄────────────────────────────── Noted │
//!    │ Events(known) ──────────────────────►│   only when events are remembered
//!    │◄──────────────── Events(frames, more) │   original frames, repeated until there are no more
//! ```
//!
//! ```
//! use presence_mesh::wire::Request;
//! let bytes = Request::Heads(None).encode();
//! assert_eq!(Request::decode(&bytes), Ok(Request::Heads(None)));
//! assert!(Request::decode(&bytes[..1]).is_err(), "cut off");
//! ```
//!
//! Every message begins with a version byte. Decoding never panics, never allocates more than a constant
//! factor of its input, and checks every signature it meets, so what comes out of here was said by whom it
//! names. Who sends what when is not known here.

mod codec;
mod draft;
mod events;
mod frame;
mod header;
mod invite;
mod keys;
mod part;
mod sync;

pub use crate::crdt::Resume;
pub use codec::DecodeError;
pub use draft::Draft;
pub use events::{
    BatchedEvent, EventBatch, EventsWanted, KnownEvents, MAX_EVENT_FRAMES, MAX_EVENTS_BODY_BYTES,
    MAX_KNOWN_EVENTS, RememberedFrame,
};
pub use frame::{Body, Frame, MAX_FRAME_BYTES};
pub use header::{Header, Kind, SignedHeader};
pub use invite::{Invite, MAX_INVITE_BYTES, ParseInviteError};
#[cfg(feature = "net")]
pub(crate) use invite::{KNOCK_BYTES, host_and_port};
pub use keys::{Digest, Identity, KeyFileError, MeshId, MeshKey, ParseDigestError};
pub use part::Part;
pub use sync::{
    About, Alive, Answer, HeadInfo, MAX_HEADS_PER_MESSAGE, MAX_SYNC_BYTES, PART_BUDGET_BYTES,
    Request, Response, Want,
};

/// The version byte every message begins with.
pub const WIRE_VERSION: u8 = 1;
