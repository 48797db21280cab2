//! What this node itself says: writes, frames, beats, its record, its lives.

use std::time::Duration;

use super::super::error::{PublishError, WriteError};
use super::super::io::{Now, Output, Report};
use super::super::statistics::SpaceCounts;
use super::super::store::Store;
use super::super::view::mono_ms;
use super::{Replica, ms};
use crate::crdt::{Content, Delta, Dot, Hlc, HybridClock, MAX_NAMED_DOTS, OriginMap};
use crate::model::{
    AttributeError, Incarnation, Key, MAX_ADDRESSES, NodeRecord, Pattern, Policy, Scope, Source,
    SourceDown, Value,
};
use crate::wire::{Draft, Header, Kind, MAX_FRAME_BYTES};
use crate::zoo::{Fault, planted};

/// How a local write is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// The adapter that writes.
    pub source: Source,
    /// Whether it merely restates what the adapter found: stored with hlc 0 in keys with a latest writer,
    /// unless it differs from our own last value.
    pub restate: bool,
}

/// What only the origin itself knows.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) clock: HybridClock,
    /// Everything up to here has been put into frames.
    pub(super) published: u64,
    /// An estimate, from above, of the encoded size of what is not yet in a frame.
    batch_bytes: usize,
    /// Frames waiting in the outbox.
    pub(super) queued_frames: usize,
    frame: u64,
    last_frame_at: i64,
    /// Others were told that the next frame comes within so many ms of the last one: by that, or by a header since.
    promised_ms: i64,
    settled: Option<u64>,
    started_at: i64,
    jumped: bool,
    fenced: Option<Incarnation>,
    left: bool,
    /// Ours less the peers' median, while that is too much.
    clock_off_ms: Option<i64>,
    record: NodeRecord,
}

/// Within this many ms of its start an origin may find that an earlier life had a greater incarnation.
const START_MS: i64 = 30_000;
/// What an origin has to say at its start is taken as said after this many ms, if it does not say so earlier.
const SETTLE_MS: i64 = 2_000;
/// The encoded size of a batch stays below this, so that with its header it fits a frame.
const BATCH_BYTES: usize = MAX_FRAME_BYTES - 512;
/// What an entry is taken to add to a batch besides its key and value; frames are checked exactly when made.
const ENTRY_BYTES: usize = 32;

impl Own {
    pub(super) fn new(clock: HybridClock, now: i64) -> Self {
        Self {
            clock,
            published: 0,
            batch_bytes: 0,
            queued_frames: 0,
            frame: 0,
            last_frame_at: now,
            promised_ms: i64::MAX,
            settled: None,
            started_at: now,
            jumped: false,
            fenced: None,
            left: false,
            clock_off_ms: None,
            record: NodeRecord::default(),
        }
    }

    fn silent(&self) -> bool {
        self.left || self.fenced.is_some()
    }
}

impl Replica {
    /// Writes (`Some`) and withdraws (`None`) keys of this node's own map: all of them, or none. Others see
    /// all of them or none. Returns how many changed; a value that is there already changes nothing.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn write(
        &mut self,
        entries: Vec<(Key, Option<Value>)>,
        how: Write,
        now: Now,
    ) -> Result<usize, WriteError> {
        self.advance(now);
        self.may_write()?;
        let own = &self.store.own().map;
        let differs = |key: &Key, value: &Option<Value>| {
            let held = own.get(key).filter(|entry| !entry.is_tombstone());
            let said = held.map(|entry| (entry.value(), entry.source()));
            said != value.as_ref().map(|value| (Some(value), how.source))
                || (!how.restate && self.view.is_overruled(&self.store, key, value, now))
        };
        let changes: Vec<(Key, Option<Value>)> = entries
            .into_iter()
            .filter(|(key, value)| differs(key, value))
            .collect();
        let added = changes.iter().filter(|(key, value)| {
            value.is_some() && own.get(key).is_none_or(|entry| entry.is_tombstone())
        });
        let limit = self.config.limits.entries_per_origin;
        if own.len() + added.count() > limit {
            return Err(WriteError::Full { limit });
        }
        // A withdrawal competes with nobody: it needs no stamp that others could trust.
        let shared = changes
            .iter()
            .any(|(key, value)| value.is_some() && key.policy() == Policy::LatestWriter);
        if let Some(ahead_ms) = self.own.clock_off_ms.filter(|_| shared) {
            return Err(WriteError::ClockOff { ahead_ms });
        }
        self.make_room(&changes);
        for (key, value) in &changes {
            self.put(key.clone(), value.clone(), how);
        }
        self.counters.local_writes += changes.len() as u64;
        let spaces = changes.iter().map(|(key, _)| key.space());
        self.counters
            .local_writes_in
            .add_all(SpaceCounts::of(spaces));
        Ok(changes.len())
    }

    /// Makes own entries of `source` in `scope` exactly these, changing only what differs. Restates. Returns
    /// how many were written and how many withdrawn.
    ///
    /// # Errors
    /// See [`WriteError`]; nothing is changed then.
    pub fn replace_all(
        &mut self,
        scope: impl Into<Scope>,
        entries: Vec<(Key, Value)>,
        source: Source,
        now: Now,
    ) -> Result<(usize, usize), WriteError> {
        let wanted: std::collections::BTreeMap<Key, Value> = entries.into_iter().collect();
        let missing = self.own(scope, source).into_iter().map(|(key, _)| key);
        let withdrawn: Vec<_> = missing
            .filter(|key| !wanted.contains_key(key))
            .map(|key| (key, None))
            .collect();
        let count = withdrawn.len();
        let written = wanted.into_iter().map(|(key, value)| (key, Some(value)));
        let all = withdrawn.into_iter().chain(written).collect();
        let changed = self.write(
            all,
            Write {
                source,
                restate: true,
            },
            now,
        )?;
        Ok((changed - count, count))
    }

    /// Own entries of `source` in `scope`, ordered by key.
    pub fn own(&self, scope: impl Into<Scope>, source: Source) -> Vec<(Key, Value)> {
        let (scope, any) = (scope.into(), Pattern::any());
        let mine = self
            .store
            .own()
            .map
            .live()
            .filter(|(key, entry)| entry.source() == source && scope.matches(key, &any));
        let mut own: Vec<(Key, Value)> = mine
            .filter_map(|(key, entry)| Some((key.clone(), entry.value()?.clone())))
            .collect();
        own.sort_unstable();
        own
    }

    /// Sets (`Some`) or removes (`None`) an attribute in this node's record.
    ///
    /// # Errors
    /// The outer one when nothing can be written, the inner one when the attribute is refused.
    pub fn set_attribute(
        &mut self,
        name: &str,
        text: Option<&str>,
        now: Now,
    ) -> Result<Result<bool, AttributeError>, WriteError> {
        self.advance(now);
        self.may_write()?;
        let changed = self.own.record.set_attribute(name, text);
        if changed == Ok(true) {
            self.write_record();
        }
        Ok(changed)
    }

    /// Replaces the announced addresses; at most [`MAX_ADDRESSES`] are kept.
    pub fn set_addresses(&mut self, mut addresses: Vec<String>, now: Now) {
        self.advance(now);
        addresses.truncate(MAX_ADDRESSES);
        if self.own.record.addresses != addresses && !self.own.silent() {
            self.own.record.addresses = addresses;
            self.write_record();
        }
    }

    /// Says in this node's record that the far end of `source` has been silent for that long, or answers.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn mark_source(
        &mut self,
        source: Source,
        silent_for: Option<Duration>,
        now: Now,
    ) -> Result<(), WriteError> {
        self.advance(now);
        self.may_write()?;
        let known = self
            .own
            .record
            .down
            .iter()
            .any(|down| down.source == source);
        if known == silent_for.is_some() {
            return Ok(());
        }
        self.own.record.down.retain(|down| down.source != source);
        if let Some(silent_for) = silent_for {
            let since = mono_ms(now).saturating_sub(ms(silent_for));
            self.own.record.down.push(SourceDown {
                source,
                since_up_ms: u64::try_from(since).unwrap_or_default(),
            });
        }
        self.write_record();
        Ok(())
    }

    /// Notes that what a source said in an earlier life is not confirmed yet.
    pub(super) fn doubt_source(&mut self, source: Source) {
        let down = &mut self.own.record.down;
        if down.iter().all(|down| down.source != source) {
            down.push(SourceDown {
                source,
                since_up_ms: 0,
            });
        }
    }

    /// Says in this node's record which sources are doubted.
    pub(super) fn write_doubts(&mut self) {
        if !self.own.record.down.is_empty() {
            self.write_record();
        }
    }

    /// What this node says of itself.
    pub fn record(&self) -> &NodeRecord {
        &self.own.record
    }

    /// Says that everything this node has to say at its start is said.
    pub fn settle(&mut self, now: Now) {
        self.advance(now);
        if self.own.settled.is_none() && !self.own.silent() {
            self.publish_batch();
            self.own.settled = Some(self.store.own().map.head());
            self.publish(Kind::Beat, None);
        }
    }

    pub(super) fn settle_when_due(&mut self, mono: i64) {
        if self.own.settled.is_none() && mono >= self.own.started_at + SETTLE_MS {
            self.settle(self.now);
        }
    }

    /// Says goodbye: the others see this node gone at once. Every later write is refused.
    pub fn leave(&mut self, now: Now) {
        self.advance(now);
        if !self.own.silent() {
            self.publish_batch();
            while self.has_events() {
                self.publish_events();
            }
            self.publish(Kind::Leave, None);
            self.own.left = true;
        }
    }

    pub(super) fn write_first_record(&mut self) {
        self.own.record.name = self.config.node.clone();
        self.own.record.version = self.config.version.clone();
        self.write_record();
    }

    fn write_record(&mut self) {
        let key = self.store.record_key().clone();
        let value = Value::encode(&self.own.record)
            .expect("a record's parts are bounded well below 4096 bytes");
        self.put(
            key,
            Some(value),
            Write {
                source: Source::API,
                restate: false,
            },
        );
    }

    /// Whether events can be published.
    pub(super) fn may_publish(&self) -> Result<(), PublishError> {
        match self.own.fenced {
            Some(other) => Err(PublishError::Fenced { other }),
            None if self.own.left => Err(PublishError::Stopped),
            None => Ok(()),
        }
    }

    /// For how many ms this replica has been running.
    pub(super) fn uptime(&self) -> i64 {
        mono_ms(self.now) - self.own.started_at
    }

    fn may_write(&self) -> Result<(), WriteError> {
        match self.own.fenced {
            Some(other) => Err(WriteError::Fenced { other }),
            None if self.own.left => Err(WriteError::Stopped),
            None => Ok(()),
        }
    }

    /// Closes the batch when these changes would not fit it, or withdraw something that is in it: what was
    /// said last before a withdrawal is to be seen.
    fn make_room(&mut self, changes: &[(Key, Option<Value>)]) {
        let own = &self.store.own().map;
        let published = self.own.published;
        let withdraws = changes.iter().any(|(key, value)| {
            value.is_none() && own.get(key).is_some_and(|entry| entry.seq() > published)
        });
        let size = |(key, value): &(Key, Option<Value>)| {
            ENTRY_BYTES
                + key.name().len()
                + value.as_ref().map_or(0, |value| value.as_bytes().len())
        };
        let new: usize = changes.iter().map(size).sum();
        if withdraws || self.own.batch_bytes + new > BATCH_BYTES {
            self.publish_batch();
        }
        self.own.batch_bytes += new;
    }

    fn put(&mut self, key: Key, value: Option<Value>, how: Write) {
        let (hlc, over) = self.stamp(&key, value.as_ref(), how);
        let tombstone = value.is_none();
        let content = Content {
            value,
            source: how.source,
            over,
        };
        let seq = self.store.own_mut().map.write(key.clone(), hlc, content);
        if tombstone {
            let now = mono_ms(self.now);
            self.store.own_mut().tombstones.push_back((seq, now));
        }
        self.unsaved_key(self.id(), &key);
        self.refresh(Store::OWN, &[key]);
    }

    /// The stamp of a write, and the held-back writes it is made over.
    #[allow(clippy::box_collection)]
    fn stamp(
        &mut self,
        key: &Key,
        value: Option<&Value>,
        how: Write,
    ) -> (Hlc, Option<Box<Vec<Dot>>>) {
        let wall_ms = self.now.wall_ms;
        if key.policy() != Policy::LatestWriter {
            return (self.own.clock.tick(wall_ms, Hlc::ZERO), None);
        }
        let (floor, mut over) = self.view.write_over(&self.store, key, self.now);
        over.truncate(MAX_NAMED_DOTS);
        if value.is_none() {
            // Withdrawn, but what it was made over stays named.
            over = self
                .store
                .own()
                .map
                .get(key)
                .map(|entry| entry.over().to_vec())
                .unwrap_or_default();
        }
        let over = (!over.is_empty()).then(|| Box::new(over));
        let known = self.store.own().map.get(key).is_some();
        if how.restate && !known {
            return (Hlc::ZERO, over);
        }
        let drift = ms(self.config.timing.max_clock_drift).unsigned_abs();
        (self.own.clock.tick_near(wall_ms, floor, drift), over)
    }

    pub(super) fn has_batch(&self) -> bool {
        !self.own.silent() && self.store.own().map.head() > self.own.published
    }

    /// Puts everything written since the last frame into one. What does not fit a frame is only announced:
    /// the others fetch it.
    pub(super) fn publish_batch(&mut self) {
        if !self.has_batch() {
            return;
        }
        let base = self.own.published;
        let own = &self.store.own().map;
        let page = own.page(base, BATCH_BYTES);
        let (incarnation, upto) = (own.incarnation(), own.head());
        let fits = page.last && page.bytes <= BATCH_BYTES;
        self.own.published = upto;
        self.own.batch_bytes = 0;
        if fits {
            self.counters.entries_published += page.entries.len() as u64;
            let delta = Delta {
                incarnation,
                base,
                upto,
                reset: None,
                entries: page.entries,
            };
            self.publish(Kind::Delta, Some(delta));
        } else {
            self.publish(Kind::Beat, None);
        }
    }

    pub(super) fn beat_when_due(&mut self, mono: i64) {
        if !self.own.silent() && mono >= self.beat_due() {
            self.publish(Kind::Beat, None);
        }
    }

    /// Whether this node has left, and whether it has settled.
    pub(super) fn own_standing(&self) -> (bool, bool) {
        (self.own.left, self.own.settled.is_some())
    }

    /// When this node itself has something due.
    pub(super) fn own_due(&self) -> i64 {
        if self.own.silent() {
            return i64::MAX;
        }
        let settle = if self.own.settled.is_none() {
            self.own.started_at + SETTLE_MS
        } else {
            i64::MAX
        };
        settle.min(self.beat_due())
    }

    /// In a mesh that grew since the last frame beats may be further apart, but only from the next one on, which says
    /// so: the leases that others gave run out by what they were told.
    fn beat_due(&self) -> i64 {
        let promised_ms = if planted(Fault::BeatsUnannounced) {
            i64::MAX
        } else {
            self.own.promised_ms
        };
        self.own.last_frame_at + self.beat_ms().min(promised_ms)
    }

    /// One hundredth of a second for every node known, so that all beats together stay at 100 a second.
    fn beat_ms(&self) -> i64 {
        let nodes = i64::try_from(self.store.len()).unwrap_or(i64::MAX / 4);
        ms(self.config.timing.beat).max(nodes.saturating_mul(10))
    }

    fn publish(&mut self, kind: Kind, delta: Option<Delta>) {
        let header = self.next_header(kind);
        let (identity, mesh) = (self.identity.clone(), self.config.mesh);
        self.send(Draft::new(identity, mesh, header, delta));
    }

    /// Hands a frame of our own to gossip.
    pub(super) fn send(&mut self, frame: Draft) {
        self.own.last_frame_at = mono_ms(self.now);
        if self.own.queued_frames >= self.config.limits.outgoing_frames {
            self.counters.frames_dropped += 1;
            return;
        }
        self.own.queued_frames += 1;
        self.own.promised_ms = self.beat_ms();
        self.counters.frames_published += 1;
        self.outbox.push_back(Output::Publish { frame });
    }

    /// The header of our next frame, as of now.
    pub(super) fn next_header(&mut self, kind: Kind) -> Header {
        self.own.frame += 1;
        self.own.promised_ms = self.own.promised_ms.min(self.beat_ms());
        Header {
            replica: self.identity.replica(),
            incarnation: self.incarnation(),
            head: self.store.own().map.head(),
            events: self.events.framed(),
            frame: self.own.frame,
            up_ms: u64::try_from(mono_ms(self.now)).unwrap_or_default(),
            beat_ms: u32::try_from(self.beat_ms()).unwrap_or(u32::MAX),
            settled: self.own.settled,
            kind: if self.own.left { Kind::Leave } else { kind },
        }
    }

    /// Somebody relayed a header of our own that this life did not sign.
    ///
    /// Soon after the start it is that of an earlier life, whose clock was ahead: this life goes on above it,
    /// once, with everything written anew. Later it means that a younger process shares our identity.
    pub(super) fn on_own_header(&mut self, incarnation: Incarnation, frame: u64) {
        if (incarnation, frame) <= (self.incarnation(), self.own.frame) || self.own.silent() {
            return;
        }
        if self.own.jumped || mono_ms(self.now) >= self.own.started_at + START_MS {
            self.own.fenced = Some(incarnation);
            self.report(Report::Fenced { other: incarnation });
            return;
        }
        self.own.jumped = true;
        let bits = u16::try_from(self.random.next() >> 48).expect("48 of 64 bits are shifted out");
        let new = Incarnation::start(self.now.wall_ms, bits, incarnation);
        let old = std::mem::replace(&mut self.store.own_mut().map, OriginMap::new(new));
        self.store.own_mut().tombstones.clear();
        self.own.published = 0;
        let mut entries: Vec<_> = old.live().collect();
        entries.sort_by_key(|(_, entry)| entry.seq());
        for (key, entry) in entries {
            self.store
                .own_mut()
                .map
                .write(key.clone(), entry.hlc(), entry.content().clone());
            self.view.refresh(&self.store, Store::OWN, key, self.now);
        }
        if self.own.settled.is_some() {
            self.own.settled = Some(self.store.own().map.head());
        }
        let me = self.id();
        self.unsaved_whole(me);
        self.events.begin_own_life(me, new);
        self.report(Report::Jumped { incarnation: new });
    }

    /// Compares our clock with the peers'. Without a majority against it a clock is not at fault.
    pub(super) fn check_clock(&mut self) {
        let drift = ms(self.config.timing.max_clock_drift);
        let ahead = self
            .sync
            .median_skew()
            .map(|median| -median)
            .filter(|ahead| ahead.abs() > drift);
        match (self.own.clock_off_ms, ahead) {
            (None, Some(ahead_ms)) => self.report(Report::ClockOff { ahead_ms }),
            (Some(_), None) => self.report(Report::ClockAgrees),
            _ => {}
        }
        self.own.clock_off_ms = ahead;
    }
}
