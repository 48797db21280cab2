//! How a replica is doing, in numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use super::counters::Counters;
use super::member::Standing;
use super::shown::Freshness;
use crate::model::SpaceId;

/// How a replica is doing, in numbers: what it counted, and what there is now.
///
/// Costs one look at each origin and none at keys: it may be asked for every second.
///
/// ```
/// use presence_mesh::{Freshness, ReplicaStatistics, SpaceId};
/// fn stale_lamps(statistics: &ReplicaStatistics) -> usize {
///     statistics.entries.get(&(SpaceId::DEVICES, Freshness::Stale)).copied().unwrap_or_default()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ReplicaStatistics {
    /// What was done since the start.
    pub counters: Counters,
    /// The other nodes, by standing. All standings are there.
    pub peers: BTreeMap<Standing, usize>,
    /// How many of those that are gone have said goodbye.
    pub peers_left: usize,
    /// What is shown, by space and freshness. All visible spaces and freshnesses are there.
    pub entries: BTreeMap<(SpaceId, Freshness), usize>,
    /// Deltas that are kept because something before them is missing.
    pub pending_ranges: usize,
    /// How far the clock of a connected peer is off ours at the most, ahead or behind; zero while none is known.
    pub clock_skew: Duration,
    /// What waits, by queue: `outputs` for the network's task, `keys` to be shown, `events` to be sent, and entries
    /// that are `staged` until all of their delta is here.
    pub queues: BTreeMap<&'static str, usize>,
}

/// A number for each space that users see.
///
/// ```
/// use presence_mesh::{SpaceCounts, SpaceId};
/// assert_eq!(SpaceCounts::default().get(SpaceId::DEVICES), 0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpaceCounts([u64; SpaceId::VISIBLE.len()]);

impl SpaceCounts {
    /// Of one space; of one that users do not see, 0.
    pub fn get(&self, space: SpaceId) -> u64 {
        Self::place(space).map_or(0, |place| self.0[place])
    }

    pub(super) fn add(&mut self, space: SpaceId) {
        if let Some(place) = Self::place(space) {
            self.0[place] += 1;
        }
    }

    pub(super) fn add_all(&mut self, other: Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }

    pub(super) fn of(spaces: impl Iterator<Item = SpaceId>) -> Self {
        let mut counts = Self::default();
        spaces.for_each(|space| counts.add(space));
        counts
    }

    fn place(space: SpaceId) -> Option<usize> {
        SpaceId::VISIBLE
            .iter()
            .position(|&visible| visible == space)
    }
}

/// How long writes of others took until they were shown here.
///
/// Counted is what was written in its origin's present life and came by gossip, or filled a gap: neither what a
/// newcomer is told of the past, nor what an adapter merely restates. The two clocks are compared, less the skew
/// that was measured between them, so what is below a millisecond or two says little.
///
/// ```
/// use presence_mesh::Propagation;
/// let none = Propagation::default();
/// assert_eq!((none.count(), none.sum()), (0, std::time::Duration::ZERO));
/// assert!(none.buckets().all(|(_, writes)| writes == 0));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Propagation {
    counts: [u64; Self::BOUNDS_MS.len() + 1],
    sum_ms: u64,
}

impl Propagation {
    /// The upper ends of the buckets, in ms; what took longer than the last is in one more.
    pub const BOUNDS_MS: [u64; 14] = [
        1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 60_000,
    ];

    pub(super) fn record(&mut self, took_ms: u64) {
        let bucket = Self::BOUNDS_MS.partition_point(|&bound| bound < took_ms);
        self.counts[bucket] += 1;
        self.sum_ms = self.sum_ms.saturating_add(took_ms);
    }

    /// Each bucket's upper end, `None` for the last, and how many are in it and in no earlier one.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let ends = Self::BOUNDS_MS.map(|bound| Some(Duration::from_millis(bound)));
        ends.into_iter().chain([None]).zip(self.counts)
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How long all of them took together.
    pub fn sum(&self) -> Duration {
        Duration::from_millis(self.sum_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_upper_end() {
        let mut propagation = Propagation::default();
        for took_ms in [0, 1, 2, 3, 60_000, 60_001] {
            propagation.record(took_ms);
        }
        let filled: Vec<_> = propagation
            .buckets()
            .filter(|(_, count)| *count > 0)
            .collect();
        let end = |ms| Some(Duration::from_millis(ms));
        assert_eq!(
            filled,
            [
                (end(1), 2),
                (end(2), 1),
                (end(5), 1),
                (end(60_000), 1),
                (None, 1)
            ]
        );
        assert_eq!(propagation.count(), 6);
        assert_eq!(propagation.sum(), Duration::from_millis(120_007));
    }

    #[test]
    fn only_visible_spaces_are_counted() {
        let spaces = [
            SpaceId::DEVICES,
            SpaceId::NODES,
            SpaceId(200),
            SpaceId::DEVICES,
        ];
        let counts = SpaceCounts::of(spaces.into_iter());
        assert_eq!(counts.get(SpaceId::DEVICES), 2);
        assert_eq!(counts.get(SpaceId::NODES), 0);
        assert_eq!(counts.get(SpaceId(200)), 0);
    }
}
