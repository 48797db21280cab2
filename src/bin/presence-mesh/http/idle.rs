//! Connections that wait for a request, so that the one that has waited longest can make room.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::sync::Notify;

/// All of them, the longest waiting first.
#[derive(Debug, Default)]
pub struct Idle(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    all: BTreeMap<u64, Arc<Notify>>,
}

impl Idle {
    /// Ends the connection that has waited for a request for longest; whether there was any.
    pub fn end_oldest(&self) -> bool {
        let oldest = self.waiting(|waiting| waiting.all.pop_first());
        oldest.is_some_and(|(_, end)| {
            end.notify_one();
            true
        })
    }

    fn waiting<R>(&self, work: impl FnOnce(&mut Waiting) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A connection, from its acceptance to its end.
#[derive(Debug)]
pub struct Place {
    idle: Arc<Idle>,
    end: Arc<Notify>,
    ticket: Mutex<u64>,
}

impl Place {
    /// A connection that waits for its first request.
    pub fn new(idle: &Arc<Idle>) -> Arc<Self> {
        let place = Self {
            idle: idle.clone(),
            end: Arc::default(),
            ticket: Mutex::new(0),
        };
        place.wait();
        Arc::new(place)
    }

    /// Resolves when it has to make room.
    pub async fn must_end(&self) {
        self.end.notified().await;
    }

    /// It is at work until the guard is dropped, and makes room for nobody.
    pub fn work(self: &Arc<Self>) -> AtWork {
        self.leave();
        AtWork(self.clone())
    }

    fn wait(&self) {
        self.idle.waiting(|waiting| {
            let ticket = waiting.next;
            waiting.next += 1;
            waiting.all.insert(ticket, self.end.clone());
            *self.ticket() = ticket;
        });
    }

    fn leave(&self) {
        let ticket = *self.ticket();
        self.idle.waiting(|waiting| waiting.all.remove(&ticket));
    }

    fn ticket(&self) -> std::sync::MutexGuard<'_, u64> {
        self.ticket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

/// A request is being answered.
#[derive(Debug)]
pub struct AtWork(Arc<Place>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.wait();
    }
}

/// The body of an answer: its connection is at work until all of it is taken.
pub struct Answering {
    body: Body,
    _at_work: AtWork,
}

impl Answering {
    pub fn new(body: Body, at_work: AtWork) -> Self {
        Self {
            body,
            _at_work: at_work,
        }
    }
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn the_longest_waiting_makes_room_and_none_that_is_at_work() {
        let idle = Arc::default();
        let [one, two, three] = [(); 3].map(|()| Place::new(&idle));
        let at_work = two.work();
        drop(one.work());
        // Now three has waited for longest, then one.
        assert!(idle.end_oldest());
        let told = |place: &Place| place.must_end().now_or_never().is_some();
        assert_eq!(
            [&one, &two, &three].map(|place| told(place)),
            [false, false, true]
        );
        drop(one);
        assert!(!idle.end_oldest(), "nobody is left who waits");
        drop(at_work);
        assert!(idle.end_oldest() && told(&two));
    }
}
