//! What happens to a replica, and what it causes.

use std::time::Duration;

use crate::model::{Incarnation, ReplicaId};
use crate::wire::{Draft, Frame, Request, Response};

/// The time, handed in with everything that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Time since the process started; never goes back, and goes on while the machine sleeps.
    pub mono: Duration,
    /// The wall clock, ms since the Unix epoch; may be wrong and may jump.
    pub wall_ms: u64,
}

/// Names a request until it is answered or has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What can happen to a replica from outside.
#[derive(Debug, Clone)]
pub enum Input {
    /// From now on this peer gets what is published. Repeating it changes nothing.
    PeerUp {
        /// Who.
        peer: ReplicaId,
    },
    /// This peer gets nothing any more.
    PeerDown {
        /// Who.
        peer: ReplicaId,
    },
    /// A gossiped frame arrived. That it was decoded proves who signed it.
    Frame {
        /// Who handed it over; says nothing about its origin.
        from: ReplicaId,
        /// The frame.
        frame: Frame,
    },
    /// A peer asks. Exactly one [`Output::Respond`] with this id follows.
    Request {
        /// Who asks.
        from: ReplicaId,
        /// Chosen by the caller; comes back with the response.
        id: RequestId,
        /// The question.
        request: Request,
    },
    /// A peer answers an [`Output::Request`].
    Response {
        /// Who answers.
        from: ReplicaId,
        /// Of which request.
        id: RequestId,
        /// The answer.
        response: Response,
    },
    /// An [`Output::Request`] could not be sent, or was not answered, or not sensibly.
    RequestFailed {
        /// Who was asked.
        to: ReplicaId,
        /// Which request.
        id: RequestId,
    },
    /// [`super::Replica::poll_timeout`] has passed, or may have.
    Timeout,
}

/// What a replica wants done.
#[derive(Debug, Clone)]
pub enum Output {
    /// Gossip this frame, once. Whether anybody gets it does not matter: anti-entropy repairs.
    Publish {
        /// To be signed ([`Draft::sign`]).
        frame: Draft,
    },
    /// Ask a peer. Answer with [`Input::Response`] or [`Input::RequestFailed`].
    Request {
        /// Whom.
        to: ReplicaId,
        /// Comes back with the response.
        id: RequestId,
        /// The question.
        request: Request,
    },
    /// Answer an [`Input::Request`].
    Respond {
        /// Whom.
        to: ReplicaId,
        /// Of the request.
        id: RequestId,
        /// The answer.
        response: Response,
    },
    /// Nodes came, went, or say other things of themselves: read [`super::Replica::members`] again.
    MembersChanged,
    /// Something an operator should know.
    Report(Report),
}

/// Something an operator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Report {
    /// An earlier life of this replica was seen with a greater incarnation, at start: published anew above it.
    Jumped {
        /// The incarnation now.
        incarnation: Incarnation,
    },
    /// Another process uses this replica's identity and is younger: this one no longer publishes.
    Fenced {
        /// The other's incarnation.
        other: Incarnation,
    },
    /// The wall clock is off its peers' median by more than `max_clock_drift`: writes to shared keys are
    /// refused.
    ClockOff {
        /// Ours less theirs, in ms.
        ahead_ms: i64,
    },
    /// The wall clock agrees with its peers' again.
    ClockAgrees,
    /// Two stores with equal heads have different contents: a bug, a cloned machine or a lying member.
    Diverged {
        /// The peer whose store differs.
        peer: ReplicaId,
    },
    /// A bound was reached and something was left out.
    Full {
        /// Which bound.
        limit: &'static str,
    },
}
