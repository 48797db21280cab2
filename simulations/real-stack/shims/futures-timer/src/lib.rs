//! What libp2p uses of `futures-timer`, on tokio's clock instead of a thread of its own.
//!
//! A [`Delay`] must be made and polled within a tokio runtime. Under `start_paused`, virtual time jumps to the
//! next one as soon as nothing else can be done.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// Resolves when its time has passed.
pub struct Delay(Pin<Box<Sleep>>);

impl Delay {
    /// Of this length, from now on.
    pub fn new(duration: Duration) -> Self {
        Self(Box::pin(sleep(duration)))
    }

    /// Starts anew with this length, from now on.
    pub fn reset(&mut self, duration: Duration) {
        /// What tokio itself takes for "never": thirty years.
        const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
        let now = Instant::now();
        let end = now.checked_add(duration).unwrap_or_else(|| now + NEVER);
        self.0.as_mut().reset(end);
    }
}

impl Future for Delay {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(context)
    }
}

impl fmt::Debug for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delay").finish_non_exhaustive()
    }
}
