//! Events, for programs without tokio.

use super::follow::Follow;
use crate::model::{Event, Filter};
use crate::proto::{FollowError, PublishError};

/// The events that a subscriber wants, in order; see [`crate::EventStream`].
///
/// An iterator whose `next` waits; also [`next_timeout`](Follow::next_timeout),
/// [`try_next`](Follow::try_next) and [`try_iter`](Follow::try_iter).
pub type EventStream = Follow<crate::EventStream>;

/// The passing events of a mesh; see [`crate::Events`].
#[derive(Debug, Clone)]
pub struct Events {
    events: crate::Events,
}

impl Events {
    pub(super) fn new(events: crate::Events) -> Self {
        Self { events }
    }

    /// As [`crate::Events::publish`]; never waits.
    ///
    /// # Errors
    /// See [`PublishError`]; never because the network is down.
    pub fn publish(&self, event: Event) -> Result<u64, PublishError> {
        self.events.publish(event)
    }

    /// As [`crate::Events::subscribe`].
    ///
    /// # Errors
    /// See [`FollowError`].
    pub fn subscribe(&self, filter: Filter) -> Result<EventStream, FollowError> {
        self.events.subscribe(filter).map(Follow::new)
    }
}
