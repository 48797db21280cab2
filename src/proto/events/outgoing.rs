//! Events of our own that are not yet in a frame.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::model::PublishedEvent;
use crate::wire::{BatchedEvent, EventBatch};

/// What may wait, besides the bound on the number of events; beyond it the oldest are dropped.
const MAX_WAITING_BYTES: usize = 4 * 1024 * 1024;

/// Events of our own: their numbers, and those that are not yet in a frame.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// The number of the latest event.
    seq: u64,
    /// The number of the latest event that was put into a frame.
    framed: u64,
    /// With consecutive numbers.
    waiting: VecDeque<(Arc<PublishedEvent>, i64)>,
    bytes: usize,
}

impl Outgoing {
    pub(super) fn next_seq(&self) -> u64 {
        self.seq + 1
    }

    pub(super) fn framed(&self) -> u64 {
        self.framed
    }

    /// Takes an event published now. Returns how many older ones were dropped to make room.
    pub(super) fn push(&mut self, event: Arc<PublishedEvent>, now: i64, limit: usize) -> u64 {
        self.seq = event.seq;
        self.bytes += event.event.size();
        self.waiting.push_back((event, now));
        let mut dropped = 0;
        while self.waiting.len() > limit.max(1) || self.bytes > MAX_WAITING_BYTES {
            if let Some((oldest, _)) = self.waiting.pop_front() {
                self.bytes -= oldest.event.size();
                dropped += 1;
            }
        }
        dropped
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Those that are not yet in a frame, with when they were published.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &(Arc<PublishedEvent>, i64)> {
        self.waiting.iter()
    }

    /// As many as fit the next frame.
    pub(super) fn next_batch(&mut self, now: i64) -> Option<EventBatch> {
        let (first, _) = self.waiting.front()?;
        let events = self.waiting.iter().map(|(event, at)| BatchedEvent {
            event: event.event.clone(),
            at_ms: event.at_ms,
            waited_ms: u32::try_from(now - at).unwrap_or(u32::MAX),
        });
        let batch = EventBatch::new(first.seq, events);
        for (event, _) in self.waiting.drain(..batch.events().len()) {
            self.bytes -= event.event.size();
        }
        self.framed = batch.last();
        Some(batch)
    }

    /// Begins a new life: what waits is numbered anew.
    pub(super) fn begin_life(&mut self, incarnation: crate::model::Incarnation) {
        self.framed = 0;
        self.seq = 0;
        for (event, _) in &mut self.waiting {
            self.seq += 1;
            let mut again = PublishedEvent::clone(event);
            (again.incarnation, again.seq) = (incarnation, self.seq);
            *event = Arc::new(again);
        }
    }
}
