//! What is going to happen, in order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What is going to happen, in order of time; what is due at one time, in the order it was put in.
#[derive(Debug)]
pub(super) struct Queue<E> {
    heap: BinaryHeap<Reverse<Due<E>>>,
    sequence: u64,
}

#[derive(Debug)]
struct Due<E> {
    at_us: u64,
    sequence: u64,
    event: E,
}

impl<E> Queue<E> {
    pub(super) fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            sequence: 0,
        }
    }

    pub(super) fn put(&mut self, at_us: u64, event: E) {
        self.sequence += 1;
        self.heap.push(Reverse(Due {
            at_us,
            sequence: self.sequence,
            event,
        }));
    }

    /// The next one, unless it is due after `end_us`.
    pub(super) fn take(&mut self, end_us: u64) -> Option<(u64, E)> {
        if self.heap.peek()?.0.at_us > end_us {
            return None;
        }
        let Reverse(due) = self.heap.pop()?;
        Some((due.at_us, due.event))
    }
}

impl<E> PartialEq for Due<E> {
    fn eq(&self, other: &Self) -> bool {
        (self.at_us, self.sequence) == (other.at_us, other.sequence)
    }
}

impl<E> Eq for Due<E> {}

impl<E> PartialOrd for Due<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Due<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_us, self.sequence).cmp(&(other.at_us, other.sequence))
    }
}
