//! Events: published here, heard of others, remembered.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::error::{FollowError, PublishError};
use super::super::events::{Heard, SubscriptionId, Who};
use super::super::io::Now;
use super::super::store::{OriginIndex, Store};
use super::super::view::mono_ms;
use super::Replica;
use crate::model::{Event, EventItem, Filter, ReplicaId};
use crate::wire::{
    Answer, Body, Draft, EventsWanted, Frame, Header, Kind, PART_BUDGET_BYTES, RememberedFrame,
};

impl Replica {
    /// Publishes an event: local subscribers have it at once, others get it with the next frame. Returns its
    /// number among those of this life, from 1.
    ///
    /// # Errors
    /// See [`PublishError`]. Never because the network is down: events that nobody takes are dropped, the
    /// oldest first, and counted.
    pub fn publish_event(&mut self, event: Event, now: Now) -> Result<u64, PublishError> {
        self.advance(now);
        self.may_publish()?;
        event.check()?;
        let me = self.who_am_i();
        let mono = mono_ms(self.now);
        let counters = &mut self.counters;
        Ok(self.events.publish(event, me, now.wall_ms, mono, counters))
    }

    /// Subscribes to the events that a filter wants.
    ///
    /// # Errors
    /// When there are as many subscriptions as there may be.
    pub fn subscribe(&mut self, filter: Filter, now: Now) -> Result<SubscriptionId, FollowError> {
        self.advance(now);
        self.events.subscribe(filter, mono_ms(self.now))
    }

    /// Ends a subscription.
    pub fn unsubscribe(&mut self, id: SubscriptionId) {
        self.events.unsubscribe(id);
    }

    /// A subscriber's next item.
    pub fn poll_event(&mut self, id: SubscriptionId) -> Option<EventItem> {
        self.events.next(id)
    }

    /// The subscribers that got something since this was last asked.
    pub fn take_woken_subscribers(&mut self) -> BTreeSet<SubscriptionId> {
        self.events.take_woken()
    }

    /// How often a filter was held against an event; kinds that cannot match cost none.
    pub fn event_evaluations(&self) -> u64 {
        self.events.evaluations()
    }

    pub(super) fn has_events(&self) -> bool {
        self.may_publish().is_ok() && self.events.waiting()
    }

    /// Puts as many events as fit into one frame.
    pub(super) fn publish_events(&mut self) {
        if !self.has_events() {
            return;
        }
        let mono = mono_ms(self.now);
        let Some(batch) = self.events.next_batch(mono) else {
            return;
        };
        let header = self.next_header(Kind::Events);
        let (frame, bytes) = Frame::sign_events(&self.identity, self.config.mesh, header, batch);
        self.events.remember(frame, self.node_name(), mono);
        self.send(Draft::signed(bytes));
    }

    /// A header was gossiped: it says how many events its origin has published.
    pub(super) fn hear_of_events(&mut self, from: ReplicaId, index: OriginIndex, header: &Header) {
        let events = match header.kind {
            // Those it brings are not missing.
            Kind::Events => return,
            _ => header.events,
        };
        if self.meet(index, header, events, 0) {
            self.ask_for_events(header.replica, Some(from));
        }
    }

    /// A frame of events was gossiped by its origin.
    pub(super) fn on_event_frame(&mut self, from: ReplicaId, index: OriginIndex, frame: Frame) {
        let Body::Events(batch) = frame.body() else {
            return;
        };
        let (header, first) = (frame.header().clone(), batch.first());
        let mono = mono_ms(self.now);
        let up = i64::try_from(header.up_ms).unwrap_or(i64::MAX / 4);
        let lease = &self.store.get(index).lease;
        let made_at = lease.local_time(up).map_or(mono, |at| at.min(mono));
        let missing = self.meet(index, &header, first - 1, 0);
        let who = self.who_is(index);
        let counters = &mut self.counters;
        self.events
            .receive(&who, frame, (made_at, false), mono, counters);
        if missing {
            self.ask_for_events(header.replica, Some(from));
        }
    }

    /// Somebody answers with frames it remembers.
    pub(super) fn on_remembered(
        &mut self,
        from: ReplicaId,
        (after, upto): (Option<ReplicaId>, Option<ReplicaId>),
        frames: Vec<RememberedFrame>,
        more: bool,
    ) {
        let mut progress = false;
        for remembered in frames {
            progress |= self.on_remembered_frame(remembered);
        }
        if more && progress {
            self.sync.ask_events(from, after);
            return;
        }
        if !more {
            let last_word = |origin| origin == from || !self.sync.is_up(origin);
            let (store, counters, mono) = (&self.store, &mut self.counters, mono_ms(self.now));
            let about = (after, upto);
            let name = |replica| name_of(store, replica);
            self.events.told_all(about, last_word, name, mono, counters);
        }
        if upto.is_some() {
            self.sync.ask_events(from, upto);
        }
    }

    fn on_remembered_frame(&mut self, remembered: RememberedFrame) -> bool {
        let RememberedFrame { age_ms, frame } = remembered;
        let Body::Events(batch) = frame.body() else {
            return false;
        };
        let first = batch.first();
        // The body of a signed frame is its origin's; that the header is no newer than its origin's latest
        // changes nothing here.
        let Some((index, _)) = self.note_header(frame.signed().clone()) else {
            return false;
        };
        let mono = mono_ms(self.now);
        let header = frame.header().clone();
        let age = i64::try_from(age_ms).unwrap_or(i64::MAX / 4);
        let up = i64::try_from(header.up_ms).unwrap_or(i64::MAX / 4);
        let relayed = mono.saturating_sub(age);
        let lease = &self.store.get(index).lease;
        let made_at = lease.local_time(up).map_or(relayed, |at| at.min(relayed));
        self.meet(index, &header, first - 1, age_ms);
        let who = self.who_is(index);
        let counters = &mut self.counters;
        self.events
            .receive(&who, frame, (made_at, true), mono, counters)
    }

    /// An origin began a new life.
    pub(super) fn begin_events(&mut self, index: OriginIndex) {
        let who = self.who_is(index);
        let (mono, counters) = (mono_ms(self.now), &mut self.counters);
        self.events
            .begin_life(who.replica, who.incarnation, who.node, mono, counters);
    }

    /// Notes how many events an origin had published `age_ms` ago, in the life that is known. Says whether some
    /// turned out to be missing.
    fn meet(&mut self, index: OriginIndex, header: &Header, events: u64, age_ms: u64) -> bool {
        if self.store.get(index).map.incarnation() != header.incarnation {
            return false;
        }
        let mono = mono_ms(self.now);
        let started = mono - self.uptime();
        let up = i64::try_from(header.up_ms.saturating_add(age_ms)).unwrap_or(i64::MAX / 4);
        let heard = Heard {
            events,
            younger: up <= mono - started,
        };
        let life = (header.replica, header.incarnation);
        self.events.heard(life, heard, mono)
    }

    /// Asks for what is missing of `origin`: itself, whoever showed that it is missing, or anyone.
    fn ask_for_events(&mut self, origin: ReplicaId, from: Option<ReplicaId>) {
        if !self.events.remembers() {
            return;
        }
        self.events.asked(origin, mono_ms(self.now));
        let chosen = if self.sync.is_up(origin) && from.is_some() {
            Some(origin)
        } else {
            from.or_else(|| self.any_peer())
        };
        if let Some(peer) = chosen {
            self.sync.ask_events(peer, None);
        }
    }

    pub(super) fn events_when_due(&mut self, mono: i64) {
        let (store, counters) = (&self.store, &mut self.counters);
        let name = |replica| name_of(store, replica);
        self.events.give_up_overdue(mono, name, counters);
        for origin in self.events.to_ask(mono) {
            self.ask_for_events(origin, None);
        }
    }

    pub(super) fn answer_events(&mut self, from: ReplicaId, wanted: &EventsWanted) -> Answer {
        let budget = self.config.limits.part_bytes.min(PART_BUDGET_BYTES);
        let mono = mono_ms(self.now);
        let (frames, more) = self.events.answer(from, wanted, budget, mono);
        self.counters.event_frames_served += frames.len() as u64;
        Answer::Events { frames, more }
    }

    fn who_am_i(&self) -> Who {
        Who {
            replica: self.id(),
            incarnation: self.incarnation(),
            node: self.node_name(),
        }
    }

    fn who_is(&self, index: OriginIndex) -> Who {
        let origin = self.store.get(index);
        Who {
            replica: origin.replica,
            incarnation: origin.map.incarnation(),
            node: origin.name(),
        }
    }

    fn node_name(&self) -> Arc<str> {
        self.config.node.as_str().into()
    }
}

/// What people call an origin.
pub(super) fn name_of(store: &Store, replica: ReplicaId) -> Arc<str> {
    store.find(replica).map_or_else(
        || replica.to_string().into(),
        |index| store.get(index).name(),
    )
}
