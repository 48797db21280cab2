//! The numbers a replica works by.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::crdt::Hlc;
use crate::model::Incarnation;
use crate::wire::{MeshId, PART_BUDGET_BYTES};

/// What a replica is given at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// The mesh it belongs to.
    pub mesh: MeshId,
    /// What people call it.
    pub node: String,
    /// The program's version, shown to peers.
    pub version: String,
    /// How long things take.
    pub timing: Timing,
    /// How much there may be.
    pub limits: Limits,
    /// How several writers of one mailbox combine.
    pub mailboxes: Merge,
    /// Every earlier incarnation known from disk; the new one is above it.
    pub incarnation_floor: Incarnation,
    /// Every stamp handed out in an earlier life is below this.
    pub hlc_floor: Hlc,
    /// Seeds the choice of peers and the random bits of the incarnation.
    pub seed: u64,
}

/// How several writers of one mailbox combine.
///
/// ```
/// use presence_mesh::Merge;
/// assert_eq!("sum".parse(), Ok(Merge::Sum));
/// assert_eq!(Merge::default().to_string(), "latest");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub enum Merge {
    /// The latest writer's counts are the mailbox's.
    #[default]
    Latest,
    /// Each writer counts messages of its own: the sum.
    Sum,
}

/// How long things take. Made from a [`Preset`] and changed field by field: there will be more of them.
///
/// ```
/// use presence_mesh::Preset;
/// use std::time::Duration;
/// let mut timing = Preset::Lan.timing();
/// timing.gone_after = Duration::from_secs(20);
/// assert!(timing.check().is_ok());
/// timing.gone_after = Duration::from_secs(1);
/// let error = timing.check().expect_err("shorter than stale_after");
/// assert_eq!(error.to_string(), "gone_after is 1s, it must be at least 3s");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timing {
    /// The longest silence when there is nothing to say. Shorter finds deaths sooner and costs every member
    /// one message per beat and node. Stretched to one hundredth of a second per known node. 1 s.
    pub beat: Duration,
    /// Silence after which an origin's values are shown stale; at least three beats. 3 s: a beat may be lost.
    pub stale_after: Duration,
    /// Silence after which an origin is gone and its devices leave their aggregates. 10 s.
    pub gone_after: Duration,
    /// How long the state of a gone origin is kept. 7 days: longer than a long weekend without power.
    pub forget_after: Duration,
    /// How often a random peer is asked whether it has the same. 10 s; repairs what every quicker way missed.
    pub sync: Duration,
    /// How long an unanswered question to a peer keeps us from asking another. 1 s.
    pub retry: Duration,
    /// Age at which tombstones are forgotten. 2 h (chitchat's default).
    pub tombstone: Duration,
    /// How long events are remembered for those who come late or were cut off; 0: not at all, which is the
    /// default. Longer costs memory on every node, up to [`Limits::remembered_bytes`].
    pub remember: Duration,
    /// A stamp this far ahead of the wall clock is held back, and a clock this far off its peers' median may
    /// not write shared keys. 5 s: above what NTP leaves, below what a person would notice (a guess).
    pub max_clock_drift: Duration,
}

/// Timings for common places.
///
/// ```
/// use presence_mesh::Preset;
/// use std::time::Duration;
/// let preset: Preset = "wan".parse()?;
/// assert_eq!((preset, preset.to_string().as_str()), (Preset::Wan, "wan"));
/// assert_eq!(preset.timing().gone_after, Duration::from_secs(30));
/// # Ok::<(), presence_mesh::UnknownWord>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub enum Preset {
    /// One site: beat 1 s, stale after 3 s, gone after 10 s.
    #[default]
    Lan,
    /// Across the internet: stale after 5 s, gone after 30 s.
    Wan,
    /// One machine, for tests and demonstrations: beat 200 ms, stale after 600 ms, gone after 2 s.
    Local,
}

/// As configuration files spell it: `latest`, `sum`.
impl fmt::Display for Merge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Latest => "latest",
            Self::Sum => "sum",
        })
    }
}

impl FromStr for Merge {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Latest, Self::Sum];
        word_for(text, all, "latest or sum")
    }
}

/// As configuration files spell it: `lan`, `wan`, `local`.
impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Lan => "lan",
            Self::Wan => "wan",
            Self::Local => "local",
        })
    }
}

impl FromStr for Preset {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Lan, Self::Wan, Self::Local];
        word_for(text, all, "lan, wan or local")
    }
}

/// The one of these that is spelt so.
fn word_for<T: fmt::Display>(
    text: &str,
    all: impl IntoIterator<Item = T>,
    expected: &'static str,
) -> Result<T, UnknownWord> {
    let mut all = all.into_iter();
    all.find(|word| word.to_string() == text)
        .ok_or_else(|| UnknownWord {
            text: text.chars().take(64).collect(),
            expected,
        })
}

/// A text is none of the words that are expected.
///
/// ```
/// let error = "moon".parse::<presence_mesh::Preset>().expect_err("no preset");
/// assert_eq!(error.to_string(), "must be lan, wan or local, not \"moon\"");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("must be {expected}, not {text:?}")]
pub struct UnknownWord {
    text: String,
    expected: &'static str,
}

impl Preset {
    /// The timings of this preset.
    pub fn timing(self) -> Timing {
        let lan = Timing {
            beat: Duration::from_secs(1),
            stale_after: Duration::from_secs(3),
            gone_after: Duration::from_secs(10),
            forget_after: Duration::from_secs(7 * 24 * 3600),
            sync: Duration::from_secs(10),
            retry: Duration::from_secs(1),
            tombstone: Duration::from_secs(2 * 3600),
            remember: Duration::ZERO,
            max_clock_drift: Duration::from_secs(5),
        };
        match self {
            Self::Lan => lan,
            Self::Wan => Timing {
                stale_after: Duration::from_secs(5),
                gone_after: Duration::from_secs(30),
                ..lan
            },
            Self::Local => Timing {
                beat: Duration::from_millis(200),
                stale_after: Duration::from_millis(600),
                gone_after: Duration::from_secs(2),
                sync: Duration::from_secs(2),
                ..lan
            },
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Preset::Lan.timing()
    }
}

impl Timing {
    /// Checks that the timings make sense together. Nothing is clamped.
    ///
    /// # Errors
    /// The first that does not, with its bound.
    pub fn check(&self) -> Result<(), ConfigError> {
        let at_least = |field, value: Duration, least: Duration| {
            if value >= least {
                Ok(())
            } else {
                Err(ConfigError {
                    field,
                    value,
                    least,
                })
            }
        };
        at_least("beat", self.beat, Duration::from_millis(20))?;
        at_least("stale_after", self.stale_after, self.beat * 3)?;
        at_least("gone_after", self.gone_after, self.stale_after)?;
        at_least("forget_after", self.forget_after, self.gone_after)?;
        at_least("sync", self.sync, Duration::from_millis(100))?;
        at_least("retry", self.retry, Duration::from_millis(100))?;
        at_least("tombstone", self.tombstone, Duration::from_secs(60))?;
        at_least(
            "max_clock_drift",
            self.max_clock_drift,
            Duration::from_millis(100),
        )
    }
}

/// A timing is too short.
///
/// ```
/// use presence_mesh::Preset;
/// use std::time::Duration;
/// let mut timing = Preset::Lan.timing();
/// timing.beat = Duration::ZERO;
/// assert_eq!(timing.check().expect_err("no beat at all").field(), "beat");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field} is {value:?}, it must be at least {least:?}")]
pub struct ConfigError {
    field: &'static str,
    value: Duration,
    least: Duration,
}

impl ConfigError {
    /// The timing's name.
    pub fn field(&self) -> &'static str {
        self.field
    }
}

/// How much there may be. What happens when a bound is reached stands with each. Made by [`Limits::default`] and
/// changed field by field: there will be more of them.
///
/// ```
/// use presence_mesh::Limits;
/// let mut limits = Limits::default();
/// limits.entries_per_origin = 10_000;
/// assert_eq!(limits.watch_queue, 4_096);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Live entries this node may write itself; a write beyond it is refused. 1,000,000.
    pub entries_per_origin: usize,
    /// Origins known at once; deltas of further ones are dropped and counted. 10,000.
    pub origins: usize,
    /// Deltas kept per origin because something before them is missing; further ones are dropped, and asked
    /// for later. 8.
    pub pending_ranges: usize,
    /// Entries in all pending ranges and unfinished transfers together; beyond it they are dropped, and asked
    /// for later. 4,000,000.
    pub staged_entries: usize,
    /// Bytes of entries in one answer to a peer that lacks them; what is beyond it travels in further parts.
    /// Smaller answers let beats pass between them, and cost a round trip each. 192 KiB, and never more than that.
    pub part_bytes: usize,
    /// Graves of forgotten origins; beyond it the oldest are filled in. 100,000.
    pub graves: usize,
    /// Frames waiting for the driver; beyond it they are dropped, and anti-entropy spreads their content. 256.
    pub outgoing_frames: usize,
    /// Watches of this node at once; a further one is refused. 16,384: each is held against every change, and
    /// programs that follow single keys for many people can share a watch instead.
    pub watches: usize,
    /// Changes waiting for one watcher; beyond it the watcher is told to resynchronise. 4,096.
    pub watch_queue: usize,
    /// Subscriptions to events of this node at once; a further one is refused. 65,536: those to other kinds cost
    /// an event nothing.
    pub subscriptions: usize,
    /// Events waiting for one subscriber; beyond it the oldest are dropped and the subscriber is told. 16,384:
    /// twice what is remembered.
    pub event_queue: usize,
    /// Own events waiting to be put into a frame; beyond it (or 4 MiB) the oldest are dropped. 4,096.
    pub outgoing_events: usize,
    /// Frames of events held back because something before them is missing; beyond it the missing ones are
    /// given up. 1,024.
    pub held_event_frames: usize,
    /// Events remembered, of all origins together; beyond it the oldest are forgotten. 8,192.
    pub remembered_events: usize,
    /// What remembered events may take, roughly, in bytes; beyond it the oldest are forgotten. 32 MiB.
    pub remembered_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries_per_origin: 1_000_000,
            origins: 10_000,
            pending_ranges: 8,
            staged_entries: 4_000_000,
            part_bytes: PART_BUDGET_BYTES,
            graves: 100_000,
            outgoing_frames: 256,
            watches: 16_384,
            watch_queue: 4_096,
            subscriptions: 65_536,
            event_queue: 16_384,
            outgoing_events: 4_096,
            held_event_frames: 1_024,
            remembered_events: 8_192,
            remembered_bytes: 32 * 1024 * 1024,
        }
    }
}
