//! Faults that can be planted in the core on purpose, to see that the simulator's checkers catch them.
//!
//! Each breaks one rule of the design in the one place where the production code keeps it. Nothing is planted
//! unless [`plant`] is called, and then for the calling thread alone. Without the feature `zoo` no fault can be
//! planted at all, and the code that asks for one is compiled away.
//!
//! ```
//! use presence_mesh::zoo::{Fault, plant};
//! let fault: Fault = "gone-shown-live".parse()?;
//! let planted = plant(fault);
//! // Whatever replicas do on this thread now, they do wrong.
//! drop(planted);
//! # Ok::<(), presence_mesh::zoo::UnknownFault>(())
//! ```

#[cfg(feature = "zoo")]
mod plant;

#[cfg(feature = "zoo")]
pub use plant::{Planted, UnknownFault, plant};

/// A fault that can be planted.
///
/// For each: what the code does wrong, which rule that breaks, what a user would see, and which of the scenarios in
/// `tests/zoo.rs` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// A delta that came too early is applied, and the head rises to its end though something before it is
    /// missing (rule 4 of [`crate::crdt`]). What was lost is never asked for again: a phone's state stays
    /// wrong for ever.
    ///
    /// Shown by `overtaken`.
    CountsByGreatestSeq,
    /// Collecting tombstones does not raise the watermark (rule 6): who was away is sent a delta instead of a
    /// reset, and keeps lamps burning that were withdrawn meanwhile.
    ///
    /// Shown by `away`.
    NoWatermark,
    /// Taking a reset forgets the sender's watermark (rule 5): whoever is brought forward from here keeps
    /// lamps burning that were withdrawn meanwhile.
    ///
    /// Shown by `handed-on`.
    ResetLosesWatermark,
    /// Entries of a range that is known already are applied again (rule 2): an old copy on its way brings back
    /// a lamp that was withdrawn and whose tombstone is collected.
    ///
    /// Shown by `replayed`.
    CoveredRangeApplied,
    /// Entries of a delta that came too early are put into the map at once (rule 4): a copy that was never a
    /// true moment of its origin is shown.
    ///
    /// Shown by `overtaken`.
    ShownAboveHead,
    /// A reply that does not fit one part claims to be complete up to its last entry (rule 6): a `set_many` is
    /// seen in halves, and when its origin dies then, two nodes with equal heads differ for ever.
    ///
    /// Shown by `away`.
    ReplyCutShort,
    /// A reset in parts begins again with every question (rule 6): it never ends, and who was away stays
    /// behind for ever.
    ///
    /// Shown by `away`.
    ResetWithoutCursor,
    /// A reply claims to reach as far as the origin has signed, though the sender itself lacks some of it
    /// (rule 6): the asker takes what is missing for known.
    ///
    /// Shown by `overtaken`.
    UptoAboveOwnHead,
    /// A later life of an origin inherits the map of the one before (rule 1): after a restart phones show what
    /// they did before it, as live.
    ///
    /// Shown by `restarts`.
    LivesMixed,
    /// What the life before said is not kept for readers until it is said again: every lamp of a restarting
    /// server goes out for a moment.
    ///
    /// Shown by `restarts`.
    RestartBlinks,
    /// Registers merge by [`crdts::LWWReg`] alone, which keeps the local value when stamps are equal, as those
    /// of cloned machines are: two readers differ for ever.
    ///
    /// Shown by `cloned-machine`.
    BareRegister,
    /// A stamp names neither its writer nor the writer's life, so that two writes of one moment tie: readers
    /// differ about who wrote last, and whether that one is alive.
    ///
    /// Shown by `restarts`.
    StampWithoutReplica,
    /// How an origin stands is written into the store: every cut and every heal makes every node write and
    /// send.
    ///
    /// Shown by `dying`.
    LeaseWritten,
    /// The root leaves out incarnations: two stores pass for equal though one holds an earlier life.
    ///
    /// Shown by `no-clock-battery`.
    RootIgnoresIncarnation,
    /// A stamp far in the future advances the local clock: one bad clock carries all others off with it.
    ///
    /// Shown by `future-clock`.
    FutureStampAdopted,
    /// A delta with a stamp far in the future is refused: the phones of a box with a wrong clock are never
    /// seen.
    ///
    /// Shown by `future-clock`.
    AcceptedByClock,
    /// A restart goes on under its old incarnation, with seqs from 1 (**O**): its new writes pass for the old
    /// ones, and are not seen until it has written more than before.
    ///
    /// Shown by `restarts`.
    SameIncarnation,
    /// The end of a pending range is told to others as the head: nobody offers what is missing before it.
    ///
    /// Shown by `overtaken`.
    PendingAsHead,
    /// A part that somebody relays renews the lease of its origin: a dead server's lamps are live again.
    ///
    /// Shown by `dying`.
    RelayRenews,
    /// A beat counts when it arrives instead of when it was sent: a link that stalled and lets go revives the
    /// dead.
    ///
    /// Shown by `stalled`.
    OldBeatRenews,
    /// A tombstone competes with values: one server's clear of a shared mailbox hides what another says of it.
    ///
    /// Shown by `shared`.
    TombstoneCompetes,
    /// A reply sends the asker its own entries, which it will not take: bytes for nothing, after every start.
    ///
    /// Shown by `lost-disk`.
    ReplyEchoes,
    /// An origin that is gone counts as alive: the lamps of a dead server burn again.
    ///
    /// Shown by `dying`.
    GoneShownLive,
    /// A node that meets others beats as rarely as so many should at once, before a frame has said so: others, who
    /// gave it a lease by what it said, show its lamps as stale.
    ///
    /// Shown by `growing`.
    BeatsUnannounced,
}

/// Whether `fault` is planted on this thread.
#[cfg(feature = "zoo")]
pub(crate) fn planted(fault: Fault) -> bool {
    plant::current() == Some(fault)
}

/// Nothing is.
#[cfg(not(feature = "zoo"))]
#[inline(always)]
pub(crate) const fn planted(_: Fault) -> bool {
    false
}
