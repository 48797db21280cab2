//! Why a local write is refused.

use thiserror::Error;

use crate::model::{CountsError, EventError, Incarnation, KeyError, ValueError};

/// Why a local write was refused. Nothing was changed.
///
/// A write never fails because the network is down.
///
/// ```
/// use presence_mesh::{KeyError, WriteError};
/// let error = WriteError::from(KeyError::Empty);
/// let text = match &error {
///     WriteError::Full { limit } => format!("{limit} are enough"),
///     WriteError::Stopped => "start another node".to_owned(),
///     other => other.to_string(),
/// };
/// assert_eq!(text, "bad key");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The name cannot be a key.
    #[error("bad key")]
    Key(#[from] KeyError),
    /// The value cannot be stored.
    #[error("bad value")]
    Value(#[from] ValueError),
    /// The counts cannot be those of a mailbox.
    #[error("bad message counts")]
    Counts(#[from] CountsError),
    /// The type cannot be written as JSON, or not be read from it again: a map whose keys are no texts, a number
    /// beyond 64 bits, more than a hundred levels.
    #[error("the value cannot be written as JSON: {reason}")]
    Encode {
        /// What is wrong with it.
        reason: String,
    },
    /// This node has written as many entries as it may: clear some, or raise the limit.
    #[error("this node already holds {limit} entries of its own, its limit")]
    Full {
        /// The limit, `entries_per_origin`.
        limit: usize,
    },
    /// The wall clock is too far off those of the peers to write a key that others write too: set the clock.
    #[error(
        "the clock is {ahead_ms} ms ahead of the peers' (negative: behind): set it, then write again"
    )]
    ClockOff {
        /// Ours less theirs.
        ahead_ms: i64,
    },
    /// Another process runs with this node's identity, and is younger: stop one of them.
    #[error(
        "another process uses this node's identity (incarnation {other}): stop one of them and restart"
    )]
    Fenced {
        /// The other's incarnation.
        other: Incarnation,
    },
    /// The node has left the mesh.
    #[error("the node has left the mesh")]
    Stopped,
}

/// Why a watch or a subscription was not made. Nothing was changed; those that there are go on.
///
/// ```
/// use presence_mesh::FollowError;
/// let full = FollowError::Full { what: "watches", limit: 16_384 };
/// assert_eq!(full.to_string(), "this node already has 16384 watches, its limit");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FollowError {
    /// This node has as many as it may: drop some, share one, or raise the limit.
    #[error("this node already has {limit} {what}, its limit")]
    Full {
        /// The limit's name in [`Limits`](super::Limits).
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

/// Why an event was not published. Nobody gets it.
///
/// Publishing never fails because the network is down.
///
/// ```
/// use presence_mesh::{Event, PublishError};
/// let error = PublishError::from(Event::new("call.*").check().expect_err("a glob is no kind"));
/// assert_eq!(error.to_string(), "bad event");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The event breaks a bound.
    #[error("bad event")]
    Event(#[from] EventError),
    /// Another process runs with this node's identity, and is younger: stop one of them.
    #[error(
        "another process uses this node's identity (incarnation {other}): stop one of them and restart"
    )]
    Fenced {
        /// The other's incarnation.
        other: Incarnation,
    },
    /// The node has left the mesh.
    #[error("the node has left the mesh")]
    Stopped,
}
