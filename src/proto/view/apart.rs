//! Keys of which each origin's own is shown: never combined.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::super::evaluate::{Rules, evaluate};
use super::super::io::Now;
use super::super::shown::{Change, Contribution, Explanation, Rule, Shown};
use super::super::store::{OriginIndex, Store};
use super::candidate::{candidates, shown};
use super::{View, Was};
use crate::model::{Key, Pattern, ReplicaId, Scope, SpaceId, Value};

/// What was last shown of each origin's own.
pub(super) type Apart = BTreeMap<(Key, ReplicaId), Was>;

/// Whether each origin's own is shown of this key. Nodes' records, and what this version does not know, are
/// shown to nobody.
pub(super) fn is_apart(key: &Key) -> bool {
    key.space() == SpaceId::CUSTOM_PER_ORIGIN
}

impl View {
    /// Brings up to date what is shown of `origin`'s own.
    pub(super) fn show_apart(&self, store: &Store, origin: OriginIndex, key: &Key, now: Now) {
        let rules = self.rules();
        let replica = store.get(origin).replica;
        let new = side(store, origin, key, now, &rules);
        let id = (key.clone(), replica);
        let mut ledger = self.ledger();
        let old = match &new {
            Some(new) => ledger.apart.insert(id, new.into()),
            None => ledger.apart.remove(&id),
        };
        let visible = old != new.as_ref().map(Was::from);
        let was = old.as_ref().map(|old| old.freshness);
        let is = new.as_ref().map(|new| new.freshness);
        ledger.index.turn(key, was, is);
        if ledger.watches.wanted(key, visible) {
            let mut old = old.map(|was| was.into_shown(key));
            if let Some(old) = &mut old {
                old.origin = Some(replica);
            }
            let change = Change {
                key: key.shared_name(),
                origin: Some(replica),
                old,
                new,
            };
            ledger.watches.push(key, visible, change, self.watch_queue);
        }
    }

    /// Each origin's own, ordered by key and replica.
    pub(super) fn list_apart(
        &self,
        store: &Store,
        scope: &Scope,
        pattern: &Pattern,
        now: Now,
    ) -> Vec<Shown<Value>> {
        let rules = self.rules();
        let first = Key::new(scope.space(), scope.prefix()).ok();
        let from = first.map_or(Bound::Unbounded, |key| {
            Bound::Included((key, ReplicaId::from_public_key([0; 32])))
        });
        let ledger = self.ledger();
        ledger
            .apart
            .range((from, Bound::Unbounded))
            .take_while(|((key, _), _)| key.name().starts_with(scope.prefix()))
            .filter(|((key, _), _)| scope.matches(key, pattern))
            .filter_map(|((key, replica), _)| side(store, store.find(*replica)?, key, now, &rules))
            .collect()
    }

    /// What each origin says of one key, ordered by node name and replica.
    pub(super) fn sides(&self, store: &Store, key: &Key, now: Now) -> Vec<Contribution<Value>> {
        let rules = self.rules();
        let replica = |byte| ReplicaId::from_public_key([byte; 32]);
        let ends = (key.clone(), replica(0))..=(key.clone(), replica(255));
        let ledger = self.ledger();
        let rows = ledger.apart.range(ends);
        let known = rows.filter_map(|((_, replica), _)| store.find(*replica));
        let mut origins: Vec<OriginIndex> = known.chain(self.late.iter().copied()).collect();
        drop(ledger);
        origins.sort_unstable();
        origins.dedup();
        let mut sides: Vec<Contribution<Value>> = origins
            .into_iter()
            .filter_map(|origin| side(store, origin, key, now, &rules))
            .flat_map(|shown| shown.contributions)
            .collect();
        sides.sort_by(|a, b| (&a.node, a.replica).cmp(&(&b.node, b.replica)));
        sides
    }

    /// Our own, or what the first of the others says; with what everyone says.
    pub(super) fn explain_apart(
        &self,
        store: &Store,
        key: &Key,
        now: Now,
    ) -> Option<Explanation<Value>> {
        let contributions = self.sides(store, key, now);
        let own = contributions.iter().find(|contribution| contribution.own);
        let first = own.or(contributions.first())?;
        let origin = store.find(first.replica)?;
        let shown = side(store, origin, key, now, &self.rules())?;
        Some(Explanation {
            key: key.shared_name(),
            rule: Rule::PerOrigin,
            shown: Shown {
                contributions,
                ..shown
            },
        })
    }

    /// Our own value.
    pub(super) fn own_side(&self, store: &Store, key: &Key, now: Now) -> Option<Shown<Value>> {
        side(store, Store::OWN, key, now, &self.rules())
    }

    /// Whether what is shown apart is what the store makes of it from nothing.
    pub(super) fn recomputed_apart(&self, store: &Store, now: Now) -> Result<(), Key> {
        let rules = self.rules();
        let mut expected = Apart::new();
        for (index, origin) in store.iter() {
            for key in origin.keys().filter(|key| is_apart(key)) {
                if let Some(shown) = side(store, index, key, now, &rules) {
                    expected.insert((key.clone(), origin.replica), Was::from(&shown));
                }
            }
        }
        let differs = |(id, was): (&(Key, ReplicaId), &Was), other: &Apart| {
            let same = other
                .get(id)
                .is_some_and(|held| (&held.value, held.freshness) == (&was.value, was.freshness));
            (!same).then(|| id.0.clone())
        };
        let apart = &self.ledger().apart;
        let missing = expected.iter().find_map(|row| differs(row, apart));
        let extra = apart.iter().find_map(|row| differs(row, &expected));
        missing.or(extra).map_or(Ok(()), Err)
    }
}

/// One origin's own.
fn side(
    store: &Store,
    origin: OriginIndex,
    key: &Key,
    now: Now,
    rules: &Rules,
) -> Option<Shown<Value>> {
    let candidates = candidates(store, [origin.into()], key, now);
    let verdict = evaluate(key, &candidates, rules)?;
    let mut shown = shown(store, key, &candidates, &verdict, rules);
    shown.origin = Some(store.get(origin).replica);
    Some(shown)
}
