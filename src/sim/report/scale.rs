//! Where values lie on an axis.

/// The times of a run, from its start to its end, across a chart.
#[derive(Clone, Copy)]
pub(super) struct TimeScale {
    /// The right edge, in µs; above 0.
    pub end_us: u64,
}

impl TimeScale {
    /// Where a time lies, in percent of the width.
    pub fn percent(self, us: u64) -> f64 {
        us.min(self.end_us) as f64 * 100.0 / self.end_us as f64
    }
}

/// Round numbers from 0 up to `most`, about `wanted` of them and never more than two above that.
pub(super) fn ticks(most: u64, wanted: u64) -> Vec<u64> {
    let step = round_step(most, wanted);
    (0..=most / step).map(|n| n * step).collect()
}

/// The least of 1, 2, 5, 10, 20, … of which at most `wanted` fit into `most`.
fn round_step(most: u64, wanted: u64) -> u64 {
    let mut decade = 1_u64;
    loop {
        for step in [decade, decade.saturating_mul(2), decade.saturating_mul(5)] {
            if most / step <= wanted {
                return step;
            }
        }
        decade = decade.saturating_mul(10);
    }
}

/// A logarithmic axis of times, from decade to decade.
#[derive(Clone, Copy)]
pub(super) struct LogScale {
    /// The exponents of its ends, to base 10, in µs.
    from: u32,
    until: u32,
}

impl LogScale {
    /// The decades that hold both times.
    pub fn holding(least_us: u64, most_us: u64) -> Self {
        let from = least_us.max(1).ilog10();
        let until = most_us.max(1).ilog10();
        // A greatest value that is a power of ten ends its decade; any other needs the next.
        let until = until + u32::from(10_u64.pow(until) < most_us);
        Self {
            from,
            until: until.max(from + 1),
        }
    }

    /// Where a time lies, in percent of the width.
    pub fn percent(self, us: u64) -> f64 {
        let decades = f64::from(self.until - self.from);
        let at = (us.max(1) as f64).log10() - f64::from(self.from);
        (at / decades * 100.0).clamp(0.0, 100.0)
    }

    /// The times to draw a line at.
    pub fn ticks(self) -> Vec<LogTick> {
        let decades = self.until - self.from;
        let mut ticks = Vec::new();
        for exponent in self.from..=self.until {
            let decade = 10_u64.saturating_pow(exponent);
            // Beyond five decades the numbers would touch on a phone.
            let every = decades.div_ceil(5);
            ticks.push(LogTick {
                us: decade,
                decade: true,
                written: (exponent - self.from).is_multiple_of(every),
            });
            if exponent < self.until {
                for digit in 2..10 {
                    ticks.push(LogTick {
                        us: decade * digit,
                        decade: false,
                        written: decades == 1 && matches!(digit, 2 | 5),
                    });
                }
            }
        }
        ticks
    }
}

/// A line of a logarithmic axis.
#[derive(Clone, Copy)]
pub(super) struct LogTick {
    /// Where.
    pub us: u64,
    /// Whether it is a power of ten.
    pub decade: bool,
    /// Whether there is room for its number.
    pub written: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(ticks(7, 10), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(ticks(95, 6), [0, 20, 40, 60, 80]);
        assert_eq!(ticks(0, 6), [0]);
        for most in [1, 999, 123_456_789, u64::MAX] {
            assert!(ticks(most, 10).len() <= 11, "{most}");
        }
    }

    #[test]
    fn a_log_axis_holds_what_it_was_made_for() {
        for (least, most) in [(0, 0), (1, 1), (90, 1_000), (90, 1_001), (5, 40_000_000)] {
            let scale = LogScale::holding(least, most);
            let (from, until) = (scale.percent(least), scale.percent(most));
            assert!(
                (0.0..=100.0).contains(&from) && from <= until,
                "{least} {most}"
            );
            assert!(scale.ticks().iter().filter(|tick| tick.written).count() >= 2);
            assert!(most == 0 || until < 100.0 || most.is_power_of_two() || most == 1_000);
        }
    }
}
