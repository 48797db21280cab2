//! What users see: kept up to date key by key, from the store, the leases and the time.

mod apart;
mod index;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use smallvec::SmallVec;

use super::config::{Limits, Merge};
use super::evaluate::{Candidate, Candidates, Rules, Verdict, evaluate, span, winner, wins};
use super::io::Now;
use super::member::Standing;
use super::shown::{Change, Contribution, Explanation, Freshness, Shown};
use super::store::{OriginIndex, OriginState, Store};
use super::watches::{Next, WatchId, Watched, Watches};
use crate::crdt::{Dot, Entry, Hlc, KeyMap, Slot, write_over};
use crate::model::{Key, Pattern, Policy, Scope, SpaceId, Value};
use crate::zoo::{Fault, planted};
use apart::{Apart, is_apart};
use index::Index;

/// What users see of every key.
///
/// A row says who contributes and what was last shown; the contributions themselves stay in the store. What
/// is shown here equals, at every moment, what [`View::recomputed`] makes of the store from nothing.
#[derive(Debug)]
pub(super) struct View {
    rows: KeyMap<Row>,
    /// What is shown of keys whose contributions are not combined.
    apart: Apart,
    index: Index,
    /// Keys with a held-back stamp, by the wall time at which it is released.
    held: BTreeSet<(u64, Key)>,
    pub(super) watches: Watches,
    /// Origins whose rows are behind the store: single keys are read as if they were not.
    pub(super) late: SmallVec<[OriginIndex; 4]>,
    mailboxes: Merge,
    drift_ms: u64,
    watch_queue: usize,
    /// No stamp that was looked at is later than this, in ms.
    latest_ms: u64,
    /// The wall clock as of [`View::keep_time`]: every key is shown by this one.
    wall_ms: u64,
}

#[derive(Debug, Default)]
struct Row {
    origins: SmallVec<[OriginIndex; 4]>,
    shown: Option<Was>,
}

/// What was shown last.
#[derive(Debug, Clone, PartialEq)]
struct Was {
    value: Value,
    freshness: Freshness,
    changed_ms: u64,
}

impl View {
    pub(super) fn new(mailboxes: Merge, max_clock_drift: Duration, limits: &Limits) -> Self {
        Self {
            rows: KeyMap::default(),
            apart: Apart::new(),
            index: Index::default(),
            held: BTreeSet::new(),
            watches: Watches::default(),
            late: SmallVec::new(),
            mailboxes,
            drift_ms: u64::try_from(max_clock_drift.as_millis()).unwrap_or(u64::MAX),
            watch_queue: limits.watch_queue,
            latest_ms: 0,
            wall_ms: 0,
        }
    }

    /// Brings one key up to date after `origin` wrote it, withdrew it, or came to stand differently.
    pub(super) fn refresh(&mut self, store: &Store, origin: OriginIndex, key: &Key, now: Now) {
        if is_apart(key) {
            self.show_apart(store, origin, key, now);
        }
        if key.policy() == Policy::PerOrigin {
            return;
        }
        let slot = match self.rows.find(key) {
            Some(slot) => {
                self.rows.at_mut(slot).1.may_come_from(origin);
                slot
            }
            None if store.get(origin).contribution(key).is_none() => return,
            None => {
                let origins = SmallVec::from_slice(&[origin]);
                let shown = None;
                self.rows.insert(key.clone(), Row { origins, shown })
            }
        };
        self.show(store, slot, now);
    }

    /// Takes note of the time, and brings keys up to date whose held-back stamps have come of age.
    pub(super) fn keep_time(&mut self, store: &Store, now: Now) {
        // However little it was: a stamp that had just come of age lies in the future again.
        let limit_ms = now.wall_ms.saturating_add(self.drift_ms);
        let set_back = now.wall_ms < self.wall_ms && limit_ms < self.latest_ms;
        self.wall_ms = now.wall_ms;
        while let Some((_, key)) = self
            .held
            .first()
            .filter(|(release, _)| *release <= now.wall_ms)
            .cloned()
        {
            self.held.pop_first();
            if let Some(slot) = self.rows.find(&key) {
                self.show(store, slot, now);
            }
        }
        if set_back {
            // Rare enough to look at everything.
            let keys = self.rows.iter().map(|(key, _)| key);
            let shared = keys.filter(|key| key.policy() == Policy::LatestWriter);
            for key in shared.cloned().collect::<BTreeSet<_>>() {
                let slot = self.rows.find(&key).expect("showing one removes no other");
                self.show(store, slot, now);
            }
        }
    }

    /// The wall time at which the next held-back stamp comes of age.
    pub(super) fn next_release_ms(&self) -> Option<u64> {
        self.held.first().map(|(release, _)| *release)
    }

    fn show(&mut self, store: &Store, slot: Slot, now: Now) {
        let rules = self.rules();
        let (key, row) = self.rows.at_mut(slot);
        self.late.iter().for_each(|late| row.may_come_from(*late));
        let mut candidates = Candidates::new();
        row.origins.retain(|origin| {
            let candidate = candidate(store, *origin, key, now);
            let contributes = candidate.is_some();
            candidates.extend(candidate);
            contributes
        });
        withdraw_older(store, key, &mut candidates);
        let stamps = candidates.iter().map(|one| one.entry.hlc().wall_ms());
        self.latest_ms = stamps.fold(self.latest_ms, u64::max);
        for candidate in candidates.iter().filter(|candidate| candidate.held(&rules)) {
            let release = candidate
                .entry
                .hlc()
                .wall_ms()
                .saturating_sub(self.drift_ms);
            self.held.insert((release, key.clone()));
        }
        let verdict = evaluate(key, &candidates, &rules);
        let new = verdict.as_ref().map(|verdict| Was {
            value: verdict.value.clone(),
            freshness: verdict.freshness,
            changed_ms: verdict.changed_ms,
        });
        let old = std::mem::replace(&mut row.shown, new);
        let visible = old != row.shown;
        let freshness = |was: &Option<Was>| was.as_ref().map(|was| was.freshness);
        self.index.turn(key, freshness(&old), freshness(&row.shown));
        if !self.watches.is_empty() && self.watches.wanted(key, visible) {
            let new = verdict.map(|verdict| shown(store, key, &candidates, &verdict, &rules));
            let old = old.map(|was| was.into_shown(key));
            let change = Change {
                key: key.shared_name(),
                origin: None,
                old,
                new,
            };
            self.watches.push(key, visible, change, self.watch_queue);
        }
        if row.origins.is_empty() {
            self.rows.remove(slot);
        }
    }

    /// What is shown of one key.
    pub(super) fn get(&self, store: &Store, key: &Key, now: Now) -> Option<Shown<Value>> {
        if is_apart(key) {
            return self.own_side(store, key, now);
        }
        self.explain(store, key, now)
            .map(|explanation| explanation.shown)
    }

    /// What is shown of one key, and why.
    pub(super) fn explain(&self, store: &Store, key: &Key, now: Now) -> Option<Explanation<Value>> {
        if is_apart(key) {
            return self.explain_apart(store, key, now);
        }
        let rules = self.rules();
        let candidates = candidates(store, &self.origins(key), key, now);
        let verdict = evaluate(key, &candidates, &rules)?;
        let rule = verdict.rule;
        let shown = shown(store, key, &candidates, &verdict, &rules);
        Some(Explanation {
            key: key.shared_name(),
            rule,
            shown,
        })
    }

    /// What a write to a shared key must be above, and the held-back writes over which it is made.
    pub(super) fn write_over(&self, store: &Store, key: &Key, now: Now) -> (Hlc, Vec<Dot>) {
        let rules = self.rules();
        let candidates = candidates(store, &self.origins(key), key, now);
        write_over(candidates.iter().map(|candidate| candidate.claim(&rules)))
    }

    /// What each origin says of one key.
    pub(super) fn contributions(
        &self,
        store: &Store,
        key: &Key,
        now: Now,
    ) -> Vec<Contribution<Value>> {
        if is_apart(key) {
            return self.sides(store, key, now);
        }
        self.get(store, key, now)
            .map(|shown| shown.contributions)
            .unwrap_or_default()
    }

    /// Whether another's value is shown of a key that its latest writer decides, so that saying `value` once
    /// more would change what is shown.
    pub(super) fn is_overruled(
        &self,
        store: &Store,
        key: &Key,
        value: &Option<Value>,
        now: Now,
    ) -> bool {
        let sum = key.space() == SpaceId::MAILBOXES && self.mailboxes == Merge::Sum;
        if value.is_none() || sum || key.policy() != Policy::LatestWriter {
            return false;
        }
        let candidates = candidates(store, &self.origins(key), key, now);
        let shown = evaluate(key, &candidates, &self.rules());
        shown.is_some_and(|verdict| Some(&verdict.value) != value.as_ref())
    }

    /// Everything shown in a scope that matches, ordered by key.
    pub(super) fn list(
        &self,
        store: &Store,
        scope: &Scope,
        pattern: &Pattern,
        now: Now,
    ) -> Vec<Shown<Value>> {
        if scope.space() == SpaceId::CUSTOM_PER_ORIGIN {
            return self.list_apart(store, scope, pattern, now);
        }
        if let Some(keys) = self.index.in_order(scope) {
            return keys
                .filter(|key| scope.matches(key, pattern))
                .filter_map(|key| self.get(store, key, now))
                .collect();
        }
        let matches = |key: &Key| scope.matches(key, pattern);
        let mut keys: Vec<&Key> = self
            .rows
            .iter()
            .filter(|(key, row)| row.shown.is_some() && matches(key))
            .map(|(key, _)| key)
            .collect();
        keys.sort_unstable();
        keys.into_iter()
            .filter_map(|key| self.get(store, key, now))
            .collect()
    }

    /// How many keys are shown in a scope; where each origin's own is shown, each of them counts.
    pub(super) fn count(&self, scope: &Scope) -> usize {
        self.index.count(scope)
    }

    /// How many keys are shown of a space: live, stale and gone ones.
    pub(super) fn count_by_freshness(&self, space: SpaceId) -> [usize; 3] {
        self.index.count_by_freshness(space)
    }

    pub(super) fn poll_watch(&mut self, store: &Store, id: WatchId, now: Now) -> Option<Watched> {
        match self.watches.next(id) {
            Next::Nothing => None,
            Next::Item(item) => Some(item),
            Next::SnapshotOf(scope, pattern) => {
                Some(Watched::Snapshot(self.list(store, &scope, &pattern, now)))
            }
        }
    }

    /// Whether what was last shown of every key is what the store makes of it from nothing: an invariant, for
    /// tests and the simulator. Returns the first key that differs.
    pub(super) fn recomputed(&self, store: &Store, now: Now) -> Result<(), Key> {
        let mut expected: KeyMap<SmallVec<[OriginIndex; 4]>> = KeyMap::default();
        for (index, origin) in store.iter() {
            let keys = origin.keys();
            let keys = keys.filter(|key| key.policy() != Policy::PerOrigin);
            for key in keys.filter(|key| origin.contribution(key).is_some()) {
                match expected.find(key) {
                    Some(slot) => expected.at_mut(slot).1.push(index),
                    None => drop(expected.insert(key.clone(), SmallVec::from_slice(&[index]))),
                }
            }
        }
        let rules = self.rules();
        let mut counts = Index::default();
        for (key, origins) in expected.iter() {
            let verdict = evaluate(key, &candidates(store, origins, key, now), &rules);
            counts.turn(key, None, verdict.as_ref().map(|verdict| verdict.freshness));
            let new = verdict.map(|verdict| (verdict.value, verdict.freshness));
            let kept = self.rows.get(key).and_then(|row| row.shown.as_ref());
            if kept.map(|was| (was.value.clone(), was.freshness)) != new {
                return Err(key.clone());
            }
        }
        let mut rows = self.rows.iter();
        match rows.find(|(key, _)| expected.find(key).is_none()) {
            Some((key, _)) => Err(key.clone()),
            None => {
                let apart = |space: &SpaceId| *space != SpaceId::CUSTOM_PER_ORIGIN;
                for space in SpaceId::VISIBLE.into_iter().filter(apart) {
                    let (kept, found) = (&self.index, &counts);
                    let of = |index: &Index| index.count_by_freshness(space);
                    assert_eq!(of(kept), of(found), "keys of {space:?} by freshness");
                }
                self.recomputed_apart(store, now)
            }
        }
    }

    /// Who may say something of a key.
    fn origins(&self, key: &Key) -> SmallVec<[OriginIndex; 4]> {
        let row = self.rows.get(key);
        let mut origins = row.map(|row| row.origins.clone()).unwrap_or_default();
        for late in &self.late {
            if !origins.contains(late) {
                origins.push(*late);
            }
        }
        origins
    }

    fn rules(&self) -> Rules {
        Rules {
            mailboxes: self.mailboxes,
            wall_limit_ms: self.wall_ms.saturating_add(self.drift_ms),
        }
    }
}

impl Row {
    /// `origin` says something of the key, or did, or may.
    fn may_come_from(&mut self, origin: OriginIndex) {
        if !self.origins.contains(&origin) {
            self.origins.push(origin);
        }
    }
}

impl From<&Shown<Value>> for Was {
    fn from(shown: &Shown<Value>) -> Self {
        let written = shown.changed_at.duration_since(UNIX_EPOCH);
        let changed_ms = written.unwrap_or_default().as_millis();
        Self {
            value: shown.value.clone(),
            freshness: shown.freshness,
            changed_ms: u64::try_from(changed_ms).unwrap_or(u64::MAX),
        }
    }
}

impl Was {
    fn into_shown(self, key: &Key) -> Shown<Value> {
        Shown {
            key: key.shared_name(),
            origin: None,
            value: self.value,
            freshness: self.freshness,
            age: Duration::ZERO,
            changed_at: wall_time(self.changed_ms),
            contributions: Vec::new(),
        }
    }
}

fn candidates<'a>(
    store: &'a Store,
    origins: &[OriginIndex],
    key: &Key,
    now: Now,
) -> Candidates<'a> {
    let known = origins.iter();
    let mut candidates = known
        .filter_map(|origin| candidate(store, *origin, key, now))
        .collect();
    withdraw_older(store, key, &mut candidates);
    candidates
}

/// What an origin says of a key.
fn candidate<'a>(
    store: &'a Store,
    index: OriginIndex,
    key: &Key,
    now: Now,
) -> Option<Candidate<'a>> {
    let origin = store.get(index);
    let (entry, incarnation, previous) = origin.contribution(key)?;
    let own = index == Store::OWN;
    let (standing, age) = standing(origin, own, previous, entry.source(), now);
    Some(Candidate {
        entry,
        replica: origin.replica,
        incarnation,
        standing,
        age,
        own,
        previous,
    })
}

/// A planted fault: tombstones compete with values.
fn withdraw_older(store: &Store, key: &Key, candidates: &mut Candidates<'_>) {
    if planted(Fault::TombstoneCompetes) && key.policy() == Policy::LatestWriter {
        let entries = store.iter().filter_map(|(_, origin)| origin.map.get(key));
        let tombstones = entries.filter(|entry| entry.is_tombstone());
        let withdrawn = tombstones.map(Entry::hlc).max();
        candidates.retain(|candidate| Some(candidate.entry.hlc()) > withdrawn);
    }
}

/// How far an origin's contribution is believed, and how old it is: its lease, or the silence of the source
/// that wrote it, or that it was written in an earlier life.
fn standing(
    origin: &OriginState,
    own: bool,
    previous: bool,
    source: crate::model::Source,
    now: Now,
) -> (Standing, i64) {
    let now = mono_ms(now);
    let (mut standing, mut age) = if own {
        (Standing::Alive, 0)
    } else if origin.left() {
        (Standing::Gone, origin.lease.value_age(now))
    } else {
        (origin.lease.standing, origin.lease.value_age(now))
    };
    let down = origin
        .record
        .as_ref()
        .and_then(|record| record.down.iter().find(|down| down.source == source));
    if let Some(down) = down {
        let since = i64::try_from(down.since_up_ms).unwrap_or(i64::MAX / 4);
        let since = if own {
            Some(since)
        } else {
            origin.lease.local_time(since)
        };
        standing = standing.max(Standing::Suspect);
        age = age.max(now - since.unwrap_or(now));
    }
    if previous {
        let earlier = if origin.previous_gone {
            Standing::Gone
        } else {
            Standing::Suspect
        };
        standing = standing.max(earlier);
        age = age.max(now - origin.previous_alive_at);
    }
    (standing, age)
}

fn shown(
    store: &Store,
    key: &Key,
    candidates: &Candidates<'_>,
    verdict: &Verdict,
    rules: &Rules,
) -> Shown<Value> {
    let winner = winner(candidates, rules);
    let mut contributions: Vec<Contribution<Value>> = candidates
        .iter()
        .map(|candidate| Contribution {
            node: store
                .find(candidate.replica)
                .map_or_else(Arc::default, |index| store.get(index).name()),
            replica: candidate.replica,
            incarnation: candidate.incarnation,
            seq: candidate.entry.seq(),
            hlc: candidate.entry.hlc().0,
            written_at: wall_time(candidate.written_ms()),
            source: candidate.entry.source(),
            value: candidate.value().clone(),
            freshness: candidate.freshness(),
            age: span(candidate.age),
            own: candidate.own,
            held: candidate.held(rules) && key.policy() == Policy::LatestWriter,
            previous: candidate.previous,
            wins: wins(key, candidate, verdict, winner),
        })
        .collect();
    contributions.sort_by(|a, b| (&a.node, a.replica).cmp(&(&b.node, b.replica)));
    Shown {
        key: key.shared_name(),
        origin: None,
        value: verdict.value.clone(),
        freshness: verdict.freshness,
        age: span(verdict.age),
        changed_at: wall_time(verdict.changed_ms),
        contributions,
    }
}

/// Times beyond what the system can name become its epoch's first 10,000 years.
fn wall_time(ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms.min(253_402_300_799_000))
}

pub(super) fn mono_ms(now: Now) -> i64 {
    i64::try_from(now.mono.as_millis()).unwrap_or(i64::MAX / 4)
}
