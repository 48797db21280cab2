//! Merging: registers, per-origin maps, version vectors and the deltas that carry them.
//!
//! State is a map from replica to that replica's own [`OriginMap`], which it alone writes. Within one map an
//! [`Entry`] is a last-writer-wins register ordered by its seq; across maps a key that several replicas write
//! is a last-writer-wins register ordered by [`Stamp`]. Both rest on [`crdts::LWWReg`].
//!
//! This module knows nothing of time passing, networks or liveness.

mod delta;
mod entry;
mod heads;
mod hlc;
mod origin_map;
mod stamp;

pub use delta::{Delta, DeltaError, MAX_SEQ};
pub use entry::{Content, Entry, MAX_NAMED_DOTS};
pub use heads::{Head, Heads};
pub use hlc::{Hlc, HybridClock};
pub use origin_map::{Accepted, OriginMap, Page};
pub use stamp::{Dot, Register, Stamp, merge_registers};
