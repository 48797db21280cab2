//! What users see: kept up to date key by key, from the store, the leases and the time.

mod apart;
mod candidate;
mod index;
mod ledger;
mod rows;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use smallvec::SmallVec;

use super::config::{Limits, Merge};
use super::evaluate::{Candidates, Rules, evaluate};
use super::io::Now;
use super::shown::{Change, Contribution, Explanation, Freshness, Shown};
use super::store::{OriginIndex, Store};
use super::watches::{Next, WatchId, Watched, Watches};
use crate::crdt::{Dot, Hlc, KeyMap, Slot, write_over};
use crate::model::{Key, Pattern, Policy, Scope, SpaceId, Value};
use apart::is_apart;
use candidate::{candidate, candidates, shown, wall_time, withdraw_older};
use index::Index;
use ledger::Ledger;
use rows::{Contributor, Contributors, Row, Rows, Shard, may_say};

/// What users see of every key.
///
/// A row says who contributes and what was last shown; the contributions themselves stay in the store. What
/// is shown here equals, at every moment, what [`View::recomputed`] makes of the store from nothing.
///
/// Keys are shown anew through a shared reference, so that others read meanwhile. Who holds a shard of the rows may
/// lock the ledger, and never the other way round.
#[derive(Debug)]
pub(super) struct View {
    rows: Rows,
    ledger: Mutex<Ledger>,
    /// Origins whose rows are behind the store: single keys are read as if they were not.
    pub(super) late: Vec<OriginIndex>,
    mailboxes: Merge,
    drift_ms: u64,
    watch_queue: usize,
    /// No stamp that was looked at is later than this, in ms.
    latest_ms: AtomicU64,
    /// The first of those in the ledger; [`NEVER`] without any.
    release_ms: AtomicU64,
    /// The wall clock as of [`View::keep_time`]: every key is shown by this one.
    wall_ms: u64,
}

/// So many rows are looked for at once.
const LOOKED_FOR: usize = 64;
/// No stamp is released then.
const NEVER: u64 = u64::MAX;

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
            rows: Rows::new(),
            ledger: Mutex::default(),
            late: Vec::new(),
            mailboxes,
            drift_ms: u64::try_from(max_clock_drift.as_millis()).unwrap_or(u64::MAX),
            watch_queue: limits.watch_queue,
            latest_ms: AtomicU64::new(0),
            release_ms: AtomicU64::new(NEVER),
            wall_ms: 0,
        }
    }

    /// Brings one key up to date after `origin` wrote it, withdrew it, or came to stand differently.
    pub(super) fn refresh(&self, store: &Store, origin: OriginIndex, key: &Key, now: Now) {
        self.refresh_near(store, origin, (key, 0), now);
    }

    /// Brings all up to date that `origin` says. All rows of some keys are looked for before the first is shown: so
    /// memory is waited for once, not for each.
    pub(super) fn refresh_all(&mut self, store: &Store, origin: OriginIndex, now: Now) {
        let mut keys = store.get(origin).keys();
        let mut found = SmallVec::<[(&Key, Slot); LOOKED_FOR]>::new();
        loop {
            let some = keys.by_ref().take(LOOKED_FOR);
            found.extend(some.map(|key| (key, self.rows.find(key).unwrap_or_default())));
            if found.is_empty() {
                return;
            }
            for at in found.drain(..) {
                self.refresh_near(store, origin, at, now);
            }
        }
    }

    /// Like [`View::refresh`]; in its shard, the row of the key is looked for in this slot first.
    fn refresh_near(&self, store: &Store, origin: OriginIndex, at: (&Key, Slot), now: Now) {
        let (key, near) = at;
        if is_apart(key) {
            self.show_apart(store, origin, key, now);
        }
        if key.policy() == Policy::PerOrigin {
            return;
        }
        let mut shard = self.rows.write(key);
        let slot = match shard.find_near(key, near) {
            Some(slot) => {
                shard.at_mut(slot).1.may_come_from(origin);
                slot
            }
            None => {
                let mut contributor = Contributor::from(origin);
                if candidate(store, &mut contributor, key, now).is_none() {
                    return;
                }
                let contributors = Contributors::from_slice(&[contributor]);
                let shown = None;
                let row = Row {
                    contributors,
                    shown,
                };
                shard.insert(key.clone(), row)
            }
        };
        self.show(store, &mut shard, slot, now);
    }

    /// Takes note of the time, and brings keys up to date whose held-back stamps have come of age.
    pub(super) fn keep_time(&mut self, store: &Store, now: Now) {
        // However little it was: a stamp that had just come of age lies in the future again.
        let limit_ms = now.wall_ms.saturating_add(self.drift_ms);
        let set_back = now.wall_ms < self.wall_ms && limit_ms < *self.latest_ms.get_mut();
        self.wall_ms = now.wall_ms;
        if *self.release_ms.get_mut() <= now.wall_ms {
            for key in self.release(now.wall_ms) {
                self.show_again(store, &key, now);
            }
        }
        if set_back {
            // Rare enough to look at everything.
            let all = self.rows.all();
            let keys = all.iter().flat_map(|shard| shard.iter());
            let shared = keys.filter(|(key, _)| key.policy() == Policy::LatestWriter);
            let shared: BTreeSet<Key> = shared.map(|(key, _)| key.clone()).collect();
            drop(all);
            for key in shared {
                self.show_again(store, &key, now);
            }
        }
    }

    /// The keys whose held-back stamps have come of age, in the order in which they did.
    fn release(&mut self, wall_ms: u64) -> Vec<Key> {
        let mut ledger = self.ledger();
        let mut released = Vec::new();
        while let Some((_, key)) = pop_due(&mut ledger.held, wall_ms) {
            released.push(key);
        }
        self.note_release(&ledger);
        released
    }

    /// The wall time at which the next held-back stamp comes of age.
    pub(super) fn next_release_ms(&self) -> Option<u64> {
        Some(self.release_ms.load(Ordering::Relaxed)).filter(|release| *release != NEVER)
    }

    fn note_release(&self, ledger: &Ledger) {
        let first = ledger.held.first().map_or(NEVER, |(release, _)| *release);
        self.release_ms.store(first, Ordering::Relaxed);
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everybody who follows what is shown.
    pub(super) fn watches(&mut self) -> &mut Watches {
        let ledger = self.ledger.get_mut();
        &mut ledger.unwrap_or_else(PoisonError::into_inner).watches
    }

    /// The watchers that got something since this was last asked.
    pub(super) fn take_woken(&self) -> BTreeSet<WatchId> {
        self.ledger().watches.take_woken()
    }

    /// How many watch.
    pub(super) fn watchers(&self) -> usize {
        self.ledger().watches.len()
    }

    /// Shows a key by what is known of it.
    fn show_again(&self, store: &Store, key: &Key, now: Now) {
        let mut shard = self.rows.write(key);
        if let Some(slot) = shard.find(key) {
            self.show(store, &mut shard, slot, now);
        }
    }

    fn show(&self, store: &Store, shard: &mut Shard, slot: Slot, now: Now) {
        let rules = self.rules();
        let (key, row) = shard.at_mut(slot);
        self.late.iter().for_each(|late| row.may_come_from(*late));
        let mut candidates = Candidates::new();
        row.contributors.retain(|contributor| {
            let candidate = candidate(store, contributor, key, now);
            let contributes = candidate.is_some();
            candidates.extend(candidate);
            contributes
        });
        withdraw_older(store, key, &mut candidates);
        let stamps = candidates.iter().map(|one| one.entry.hlc().wall_ms());
        self.note_latest(stamps.max().unwrap_or_default());
        let verdict = evaluate(key, &candidates, &rules);
        let new = verdict.as_ref().map(|verdict| Was {
            value: verdict.value.clone(),
            freshness: verdict.freshness,
            changed_ms: verdict.changed_ms,
        });
        let old = std::mem::replace(&mut row.shown, new);
        let visible = old != row.shown;
        let freshness = |was: &Option<Was>| was.as_ref().map(|was| was.freshness);
        let mut ledger = self.ledger();
        for candidate in candidates.iter().filter(|candidate| candidate.held(&rules)) {
            let written_ms = candidate.entry.hlc().wall_ms();
            let release = written_ms.saturating_sub(self.drift_ms);
            ledger.held.insert((release, key.clone()));
            self.note_release(&ledger);
        }
        ledger
            .index
            .turn(key, freshness(&old), freshness(&row.shown));
        if !ledger.watches.is_empty() && ledger.watches.wanted(key, visible) {
            let new = verdict.map(|verdict| shown(store, key, &candidates, &verdict, &rules));
            let old = old.map(|was| was.into_shown(key));
            let change = Change {
                key: key.shared_name(),
                origin: None,
                old,
                new,
            };
            ledger.watches.push(key, visible, change, self.watch_queue);
        }
        if row.contributors.is_empty() {
            shard.remove(slot);
        }
    }

    fn note_latest(&self, stamp_ms: u64) {
        if stamp_ms > self.latest_ms.load(Ordering::Relaxed) {
            self.latest_ms.fetch_max(stamp_ms, Ordering::Relaxed);
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
        self.explain_from(store, key, self.contributors(key), now)
    }

    /// What is shown of a key of which these say something, and why.
    fn explain_from(
        &self,
        store: &Store,
        key: &Key,
        contributors: Contributors,
        now: Now,
    ) -> Option<Explanation<Value>> {
        let rules = self.rules();
        let candidates = candidates(store, contributors, key, now);
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
        let candidates = candidates(store, self.contributors(key), key, now);
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
        let candidates = candidates(store, self.contributors(key), key, now);
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
        let matches = |key: &Key| scope.matches(key, pattern);
        if scope.space() == SpaceId::CUSTOM {
            let ledger = self.ledger();
            let keys = ledger.index.in_order(scope).filter(|key| matches(key));
            let keys: Vec<Key> = keys.cloned().collect();
            drop(ledger);
            let shown = keys.iter().filter_map(|key| self.get(store, key, now));
            return shown.collect();
        }
        let all = self.rows.all();
        let rows = all.iter().flat_map(|shard| shard.iter());
        let shown = rows.filter(|(key, row)| row.shown.is_some() && matches(key));
        let mut rows: Vec<(&Key, &Row)> = shown.collect();
        rows.sort_unstable_by_key(|(key, _)| *key);
        let explained = rows
            .iter()
            .filter_map(|(key, row)| self.explain_from(store, key, self.with_late(Some(row)), now));
        // Nearly always all of them: the list grows once.
        let mut listed = Vec::with_capacity(rows.len());
        listed.extend(explained.map(|explanation| explanation.shown));
        listed
    }

    /// How many keys are shown in a scope; where each origin's own is shown, each of them counts.
    pub(super) fn count(&self, scope: &Scope) -> usize {
        self.ledger().index.count(scope)
    }

    /// How many keys are shown of a space: live, stale and gone ones.
    pub(super) fn count_by_freshness(&self, space: SpaceId) -> [usize; 3] {
        self.ledger().index.count_by_freshness(space)
    }

    pub(super) fn poll_watch(&mut self, store: &Store, id: WatchId, now: Now) -> Option<Watched> {
        match self.watches().next(id) {
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
        let live = store.iter().map(|(_, origin)| origin.map.len());
        let mut expected: KeyMap<Contributors> = KeyMap::with_capacity(live.sum());
        for (index, origin) in store.iter() {
            let keys = origin.keys();
            let keys = keys.filter(|key| key.policy() != Policy::PerOrigin);
            for key in keys.filter(|key| origin.contribution(key, &mut 0).is_some()) {
                let contributor = Contributor::from(index);
                match expected.find(key) {
                    Some(slot) => expected.at_mut(slot).1.push(contributor),
                    None => {
                        let contributors = Contributors::from_slice(&[contributor]);
                        expected.insert(key.clone(), contributors);
                    }
                }
            }
        }
        let rules = self.rules();
        let mut counts = Index::default();
        for (key, contributors) in expected.iter() {
            let candidates = candidates(store, contributors.iter().copied(), key, now);
            let verdict = evaluate(key, &candidates, &rules);
            counts.turn(key, None, verdict.as_ref().map(|verdict| verdict.freshness));
            let new = verdict.map(|verdict| (verdict.value, verdict.freshness));
            let shard = self.rows.read(key);
            let kept = shard.get(key).and_then(|row| row.shown.as_ref());
            if kept.map(|was| (was.value.clone(), was.freshness)) != new {
                return Err(key.clone());
            }
        }
        let all = self.rows.all();
        let mut rows = all.iter().flat_map(|shard| shard.iter());
        match rows.find(|(key, _)| expected.find(key).is_none()) {
            Some((key, _)) => Err(key.clone()),
            None => {
                let apart = |space: &SpaceId| *space != SpaceId::CUSTOM_PER_ORIGIN;
                for space in SpaceId::VISIBLE.into_iter().filter(apart) {
                    let (kept, found) = (
                        self.count_by_freshness(space),
                        counts.count_by_freshness(space),
                    );
                    assert_eq!(kept, found, "keys of {space:?} by freshness");
                }
                self.recomputed_apart(store, now)
            }
        }
    }

    /// Who may say something of a key.
    fn contributors(&self, key: &Key) -> Contributors {
        let shard = self.rows.read(key);
        self.with_late(shard.get(key))
    }

    fn with_late(&self, row: Option<&Row>) -> Contributors {
        let mut contributors = row.map_or_else(Contributors::new, |row| row.contributors.clone());
        self.late
            .iter()
            .for_each(|late| may_say(&mut contributors, *late));
        contributors
    }

    fn rules(&self) -> Rules {
        Rules {
            mailboxes: self.mailboxes,
            wall_limit_ms: self.wall_ms.saturating_add(self.drift_ms),
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

fn pop_due(held: &mut BTreeSet<(u64, Key)>, wall_ms: u64) -> Option<(u64, Key)> {
    held.first().filter(|(release, _)| *release <= wall_ms)?;
    held.pop_first()
}

pub(super) fn mono_ms(now: Now) -> i64 {
    i64::try_from(now.mono.as_millis()).unwrap_or(i64::MAX / 4)
}
