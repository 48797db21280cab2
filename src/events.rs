//! Publishing events, and hearing of those of others.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;

use crate::model::{Event, EventItem, Filter};
use crate::net::Shared;
use crate::proto::{FollowError, PublishError, SubscriptionId};

/// The passing events of a mesh. Made by [`Mesh::events`](crate::Mesh::events); cheap to clone.
///
/// An event is delivered at most once to each subscriber, those of one origin in the order of their
/// publication; what is known to be missing is reported as a [`Gap`](crate::Gap) in its place. With
/// [`MeshBuilder::remember`](crate::MeshBuilder::remember) nodes keep events for a while, and who joins late
/// or was cut off receives what was published meanwhile.
///
/// ```
/// # use presence_mesh::{Event, EventItem, Filter, Mesh, MeshKey, Preset};
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let mesh = Mesh::builder("acme")
///     .node("berlin")
///     .key(MeshKey::from_bytes([7; 32]))
///     .preset(Preset::Local)
///     .mdns(false)
///     .start()
///     .await?;
/// let mut parked = mesh.events().subscribe(Filter::kind("call.*").and("slot >= 700".parse()?))?;
/// mesh.events().publish(Event::new("call.parked").with("slot", 701).with("caller", "PJSIP/100"))?;
/// while let Some(item) = parked.next().await {
///     match item {
///         EventItem::Event(event) => {
///             assert_eq!((&*event.node, event.get("slot").and_then(|slot| slot.as_u64())), ("berlin", Some(701)));
///             break;
///         }
///         EventItem::Gap(gap) => eprintln!("missed: {gap:?}"),
///         _ => {}
///     }
/// }
/// # mesh.leave().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Events {
    shared: Arc<Shared>,
}

impl Events {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Publishes an event: subscribers of this node have it at once, those of others as soon as the network
    /// brings it. Returns its number among those of this life of this node, from 1.
    ///
    /// Never waits. When events are published faster than the network takes them, the oldest are dropped,
    /// counted, and reported to subscribers as a gap.
    ///
    /// # Errors
    /// When the event breaks a bound ([`Event::check`]), or the node has left or been replaced. Never because
    /// the network is down.
    pub fn publish(&self, event: Event) -> Result<u64, PublishError> {
        self.shared
            .with(|replica, now| replica.publish_event(event, now))
    }

    /// Subscribes to the events that `filter` wants: those of all nodes, this one included, from now on, and
    /// with [`Filter::remembered`] those from before that are remembered. Dropping the stream unsubscribes.
    ///
    /// # Errors
    /// When this node has as many subscriptions as it may
    /// ([`Limits::subscriptions`](crate::Limits::subscriptions)).
    pub fn subscribe(&self, filter: Filter) -> Result<EventStream, FollowError> {
        let id = self.shared.subscribe(filter)?;
        Ok(EventStream {
            shared: self.shared.clone(),
            id,
        })
    }

    /// How often a filter was held against an event since the start, for tests and metrics. A subscription to
    /// kinds that an event cannot be of costs none.
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// use presence_mesh::{Event, Filter};
    /// let parked = mesh.events().subscribe(Filter::kind("call.parked"))?;
    /// mesh.events().publish(Event::new("agent.login"))?;
    /// assert_eq!(mesh.events().evaluations(), 0, "it cannot be of that kind");
    /// # drop(parked);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn evaluations(&self) -> u64 {
        self.shared.with(|replica, _| replica.event_evaluations())
    }
}

/// The events a subscriber wants, in order, with gaps where some are missing.
///
/// A slow subscriber never slows the node: when more than [`event_queue`](crate::Limits::event_queue) items
/// wait, the oldest are dropped and it is given [`Gap::Slow`](crate::Gap::Slow). Ends (`None`) when the node
/// has left the mesh and all items are taken. Dropping it unsubscribes.
///
/// ```
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// # use presence_mesh::{Mesh, MeshKey};
/// # let mesh = Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false).start().await?;
/// use presence_mesh::{Event, EventItem, Filter};
/// let mut parked = mesh.events().subscribe(Filter::kind("call.*"))?;
/// mesh.events().publish(Event::new("call.parked").with("slot", 701))?;
/// mesh.events().publish(Event::new("call.parked").with("slot", 702))?;
/// assert!(matches!(parked.next().await, Some(EventItem::Event(event)) if event.seq == 1));
/// assert!(matches!(parked.try_next(), Some(EventItem::Event(event)) if event.seq == 2));
/// # mesh.leave().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "it does nothing unless items are taken, and dropping it unsubscribes"]
pub struct EventStream {
    shared: Arc<Shared>,
    id: SubscriptionId,
}

impl EventStream {
    /// The next item. Cancel safe: dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<EventItem> {
        std::future::poll_fn(|context| self.poll_item(context)).await
    }

    /// The next item, if there is one already.
    pub fn try_next(&mut self) -> Option<EventItem> {
        self.shared.poll_event(self.id, None)
    }

    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Option<EventItem>> {
        match self.shared.poll_event(self.id, Some(context.waker())) {
            Some(item) => Poll::Ready(Some(item)),
            None if self.shared.is_stopped() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl Stream for EventStream {
    type Item = EventItem;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<EventItem>> {
        self.poll_item(context)
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        self.shared.unsubscribe(self.id);
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
