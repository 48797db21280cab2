//! A figure for each of the latest seconds, and how that looks in a line.

use std::collections::VecDeque;
use std::time::Instant;

/// Seconds kept: no terminal is wider.
const MOST_SECONDS: usize = 240;
const BARS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const ASCII_BARS: [&str; 8] = ["_", ".", ":", "-", "=", "+", "*", "#"];

#[derive(Debug)]
pub struct Pulse {
    start: Instant,
    /// The second that the last figure is of, counted from the start.
    second: u64,
    seconds: VecDeque<f64>,
}

impl Pulse {
    pub fn new(start: Instant) -> Self {
        Self {
            start,
            second: 0,
            seconds: VecDeque::from([0.0]),
        }
    }

    /// Adds to the figure of this second.
    pub fn add(&mut self, now: Instant, value: f64) {
        *self.at(now) += value;
    }

    /// Raises the figure of this second to at least `value`.
    pub fn raise(&mut self, now: Instant, value: f64) {
        let figure = self.at(now);
        *figure = figure.max(value);
    }

    /// The figure of the second before this one: that of the present one is not complete.
    pub fn last(&self, now: Instant) -> f64 {
        let back = usize::try_from(self.second_of(now) - self.second).unwrap_or(usize::MAX);
        match back {
            0 => self.seconds.iter().rev().nth(1).copied().unwrap_or(0.0),
            1 => self.seconds.back().copied().unwrap_or(0.0),
            _ => 0.0,
        }
    }

    /// One bar a second, the present one at the right; the tallest is the greatest of those that are seen.
    pub fn bars(&self, now: Instant, width: usize, ascii: bool) -> String {
        let bars = if ascii { ASCII_BARS } else { BARS };
        let quiet = usize::try_from(self.second_of(now) - self.second).unwrap_or(usize::MAX);
        let quiet = quiet.min(width);
        let seen: Vec<f64> = self
            .seconds
            .iter()
            .rev()
            .take(width - quiet)
            .copied()
            .collect();
        let greatest = seen.iter().copied().fold(0.0, f64::max);
        let bar = |value: f64| match value {
            value if value <= 0.0 => " ",
            value => bars[((value / greatest * 8.0).ceil() as usize).clamp(1, 8) - 1],
        };
        let mut text = " ".repeat(width - quiet - seen.len());
        text.extend(seen.iter().rev().map(|value| bar(*value)));
        text.push_str(&" ".repeat(quiet));
        text
    }

    fn second_of(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start)
            .as_secs()
            .max(self.second)
    }

    fn at(&mut self, now: Instant) -> &mut f64 {
        let second = self.second_of(now);
        let passed = usize::try_from(second - self.second).unwrap_or(usize::MAX);
        for _ in 0..passed.min(MOST_SECONDS) {
            if self.seconds.len() == MOST_SECONDS {
                self.seconds.pop_front();
            }
            self.seconds.push_back(0.0);
        }
        self.second = second;
        self.seconds
            .back_mut()
            .expect("there is a second from the start")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_second_has_a_bar_and_old_ones_leave_at_the_left() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pulse = Pulse::new(start);
        pulse.add(at(0), 1.0);
        pulse.add(at(0), 1.0);
        pulse.raise(at(2), 8.0);
        pulse.raise(at(2), 4.0);
        assert_eq!(pulse.bars(at(2), 5, false), "  ▂ █");
        assert_eq!(pulse.bars(at(2), 5, true), "  . #");
        assert_eq!(pulse.bars(at(3), 5, false), " ▂ █ ");
        assert_eq!(pulse.bars(at(2), 1, false), "█");
        assert_eq!(pulse.bars(at(900), 3, false), "   ");
        assert_eq!(
            (pulse.last(at(3)), pulse.last(at(2)), pulse.last(at(9))),
            (8.0, 0.0, 0.0)
        );
        pulse.add(at(100_000), 1.0);
        assert_eq!(pulse.seconds.len(), MOST_SECONDS);
    }
}
