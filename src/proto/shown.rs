//! What users see of a key.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::model::{Incarnation, ReplicaId, Source, Value};

/// How far a shown value may be trusted.
///
/// ```
/// use presence_mesh::Freshness;
/// assert!(Freshness::Live < Freshness::Stale && Freshness::Stale < Freshness::Gone);
/// assert_eq!(Freshness::Stale.to_string(), "stale");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Freshness {
    /// Right, as far as can be known.
    Live,
    /// It was right some time ago; the age says when.
    Stale,
    /// Everyone who said anything about it is gone.
    Gone,
}

impl fmt::Display for Freshness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Live => "live",
            Self::Stale => "stale",
            Self::Gone => "gone",
        })
    }
}

/// What is shown of one key.
///
/// ```
/// use presence_mesh::{DeviceState, Freshness, Shown};
/// /// A lamp that never lies.
/// fn lamp(shown: &Shown<DeviceState>) -> String {
///     match shown.freshness {
///         Freshness::Live => format!("{}: {}", shown.key, shown.value.label()),
///         Freshness::Stale => format!("{}: {}, {:?} ago", shown.key, shown.value.label(), shown.age),
///         _ => format!("{}: its servers are gone", shown.key),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Shown<T> {
    /// The key's name.
    pub key: Arc<str>,
    /// Whose own this is, where each origin's is shown apart; `None` where contributions are combined.
    pub origin: Option<ReplicaId>,
    /// The value, as all contributions together make it.
    pub value: T,
    /// How far it may be trusted.
    pub freshness: Freshness,
    /// Taking contributions youngest first, the age of the one that completes the result; when gone, that of
    /// the last one heard.
    pub age: Duration,
    /// The newest write among those the result needs, by its writer's wall clock.
    pub changed_at: SystemTime,
    /// What each origin says, ordered by node name and replica. Empty in the old value of a [`Change`].
    pub contributions: Vec<Contribution<T>>,
}

/// What one origin says of a key.
///
/// ```
/// use presence_mesh::{Contribution, DeviceState};
/// /// Which servers make the lamp what it is.
/// fn deciding(all: &[Contribution<DeviceState>]) -> Vec<&str> {
///     all.iter().filter(|said| said.wins).map(|said| &*said.node).collect()
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Contribution<T> {
    /// What people call the origin; its replica id while its name is not known.
    pub node: Arc<str>,
    /// The origin.
    pub replica: ReplicaId,
    /// The origin's life in which it wrote this.
    pub incarnation: Incarnation,
    /// The number of the write.
    pub seq: u64,
    /// The hybrid time of the write; 0 for what an adapter merely restated.
    pub hlc: u64,
    /// When it was written, by the writer's wall clock; for what was restated, when the writer started.
    pub written_at: SystemTime,
    /// The adapter that wrote it.
    pub source: Source,
    /// What it says.
    pub value: T,
    /// How far it may be trusted.
    pub freshness: Freshness,
    /// How long ago its origin (or the PBX behind its source) was last known alive; 0 for our own.
    pub age: Duration,
    /// Whether it is our own.
    pub own: bool,
    /// Whether its stamp lies too far in the future, so that it loses to any other.
    pub held: bool,
    /// Whether it is of an earlier life of its origin, kept until rewritten or until the origin has settled.
    pub previous: bool,
    /// Whether it decides what is shown, alone or with others.
    pub wins: bool,
}

/// A change of what is shown.
///
/// ```
/// use presence_mesh::{Change, DeviceState};
/// fn told(change: &Change<DeviceState>) -> String {
///     match (&change.old, &change.new) {
///         (Some(old), Some(new)) if old.value == new.value => format!("{} is {} now", change.key, new.freshness),
///         (_, Some(new)) => format!("{} is {} now", change.key, new.value),
///         (_, None) => format!("{} is withdrawn", change.key),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Change<T> {
    /// The key's name.
    pub key: Arc<str>,
    /// Whose own changed, where each origin's is shown apart; `None` where contributions are combined.
    pub origin: Option<ReplicaId>,
    /// What was shown before, without contributions; `None` when nothing was.
    pub old: Option<Shown<T>>,
    /// What is shown now; `None` when the key was withdrawn.
    pub new: Option<Shown<T>>,
}

/// Why a key shows what it shows.
///
/// ```
/// use presence_mesh::{DeviceState, Explanation};
/// fn why(explanation: &Explanation<DeviceState>) -> String {
///     let shown = &explanation.shown;
///     format!("{} shows {}: {}", explanation.key, shown.value, explanation.rule)
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Explanation<T> {
    /// The key's name.
    pub key: Arc<str>,
    /// The rule that decided.
    pub rule: Rule,
    /// What is shown, with every contribution.
    pub shown: Shown<T>,
}

/// The rule that decided what is shown. Prints as a sentence.
///
/// ```
/// use presence_mesh::Rule;
/// assert_eq!(Rule::LatestWriter.name(), "latest-writer");
/// assert_eq!(Rule::LatestWriter.to_string(), "the latest write wins");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// One origin contributes.
    Single,
    /// Device states joined as in Asterisk.
    Aggregate,
    /// The greatest stamp.
    LatestWriter,
    /// The counts of all writers added.
    Sum,
    /// Each origin's own; never combined.
    PerOrigin,
    /// Everyone who contributed is gone.
    AllGone,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Single => "one server reports it",
            Self::Aggregate => {
                "the states of all servers together, as Asterisk joins them: ringing beside a call is RINGINUSE, \
                 otherwise the busiest wins"
            }
            Self::LatestWriter => "the latest write wins",
            Self::Sum => "the counts of all servers added",
            Self::PerOrigin => "each server's own is shown",
            Self::AllGone => "every server that reported it is gone",
        })
    }
}

impl Rule {
    /// One word for machines: `single`, `aggregate`, `latest-writer`, `sum`, `per-origin`, `all-gone`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Aggregate => "aggregate",
            Self::LatestWriter => "latest-writer",
            Self::Sum => "sum",
            Self::PerOrigin => "per-origin",
            Self::AllGone => "all-gone",
        }
    }
}

impl Shown<Value> {
    /// Decodes all values with `decode`; `None` when the shown one cannot be. Contributions that cannot be
    /// are left out.
    ///
    /// ```
    /// use presence_mesh::{MessageCounts, Shown, Value};
    /// fn counts(shown: &Shown<Value>) -> Option<Shown<MessageCounts>> {
    ///     shown.decode(|value| value.decode())
    /// }
    /// ```
    pub fn decode<T>(&self, decode: impl Fn(&Value) -> Option<T>) -> Option<Shown<T>> {
        let contributions = self
            .contributions
            .iter()
            .filter_map(|contribution| contribution.decode(&decode));
        Some(Shown {
            key: self.key.clone(),
            origin: self.origin,
            value: decode(&self.value)?,
            freshness: self.freshness,
            age: self.age,
            changed_at: self.changed_at,
            contributions: contributions.collect(),
        })
    }
}

impl Explanation<Value> {
    /// Decodes all values with `decode`; `None` when the shown one cannot be. Contributions that cannot be
    /// are left out.
    ///
    /// ```
    /// use presence_mesh::{Explanation, MessageCounts, Value};
    /// fn counts(told: &Explanation<Value>) -> Option<Explanation<MessageCounts>> {
    ///     told.decode(|value| value.decode())
    /// }
    /// ```
    pub fn decode<T>(&self, decode: impl Fn(&Value) -> Option<T>) -> Option<Explanation<T>> {
        Some(Explanation {
            key: self.key.clone(),
            rule: self.rule,
            shown: self.shown.decode(decode)?,
        })
    }
}

impl Contribution<Value> {
    /// Decodes the value with `decode`; `None` when that cannot be.
    ///
    /// ```
    /// use presence_mesh::{Contribution, DeviceState, Value};
    /// fn state(said: &Contribution<Value>) -> Option<Contribution<DeviceState>> {
    ///     said.decode(|value| Some(value.device_state()))
    /// }
    /// ```
    pub fn decode<T>(&self, decode: impl Fn(&Value) -> Option<T>) -> Option<Contribution<T>> {
        Some(Contribution {
            node: self.node.clone(),
            replica: self.replica,
            incarnation: self.incarnation,
            seq: self.seq,
            hlc: self.hlc,
            written_at: self.written_at,
            source: self.source,
            value: decode(&self.value)?,
            freshness: self.freshness,
            age: self.age,
            own: self.own,
            held: self.held,
            previous: self.previous,
            wins: self.wins,
        })
    }
}
