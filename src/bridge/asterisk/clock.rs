//! The bridge's clock: monotonic, and running while the machine sleeps.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Counts from a little before its making, so that 0 means never.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    started: Duration,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            started: boot_time().saturating_sub(Duration::from_millis(1)),
        }
    }

    pub(super) fn now(&self) -> Duration {
        boot_time().saturating_sub(self.started)
    }

    /// Sleeps until then; for ever when there is nothing to wait for.
    pub(super) async fn sleep_until(&self, at: Option<Duration>) {
        match at {
            Some(at) => tokio::time::sleep(at.saturating_sub(self.now())).await,
            None => std::future::pending().await,
        }
    }
}

/// `CLOCK_BOOTTIME`: a laptop that slept for an hour has missed an hour.
fn boot_time() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanos)
}
