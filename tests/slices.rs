//! Very much at once, done in slices: between two of them, readers see all of it or nothing.

#[path = "support/world.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod world;

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use presence_mesh::DeviceState::{self, Busy, InUse};
use world::{World, device};

const KEYS: usize = 3_000;
/// Some seconds for the exchange, and one event for each slice.
const LIMIT_MS: u64 = 20_000;

fn name(n: usize) -> String {
    format!("PJSIP/{n}")
}

fn fill(world: &mut World, node: usize, state: DeviceState) {
    let all = (0..KEYS).map(|n| (device(&name(n)), Some(state.into())));
    world.write(node, all.collect()).expect("a write");
}

/// What `node` shows of the first, the middle and the last key; panics when they were never so at once.
fn seen(world: &mut World, node: usize) -> Option<DeviceState> {
    let [first, middle, last] =
        [0, KEYS / 2, KEYS - 1].map(|n| world.shown(node, &name(n)).map(|(state, _)| state));
    assert!(
        first == middle && middle == last,
        "{first:?} {middle:?} {last:?}"
    );
    first
}

fn two_nodes_apart() -> World {
    let mut world = World::new(2, 5);
    world.slice = Some(100);
    world.cut(0, 1);
    fill(&mut world, 0, InUse);
    world.run_for(3_000);
    world
}

/// Lets events and slices alternate until `so`, looking on between any two.
fn run_until(world: &mut World, mut so: impl FnMut(&mut World) -> bool) {
    for _ in 0..LIMIT_MS {
        if so(world) {
            return;
        }
        world.run_for(1);
    }
    panic!("it did not happen within {LIMIT_MS} ms");
}

#[test]
fn a_whole_map_is_seen_all_at_once() {
    let mut world = two_nodes_apart();
    world.mend();
    let (mut steps, mut half_way) = (0, 0);
    run_until(&mut world, |world| {
        steps += 1;
        world.set(0, "SIP/other", if steps % 2 == 0 { Busy } else { InUse });
        half_way += usize::from(world.replica(1).statistics().queues["staged"] > 0);
        seen(world, 1) == Some(InUse)
    });
    assert!(half_way > 2, "{half_way} looks amid the slices");
    world.run_until_agreed(LIMIT_MS);
    assert_eq!(world.listed(1), world.listed(0));
}

/// The origin starts anew while its map is taken in: what had come of the earlier life is dropped.
#[test]
fn a_new_life_amid_the_slices_wins() {
    let mut world = two_nodes_apart();
    world.mend();
    world.run_for(10);
    assert_eq!(seen(&mut world, 1), None, "it is on its way");
    world.crash(0);
    world.start(0);
    fill(&mut world, 0, Busy);
    run_until(&mut world, |world| {
        let seen = seen(world, 1);
        assert_ne!(seen, Some(InUse), "a part of the earlier life was believed");
        seen == Some(Busy)
    });
    world.run_until_agreed(LIMIT_MS);
    assert_eq!(world.listed(1), world.listed(0));
}

/// All parts are here when the only one who had them goes away: what is here is taken in.
#[test]
fn what_has_arrived_outlives_its_sender() {
    let mut world = two_nodes_apart();
    world.slice = Some(10);
    world.mend();
    // And the origin's own record.
    let here = |world: &mut World| world.replica(1).statistics().queues["staged"] == KEYS + 1;
    run_until(&mut world, here);
    assert_eq!(seen(&mut world, 1), None, "it is not built yet");
    // A write that is lost and heard of: it is missing, and with its writer nobody has it.
    world.slice = Some(1);
    world.loss_percent = 100;
    world.set(0, "SIP/other", Busy);
    world.loss_percent = 0;
    world.run_for(1_500);
    assert_eq!(seen(&mut world, 1), None, "it is not built yet");
    world.crash(0);
    world.slice = Some(100);
    run_until(&mut world, |world| seen(world, 1) == Some(InUse));
    // Until all of it is shown, and what holds then is checked.
    run_until(&mut world, |world| {
        world.replica(1).statistics().queues["keys"] == 0
    });
}

/// The same after a cut so long that the sender has collected tombstones: what was withdrawn meanwhile goes in the
/// same step in which what is new comes.
#[test]
fn a_reset_is_seen_all_at_once() {
    let mut world = World::new(2, 6);
    world.timing.tombstone = std::time::Duration::from_secs(60);
    world.slice = Some(100);
    fill(&mut world, 0, InUse);
    run_until(&mut world, |world| seen(world, 1) == Some(InUse));
    world.cut(0, 1);
    let withdrawn = (0..KEYS).map(|n| (device(&name(n)), None));
    world.write(0, withdrawn.collect()).expect("a write");
    let new = (0..KEYS).map(|n| (device(&format!("SIP/{n}")), Some(Busy.into())));
    world.write(0, new.collect()).expect("a write");
    world.run_for(300_000);
    assert!(
        seen(&mut world, 1).is_some(),
        "the last state is remembered"
    );
    let resets = world.replica(1).counters().resets_applied;
    world.mend();
    run_until(&mut world, |world| {
        let new = world.shown(1, "SIP/0").is_some();
        assert_eq!(new, world.shown(1, &format!("SIP/{}", KEYS - 1)).is_some());
        assert_eq!(new, seen(world, 1).is_none(), "one moment of the original");
        new
    });
    assert_eq!(world.replica(1).counters().resets_applied, resets + 1);
    world.run_until_agreed(LIMIT_MS);
    assert_eq!(world.listed(1), world.listed(0));
}

/// Who reads waits for nobody who shows keys, and sees the same of single ones before, meanwhile and afterwards.
#[test]
fn keys_are_read_while_others_show_them() {
    const READERS: usize = 3;
    let mut world = two_nodes_apart();
    world.mend();
    world.slice = Some(1);
    run_until(&mut world, |world| seen(world, 1) == Some(InUse));
    let (replica, now) = (world.replica(1), world.now(1));
    let waiting = replica.statistics().queues["keys"];
    assert!(waiting > KEYS / 2, "{waiting} keys wait to be shown");
    let (ready, done) = (Barrier::new(READERS + 1), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for reader in 0..READERS {
            let (ready, done) = (&ready, &done);
            scope.spawn(move || {
                ready.wait();
                let mut n = reader;
                while !done.load(Ordering::Relaxed) {
                    let key = device(&name(n % KEYS));
                    let shown = replica.get(&key, now).expect("it has been seen");
                    assert_eq!(shown.value, InUse.into(), "{key}");
                    let sides = replica.contributions(&key, now);
                    assert_eq!(sides.len(), 1, "{key}: {sides:?}");
                    n += READERS;
                }
            });
        }
        ready.wait();
        while replica.show_some(4) {}
        done.store(true, Ordering::Relaxed);
    });
    let replica = world.replica_mut(1);
    replica.work_some(0);
    assert!(!replica.is_behind(), "all is shown");
    replica.check_invariants();
    assert_eq!(world.listed(1), world.listed(0));
}

/// Whoever joins a large mesh takes in one small map after another. While one waits to be shown, each key of the
/// others has to be looked up in it, too.
#[test]
fn small_maps_never_wait_to_be_shown() {
    const NODES: usize = 12;
    let mut world = World::new(NODES, 5);
    world.slice = Some(4);
    for other in 1..NODES {
        world.cut(0, other);
        let all = (0..5).map(|n| (device(&format!("SIP/{other}-{n}")), Some(InUse.into())));
        world.write(other, all.collect()).expect("a write");
    }
    world.run_for(3_000);
    assert_eq!(world.listed(0).len(), 0);
    world.mend();
    run_until(&mut world, |world| {
        assert_eq!(world.replica(0).statistics().queues["keys"], 0);
        world.listed(0).len() == 5 * (NODES - 1)
    });
    world.run_until_agreed(LIMIT_MS);
    assert_eq!(world.listed(0), world.listed(1));
}
