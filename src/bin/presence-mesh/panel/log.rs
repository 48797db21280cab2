//! What happened, the latest of it.

use std::collections::VecDeque;

use super::look::clean;

/// Lines kept; the oldest makes room. More than anybody scrolls back, and a report has them all.
const MOST_LINES: usize = 500;
/// Of a longer line the beginning is kept.
const MOST_LETTERS: usize = 400;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Somebody should look.
    Bad,
    /// Something is well again.
    Good,
    Plain,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub at: String,
    pub text: String,
    pub weight: Weight,
}

#[derive(Debug, Default)]
pub struct Log {
    lines: VecDeque<Line>,
    pushed: usize,
}

impl Log {
    pub fn push(&mut self, at: String, text: &str, weight: Weight) {
        if self.lines.len() == MOST_LINES {
            self.lines.pop_front();
        }
        self.pushed += 1;
        let text = clean(text).chars().take(MOST_LETTERS).collect();
        self.lines.push_back(Line { at, text, weight });
    }

    /// The latest `count` lines, the oldest first.
    pub fn latest(&self, count: usize) -> impl Iterator<Item = &Line> {
        self.lines
            .iter()
            .skip(self.lines.len().saturating_sub(count))
    }

    /// Those after the first `count` that ever were, as far as they are kept.
    pub fn since(&self, count: usize) -> impl Iterator<Item = &Line> {
        self.latest(self.pushed - count)
    }

    /// How many there ever were.
    pub fn pushed(&self) -> usize {
        self.pushed
    }

    pub fn all(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_keeps_the_latest_lines_and_no_control_letters() {
        let mut log = Log::default();
        for number in 0..2 * MOST_LINES {
            log.push("t".into(), &format!("{number}\u{1b}[2J"), Weight::Plain);
        }
        assert_eq!(log.all().count(), MOST_LINES);
        let texts: Vec<&str> = log.latest(2).map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["998\u{fffd}[2J", "999\u{fffd}[2J"]);
    }
}
