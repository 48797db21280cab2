//! Presence: what a person says of being reachable.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Whether somebody can be reached, in Asterisk's terms (`include/asterisk/presencestate.h`).
///
/// ```
/// use presence_mesh::PresenceStatus;
/// let status: PresenceStatus = "DND".parse()?; // Asterisk's spelling, in any case
/// assert_eq!((status.as_str(), status.label(), status.number()), ("dnd", "Do not disturb", 6));
/// assert_eq!(PresenceStatus::from_number(6), Some(status));
/// # Ok::<(), presence_mesh::UnknownPresenceStatus>(())
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
#[non_exhaustive]
pub enum PresenceStatus {
    /// Nothing has been said.
    #[default]
    NotSet = 0,
    /// Not to be reached.
    Unavailable = 1,
    /// To be reached.
    Available = 2,
    /// Away for a while.
    Away = 3,
    /// Away for long (XMPP's "extended away").
    Xa = 4,
    /// Eager to talk.
    Chat = 5,
    /// Do not disturb.
    Dnd = 6,
}

impl PresenceStatus {
    /// All seven, in the order of Asterisk's numbers.
    pub const ALL: [PresenceStatus; 7] = [
        Self::NotSet,
        Self::Unavailable,
        Self::Available,
        Self::Away,
        Self::Xa,
        Self::Chat,
        Self::Dnd,
    ];

    /// The status with Asterisk's number `number`.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Asterisk's number of this status.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// As Asterisk spells it: `not_set`, `dnd`, …
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotSet => "not_set",
            Self::Unavailable => "unavailable",
            Self::Available => "available",
            Self::Away => "away",
            Self::Xa => "xa",
            Self::Chat => "chat",
            Self::Dnd => "dnd",
        }
    }

    /// What a person calls it: `Available`, `Do not disturb`, …
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotSet => "Not set",
            Self::Unavailable => "Unavailable",
            Self::Available => "Available",
            Self::Away => "Away",
            Self::Xa => "Away for long",
            Self::Chat => "Free to chat",
            Self::Dnd => "Do not disturb",
        }
    }
}

impl fmt::Display for PresenceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for PresenceStatus {
    type Err = UnknownPresenceStatus;

    /// Reads Asterisk's spelling, in any case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL
            .into_iter()
            .find(|status| status.as_str().eq_ignore_ascii_case(text));
        known.ok_or_else(|| UnknownPresenceStatus {
            text: text.chars().take(64).collect(),
        })
    }
}

/// The text names no presence status.
///
/// ```
/// let error = "asleep".parse::<presence_mesh::PresenceStatus>().expect_err("none of Asterisk's");
/// assert!(error.to_string().starts_with("\"asleep\" is no presence status"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{text:?} is no presence status: expected not_set, unavailable, available, away, xa, chat or dnd"
)]
pub struct UnknownPresenceStatus {
    text: String,
}

/// What a person says of being reachable: a status, and two texts of their own.
///
/// Of several writers the latest is shown. All three together take at most
/// [`MAX_VALUE_BYTES`](crate::model::MAX_VALUE_BYTES) when encoded; a longer one is refused when it is written.
///
/// ```
/// use presence_mesh::{Presence, PresenceStatus};
/// let lunch = Presence::new(PresenceStatus::Away).with_message("back at two");
/// assert_eq!(lunch.to_string(), "away: back at two");
/// assert_eq!("DND".parse(), Ok(PresenceStatus::Dnd));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Presence {
    /// Whether they can be reached.
    pub status: PresenceStatus,
    /// A finer word for the status, such as `lunch`; empty for none. Any text.
    #[serde(default)]
    pub subtype: String,
    /// Words for people; empty for none. Any text.
    #[serde(default)]
    pub message: String,
}

impl Presence {
    /// A status without subtype and message.
    pub fn new(status: PresenceStatus) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    /// The same with another subtype.
    ///
    /// ```
    /// use presence_mesh::{Presence, PresenceStatus};
    /// let away = Presence::from(PresenceStatus::Away).with_subtype("lunch");
    /// assert_eq!(away.to_string(), "away (lunch)");
    /// ```
    #[must_use]
    pub fn with_subtype(mut self, subtype: impl Into<String>) -> Self {
        self.subtype = subtype.into();
        self
    }

    /// The same with another message.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }
}

impl From<PresenceStatus> for Presence {
    fn from(status: PresenceStatus) -> Self {
        Self::new(status)
    }
}

impl fmt::Display for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if !self.subtype.is_empty() {
            write!(f, " ({})", self.subtype)?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Value;

    #[test]
    fn statuses_are_spelt_and_numbered_as_in_asterisk() {
        for (number, status) in (0u8..).zip(PresenceStatus::ALL) {
            assert_eq!(status.number(), number);
            assert_eq!(PresenceStatus::from_number(number), Some(status));
            assert_eq!(status.as_str().to_uppercase().parse(), Ok(status));
        }
        assert_eq!(PresenceStatus::from_number(7), None);
        assert!("busy".parse::<PresenceStatus>().is_err());
        assert!("not set".parse::<PresenceStatus>().is_err());
    }

    #[test]
    fn a_presence_reads_back_and_a_status_of_a_newer_version_does_not() {
        let presence = Presence::new(PresenceStatus::Chat)
            .with_subtype("phone")
            .with_message("ring me");
        let value = Value::encode(&presence).expect("short");
        assert_eq!(value.decode(), Some(presence));
        let newer = Value::from_bytes(&[7, 0, 0]).expect("short");
        assert_eq!(newer.decode::<Presence>(), None);
    }
}
