//! Waiting for a future on a thread that has nothing else to do.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Parks the thread until `future` is done. Unlike tokio's `block_on` it may be called anywhere.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    park(future, None).expect("without a deadline it waits until the future is done")
}

/// As [`wait`], until `deadline` at the longest. The future is looked at once even when that has passed.
pub(crate) fn wait_until<F: Future>(future: F, deadline: Instant) -> Option<F::Output> {
    park(future, Some(deadline))
}

fn park<F: Future>(future: F, deadline: Option<Instant>) -> Option<F::Output> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
            None => thread::park(),
            Some(left) if left.is_zero() => return None,
            Some(left) => thread::park_timeout(left),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn another_thread_ends_the_wait() {
        let (sender, receiver) = oneshot::channel();
        let other = thread::spawn(move || sender.send(7));
        assert_eq!(wait(receiver), Ok(7));
        assert_eq!(other.join().expect("it only sends"), Ok(()));
    }

    #[test]
    fn a_deadline_ends_the_wait_and_what_is_done_is_had_even_after_it() {
        let passed = Instant::now();
        let later = passed + Duration::from_millis(1);
        assert_eq!(wait_until(std::future::pending::<()>(), later), None);
        assert_eq!(wait_until(async { 7 }, passed), Some(7));
    }
}
