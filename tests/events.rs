//! Passing events among replicas in virtual time: at most once, in order, nothing lost without a word.

#[allow(dead_code)]
#[path = "support/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use presence_mesh::crdt::Hlc;
use presence_mesh::model::{Incarnation, ReplicaId};
use presence_mesh::proto::{Config, Input, Now, Output, PublishError, Replica, SubscriptionId};
use presence_mesh::wire::{BatchedEvent, EventBatch, Frame, Header, Kind, MeshId};
use presence_mesh::{
    Event, EventItem, Filter, Gap, Identity, Limits, Merge, MeshKey, Preset, Test,
};
use world::World;

fn publish(world: &mut World, node: usize, n: u64) -> u64 {
    let event = Event::new("call.parked").with("n", n);
    world
        .with(node, |replica, now| replica.publish_event(event, now))
        .expect("published")
}

fn publish_all(world: &mut World, node: usize, numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        publish(world, node, n);
    }
}

fn subscribe(world: &mut World, node: usize, filter: Filter) -> SubscriptionId {
    world
        .with(node, |replica, now| replica.subscribe(filter, now))
        .expect("there is room")
}

fn take(world: &mut World, node: usize, id: SubscriptionId) -> Vec<EventItem> {
    world.with(node, |replica, _| {
        std::iter::from_fn(|| replica.poll_event(id)).collect()
    })
}

/// What the events said, gaps as their bounds negated.
fn numbers(items: &[EventItem]) -> Vec<i64> {
    let all = items.iter().flat_map(|item| match item {
        EventItem::Event(event) => vec![event.get("n").and_then(|n| n.as_i64()).expect("a number")],
        EventItem::Gap(Gap::Lost { first, last, .. }) => [first, last]
            .map(|n| -i64::try_from(*n).expect("small"))
            .to_vec(),
        other => panic!("{other:?}"),
    });
    all.collect()
}

fn dropped(world: &World, node: usize, reason: &str) -> u64 {
    let counters = world.replica(node).counters();
    counters
        .events_dropped
        .get(reason)
        .copied()
        .unwrap_or_default()
}

/// A world whose nodes remember events for so long, and know each other.
fn remembering(nodes: usize, seed: u64, remember: Duration) -> World {
    let mut world = World::new(0, seed);
    world.timing.remember = remember;
    (0..nodes).for_each(|_| world.add());
    world.run_for(3_000);
    world
}

#[test]
fn an_event_reaches_those_who_want_it_once() {
    let mut world = World::new(3, 1);
    world.run_for(200);
    let wanted = subscribe(
        &mut world,
        1,
        Filter::kind("call.*").field("n", Test::Ge(2.into())),
    );
    let other = subscribe(&mut world, 1, Filter::kind("mwi"));
    let own = subscribe(&mut world, 0, Filter::everything());
    assert_eq!(
        (1..=3)
            .map(|n| publish(&mut world, 0, n))
            .collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(numbers(&take(&mut world, 0, own)), [1, 2, 3], "at once");
    world.run_for(50);
    let items = take(&mut world, 1, wanted);
    assert_eq!(numbers(&items), [2, 3]);
    let EventItem::Event(event) = &items[0] else {
        panic!("{items:?}")
    };
    assert_eq!((event.replica, event.seq), (world.id(0), 2));
    assert_eq!((&*event.node, event.kind()), ("n0", "call.parked"));
    assert!(event.event.ttl().is_some());
    assert_eq!(take(&mut world, 1, other), []);
    world.run_for(20_000);
    assert_eq!(take(&mut world, 1, wanted), [], "nothing comes twice");
    world.with(1, |replica, _| replica.unsubscribe(wanted));
    publish(&mut world, 0, 4);
    world.run_for(50);
    assert_eq!(take(&mut world, 1, wanted), []);
}

/// All that is published before the driver looks goes into one frame, and events are no state.
#[test]
fn a_burst_is_one_frame_and_leaves_the_store_alone() {
    let mut world = World::new(2, 1);
    world.run_for(5_000);
    let (frames, digest) = (world.frames_sent, world.replica(0).digest());
    world.with(0, |replica, now| {
        for n in 0..50 {
            let event = Event::new("burst").with("n", n);
            replica.publish_event(event, now).expect("published");
        }
    });
    assert_eq!(world.frames_sent, frames + 1);
    assert_eq!(world.replica(0).digest(), digest);
    let long = "x".repeat(4_000);
    world.with(0, |replica, now| {
        for _ in 0..12 {
            let event = Event::new("big").with("text", long.as_str());
            replica.publish_event(event, now).expect("published");
        }
    });
    assert_eq!(
        world.frames_sent,
        frames + 1 + 4,
        "three of 4 kB fit a frame"
    );
}

/// Without a memory, what is lost is lost, and said to be, in its place.
#[test]
fn what_a_cut_swallows_is_reported_in_its_place() {
    let mut world = World::new(2, 3);
    world.run_for(3_000);
    let id = subscribe(&mut world, 1, Filter::everything());
    publish(&mut world, 0, 1);
    world.run_for(100);
    world.cut(0, 1);
    publish_all(&mut world, 0, 2..=4);
    world.run_for(500);
    world.mend();
    publish(&mut world, 0, 5);
    world.run_for(3_000);
    assert_eq!(numbers(&take(&mut world, 1, id)), [1, -2, -4, 5]);
    assert_eq!(world.replica(1).counters().events_lost, 3);
}

/// The last events before a silence have no later ones to show that they are missing; beats do.
#[test]
fn a_lost_last_event_is_reported() {
    let mut world = World::new(2, 3);
    world.run_for(3_000);
    let id = subscribe(&mut world, 1, Filter::everything());
    world.loss_percent = 100;
    publish(&mut world, 0, 1);
    world.loss_percent = 0;
    world.run_for(4_000);
    assert_eq!(numbers(&take(&mut world, 1, id)), [-1, -1]);
}

/// Loss, delay and reordering: every subscriber sees each origin's numbers rise, each once, and what is
/// missing covered by gaps, exactly.
#[test]
fn loss_and_reordering_leave_order_and_honest_gaps() {
    for seed in 0..20 {
        let mut world = World::new(3, seed);
        world.run_for(3_000);
        world.loss_percent = 30;
        world.delay_ms = (1, 200);
        let ids: Vec<_> = (0..3)
            .map(|node| subscribe(&mut world, node, Filter::everything()))
            .collect();
        for n in 0..100 {
            let node = usize::try_from(world.draw() % 3).expect("small");
            publish(&mut world, node, n);
            world.run_for(30);
        }
        world.loss_percent = 0;
        world.run_for(5_000);
        for (node, id) in ids.into_iter().enumerate() {
            let mut next: BTreeMap<ReplicaId, u64> = BTreeMap::new();
            for item in take(&mut world, node, id) {
                let (replica, first, last) = match item {
                    EventItem::Event(event) => (event.replica, event.seq, event.seq),
                    EventItem::Gap(Gap::Lost {
                        replica,
                        first,
                        last,
                        ..
                    }) => (replica, first, last),
                    other => panic!("{other:?}"),
                };
                let expected = next.entry(replica).or_insert(1);
                assert_eq!(first, *expected, "seed {seed}, node {node}");
                *expected = last + 1;
            }
            let heard: u64 = next.values().map(|next| next - 1).sum();
            assert_eq!(heard, 100, "seed {seed}, node {node}: all is accounted for");
        }
    }
}

#[test]
fn who_was_cut_off_gets_what_is_remembered_once_and_in_order() {
    for seed in 0..10 {
        let mut world = remembering(3, seed, Duration::from_secs(60));
        let ids: Vec<_> = (0..3)
            .map(|node| subscribe(&mut world, node, Filter::everything()))
            .collect();
        publish(&mut world, 0, 1);
        world.run_for(100);
        world.cut(0, 2);
        world.cut(1, 2);
        for n in 2..=40 {
            publish(&mut world, 0, n);
            world.run_for(100);
        }
        publish(&mut world, 2, 100);
        world.mend();
        publish(&mut world, 0, 41);
        world.run_for(5_000);
        let expected: Vec<i64> = (1..=41).collect();
        for (node, id) in ids.into_iter().enumerate() {
            let items = take(&mut world, node, id);
            let of = |origin: ReplicaId| -> Vec<EventItem> {
                let by = |item: &&EventItem| matches!(item, EventItem::Event(event) if event.replica == origin);
                items.iter().filter(by).cloned().collect()
            };
            assert_eq!(
                numbers(&of(world.id(0))),
                expected,
                "seed {seed}, node {node}"
            );
            assert_eq!(numbers(&of(world.id(2))), [100], "seed {seed}, node {node}");
            assert_eq!(items.len(), 42, "no gaps: {items:?}");
        }
    }
}

/// The origin is dead; a third node remembers. A reader that joins late asks for what was before it, or not.
#[test]
fn a_late_joiner_gets_what_others_remember_if_it_wants_it() {
    let mut world = remembering(2, 5, Duration::from_secs(60));
    publish_all(&mut world, 0, 1..=30);
    world.run_for(200);
    world.crash(0);
    world.add();
    let all = subscribe(&mut world, 2, Filter::kind("call.*").remembered());
    let new = subscribe(&mut world, 2, Filter::kind("call.*"));
    world.run_for(2_000);
    publish(&mut world, 1, 31);
    world.run_for(4_000);
    assert_eq!(
        numbers(&take(&mut world, 2, all)),
        (1..=31).collect::<Vec<_>>()
    );
    assert_eq!(numbers(&take(&mut world, 2, new)), [31]);
    // Later still, from this node's own memory.
    let later = subscribe(&mut world, 2, Filter::kind("call.*").remembered());
    assert_eq!(numbers(&take(&mut world, 2, later)).len(), 31);
}

/// Who joins is told who published what it missed, by name: what nodes are called is state, and comes before.
#[test]
fn a_late_joiner_knows_the_names_of_those_whose_events_it_missed() {
    for seed in 0..20 {
        let mut world = remembering(3, seed, Duration::from_secs(60));
        for n in 1..=20 {
            publish(&mut world, usize::try_from(n % 2).expect("0 or 1"), n);
        }
        world.run_for(200);
        if seed % 2 == 0 {
            world.crash(0);
        }
        world.add();
        let all = subscribe(&mut world, 3, Filter::everything().remembered());
        world.run_for(5_000);
        let items = take(&mut world, 3, all);
        let mut heard = numbers(&items);
        heard.sort_unstable();
        assert_eq!(heard, (1..=20).collect::<Vec<_>>(), "seed {seed}");
        for item in &items {
            if let EventItem::Event(event) = item {
                let publisher = (0..2).find(|node| world.id(*node) == event.replica);
                let name = publisher.map(|node| format!("n{node}"));
                assert_eq!(name.as_deref(), Some(&*event.node), "seed {seed}");
            }
        }
    }
}

#[test]
fn with_a_memory_loss_is_repaired() {
    for seed in 0..20 {
        let mut world = remembering(3, seed, Duration::from_secs(60));
        let ids: Vec<_> = (0..3)
            .map(|node| subscribe(&mut world, node, Filter::everything()))
            .collect();
        world.loss_percent = 30;
        world.delay_ms = (1, 100);
        for n in 1..=60 {
            publish(&mut world, 0, n);
            world.run_for(40);
        }
        world.loss_percent = 0;
        // A question that was lost again and again is put again after ten seconds at most.
        world.run_for(11_000);
        for (node, id) in ids.into_iter().enumerate() {
            let items = take(&mut world, node, id);
            assert_eq!(
                numbers(&items),
                (1..=60).collect::<Vec<_>>(),
                "seed {seed}, node {node}"
            );
        }
    }
}

/// What is older than the memory is gone, and said to be missing.
#[test]
fn the_memory_is_short() {
    let mut world = remembering(2, 7, Duration::from_secs(5));
    let id = subscribe(&mut world, 1, Filter::everything());
    publish(&mut world, 0, 1);
    world.run_for(100);
    world.cut(0, 1);
    publish_all(&mut world, 0, 2..=5);
    world.run_for(6_000);
    publish(&mut world, 0, 6);
    world.mend();
    world.run_for(5_000);
    assert_eq!(numbers(&take(&mut world, 1, id)), [1, -2, -5, 6]);
}

#[test]
fn the_memory_is_bounded_and_forgets_the_oldest() {
    let mut world = World::new(0, 1);
    world.timing.remember = Duration::from_secs(600);
    world.limits.remembered_events = 20;
    (0..2).for_each(|_| world.add());
    world.run_for(1_000);
    for n in 1..=100 {
        publish(&mut world, 0, n);
        world.run_for(10);
    }
    let id = subscribe(&mut world, 1, Filter::everything().remembered());
    assert_eq!(
        numbers(&take(&mut world, 1, id)),
        (81..=100).collect::<Vec<_>>()
    );
}

/// A stalled link releases an event late: it is not worth delivering any more. Not the wall clock decides.
#[test]
fn an_expired_event_is_dropped() {
    let mut world = World::new(2, 1);
    world.set_clock_off(0, -3_600_000);
    world.run_for(3_000);
    let id = subscribe(&mut world, 1, Filter::everything());
    let event = |n: u64, ttl| {
        Event::new("x")
            .with("n", n)
            .time_to_live(Duration::from_millis(ttl))
    };
    for (n, ttl, delay) in [(1, 500, 300), (2, 500, 800), (3, 2_000, 800)] {
        world.delay_ms = (delay, delay);
        let event = event(n, ttl);
        world
            .with(0, |replica, now| replica.publish_event(event, now))
            .expect("published");
        world.delay_ms = (1, 5);
        world.run_for(1_000);
    }
    assert_eq!(
        numbers(&take(&mut world, 1, id)),
        [1, 3],
        "neither delivered nor a gap"
    );
    assert_eq!(dropped(&world, 1, "expired"), 1);
}

#[test]
fn a_slow_subscriber_loses_the_oldest_and_is_told() {
    let mut world = World::new(0, 1);
    world.limits.event_queue = 10;
    world.add();
    let id = subscribe(&mut world, 0, Filter::everything());
    publish_all(&mut world, 0, 1..=25);
    let items = take(&mut world, 0, id);
    assert_eq!(items[0], EventItem::Gap(Gap::Slow { dropped: 15 }));
    assert_eq!(numbers(&items[1..]), (16..=25).collect::<Vec<_>>());
}

/// Nobody takes the frames; the publisher is never blocked.
#[test]
fn a_publisher_without_a_network_drops_its_oldest() {
    let mut world = World::new(0, 1);
    world.limits.outgoing_events = 10;
    (0..2).for_each(|_| world.add());
    world.run_for(3_000);
    let id = subscribe(&mut world, 1, Filter::everything());
    world.with(0, |replica, now| {
        for n in 1..=25 {
            let event = Event::new("x").with("n", n);
            replica.publish_event(event, now).expect("published");
        }
    });
    world.run_for(3_000);
    let expected: Vec<i64> = [-1, -15].into_iter().chain(16..=25).collect();
    assert_eq!(numbers(&take(&mut world, 1, id)), expected);
    assert_eq!(dropped(&world, 0, "outgoing"), 15);
}

/// 10,000 subscriptions to other kinds, whole ones and globs, cost an event nothing.
#[test]
fn kinds_that_do_not_match_are_not_evaluated() {
    let mut world = World::new(1, 1);
    for n in 0..5_000 {
        subscribe(&mut world, 0, Filter::kind(format!("other.{n}")));
        subscribe(&mut world, 0, Filter::kind(format!("other{n}.*")));
    }
    subscribe(&mut world, 0, Filter::kind("call.*"));
    let before = world.replica(0).event_evaluations();
    publish(&mut world, 0, 1);
    assert_eq!(world.replica(0).event_evaluations() - before, 1);
}

#[test]
fn a_restarted_origin_begins_at_one_and_its_old_frames_are_dropped() {
    let mut world = remembering(2, 9, Duration::from_secs(60));
    let id = subscribe(&mut world, 1, Filter::everything());
    publish_all(&mut world, 0, 1..=3);
    world.run_for(100);
    world.crash(0);
    world.run_for(1_000);
    world.start(0);
    world.run_for(1_000);
    assert_eq!(publish(&mut world, 0, 10), 1);
    world.run_for(1_000);
    assert_eq!(numbers(&take(&mut world, 1, id)), [1, 2, 3, 10]);
}

#[test]
fn who_has_left_publishes_nothing() {
    let mut world = World::new(2, 1);
    world.run_for(3_000);
    let id = subscribe(&mut world, 1, Filter::everything());
    let event = Event::new("x").with("n", 1);
    world.with(0, |replica, now| {
        replica
            .publish_event(event.clone(), now)
            .expect("published");
        replica.leave(now);
        assert_eq!(
            replica.publish_event(event, now),
            Err(PublishError::Stopped)
        );
    });
    world.run_for(100);
    assert_eq!(
        numbers(&take(&mut world, 1, id)),
        [1],
        "what was said before the goodbye arrives"
    );
}

// Frames made by hand.

fn mesh() -> MeshId {
    MeshId::derive(&MeshKey::from_bytes([9; 32]), "world")
}

fn at(ms: u64) -> Now {
    Now {
        mono: Duration::from_millis(ms),
        wall_ms: world::EPOCH_MS + ms,
    }
}

fn reader(limits: Limits) -> Replica {
    let config = Config {
        mesh: mesh(),
        node: "reader".into(),
        version: "test".into(),
        timing: Preset::Lan.timing(),
        limits,
        mailboxes: Merge::Latest,
        incarnation_floor: Incarnation::default(),
        hlc_floor: Hlc::ZERO,
        seed: 1,
    };
    let mut replica = Replica::new(config, Identity::from_bytes([1; 32]), at(0));
    while replica.poll_output().is_some() {}
    replica
}

/// The `number`th frame of a life, with events numbered from `first`.
fn frame(life: u64, number: u64, first: u64, count: u64) -> Frame {
    let origin = Identity::from_bytes([2; 32]);
    let events = (first..first + count).map(|n| BatchedEvent {
        event: Event::new("x")
            .with("n", n)
            .time_to_live(Duration::from_secs(60)),
        at_ms: world::EPOCH_MS,
        waited_ms: 0,
    });
    let header = Header {
        replica: origin.replica(),
        incarnation: Incarnation(life),
        head: 0,
        events: first + count - 1,
        frame: number,
        up_ms: number,
        beat_ms: 1_000,
        settled: None,
        kind: Kind::Events,
    };
    let (_, bytes) = Frame::sign_events(&origin, mesh(), header, EventBatch::new(first, events));
    Frame::decode(&bytes, &mesh()).expect("genuine")
}

fn feed(replica: &mut Replica, frame: Frame, ms: u64) {
    let from = frame.header().replica;
    replica.handle(Input::Frame { from, frame }, at(ms));
    while replica
        .poll_output()
        .is_some_and(|output| !matches!(output, Output::Report(_)))
    {}
    replica.check_invariants();
}

fn polled(replica: &mut Replica, id: SubscriptionId) -> Vec<i64> {
    numbers(&std::iter::from_fn(|| replica.poll_event(id)).collect::<Vec<_>>())
}

#[test]
fn frames_put_in_order_arrive_once() {
    let mut replica = reader(Limits::default());
    let id = replica
        .subscribe(Filter::everything(), at(10))
        .expect("there is room");
    for (number, first) in [(1, 1), (3, 5), (2, 3), (3, 5), (1, 1)] {
        feed(&mut replica, frame(1, number, first, 2), 100);
    }
    assert_eq!(polled(&mut replica, id), [1, 2, 3, 4, 5, 6]);
    assert_eq!(replica.counters().events_dropped["old"], 4);
}

#[test]
fn a_frame_of_an_earlier_life_is_dropped() {
    let mut replica = reader(Limits::default());
    let id = replica
        .subscribe(Filter::everything(), at(10))
        .expect("there is room");
    feed(&mut replica, frame(2, 1, 1, 1), 100);
    feed(&mut replica, frame(1, 7, 2, 1), 110);
    assert_eq!(polled(&mut replica, id), [1]);
    assert_eq!(replica.counters().events_dropped["life"], 1);
}

/// A new life does not wait for what is missing of the old one.
#[test]
fn a_new_life_ends_the_wait_for_the_old_one() {
    let mut replica = reader(Limits::default());
    let id = replica
        .subscribe(Filter::everything(), at(10))
        .expect("there is room");
    feed(&mut replica, frame(1, 1, 1, 1), 100);
    feed(&mut replica, frame(1, 3, 3, 1), 110);
    assert_eq!(polled(&mut replica, id), [1], "2 may still come");
    feed(&mut replica, frame(2, 1, 1, 1), 120);
    assert_eq!(polled(&mut replica, id), [-2, -2, 3, 1]);
}

/// Whoever signs frames with holes in them makes nobody hold back more than the bound.
#[test]
fn what_is_held_back_is_bounded() {
    let mut limits = Limits::default();
    limits.held_event_frames = 4;
    let mut replica = reader(limits);
    let id = replica
        .subscribe(Filter::everything(), at(10))
        .expect("there is room");
    feed(&mut replica, frame(1, 1, 1, 1), 100);
    for number in 2..10 {
        feed(&mut replica, frame(1, number, number * 2, 1), 100);
    }
    assert_eq!(polled(&mut replica, id)[..4], [1, -2, -3, 4]);
}

/// The event's signer is its origin: another's signature under it, or another body, is refused unread.
#[test]
fn events_cannot_be_forged() {
    let forger = Identity::from_bytes([3; 32]);
    let genuine = frame(1, 1, 1, 1);
    let event = BatchedEvent {
        event: Event::new("x")
            .with("n", 2)
            .time_to_live(Duration::from_secs(60)),
        at_ms: 0,
        waited_ms: 0,
    };
    let header = Header {
        replica: forger.replica(),
        ..genuine.header().clone()
    };
    let batch = EventBatch::new(1, [event]);
    let (_, forged) = Frame::sign_events(&forger, mesh(), header, batch);
    let position = forged
        .windows(32)
        .position(|window| window == forger.replica().public_key())
        .expect("it names its origin");
    let mut claimed = forged.to_vec();
    claimed[position..position + 32].copy_from_slice(genuine.header().replica.public_key());
    assert!(Frame::decode(&claimed, &mesh()).is_err());
}

/// Cuts, loss, restarts and bursts with a memory: no event twice, each origin's in order, and once the network
/// is mended everything that a living origin published in this life has come to everybody who was there.
#[test]
fn with_a_memory_every_event_of_a_living_origin_arrives() {
    for seed in 0..12 {
        let mut world = remembering(4, seed, Duration::from_secs(300));
        world.loss_percent = 10;
        world.delay_ms = (1, 80);
        // Node 3 comes and goes; the others subscribe for good.
        let ids: Vec<_> = (0..3)
            .map(|node| subscribe(&mut world, node, Filter::everything()))
            .collect();
        let mut published: BTreeMap<(ReplicaId, Incarnation), u64> = BTreeMap::new();
        for _ in 0..120 {
            let (a, b) = (world.draw() % 4, world.draw() % 4);
            let (a, b) = (
                usize::try_from(a).expect("small"),
                usize::try_from(b).expect("small"),
            );
            match world.draw() % 12 {
                0 if a != b => world.cut(a, b),
                1 => world.mend(),
                2 if world.up().contains(&3) => world.crash(3),
                3 if !world.up().contains(&3) => world.start(3),
                _ if world.up().contains(&a) => {
                    for n in 0..=world.draw() % 3 {
                        publish(&mut world, a, n);
                    }
                    let life = (world.id(a), world.replica(a).incarnation());
                    *published.entry(life).or_default() =
                        world.replica(a).counters().events_published;
                }
                _ => {}
            }
            world.run_for(150);
        }
        world.mend();
        world.loss_percent = 0;
        world.run_for(30_000);
        for (node, id) in ids.into_iter().enumerate() {
            let mut seen: BTreeMap<(ReplicaId, Incarnation), u64> = BTreeMap::new();
            for item in take(&mut world, node, id) {
                match item {
                    EventItem::Event(event) => {
                        let last = seen.entry((event.replica, event.incarnation)).or_default();
                        assert!(
                            event.seq > *last,
                            "seed {seed}, node {node}: {event:?} after {last}"
                        );
                        *last = event.seq;
                    }
                    EventItem::Gap(Gap::Lost { replica, .. }) => {
                        // Published during a cut that outlasts the patience, or by who died with them.
                        assert_ne!(replica, world.id(node), "its own are never missing");
                    }
                    other => panic!("{other:?}"),
                }
            }
            for origin in world.up() {
                let life = (world.id(origin), world.replica(origin).incarnation());
                let wanted = published.get(&life).copied().unwrap_or_default();
                let got = seen.get(&life).copied().unwrap_or_default();
                assert_eq!(
                    got, wanted,
                    "seed {seed}: node {node} has not all of node {origin}"
                );
            }
        }
    }
}
