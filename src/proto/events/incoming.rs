//! The events of one origin, put in order.

use std::collections::BTreeMap;

use crate::model::{Incarnation, ReplicaId};
use crate::wire::{Frame, KnownEvents};

/// Without a memory, later events wait this many ms for earlier ones that another path may still bring.
const REORDER_MS: i64 = 500;
/// With one, they wait this many ms after the last progress while the earlier ones are asked for.
const ASK_MS: i64 = 3_000;

/// A frame of events that arrived.
#[derive(Debug, Clone)]
pub(super) struct Arrived {
    pub(super) frame: Frame,
    pub(super) first: u64,
    pub(super) last: u64,
    /// When its origin made it, on the local monotonic clock, as far as that is known.
    pub(super) made_at: i64,
    /// Whether somebody remembered it, rather than that it was gossiped.
    pub(super) remembered: bool,
}

/// What is to be done about events of one origin, in order.
#[derive(Debug)]
pub(super) enum Step {
    /// Deliver those of this frame from this number on.
    Deliver(Box<Arrived>, u64),
    /// These are missing for good.
    Missing(u64, u64),
}

/// The events of one life of one origin.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) incarnation: Incarnation,
    /// All before this number are delivered, or were given up.
    next: u64,
    /// The greatest number known to be published.
    latest: u64,
    /// What was published up to here before this replica could have known is not reported when it is missing.
    unreported: u64,
    /// Frames that came before something that should have come earlier. Bounded.
    held: BTreeMap<u64, Arrived>,
    hole: Option<Hole>,
}

/// Events known to be missing.
#[derive(Debug, Clone, Copy)]
struct Hole {
    /// When it was noticed, or last got smaller.
    since: i64,
    asked_at: Option<i64>,
}

impl Incoming {
    /// Meets an origin. `before`: how many events it had published when it was met. `younger`: whether it
    /// started later than this replica, which therefore could have heard all of them.
    pub(super) fn meet(
        incarnation: Incarnation,
        before: u64,
        younger: bool,
        remembers: bool,
    ) -> Self {
        let unreported = if younger { 0 } else { before };
        Self {
            incarnation,
            next: if remembers { 1 } else { unreported + 1 },
            latest: before,
            unreported,
            held: BTreeMap::new(),
            hole: None,
        }
    }

    /// The origin has published so many.
    pub(super) fn heard(&mut self, latest: u64) {
        self.latest = self.latest.max(latest);
    }

    /// Takes in a frame. `None` when all of it came before.
    pub(super) fn take(&mut self, arrived: Arrived, now: i64) -> Option<Vec<Step>> {
        if arrived.last < self.next || self.held.contains_key(&arrived.first) {
            return None;
        }
        self.heard(arrived.last);
        if arrived.remembered && arrived.first <= self.unreported + 1 {
            // Nobody misses what was before the first that is still remembered.
            self.next = self.next.max(arrived.first);
        }
        self.held.insert(arrived.first, arrived);
        Some(self.drain(now))
    }

    /// Delivers what is held and follows.
    fn drain(&mut self, now: i64) -> Vec<Step> {
        let mut steps = Vec::new();
        while let Some(entry) = self.held.first_entry()
            && *entry.key() <= self.next
        {
            let arrived = entry.remove();
            if arrived.last < self.next {
                continue;
            }
            let from = self.next;
            self.next = arrived.last + 1;
            steps.push(Step::Deliver(Box::new(arrived), from));
        }
        if !steps.is_empty() {
            self.hole = None;
        }
        self.look(now);
        steps
    }

    /// Notices whether something is missing. Says so when it was not known to be.
    pub(super) fn look(&mut self, now: i64) -> bool {
        let missing = self.latest >= self.next;
        let new = missing && self.hole.is_none();
        if new {
            self.hole = Some(Hole {
                since: now,
                asked_at: None,
            });
        } else if !missing {
            self.hole = None;
        }
        new
    }

    /// Gives up what is missing before the next frame that is held, or before the latest known.
    pub(super) fn give_up(&mut self, now: i64) -> Vec<Step> {
        let mut steps = Vec::new();
        let upto = self
            .held
            .keys()
            .next()
            .map_or(self.latest, |first| first - 1);
        let from = self.next.max(self.unreported + 1);
        if from <= upto {
            steps.push(Step::Missing(from, upto));
        }
        self.next = self.next.max(upto + 1);
        self.hole = None;
        steps.extend(self.drain(now));
        steps
    }

    /// Gives up all that is missing, and delivers all that is held.
    pub(super) fn finish(&mut self, now: i64) -> Vec<Step> {
        let mut steps = Vec::new();
        while self.latest >= self.next {
            steps.extend(self.give_up(now));
        }
        steps
    }

    /// Whoever could have them has said all it remembers: what nobody would miss is given up at once.
    pub(super) fn give_up_unreported(&mut self, now: i64) -> Vec<Step> {
        if self.hole.is_none() || self.next > self.unreported {
            return Vec::new();
        }
        self.next = self
            .held
            .keys()
            .next()
            .map_or(self.unreported + 1, |first| {
                (self.unreported + 1).min(*first)
            });
        self.drain(now)
    }

    pub(super) fn has_hole(&self) -> bool {
        self.hole.is_some()
    }

    /// When what is missing is given up.
    pub(super) fn due(&self, remembers: bool) -> Option<i64> {
        let patience = if remembers { ASK_MS } else { REORDER_MS };
        Some(self.hole?.since + patience)
    }

    /// When what is missing is to be asked for, again if need be.
    pub(super) fn ask_due(&self, retry: i64) -> Option<i64> {
        let hole = self.hole?;
        Some(hole.asked_at.map_or(hole.since, |at| at + retry))
    }

    pub(super) fn asked(&mut self, now: i64) {
        if let Some(hole) = &mut self.hole {
            hole.asked_at = Some(now);
        }
    }

    /// Frames held back.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// What to tell someone who is asked for what is missing.
    pub(super) fn known(&self, replica: ReplicaId) -> KnownEvents {
        KnownEvents {
            replica,
            incarnation: self.incarnation,
            next: self.next,
            before: self.held.keys().next().copied(),
        }
    }
}
