//! What all contributions to one key together make.

use std::time::Duration;

use smallvec::SmallVec;

use super::config::Merge;
use super::member::Standing;
use super::shown::{Freshness, Rule};
use crate::crdt::{Claim, Entry, Hlc, Register, Stamp, latest_writer};
use crate::model::{
    DeviceState, Incarnation, Key, MessageCounts, Policy, ReplicaId, SpaceId, Value,
};
use crate::zoo::{Fault, planted};

/// One origin's contribution, as the rules see it.
#[derive(Debug, Clone)]
pub(super) struct Candidate<'a> {
    pub(super) entry: &'a Entry,
    pub(super) replica: ReplicaId,
    pub(super) incarnation: Incarnation,
    pub(super) standing: Standing,
    /// ms since its origin, or the far end of its source, was last known alive.
    pub(super) age: i64,
    pub(super) own: bool,
    pub(super) previous: bool,
}

pub(super) type Candidates<'a> = SmallVec<[Candidate<'a>; 4]>;

/// What is shown, and by what it was decided.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdict {
    pub(super) value: Value,
    pub(super) freshness: Freshness,
    pub(super) age: i64,
    pub(super) changed_ms: u64,
    pub(super) rule: Rule,
}

/// What decides besides the contributions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) mailboxes: Merge,
    /// Stamps beyond this are held back.
    pub(super) wall_limit_ms: u64,
}

impl Candidate<'_> {
    pub(super) fn value(&self) -> &Value {
        self.entry
            .value()
            .expect("only entries with a value are candidates")
    }

    pub(super) fn stamp(&self) -> Stamp {
        let (hlc, seq) = (self.entry.hlc(), self.entry.seq());
        let (mut replica, mut incarnation) = (self.replica, self.incarnation);
        if planted(Fault::StampWithoutReplica) {
            replica = ReplicaId::from_public_key([0; 32]);
            incarnation = Incarnation::default();
        }
        Stamp {
            hlc,
            replica,
            incarnation,
            seq,
        }
    }

    pub(super) fn held(&self, rules: &Rules) -> bool {
        self.entry.hlc().wall_ms() > rules.wall_limit_ms
    }

    pub(super) fn claim(&self, rules: &Rules) -> Claim<'_> {
        Claim {
            stamp: self.stamp(),
            value: self.value(),
            over: self.entry.over(),
            held: self.held(rules),
        }
    }

    /// When it was written by its writer's clock; what was merely restated, when that writer started.
    pub(super) fn written_ms(&self) -> u64 {
        if self.entry.hlc() == Hlc::ZERO {
            self.incarnation.0 >> 16
        } else {
            self.entry.hlc().wall_ms()
        }
    }

    pub(super) fn freshness(&self) -> Freshness {
        match self.standing {
            Standing::Alive => Freshness::Live,
            Standing::Suspect => Freshness::Stale,
            Standing::Gone => Freshness::Gone,
        }
    }
}

/// Decides what `key` shows; `None` when nothing is left to show.
pub(super) fn evaluate(key: &Key, candidates: &Candidates<'_>, rules: &Rules) -> Option<Verdict> {
    if candidates.is_empty() {
        return None;
    }
    match key.policy() {
        Policy::Aggregate => Some(aggregate(candidates)),
        Policy::LatestWriter
            if key.space() == SpaceId::MAILBOXES && rules.mailboxes == Merge::Sum =>
        {
            Some(sum(candidates))
        }
        Policy::LatestWriter => latest(candidates, rules),
        Policy::PerOrigin => candidates.first().map(apart),
    }
}

/// Whether the candidate is among those that make the verdict what it is.
pub(super) fn wins(
    key: &Key,
    candidate: &Candidate<'_>,
    verdict: &Verdict,
    winner: Option<Stamp>,
) -> bool {
    match key.policy() {
        Policy::Aggregate => {
            verdict.freshness != Freshness::Gone
                && candidate.standing != Standing::Gone
                && needed(
                    candidate.value().device_state(),
                    verdict.value.device_state(),
                )
        }
        Policy::LatestWriter if verdict.rule == Rule::Sum => true,
        Policy::PerOrigin => true,
        _ => winner == Some(candidate.stamp()),
    }
}

/// Whether `state` is part of what makes the aggregate `result`.
fn needed(state: DeviceState, result: DeviceState) -> bool {
    let both = [
        DeviceState::Ringing,
        DeviceState::InUse,
        DeviceState::Busy,
        DeviceState::OnHold,
    ];
    state == result || (result == DeviceState::RingInUse && both.contains(&state))
}

fn aggregate(candidates: &Candidates<'_>) -> Verdict {
    let state = |candidate: &&Candidate<'_>| candidate.value().device_state();
    let present = || {
        candidates
            .iter()
            .filter(|candidate| candidate.standing != Standing::Gone)
    };
    let rule = if candidates.len() == 1 {
        Rule::Single
    } else {
        Rule::Aggregate
    };
    if present().next().is_none() {
        return Verdict {
            value: DeviceState::Unavailable.into(),
            freshness: Freshness::Gone,
            age: candidates
                .iter()
                .map(|candidate| candidate.age)
                .min()
                .unwrap_or_default(),
            changed_ms: candidates
                .iter()
                .map(Candidate::written_ms)
                .max()
                .unwrap_or_default(),
            rule: Rule::AllGone,
        };
    }
    let result = DeviceState::aggregate(present().map(|candidate| state(&candidate)));
    let mut alive = candidates
        .iter()
        .filter(|candidate| candidate.standing == Standing::Alive)
        .peekable();
    let live = alive.peek().is_some()
        && DeviceState::aggregate(alive.map(|candidate| state(&candidate))) == result;

    let mut youngest: SmallVec<[&Candidate<'_>; 4]> = present()
        .filter(|candidate| !live || candidate.standing == Standing::Alive)
        .collect();
    youngest.sort_by_key(|candidate| candidate.age);
    let mut so_far = DeviceState::Invalid;
    let mut age = 0;
    for candidate in &youngest {
        age = candidate.age;
        so_far = so_far.join(state(candidate));
        if so_far == result {
            break;
        }
    }
    let deciding = present().filter(|candidate| needed(state(candidate), result));
    Verdict {
        value: result.into(),
        freshness: if live {
            Freshness::Live
        } else {
            Freshness::Stale
        },
        age,
        changed_ms: deciding
            .map(Candidate::written_ms)
            .max()
            .unwrap_or_default(),
        rule,
    }
}

/// The stamp that wins where the latest writer decides.
pub(super) fn winner(candidates: &Candidates<'_>, rules: &Rules) -> Option<Stamp> {
    greatest(candidates, rules).map(|register| register.marker)
}

fn greatest(candidates: &Candidates<'_>, rules: &Rules) -> Option<Register> {
    latest_writer(candidates.iter().map(|candidate| candidate.claim(rules)))
}

fn latest(candidates: &Candidates<'_>, rules: &Rules) -> Option<Verdict> {
    let register = greatest(candidates, rules)?;
    let winner = candidates
        .iter()
        .find(|candidate| candidate.stamp() == register.marker)?;
    Some(Verdict {
        value: register.val,
        freshness: if winner.standing == Standing::Alive {
            Freshness::Live
        } else {
            Freshness::Stale
        },
        age: winner.age,
        changed_ms: winner.written_ms(),
        rule: if candidates.len() == 1 {
            Rule::Single
        } else {
            Rule::LatestWriter
        },
    })
}

/// One origin's own. Its writer is the only one who says it, so it is as fresh as that one.
fn apart(candidate: &Candidate<'_>) -> Verdict {
    Verdict {
        value: candidate.value().clone(),
        freshness: candidate.freshness(),
        age: candidate.age,
        changed_ms: candidate.written_ms(),
        rule: Rule::PerOrigin,
    }
}

fn sum(candidates: &Candidates<'_>) -> Verdict {
    let counts = candidates
        .iter()
        .filter_map(|candidate| candidate.value().decode::<MessageCounts>());
    let total = counts.fold(MessageCounts::default(), MessageCounts::plus);
    let live = candidates
        .iter()
        .all(|candidate| candidate.standing == Standing::Alive);
    Verdict {
        value: total.into(),
        freshness: if live {
            Freshness::Live
        } else {
            Freshness::Stale
        },
        age: candidates
            .iter()
            .map(|candidate| candidate.age)
            .max()
            .unwrap_or_default(),
        changed_ms: candidates
            .iter()
            .map(Candidate::written_ms)
            .max()
            .unwrap_or_default(),
        rule: if candidates.len() == 1 {
            Rule::Single
        } else {
            Rule::Sum
        },
    }
}

/// A span in ms, which is never negative, as users see it.
pub(super) fn span(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crdt::Content;
    use crate::model::Source;

    const RULES: Rules = Rules {
        mailboxes: Merge::Latest,
        wall_limit_ms: 10_000,
    };

    fn entry(hlc_ms: u64, value: impl Into<Value>) -> Entry {
        let content = Content {
            value: Some(value.into()),
            source: Source::API,
            over: None,
        };
        Entry::new(1, Hlc::from_wall_ms(hlc_ms), content)
    }

    fn candidate(entry: &Entry, replica: u8, standing: Standing, age: i64) -> Candidate<'_> {
        let replica = ReplicaId::from_public_key([replica; 32]);
        Candidate {
            entry,
            replica,
            incarnation: Incarnation(1),
            standing,
            age,
            own: false,
            previous: false,
        }
    }

    fn device(states: &[(DeviceState, Standing, i64)]) -> Verdict {
        let entries: Vec<Entry> = states.iter().map(|(state, ..)| entry(1, *state)).collect();
        let candidates = entries.iter().zip(0..).zip(states);
        let candidates =
            candidates.map(|((entry, n), (_, standing, age))| candidate(entry, n, *standing, *age));
        let key = Key::new(SpaceId::DEVICES, "PJSIP/100").expect("a key");
        evaluate(&key, &candidates.collect(), &RULES).expect("there are contributions")
    }

    #[test]
    fn an_aggregate_is_live_when_the_live_ones_alone_give_it() {
        use DeviceState::{InUse, NotInUse};
        use Standing::{Alive, Gone, Suspect};
        let verdict = device(&[(InUse, Alive, 100), (NotInUse, Suspect, 4_000)]);
        assert_eq!(
            (verdict.value.device_state(), verdict.freshness, verdict.age),
            (InUse, Freshness::Live, 100)
        );
        let verdict = device(&[(NotInUse, Alive, 100), (InUse, Suspect, 4_000)]);
        assert_eq!(
            (verdict.value.device_state(), verdict.freshness, verdict.age),
            (InUse, Freshness::Stale, 4_000)
        );
        let verdict = device(&[(NotInUse, Alive, 100), (InUse, Gone, 40_000)]);
        assert_eq!(
            (verdict.value.device_state(), verdict.freshness),
            (NotInUse, Freshness::Live)
        );
    }

    #[test]
    fn a_device_whose_servers_are_all_gone_is_unavailable_and_gone() {
        let verdict = device(&[
            (DeviceState::InUse, Standing::Gone, 50_000),
            (DeviceState::NotInUse, Standing::Gone, 20_000),
        ]);
        assert_eq!(verdict.value.device_state(), DeviceState::Unavailable);
        assert_eq!(
            (verdict.freshness, verdict.age, verdict.rule),
            (Freshness::Gone, 20_000, Rule::AllGone)
        );
    }

    #[test]
    fn the_age_is_that_of_the_one_that_completes_the_result() {
        use DeviceState::{InUse, NotInUse, RingInUse, Ringing};
        let suspect = Standing::Suspect;
        let verdict = device(&[
            (Ringing, suspect, 3_500),
            (InUse, suspect, 7_000),
            (NotInUse, suspect, 9_000),
        ]);
        assert_eq!(
            (verdict.value.device_state(), verdict.age),
            (RingInUse, 7_000)
        );
    }

    fn mailbox<'a>(candidates: impl IntoIterator<Item = Candidate<'a>>, rules: &Rules) -> Verdict {
        let key = Key::new(SpaceId::MAILBOXES, "100@default").expect("a key");
        evaluate(&key, &candidates.into_iter().collect(), rules).expect("there are contributions")
    }

    #[test]
    fn the_latest_writer_wins_though_it_is_gone_and_is_flagged() {
        let (old, new) = (
            entry(1_000, MessageCounts::new(1, 0)),
            entry(2_000, MessageCounts::new(0, 1)),
        );
        let verdict = mailbox(
            [
                candidate(&old, 1, Standing::Alive, 0),
                candidate(&new, 2, Standing::Gone, 30_000),
            ],
            &RULES,
        );
        assert_eq!(verdict.value.decode(), Some(MessageCounts::new(0, 1)));
        assert_eq!((verdict.freshness, verdict.age), (Freshness::Stale, 30_000));
    }

    #[test]
    fn a_stamp_from_the_future_loses_until_its_time_unless_it_is_alone() {
        let (past, future) = (
            entry(1_000, MessageCounts::new(1, 0)),
            entry(90_000, MessageCounts::new(9, 9)),
        );
        let both = || {
            [
                candidate(&past, 1, Standing::Alive, 0),
                candidate(&future, 2, Standing::Alive, 0),
            ]
        };
        assert_eq!(
            mailbox(both(), &RULES).value.decode(),
            Some(MessageCounts::new(1, 0))
        );
        let later = Rules {
            wall_limit_ms: 95_000,
            ..RULES
        };
        assert_eq!(
            mailbox(both(), &later).value.decode(),
            Some(MessageCounts::new(9, 9))
        );
        let alone = [candidate(&future, 2, Standing::Alive, 0)];
        assert_eq!(
            mailbox(alone, &RULES).value.decode(),
            Some(MessageCounts::new(9, 9))
        );
    }

    #[test]
    fn a_named_stamp_never_wins_even_when_its_time_comes() {
        let future = entry(90_000, MessageCounts::new(9, 9));
        let held = candidate(&future, 2, Standing::Alive, 0);
        let content = Content {
            value: Some(MessageCounts::new(1, 0).into()),
            source: Source::API,
            over: Some(Box::new(vec![held.stamp().dot()])),
        };
        let over = Entry::new(1, Hlc::from_wall_ms(1_000), content);
        let later = Rules {
            wall_limit_ms: 95_000,
            ..RULES
        };
        let verdict = mailbox([candidate(&over, 1, Standing::Alive, 0), held], &later);
        assert_eq!(verdict.value.decode(), Some(MessageCounts::new(1, 0)));
    }

    #[test]
    fn sums_add_what_everyone_counts() {
        let (a, b) = (
            entry(1_000, MessageCounts::new(1, 2)),
            entry(2_000, MessageCounts::new(3, 4)),
        );
        let rules = Rules {
            mailboxes: Merge::Sum,
            ..RULES
        };
        let verdict = mailbox(
            [
                candidate(&a, 1, Standing::Alive, 0),
                candidate(&b, 2, Standing::Suspect, 9),
            ],
            &rules,
        );
        assert_eq!(verdict.value.decode(), Some(MessageCounts::new(4, 6)));
        assert_eq!(
            (verdict.freshness, verdict.rule),
            (Freshness::Stale, Rule::Sum)
        );
    }
}
