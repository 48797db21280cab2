//! One counterexample for each rule of [`crate::crdt`], and random runs of all of them together.

use proptest::prelude::*;

use super::*;
use crate::crdt::Head;
use crate::model::{DeviceState, Source, SpaceId};

const LIFE: Incarnation = Incarnation(7);

fn key(name: &str) -> Key {
    Key::new(SpaceId::DEVICES, name).expect("a key")
}

fn content(state: Option<DeviceState>) -> Content {
    Content {
        value: state.map(Into::into),
        source: Source::API,
        over: None,
    }
}

impl OriginMap {
    fn set(&mut self, name: &str, state: DeviceState) -> u64 {
        self.write(key(name), Hlc(self.head + 1), content(Some(state)))
    }

    fn clear(&mut self, name: &str) -> u64 {
        self.write(key(name), Hlc(self.head + 1), content(None))
    }

    /// The delta this replica would send to one that has everything up to `base` (rule 6).
    fn since(&self, base: u64) -> Delta {
        let known = Head {
            incarnation: self.incarnation,
            seq: base,
        };
        let piece = self.piece(known, None, usize::MAX).expect("of this life");
        Delta {
            incarnation: self.incarnation,
            base: piece.base,
            upto: piece.upto.expect("without a budget all fits"),
            reset: piece.reset,
            entries: piece.entries,
        }
    }

    fn shows(&self, name: &str) -> Option<DeviceState> {
        self.get(&key(name))?
            .value()
            .map(crate::model::Value::device_state)
    }
}

fn origin() -> OriginMap {
    OriginMap::new(LIFE)
}

/// Rule 1. Left out, a late message of an earlier life would bring its lamps back.
#[test]
fn an_earlier_life_is_dropped_and_a_later_one_starts_afresh() {
    let mut old = origin();
    old.set("old", DeviceState::InUse);
    let mut copy = origin();
    copy.accept(old.since(0));
    let mut new = OriginMap::new(Incarnation(8));
    new.set("new", DeviceState::InUse);
    copy.accept(new.since(0));
    assert_eq!(
        (copy.shows("old"), copy.shows("new")),
        (None, Some(DeviceState::InUse))
    );
    old.set("old", DeviceState::Busy);
    assert_eq!(copy.accept(old.since(0)), Accepted::Old);
    assert_eq!(copy.shows("old"), None);
}

/// Rule 2, "drop all of it". Left out, an old copy of a covered range resurrects what was deleted and
/// collected meanwhile.
#[test]
fn a_covered_range_resurrects_nothing() {
    let mut origin = origin();
    origin.set("x", DeviceState::InUse);
    let early = origin.since(0);
    let deleted = origin.clear("x");
    origin.collect([deleted]);
    let mut copy = OriginMap::new(LIFE);
    copy.accept(origin.since(0));
    assert_eq!(copy.accept(early), Accepted::Old);
    assert_eq!(copy.shows("x"), None);
}

/// Rule 3. Counting by the greatest seq instead of contiguously would lose `x` for ever.
#[test]
fn a_range_that_does_not_follow_the_head_does_not_count() {
    let mut origin = origin();
    origin.set("x", DeviceState::InUse);
    origin.set("y", DeviceState::InUse);
    let later = Delta {
        base: 1,
        entries: origin.page(1, usize::MAX).entries,
        ..origin.since(0)
    };
    let mut copy = OriginMap::new(LIFE);
    assert_eq!(copy.accept(later.clone()), Accepted::Early(later));
    assert_eq!(
        (copy.head(), copy.shows("y")),
        (0, None),
        "rule 4: not shown before what precedes it"
    );
    copy.accept(origin.since(0));
    assert_eq!(copy.shows("x"), Some(DeviceState::InUse));
}

/// Rule 3, "entries with seq > head". Left out, a delta from an old base would undo later writes.
#[test]
fn of_an_overlapping_range_only_the_new_part_is_applied() {
    let mut origin = origin();
    origin.set("x", DeviceState::Ringing);
    let mut copy = OriginMap::new(LIFE);
    copy.accept(origin.since(0));
    origin.set("y", DeviceState::InUse);
    origin.set("x", DeviceState::InUse);
    assert_eq!(
        copy.accept(origin.since(0)),
        Accepted::Applied(vec![key("y"), key("x")])
    );
    assert_eq!(copy.hash(), origin.hash());
}

/// Rule 5. Without the sender's watermark, a copy reset by it would later serve a range from before the
/// collected tombstones, and `x` would live on at a third replica.
#[test]
fn a_reset_carries_its_watermark() {
    let mut origin = origin();
    origin.set("x", DeviceState::InUse);
    let mut third = OriginMap::new(LIFE);
    third.accept(origin.since(0));
    let deleted = origin.clear("x");
    origin.set("y", DeviceState::InUse);
    origin.collect([deleted]);
    let mut copy = OriginMap::new(LIFE);
    copy.accept(origin.since(0));
    assert_eq!(copy.watermark(), deleted);
    third.accept(copy.since(third.head()));
    assert_eq!((third.shows("x"), third.hash()), (None, origin.hash()));
}

/// Rule 5, "only if upto > head". Left out, an old reset would take a copy back.
#[test]
fn an_old_reset_changes_nothing() {
    let mut origin = origin();
    origin.set("x", DeviceState::InUse);
    let old = Delta {
        reset: Some(0),
        ..origin.since(0)
    };
    origin.set("x", DeviceState::Busy);
    let mut copy = OriginMap::new(LIFE);
    copy.accept(origin.since(0));
    assert_eq!(copy.accept(old), Accepted::Old);
    assert_eq!(copy.shows("x"), Some(DeviceState::Busy));
}

/// Rule 6, "else it is a reset". Left out, a delta from below the watermark lacks the collected tombstone.
#[test]
fn below_the_watermark_only_a_reset_will_do() {
    let mut origin = origin();
    origin.set("x", DeviceState::InUse);
    let mut copy = OriginMap::new(LIFE);
    copy.accept(origin.since(0));
    let deleted = origin.clear("x");
    origin.collect([deleted]);
    let wrong = Delta {
        reset: None,
        base: 1,
        ..origin.since(1)
    };
    let mut zombie = copy.clone();
    zombie.accept(wrong);
    assert_eq!(
        zombie.shows("x"),
        Some(DeviceState::InUse),
        "this is what the reset prevents"
    );
    assert!(origin.since(1).reset.is_some());
    copy.accept(origin.since(1));
    assert_eq!(copy.shows("x"), None);
}

/// Rule 6, "upto is always the sender's own head". A reply cut below it, applied by one copy and not by
/// another, would leave both with one head and different maps.
#[test]
fn a_page_says_whether_it_reaches_the_head() {
    let mut origin = origin();
    (0..100).for_each(|n| {
        origin.set(&format!("d{n:02}"), DeviceState::InUse);
    });
    let first = origin.page(0, 1_000);
    assert!(!first.last && first.entries.len() > 1 && first.entries.len() < 100);
    let cursor = first.entries.last().expect("not empty").1.seq();
    origin.set("d00", DeviceState::Busy);
    let rest = origin.page(cursor, usize::MAX);
    assert!(rest.last);
    let entries = [first.entries, rest.entries].concat();
    let whole = Delta {
        entries,
        ..origin.since(0)
    };
    assert_eq!(whole.check(), Ok(()));
    let mut copy = OriginMap::new(LIFE);
    copy.accept(whole);
    assert_eq!((copy.hash(), copy.len()), (origin.hash(), 100));
}

#[test]
fn a_reset_names_every_key_that_changed() {
    let mut origin = origin();
    for name in ["same", "gone", "changed"] {
        origin.set(name, DeviceState::InUse);
    }
    let mut copy = OriginMap::new(LIFE);
    copy.accept(origin.since(0));
    let deleted = origin.clear("gone");
    origin.set("changed", DeviceState::Busy);
    origin.set("new", DeviceState::Ringing);
    origin.collect([deleted]);
    let Accepted::Applied(mut changed) = copy.accept(origin.since(3)) else {
        panic!("it was not applied")
    };
    changed.sort();
    assert_eq!(changed, ["changed", "gone", "new"].map(key));
    assert_eq!(copy.hash(), origin.hash());
}

#[test]
fn equal_maps_have_equal_hashes_whatever_led_there() {
    let mut origin = origin();
    origin.set("x", DeviceState::InUse);
    let empty = OriginMap::new(LIFE).hash();
    let before = origin.hash();
    origin.clear("x");
    assert_eq!(origin.hash(), empty);
    assert_ne!(before, empty);
}

#[derive(Debug, Clone)]
enum Step {
    Set(u8, u8),
    Clear(u8),
    Collect(u64),
    Send { from: usize, to: usize, base: u64 },
    Repeat(usize, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u8..4, 0u8..9).prop_map(|(key, state)| Step::Set(key, state)),
        3 => (0u8..4).prop_map(Step::Clear),
        2 => (0u64..40).prop_map(Step::Collect),
        6 => (0usize..3, 0usize..3, 0u64..40).prop_map(|(from, to, base)| Step::Send { from, to, base }),
        3 => (0usize..40, 0usize..3).prop_map(|(old, to)| Step::Repeat(old, to)),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// J and M in one: whatever is sent, by whom, from which base, collected when, and repeated when,
    /// every copy is what the origin was when its seq was that head, and heads never go back.
    #[test]
    fn every_copy_is_a_true_moment_of_the_origin(steps in steps()) {
        let mut maps = [origin(), origin(), origin()];
        let mut truth = vec![0u128];
        let mut sent = Vec::new();
        for step in steps {
            let heads = [maps[0].head(), maps[1].head(), maps[2].head()];
            match step {
                Step::Set(key, state) => {
                    let state = DeviceState::from_number(state).expect("nine states");
                    maps[0].set(&key.to_string(), state);
                    truth.push(maps[0].hash());
                }
                Step::Clear(key) => {
                    maps[0].clear(&key.to_string());
                    truth.push(maps[0].hash());
                }
                Step::Collect(upto) => {
                    let which = usize::try_from(upto % 3).expect("small");
                    let seqs: Vec<u64> = maps[which].tombstones().filter(|seq| *seq <= upto).collect();
                    maps[which].collect(seqs);
                }
                Step::Send { from, to, base } if to != 0 => {
                    let delta = maps[from].since(base.min(maps[from].head()));
                    prop_assert_eq!(delta.check(), Ok(()));
                    sent.push(delta.clone());
                    maps[to].accept(delta);
                }
                Step::Repeat(old, to) if to != 0 => {
                    if let Some(delta) = sent.get(old) {
                        maps[to].accept(delta.clone());
                    }
                }
                Step::Send { .. } | Step::Repeat(..) => {}
            }
            for (map, head) in maps.iter().zip(heads) {
                prop_assert!(map.head() >= head);
                let moment = usize::try_from(map.head()).expect("small");
                prop_assert_eq!(map.hash(), truth[moment]);
                prop_assert!(map.watermark() <= map.head());
            }
        }
        let last = maps[0].since(maps[1].head());
        maps[1].accept(last);
        prop_assert_eq!(maps[1].hash(), maps[0].hash());
    }

    /// The join of whole maps, as a state-based CRDT. The inputs are copies of one origin, as they are in
    /// a mesh.
    #[test]
    fn merging_maps_is_a_join(a in 0u64..6, b in 0u64..6, c in 0u64..6, lives in 0u64..8) {
        let copy = |head: u64, life: u64| {
            let mut map = OriginMap::new(Incarnation(life));
            (0..head).for_each(|n| {
                map.set(&(n % 3).to_string(), DeviceState::InUse);
            });
            map
        };
        let merged = |mut a: OriginMap, b: OriginMap| {
            a.merge(b);
            (a.incarnation(), a.head(), a.hash(), a.watermark())
        };
        let (a, b, c) = (copy(a, lives & 1), copy(b, lives >> 1 & 1), copy(c, lives >> 2 & 1));
        prop_assert_eq!(merged(a.clone(), b.clone()), merged(b.clone(), a.clone()));
        prop_assert_eq!(merged(a.clone(), a.clone()), (a.incarnation(), a.head(), a.hash(), a.watermark()));
        let (mut ab, mut bc) = (a.clone(), b.clone());
        ab.merge(b);
        bc.merge(c.clone());
        prop_assert_eq!(merged(ab, c), merged(a, bc));
    }
}
