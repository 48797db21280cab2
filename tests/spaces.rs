//! What users see of presence and of values of their own types, in virtual time: by latest writer, each origin's
//! own, namespaces, tokens, and equal values.

#[path = "support/world.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod world;

use std::collections::BTreeMap;

use presence_mesh::Freshness::{Gone, Live, Stale};
use presence_mesh::model::{Key, Scope, Source, SpaceId, Value};
use presence_mesh::proto::{TrackId, WatchId, Watched};
use presence_mesh::{
    DeviceState, Freshness, Pattern, Presence, PresenceStatus, ReplicaId, Rule, WriteError,
};
use world::{World, device};

fn scope(space: SpaceId, namespace: &str) -> Scope {
    Scope::namespace(space, &namespace.parse().expect("a namespace"))
}

fn custom(namespace: &str, name: &str) -> Key {
    scope(SpaceId::CUSTOM, namespace).key(name).expect("a key")
}

fn apart(namespace: &str, name: &str) -> Key {
    scope(SpaceId::CUSTOM_PER_ORIGIN, namespace)
        .key(name)
        .expect("a key")
}

fn json(text: &str) -> Value {
    Value::from_bytes(text.as_bytes()).expect("short")
}

fn names(world: &World, node: usize, scope: impl Into<Scope>, pattern: &str) -> Vec<String> {
    let all = world
        .replica(node)
        .list(scope, &Pattern::new(pattern), world.now(node));
    all.iter().map(|shown| shown.key.to_string()).collect()
}

#[test]
fn the_latest_presence_is_shown_and_kept_when_its_writer_is_gone() {
    let mut world = World::new(3, 1);
    world.run_for(500);
    let alice = Key::new(SpaceId::PRESENCE, "alice").expect("a key");
    let say = |status| Some(Value::encode(&Presence::new(status)).expect("short"));
    for (node, status) in [(0, PresenceStatus::Dnd), (1, PresenceStatus::Chat)] {
        world
            .write(node, vec![(alice.clone(), say(status))])
            .expect("a write");
        world.run_for(20);
    }
    let shown = |world: &World| {
        let shown = world
            .replica(2)
            .get(&alice, world.now(2))
            .expect("it is shown");
        let presence = shown.value.decode::<Presence>().expect("a presence");
        (presence.status, shown.freshness)
    };
    assert_eq!(shown(&world), (PresenceStatus::Chat, Live));
    assert_eq!(world.replica(2).count(SpaceId::PRESENCE), 1);
    world.crash(1);
    world.run_for(20_000);
    assert_eq!(shown(&world), (PresenceStatus::Chat, Stale));
}

#[test]
fn a_namespace_is_listed_and_counted_on_its_own() {
    let mut world = World::new(2, 2);
    world.run_for(200);
    let all = ["a/1", "a/2", "a/b/3", "b/1"].map(|stored| {
        let (namespace, name) = stored.split_once('/').expect("it has one");
        (custom(namespace, name), Some(json("1")))
    });
    world.write(0, all.to_vec()).expect("a write");
    world.run_for(20);
    let a = scope(SpaceId::CUSTOM, "a");
    for node in 0..2 {
        assert_eq!(names(&world, node, a.clone(), "*"), ["a/1", "a/2", "a/b/3"]);
        assert_eq!(names(&world, node, a.clone(), "b/*"), ["a/b/3"]);
        let count = |scope: Scope| world.replica(node).count(scope);
        assert_eq!(
            (count(a.clone()), count(scope(SpaceId::CUSTOM, "b"))),
            (3, 1)
        );
        assert_eq!(count(SpaceId::CUSTOM.into()), 4);
        assert_eq!(count(scope(SpaceId::CUSTOM, "c")), 0);
    }
    world
        .write(0, vec![(custom("a", "1"), None), (custom("b", "1"), None)])
        .expect("a write");
    world.run_for(20);
    assert_eq!(world.replica(1).count(a), 2);
    assert_eq!(world.replica(1).count(scope(SpaceId::CUSTOM, "b")), 0);
    assert_eq!(world.replica(1).count(SpaceId::CUSTOM), 2);
}

#[test]
fn a_watcher_of_a_namespace_hears_of_nothing_else() {
    let mut world = World::new(1, 3);
    let watch = world
        .replica_mut(0)
        .watch(scope(SpaceId::CUSTOM, "a"), Pattern::any(), false)
        .expect("there is room");
    assert_eq!(changes(&mut world, 0, watch), [""; 0]);
    for key in [custom("b", "1"), custom("a", "1"), apart("a", "1")] {
        world
            .write(0, vec![(key, Some(json("1")))])
            .expect("a write");
    }
    world.set(0, "a/1", DeviceState::Busy);
    assert_eq!(changes(&mut world, 0, watch), ["a/1 - -> 1"]);
}

/// The changes waiting for a watcher, as `key old -> new`; of its snapshot, nothing.
fn changes(world: &mut World, node: usize, watch: WatchId) -> Vec<String> {
    let now = world.now(node);
    let text = |value: Option<&Value>| {
        value.map_or("-".into(), |value| {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        })
    };
    let mut changes = Vec::new();
    while let Some(item) = world.replica_mut(node).poll_watch(watch, now) {
        if let Watched::Changed(change) = item {
            let (old, new) = (change.old.as_ref(), change.new.as_ref());
            let old = text(old.map(|shown| &shown.value));
            let new = text(new.map(|shown| &shown.value));
            changes.push(format!("{} {old} -> {new}", change.key));
        }
    }
    changes
}

type Sides = BTreeMap<(String, ReplicaId), (Vec<u8>, Freshness)>;

fn sides(world: &World, node: usize) -> Sides {
    let all =
        world
            .replica(node)
            .list(SpaceId::CUSTOM_PER_ORIGIN, &Pattern::any(), world.now(node));
    let row = |shown: &presence_mesh::Shown<Value>| {
        let origin = shown.origin.expect("it is shown apart");
        (
            (shown.key.to_string(), origin),
            (shown.value.as_bytes().to_vec(), shown.freshness),
        )
    };
    all.iter().map(row).collect()
}

#[test]
fn each_origins_own_is_shown_apart() {
    let mut world = World::new(3, 4);
    world.run_for(500);
    let load = apart("load", "cpu");
    for (node, value) in [(0, "10"), (1, "20")] {
        world
            .write(node, vec![(load.clone(), Some(json(value)))])
            .expect("a write");
    }
    world.run_for(50);
    let row = |node, value: &str, freshness| {
        (
            ("load/cpu".to_owned(), world.id(node)),
            (value.as_bytes().to_vec(), freshness),
        )
    };
    let both = Sides::from([row(0, "10", Live), row(1, "20", Live)]);
    let one_gone = Sides::from([row(0, "10", Live), row(1, "20", Gone)]);
    assert_eq!(sides(&world, 2), both);
    assert_eq!(world.replica(2).count(SpaceId::CUSTOM_PER_ORIGIN), 2);

    let own = |node| world.replica(node).get(&load, world.now(node));
    assert_eq!(own(1).expect("its own").value, json("20"));
    assert_eq!(own(2), None);
    let said = world.replica(2).contributions(&load, world.now(2));
    let said: Vec<_> = said
        .iter()
        .map(|part| (&*part.node, part.value.clone()))
        .collect();
    assert_eq!(said, [("n0", json("10")), ("n1", json("20"))]);
    let explained = world.replica(2).explain(&load, world.now(2));
    let explained = explained.expect("somebody says something");
    assert_eq!(explained.rule, Rule::PerOrigin);
    assert_eq!(explained.shown.contributions.len(), 2);

    world.crash(1);
    world.run_for(20_000);
    assert_eq!(sides(&world, 2), one_gone);
    world.write(0, vec![(load.clone(), None)]).expect("a write");
    world.run_for(50);
    assert_eq!(world.replica(2).count(SpaceId::CUSTOM_PER_ORIGIN), 1);
}

/// What a watcher was given adds up to what is listed, also where each origin's own is shown apart.
#[test]
fn changes_of_each_origins_own_add_up_to_the_list() {
    let mut world = World::new(3, 5);
    world.run_for(500);
    let watch = world
        .replica_mut(2)
        .watch(SpaceId::CUSTOM_PER_ORIGIN, Pattern::any(), false)
        .expect("there is room");
    let mut known = Sides::new();
    for round in 0..60 {
        let node = usize::try_from(world.draw() % 2).expect("small");
        let key = apart("load", &(world.draw() % 3).to_string());
        let value = (!world.draw().is_multiple_of(3)).then(|| json(&round.to_string()));
        if world.up().contains(&node) {
            world.write(node, vec![(key, value)]).expect("a write");
        }
        match round {
            20 => world.crash(0),
            40 => world.start(0),
            _ => {}
        }
        world.run_for(if round % 10 == 0 { 12_000 } else { 30 });
        let now = world.now(2);
        while let Some(item) = world.replica_mut(2).poll_watch(watch, now) {
            match item {
                Watched::Snapshot(all) => assert!(all.is_empty(), "nothing yet"),
                Watched::Changed(change) => {
                    let origin = change.origin.expect("it is shown apart");
                    let id = (change.key.to_string(), origin);
                    let old = change.old.as_ref().map(shown_bytes);
                    assert_eq!(known.remove(&id), old, "round {round}");
                    if let Some(new) = &change.new {
                        known.insert(id, shown_bytes(new));
                    }
                }
                Watched::Resync => panic!("it kept up"),
            }
        }
        assert_eq!(known, sides(&world, 2), "round {round}");
    }
}

fn shown_bytes(shown: &presence_mesh::Shown<Value>) -> (Vec<u8>, Freshness) {
    (shown.value.as_bytes().to_vec(), shown.freshness)
}

/// Nodes' own records lie in a space where each origin's own counts, too; they are no user's business.
#[test]
fn nodes_records_are_shown_to_nobody() {
    let mut world = World::new(2, 6);
    world.run_for(500);
    assert_eq!(names(&world, 0, SpaceId::NODES, "*"), [""; 0]);
    assert_eq!(world.replica(0).count(SpaceId::NODES), 0);
    let unknown = Key::new(SpaceId(77), "a/b").expect("a key");
    world
        .write(1, vec![(unknown.clone(), Some(json("1")))])
        .expect("a write");
    world.run_for(50);
    assert!(world.replica(0).entry(world.id(1), &unknown).is_some());
    assert_eq!(world.replica(0).get(&unknown, world.now(0)), None);
    assert_eq!(names(&world, 0, SpaceId(77), "*"), [""; 0]);
}

#[test]
fn setting_an_equal_value_sends_nothing() {
    let mut world = World::new(2, 7);
    world.run_for(3_000);
    let entries = [device("PJSIP/1"), custom("a", "1"), apart("a", "1")];
    let entries = entries.map(|key| (key, Some(json("1")))).to_vec();
    assert_eq!(world.write(0, entries.clone()), Ok(3));
    let before = (
        world.replica(0).head(),
        world.replica(0).counters().frames_published,
    );
    assert_eq!(world.write(0, entries), Ok(0));
    let after = (
        world.replica(0).head(),
        world.replica(0).counters().frames_published,
    );
    assert_eq!(before, after);
}

/// A toggle that two nodes write: saying again what one said before the other is a new write.
#[test]
fn the_last_writer_wins_though_it_says_what_it_said_before() {
    let mut world = World::new(2, 8);
    world.run_for(500);
    let night = custom("toggles", "night");
    for (node, value) in [(0, "true"), (1, "false"), (0, "true")] {
        world
            .write(node, vec![(night.clone(), Some(json(value)))])
            .expect("a write");
        world.run_for(50);
        for reader in 0..2 {
            let shown = world.replica(reader).get(&night, world.now(reader));
            assert_eq!(shown.expect("it is shown").value, json(value));
        }
    }
}

/// What was said last before a withdrawal is seen by those who watch elsewhere, though both were written in one
/// turn, and in whichever order the two frames arrive.
#[test]
fn the_last_value_before_a_withdrawal_is_seen_elsewhere() {
    let mut overtaken = 0;
    for seed in 0..40 {
        let mut world = World::new(2, seed);
        // Two frames may overtake each other; no answer comes before both.
        world.delay_ms = (10, 19);
        world.run_for(2_500);
        let watch = world
            .replica_mut(1)
            .watch(scope(SpaceId::CUSTOM, "a"), Pattern::any(), false)
            .expect("there is room");
        assert_eq!(changes(&mut world, 1, watch), [""; 0]);
        let values = [Some(json("1")), None, Some(json("2")), None];
        let writes = values.map(|value| (custom("a", "1"), value));
        world.write_in_one_turn(0, writes.to_vec());
        world.run_for(500);
        assert_eq!(
            changes(&mut world, 1, watch),
            ["a/1 - -> 1", "a/1 1 -> 2", "a/1 2 -> -"],
            "seed {seed}"
        );
        overtaken += world.replica(1).counters().deltas_early;
    }
    assert!(overtaken > 10, "some frames overtook others");
}

fn track(world: &mut World, node: usize, name: &str, state: DeviceState) -> TrackId {
    let now = world.now(node);
    let replica = world.replica_mut(node);
    let id = replica.track(device(name), state.into(), Source::API, now);
    world.write(node, Vec::new()).expect("nothing is written");
    id.expect("a write")
}

fn untrack(world: &mut World, node: usize, id: TrackId) {
    let now = world.now(node);
    let ended = world.replica_mut(node).untrack(id, now);
    ended.expect("a write");
    world.write(node, Vec::new()).expect("nothing is written");
}

#[test]
fn tokens_on_one_key_count_and_the_newest_living_one_speaks() {
    use DeviceState::{Busy, InUse, OnHold, Ringing};
    let mut world = World::new(2, 9);
    world.run_for(500);
    let said = |world: &mut World| {
        world.run_for(20);
        world.shown(1, "PJSIP/1").map(|(state, _)| state)
    };
    let first = track(&mut world, 0, "PJSIP/1", InUse);
    let second = track(&mut world, 0, "PJSIP/1", Ringing);
    assert_eq!(said(&mut world), Some(Ringing));
    let now = world.now(0);
    let replica = world.replica_mut(0);
    replica.retrack(first, OnHold.into(), now).expect("a write");
    assert_eq!(said(&mut world), Some(Ringing), "the newer token speaks");
    let third = track(&mut world, 0, "PJSIP/1", Busy);
    untrack(&mut world, 0, second);
    assert_eq!(said(&mut world), Some(Busy));
    untrack(&mut world, 0, third);
    assert_eq!(said(&mut world), Some(OnHold));
    assert!(world.replica(0).is_tracked(&device("PJSIP/1")));
    untrack(&mut world, 0, first);
    assert_eq!(said(&mut world), None);
    assert!(!world.replica(0).is_tracked(&device("PJSIP/1")));
    untrack(&mut world, 0, first);
    assert_eq!(world.replica(0).tracked().count(), 0);
}

/// A clock gone wrong keeps nobody from withdrawing what it said: a lamp that nobody owns would burn on.
#[test]
fn what_is_tracked_is_withdrawn_though_the_clock_is_off() {
    let mut world = World::new(3, 10);
    world.run_for(500);
    let now = world.now(0);
    let key = custom("calls", "1");
    let replica = world.replica_mut(0);
    let id = replica.track(key.clone(), json("1"), Source::API, now);
    let id = id.expect("a write");
    world.write(0, Vec::new()).expect("nothing is written");
    world.run_for(100);
    assert!(world.replica(1).get(&key, world.now(1)).is_some());
    world.set_clock_off(0, -60_000);
    world.run_for(30_000);
    let refused = world.write(0, vec![(custom("calls", "2"), Some(json("2")))]);
    assert!(
        matches!(refused, Err(WriteError::ClockOff { .. })),
        "{refused:?}"
    );
    untrack(&mut world, 0, id);
    world.run_for(100);
    assert_eq!(world.replica(1).get(&key, world.now(1)), None);
}

/// A server with very many keys dies. Its keys turn stale in one step for whoever reads them one by one, while
/// lists and watchers follow slice by slice; a write amid the slices is seen like any other.
#[test]
fn very_many_keys_turn_in_one_step_and_are_told_in_slices() {
    const KEYS: usize = 3_000;
    let mut world = World::new(2, 11);
    world.run_for(500);
    let name = |n: usize| format!("PJSIP/{n}");
    let all = (0..KEYS).map(|n| (device(&name(n)), Some(DeviceState::InUse.into())));
    world.write(0, all.collect()).expect("a write");
    world.run_for(2_000);
    let watch = world
        .replica_mut(1)
        .watch(SpaceId::DEVICES, Pattern::any(), false)
        .expect("there is room");
    let now = world.now(1);
    let first = world.replica_mut(1).poll_watch(watch, now);
    assert!(matches!(first, Some(Watched::Snapshot(all)) if all.len() == KEYS));

    world.crash(0);
    world.freeze(1);
    world.run_for(5_000);
    let now = world.now(1);
    let replica = world.replica_mut(1);
    replica.begin(presence_mesh::proto::Input::Timeout, now);
    for n in 0..KEYS {
        let shown = replica.get(&device(&name(n)), now).expect("it is shown");
        assert_eq!(shown.freshness, Stale, "{n}");
    }
    let mut told = 0;
    let mut slices = 0;
    let mut own = None;
    loop {
        let more = replica.work_some(100);
        slices += 1;
        while let Some(item) = replica.poll_watch(watch, now) {
            let Watched::Changed(change) = item else {
                panic!("it kept up")
            };
            told += 1;
            let new = change.new.as_ref().expect("nothing is withdrawn");
            if *change.key == *name(KEYS - 1) {
                own = Some((new.value.device_state(), new.freshness));
            }
        }
        if slices == 3 {
            let write = vec![(device(&name(KEYS - 1)), Some(DeviceState::Busy.into()))];
            let api = presence_mesh::proto::Write {
                source: Source::API,
                restate: false,
            };
            replica.write(write, api, now).expect("a write");
        }
        if !more {
            break;
        }
    }
    assert!(slices >= KEYS / 100, "{slices} slices");
    assert_eq!(told, KEYS, "each key once, the written one with its write");
    assert_eq!(own, Some((DeviceState::Busy, Live)));
    replica.check_invariants();
}
