//! Mailboxes and how many messages wait in them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::key::{KeyError, check_name};

/// The context of a mailbox that names none.
pub const DEFAULT_CONTEXT: &str = "default";

/// The greatest count accepted anywhere. Asterisk holds counts in a C `int`.
pub const MAX_MESSAGE_COUNT: u32 = i32::MAX as u32;

/// The name of a mailbox, always with its context: `100@default`.
///
/// ```
/// use presence_mesh::MailboxName;
/// assert_eq!("100".parse::<MailboxName>()?.as_str(), "100@default");
/// assert_eq!("100@sales".parse::<MailboxName>()?.as_str(), "100@sales");
/// # Ok::<(), presence_mesh::KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxName(String);

impl MailboxName {
    /// The name, with its context.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MailboxName {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = match text.split_once('@') {
            None => format!("{text}@{DEFAULT_CONTEXT}"),
            Some((mailbox, "")) => format!("{mailbox}@{DEFAULT_CONTEXT}"),
            Some(_) => text.to_owned(),
        };
        if text.is_empty() || name.starts_with('@') {
            return Err(KeyError::Empty);
        }
        check_name(&name)?;
        Ok(Self(name))
    }
}

impl fmt::Display for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// How many messages wait: new and old, and how many of each are urgent on top.
///
/// ```
/// use presence_mesh::MessageCounts;
/// let here = MessageCounts::new(3, 1).checked()?;
/// let there = MessageCounts { urgent_new: 1, ..MessageCounts::new(1, 0) };
/// assert_eq!(here.plus(there).to_string(), "4 new, 1 old (urgent: 1 new, 0 old)");
/// # Ok::<(), presence_mesh::CountsError>(())
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct MessageCounts {
    /// Not heard yet.
    pub new: u32,
    /// Heard and kept.
    pub old: u32,
    /// Urgent and not heard yet.
    #[serde(default)]
    pub urgent_new: u32,
    /// Urgent, heard and kept.
    #[serde(default)]
    pub urgent_old: u32,
}

impl MessageCounts {
    /// Counts without urgent messages.
    pub const fn new(new: u32, old: u32) -> Self {
        Self {
            new,
            old,
            urgent_new: 0,
            urgent_old: 0,
        }
    }

    /// Refuses counts above [`MAX_MESSAGE_COUNT`]; nothing is clamped.
    pub fn checked(self) -> Result<Self, CountsError> {
        let fields = [
            ("new", self.new),
            ("old", self.old),
            ("urgent_new", self.urgent_new),
            ("urgent_old", self.urgent_old),
        ];
        match fields
            .into_iter()
            .find(|(_, count)| *count > MAX_MESSAGE_COUNT)
        {
            Some((field, count)) => Err(CountsError { field, count }),
            None => Ok(self),
        }
    }

    /// The counts of two different boxes taken together, each field capped at [`MAX_MESSAGE_COUNT`].
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let add = |a: u32, b: u32| a.saturating_add(b).min(MAX_MESSAGE_COUNT);
        Self {
            new: add(self.new, other.new),
            old: add(self.old, other.old),
            urgent_new: add(self.urgent_new, other.urgent_new),
            urgent_old: add(self.urgent_old, other.urgent_old),
        }
    }
}

impl fmt::Display for MessageCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} new, {} old", self.new, self.old)?;
        if (self.urgent_new, self.urgent_old) != (0, 0) {
            write!(
                f,
                " (urgent: {} new, {} old)",
                self.urgent_new, self.urgent_old
            )?;
        }
        Ok(())
    }
}

/// A count does not fit; nothing was changed.
///
/// ```
/// let error = presence_mesh::MessageCounts::new(u32::MAX, 0).checked().expect_err("no int of Asterisk's");
/// assert_eq!(error.to_string(), "new is 4294967295, above the greatest message count 2147483647");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field} is {count}, above the greatest message count {MAX_MESSAGE_COUNT}")]
pub struct CountsError {
    field: &'static str,
    count: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_without_context_is_in_the_default_one() {
        for text in ["100", "100@", "100@default"] {
            assert_eq!(
                text.parse::<MailboxName>().expect(text).as_str(),
                "100@default"
            );
        }
    }

    #[test]
    fn nameless_and_overlong_mailboxes_are_refused() {
        for text in ["", "@default", "@", &"9".repeat(250)] {
            assert!(text.parse::<MailboxName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn counts_beyond_what_a_pbx_can_hold_are_refused() {
        assert!(MessageCounts::new(MAX_MESSAGE_COUNT, 0).checked().is_ok());
        assert!(
            MessageCounts::new(0, MAX_MESSAGE_COUNT + 1)
                .checked()
                .is_err()
        );
    }
}
