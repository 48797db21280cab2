//! Following something by waiting for each item.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt as _};
use thiserror::Error;

use super::park;

/// Items as they come: an iterator whose `next` waits, and ends when the node has left.
///
/// Dropping it unsubscribes. What happens to one who does not take the items in time is said at the stream it
/// is made of.
///
/// ```
/// use presence_mesh::{DeviceState, Watch, blocking};
/// use std::time::Duration;
/// # use presence_mesh::MeshKey;
/// # let mesh = blocking::Mesh::start(blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false))?;
/// let mut lamps = mesh.devices().watch("*")?;
/// assert_eq!(lamps.next(), Some(Watch::Snapshot(Vec::new())));
/// assert_eq!(lamps.next_timeout(Duration::ZERO), Err(blocking::TimedOut));
/// for state in [DeviceState::Ringing, DeviceState::InUse] {
///     mesh.devices().set("PJSIP/100", state)?;
/// }
/// assert!(lamps.try_next().is_some());
/// assert_eq!(lamps.try_iter().count(), 1, "what is there, without waiting for more");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "it does nothing unless items are taken"]
pub struct Follow<S> {
    stream: S,
}

/// Nothing came in time. Nothing is lost: what comes later is given by the next call.
///
/// ```
/// assert_eq!(presence_mesh::blocking::TimedOut.to_string(), "nothing came in time");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("nothing came in time")]
pub struct TimedOut;

impl<S: Stream + Unpin> Follow<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream }
    }

    /// Waits for the next item at most that long; `None` when the node has left.
    ///
    /// # Errors
    /// When nothing came in time.
    pub fn next_timeout(&mut self, within: Duration) -> Result<Option<S::Item>, TimedOut> {
        match Instant::now().checked_add(within) {
            Some(deadline) => park::wait_until(self.stream.next(), deadline).ok_or(TimedOut),
            // Beyond what a clock can show.
            None => Ok(self.next()),
        }
    }

    /// The next item, if there is one already.
    pub fn try_next(&mut self) -> Option<S::Item> {
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(&mut self.stream).poll_next(&mut context) {
            Poll::Ready(item) => item,
            Poll::Pending => None,
        }
    }

    /// What is there already, without waiting.
    pub fn try_iter(&mut self) -> TryIter<'_, S> {
        TryIter { follow: self }
    }
}

impl<S: Stream + Unpin> Iterator for Follow<S> {
    type Item = S::Item;

    /// Waits for the next item; `None` when the node has left.
    fn next(&mut self) -> Option<S::Item> {
        park::wait(self.stream.next())
    }
}

/// See [`Follow::try_iter`].
///
/// ```
/// use presence_mesh::blocking;
/// # use presence_mesh::MeshKey;
/// # let mesh = blocking::Mesh::start(blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false))?;
/// let mut lamps = mesh.devices().watch("*")?;
/// assert_eq!(lamps.try_iter().count(), 1, "the snapshot");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TryIter<'a, S> {
    follow: &'a mut Follow<S>,
}

impl<S: Stream + Unpin> Iterator for TryIter<'_, S> {
    type Item = S::Item;

    fn next(&mut self) -> Option<S::Item> {
        self.follow.try_next()
    }
}
