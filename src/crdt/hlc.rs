//! Hybrid logical clocks (Kulkarni et al. 2014): wall time that never goes back and respects what was seen.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::zoo::{Fault, planted};

/// A hybrid logical timestamp: 48 bits of ms since the Unix epoch, then a 16-bit counter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Hlc(pub u64);

impl Hlc {
    /// Below every written stamp: what an adapter merely restates carries it.
    pub const ZERO: Hlc = Hlc(0);

    /// The first stamp of millisecond `wall_ms`; times beyond 48 bits become the greatest.
    pub const fn from_wall_ms(wall_ms: u64) -> Self {
        if wall_ms >= 1 << 48 {
            Self(u64::MAX << 16)
        } else {
            Self(wall_ms << 16)
        }
    }

    /// Its wall time, in ms since the Unix epoch.
    pub const fn wall_ms(self) -> u64 {
        self.0 >> 16
    }
}

impl fmt::Debug for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.wall_ms(), self.0 & 0xffff)
    }
}

/// Hands out strictly increasing stamps. Reads no clock: wall time comes in as an argument.
#[derive(Debug, Clone, Default)]
pub struct HybridClock {
    last: Hlc,
}

impl HybridClock {
    /// A clock whose stamps are all above `floor`, such as the bound kept on disk by an earlier life.
    pub fn above(floor: Hlc) -> Self {
        Self { last: floor }
    }

    /// A new stamp: above every one handed out or observed before, above `floor`, and not before `wall_ms`.
    ///
    /// A wall clock that jumps back, or a counter that runs over within one millisecond, only makes it count
    /// on from its last stamp.
    pub fn tick(&mut self, wall_ms: u64, floor: Hlc) -> Hlc {
        let above = self.last.max(floor).0.saturating_add(1);
        self.last = Hlc::from_wall_ms(wall_ms).max(Hlc(above));
        self.last
    }

    /// A new stamp for a key that others write, too: as [`HybridClock::tick`], unless this clock has run ahead of
    /// `wall_ms` by more than `max_drift_ms`, because the wall clock was wrong and was set right. Then the stamp
    /// is above `floor` and not before `wall_ms`, and no more: one from the future would be held back everywhere
    /// until its time comes, and the write not be seen for so long.
    pub fn tick_near(&mut self, wall_ms: u64, floor: Hlc, max_drift_ms: u64) -> Hlc {
        if self.last.wall_ms() <= wall_ms.saturating_add(max_drift_ms) {
            return self.tick(wall_ms, floor);
        }
        Hlc::from_wall_ms(wall_ms).max(Hlc(floor.0.saturating_add(1)))
    }

    /// Learns a stamp made elsewhere, so that later ones here are above it.
    ///
    /// A stamp more than `max_drift_ms` ahead of `wall_ms` is ignored and `false` returned: one bad clock
    /// must not carry every other one off with it.
    pub fn observe(&mut self, stamp: Hlc, wall_ms: u64, max_drift_ms: u64) -> bool {
        let far = stamp.wall_ms() > wall_ms.saturating_add(max_drift_ms);
        if far && !planted(Fault::FutureStampAdopted) {
            return false;
        }
        self.last = self.last.max(stamp);
        true
    }

    /// The greatest stamp handed out or observed.
    pub fn last(&self) -> Hlc {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_wrong_does_not_stamp_shared_keys_into_the_future() {
        let mut clock = HybridClock::default();
        let wrong = clock.tick(3_600_000, Hlc::ZERO);
        let floor = Hlc::from_wall_ms(900);
        assert_eq!(clock.tick_near(1_000, floor, 500), Hlc::from_wall_ms(1_000));
        let late = Hlc::from_wall_ms(1_400);
        assert_eq!(clock.tick_near(1_000, late, 500), Hlc(late.0 + 1));
        assert_eq!(clock.last(), wrong);
        assert!(clock.tick_near(3_599_900, late, 500) > wrong);
    }

    #[test]
    fn stamps_rise_though_the_wall_clock_falls() {
        let mut clock = HybridClock::default();
        let first = clock.tick(1_000, Hlc::ZERO);
        let second = clock.tick(400, Hlc::ZERO);
        let third = clock.tick(1_000, Hlc::ZERO);
        assert!(first < second && second < third);
        assert_eq!(third.wall_ms(), 1_000);
    }

    #[test]
    fn a_stamp_from_the_year_2100_is_not_followed() {
        let mut clock = HybridClock::default();
        assert!(!clock.observe(Hlc::from_wall_ms(4_102_444_800_000), 1_000, 5_000));
        assert!(clock.observe(Hlc::from_wall_ms(6_000), 1_000, 5_000));
        assert_eq!(clock.tick(1_000, Hlc::ZERO).wall_ms(), 6_000);
    }

    #[test]
    fn a_stamp_is_above_the_one_it_answers() {
        let mut clock = HybridClock::default();
        let shown = Hlc(Hlc::from_wall_ms(1_200).0 + 7);
        assert!(clock.tick(1_000, shown) > shown);
    }

    #[test]
    fn a_counter_that_runs_over_counts_on_into_the_next_millisecond() {
        let mut clock = HybridClock::above(Hlc(Hlc::from_wall_ms(5).0 + 0xffff));
        assert_eq!(clock.tick(5, Hlc::ZERO), Hlc::from_wall_ms(6));
    }
}
