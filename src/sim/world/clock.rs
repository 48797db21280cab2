//! A node's clocks.

use std::time::Duration;

use crate::proto::Now;

/// Wall time at the start of every world, ms since the Unix epoch: 2026-01-01.
pub const EPOCH_MS: u64 = 1_767_225_600_000;

/// A machine's clocks, which may be wrong, and the process' on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    started_us: u64,
    /// World time when the rate last changed; what the clocks showed then.
    since_us: u64,
    mono_us: u64,
    wall_us: u64,
    drift_ppm: i64,
}

impl Clock {
    /// Right at `now_us`.
    pub(super) fn right(now_us: u64) -> Self {
        Self {
            started_us: now_us,
            since_us: now_us,
            mono_us: 0,
            wall_us: EPOCH_MS * 1_000 + now_us,
            drift_ppm: 0,
        }
    }

    /// A process starts: its own clock stands at 0.
    pub(super) fn start(&mut self, now_us: u64) {
        *self = self.at(now_us);
        self.started_us = now_us;
        self.mono_us = 0;
    }

    /// How much faster than the world it runs, in millionths.
    pub(super) fn drift_ppm(&self) -> i64 {
        self.drift_ppm
    }

    /// World time when the process started.
    pub(super) fn started_us(&self) -> u64 {
        self.started_us
    }

    /// From now on runs so much faster; the wall clock jumps.
    pub(super) fn disturb(&mut self, now_us: u64, offset_ms: i64, drift_ppm: i64) {
        *self = self.at(now_us);
        self.wall_us = self
            .wall_us
            .saturating_add_signed(offset_ms.saturating_mul(1_000));
        self.drift_ppm = drift_ppm;
    }

    /// From now on runs right again, and the wall clock shows the right time.
    pub(super) fn mend(&mut self, now_us: u64) {
        *self = self.at(now_us);
        self.wall_us = EPOCH_MS * 1_000 + now_us;
        self.drift_ppm = 0;
    }

    pub(super) fn now(&self, now_us: u64) -> Now {
        let at = self.at(now_us);
        Now {
            mono: Duration::from_micros(at.mono_us),
            wall_ms: at.wall_us / 1_000,
        }
    }

    /// How far the wall clock is from the right time, in ms.
    pub(super) fn off_ms(&self, now_us: u64) -> i64 {
        let wall = self.at(now_us).wall_us as i128;
        ((wall - i128::from(EPOCH_MS * 1_000 + now_us)) / 1_000) as i64
    }

    /// The world time at which the process' clock shows `mono`.
    pub(super) fn due_us(&self, mono: Duration) -> u64 {
        let ahead = (mono.as_micros() as u64).saturating_sub(self.mono_us);
        let rate = 1_000_000_i64 + self.drift_ppm;
        let span = (u128::from(ahead) * 1_000_000).div_ceil(rate.max(1) as u128);
        self.since_us
            .saturating_add(u64::try_from(span).unwrap_or(u64::MAX))
    }

    fn at(&self, now_us: u64) -> Self {
        let passed = now_us - self.since_us;
        let rate = 1_000_000_i64 + self.drift_ppm;
        let shown = (u128::from(passed) * rate.max(1) as u128 / 1_000_000) as u64;
        Self {
            started_us: self.started_us,
            since_us: now_us,
            mono_us: self.mono_us + shown,
            wall_us: self.wall_us + shown,
            drift_ppm: self.drift_ppm,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_fires_when_its_clock_says_so() {
        let mut clock = Clock::right(5_000_000);
        clock.start(5_000_000);
        for ppm in [-100_000, -500, 0, 500, 100_000] {
            clock.disturb(6_000_000, 0, ppm);
            let due = clock.due_us(Duration::from_secs(10));
            let shown = clock.now(due).mono;
            assert!(shown >= Duration::from_secs(10), "{ppm}: {shown:?}");
            assert!(
                clock.now(due - 2).mono < Duration::from_secs(10),
                "{ppm}: not before it is due"
            );
        }
    }

    #[test]
    fn a_mended_clock_is_right_and_its_process_goes_on() {
        let mut clock = Clock::right(0);
        clock.start(0);
        clock.disturb(1_000_000, -3_600_000, 1_000);
        assert_eq!(clock.off_ms(1_000_000), -3_600_000);
        let before = clock.now(2_000_000);
        clock.mend(2_000_000);
        assert_eq!(clock.off_ms(2_000_000), 0);
        assert_eq!(clock.now(2_000_000).mono, before.mono);
    }
}
