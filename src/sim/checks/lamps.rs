//! The lamp never lies.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::check::{Broken, Checker};
use super::super::scenario::Verb;
use super::super::world::{World, device};
use super::moments::name_of;
use crate::model::{Incarnation, Key, Policy, ReplicaId, SpaceId, Value};
use crate::proto::{Contribution, Freshness, Shown};

/// Lamp lie time is 0: nothing is shown live that its origin said in a life from which no news can have come
/// for longer than a lease and one propagation, nor what its origin overwrote that long ago; and nothing counts
/// in an aggregate after `gone_after`.
///
/// What news can have come: whoever is up has news of itself, and passes on all it has wherever messages pass.
#[derive(Debug, Default)]
pub struct Lamps {
    /// By reader: the newest news of a life that can have reached it.
    news: BTreeMap<usize, News>,
    /// What is on its way where messages are held, and arrives when they are released.
    held: BTreeMap<(usize, usize), News>,
    /// The life of each clone that has found its original's disk, and so its news.
    cloned: BTreeMap<usize, u32>,
    /// When each reader started or woke.
    awake: BTreeMap<usize, (u32, u64)>,
    worst_us: u64,
}

/// When each life was last known.
type News = BTreeMap<(ReplicaId, Incarnation), u64>;

/// Everything is looked at in worlds of at most so many nodes; in larger ones, at a few origins' lamps.
const SMALL: usize = 24;
/// Origins looked at in larger worlds, besides those with faults of their own.
const SAMPLED: usize = 8;
/// How far an estimate of when a frame was sent may be off before answers have corrected it, and how long the
/// world may go on between two looks.
const SLACK_US: u64 = 250_000;

impl Checker for Lamps {
    fn name(&self) -> &'static str {
        "lamp"
    }

    fn sweep(&mut self, world: &World) -> Result<(), Broken> {
        let origins = sampled(world);
        self.spread(world, &origins);
        for reader in 0..world.len() {
            if world.replica(reader).is_none() || world.is_paused(reader) {
                self.awake.remove(&reader);
                continue;
            }
            let now = world.now_us();
            let awake = self
                .awake
                .entry(reader)
                .or_insert((world.life(reader), now));
            if awake.0 != world.life(reader) {
                *awake = (world.life(reader), now);
            }
            // It notices that it was asleep as soon as it does anything.
            if now - awake.1 < SLACK_US {
                continue;
            }
            if world.len() <= SMALL {
                for space in [SpaceId::DEVICES, SpaceId::MAILBOXES] {
                    for shown in world.list(reader, space).iter() {
                        self.look(world, reader, space, shown)?;
                    }
                }
            } else {
                let replica = world.replica(reader).expect("it is up");
                for origin in &origins {
                    let key = device(*origin, 0);
                    if let Some(shown) = replica.get(&key, world.clock(reader)) {
                        self.look(world, reader, SpaceId::DEVICES, &shown)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn lamp_lie_us(&self) -> u64 {
        self.worst_us
    }
}

impl Lamps {
    /// Lets news travel as far as they can at this moment.
    fn spread(&mut self, world: &World, origins: &[usize]) {
        let now = world.now_us();
        for clone in world.scenario().nodes.len()..world.len() {
            let life = world.life(clone);
            if world.replica(clone).is_some() && self.cloned.insert(clone, life) != Some(life) {
                let found = self.news.get(&world.original(clone)).cloned();
                merge(
                    self.news.entry(clone).or_default(),
                    found.unwrap_or_default(),
                );
            }
        }
        for origin in origins {
            if let Some(replica) = world.replica(*origin).filter(|_| !world.is_paused(*origin)) {
                let life = (world.id(*origin), replica.incarnation());
                self.news.entry(*origin).or_default().insert(life, now);
            }
        }
        let pairs = (0..world.len()).flat_map(|from| world.peers(from).map(move |to| (from, to)));
        let held = pairs.filter(|(from, to)| world.holds(*from, *to));
        for (from, to) in held.collect::<Vec<_>>() {
            let asleep = world.replica(from).is_none() || world.is_paused(from);
            if let Some(told) = self.news.get(&from).filter(|_| !asleep).cloned() {
                merge(self.held.entry((from, to)).or_default(), told);
            }
        }
        let released: Vec<(usize, usize)> = self
            .held
            .keys()
            .copied()
            .filter(|(from, to)| !world.holds(*from, *to))
            .collect();
        for way in released {
            let told = self.held.remove(&way).unwrap_or_default();
            merge(self.news.entry(way.1).or_default(), told);
        }
        let ways: Vec<(usize, usize)> = (0..world.len())
            .flat_map(|from| world.peers(from).map(move |to| (from, to)))
            .filter(|(from, to)| world.passes(*from, *to))
            .collect();
        loop {
            let mut moved = false;
            for (from, to) in &ways {
                let Some(told) = self.news.get(from) else {
                    continue;
                };
                // Mostly it has all of that.
                let known = self.news.get(to);
                let last = |life| known.and_then(|known| known.get(life));
                if told.iter().any(|(life, at)| last(life) < Some(at)) {
                    let told = told.clone();
                    moved |= merge(self.news.entry(*to).or_default(), told);
                }
            }
            if !moved {
                break;
            }
        }
    }

    fn look(
        &mut self,
        world: &World,
        reader: usize,
        space: SpaceId,
        shown: &Shown<Value>,
    ) -> Result<(), Broken> {
        let key = Key::new(space, Arc::clone(&shown.key)).expect("it is shown under it");
        for one in shown.contributions.iter().filter(|one| !one.own) {
            self.believe(world, reader, &key, one)?;
        }
        let alive = |one: &Contribution<Value>| one.wins && one.freshness == Freshness::Live;
        if shown.freshness == Freshness::Live && !shown.contributions.iter().any(alive) {
            return Err(Broken::at(
                reader,
                format!("shows {key} live, and nobody who says so is"),
            ));
        }
        Ok(())
    }

    fn believe(
        &mut self,
        world: &World,
        reader: usize,
        key: &Key,
        one: &Contribution<Value>,
    ) -> Result<(), Broken> {
        let now = world.now_us();
        let life = (one.replica, one.incarnation);
        let news = self
            .news
            .get(&reader)
            .and_then(|news| news.get(&life))
            .copied()
            .unwrap_or_default();
        let timing = &world.scenario().timing;
        let nodes = world.len() as u64 + 1;
        let beat_us = (timing.beat.as_micros() as u64).max(nodes * 10_000);
        let stale_us = (timing.stale_after.as_micros() as u64).max(3 * beat_us);
        let gone_us = (timing.gone_after.as_micros() as u64).max(stale_us);
        let counts = key.policy() == Policy::Aggregate;
        // What was found on the disk is dated by the wall clock alone: nobody can know that it was set back.
        let started = self.awake.get(&reader).map_or(0, |(_, at)| *at);
        let younger_us = if news < started && one.freshness != Freshness::Live {
            world.younger_ms(reader) * 1_000
        } else {
            0
        };
        let lease_us = match one.freshness {
            Freshness::Live => stale_us,
            Freshness::Stale if counts => gone_us,
            _ => return Ok(()),
        };
        // A clock that runs slow lets leases last longer.
        let rate = u64::try_from(1_000_000 + world.drift_ppm(reader).min(0)).unwrap_or(1);
        let lease_us = lease_us * 1_000_000 / rate.max(1) + younger_us;
        let allowed_us = lease_us + 2 * world.slowest_hop_us() + SLACK_US;
        let over_us = overwritten_us(world, key, one).filter(|_| one.freshness == Freshness::Live);
        let (age_us, why) = match over_us {
            Some(at) if at < news => (now - at, "its origin has said something else"),
            _ => (now - news, "no news of that life can have come"),
        };
        if age_us <= allowed_us {
            return Ok(());
        }
        self.worst_us = self.worst_us.max(age_us - allowed_us);
        Err(Broken::at(
            reader,
            format!(
                "shows what {} said of {key} as {}, though {why} for {} ms; {} ms are allowed",
                name_of(world, one.replica),
                one.freshness,
                age_us / 1_000,
                allowed_us / 1_000
            ),
        ))
    }
}

/// Takes what is newer; says whether anything was.
fn merge(known: &mut News, told: News) -> bool {
    let mut moved = false;
    for (life, at) in told {
        let last = known.entry(life).or_default();
        moved |= *last < at;
        *last = at.max(*last);
    }
    moved
}

/// When its origin said something else of the key, if it has.
fn overwritten_us(world: &World, key: &Key, one: &Contribution<Value>) -> Option<u64> {
    let log = world.log(one.replica, one.incarnation)?;
    let after = log
        .entries
        .partition_point(|logged| logged.entry.seq() <= one.seq);
    let later = log.entries[after..].iter();
    Some(later.into_iter().find(|logged| logged.key == *key)?.at_us)
}

/// The origins whose lamps are looked at.
fn sampled(world: &World) -> Vec<usize> {
    if world.len() <= SMALL {
        return (0..world.len()).collect();
    }
    let concerned = world
        .scenario()
        .faults
        .iter()
        .filter_map(|fault| match fault.verb {
            Verb::Crash { node, .. }
            | Verb::Leave(node)
            | Verb::Pause(node)
            | Verb::Isolate(node) => Some(node),
            _ => None,
        });
    let mut origins: Vec<usize> = concerned.take(SAMPLED).chain(0..SAMPLED).collect();
    origins.sort_unstable();
    origins.dedup();
    origins
}
