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
#[derive(Debug)]
#[must_use = "it does nothing unless items are taken"]
pub struct Follow<S> {
    stream: S,
}

/// Nothing came in time. Nothing is lost: what comes later is given by the next call.
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
