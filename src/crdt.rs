//! Merging: registers, per-origin maps, version vectors and the deltas that carry them.
//!
//! State is a map from replica to that replica's own [`OriginMap`], which it alone writes. Within one map an
//! [`Entry`] is a last-writer-wins register ordered by its seq; across maps a key that several replicas write
//! is a last-writer-wins register ordered by [`Stamp`]. Both rest on [`crdts::LWWReg`].
//!
//! This module knows nothing of time passing, networks or liveness.
//!
//! # The rules
//!
//! A delta says: whoever has all of this origin's life up to `base` has, with these entries, all up to `upto`.
//!
//! 1. Of an earlier incarnation than the known one: drop it. Of a later one: start afresh.
//! 2. `upto ≤ head`: drop *all* of it, or an old copy resurrects what was deleted and forgotten meanwhile.
//! 3. `base ≤ head < upto`: apply the entries above the head; the head is `upto` now.
//! 4. `base > head`: keep it, unseen, and ask for what is between. Counting it would lose that for ever.
//! 5. A reset replaces the whole map, only if `upto > head`; the watermark is the greater of both.
//! 6. Who sends: `upto` is always one's own head, and `base` at least one's own watermark, else it is a reset.
//!
//! ```
//! use presence_mesh::crdt::{Accepted, Content, Delta, Hlc, OriginMap};
//! use presence_mesh::{DeviceState, Incarnation, Key, Source, SpaceId};
//!
//! let lamp = Key::new(SpaceId::DEVICES, "PJSIP/100")?;
//! let content = |state: DeviceState| Content { value: Some(state.into()), source: Source::API, over: None };
//! let mut original = OriginMap::new(Incarnation(7));
//! original.write(lamp.clone(), Hlc::ZERO, content(DeviceState::Ringing));
//! original.write(lamp.clone(), Hlc::ZERO, content(DeviceState::InUse));
//! let delta = |base| Delta {
//!     incarnation: Incarnation(7),
//!     base,
//!     upto: original.head(),
//!     reset: None,
//!     entries: original.page(base, usize::MAX).entries,
//! };
//!
//! let mut copy = OriginMap::new(Incarnation(7));
//! assert!(matches!(copy.accept(delta(1)), Accepted::Early(_)), "what is before it is missing");
//! assert!(matches!(copy.accept(delta(0)), Accepted::Applied(_)));
//! assert_eq!(copy.accept(delta(0)), Accepted::Old);
//! assert_eq!((copy.head(), copy.hash()), (original.head(), original.hash()));
//! # Ok::<(), presence_mesh::KeyError>(())
//! ```
//!
//! They keep three invariants, which tests and the simulator check after every step. **J**: a copy of a map
//! equals the original as it was when its seq was the copy's head, never a mixture. **M**: heads never go back.
//! **A**, which follows: equal heads, of any value, mean equal maps.

mod delta;
mod entry;
mod heads;
mod hlc;
mod key_map;
mod origin_map;
mod pending;
mod piece;
mod stamp;
mod whole;

pub use delta::{Delta, DeltaError, MAX_SEQ};
pub use entry::{Content, Entry, MAX_NAMED_DOTS};
pub use heads::{Head, Heads};
pub use hlc::{Hlc, HybridClock};
pub(crate) use key_map::{KeyMap, Slot, place};
pub use origin_map::{Accepted, OriginMap, Page};
pub use pending::{Outcome, Pending};
pub use piece::{Piece, Resume};
pub use stamp::{Claim, Dot, Register, Stamp, latest_writer, merge_registers, write_over};
pub use whole::Whole;
