//! What Phoenix.Tracker's own suite asks of it, and what its open defects show it lacks, asked of this project in
//! virtual time.

#[path = "support/world.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod world;

use std::collections::BTreeMap;

use presence_mesh::DeviceState::{self, Busy, InUse, NotInUse, Ringing, Unavailable};
use presence_mesh::Freshness::{Gone, Live, Stale};
use presence_mesh::model::{Key, Scope, SpaceId, Value};
use presence_mesh::proto::Watched;
use presence_mesh::{Freshness, Pattern, Standing, WriteError};
use world::{World, device, mailbox};

fn custom(name: &str) -> Key {
    let scope = Scope::namespace(SpaceId::CUSTOM, &"t".parse().expect("a namespace"));
    scope.key(name).expect("a key")
}

fn number(number: u64) -> Value {
    Value::from_bytes(number.to_string().as_bytes()).expect("short")
}

fn shown_number(world: &World, node: usize, key: &Key) -> Option<u64> {
    let shown = world.replica(node).get(key, world.now(node))?;
    let text = std::str::from_utf8(shown.value.as_bytes()).expect("digits");
    Some(text.parse().expect("digits"))
}

/// A node that has just started is given whole states by others, which are late and of different ages, while
/// newer writes reach it by gossip.
#[test]
fn a_stale_full_state_never_replaces_a_newer_value() {
    for seed in 0..15 {
        let mut world = World::new(4, seed);
        world.delay_ms = (1, 400);
        world.limits.part_bytes = 700;
        world.run_for(1_000);
        let key = custom("count");
        let others = (0..40).map(|n| (device(&format!("PJSIP/{n}")), Some(InUse.into())));
        world.write(0, others.collect()).expect("a write");
        let mut newest = [0; 4];
        for round in 1..120 {
            let write = vec![(key.clone(), Some(number(round)))];
            world.write(0, write).expect("a write");
            if round % 20 == 0 {
                let node = 2 + usize::try_from(round / 20 % 2).expect("small");
                world.crash(node);
                newest[node] = 0;
                world.start(node);
            }
            let step_ms = world.draw() % 60;
            world.run_for(step_ms);
            for (node, newest) in newest.iter_mut().enumerate() {
                let shown = shown_number(&world, node, &key).unwrap_or(0);
                assert!(
                    shown >= *newest,
                    "seed {seed}: node {node} went back from {newest} to {shown}"
                );
                *newest = shown;
            }
        }
        world.run_until_agreed(20_000);
        assert_eq!(shown_number(&world, 3, &key), Some(119), "seed {seed}");
    }
}

#[test]
fn two_nodes_adding_one_key_end_equal_on_all() {
    for seed in 0..20 {
        let mut world = World::new(4, seed);
        world.delay_ms = (1, 200);
        world.run_for(1_000);
        for key in [
            custom("night"),
            mailbox("100@default"),
            device("Custom:night"),
        ] {
            for node in [0, 1] {
                let write = vec![(key.clone(), Some(number(node as u64)))];
                world.write(node, write).expect("a write");
            }
        }
        for (node, state) in [(0, Ringing), (1, InUse)] {
            world.set(node, "PJSIP/100", state);
        }
        world.run_until_agreed(10_000);
        let all = |node| {
            let now = world.now(node);
            let keys = [custom("night"), mailbox("100@default"), device("PJSIP/100")];
            keys.map(|key| {
                let shown = world.replica(node).get(&key, now).expect("it is shown");
                (shown.value, shown.contributions.len())
            })
        };
        let first = all(0);
        assert!(first.iter().all(|(_, contributions)| *contributions == 2));
        (1..4).for_each(|node| assert_eq!(all(node), first, "seed {seed}, node {node}"));
    }
}

/// Everything a replica holds, written out, is as long as before.
#[test]
fn ten_thousand_lives_come_and_go_and_memory_returns() {
    let mut world = World::new(2, 3);
    world.run_for(1_000);
    let held = |world: &mut World| {
        world.run_for(30_000);
        format!("{:?}", world.replica(0)).len()
    };
    let life = |world: &mut World| {
        world.set(1, "PJSIP/100", InUse);
        world.run_for(7);
        world.crash(1);
        world.run_for(1);
        world.start(1);
    };
    (0..50).for_each(|_| life(&mut world));
    let before = held(&mut world);
    (0..10_000).for_each(|_| life(&mut world));
    let after = held(&mut world);
    assert!(
        after < before + before / 10,
        "{before} characters before, {after} after"
    );
    assert_eq!(world.replica(0).maps().len(), 2);
}

#[test]
fn an_orderly_leave_is_seen_at_once() {
    let mut world = World::new(3, 4);
    world.run_for(1_000);
    world.set(1, "PJSIP/100", InUse);
    world.run_for(50);
    world.leave(1);
    world.run_for(10);
    for reader in [0, 2] {
        assert_eq!(world.shown(reader, "PJSIP/100"), Some((Unavailable, Gone)));
        let members = world.replica(reader).members(world.now(reader));
        let left = members.iter().find(|member| member.replica == world.id(1));
        assert!(left.is_some_and(|member| member.left && member.standing == Standing::Gone));
    }
}

#[test]
fn a_frozen_node_goes_down_and_thaws_as_it_was() {
    let mut world = World::new(3, 5);
    world.run_for(1_000);
    for node in 0..3 {
        world.set(node, &format!("PJSIP/{node}"), InUse);
    }
    world.run_for(3_000);
    let incarnation = world.replica(1).incarnation();
    let applied =
        |world: &World| [0, 1, 2].map(|node| world.replica(node).counters().entries_applied);
    let before = applied(&world);
    world.freeze(1);
    world.run_for(60_000);
    assert_eq!(world.shown(0, "PJSIP/1"), Some((Unavailable, Gone)));
    world.thaw(1);
    assert_ne!(
        world.shown(1, "PJSIP/0").map(|(_, freshness)| freshness),
        None
    );
    world.run_for(3_000);
    for reader in 0..3 {
        for node in 0..3 {
            let shown = world.shown(reader, &format!("PJSIP/{node}"));
            assert_eq!(shown, Some((InUse, Live)), "node {reader} of node {node}");
        }
    }
    assert_eq!(world.replica(1).incarnation(), incarnation);
    assert_eq!(applied(&world), before, "no entry was sent again");
}

type Listed = BTreeMap<(SpaceId, String), (Value, Freshness)>;

/// Loss, cuts, deaths, returns, withdrawals: whatever happens, what a watcher was given adds up to what is listed.
#[test]
fn the_list_always_equals_the_sum_of_the_changes() {
    let spaces = [SpaceId::DEVICES, SpaceId::MAILBOXES, SpaceId::CUSTOM];
    for seed in 0..8 {
        let mut world = World::new(3, seed);
        world.loss_percent = 20;
        world.delay_ms = (1, 100);
        world.run_for(1_000);
        let watches = spaces.map(|space| {
            let watch = world.replica_mut(0).watch(space, Pattern::any(), false);
            (space, watch.expect("there is room"))
        });
        let mut known = Listed::new();
        for step in 0..150 {
            let node = usize::try_from(world.draw() % 3).expect("small");
            let n = world.draw() % 6;
            let key = match world.draw() % 3 {
                0 => device(&format!("PJSIP/{n}")),
                1 => mailbox(&format!("{n}@default")),
                _ => custom(&n.to_string()),
            };
            let value = (!world.draw().is_multiple_of(4)).then(|| {
                let state = DeviceState::ALL[usize::try_from(n).expect("small")];
                if key.space() == SpaceId::DEVICES {
                    state.into()
                } else {
                    number(step)
                }
            });
            match world.draw() % 20 {
                0 if node != 0 && world.up().contains(&node) => world.crash(node),
                1 if !world.up().contains(&node) => world.start(node),
                2 => world.cut(0, 1),
                3 => world.mend(),
                4 => world.run_for(8_000),
                _ if world.up().contains(&node) => {
                    world.write(node, vec![(key, value)]).expect("a write");
                }
                _ => {}
            }
            world.run_for(50);
            let now = world.now(0);
            for (space, watch) in watches {
                while let Some(item) = world.replica_mut(0).poll_watch(watch, now) {
                    add(&mut known, space, item);
                }
            }
            let mut listed = Listed::new();
            for (space, _) in watches {
                let all = world.replica(0).list(space, &Pattern::any(), now);
                assert_eq!(all.len(), world.replica(0).count(space));
                listed.extend(all.into_iter().map(|shown| {
                    let id = (space, shown.key.to_string());
                    (id, (shown.value, shown.freshness))
                }));
            }
            assert_eq!(known, listed, "seed {seed}, step {step}");
        }
    }
}

fn add(known: &mut Listed, space: SpaceId, item: Watched) {
    match item {
        Watched::Snapshot(all) => known.extend(all.into_iter().map(|shown| {
            (
                (space, shown.key.to_string()),
                (shown.value, shown.freshness),
            )
        })),
        Watched::Changed(change) => {
            let id = (space, change.key.to_string());
            let old = change
                .old
                .as_ref()
                .map(|old| (old.value.clone(), old.freshness));
            assert_eq!(
                known.remove(&id),
                old,
                "the old value is what was told last"
            );
            if let Some(new) = &change.new {
                known.insert(id, (new.value.clone(), new.freshness));
            }
        }
        Watched::Resync => panic!("it kept up"),
    }
}

/// Frames of a life that is over arrive long after the next one has begun.
#[test]
fn a_late_message_of_an_old_life_changes_nothing() {
    let mut late = 0;
    for seed in 0..30 {
        let mut world = World::new(3, seed);
        world.run_for(1_000);
        world.delay_ms = (1, 2_500);
        world.set(0, "PJSIP/100", Ringing);
        world.set(0, "PJSIP/100", Busy);
        world.crash(0);
        world.start(0);
        world.set(0, "PJSIP/100", InUse);
        let mut new_life = [false; 3];
        for _ in 0..400 {
            world.run_for(10);
            for node in [1, 2] {
                let shown = world
                    .replica(node)
                    .get(&device("PJSIP/100"), world.now(node));
                let Some(shown) = shown else { continue };
                let state = shown.value.device_state();
                if new_life[node] {
                    let old = [Ringing, Busy].contains(&state);
                    assert!(!old, "seed {seed}, node {node}: {state}");
                } else if state == InUse {
                    new_life[node] = true;
                    late += 1;
                }
            }
        }
        assert!(new_life[1] && new_life[2], "seed {seed}");
    }
    assert_eq!(late, 60);
}

#[test]
fn an_hour_on_the_wall_clock_changes_no_order_and_takes_nobody_down() {
    const HOUR_MS: i64 = 3_600_000;
    for offset_ms in [HOUR_MS, -HOUR_MS] {
        let mut world = World::new(3, 7);
        world.run_for(2_000);
        for node in 0..3 {
            world.set(node, &format!("PJSIP/{node}"), NotInUse);
        }
        let shared = custom("toggle");
        let write = |world: &mut World, node, value| {
            let written = world.write(node, vec![(shared.clone(), Some(number(value)))]);
            world.run_for(200);
            written
        };
        write(&mut world, 1, 1).expect("a write");
        world.set_clock_off(0, offset_ms);
        // Long enough for both peers to have been asked for their clocks: one alone convicts nobody.
        for step in 0..900 {
            world.run_for(100);
            for reader in 0..3 {
                for node in 0..3 {
                    let shown = world.shown(reader, &format!("PJSIP/{node}"));
                    let live = shown.is_some_and(|(_, freshness)| freshness == Live);
                    assert!(
                        live,
                        "{offset_ms} ms, step {step}: {reader} of {node}: {shown:?}"
                    );
                }
            }
        }
        // Its own devices have one writer, and their order needs no clock.
        for state in [Ringing, InUse, Busy] {
            world.set(0, "PJSIP/0", state);
        }
        // A key that others write needs a clock that is right: refused, and so no order is changed.
        let refused = write(&mut world, 0, 2);
        assert!(
            matches!(refused, Err(WriteError::ClockOff { .. })),
            "{refused:?}"
        );
        write(&mut world, 2, 3).expect("a write");
        world.set_clock_off(0, 0);
        // Until every peer has been asked for its clock again.
        world.run_for(120_000);
        write(&mut world, 0, 4).expect("its clock is right again");
        world.run_for(1_000);
        for reader in 0..3 {
            assert_eq!(world.shown(reader, "PJSIP/0"), Some((Busy, Live)));
            assert_eq!(shown_number(&world, reader, &shared), Some(4));
        }
    }
}

/// What a frozen node shows of others when it wakes is old, and says so.
#[test]
fn who_wakes_shows_others_as_stale_until_they_are_heard() {
    let mut world = World::new(2, 8);
    world.delay_ms = (20, 20);
    world.run_for(1_000);
    world.set(0, "PJSIP/0", InUse);
    world.run_for(2_000);
    world.freeze(1);
    world.run_for(5_000);
    let now = world.now(1);
    world
        .replica_mut(1)
        .handle(presence_mesh::proto::Input::Timeout, now);
    assert_eq!(world.shown(1, "PJSIP/0"), Some((InUse, Stale)));
    world.thaw(1);
    world.run_for(2_000);
    assert_eq!(world.shown(1, "PJSIP/0"), Some((InUse, Live)));
}
