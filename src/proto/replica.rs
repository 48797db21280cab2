//! The state machine.

mod adopt;
mod events;
mod local;
mod remote;
mod save;
mod serve;
mod statistics;
mod track;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::backlog::{AT_ONCE, Backlog};
use super::config::Config;
use super::counters::Counters;
use super::error::FollowError;
use super::events::Events;
use super::graves::Graves;
use super::io::{Input, Now, Output, Report};
use super::lease::Spans;
use super::member::{Member, Standing};
use super::shown::{Contribution, Explanation, Shown};
use super::store::{OriginIndex, OriginState, Store};
use super::sync::Sync;
use super::tracks::Tracks;
use super::unsaved::Unsaved;
use super::view::{View, mono_ms};
use super::watches::{WatchId, Watched};
use crate::crdt::{Entry, Hlc, HybridClock};
use crate::model::{Incarnation, Key, NodeRecord, Pattern, ReplicaId, Scope, Value};
use crate::wire::{Digest, Identity};
use crate::zoo::{Fault, planted};
use local::Own;
pub use local::Write;

/// A participant without its sockets and its clock. See the [module](super) for how to drive it.
#[derive(Debug)]
pub struct Replica {
    config: Config,
    identity: Arc<Identity>,
    store: Store,
    view: View,
    /// Locked while keys of it are shown: at most one does, whoever reads meanwhile.
    backlog: Mutex<Backlog>,
    sync: Sync,
    graves: Graves,
    own: Own,
    tracks: Tracks,
    /// What the next life is to find; `None` when nothing is saved.
    unsaved: Option<Unsaved>,
    events: Events,
    outbox: VecDeque<Output>,
    counters: Counters,
    random: Random,
    spans: Spans,
    round_due: i64,
    gc_due: i64,
    /// When each kind of repeated report was last made.
    reported: BTreeMap<&'static str, i64>,
    ready: bool,
    /// Without any peer until then, a node is ready.
    alone_until: i64,
    now: Now,
}

/// A node without peers is ready after this many ms.
const ALONE_MS: i64 = 5_000;
/// What happens again and again is reported this often, in ms.
const REPEAT_MS: i64 = 600_000;
/// Tombstones are looked at this often, in ms.
const GC_MS: i64 = 10_000;
/// Tombstones younger than this many ms are never forgotten: deltas on their way still rely on them.
const TOMBSTONE_MIN_MS: i64 = 60_000;
/// While held-back stamps wait, the wall clock is looked at this often: it may be set at any time.
const HELD_LOOK_MS: u64 = 1_000;

impl Replica {
    /// A new life, begun now.
    pub fn new(config: Config, identity: Identity, now: Now) -> Self {
        let mono = mono_ms(now);
        let mut random = Random(config.seed);
        let bits = u16::try_from(random.next() >> 48).expect("48 of 64 bits are shifted out");
        let mut incarnation = Incarnation::start(now.wall_ms, bits, config.incarnation_floor);
        if planted(Fault::SameIncarnation) && config.incarnation_floor != Incarnation::default() {
            incarnation = config.incarnation_floor;
        }
        let (timing, limits) = (&config.timing, &config.limits);
        let mut replica = Self {
            store: Store::new(identity.replica(), incarnation),
            view: View::new(config.mailboxes, timing.max_clock_drift, limits),
            backlog: Mutex::default(),
            sync: Sync::new(ms(timing.retry), limits),
            graves: Graves::new(limits.graves),
            own: Own::new(HybridClock::above(config.hlc_floor), mono),
            tracks: Tracks::default(),
            unsaved: None,
            events: Events::new(ms(timing.remember), ms(timing.retry), limits),
            outbox: VecDeque::new(),
            counters: Counters::default(),
            spans: Spans::new(timing),
            round_due: mono.saturating_add(ms(timing.sync)),
            gc_due: mono + GC_MS,
            reported: BTreeMap::new(),
            ready: false,
            alone_until: mono + ALONE_MS,
            random,
            identity: Arc::new(identity),
            config,
            now,
        };
        replica.view.keep_time(&replica.store, now);
        replica.write_first_record();
        replica
    }

    /// Takes in something that happened.
    pub fn handle(&mut self, input: Input, now: Now) {
        self.take_in(input, now);
        self.work(usize::MAX);
        self.ask();
    }

    /// Like [`Replica::handle`], for who must not be kept waiting: what costs most when very many keys come or
    /// change at once is left to [`Replica::work_some`]. Until that is done, [`Replica::get`] and all that is asked
    /// of a single key are right, and lists, counts and snapshots are only after [`Replica::catch_up`].
    pub fn begin(&mut self, input: Input, now: Now) {
        self.take_in(input, now);
        self.ask();
    }

    fn take_in(&mut self, input: Input, now: Now) {
        self.note_time(now);
        match input {
            Input::PeerUp { peer } => {
                if self.sync.peer_up(peer) {
                    if self.events.remembers() {
                        self.sync.ask_events(peer, None);
                    }
                    self.outbox.push_back(Output::MembersChanged);
                }
            }
            Input::PeerDown { peer } => {
                self.sync.peer_down(peer);
                self.outbox.push_back(Output::MembersChanged);
            }
            Input::Frame { from, frame } => self.on_frame(from, frame),
            Input::Request { from, id, request } => self.on_request(from, id, request),
            Input::Response { from, id, response } => self.on_response(from, id, response),
            Input::RequestFailed { to, id } => {
                self.counters.requests_failed += 1;
                self.sync.failed(to, id);
            }
            Input::Timeout => self.on_timeout(),
        }
    }

    /// Does a slice of what [`Replica::begin`] left for later: takes in, or shows, at most `keys` keys. Says whether
    /// there is more.
    pub fn work_some(&mut self, keys: usize) -> bool {
        if self.work(keys) {
            self.ask();
        }
        self.has_work()
    }

    /// Says whether more is known now.
    fn work(&mut self, keys: usize) -> bool {
        let (mut left, mut more) = (keys, false);
        while left > 0
            && let Some(mut building) = self.lend()
        {
            left -= building.build(left);
            more |= self.accept_back(building);
        }
        if self.is_behind() {
            self.show_some(left);
            self.note_late();
        }
        more
    }

    /// Whether [`Replica::work_some`] has something to do.
    pub fn has_work(&self) -> bool {
        self.sync.has_arrived() || self.is_behind()
    }

    /// Shows at most `keys` of the keys that wait for it, like [`Replica::work_some`], beside others who only look:
    /// what they are told of single keys is the same before, meanwhile and afterwards. Says whether there may be more;
    /// after the last, [`Replica::work_some`] is to be called.
    pub fn show_some(&self, keys: usize) -> bool {
        let mut backlog = self.backlog();
        for _ in 0..keys {
            let Some((index, key)) = backlog.next(&self.store) else {
                return false;
            };
            self.view.refresh(&self.store, index, &key, self.now);
        }
        true
    }

    /// Whether what is shown of many keys, taken together, is behind what is known: see [`Replica::begin`].
    pub fn is_behind(&self) -> bool {
        !self.view.late.is_empty()
    }

    fn backlog(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After the backlog has changed.
    fn note_late(&mut self) {
        let late = self.backlog().origins();
        self.view.late = late.into_iter().collect();
    }

    /// Shows all that is known.
    pub fn catch_up(&mut self) {
        if self.is_behind() {
            self.show_some(usize::MAX);
            self.note_late();
        }
    }

    /// Takes note of the time. What ran out meanwhile is noticed here, before anything else is looked at, and
    /// shown, unless much is waiting to be shown already.
    fn advance(&mut self, now: Now) {
        let behind = self.is_behind();
        self.note_time(now);
        if !behind {
            self.catch_up();
        }
    }

    fn note_time(&mut self, now: Now) {
        debug_assert!(
            now.mono >= self.now.mono,
            "the monotonic clock never goes back"
        );
        self.now = now;
        self.view.keep_time(&self.store, now);
        self.check_leases();
    }

    fn on_timeout(&mut self) {
        let mono = mono_ms(self.now);
        self.settle_when_due(mono);
        if mono >= self.round_due {
            self.round_due = mono.saturating_add(ms(self.config.timing.sync));
            self.store.keep_root();
            if let Some(peer) = self.any_peer() {
                self.sync.compare_with(peer);
                if self.events.remembers() {
                    self.sync.ask_events(peer, None);
                }
            }
        }
        if mono >= self.gc_due {
            self.gc_due = mono + GC_MS;
            self.collect_tombstones(mono);
            self.events.prune(mono);
        }
        self.counters.requests_failed += self.sync.give_up_overdue(mono);
        if !self.ready && mono >= self.alone_until && self.sync.peers().len() == 0 {
            self.ready = true;
        }
        self.events_when_due(mono);
        self.beat_when_due(mono);
    }

    fn any_peer(&mut self) -> Option<ReplicaId> {
        let peers = self.sync.peers().len();
        if peers == 0 {
            return None;
        }
        self.sync.peers().nth(self.random.below(peers))
    }

    /// Looks at the leases that may have run out: who came to stand differently is shown differently; who has been
    /// gone for `forget_after` is forgotten.
    fn check_leases(&mut self) {
        let mono = mono_ms(self.now);
        let forget = ms(self.config.timing.forget_after);
        while let Some(index) = self.store.take_look(mono) {
            if self.store.get(index).lease.age(mono) >= forget {
                self.forget(index);
            } else {
                self.restand(index);
            }
        }
    }

    /// Shows an origin as it stands now, when that is not how it was shown; and looks again when that may change.
    /// Says whether all it says was shown anew.
    fn restand(&mut self, index: OriginIndex) -> bool {
        let mono = mono_ms(self.now);
        let forget = ms(self.config.timing.forget_after);
        let origin = self.store.get_mut(index);
        origin.lease.caught_up(origin.map.head());
        let standing = origin.lease.standing_at(mono, &self.spans);
        let forgotten = mono.saturating_add(forget - origin.lease.age(mono));
        let change = origin.lease.next_change(mono, &self.spans);
        let mut look = change.map_or(forgotten, |change| change.min(forgotten));
        let mut changed = standing != origin.lease.standing;
        if origin.previous.is_some() && !origin.previous_gone {
            // An earlier life is not believed longer than a silent one.
            let (_, gone) = origin.lease.spans(&self.spans);
            let over = origin.previous_alive_at.saturating_add(gone);
            origin.previous_gone = mono >= over;
            changed |= origin.previous_gone;
            if !origin.previous_gone {
                look = look.min(over);
            }
        }
        self.store.look_at(index, look.max(mono + 1));
        if changed {
            let origin = self.store.get_mut(index);
            origin.lease.standing = standing;
            self.refresh_all(index);
            self.outbox.push_back(Output::MembersChanged);
            if planted(Fault::LeaseWritten) {
                let _ = self.set_attribute("standing", Some(&format!("{standing}")), self.now);
            }
        }
        changed
    }

    fn forget(&mut self, index: OriginIndex) {
        // Its index will name another.
        self.catch_up();
        let origin = self.store.get_mut(index);
        let keys: Vec<Key> = origin.keys().cloned().collect();
        origin.map = crate::crdt::OriginMap::new(origin.map.incarnation());
        origin.previous = None;
        self.refresh(index, &keys);
        self.catch_up();
        let origin = self.store.remove(index);
        let frame = origin.latest().map_or(0, |header| header.frame);
        self.graves
            .dig(origin.replica, origin.map.incarnation(), frame);
        self.unsaved_whole(origin.replica);
        self.unsaved_grave(origin.replica);
        self.sync.give_up(origin.replica);
        self.events.forget(origin.replica);
        self.outbox.push_back(Output::MembersChanged);
    }

    /// Forgets tombstones by size, above a quarter of what is alive, or by age.
    fn collect_tombstones(&mut self, mono: i64) {
        let old = ms(self.config.timing.tombstone);
        let indexes: Vec<OriginIndex> = self.store.iter().map(|(index, _)| index).collect();
        for index in indexes {
            let published = if index == Store::OWN {
                self.own.published
            } else {
                u64::MAX
            };
            let origin = self.store.get_mut(index);
            let many = origin.map.tombstone_bytes() > origin.map.live_bytes() / 4;
            let least_age = if many { TOMBSTONE_MIN_MS } else { old };
            let ripe = origin
                .tombstones
                .iter()
                .take_while(|(seq, at)| mono - at >= least_age && *seq <= published);
            let count = ripe.count();
            let seqs: Vec<u64> = origin
                .tombstones
                .drain(..count)
                .map(|(seq, _)| seq)
                .collect();
            self.counters.tombstones_collected += origin.map.collect(seqs) as u64;
        }
    }

    /// Brings what users see up to date after `index` wrote `keys` or came to stand differently.
    fn refresh(&mut self, index: OriginIndex, keys: &[Key]) {
        for key in keys {
            if key == self.store.record_key() {
                self.read_record(index);
            }
        }
        if keys.len() >= AT_ONCE {
            self.backlog().add(index, keys.to_vec());
            self.note_late();
            return;
        }
        for key in keys {
            self.view.refresh(&self.store, index, key, self.now);
        }
    }

    /// Like [`Replica::refresh`], for all it says.
    fn refresh_all(&mut self, index: OriginIndex) {
        let origin = self.store.get(index);
        if origin.map.slots() >= AT_ONCE {
            self.backlog().add_all(index, None);
            self.note_late();
            return;
        }
        self.read_record(index);
        self.view.refresh_all(&self.store, index, self.now);
    }

    /// Takes in what an origin says of itself.
    fn read_record(&mut self, index: OriginIndex) {
        let key = self.store.record_key().clone();
        let origin = self.store.get_mut(index);
        let value = origin
            .contribution(&key, &mut 0)
            .and_then(|(entry, ..)| entry.value()?.decode::<NodeRecord>());
        if value == origin.record {
            return;
        }
        let old = std::mem::replace(&mut origin.record, value);
        let down = |record: &Option<NodeRecord>| {
            record
                .as_ref()
                .map(|record| record.down.clone())
                .unwrap_or_default()
        };
        let rename = old.as_ref().map(|record| &record.name)
            != origin.record.as_ref().map(|record| &record.name);
        if let Some(record) = origin.record.as_ref().filter(|_| rename) {
            origin.known_as = Some(record.name.as_str().into());
        }
        if down(&old) != down(&origin.record) {
            let others = origin.keys().filter(|other| **other != key);
            let keys: Vec<Key> = others.cloned().collect();
            self.refresh(index, &keys);
        }
        self.outbox.push_back(Output::MembersChanged);
    }

    /// Puts out every question that can be asked now.
    fn ask(&mut self) {
        let now = mono_ms(self.now);
        while let Some((to, id, request)) = self.sync.next_request(&self.store, &self.events, now) {
            self.outbox.push_back(Output::Request { to, id, request });
        }
    }

    fn report(&mut self, report: Report) {
        self.outbox.push_back(Output::Report(report));
    }

    /// Reports what would otherwise be reported with every message: once per [`REPEAT_MS`] for each `what`.
    fn report_rarely(&mut self, what: &'static str, report: Report) {
        let mono = mono_ms(self.now);
        let recent = self
            .reported
            .get(what)
            .is_some_and(|at| mono - at < REPEAT_MS);
        if !recent {
            self.reported.insert(what, mono);
            self.report(report);
        }
    }

    /// What is to be done next, in order. Everything written since the last frame goes into one.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.outbox.is_empty() {
            self.publish_batch();
        }
        if self.outbox.is_empty() {
            self.publish_events();
        }
        let output = self.outbox.pop_front();
        if let Some(Output::Publish { .. }) = output {
            self.own.queued_frames -= 1;
        }
        output
    }

    /// Whether [`Replica::poll_output`] would return something.
    pub fn has_output(&self) -> bool {
        !self.outbox.is_empty() || self.has_batch() || self.has_events()
    }

    /// When (in [`Now::mono`]) [`Input::Timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let mono = mono_ms(self.now);
        let held = self.view.next_release_ms().map(|release| {
            let wait = release.saturating_sub(self.now.wall_ms).min(HELD_LOOK_MS);
            mono + i64::try_from(wait).expect("at most a second")
        });
        let alone = (!self.ready && self.sync.peers().len() == 0).then_some(self.alone_until);
        let leases = self.store.next_look().unwrap_or(i64::MAX);
        let fixed = [leases, self.round_due, self.gc_due, self.own_due()];
        let due = fixed
            .into_iter()
            .chain(held)
            .chain(alone)
            .chain(self.sync.next_timeout(mono))
            .chain(self.events.next_timeout())
            .min()?;
        Some(Duration::from_millis(
            u64::try_from(due).unwrap_or_default(),
        ))
    }

    /// What is shown of one key.
    pub fn get(&self, key: &Key, now: Now) -> Option<Shown<Value>> {
        self.view.get(&self.store, key, now)
    }

    /// Everything shown in a space, or a namespace of one, that matches, ordered by key.
    pub fn list(&self, scope: impl Into<Scope>, pattern: &Pattern, now: Now) -> Vec<Shown<Value>> {
        self.view.list(&self.store, &scope.into(), pattern, now)
    }

    /// How many keys are shown in a space, or a namespace of one. Costs the same however many there are.
    pub fn count(&self, scope: impl Into<Scope>) -> usize {
        self.view.count(&scope.into())
    }

    /// What each origin says of one key, ordered by node name and replica.
    pub fn contributions(&self, key: &Key, now: Now) -> Vec<Contribution<Value>> {
        self.view.contributions(&self.store, key, now)
    }

    /// Why a key shows what it shows.
    pub fn explain(&self, key: &Key, now: Now) -> Option<Explanation<Value>> {
        self.view.explain(&self.store, key, now)
    }

    /// Begins to follow a space, or a namespace of one. `hidden`: also changes of contributions that leave what
    /// is shown as it is.
    ///
    /// # Errors
    /// When there are as many watches as there may be.
    pub fn watch(
        &mut self,
        scope: impl Into<Scope>,
        pattern: Pattern,
        hidden: bool,
    ) -> Result<WatchId, FollowError> {
        let limit = self.config.limits.watches;
        self.view
            .watches()
            .add(scope.into(), pattern, hidden, limit)
    }

    /// Ends a watch.
    pub fn unwatch(&mut self, id: WatchId) {
        self.view.watches().remove(id);
    }

    /// A watcher's next item.
    pub fn poll_watch(&mut self, id: WatchId, now: Now) -> Option<Watched> {
        if self.view.watches().wants_snapshot(id) {
            self.catch_up();
        }
        self.view.poll_watch(&self.store, id, now)
    }

    /// The watchers that got something since this was last asked.
    pub fn take_woken(&self) -> BTreeSet<WatchId> {
        self.view.take_woken()
    }

    /// The other replicas, ordered by id.
    pub fn members(&self, now: Now) -> Vec<Member> {
        let mono = mono_ms(now);
        let others = self.store.iter().filter(|(index, _)| *index != Store::OWN);
        others
            .map(|(_, origin)| Member {
                replica: origin.replica,
                incarnation: origin.map.incarnation(),
                record: origin.record.clone(),
                standing: if origin.left() {
                    Standing::Gone
                } else {
                    origin.lease.standing
                },
                left: origin.left(),
                age: origin.lease.proved_age(mono).map(super::evaluate::span),
                clock_skew_ms: self.sync.skew(origin.replica),
                entries: origin.map.len(),
            })
            .collect()
    }

    /// The root of the store: equal digests mean equal stores.
    pub fn digest(&self) -> Digest {
        self.store.digest()
    }

    /// How much of every origin is known here, our own included, ordered by replica.
    pub fn maps(&self) -> Vec<MapSummary> {
        self.store
            .iter()
            .map(|(_, origin)| summary(origin))
            .collect()
    }

    /// How much of one origin is known here.
    pub fn map(&self, origin: ReplicaId) -> Option<MapSummary> {
        Some(summary(self.store.get(self.store.find(origin)?)))
    }

    /// What is stored of one origin under one key, a tombstone included.
    pub fn entry(&self, origin: ReplicaId, key: &Key) -> Option<&Entry> {
        self.store.get(self.store.find(origin)?).map.get(key)
    }

    /// The stored entries of one origin after `after`, tombstones included, in ascending seq.
    pub fn entries(&self, origin: ReplicaId, after: u64) -> Vec<(Key, Entry)> {
        let index = self.store.find(origin);
        index.map_or_else(Vec::new, |index| {
            self.store.get(index).map.page(after, usize::MAX).entries
        })
    }

    /// Whether a first exchange with a peer is done, or there was none for 5 s.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Who this is.
    pub fn id(&self) -> ReplicaId {
        self.identity.replica()
    }

    /// Its life. Changes once at most.
    pub fn incarnation(&self) -> Incarnation {
        self.store.own().map.incarnation()
    }

    /// The number of its latest write.
    pub fn head(&self) -> u64 {
        self.store.own().map.head()
    }

    /// Every stamp handed out or observed is at most this.
    pub fn last_hlc(&self) -> Hlc {
        self.own.clock.last()
    }

    /// What it has done since its start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What it was told at its start.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Checks that what is shown is what the store makes of it from nothing, and that every bound holds.
    ///
    /// Costs as much as everything stored: for tests and the simulator.
    ///
    /// # Errors
    /// The first invariant that is broken.
    pub fn invariants(&self) -> Result<(), String> {
        if let Err(key) = self.view.recomputed(&self.store, self.now) {
            return Err(format!(
                "what is shown of {key} differs from what the store makes of it"
            ));
        }
        if !self.store.root_is_true() {
            return Err("the root is not that of what is stored".to_owned());
        }
        if !self.sync.is_hopeful() {
            return Err("something is missing that nobody is asked for".to_owned());
        }
        if !self.sync.is_counted() {
            return Err("staged entries are not counted right".to_owned());
        }
        let limits = &self.config.limits;
        let bounded = |what: &str, number: usize, limit: usize| {
            if number <= limit {
                Ok(())
            } else {
                Err(format!("{number} {what}, the bound is {limit}"))
            }
        };
        bounded("watches", self.view.watchers(), limits.watches)?;
        bounded(
            "staged entries",
            self.sync.staged_entries(),
            limits.staged_entries,
        )?;
        bounded(
            "outgoing frames",
            self.own.queued_frames,
            limits.outgoing_frames,
        )?;
        for (what, number, limit) in self.events.bounded(limits) {
            bounded(what, number, limit)?;
        }
        for (index, origin) in self.store.iter() {
            bounded(
                "pending ranges",
                origin.pending.len(),
                limits.pending_ranges,
            )?;
            let (tombstones, head) = (origin.tombstones.len(), origin.map.head());
            bounded("tombstones", origin.map.tombstones().count(), tombstones)?;
            let proved = origin.latest().map_or(0, |header| header.head);
            if index != Store::OWN && head > proved {
                return Err(format!(
                    "its head of {:?} is {head}, signed is {proved}",
                    origin.replica
                ));
            }
        }
        Ok(())
    }

    /// Like [`Replica::invariants`], for tests.
    ///
    /// # Panics
    /// When an invariant is broken, naming it.
    pub fn check_invariants(&self) {
        if let Err(broken) = self.invariants() {
            panic!("{broken}");
        }
    }
}

/// How much is known of one origin. Equal incarnations and heads mean equal hashes, on any two replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapSummary {
    /// The origin.
    pub replica: ReplicaId,
    /// Its life.
    pub incarnation: Incarnation,
    /// The highest seq below which nothing is missing.
    pub head: u64,
    /// Below this seq tombstones have been forgotten here.
    pub watermark: u64,
    /// How many keys have a value.
    pub entries: usize,
    /// The hash of all of them.
    pub hash: u128,
}

fn summary(origin: &OriginState) -> MapSummary {
    MapSummary {
        replica: origin.replica,
        incarnation: origin.map.incarnation(),
        head: origin.map.head(),
        watermark: origin.map.watermark(),
        entries: origin.map.len(),
        hash: origin.map.hash(),
    }
}

fn ms(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 4)
}

/// SplitMix64 (Steele, Lea and Flood 2014): small, and the same on every machine.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("below a usize")
    }
}
