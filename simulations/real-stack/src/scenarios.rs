//! What is done to the whole production stack.

use std::time::Duration;

use presence_mesh::Freshness;
use tokio::time::Instant;

use crate::outcome::Outcome;
use crate::world::World;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Twenty nodes fall into two halves, both of which go on working, until each has given the other up; then
/// all is mended. Then the same with nobody at the phones: a cut alone must change nothing in any store.
pub async fn split_heal(seed: u64) -> Outcome {
    let mut world = World::new(20, seed).await;
    let (small, large): (Vec<usize>, Vec<usize>) = (0..20).partition(|node| node % 3 == 0);
    world.cut(&small, &large);
    world.pass(s(5)).await;
    show(&mut world, &small, &large, Freshness::Stale);
    world.pass(s(10)).await;
    show(&mut world, &small, &large, Freshness::Gone);
    world.mend(&small, &large);
    let busy = world.agree("after the heal").await;

    let before = digests(&world);
    world.cut(&small, &large);
    world.rest(s(30)).await;
    let apart = digests(&world);
    world.mend(&small, &large);
    let idle = world.agree("after the idle heal").await;
    let after = digests(&world);
    let unchanged = before == apart && before == after;
    world.judge.outcome.demand(unchanged, || {
        "a cut without writes changed a store".to_owned()
    });
    took(&mut world, &[("the heal", busy), ("the idle heal", idle)]);
    world.end()
}

/// One node of ten is stalled, which no connection notices: for a while, and for so long that everybody gives
/// it up. Its frames of the meantime arrive when it is released.
pub async fn stall(seed: u64) -> Outcome {
    let mut world = World::new(10, seed).await;
    let mut agreed = Vec::new();
    for (what, span) in [("2 s", 2), ("8 s", 8), ("40 s", 40)] {
        let others = world.except(&[3]);
        world.stall(&[3], &others);
        world.pass(s(span)).await;
        if span == 8 {
            show(&mut world, &[3], &others, Freshness::Stale);
        }
        world.release(&[3], &others);
        agreed.push((what, world.agree("after the stall").await));
    }
    took(&mut world, &agreed);
    world.end()
}

/// A node is heard but hears nothing, then hears but is not heard.
pub async fn one_way(seed: u64) -> Outcome {
    let mut world = World::new(8, seed).await;
    let others = world.except(&[2]);
    world.stall_one_way(&others, &[2]);
    world.pass(s(8)).await;
    world.release_one_way(&others, &[2]);
    let deaf = world.agree("after a node was deaf").await;
    world.stall_one_way(&[2], &others);
    world.pass(s(8)).await;
    world.release_one_way(&[2], &others);
    let mute = world.agree("after a node was mute").await;
    took(&mut world, &[("deafness", deaf), ("muteness", mute)]);
    world.end()
}

/// A node is stalled and dies; then what it had sent arrives. Nobody may take it for alive.
pub async fn late_frames(seed: u64) -> Outcome {
    let mut world = World::new(5, seed).await;
    let others = world.except(&[4]);
    for silent in [1, 2, 3] {
        world.stall(&[4], &others);
        world.pass(s(silent)).await;
        world.lose_power(4).await;
        world.pass(s(4 - silent)).await;
        world.release(&[4], &others);
        world.pass(s(20)).await;
        for observer in others.clone() {
            let node = &world.nodes[observer];
            world.judge.demand_shown(node, &[4], Freshness::Gone);
        }
        world.start(4).await;
        world.agree("after the dead returned").await;
    }
    world.end()
}

/// A node goes down without a word and comes back with the same identity, after less than anybody noticed and
/// after more. In one half of the cases the others still hold its dead connections (rust-libp2p #5097).
pub async fn restart(seed: u64) -> Outcome {
    let mut world = World::new(5, seed).await;
    let mut agreed = Vec::new();
    for power in [true, false] {
        for (what, down_ms) in [
            ("100 ms", 100),
            ("1 s", 1_000),
            ("5 s", 5_000),
            ("60 s", 60_000),
        ] {
            if power {
                world.lose_power(2).await;
            } else {
                world.kill(2).await;
            }
            world.pass(Duration::from_millis(down_ms)).await;
            world.start(2).await;
            world.say(2);
            agreed.push((what, world.agree("after the restart").await));
            world.pass(s(3)).await;
        }
    }
    took(&mut world, &agreed);
    world.end()
}

/// One link after another comes and goes, faster than anybody gives up.
pub async fn flapping(seed: u64) -> Outcome {
    let mut world = World::new(8, seed).await;
    for _ in 0..60 {
        let one = world.random().index(8);
        let others = world.except(&[one]);
        world.cut(&[one], &others);
        let ms = 100 + world.random().below(1_500);
        world.pass(Duration::from_millis(ms)).await;
        world.mend(&[one], &others);
        let ms = world.random().below(500);
        world.pass(Duration::from_millis(ms)).await;
    }
    let agreed = world.agree("after the flapping").await;
    took(&mut world, &[("the flapping", agreed)]);
    world.end()
}

/// An hour of anything: cuts, stalls, power losses, each mended before the next.
pub async fn hour(seed: u64) -> Outcome {
    const NODES: usize = 6;
    let mut world = World::new(NODES, seed).await;
    let end = Instant::now() + s(3_600);
    let mut faults = 0;
    let mut longest = Duration::ZERO;
    while Instant::now() < end {
        let one = world.random().index(NODES);
        let two = (one + 1 + world.random().index(NODES - 1)) % NODES;
        let group = if world.random().below(2) == 0 {
            vec![one]
        } else {
            vec![one, two]
        };
        let others = world.except(&group);
        let span = Duration::from_millis(200 + world.random().below(25_000));
        match world.random().below(4) {
            0 => {
                world.cut(&group, &others);
                world.pass(span).await;
                world.mend(&group, &others);
            }
            1 => {
                world.stall(&group, &others);
                world.pass(span).await;
                world.release(&group, &others);
            }
            2 => {
                world.stall_one_way(&group, &others);
                world.pass(span).await;
                world.release_one_way(&group, &others);
            }
            _ => {
                world.lose_power(one).await;
                world.pass(span).await;
                world.start(one).await;
                world.say(one);
            }
        }
        faults += 1;
        longest = longest.max(world.agree("within the hour").await);
        let calm = Duration::from_millis(world.random().below(20_000));
        world.pass(calm).await;
    }
    world.judge.outcome.figure(format!(
        "{faults} faults, agreement at the latest after {longest:?}"
    ));
    world.end()
}

/// Demands that each of two groups shows the other's lamps so.
fn show(world: &mut World, group: &[usize], others: &[usize], wanted: Freshness) {
    for (observers, of) in [(group, others), (others, group)] {
        for &observer in observers {
            let node = &world.nodes[observer];
            world.judge.demand_shown(node, of, wanted);
        }
    }
}

fn digests(world: &World) -> Vec<presence_mesh::Digest> {
    let running = world.nodes.iter().filter_map(|node| node.mesh.as_ref());
    running.map(presence_mesh::Mesh::digest).collect()
}

fn took(world: &mut World, agreed: &[(&str, Duration)]) {
    let each: Vec<String> = agreed
        .iter()
        .map(|(what, time)| format!("{what} {:.2} s", time.as_secs_f64()))
        .collect();
    world
        .judge
        .outcome
        .figure(format!("agreement after {}", each.join(", ")));
}
