//! What a replica has done since its start.

use std::collections::BTreeMap;

use super::statistics::{Propagation, SpaceCounts};

/// What a replica has done since its start. All only ever rise.
///
/// ```
/// use presence_mesh::Counters;
/// let mut counters = Counters::default();
/// counters.rejected.insert("origins", 3); // a node does that; users only read
/// assert_eq!(counters.rejected.values().sum::<u64>(), 3);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters {
    /// Local writes that changed something.
    pub local_writes: u64,
    /// The same by space, the node's own record left out.
    pub local_writes_in: SpaceCounts,
    /// Entries published in gossiped deltas.
    pub entries_published: u64,
    /// Frames handed to gossip: deltas, beats, leaves.
    pub frames_published: u64,
    /// Frames dropped because the driver did not keep up.
    pub frames_dropped: u64,
    /// Frames taken from gossip.
    pub frames_received: u64,
    /// Entries of others applied.
    pub entries_applied: u64,
    /// The same by space, the nodes' own records left out.
    pub remote_applied: SpaceCounts,
    /// Entries of others that were not looked at because all of their delta was known.
    pub remote_old: SpaceCounts,
    /// Entries of others that were refused: beyond a limit, or against the rules. What could not even be read is
    /// in no space, and counted as rejected only.
    pub remote_rejected: SpaceCounts,
    /// How long writes of others took until they were shown here.
    pub propagation: Propagation,
    /// Deltas dropped because all of it was known.
    pub deltas_old: u64,
    /// Deltas kept because something before them was missing.
    pub deltas_early: u64,
    /// Entries sent in answer to pulls.
    pub entries_served: u64,
    /// Whole maps sent because the asker had been away too long.
    pub resets_served: u64,
    /// Whole maps taken.
    pub resets_applied: u64,
    /// Anti-entropy rounds that found equal stores.
    pub rounds_equal: u64,
    /// Anti-entropy rounds that found a difference.
    pub rounds_unequal: u64,
    /// Requests that failed.
    pub requests_failed: u64,
    /// Events published here.
    pub events_published: u64,
    /// Events of others taken in, each once, whether or not anybody here wanted it.
    pub events_received: u64,
    /// Events of others that never came.
    pub events_lost: u64,
    /// Frames of events sent to those who had missed them.
    pub event_frames_served: u64,
    /// Events dropped, by reason: `outgoing` (more were published than the network took), `expired`, `old`
    /// (delivered already, or given up), `life` (published in an earlier life).
    pub events_dropped: BTreeMap<&'static str, u64>,
    /// Tombstones forgotten.
    pub tombstones_collected: u64,
    /// Things refused or left out, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
}

impl Counters {
    pub(crate) fn drop_events(&mut self, reason: &'static str, count: u64) {
        if count > 0 {
            let dropped = self.events_dropped.entry(reason).or_default();
            *dropped = dropped.saturating_add(count);
        }
    }

    pub(crate) fn reject(&mut self, reason: &'static str) {
        *self.rejected.entry(reason).or_default() += 1;
    }
}
