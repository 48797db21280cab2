//! What is going to happen, in order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What is going to happen, in order of time; what is due at one time, in the order it was put in.
#[derive(Debug)]
pub(super) struct Queue<E> {
    /// When, in which order it was put in, and where it lies: events are large, and the heap moves its items.
    heap: BinaryHeap<Reverse<(u64, u64, u32)>>,
    events: Vec<Option<E>>,
    free: Vec<u32>,
    sequence: u64,
}

impl<E> Queue<E> {
    pub(super) fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            events: Vec::new(),
            free: Vec::new(),
            sequence: 0,
        }
    }

    pub(super) fn put(&mut self, at_us: u64, event: E) {
        let turn = self.turn();
        self.put_in_turn(at_us, turn, event);
    }

    /// The turn of what is put in now, or in place of that later.
    pub(super) fn turn(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// Puts something in as if it had been when that turn came.
    pub(super) fn put_in_turn(&mut self, at_us: u64, turn: u64, event: E) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            u32::try_from(self.events.len() - 1).expect("memory holds fewer events")
        });
        self.events[place as usize] = Some(event);
        self.heap.push(Reverse((at_us, turn, place)));
    }

    /// The next one, unless it is due after `end_us`.
    pub(super) fn take(&mut self, end_us: u64) -> Option<(u64, E)> {
        if self.heap.peek()?.0.0 > end_us {
            return None;
        }
        let Reverse((at_us, _, place)) = self.heap.pop()?;
        self.free.push(place);
        let event = self.events[place as usize].take();
        Some((at_us, event.expect("what is due is there")))
    }
}
