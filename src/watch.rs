//! Following changes.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;

use crate::model::{Pattern, Value};
use crate::net::Shared;
use crate::proto::{Change, FollowError, Shown, WatchId, Watched};
use crate::space::{Kind, StateValue};

/// What a [`Watcher`] is given.
///
/// ```
/// # use presence_mesh::{MeshKey, blocking};
/// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
/// # let node = blocking::Mesh::start(builder)?;
/// # let mesh = node.handle();
/// use presence_mesh::{DeviceState, Watch};
/// let mut lamps = mesh.devices().watch("*")?;
/// mesh.devices().set("PJSIP/100", DeviceState::InUse)?;
/// assert!(matches!(lamps.try_next(), Some(Watch::Snapshot(all)) if all.len() == 1));
/// mesh.devices().clear("PJSIP/100")?;
/// match lamps.try_next() {
///     Some(Watch::Changed(change)) => assert!(change.new.is_none()),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[allow(
    clippy::large_enum_variant,
    reason = "an item is handed over once; a box would cost every change an allocation"
)]
pub enum Watch<T> {
    /// All there is, ordered by key. Always first, and again after [`Watch::Resync`].
    Snapshot(Vec<Shown<T>>),
    /// One key changed: its value, its freshness, or whether it is there at all.
    Changed(Change<T>),
    /// Changes were dropped because they were not taken in time; a fresh snapshot follows.
    Resync,
}

/// Follows changes of a space. At every moment what is listed equals the snapshot plus the changes given.
///
/// A slow watcher never slows the node and never misses the final value: when more than 4,096 changes wait,
/// they are dropped and it is given [`Watch::Resync`] and a fresh snapshot. Ends (`None`) when the node has
/// left the mesh and all changes are taken. Dropping it unsubscribes.
///
/// ```
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// # use presence_mesh::{Mesh, MeshKey};
/// # let mesh = Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false).start().await?;
/// use presence_mesh::{DeviceState, Watch};
/// let mut lamps = mesh.devices().watch("PJSIP/*")?;
/// mesh.devices().set("PJSIP/100", DeviceState::InUse)?;
/// while let Some(item) = lamps.next().await {
///     if let Watch::Snapshot(all) = item {
///         assert_eq!(all.len(), 1);
///         break;
///     }
/// }
/// assert!(lamps.try_next().is_none(), "nothing has changed since");
/// # mesh.leave().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "it does nothing unless items are taken, and dropping it ends the watch"]
pub struct Watcher<T> {
    shared: Arc<Shared>,
    id: WatchId,
    kind: Kind<T>,
}

impl<T: StateValue> Watcher<T> {
    pub(crate) fn new(
        shared: Arc<Shared>,
        kind: Kind<T>,
        pattern: Pattern,
        hidden: bool,
    ) -> Result<Self, FollowError> {
        let id = shared.watch(kind.scope.clone(), pattern, hidden)?;
        Ok(Self { shared, id, kind })
    }

    /// The next item. Cancel safe: dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Watch<T>> {
        std::future::poll_fn(|context| self.poll_item(context)).await
    }

    /// The next item, if there is one already.
    pub fn try_next(&mut self) -> Option<Watch<T>> {
        loop {
            let item = self.shared.poll_watch(self.id, None)?;
            if let Some(item) = decode(&self.kind, item) {
                return Some(item);
            }
        }
    }

    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Option<Watch<T>>> {
        loop {
            match self.shared.poll_watch(self.id, Some(context.waker())) {
                Some(item) => {
                    if let Some(item) = decode(&self.kind, item) {
                        return Poll::Ready(Some(item));
                    }
                }
                None if self.shared.is_stopped() => return Poll::Ready(None),
                None => return Poll::Pending,
            }
        }
    }
}

impl<T: StateValue> Stream for Watcher<T> {
    type Item = Watch<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Watch<T>>> {
        self.poll_item(context)
    }
}

impl<T> Drop for Watcher<T> {
    fn drop(&mut self) {
        self.shared.unwatch(self.id);
    }
}

impl<T> fmt::Debug for Watcher<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// `None` for a change between values this version cannot read: nothing changes for the reader.
fn decode<T>(kind: &Kind<T>, item: Watched) -> Option<Watch<T>> {
    let shown = |shown: &Shown<Value>| {
        let mut shown = shown.decode(|value| kind.decode(value))?;
        shown.key = kind.local(&shown.key);
        Some(shown)
    };
    Some(match item {
        Watched::Resync => Watch::Resync,
        Watched::Snapshot(all) => Watch::Snapshot(all.iter().filter_map(shown).collect()),
        Watched::Changed(change) => {
            let old = change.old.as_ref().and_then(shown);
            let new = change.new.as_ref().and_then(shown);
            if old.is_none() && new.is_none() {
                return None;
            }
            Watch::Changed(Change {
                key: kind.local(&change.key),
                origin: change.origin,
                old,
                new,
            })
        }
    })
}
