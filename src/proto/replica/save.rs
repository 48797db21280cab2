//! What outlives the process: saving, and restoring in the next life.

use std::collections::BTreeMap;

use super::super::io::{Now, Report};
use super::super::lease::Lease;
use super::super::saved::{Changes, Facts, OriginChanges, Proof, Restored, Saved, SavedOrigin};
use super::super::store::{OriginState, Store};
use super::super::unsaved::{Dirty, Unsaved};
use super::super::view::mono_ms;
use super::{Replica, ms};
use crate::crdt::{Delta, Entry};
use crate::model::{Key, ReplicaId, Source, SpaceId};
use crate::zoo::{Fault, planted};

/// Steps of the wall clock above this, in ms, date everything anew; smaller ones gather until they come to it.
const REDATE_MS: i64 = 500;
/// Signs of life alone are saved this often, in ms: so much older than it is may an origin seem after a restart.
const HEARD_MS: i64 = 10_000;

impl Replica {
    /// Takes back what earlier lives saved, and from now on notes what changes, for [`Replica::save_changes`].
    /// To be called once, before anything else; `saved` is [`Saved::default`] when there is nothing.
    ///
    /// What this replica said it says again, in its new life, each key with the stamp it had: a newer write of
    /// someone else is not beaten by a restart. What it knew of others is shown at its age and never live until
    /// they, or someone who has heard them since, are heard.
    ///
    /// # Panics
    /// When this life is not above all that are saved: [`Config::incarnation_floor`](super::super::Config) and
    /// `hlc_floor` were not taken from `saved`.
    pub fn restore(&mut self, saved: Saved, now: Now) -> Restored {
        assert!(
            self.incarnation() > saved.incarnation || planted(Fault::SameIncarnation),
            "a new life is above those that are saved"
        );
        self.advance(now);
        let mut unsaved = Unsaved {
            heard_saved_at: mono_ms(now),
            dated_by: wall_less_mono(now),
            ..Unsaved::default()
        };
        // This life's number, before anything else.
        unsaved.facts(self.id());
        self.unsaved = Some(unsaved);
        let mut restored = Restored::default();
        self.restore_own(saved.own, &mut restored);
        for (replica, (incarnation, frame)) in saved.graves {
            self.graves.dig(replica, incarnation, frame);
        }
        let clock = SavedClock {
            saved_ms: saved.wall_ms,
            now_ms: now.wall_ms,
            unknown_ms: ms(self.config.timing.gone_after),
        };
        for (replica, origin) in saved.others {
            self.restore_origin(replica, origin, &clock, &mut restored);
        }
        if clock.went_back() {
            self.date_anew();
        }
        // Nobody waits yet.
        self.catch_up();
        restored
    }

    fn restore_own(&mut self, own: BTreeMap<Key, Entry>, restored: &mut Restored) {
        let me = self.id();
        let mut own: Vec<(Key, Entry)> = own.into_iter().collect();
        own.sort_by_key(|(_, entry)| entry.seq());
        let limit = self.config.limits.entries_per_origin;
        for (key, entry) in own {
            let full = self.store.own().map.len() >= limit;
            if full || entry.is_tombstone() || !outlives(&key, entry.source()) {
                self.unsaved_key(me, &key);
                if full {
                    let limit = "entries_per_origin";
                    self.report_rarely(limit, Report::Full { limit });
                }
                continue;
            }
            self.own.clock.observe(entry.hlc(), u64::MAX, 0);
            let map = &mut self.store.own_mut().map;
            map.write(key.clone(), entry.hlc(), entry.content().clone());
            self.view.refresh(&self.store, Store::OWN, &key, self.now);
            // What stands behind an adapter may say something else by now.
            if entry.source() != Source::API {
                self.doubt_source(entry.source());
            }
            restored.own += 1;
        }
        self.write_doubts();
    }

    fn restore_origin(
        &mut self,
        replica: ReplicaId,
        saved: SavedOrigin,
        clock: &SavedClock,
        restored: &mut Restored,
    ) {
        let mono = mono_ms(self.now);
        let header = saved.facts.header.header().clone();
        let age = clock.age(saved.facts.alive_wall_ms);
        if age >= ms(self.config.timing.forget_after) {
            self.graves.dig(replica, header.incarnation, header.frame);
            self.unsaved_grave(replica);
            self.unsaved_whole(replica);
            restored.forgotten += 1;
            return;
        }
        let delta = reset(&saved);
        let limits = &self.config.limits;
        let fits =
            self.store.len() < limits.origins && delta.entries.len() <= limits.entries_per_origin;
        let genuine =
            header.replica == replica && delta.upto <= header.head && delta.check().is_ok();
        let known = self.store.find(replica).is_some();
        let mut map = crate::crdt::OriginMap::new(header.incarnation);
        if fits && genuine && !known {
            map.accept(delta);
        }
        if known || !fits || !genuine || map.hash() != saved.facts.hash {
            self.counters.reject("saved");
            self.unsaved_whole(replica);
            restored.refused += 1;
            return;
        }
        let proof = saved.facts.proof.map(|proof| {
            let up = i64::try_from(proof.up_ms).unwrap_or(i64::MAX / 4);
            let complete = proof.complete_wall_ms.map(|at| clock.age(at).max(age));
            (complete, up)
        });
        let beat = i64::from(header.beat_ms);
        let mut lease = Lease::restored(mono, age, proof, beat, &self.spans);
        lease.standing = lease.standing_at(mono, &self.spans);
        let index = self.store.find(replica);
        let index = index.unwrap_or_else(|| {
            let store = &mut self.store;
            store.add(replica, header.incarnation, mono)
        });
        let origin = self.store.get_mut(index);
        (origin.map, origin.lease, origin.header) = (map, lease, Some(saved.facts.header));
        let keys: Vec<Key> = origin.keys().cloned().collect();
        restored.origins += 1;
        restored.entries += keys.len();
        self.observe(index, &keys);
        self.refresh(index, &keys);
        self.restand(index);
    }

    /// What has changed since this was last asked, about `budget_bytes` of it; `None` when nothing has, or
    /// nothing is saved. Whoever takes it and cannot save it calls [`Replica::save_anew`].
    pub fn save_changes(&mut self, budget_bytes: usize, now: Now) -> Option<Changes> {
        self.advance(now);
        let dated_by = self.unsaved.as_ref()?.dated_by;
        if (wall_less_mono(now) - dated_by).abs() > REDATE_MS {
            self.date_anew();
        }
        let mut unsaved = self.unsaved.take()?;
        let mono = mono_ms(now);
        if mono - unsaved.heard_saved_at >= HEARD_MS {
            unsaved.heard_saved_at = mono;
            for replica in std::mem::take(&mut unsaved.heard) {
                unsaved.facts(replica);
            }
        }
        let changes = (!unsaved.is_empty()).then(|| self.take_changes(&mut unsaved, budget_bytes));
        self.unsaved = Some(unsaved);
        changes
    }

    /// Everything is to be saved from nothing: what was handed out before may not be where it belongs.
    pub fn save_anew(&mut self) {
        let Some(unsaved) = &mut self.unsaved else {
            return;
        };
        unsaved.anew = true;
        for (_, origin) in self.store.iter() {
            unsaved.whole(origin.replica);
        }
        unsaved.graves = self.graves.iter().map(|(replica, _)| replica).collect();
    }

    /// The wall clock was set: what is saved is dated anew, so that it is as old by the new one as it is.
    fn date_anew(&mut self) {
        let Some(unsaved) = &mut self.unsaved else {
            return;
        };
        unsaved.dated_by = wall_less_mono(self.now);
        let others = self.store.iter().filter(|(index, _)| *index != Store::OWN);
        others.for_each(|(_, origin)| unsaved.facts(origin.replica));
    }

    fn take_changes(&self, unsaved: &mut Unsaved, budget_bytes: usize) -> Changes {
        let mut budget = Budget(budget_bytes);
        let mut origins = Vec::new();
        while !budget.is_spent() {
            let Some((replica, mut dirty)) = unsaved.origins.pop_first() else {
                break;
            };
            unsaved.heard.remove(&replica);
            origins.push(self.take_origin(replica, &mut dirty, &mut budget));
            if dirty.sweep.is_some() || !dirty.keys.is_empty() {
                unsaved.origins.insert(replica, dirty);
            }
        }
        let graves = std::mem::take(&mut unsaved.graves).into_iter();
        Changes {
            anew: std::mem::take(&mut unsaved.anew),
            incarnation: self.incarnation(),
            hlc: self.own.clock.last(),
            wall_ms: self.now.wall_ms,
            origins,
            graves: graves
                .map(|replica| (replica, self.graves.end(replica)))
                .collect(),
            complete: unsaved.origins.is_empty(),
        }
    }

    fn take_origin(
        &self,
        replica: ReplicaId,
        dirty: &mut Dirty,
        budget: &mut Budget,
    ) -> OriginChanges {
        let mut changes = OriginChanges {
            replica,
            anew: std::mem::take(&mut dirty.anew),
            facts: None,
            rows: Vec::new(),
        };
        let Some(index) = self.store.find(replica) else {
            *dirty = Dirty::default();
            return changes;
        };
        let origin = self.store.get(index);
        let own = index == Store::OWN;
        if !own {
            changes.facts = self.facts(origin);
            if changes.facts.is_none() {
                *dirty = Dirty::default();
                return changes;
            }
        }
        let kept = |key: &Key, entry: &Entry| {
            let outlives = || outlives(key, entry.source()) && !self.is_tracked(key);
            !entry.is_tombstone() && (!own || outlives())
        };
        if let Some(after) = dirty.sweep.take() {
            let page = origin.map.page(after, budget.0.max(1));
            budget.spend(page.bytes);
            dirty.sweep = page
                .entries
                .last()
                .filter(|_| !page.last)
                .map(|(_, entry)| entry.seq());
            let rows = page.entries.into_iter();
            let rows = rows.filter(|(key, entry)| kept(key, entry));
            changes
                .rows
                .extend(rows.map(|(key, entry)| (key, Some(entry))));
        }
        while dirty.sweep.is_none() && !budget.is_spent() {
            let Some(key) = dirty.keys.pop_first() else {
                break;
            };
            let entry = origin.map.get(&key).filter(|entry| kept(&key, entry));
            let value = entry
                .and_then(Entry::value)
                .map_or(0, |value| value.as_bytes().len());
            budget.spend(ROW_BYTES + key.name().len() + value);
            changes.rows.push((key, entry.cloned()));
        }
        changes
    }

    /// What is saved of another origin besides its entries; nothing until it has signed something.
    fn facts(&self, origin: &OriginState) -> Option<Facts> {
        let mono = mono_ms(self.now);
        let header = origin.header.clone()?;
        let wall = |age: i64| self.now.wall_ms.saturating_sub(age.unsigned_abs());
        let proof = origin.lease.proof(mono).map(|(complete_age, up)| Proof {
            complete_wall_ms: complete_age.map(wall),
            up_ms: u64::try_from(up).unwrap_or_default(),
        });
        Some(Facts {
            header,
            head: origin.map.head(),
            hash: origin.map.hash(),
            alive_wall_ms: wall(origin.lease.age(mono)),
            proof,
        })
    }

    /// Notes that a key of an origin has changed.
    pub(super) fn unsaved_key(&mut self, origin: ReplicaId, key: &Key) {
        if let Some(unsaved) = &mut self.unsaved {
            let index = self.store.find(origin);
            let entries = index.map_or(0, |index| self.store.get(index).map.len());
            unsaved.key(origin, key, entries);
        }
    }

    /// Notes that these keys of an origin, or only how far it is known, have changed.
    pub(super) fn unsaved_keys(&mut self, origin: ReplicaId, keys: &[Key]) {
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.facts(origin);
            keys.iter().for_each(|key| self.unsaved_key(origin, key));
        }
    }

    /// Notes that an origin is to be saved from nothing, or is forgotten.
    pub(super) fn unsaved_whole(&mut self, origin: ReplicaId) {
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.whole(origin);
        }
    }

    /// Notes that a grave was dug or lifted.
    pub(super) fn unsaved_grave(&mut self, origin: ReplicaId) {
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.graves.insert(origin);
        }
    }

    /// Notes that an origin gave a sign of life.
    pub(super) fn unsaved_sign_of_life(&mut self, origin: ReplicaId) {
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.heard.insert(origin);
        }
    }
}

/// Whether an own key is said again in the next life without anybody saying so: not what a node says of itself,
/// which every life says anew, nor the devices of an adapter, which are as its far end says then. Counts are
/// kept like a silent PBX's.
fn outlives(key: &Key, source: Source) -> bool {
    let device = key.space() == SpaceId::DEVICES;
    key.space() != SpaceId::NODES && (source == Source::API || !device)
}

/// What was saved of an origin, as the reset that brings it back: the tombstones below its head are forgotten.
fn reset(saved: &SavedOrigin) -> Delta {
    let mut entries: Vec<(Key, Entry)> = saved
        .entries
        .iter()
        .map(|(key, entry)| (key.clone(), entry.clone()))
        .collect();
    entries.sort_by_key(|(_, entry)| entry.seq());
    Delta {
        incarnation: saved.facts.header.header().incarnation,
        base: 0,
        upto: saved.facts.head,
        reset: Some(saved.facts.head),
        entries,
    }
}

/// How old things are that were dated by the wall clock of an earlier life.
struct SavedClock {
    saved_ms: u64,
    now_ms: u64,
    /// What is added when the clock went back: nobody knows for how long we were away.
    unknown_ms: i64,
}

impl SavedClock {
    fn went_back(&self) -> bool {
        self.now_ms < self.saved_ms
    }

    fn age(&self, at_ms: u64) -> i64 {
        let span = |to: u64| i64::try_from(to.saturating_sub(at_ms)).unwrap_or(i64::MAX / 4);
        if self.went_back() {
            span(self.saved_ms).saturating_add(self.unknown_ms)
        } else {
            span(self.now_ms)
        }
    }
}

/// Where the wall clock stood, in ms, when this life began, as far as it can be told now.
fn wall_less_mono(now: Now) -> i64 {
    i64::try_from(now.wall_ms)
        .unwrap_or(i64::MAX / 4)
        .saturating_sub(mono_ms(now))
}

/// What a row is taken to cost besides its key and value.
const ROW_BYTES: usize = 32;

/// Bytes left to hand out.
struct Budget(usize);

impl Budget {
    fn spend(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(bytes);
    }

    fn is_spent(&self) -> bool {
        self.0 == 0
    }
}
