//! The short memory of events: original frames, for those who come late or were cut off.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use super::super::config::Limits;
use crate::model::{Incarnation, ReplicaId};
use crate::wire::{Body, EventsWanted, Frame, KnownEvents, MAX_EVENT_FRAMES, RememberedFrame};

/// What decoding an event takes besides its bytes, roughly.
const EVENT_OVERHEAD_BYTES: usize = 1_024;

/// Frames of events, as their origins signed them, for `span` ms. Bounded by events and by bytes: beyond
/// either the oldest frame is forgotten.
#[derive(Debug)]
pub(super) struct Memory {
    /// 0: nothing is remembered.
    span: i64,
    events_limit: usize,
    bytes_limit: usize,
    lives: BTreeMap<ReplicaId, Life>,
    /// Every frame, the oldest first.
    by_age: BTreeSet<(i64, ReplicaId, u64)>,
    events: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Life {
    incarnation: Incarnation,
    /// By the number of their first event. Made in this order, too.
    frames: BTreeMap<u64, Kept>,
}

/// A frame that is remembered.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) frame: Frame,
    /// On the local monotonic clock.
    pub(super) made_at: i64,
    /// What people call its origin.
    pub(super) node: Arc<str>,
    last: u64,
}

impl Memory {
    pub(super) fn new(span: i64, limits: &Limits) -> Self {
        Self {
            span,
            events_limit: limits.remembered_events,
            bytes_limit: limits.remembered_bytes,
            lives: BTreeMap::new(),
            by_age: BTreeSet::new(),
            events: 0,
            bytes: 0,
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.span > 0
    }

    pub(super) fn span(&self) -> i64 {
        self.span
    }

    /// Keeps a frame; frames of one origin are kept in the order of their numbers.
    pub(super) fn keep(&mut self, frame: Frame, made_at: i64, node: Arc<str>, now: i64) {
        let Body::Events(batch) = frame.body() else {
            return;
        };
        if !self.is_on() || made_at < now - self.span {
            return;
        }
        let (first, last) = (batch.first(), batch.last());
        let (replica, incarnation) = (frame.header().replica, frame.header().incarnation);
        let other = |life: &Life| life.incarnation != incarnation;
        if self.lives.get(&replica).is_some_and(other) {
            self.forget(replica);
        }
        let life = self.lives.entry(replica).or_insert_with(|| Life {
            incarnation,
            frames: BTreeMap::new(),
        });
        // A signer that counts wrongly harms itself alone.
        if life.frames.contains_key(&first) {
            return;
        }
        self.events += batch.events().len();
        self.bytes += size(&frame);
        // The oldest of an origin is forgotten first, whatever was thought of its clock meanwhile.
        let before = life.frames.values().next_back();
        let made_at = before.map_or(made_at, |kept| kept.made_at.max(made_at));
        let kept = Kept {
            frame,
            made_at,
            node,
            last,
        };
        self.by_age.insert((made_at, replica, first));
        life.frames.insert(first, kept);
        self.prune(now);
    }

    /// Forgets what is too old or too much.
    pub(super) fn prune(&mut self, now: i64) {
        while let Some((made_at, replica, first)) = self.by_age.first().copied() {
            let full = self.events > self.events_limit || self.bytes > self.bytes_limit;
            if made_at >= now - self.span && !full {
                return;
            }
            self.by_age.pop_first();
            let life = self.lives.get_mut(&replica).expect("it is indexed");
            let kept = life.frames.remove(&first).expect("it is indexed");
            if life.frames.is_empty() {
                self.lives.remove(&replica);
            }
            self.uncount(&kept);
        }
    }

    /// Forgets all of one origin.
    pub(super) fn forget(&mut self, replica: ReplicaId) {
        let Some(life) = self.lives.remove(&replica) else {
            return;
        };
        for (first, kept) in life.frames {
            self.by_age.remove(&(kept.made_at, replica, first));
            self.uncount(&kept);
        }
    }

    fn uncount(&mut self, kept: &Kept) {
        self.events -= count(&kept.frame);
        self.bytes -= size(&kept.frame);
    }

    /// What is remembered, ordered by origin and number.
    pub(super) fn all(&self) -> impl Iterator<Item = &Kept> {
        self.lives.values().flat_map(|life| life.frames.values())
    }

    /// What `asker` lacks of what is remembered, as far as it fits; and whether there is more.
    pub(super) fn answer(
        &self,
        asker: ReplicaId,
        wanted: &EventsWanted,
        budget_bytes: usize,
        now: i64,
    ) -> (Vec<RememberedFrame>, bool) {
        let known: BTreeMap<ReplicaId, &KnownEvents> = wanted
            .known
            .iter()
            .map(|known| (known.replica, known))
            .collect();
        let mut frames: Vec<RememberedFrame> = Vec::new();
        let mut bytes = 0;
        let from = wanted.after.map_or(Bound::Unbounded, Bound::Excluded);
        let others = self
            .lives
            .range((from, Bound::Unbounded))
            .take_while(|(replica, _)| wanted.upto.is_none_or(|upto| **replica <= upto))
            .filter(|(replica, _)| **replica != asker);
        for (replica, life) in others {
            let (next, before) = match known.get(replica) {
                Some(known) if known.incarnation > life.incarnation => continue,
                Some(known) if known.incarnation == life.incarnation => {
                    (known.next, known.before.unwrap_or(u64::MAX))
                }
                _ => (0, u64::MAX),
            };
            let lacked = life.frames.range(..before).map(|(_, kept)| kept);
            for kept in lacked.filter(|kept| kept.last >= next) {
                let relayed = RememberedFrame {
                    age_ms: u64::try_from(now - kept.made_at).unwrap_or_default(),
                    frame: kept.frame.clone(),
                };
                bytes += relayed.encoded_bytes();
                if !frames.is_empty() && (bytes > budget_bytes || frames.len() == MAX_EVENT_FRAMES)
                {
                    return (frames, true);
                }
                frames.push(relayed);
            }
        }
        (frames, false)
    }

    /// How many events it holds, and what they take.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.events, self.bytes)
    }
}

fn count(frame: &Frame) -> usize {
    match frame.body() {
        Body::Events(batch) => batch.events().len(),
        Body::Empty | Body::Delta(_) => 0,
    }
}

fn size(frame: &Frame) -> usize {
    2 * frame.events_bytes() + count(frame) * EVENT_OVERHEAD_BYTES
}
