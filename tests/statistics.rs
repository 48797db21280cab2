//! What a replica counts, in virtual time: exact, as every delay and every clock is chosen.

use std::time::Duration;

#[allow(dead_code, reason = "other tests use the rest of it")]
#[path = "support/world.rs"]
mod world;

use presence_mesh::DeviceState::{InUse, Ringing};
use presence_mesh::Freshness::{Gone, Live, Stale};
use presence_mesh::crdt::Hlc;
use presence_mesh::model::{Incarnation, Source};
use presence_mesh::proto::{Config, Input, Now, Output, Replica, Write};
use presence_mesh::wire::{Frame, MeshId};
use presence_mesh::{
    Identity, Limits, Merge, MeshKey, Preset, ReplicaStatistics, SpaceId, Standing,
};
use world::World;

fn of(world: &World, node: usize) -> ReplicaStatistics {
    world.replica(node).statistics()
}

/// How many writes of others came to `node`, and how many ms they took together.
fn propagation(world: &World, node: usize) -> (u64, u128) {
    let propagation = of(world, node).counters.propagation;
    (propagation.count(), propagation.sum().as_millis())
}

#[test]
fn propagation_is_the_way_from_a_write_to_where_it_is_shown() {
    let mut world = World::new(2, 1);
    world.delay_ms = (40, 40);
    world.run_for(500);
    let (count, sum) = propagation(&world, 1);
    world.set(0, "PJSIP/100", Ringing);
    world.run_for(500);
    let (after, took) = propagation(&world, 1);
    assert_eq!(after - count, 1);
    assert!((40..60).contains(&(took - sum)), "{took} {sum}");
}

/// The writer's clock is three seconds ahead: that is not how long it took.
#[test]
fn propagation_is_corrected_by_the_skew_of_the_clocks() {
    let mut world = World::new(2, 2);
    world.delay_ms = (40, 40);
    world.set_clock_off(0, -3_000);
    world.run_for(30_000);
    let (count, sum) = propagation(&world, 1);
    world.set(0, "PJSIP/100", Ringing);
    world.run_for(500);
    let (after, took) = propagation(&world, 1);
    assert_eq!(after - count, 1);
    assert!(took - sum < 200, "{}", took - sum);
    let skew = of(&world, 1).clock_skew.as_millis();
    assert!((2_900..3_100).contains(&skew), "{skew}");
}

#[test]
fn what_a_newcomer_is_told_of_the_past_is_no_news_and_what_a_cut_held_up_is() {
    let mut world = World::new(3, 3);
    world.run_for(500);
    world.crash(2);
    world.lose_disk(2);
    for number in 0..20 {
        world.set(0, &format!("PJSIP/{number}"), InUse);
    }
    world.run_for(60_000);
    world.start(2);
    world.run_until_agreed(10_000);
    assert!(of(&world, 2).counters.remote_applied.get(SpaceId::DEVICES) >= 20);
    let (_, took) = propagation(&world, 2);
    assert!(
        took < 5_000,
        "20 lamps of a minute ago were no news: {took}"
    );

    let (_, before) = propagation(&world, 1);
    world.cut(0, 1);
    world.cut(0, 2);
    world.run_for(100);
    world.set(0, "PJSIP/0", Ringing);
    world.run_for(8_000);
    world.mend();
    world.run_until_agreed(20_000);
    let (_, after) = propagation(&world, 1);
    assert!(
        (8_000..28_000).contains(&(after - before)),
        "{before} {after}"
    );
}

#[test]
fn writes_are_counted_by_space() {
    let mut world = World::new(2, 4);
    world.run_for(500);
    world.set(0, "PJSIP/1", InUse);
    world.set(0, "PJSIP/1", InUse);
    world.clear(0, "PJSIP/1");
    world.set_counts(0, "100@default", 3);
    world.run_for(500);
    let own = of(&world, 0).counters.local_writes_in;
    assert_eq!(
        own.get(SpaceId::DEVICES),
        2,
        "what is said already is no write"
    );
    assert_eq!(own.get(SpaceId::MAILBOXES), 1);
    assert_eq!(own.get(SpaceId::NODES), 0);
    let others = of(&world, 1).counters;
    assert_eq!(others.remote_applied.get(SpaceId::DEVICES), 2);
    assert_eq!(others.remote_applied.get(SpaceId::MAILBOXES), 1);
    assert_eq!(others.remote_rejected.get(SpaceId::DEVICES), 0);
}

/// A limit that is reached is seen by space.
#[test]
fn what_a_limit_keeps_out_is_rejected() {
    let mut world = World::new(2, 5);
    world.run_for(500);
    world.crash(1);
    world.limits.entries_per_origin = 4;
    world.start(1);
    for number in 0..10 {
        world.set(0, &format!("PJSIP/{number}"), InUse);
    }
    world.run_for(5_000);
    let counters = of(&world, 1).counters;
    assert!(counters.remote_rejected.get(SpaceId::DEVICES) > 0);
    assert!(counters.rejected["entries"] > 0);
}

#[test]
fn entries_and_peers_move_with_freshness() {
    let mut world = World::new(2, 6);
    world.run_for(500);
    world.set(0, "PJSIP/1", InUse);
    world.set_counts(0, "100@default", 3);
    world.run_for(500);
    let entries = |world: &World, space| {
        let statistics = of(world, 1);
        [Live, Stale, Gone].map(|freshness| statistics.entries[&(space, freshness)])
    };
    let peers = |world: &World| {
        let statistics = of(world, 1);
        [Standing::Alive, Standing::Suspect, Standing::Gone]
            .map(|standing| statistics.peers[&standing])
    };
    assert_eq!(entries(&world, SpaceId::DEVICES), [1, 0, 0]);
    assert_eq!(peers(&world), [1, 0, 0]);
    let timing = world.timing.clone();
    world.crash(0);
    let ms = |span: std::time::Duration| u64::try_from(span.as_millis()).expect("small");
    world.run_for(ms(timing.stale_after) + 2_000);
    assert_eq!(entries(&world, SpaceId::DEVICES), [0, 1, 0]);
    assert_eq!(entries(&world, SpaceId::MAILBOXES), [0, 1, 0]);
    assert_eq!(peers(&world), [0, 1, 0]);
    world.run_for(ms(timing.gone_after));
    assert_eq!(entries(&world, SpaceId::DEVICES), [0, 0, 1]);
    assert_eq!(
        entries(&world, SpaceId::MAILBOXES),
        [0, 1, 0],
        "kept, and flagged"
    );
    assert_eq!(peers(&world), [0, 0, 1]);
    assert_eq!(of(&world, 1).peers_left, 0);
    world.start(0);
    world.run_until_agreed(10_000);
    world.leave(0);
    world.run_for(1_000);
    assert_eq!(peers(&world), [0, 0, 1]);
    assert_eq!(of(&world, 1).peers_left, 1);
    assert_eq!(entries(&world, SpaceId::PRESENCE), [0, 0, 0]);
}

/// Gossip and an answer may bring the same: the second is looked at no further.
#[test]
fn what_came_before_is_old() {
    let mesh = MeshId::derive(&MeshKey::from_bytes([9; 32]), "world");
    let now = |mono_ms| Now {
        mono: Duration::from_millis(mono_ms),
        wall_ms: world::EPOCH_MS + mono_ms,
    };
    let replica = |seed: u8| {
        let config = Config {
            mesh,
            node: format!("n{seed}"),
            version: "test".into(),
            timing: Preset::Lan.timing(),
            limits: Limits::default(),
            mailboxes: Merge::Latest,
            incarnation_floor: Incarnation::default(),
            hlc_floor: Hlc::ZERO,
            seed: seed.into(),
        };
        Replica::new(config, Identity::from_bytes([seed; 32]), now(0))
    };
    let (mut berlin, mut paris) = (replica(1), replica(2));
    let api = Write {
        source: Source::API,
        restate: false,
    };
    let write = vec![(world::device("PJSIP/1"), Some(InUse.into()))];
    berlin.write(write, api, now(1_000)).expect("a write");
    let mut frames = Vec::new();
    while let Some(output) = berlin.poll_output() {
        if let Output::Publish { frame } = output {
            frames.push(Frame::decode(&frame.sign(), &mesh).expect("our own"));
        }
    }
    for round in 1..=2 {
        for frame in frames.clone() {
            let from = berlin.id();
            paris.handle(Input::Frame { from, frame }, now(1_000));
        }
        let counters = paris.statistics().counters;
        assert_eq!(counters.remote_applied.get(SpaceId::DEVICES), 1);
        assert_eq!(counters.remote_old.get(SpaceId::DEVICES), round - 1);
    }
}
