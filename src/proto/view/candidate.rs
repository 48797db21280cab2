//! What one origin says of a key, and how far it is believed.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::evaluate::{Candidate, Candidates, Rules, Verdict, span, winner, wins};
use super::super::io::Now;
use super::super::member::Standing;
use super::super::shown::{Contribution, Shown};
use super::super::store::{OriginState, Store};
use super::mono_ms;
use super::rows::Contributor;
use crate::crdt::Entry;
use crate::model::{Key, Policy, Source, Value};
use crate::zoo::{Fault, planted};

pub(super) fn candidates<'a>(
    store: &'a Store,
    contributors: impl IntoIterator<Item = Contributor>,
    key: &Key,
    now: Now,
) -> Candidates<'a> {
    let known = contributors.into_iter();
    let mut candidates = known
        .filter_map(|mut contributor| candidate(store, &mut contributor, key, now))
        .collect();
    withdraw_older(store, key, &mut candidates);
    candidates
}

/// What an origin says of a key. Then it is known where that is.
pub(super) fn candidate<'a>(
    store: &'a Store,
    contributor: &mut Contributor,
    key: &Key,
    now: Now,
) -> Option<Candidate<'a>> {
    let origin = store.get(contributor.origin);
    let (entry, incarnation, previous) = origin.contribution(key, &mut contributor.slot)?;
    let own = contributor.origin == Store::OWN;
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
pub(super) fn withdraw_older(store: &Store, key: &Key, candidates: &mut Candidates<'_>) {
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
    source: Source,
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

pub(super) fn shown(
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
pub(super) fn wall_time(ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms.min(253_402_300_799_000))
}
