//! Replicas in virtual time: convergence, liveness and lives, with the invariants checked at every step.

#[allow(dead_code, reason = "other tests use the rest of it")]
#[path = "support/world.rs"]
mod world;

use presence_mesh::DeviceState::{self, InUse, NotInUse, Ringing, Unavailable};
use presence_mesh::Freshness::{Gone, Live, Stale};
use presence_mesh::model::Source;
use presence_mesh::proto::{Report, Write};
use presence_mesh::{MessageCounts, WriteError};
use world::{World, device, mailbox};

#[test]
fn a_write_is_seen_everywhere() {
    let mut world = World::new(3, 1);
    world.run_for(200);
    world.set(0, "PJSIP/100", Ringing);
    world.run_for(20);
    for node in 0..3 {
        assert_eq!(
            world.shown(node, "PJSIP/100"),
            Some((Ringing, Live)),
            "node {node}"
        );
    }
    world.clear(0, "PJSIP/100");
    world.run_for(20);
    assert_eq!(world.shown(2, "PJSIP/100"), None);
    assert!(world.agree());
}

#[test]
fn loss_reordering_and_churn_end_in_agreement() {
    for seed in 0..30 {
        let mut world = World::new(4, seed);
        world.loss_percent = 40;
        world.delay_ms = (1, 300);
        world.limits.pending_ranges = 3;
        world.limits.part_bytes = 500;
        for round in 0..80 {
            let node = usize::try_from(world.draw() % 4).expect("small");
            let name = format!("PJSIP/{}", world.draw() % 12);
            match world.draw() % 12 {
                0 if world.up().len() > 2 && world.up().contains(&node) => world.crash(node),
                1 | 2 if !world.up().contains(&node) => world.start(node),
                3 => world.cut(node, (node + 1) % 4),
                4 => world.mend(),
                5 | 6 if world.up().contains(&node) => world.clear(node, &name),
                _ if world.up().contains(&node) => {
                    let state = DeviceState::ALL[usize::try_from(world.draw() % 9).expect("small")];
                    let many = (0..world.draw() % 4)
                        .map(|n| (device(&format!("many/{n}")), Some(state.into())));
                    let mut all: Vec<_> = many.collect();
                    all.push((device(&name), Some(state.into())));
                    world.write(node, all).expect("a write");
                }
                _ => {}
            }
            for _ in 0..if round % 10 == 0 { 70 } else { 1 } {
                world.run_for(if round % 10 == 0 { 1_000 } else { 150 });
                world.check_lamps();
            }
        }
        world.mend();
        (0..4).for_each(|node| {
            if !world.up().contains(&node) {
                world.start(node);
            }
        });
        world.loss_percent = 0;
        world.run_until_agreed(60_000);
        world.run_for(5_000);
        let first = world.listed(0);
        (1..4).for_each(|node| assert_eq!(world.listed(node), first, "seed {seed}, node {node}"));
    }
}

#[test]
fn a_dead_origin_goes_stale_then_gone_and_its_counts_stay() {
    let mut world = World::new(3, 2);
    world.run_for(500);
    world.set(0, "PJSIP/100", InUse);
    world.set_counts(0, "100@default", 3);
    world.run_for(1_000);
    world.crash(0);
    world.run_for(4_000);
    assert_eq!(world.shown(1, "PJSIP/100"), Some((InUse, Stale)));
    world.run_for(7_000);
    assert_eq!(world.shown(1, "PJSIP/100"), Some((Unavailable, Gone)));
    assert_eq!(world.shown_counts(1, "100@default"), Some((3, Stale)));
}

#[test]
fn a_leave_is_seen_at_once() {
    let mut world = World::new(3, 3);
    world.run_for(500);
    world.set(0, "PJSIP/100", InUse);
    world.run_for(50);
    world.leave(0);
    world.run_for(20);
    assert_eq!(world.shown(1, "PJSIP/100"), Some((Unavailable, Gone)));
    let refused = world.write(0, vec![(device("PJSIP/100"), None)]);
    assert_eq!(refused, Err(WriteError::Stopped));
}

/// Guards against believing an origin again before its news are here: the first beat after a heal renewed its
/// lease, and what it had said before the cut was shown live until the answer with the rest came.
#[test]
fn what_was_overwritten_during_a_cut_is_not_live_again_after_it() {
    for seed in 0..20 {
        let mut world = World::new(3, seed);
        world.delay_ms = (20, 60);
        world.run_for(500);
        world.set(0, "PJSIP/100", Ringing);
        world.run_for(500);
        world.cut(0, 1);
        world.cut(0, 2);
        world.set(0, "PJSIP/100", InUse);
        world.run_for(20_000);
        world.mend();
        for ms in 0..5_000 {
            world.run_for(1);
            for node in [1, 2] {
                let shown = world.shown(node, "PJSIP/100");
                assert_ne!(shown, Some((Ringing, Live)), "seed {seed}, {ms} ms");
            }
        }
        assert_eq!(world.shown(1, "PJSIP/100"), Some((InUse, Live)));
    }
}

#[test]
fn a_healed_cut_without_changes_sends_no_entry_again() {
    let mut world = World::new(3, 4);
    world.run_for(500);
    (0..3).for_each(|node| world.set(node, &format!("PJSIP/{node}"), InUse));
    world.run_for(5_000);
    let before: Vec<_> = (0..3)
        .map(|node| world.replica(node).counters().clone())
        .collect();
    world.cut(0, 2);
    world.cut(1, 2);
    world.run_for(60_000);
    assert_eq!(world.shown(0, "PJSIP/2"), Some((Unavailable, Gone)));
    world.mend();
    world.run_for(1_500);
    assert_eq!(world.shown(0, "PJSIP/2"), Some((InUse, Live)));
    assert_eq!(world.shown(2, "PJSIP/0"), Some((InUse, Live)));
    for (node, before) in before.iter().enumerate() {
        let after = world.replica(node).counters();
        assert_eq!(
            (after.entries_served, after.entries_published),
            (before.entries_served, before.entries_published)
        );
    }
}

#[test]
fn both_sides_of_a_cut_keep_what_they_wrote_and_the_latest_count_wins() {
    let mut world = World::new(3, 5);
    world.run_for(500);
    world.cut(0, 2);
    world.cut(1, 2);
    world.set(0, "PJSIP/100", InUse);
    world.set_counts(0, "box@default", 1);
    world.run_for(20);
    world.set(2, "PJSIP/200", Ringing);
    world.set_counts(2, "box@default", 2);
    world.run_for(20_000);
    world.mend();
    world.run_until_agreed(3_000);
    world.run_for(1_500);
    for node in 0..3 {
        assert_eq!(world.shown(node, "PJSIP/100"), Some((InUse, Live)));
        assert_eq!(world.shown(node, "PJSIP/200"), Some((Ringing, Live)));
        assert_eq!(world.shown_counts(node, "box@default"), Some((2, Live)));
    }
}

/// A restart over unchanged phones: what the earlier life said stays, stale, until said again.
#[test]
fn a_restart_does_not_blink_and_leaves_nothing_of_the_earlier_life() {
    let mut world = World::new(2, 6);
    world.run_for(500);
    world.set(0, "PJSIP/100", InUse);
    world.set(0, "PJSIP/101", InUse);
    world.run_for(1_000);
    world.crash(0);
    world.run_for(200);
    world.start(0);
    world.run_for(300);
    assert_eq!(
        world.shown(1, "PJSIP/100"),
        Some((InUse, Stale)),
        "not yet said again"
    );
    let now = world.now(1);
    let age = world
        .replica(1)
        .get(&device("PJSIP/100"), now)
        .expect("shown")
        .age
        .as_millis();
    assert!(
        (500..=1_600).contains(&age),
        "as old as the earlier life's last sign: {age} ms"
    );
    world.set(0, "PJSIP/100", InUse);
    world.run_for(100);
    assert_eq!(world.shown(1, "PJSIP/100"), Some((InUse, Live)));
    assert_eq!(world.shown(1, "PJSIP/101"), Some((InUse, Stale)));
    world.run_for(3_000);
    assert_eq!(
        world.shown(1, "PJSIP/101"),
        None,
        "not said again by the time it settled"
    );
    assert!(world.agree());
}

/// A lost disk and a clock set back: the peers remember a greater incarnation.
#[test]
fn a_life_begun_below_an_earlier_one_jumps_above_it() {
    let mut world = World::new(2, 7);
    world.run_for(500);
    world.set(0, "PJSIP/100", InUse);
    world.run_for(100);
    world.crash(0);
    world.lose_disk(0);
    world.set_clock_off(0, -3_600_000);
    world.start(0);
    world.set(0, "PJSIP/200", Ringing);
    world.run_for(3_000);
    assert!(
        world
            .reports(0)
            .iter()
            .any(|report| matches!(report, Report::Jumped { .. }))
    );
    world.run_until_agreed(5_000);
    assert_eq!(world.shown(1, "PJSIP/200"), Some((Ringing, Live)));
    assert_eq!(world.shown(1, "PJSIP/100"), None);
}

#[test]
fn a_joiner_never_shows_a_dead_origin_as_live() {
    let mut world = World::new(2, 8);
    world.run_for(500);
    world.set(0, "PJSIP/100", InUse);
    world.run_for(1_000);
    world.crash(0);
    world.run_for(5_000);
    world.add();
    for _ in 0..100 {
        world.run_for(10);
        assert_ne!(
            world.shown(2, "PJSIP/100").map(|(_, freshness)| freshness),
            Some(Live)
        );
    }
    assert_eq!(world.shown(2, "PJSIP/100"), Some((InUse, Stale)));
    world.run_for(6_000);
    assert_eq!(world.shown(2, "PJSIP/100"), Some((Unavailable, Gone)));
}

/// Far more than one frame or one part: travels by pages, and a `set_many` is seen whole or not at all.
#[test]
fn a_large_batch_is_seen_whole_or_not_at_all() {
    let mut world = World::new(2, 9);
    world.run_for(500);
    let all: Vec<_> = (0..20_000)
        .map(|n| (device(&format!("PJSIP/{n:05}")), Some(NotInUse.into())))
        .collect();
    world.write(0, all).expect("a write");
    let mut seen = 0;
    while seen == 0 {
        world.run_for(5);
        seen = world.listed(1).len();
    }
    assert_eq!(seen, 20_000);
    assert!(world.agree());
}

#[test]
fn who_was_away_while_tombstones_were_forgotten_gets_a_reset() {
    let mut world = World::new(3, 10);
    world.run_for(500);
    (0..50).for_each(|n| world.set(0, &format!("PJSIP/{n}"), InUse));
    world.run_for(500);
    world.cut(0, 2);
    world.cut(1, 2);
    (0..40).for_each(|n| world.clear(0, &format!("PJSIP/{n}")));
    world.run_for(120_000);
    assert!(world.replica(0).counters().tombstones_collected >= 40);
    world.mend();
    world.run_until_agreed(3_000);
    assert_eq!(world.replica(2).counters().resets_applied, 1);
    assert_eq!(world.listed(2).len(), 10);
}

#[test]
fn a_clock_from_the_future_neither_wins_nor_drags_others_along() {
    let mut world = World::new(3, 11);
    world.set_clock_off(2, 3_000_000);
    world.run_for(500);
    world.set_counts(0, "box@default", 1);
    world.run_for(100);
    let refused = world.write(
        2,
        vec![(
            mailbox("box@default"),
            Some(MessageCounts::new(9, 0).into()),
        )],
    );
    assert!(
        matches!(refused, Err(WriteError::ClockOff { .. })),
        "{refused:?}"
    );
    assert!(
        world
            .reports(2)
            .iter()
            .any(|report| matches!(report, Report::ClockOff { .. }))
    );
    world.set(2, "PJSIP/900", InUse);
    world.run_for(100);
    assert_eq!(
        world.shown(0, "PJSIP/900"),
        Some((InUse, Live)),
        "keys of one writer do not care"
    );
    let wall = world.now(0).wall_ms;
    assert!(world.replica(0).last_hlc().wall_ms() <= wall + 5_000);
}

/// What a PBX restates after its boot never beats what somebody wrote.
#[test]
fn restating_does_not_beat_a_write() {
    let mut world = World::new(2, 12);
    world.run_for(500);
    world.set_counts(0, "box@default", 5);
    world.run_for(100);
    let restated = vec![(
        mailbox("box@default"),
        Some(MessageCounts::new(0, 0).into()),
    )];
    world
        .write_as(
            1,
            restated,
            Write {
                source: Source::ASTERISK,
                restate: true,
            },
        )
        .expect("a write");
    world.run_for(100);
    assert_eq!(world.shown_counts(0, "box@default"), Some((5, Live)));
    let changed = vec![(
        mailbox("box@default"),
        Some(MessageCounts::new(1, 0).into()),
    )];
    world
        .write_as(
            1,
            changed,
            Write {
                source: Source::ASTERISK,
                restate: true,
            },
        )
        .expect("a write");
    world.run_for(100);
    assert_eq!(
        world.shown_counts(0, "box@default"),
        Some((1, Live)),
        "it differs from its own last value"
    );
}

#[test]
fn a_forgotten_origin_returns_only_by_its_own_voice() {
    let mut world = World::new(3, 13);
    world.timing.forget_after = std::time::Duration::from_secs(30);
    (0..3).for_each(|node| {
        world.crash(node);
        world.start(node);
    });
    world.run_for(500);
    world.set(0, "PJSIP/100", InUse);
    world.run_for(500);
    world.cut(0, 1);
    world.cut(0, 2);
    world.run_for(45_000);
    assert_eq!(world.shown(1, "PJSIP/100"), None, "forgotten");
    world.mend();
    world.run_until_agreed(5_000);
    world.run_for(1_500);
    assert_eq!(world.shown(1, "PJSIP/100"), Some((InUse, Live)));
}

#[test]
fn many_lives_leave_nothing_behind() {
    let mut world = World::new(2, 14);
    for _ in 0..200 {
        world.set(0, "PJSIP/100", InUse);
        world.run_for(30);
        world.crash(0);
        world.start(0);
    }
    world.run_for(5_000);
    assert_eq!(world.replica(1).maps().len(), 2);
    assert_eq!(world.listed(1).len(), 0);
}

/// As a virtual machine that is moved: what it believed when it stood still is no news to it when it goes on.
#[test]
fn a_node_that_stood_still_trusts_nobody_until_it_hears_them() {
    let mut world = World::new(2, 15);
    world.run_for(500);
    world.set(0, "PJSIP/100", InUse);
    world.set(1, "PJSIP/200", InUse);
    world.run_for(1_000);
    world.freeze(1);
    world.run_for(6_000);
    assert_eq!(world.shown(0, "PJSIP/200"), Some((InUse, Stale)));
    world.cut(0, 1);
    world.thaw(1);
    world.run_for(10);
    assert_eq!(world.shown(1, "PJSIP/100"), Some((InUse, Stale)));
    world.mend();
    world.run_for(3_000);
    assert_eq!(world.shown(1, "PJSIP/100"), Some((InUse, Live)));
    assert_eq!(world.shown(0, "PJSIP/200"), Some((InUse, Live)));
}
