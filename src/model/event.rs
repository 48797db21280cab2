//! Passing events: what just happened, as opposed to what is.
//!
//! An [`Event`] has a kind (`call.parked`) and typed fields; a [`Filter`] says which events somebody wants to
//! hear of. Both are plain serde values, so the library, the HTTP API and the command line use the same ones.

mod condition;
mod field;
mod filter;
mod item;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use condition::{Condition, ParseConditionError, Test};
pub use field::FieldValue;
pub use filter::{Filter, FilterError, MAX_CONDITIONS};
pub use item::{EventItem, Gap, PublishedEvent};

/// The longest kind, in bytes.
pub const MAX_KIND_BYTES: usize = 128;
/// The most fields of an event. Asterisk's richest one, a call record, has 24.
pub const MAX_FIELDS: usize = 64;
/// The longest name of a field, in bytes.
pub const MAX_FIELD_NAME_BYTES: usize = 64;
/// The longest text or run of bytes in a field.
pub const MAX_FIELD_BYTES: usize = 4096;
/// The largest event, in bytes: kind, names and values together, and 16 for each field. Two fit a frame.
pub const MAX_EVENT_BYTES: usize = 8 * 1024;
/// The longest time to live. Longer than any memory of events reaches back.
pub const MAX_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a field takes besides its name and its text or bytes.
const FIELD_BYTES: usize = 16;

/// Something that happened: a kind, and typed fields.
///
/// Events are not state: they are delivered at most once to each subscriber, in the order in which their
/// origin published them, and nobody keeps them for longer than a configured while. What must still be known
/// after a cut belongs in a space.
///
/// Nothing is checked here; publishing an event checks it ([`Event::check`]).
///
/// ```
/// use presence_mesh::{Event, FieldValue};
/// use std::time::Duration;
/// let event = Event::new("call.parked")
///     .with("slot", 701)
///     .with("caller", "PJSIP/100")
///     .time_to_live(Duration::from_secs(45));
/// assert!(event.check().is_ok());
/// assert_eq!(event.get("caller"), Some(&FieldValue::from("PJSIP/100")));
/// assert!(Event::new("no spaces, please").check().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    kind: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    fields: BTreeMap<String, FieldValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u64>,
}

impl Event {
    /// An event without fields.
    pub fn new(kind: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            fields: BTreeMap::new(),
            ttl_ms: None,
        }
    }

    /// The same event with one field more, or with another value of that field.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<FieldValue>) -> Self {
        self.fields.insert(name.into(), value.into());
        self
    }

    /// The same event, worth delivering for so long after its publication. Without it: 60 s, or for as long as
    /// its publisher remembers events when that is longer. Counted in whole ms.
    #[must_use]
    pub fn time_to_live(mut self, ttl: Duration) -> Self {
        self.ttl_ms = Some(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// What kind of event it is.
    ///
    /// ```
    /// assert_eq!(presence_mesh::Event::new("call.parked").kind(), "call.parked");
    /// ```
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Its fields, by name.
    ///
    /// ```
    /// use presence_mesh::Event;
    /// let event = Event::new("call.parked").with("slot", 701).with("caller", "PJSIP/100");
    /// assert_eq!(event.fields().keys().collect::<Vec<_>>(), ["caller", "slot"]);
    /// ```
    pub fn fields(&self) -> &BTreeMap<String, FieldValue> {
        &self.fields
    }

    /// One of its fields.
    pub fn get(&self, name: &str) -> Option<&FieldValue> {
        self.fields.get(name)
    }

    /// How long it is worth delivering, when that was said.
    ///
    /// ```
    /// use presence_mesh::Event;
    /// use std::time::Duration;
    /// let event = Event::new("call.parked").time_to_live(Duration::from_secs(45));
    /// assert_eq!(event.ttl(), Some(Duration::from_secs(45)));
    /// ```
    pub fn ttl(&self) -> Option<Duration> {
        self.ttl_ms.map(Duration::from_millis)
    }

    /// Its size, as bounded by [`MAX_EVENT_BYTES`].
    ///
    /// ```
    /// assert_eq!(presence_mesh::Event::new("call.parked").with("slot", 701).size(), 11 + 16 + 4);
    /// ```
    pub fn size(&self) -> usize {
        let fields = self.fields.iter();
        let fields = fields.map(|(name, value)| FIELD_BYTES + name.len() + value.size());
        self.kind.len() + fields.sum::<usize>()
    }

    /// Checks it against every bound.
    ///
    /// # Errors
    /// The first bound that it breaks.
    pub fn check(&self) -> Result<(), EventError> {
        let refused = self
            .kind
            .contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '?'));
        if self.kind.is_empty() || self.kind.len() > MAX_KIND_BYTES || refused {
            return Err(EventError::Kind);
        }
        if self.fields.len() > MAX_FIELDS {
            return Err(EventError::Fields(self.fields.len()));
        }
        for (name, value) in &self.fields {
            if !is_field_name(name) {
                return Err(EventError::FieldName);
            }
            if value.size() > MAX_FIELD_BYTES {
                return Err(EventError::FieldValue {
                    name: name.clone(),
                    bytes: value.size(),
                });
            }
        }
        if self.size() > MAX_EVENT_BYTES {
            return Err(EventError::Size(self.size()));
        }
        match self.ttl() {
            Some(ttl) if ttl.is_zero() || ttl > MAX_TTL => Err(EventError::TimeToLive),
            _ => Ok(()),
        }
    }
}

/// Whether a field may be called so: what separates name and value in a written condition may not be in it.
pub(crate) fn is_field_name(name: &str) -> bool {
    let refused =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '=' | '!' | '<' | '>' | '^');
    !name.is_empty() && name.len() <= MAX_FIELD_NAME_BYTES && !name.contains(refused)
}

/// An event cannot be published. Nothing was changed.
///
/// ```
/// use presence_mesh::{Event, EventError};
/// assert_eq!(Event::new("call.*").check(), Err(EventError::Kind));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EventError {
    /// The kind.
    #[error(
        "a kind is 1 to {MAX_KIND_BYTES} bytes without spaces, control characters, `*` and `?`"
    )]
    Kind,
    /// The number of fields.
    #[error("the event has {0} fields, the limit is {MAX_FIELDS}")]
    Fields(usize),
    /// The name of a field.
    #[error(
        "a field's name is 1 to {MAX_FIELD_NAME_BYTES} bytes without spaces, control characters and any of `=!<>^`"
    )]
    FieldName,
    /// The value of a field.
    #[error("field {name} takes {bytes} bytes, the limit is {MAX_FIELD_BYTES}")]
    FieldValue {
        /// The field.
        name: String,
        /// Its length.
        bytes: usize,
    },
    /// All of it together.
    #[error("the event takes {0} bytes, the limit is {MAX_EVENT_BYTES}")]
    Size(usize),
    /// The time to live.
    #[error("a time to live is 1 ms to 7 days")]
    TimeToLive,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bound_is_checked() {
        let event = || Event::new("call.parked");
        let many = |n: usize| (0..n).fold(event(), |event, n| event.with(format!("f{n}"), true));
        assert_eq!(many(MAX_FIELDS).check(), Ok(()));
        assert_eq!(many(65).check(), Err(EventError::Fields(65)));
        assert_eq!(Event::new("").check(), Err(EventError::Kind));
        assert_eq!(Event::new("call.*").check(), Err(EventError::Kind));
        assert_eq!(Event::new("k".repeat(129)).check(), Err(EventError::Kind));
        for name in ["", "a b", "a=b", "a^", &"n".repeat(65)] {
            let named = event().with(name, 1).check();
            assert_eq!(named, Err(EventError::FieldName), "{name}");
        }
        let long = "x".repeat(MAX_FIELD_BYTES);
        assert_eq!(event().with("a", long.as_str()).check(), Ok(()));
        let both = event().with("a", long.as_str()).with("b", long.as_str());
        assert!(matches!(both.check(), Err(EventError::Size(_))));
        let longer = event().with("a", vec![0; MAX_FIELD_BYTES + 1]);
        assert!(matches!(longer.check(), Err(EventError::FieldValue { .. })));
        for ttl in [Duration::ZERO, MAX_TTL + Duration::from_millis(1)] {
            let refused = event().time_to_live(ttl).check();
            assert_eq!(refused, Err(EventError::TimeToLive));
        }
    }
}
