//! Events, for programs without tokio.

use super::follow::Follow;
use crate::model::{Event, Filter};
use crate::proto::{FollowError, PublishError};

/// The events that a subscriber wants, in order; see [`crate::EventStream`].
///
/// An iterator whose `next` waits; also [`next_timeout`](Follow::next_timeout),
/// [`try_next`](Follow::try_next) and [`try_iter`](Follow::try_iter).
///
/// ```
/// use presence_mesh::{Filter, blocking};
/// # use presence_mesh::MeshKey;
/// # let mesh = blocking::Mesh::start(blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false))?;
/// let mut parked: blocking::EventStream = mesh.events().subscribe(Filter::kind("call.*"))?;
/// assert_eq!(parked.try_next(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type EventStream = Follow<crate::EventStream>;

/// The passing events of a mesh; see [`crate::Events`].
///
/// ```
/// use presence_mesh::{Event, EventItem, Filter, blocking};
/// # use presence_mesh::MeshKey;
/// # let mesh = blocking::Mesh::start(blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false))?;
/// let events: blocking::Events = mesh.events();
/// let mut parked = events.subscribe(Filter::kind("call.*"))?;
/// events.publish(Event::new("call.parked").with("slot", 701))?;
/// assert!(matches!(parked.next(), Some(EventItem::Event(event)) if event.kind() == "call.parked"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
