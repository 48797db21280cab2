//! How long changes take until everyone who can be reached shows them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::pulse::Pulse;

/// The latest changes, from which the quantiles are made.
const MOST_SAMPLES: usize = 1_000;

#[derive(Debug)]
pub struct Spread {
    samples: VecDeque<Duration>,
    /// The slowest of each second, in ms.
    slowest: Pulse,
}

impl Spread {
    pub fn new(now: Instant) -> Self {
        Self {
            samples: VecDeque::new(),
            slowest: Pulse::new(now),
        }
    }

    pub fn add(&mut self, now: Instant, took: Duration) {
        if self.samples.len() == MOST_SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(took);
        self.slowest.raise(now, took.as_secs_f64() * 1_000.0);
    }

    /// The median and the 99th percentile; `None` before the first change.
    pub fn quantiles(&self) -> Option<(Duration, Duration)> {
        let mut samples: Vec<Duration> = self.samples.iter().copied().collect();
        samples.sort_unstable();
        let last = samples.len().checked_sub(1)?;
        let at = |share: f64| samples[(last as f64 * share).round() as usize];
        Some((at(0.5), at(0.99)))
    }

    pub fn bars(&self, now: Instant, width: usize, ascii: bool) -> String {
        self.slowest.bars(now, width, ascii)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_what_was_seen() {
        let now = Instant::now();
        let mut spread = Spread::new(now);
        assert_eq!(spread.quantiles(), None);
        for ms in 0..=100 {
            spread.add(now, Duration::from_millis(ms));
        }
        let ms = Duration::from_millis;
        assert_eq!(spread.quantiles(), Some((ms(50), ms(99))));
    }
}
