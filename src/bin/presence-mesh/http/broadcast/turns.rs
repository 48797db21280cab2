//! Whose turn it is to be told.
//!
//! A thousand writes at once would take all processors for as long as they last, and a lamp that changes meanwhile
//! would wait at every node it passes. Readers are in groups, and the groups are told one after another, each of all
//! there is by then; between two turns the threads have nothing to do.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// How long the turn of one reader takes: a write costs the system about an eighth of this, so that readers together
/// never take more than a share of one processor. With one reader nothing waits; with 1,000 a change waits 80 ms at
/// most.
const TURN_PER_READER: Duration = Duration::from_micros(80);
/// How many groups there are; of 1,000 readers 16 are told at a time.
const GROUPS: usize = 64;
/// Timers are no finer: who is due within this is told now.
const TICK: Duration = Duration::from_millis(1);

/// The groups, as the teller sees them.
#[derive(Debug)]
pub struct Turns {
    /// How many batches there were.
    head: u64,
    /// Each holds the head its readers were told.
    groups: Vec<watch::Sender<u64>>,
    next: usize,
    next_at: Instant,
    /// So many groups, from the next one on, were not told of the head.
    untold: usize,
}

/// The groups, as those see them who join one.
#[derive(Debug)]
pub struct Group {
    groups: Vec<watch::Receiver<u64>>,
    joined: AtomicUsize,
}

impl Turns {
    pub fn new() -> (Self, Group) {
        let groups = (0..GROUPS).map(|_| watch::channel(0));
        let (groups, joinable) = groups.unzip();
        let turns = Self {
            head: 0,
            groups,
            next: 0,
            next_at: Instant::now(),
            untold: 0,
        };
        let group = Group {
            groups: joinable,
            joined: AtomicUsize::new(0),
        };
        (turns, group)
    }

    /// How many batches there were.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// There is something to be told.
    pub fn advance(&mut self, head: u64) {
        if head != self.head {
            (self.head, self.untold) = (head, GROUPS);
        }
    }

    /// When somebody is to be told; `None` when nobody is, and who was told had the time for it.
    pub fn next_at(&self, now: Instant) -> Option<Instant> {
        (self.untold > 0 || self.next_at > now).then_some(self.next_at)
    }

    /// Tells those whose turn it is.
    pub fn take(&mut self, now: Instant) {
        self.next_at = self.next_at.max(now);
        while self.untold > 0 && self.next_at <= now + TICK {
            let group = &self.groups[self.next];
            group.send_replace(self.head);
            // One handle is nobody's: it is there to be joined.
            let readers = group.receiver_count().saturating_sub(1);
            self.next_at += TURN_PER_READER * u32::try_from(readers).unwrap_or(u32::MAX);
            self.next = (self.next + 1) % GROUPS;
            self.untold -= 1;
        }
    }

    /// Tells all the rest at once: nothing comes any more.
    pub fn end(&self) {
        for group in &self.groups {
            group.send_replace(self.head);
        }
    }
}

impl Group {
    /// One more reader, in the group that was joined longest ago.
    pub fn join(&self) -> watch::Receiver<u64> {
        let turn = self.joined.fetch_add(1, Ordering::Relaxed);
        self.groups[turn % GROUPS].clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readers(count: usize) -> (Turns, Group, Vec<watch::Receiver<u64>>) {
        let (turns, group) = Turns::new();
        let readers = (0..count).map(|_| group.join()).collect();
        (turns, group, readers)
    }

    fn told(readers: &[watch::Receiver<u64>], head: u64) -> usize {
        let is_told = |reader: &&watch::Receiver<u64>| *reader.borrow() == head;
        readers.iter().filter(is_told).count()
    }

    #[test]
    fn a_thousand_are_told_a_few_at_a_time_and_all_within_their_time() {
        let (mut turns, _group, readers) = readers(1_000);
        let start = Instant::now();
        let (mut now, mut before) = (start, 0);
        turns.advance(1);
        while told(&readers, 1) < readers.len() {
            turns.take(now);
            let so_far = told(&readers, 1);
            assert!(so_far > before && so_far - before <= 32, "{so_far} by now");
            before = so_far;
            now = turns.next_at(now).expect("some had no time yet");
        }
        assert_eq!(now - start, TURN_PER_READER * 1_000);
        assert_eq!(turns.next_at(now), None);
    }

    /// Or a lamp that changes all the time would be told to the first of them alone.
    #[test]
    fn nobody_waits_longer_because_more_is_to_be_told() {
        let (mut turns, _group, readers) = readers(1_000);
        let mut now = Instant::now();
        turns.advance(1);
        while told(&readers, 0) > 0 {
            turns.take(now);
            now = turns.next_at(now).expect("some had no time yet");
            turns.advance(turns.head() + 1);
        }
        assert!(turns.head() <= GROUPS as u64 + 1);
    }

    #[test]
    fn one_reader_is_told_at_once_and_next_after_its_time() {
        let (mut turns, _group, readers) = readers(1);
        let now = Instant::now();
        assert_eq!(turns.next_at(now), None);
        turns.advance(1);
        assert!(turns.next_at(now).is_some());
        turns.take(now);
        assert_eq!(told(&readers, 1), 1);
        let free_at = turns.next_at(now).expect("it has its time");
        assert!(free_at <= now + 2 * TURN_PER_READER);
        assert_eq!(turns.next_at(free_at), None);
    }
}
