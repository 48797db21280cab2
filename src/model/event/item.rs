//! What a subscriber is given.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Event, FieldValue};
use crate::model::{Incarnation, ReplicaId};

/// An event, with who published it and when.
///
/// ```
/// use presence_mesh::PublishedEvent;
/// /// One line for a log.
/// fn line(event: &PublishedEvent) -> String {
///     let caller = event.get("caller").and_then(|caller| caller.as_str()).unwrap_or("somebody");
///     format!("{} #{}: {} by {caller}, {} fields", event.node, event.seq, event.kind(), event.fields().len())
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PublishedEvent {
    /// The event itself; its time to live is set.
    pub event: Event,
    /// Who published it: its origin, whoever handed it on.
    pub replica: ReplicaId,
    /// In which life.
    pub incarnation: Incarnation,
    /// What people call its origin; its replica id until that is known here.
    pub node: Arc<str>,
    /// Its number among those of this life of its origin, from 1.
    pub seq: u64,
    /// When it was published by its origin's wall clock, in ms since the Unix epoch.
    pub at_ms: u64,
}

impl PublishedEvent {
    /// What kind of event it is.
    pub fn kind(&self) -> &str {
        self.event.kind()
    }

    /// Its fields, by name.
    pub fn fields(&self) -> &BTreeMap<String, FieldValue> {
        self.event.fields()
    }

    /// One of its fields.
    pub fn get(&self, name: &str) -> Option<&FieldValue> {
        self.event.get(name)
    }
}

/// What a subscriber is given.
///
/// ```
/// use presence_mesh::{EventItem, Gap};
/// let told = |item: &EventItem| match item {
///     EventItem::Event(event) => event.kind().to_owned(),
///     EventItem::Gap(gap) => format!("missed: {gap:?}"),
///     _ => String::new(), // later versions may tell more
/// };
/// assert_eq!(told(&EventItem::Gap(Gap::Slow { dropped: 3 })), "missed: Slow { dropped: 3 }");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventItem {
    /// An event, once.
    Event(Arc<PublishedEvent>),
    /// Events are missing here. They may not have been wanted: what was lost cannot be matched.
    Gap(Gap),
}

/// Why events are missing.
///
/// ```
/// use presence_mesh::Gap;
/// fn missed(gap: &Gap) -> u64 {
///     match gap {
///         Gap::Lost { first, last, .. } => last - first + 1,
///         Gap::Slow { dropped } => *dropped,
///         _ => 1,
///     }
/// }
/// assert_eq!(missed(&Gap::Slow { dropped: 3 }), 3);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gap {
    /// They never arrived, and nobody who was asked remembers them.
    Lost {
        /// Who published them.
        replica: ReplicaId,
        /// In which life.
        incarnation: Incarnation,
        /// What people call their origin.
        node: Arc<str>,
        /// The number of the first one missing.
        first: u64,
        /// The number of the last one missing.
        last: u64,
    },
    /// The subscriber did not take them in time; the oldest were dropped. These had been wanted.
    Slow {
        /// How many events and gaps were dropped.
        dropped: u64,
    },
}
