//! Passing events: numbered by their origin, delivered in order, at most once.
//!
//! Nothing here converges and nothing is kept for good: what was lost is reported as a [`Gap`], unless events
//! are remembered and somebody still has them. For each origin the numbers say what is missing; frames that
//! come early are held back for a short while, and with a memory the missing ones are asked for meanwhile:
//!
//! ```text
//!  gossip ──► Incoming (per origin: in order, once) ──► Subscriptions (by kind) ──► queues
//!                ▲              │
//!    answers ────┘              └──► Memory ──► answers to others
//! ```
//!
//! How old an event is decides whether it is still worth delivering. Wall clocks are not asked: the lease's
//! estimate of when a frame was sent is, and for a frame that somebody remembered the greater of that age and
//! the age that the one who relays it states.

mod incoming;
mod memory;
mod outgoing;
mod subscriptions;

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::config::Limits;
use super::counters::Counters;
use super::error::FollowError;
use crate::model::{Event, EventItem, Filter, Gap, Incarnation, PublishedEvent, ReplicaId};
use crate::wire::{Body, EventBatch, EventsWanted, Frame, MAX_KNOWN_EVENTS, RememberedFrame};
use incoming::{Arrived, Incoming, Step};
use memory::Memory;
use outgoing::Outgoing;
pub use subscriptions::SubscriptionId;
use subscriptions::Subscriptions;

/// How long an event without a time to live is worth delivering, in ms, unless it is remembered for longer.
const DEFAULT_TTL_MS: i64 = 60_000;

/// All that a replica knows of events.
#[derive(Debug)]
pub(super) struct Events {
    own: Outgoing,
    /// Hashed, since every frame looks its origin up. Nobody sees the order.
    incoming: FxHashMap<ReplicaId, Incoming>,
    /// The origins of which something is missing.
    holes: BTreeSet<ReplicaId>,
    /// Frames held back, of all origins together.
    held: usize,
    memory: Memory,
    subscriptions: Subscriptions,
    held_limit: usize,
    queue_limit: usize,
    subscription_limit: usize,
    outgoing_limit: usize,
    retry: i64,
}

/// Who an origin is.
#[derive(Debug, Clone)]
pub(super) struct Who {
    pub(super) replica: ReplicaId,
    pub(super) incarnation: Incarnation,
    pub(super) node: Arc<str>,
}

/// What was heard of the events of an origin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    /// How many it had put into frames.
    pub(super) events: u64,
    /// Whether it started later than this replica.
    pub(super) younger: bool,
}

impl Events {
    pub(super) fn new(remember: i64, retry: i64, limits: &Limits) -> Self {
        Self {
            own: Outgoing::default(),
            incoming: FxHashMap::default(),
            holes: BTreeSet::new(),
            held: 0,
            memory: Memory::new(remember, limits),
            subscriptions: Subscriptions::default(),
            held_limit: limits.held_event_frames,
            queue_limit: limits.event_queue,
            subscription_limit: limits.subscriptions,
            outgoing_limit: limits.outgoing_events,
            retry,
        }
    }

    /// Publishes an event of our own, already checked. Returns its number.
    pub(super) fn publish(
        &mut self,
        event: Event,
        me: Who,
        at_ms: u64,
        now: i64,
        counters: &mut Counters,
    ) -> u64 {
        let ttl = self.memory.span().max(DEFAULT_TTL_MS).unsigned_abs();
        let ttl = std::time::Duration::from_millis(ttl);
        let event = match event.ttl() {
            Some(_) => event,
            None => event.time_to_live(ttl.min(crate::model::MAX_TTL)),
        };
        let seq = self.own.next_seq();
        let event = Arc::new(PublishedEvent {
            event,
            replica: me.replica,
            incarnation: me.incarnation,
            node: me.node,
            seq,
            at_ms,
        });
        counters.events_published += 1;
        self.subscriptions.deliver(&event, None, self.queue_limit);
        let dropped = self.own.push(event, now, self.outgoing_limit);
        counters.drop_events("outgoing", dropped);
        seq
    }

    /// Whether something published is not yet in a frame.
    pub(super) fn waiting(&self) -> bool {
        !self.own.is_empty()
    }

    /// How many of our own are not yet in a frame.
    pub(super) fn outgoing(&self) -> usize {
        self.own.len()
    }

    /// The body of the next frame.
    pub(super) fn next_batch(&mut self, now: i64) -> Option<EventBatch> {
        self.own.next_batch(now)
    }

    /// The number of our latest event that is in a frame.
    pub(super) fn framed(&self) -> u64 {
        self.own.framed()
    }

    /// Remembers a frame of our own.
    pub(super) fn remember(&mut self, frame: Frame, node: Arc<str>, now: i64) {
        self.memory.keep(frame, now, node, now);
    }

    /// This replica goes on under another incarnation: its events are numbered anew.
    pub(super) fn begin_own_life(&mut self, me: ReplicaId, incarnation: Incarnation) {
        self.own.begin_life(incarnation);
        self.memory.forget(me);
    }

    /// Somebody's signed header says how many events it has published. Returns whether some turned out to be
    /// missing.
    pub(super) fn heard(
        &mut self,
        (replica, incarnation): (ReplicaId, Incarnation),
        heard: Heard,
        now: i64,
    ) -> bool {
        let remembers = self.memory.is_on();
        let incoming = self
            .incoming
            .entry(replica)
            .or_insert_with(|| Incoming::meet(incarnation, heard.events, heard.younger, remembers));
        if incoming.incarnation != incarnation {
            return false;
        }
        incoming.heard(heard.events);
        let new = incoming.look(now);
        if incoming.has_hole() {
            self.holes.insert(replica);
        } else {
            self.holes.remove(&replica);
        }
        new
    }

    /// Takes in a frame of events of an origin that was met and lives in this incarnation. Returns whether it
    /// brought anything.
    pub(super) fn receive(
        &mut self,
        who: &Who,
        frame: Frame,
        (made_at, remembered): (i64, bool),
        now: i64,
        counters: &mut Counters,
    ) -> bool {
        let Body::Events(batch) = frame.body() else {
            return false;
        };
        let arrived = Arrived {
            first: batch.first(),
            last: batch.last(),
            frame,
            made_at,
            remembered,
        };
        let life = arrived.frame.header().incarnation;
        let known = |incoming: &&mut Incoming| incoming.incarnation == life;
        let Some(incoming) = self.incoming.get_mut(&who.replica).filter(known) else {
            counters.drop_events("life", arrived.last + 1 - arrived.first);
            return false;
        };
        let count = arrived.last + 1 - arrived.first;
        let before = incoming.held();
        let Some(mut steps) = incoming.take(arrived, now) else {
            counters.drop_events("old", count);
            return false;
        };
        self.held = self.held - before + incoming.held();
        if self.held > self.held_limit {
            // No room to wait for what is missing.
            let before = incoming.held();
            steps.extend(incoming.give_up(now));
            self.held = self.held - before + incoming.held();
        }
        self.note_hole(who.replica);
        self.carry_out(who, steps, now, counters);
        true
    }

    fn carry_out(&mut self, who: &Who, steps: Vec<Step>, now: i64, counters: &mut Counters) {
        for step in steps {
            match step {
                Step::Deliver(arrived, from) => self.deliver(who, *arrived, from, now, counters),
                Step::Missing(first, last) => {
                    counters.events_lost = counters.events_lost.saturating_add(last + 1 - first);
                    let gap = Gap::Lost {
                        replica: who.replica,
                        incarnation: who.incarnation,
                        node: who.node.clone(),
                        first,
                        last,
                    };
                    self.subscriptions.report(&gap, self.queue_limit);
                }
            }
        }
    }

    fn deliver(
        &mut self,
        who: &Who,
        arrived: Arrived,
        from: u64,
        now: i64,
        counters: &mut Counters,
    ) {
        let Arrived {
            frame,
            made_at,
            remembered,
            ..
        } = arrived;
        for (event, at) in unpack(&frame, made_at, &who.node).filter(|(event, _)| event.seq >= from)
        {
            if is_expired(&event, at, now) {
                counters.drop_events("expired", 1);
                continue;
            }
            counters.events_received += 1;
            let before = remembered.then_some(at);
            self.subscriptions
                .deliver(&Arc::new(event), before, self.queue_limit);
        }
        self.memory.keep(frame, made_at, who.node.clone(), now);
    }

    fn note_hole(&mut self, replica: ReplicaId) {
        if self.incoming.get(&replica).is_some_and(Incoming::has_hole) {
            self.holes.insert(replica);
        } else {
            self.holes.remove(&replica);
        }
    }

    /// What is missing for too long is given up. `node`: what people call an origin.
    pub(super) fn give_up_overdue(
        &mut self,
        now: i64,
        node: impl Fn(ReplicaId) -> Arc<str>,
        counters: &mut Counters,
    ) {
        let remembers = self.memory.is_on();
        for replica in self.holes.clone() {
            let due = |incoming: &Incoming| incoming.due(remembers).is_some_and(|due| due <= now);
            if self.incoming.get(&replica).is_some_and(due) {
                self.advance(replica, node(replica), now, counters, Incoming::give_up);
            }
        }
    }

    /// `teller` has said all it remembers of these origins. What nobody would miss is not waited for longer,
    /// when nobody else is likelier to have it.
    pub(super) fn told_all(
        &mut self,
        about: (Option<ReplicaId>, Option<ReplicaId>),
        last_word: impl Fn(ReplicaId) -> bool,
        node: impl Fn(ReplicaId) -> Arc<str>,
        now: i64,
        counters: &mut Counters,
    ) {
        let (after, upto) = about;
        let told = |replica: &ReplicaId| {
            after.is_none_or(|after| *replica > after) && upto.is_none_or(|upto| *replica <= upto)
        };
        let told: Vec<ReplicaId> = self.holes.iter().copied().filter(told).collect();
        for replica in told.into_iter().filter(|replica| last_word(*replica)) {
            let step = Incoming::give_up_unreported;
            self.advance(replica, node(replica), now, counters, step);
        }
    }

    fn advance(
        &mut self,
        replica: ReplicaId,
        node: Arc<str>,
        now: i64,
        counters: &mut Counters,
        step: impl FnOnce(&mut Incoming, i64) -> Vec<Step>,
    ) {
        let Some(incoming) = self.incoming.get_mut(&replica) else {
            return;
        };
        let who = Who {
            replica,
            incarnation: incoming.incarnation,
            node,
        };
        let before = incoming.held();
        let steps = step(incoming, now);
        self.held = self.held - before + incoming.held();
        self.note_hole(replica);
        self.carry_out(&who, steps, now, counters);
    }

    /// An origin began a new life: what of the earlier one is still missing will never come.
    pub(super) fn begin_life(
        &mut self,
        replica: ReplicaId,
        incarnation: Incarnation,
        node: Arc<str>,
        now: i64,
        counters: &mut Counters,
    ) {
        self.advance(replica, node, now, counters, Incoming::finish);
        if let Some(incoming) = self.incoming.get_mut(&replica) {
            *incoming = Incoming::meet(incarnation, 0, true, self.memory.is_on());
        }
        self.memory.forget(replica);
    }

    /// An origin is forgotten.
    pub(super) fn forget(&mut self, replica: ReplicaId) {
        if let Some(incoming) = self.incoming.remove(&replica) {
            self.held -= incoming.held();
        }
        self.holes.remove(&replica);
        self.memory.forget(replica);
    }

    /// The origins of which something missing is to be asked for now.
    pub(super) fn to_ask(&self, now: i64) -> Vec<ReplicaId> {
        let due = |replica: &&ReplicaId| {
            let incoming = self.incoming.get(replica);
            let due = incoming.and_then(|incoming| incoming.ask_due(self.retry));
            self.memory.is_on() && due.is_some_and(|due| due <= now)
        };
        self.holes.iter().filter(due).copied().collect()
    }

    /// What is missing of an origin is asked for now.
    pub(super) fn asked(&mut self, origin: ReplicaId, now: i64) {
        if let Some(incoming) = self.incoming.get_mut(&origin) {
            incoming.asked(now);
        }
    }

    /// What to ask for of origins after this one.
    pub(super) fn wanted(&self, after: Option<ReplicaId>) -> EventsWanted {
        let origins = self.incoming.keys().copied();
        let mut origins: Vec<ReplicaId> = origins.filter(|origin| Some(*origin) > after).collect();
        origins.sort_unstable();
        let more = origins.len() > MAX_KNOWN_EVENTS;
        origins.truncate(MAX_KNOWN_EVENTS);
        let known = origins
            .iter()
            .map(|origin| self.incoming[origin].known(*origin));
        let upto = origins.last().copied().filter(|_| more);
        EventsWanted {
            after,
            upto,
            known: known.collect(),
        }
    }

    /// What `asker` lacks of what is remembered here, as far as it fits.
    pub(super) fn answer(
        &mut self,
        asker: ReplicaId,
        wanted: &EventsWanted,
        budget_bytes: usize,
        now: i64,
    ) -> (Vec<RememberedFrame>, bool) {
        self.memory.prune(now);
        self.memory.answer(asker, wanted, budget_bytes, now)
    }

    pub(super) fn remembers(&self) -> bool {
        self.memory.is_on()
    }

    pub(super) fn prune(&mut self, now: i64) {
        self.memory.prune(now);
    }

    /// When something here is due although nothing happens.
    pub(super) fn next_timeout(&self) -> Option<i64> {
        let remembers = self.memory.is_on();
        let holes = self.holes.iter().filter_map(|hole| self.incoming.get(hole));
        let due = holes.flat_map(|incoming| {
            let ask = incoming.ask_due(self.retry).filter(|_| remembers);
            [incoming.due(remembers), ask]
        });
        due.flatten().min()
    }

    pub(super) fn subscribe(
        &mut self,
        filter: Filter,
        now: i64,
    ) -> Result<SubscriptionId, FollowError> {
        let limit = self.subscription_limit;
        if self.subscriptions.len() >= limit {
            return Err(FollowError::Full {
                what: "subscriptions",
                limit,
            });
        }
        let remembered = filter.wants_remembered();
        let id = self.subscriptions.add(filter, now);
        if remembered {
            self.memory.prune(now);
            for kept in self.memory.all() {
                for (event, at) in unpack(&kept.frame, kept.made_at, &kept.node) {
                    if !is_expired(&event, at, now) {
                        self.subscriptions.deliver_to(id, event, self.queue_limit);
                    }
                }
            }
            for (event, at) in self.own.waiting() {
                if self.memory.is_on() && !is_expired(event, *at, now) {
                    let event = PublishedEvent::clone(event);
                    self.subscriptions.deliver_to(id, event, self.queue_limit);
                }
            }
        }
        Ok(id)
    }

    pub(super) fn unsubscribe(&mut self, id: SubscriptionId) {
        self.subscriptions.remove(id);
    }

    pub(super) fn next(&mut self, id: SubscriptionId) -> Option<EventItem> {
        self.subscriptions.next(id)
    }

    pub(super) fn take_woken(&mut self) -> BTreeSet<SubscriptionId> {
        self.subscriptions.take_woken()
    }

    pub(super) fn evaluations(&self) -> u64 {
        self.subscriptions.evaluations()
    }

    /// What is bounded: its name, how much there is, and the bound.
    pub(super) fn bounded(&self, limits: &Limits) -> [(&'static str, usize, usize); 6] {
        let (events, bytes) = self.memory.size();
        [
            ("held event frames", self.held, limits.held_event_frames),
            (
                "subscriptions",
                self.subscriptions.len(),
                limits.subscriptions,
            ),
            ("remembered events", events, limits.remembered_events),
            ("remembered bytes", bytes, limits.remembered_bytes),
            (
                "outgoing events",
                self.own.len(),
                limits.outgoing_events.max(1),
            ),
            (
                "queued events",
                self.subscriptions.longest(),
                limits.event_queue.max(1),
            ),
        ]
    }
}

/// The events of a frame, each with when it was published, on the local monotonic clock.
fn unpack<'a>(
    frame: &'a Frame,
    made_at: i64,
    node: &'a Arc<str>,
) -> impl Iterator<Item = (PublishedEvent, i64)> + 'a {
    let header = frame.header();
    let batch = match frame.body() {
        Body::Events(batch) => Some(batch),
        Body::Empty | Body::Delta(_) => None,
    };
    batch.into_iter().flat_map(move |batch| {
        (batch.first()..)
            .zip(batch.events())
            .map(move |(seq, batched)| {
                let event = PublishedEvent {
                    event: batched.event.clone(),
                    replica: header.replica,
                    incarnation: header.incarnation,
                    node: node.clone(),
                    seq,
                    at_ms: batched.at_ms,
                };
                (event, made_at - i64::from(batched.waited_ms))
            })
    })
}

fn is_expired(event: &PublishedEvent, published_at: i64, now: i64) -> bool {
    let ttl = event.event.ttl().unwrap_or_default();
    now - published_at >= i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX)
}
