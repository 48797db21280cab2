//! The only place that reads clocks.

#[cfg(feature = "faults")]
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::proto::Now;

/// Time since it was made, counted on while the machine sleeps, and the wall clock.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    start: Duration,
    /// What is read instead of the machine's clocks.
    #[cfg(feature = "faults")]
    substitute: Option<Substitute>,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            start: boot_time(),
            #[cfg(feature = "faults")]
            substitute: None,
        }
    }

    /// Reads another clock from now on.
    #[cfg(feature = "faults")]
    pub(crate) fn start_on(substitute: Substitute) -> Self {
        Self {
            start: (substitute.0)().mono,
            substitute: Some(substitute),
        }
    }

    pub(crate) fn now(&self) -> Now {
        let Now { mono, wall_ms } = self.read();
        Now {
            mono: mono.saturating_sub(self.start),
            wall_ms,
        }
    }

    fn read(&self) -> Now {
        #[cfg(feature = "faults")]
        if let Some(substitute) = &self.substitute {
            return (substitute.0)();
        }
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Now {
            mono: boot_time(),
            wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// `std::time::Instant` stands still on Linux while the machine sleeps; a lease must not.
fn boot_time() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default())
}

/// A clock that is not the machine's.
#[cfg(feature = "faults")]
#[derive(Clone)]
pub(crate) struct Substitute(Arc<dyn Fn() -> Now + Send + Sync>);

#[cfg(feature = "faults")]
impl Substitute {
    pub(crate) fn new(clock: impl Fn() -> Now + Send + Sync + 'static) -> Self {
        Self(Arc::new(clock))
    }
}

#[cfg(feature = "faults")]
impl std::fmt::Debug for Substitute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Substitute").finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "faults"))]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn a_substitute_is_read_in_place_of_the_machine() {
        let ms = Arc::new(AtomicU64::new(5_000));
        let theirs = ms.clone();
        let clock = Clock::start_on(Substitute::new(move || {
            let ms = theirs.load(Ordering::SeqCst);
            Now {
                mono: Duration::from_millis(ms),
                wall_ms: ms + 1,
            }
        }));
        assert_eq!(clock.now().mono, Duration::ZERO);
        ms.store(5_250, Ordering::SeqCst);
        let now = clock.now();
        assert_eq!((now.mono.as_millis(), now.wall_ms), (250, 5_251));
    }
}
