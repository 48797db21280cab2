//! What is known of every origin. Converges; knows no time and no liveness.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use rustc_hash::FxHashMap;
use sha2::{Digest as _, Sha256};

use super::lease::Lease;
use super::member::Standing;
use crate::crdt::{Delta, Entry, Head, OriginMap, Outcome, Pending, Slot, Whole};
use crate::model::{Incarnation, Key, NodeRecord, ReplicaId, SpaceId};
use crate::wire::{Digest, HeadInfo, Header, Kind, SignedHeader};
use crate::zoo::{Fault, planted};

/// Names an origin within this store; given again once the origin is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct OriginIndex(u32);

/// What is known of every origin, our own included.
#[derive(Debug)]
pub(super) struct Store {
    /// In the order of the root, of heads and of members.
    by_replica: BTreeMap<ReplicaId, OriginIndex>,
    /// The same again: every frame looks its origin up.
    indexes: FxHashMap<ReplicaId, OriginIndex>,
    origins: Vec<Option<OriginState>>,
    free: Vec<OriginIndex>,
    /// When to look at whose lease: one time for each origin at most.
    looks: BTreeSet<(i64, OriginIndex)>,
    /// The first of them: every input asks whether one is due.
    next_look: Option<i64>,
    /// Sum modulo 2^128 of what the origins added to the root when it was last brought up to date.
    root: u128,
    /// Those that may add something else now, each once.
    touched: Vec<OriginIndex>,
    record_key: Key,
}

/// What is known of one origin.
#[derive(Debug)]
pub(super) struct OriginState {
    pub(super) replica: ReplicaId,
    pub(super) map: OriginMap,
    /// The latest header it signed; none for our own origin.
    pub(super) header: Option<SignedHeader>,
    /// Deltas that came too early. Bounded.
    pub(super) pending: Pending,
    /// What an earlier life said, for readers only: each key until this life writes it, and all of it until
    /// this life has settled. Never sent, never part of the root.
    pub(super) previous: Option<OriginMap>,
    /// When the life before was last known alive: how old what it said is.
    pub(super) previous_alive_at: i64,
    /// Whether that earlier life had been shown as gone: what it said of devices stays out of their aggregates.
    pub(super) previous_gone: bool,
    /// What it says of itself.
    pub(super) record: Option<NodeRecord>,
    /// What people call it, once its record is here.
    pub(super) known_as: Option<Arc<str>>,
    pub(super) lease: Lease,
    /// When its lease is looked at next: never later than it may run out.
    look_at: Option<i64>,
    /// What it added to the root when that was last brought up to date.
    rooted: Rooted,
    /// Whether that may have changed.
    touched: bool,
    /// When the tombstones here arrived, in ascending seq. Some may be gone again.
    pub(super) tombstones: VecDeque<(u64, i64)>,
}

/// What an origin adds to the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Rooted {
    /// Of what: incarnation, head, hash.
    of: (Incarnation, u64, u128),
    /// 0 when nothing is known of it.
    sum: u128,
}

/// What a signed header told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HeaderNews {
    /// Nothing: as old as what is known, or older.
    Nothing,
    /// A later frame of the life that is known.
    Later,
    /// A new life: everything starts afresh. These keys may be shown differently.
    NewLife(Vec<Key>),
}

impl OriginState {
    fn new(replica: ReplicaId, incarnation: Incarnation, now: i64) -> Self {
        Self {
            replica,
            map: OriginMap::new(incarnation),
            header: None,
            pending: Pending::default(),
            previous: None,
            previous_alive_at: 0,
            previous_gone: false,
            record: None,
            known_as: None,
            lease: Lease::new(now),
            look_at: None,
            rooted: Rooted::default(),
            touched: true,
            tombstones: VecDeque::new(),
        }
    }

    /// What people call it; its replica id until its record has arrived.
    pub(super) fn name(&self) -> Arc<str> {
        self.known_as
            .clone()
            .unwrap_or_else(|| self.replica.to_string().into())
    }

    /// How far it is known without gaps.
    pub(super) fn head(&self) -> Head {
        Head {
            incarnation: self.map.incarnation(),
            seq: self.map.head(),
        }
    }

    /// What it adds to the root now.
    fn root(&self) -> Rooted {
        let map = &self.map;
        let of = (map.incarnation(), map.head(), map.hash());
        if of == self.rooted.of {
            return self.rooted;
        }
        let sum = root_of(self.replica, map);
        Rooted { of, sum }
    }

    /// What to tell others of it, a replica that is not our own.
    pub(super) fn head_info(&self, now: i64) -> HeadInfo {
        let mut head = self.head();
        if planted(Fault::PendingAsHead) {
            let pending = self.pending.iter().map(|delta| delta.upto);
            head.seq = pending.fold(head.seq, u64::max);
        }
        HeadInfo {
            replica: self.replica,
            shard: 0,
            head,
            alive: self.lease.alive(now),
            left: self.left(),
            settled: self.latest().is_some_and(|header| header.settled.is_some()),
        }
    }

    /// What it says of `key`, and whether an earlier life of it said so. `near`: the slot to look in first; then the
    /// one where it is.
    pub(super) fn contribution(
        &self,
        key: &Key,
        near: &mut Slot,
    ) -> Option<(&Entry, Incarnation, bool)> {
        let entry = self.map.get_near(key, near);
        let (entry, incarnation, previous) = match (entry, &self.previous) {
            (Some(entry), _) => (entry, self.map.incarnation(), false),
            (None, Some(previous)) => (previous.get(key)?, previous.incarnation(), true),
            (None, None) => return None,
        };
        (!entry.is_tombstone()).then_some((entry, incarnation, previous))
    }

    /// Every key it says something of, now or in the life before.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        let earlier = self.previous.iter().flat_map(|map| map.live());
        let earlier = earlier.filter(|(key, _)| self.map.get(key).is_none());
        self.map.live().chain(earlier).map(|(key, _)| key)
    }

    /// Whether it has said that it leaves.
    pub(super) fn left(&self) -> bool {
        self.latest()
            .is_some_and(|header| header.kind == Kind::Leave)
    }

    /// Whether it has said all it had to say at its start, and all of that is here.
    pub(super) fn settled(&self) -> bool {
        self.latest()
            .and_then(|header| header.settled)
            .is_some_and(|seq| seq <= self.map.head())
    }

    /// The latest that it signed.
    pub(super) fn latest(&self) -> Option<&Header> {
        self.header.as_ref().map(SignedHeader::header)
    }

    /// Takes in a header of this origin. Only later frames of this life, and later lives, change anything.
    pub(super) fn note(&mut self, signed: SignedHeader, now: i64) -> HeaderNews {
        let header = signed.header();
        let known = (
            self.map.incarnation(),
            self.latest().map_or(0, |latest| latest.frame),
        );
        if (header.incarnation, header.frame) <= known {
            return HeaderNews::Nothing;
        }
        let news = if header.incarnation > self.map.incarnation() {
            let keys = self.begin_life(header.incarnation, now);
            HeaderNews::NewLife(keys)
        } else {
            HeaderNews::Later
        };
        self.lease.beats_every(i64::from(signed.header().beat_ms));
        self.header = Some(signed);
        news
    }

    fn begin_life(&mut self, incarnation: Incarnation, now: i64) -> Vec<Key> {
        let old = self.map.begin_life(incarnation);
        let gone = self.left() || self.lease.standing == Standing::Gone;
        self.previous_gone = gone || (self.previous_gone && self.previous.is_some());
        let overlaid = match self.previous.take() {
            Some(previous) => overlay(previous, &old),
            None => old,
        };
        self.previous = (!overlaid.is_empty()).then_some(overlaid);
        self.previous_alive_at = now - self.lease.value_age(now);
        self.pending.clear();
        self.tombstones.clear();
        self.lease = Lease::new(now);
        let keys = self.keys().cloned().collect();
        if planted(Fault::RestartBlinks) {
            self.previous = None;
        }
        keys
    }

    /// Drops what is left of the earlier life once this one has settled. Returns the keys it spoke of.
    pub(super) fn drop_settled(&mut self) -> Vec<Key> {
        if self.previous.is_none() || !self.settled() {
            return Vec::new();
        }
        let previous = self.previous.take().into_iter();
        previous
            .flat_map(|map| map.live().map(|(key, _)| key.clone()).collect::<Vec<_>>())
            .collect()
    }

    /// Applies a delta, or keeps it for later. What was waiting for it is applied by [`OriginState::follow`].
    pub(super) fn accept(&mut self, delta: Delta, pending_limit: usize, now: i64) -> Outcome {
        let outcome = self.pending.offer(&mut self.map, delta, pending_limit);
        self.note_tombstones(&outcome, now);
        outcome
    }

    /// Takes a whole map for what is known of this life, unless as much is known already. Returns what it took the
    /// place of. What was waiting for it is applied by [`OriginState::follow`].
    pub(super) fn adopt(&mut self, whole: Whole, now: i64) -> Option<OriginMap> {
        let tombstones = whole.tombstones().map(|seq| (seq, now)).collect();
        let before = self.map.adopt(whole)?;
        assert!(
            (self.map.incarnation(), self.map.head()) > (before.incarnation(), before.head()),
            "heads never go back"
        );
        self.tombstones = tombstones;
        Some(before)
    }

    /// Applies one pending range that waits for nothing any more.
    pub(super) fn follow(&mut self, now: i64) -> Option<Outcome> {
        let outcome = self.pending.follow(&mut self.map)?;
        self.note_tombstones(&outcome, now);
        Some(outcome)
    }

    fn note_tombstones(&mut self, outcome: &Outcome, now: i64) {
        if outcome.reset && !outcome.old {
            // A reset brings tombstones of keys that were never shown here, too: nothing changed for readers.
            self.tombstones = self.map.tombstones().map(|seq| (seq, now)).collect();
        } else {
            for key in &outcome.changed {
                if let Some(entry) = self.map.get(key).filter(|entry| entry.is_tombstone()) {
                    self.tombstones.push_back((entry.seq(), now));
                }
            }
        }
    }
}

/// What is hashed of an origin for the root. Only heard of, nothing known: no different from not heard of at all.
fn root_of(replica: ReplicaId, map: &OriginMap) -> u128 {
    if map.head() == 0 {
        return 0;
    }
    let mut hasher = Sha256::new();
    hasher.update(replica.public_key());
    hasher.update(0u16.to_le_bytes());
    if !planted(Fault::RootIgnoresIncarnation) {
        hasher.update(map.incarnation().0.to_le_bytes());
    }
    hasher.update(map.head().to_le_bytes());
    hasher.update(map.hash().to_le_bytes());
    let hash: [u8; 32] = hasher.finalize().into();
    u128::from_le_bytes(hash[..16].try_into().expect("half of 32 bytes"))
}

/// What two lives said, the later one on top; a view only, whose seqs mean nothing.
fn overlay(below: OriginMap, above: &OriginMap) -> OriginMap {
    let mut both = OriginMap::new(above.incarnation());
    let hidden = below.live().filter(|(key, _)| above.get(key).is_none());
    for (key, entry) in hidden.chain(above.live()) {
        both.write(key.clone(), entry.hlc(), entry.content().clone());
    }
    both
}

impl Store {
    /// A store that knows only its own origin, under [`Store::OWN`].
    pub(super) fn new(me: ReplicaId, incarnation: Incarnation) -> Self {
        let own = OriginState::new(me, incarnation, 0);
        Self {
            by_replica: BTreeMap::from([(me, Self::OWN)]),
            indexes: FxHashMap::from_iter([(me, Self::OWN)]),
            origins: vec![Some(own)],
            free: Vec::new(),
            looks: BTreeSet::new(),
            next_look: None,
            root: 0,
            touched: vec![Self::OWN],
            record_key: Key::new(SpaceId::NODES, NodeRecord::KEY).expect("a short name"),
        }
    }

    /// Our own origin.
    pub(super) const OWN: OriginIndex = OriginIndex(0);

    pub(super) fn own(&self) -> &OriginState {
        self.get(Self::OWN)
    }

    pub(super) fn own_mut(&mut self) -> &mut OriginState {
        self.get_mut(Self::OWN)
    }

    /// The key under which every node's record lies.
    pub(super) fn record_key(&self) -> &Key {
        &self.record_key
    }

    pub(super) fn find(&self, replica: ReplicaId) -> Option<OriginIndex> {
        self.indexes.get(&replica).copied()
    }

    /// Takes in a new origin.
    pub(super) fn add(
        &mut self,
        replica: ReplicaId,
        incarnation: Incarnation,
        now: i64,
    ) -> OriginIndex {
        assert_eq!(self.find(replica), None, "an origin is added once");
        let state = OriginState::new(replica, incarnation, now);
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.origins.push(None);
                OriginIndex(
                    u32::try_from(self.origins.len() - 1)
                        .expect("origins are limited far below 2^32"),
                )
            }
        };
        self.origins[index.0 as usize] = Some(state);
        self.touched.push(index);
        self.by_replica.insert(replica, index);
        self.indexes.insert(replica, index);
        index
    }

    /// Forgets an origin. Its keys must have been taken out of the view.
    pub(super) fn remove(&mut self, index: OriginIndex) -> OriginState {
        assert_ne!(index, Self::OWN, "a replica never forgets itself");
        let state = self.origins[index.0 as usize]
            .take()
            .expect("an index names an origin until it is removed");
        self.by_replica.remove(&state.replica);
        self.indexes.remove(&state.replica);
        if let Some(at) = state.look_at {
            self.looks.remove(&(at, index));
            self.next_look = self.looks.first().map(|(at, _)| *at);
        }
        self.root = self.root.wrapping_sub(state.rooted.sum);
        self.touched.retain(|touched| *touched != index);
        self.free.push(index);
        state
    }

    /// The lease of `index` is to be looked at then, or earlier if that was said before.
    pub(super) fn look_at(&mut self, index: OriginIndex, at: i64) {
        let origin = self.get_mut(index);
        let before = origin.look_at;
        if before.is_none_or(|before| at < before) {
            origin.look_at = Some(at);
            if let Some(before) = before {
                self.looks.remove(&(before, index));
            }
            self.looks.insert((at, index));
            self.next_look = self.looks.first().map(|(at, _)| *at);
        }
    }

    /// When the next lease is to be looked at.
    pub(super) fn next_look(&self) -> Option<i64> {
        self.next_look
    }

    /// An origin whose lease is to be looked at now.
    pub(super) fn take_look(&mut self, now: i64) -> Option<OriginIndex> {
        self.next_look.filter(|at| *at <= now)?;
        let (_, index) = self.looks.pop_first()?;
        self.next_look = self.looks.first().map(|(at, _)| *at);
        self.get_mut(index).look_at = None;
        Some(index)
    }

    pub(super) fn get(&self, index: OriginIndex) -> &OriginState {
        self.origins[index.0 as usize]
            .as_ref()
            .expect("an index names an origin until it is removed")
    }

    pub(super) fn get_mut(&mut self, index: OriginIndex) -> &mut OriginState {
        let origin = self.origins[index.0 as usize]
            .as_mut()
            .expect("an index names an origin until it is removed");
        if !origin.touched {
            origin.touched = true;
            self.touched.push(index);
        }
        origin
    }

    /// All origins, ordered by replica.
    pub(super) fn iter(&self) -> impl Iterator<Item = (OriginIndex, &OriginState)> {
        self.by_replica
            .values()
            .map(|index| (*index, self.get(*index)))
    }

    /// Origins ordered by replica, from the one after `after`.
    pub(super) fn after(
        &self,
        after: Option<ReplicaId>,
    ) -> impl Iterator<Item = (ReplicaId, OriginIndex)> {
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        self.by_replica
            .range((from, std::ops::Bound::Unbounded))
            .map(|(replica, index)| (*replica, *index))
    }

    /// How many origins are known, our own included.
    pub(super) fn len(&self) -> usize {
        self.by_replica.len()
    }

    /// The root: the sum modulo 2^128 of a hash of every origin's incarnation, head and live entries. Equal roots
    /// mean equal stores. Costs as much as has changed since [`Store::keep_root`], however many origins there are.
    pub(super) fn digest(&self) -> Digest {
        let touched = self.touched.iter().map(|index| self.get(*index));
        let root = touched.fold(self.root, |root, origin| {
            root.wrapping_sub(origin.rooted.sum)
                .wrapping_add(origin.root().sum)
        });
        Digest(root.to_le_bytes())
    }

    /// Remembers what every origin adds to the root now.
    pub(super) fn keep_root(&mut self) {
        for index in std::mem::take(&mut self.touched) {
            let origin = self.origins[index.0 as usize]
                .as_mut()
                .expect("an index names an origin until it is removed");
            let rooted = origin.root();
            self.root = self.root.wrapping_sub(origin.rooted.sum);
            self.root = self.root.wrapping_add(rooted.sum);
            (origin.rooted, origin.touched) = (rooted, false);
        }
    }

    /// Whether the root is what the origins make of it from nothing: an invariant, for tests and the simulator.
    pub(super) fn root_is_true(&self) -> bool {
        let anew = self
            .iter()
            .map(|(_, origin)| root_of(origin.replica, &origin.map));
        let root = anew.fold(0_u128, u128::wrapping_add);
        self.digest() == Digest(root.to_le_bytes())
    }
}
