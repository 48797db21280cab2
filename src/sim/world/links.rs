//! What lies between the nodes.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::super::latency::Latency;
use super::super::prf::{Chance, Purpose, prf};
use super::super::scenario::{Burst, Fault, Network, Verb};

/// What lies between the nodes: what blocks it, and what it does to messages.
#[derive(Debug)]
pub(super) struct Links {
    nodes: usize,
    /// How many faults block the way from `a` to `b`, at `a * nodes + b`.
    blocked: Vec<u16>,
    /// How many hold it.
    held: BTreeMap<(usize, usize), u16>,
    /// Of each pair that was used; nobody sees the order.
    used: FxHashMap<u64, Way>,
    network: Network,
    weather: Weather,
    seed: u64,
}

/// One direction of one pair.
#[derive(Debug, Clone, Copy, Default)]
struct Way {
    /// Messages sent: the counter of all draws.
    sent: u64,
    /// In a burst of losses.
    bad: bool,
    /// When the last one arrives.
    last_us: u64,
}

/// What all links do to messages at present: the worst of the network's own and the faults under way.
#[derive(Debug, Clone)]
struct Weather {
    loss: Chance,
    burst: Option<Burst>,
    duplicate: Chance,
    reorder: Chance,
    latency: Latency,
    bandwidth: Option<u64>,
    garbage: Chance,
    replay: Chance,
}

/// What becomes of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Fate {
    pub(super) arrives_us: Option<u64>,
    pub(super) again_us: Option<u64>,
    pub(super) damaged_us: Option<u64>,
    pub(super) replayed_us: Option<u64>,
    /// How long it travels when nothing holds it.
    pub(super) travel_us: u64,
}

/// A message that is overtaken takes up to so many times longer.
const OVERTAKEN: u64 = 8;
/// Replayed frames come within this time.
const REPLAY_US: u64 = 90_000_000;

impl Links {
    pub(super) fn new(network: Network, nodes: usize, seed: u64) -> Self {
        let weather = Weather::of(&network, &[]);
        Self {
            nodes,
            blocked: vec![0; nodes * nodes],
            held: BTreeMap::new(),
            used: FxHashMap::default(),
            network,
            weather,
            seed,
        }
    }

    /// Takes note of the faults under way.
    pub(super) fn set_faults(&mut self, faults: &[Fault]) {
        self.weather = Weather::of(&self.network, faults);
    }

    pub(super) fn block(&mut self, from: usize, to: usize, block: bool) {
        let count = &mut self.blocked[from * self.nodes + to];
        *count = if block {
            *count + 1
        } else {
            count.checked_sub(1).expect("what is unblocked was blocked")
        };
    }

    pub(super) fn hold(&mut self, from: usize, to: usize, hold: bool) {
        let count = self.held.entry((from, to)).or_default();
        *count = if hold { *count + 1 } else { *count - 1 };
        if *count == 0 {
            self.held.remove(&(from, to));
        }
    }

    /// Whether messages pass from one to the other, sooner or later.
    pub(super) fn passes(&self, from: usize, to: usize) -> bool {
        from != to && self.blocked[from * self.nodes + to] == 0
    }

    pub(super) fn holds(&self, from: usize, to: usize) -> bool {
        !self.held.is_empty() && self.held.contains_key(&(from, to))
    }

    /// What each node can send, in bytes a second.
    pub(super) fn bandwidth(&self) -> Option<u64> {
        self.weather.bandwidth
    }

    /// Decides what becomes of a message that is on its way from `now_us`.
    pub(super) fn send(&mut self, from: usize, to: usize, now_us: u64) -> Fate {
        let pair = ((from as u64) << 32) | to as u64;
        let way = self.used.entry(pair).or_default();
        way.sent += 1;
        let n = way.sent;
        let (seed, weather) = (self.seed, &self.weather);
        let happens = |purpose, chance: Chance| {
            chance.0 > 0
                && prf(seed, pair, purpose, n) % u64::from(Chance::CERTAIN.0) < u64::from(chance.0)
        };
        if let Some(burst) = weather.burst {
            let turns = if way.bad { burst.leave } else { burst.enter };
            way.bad ^= happens(Purpose::Burst, turns);
        }
        let burst = weather.burst.filter(|_| way.bad);
        let lost = happens(Purpose::Loss, weather.loss)
            || burst.is_some_and(|burst| {
                prf(seed, pair, Purpose::Burst, n | 1 << 63) % 1_000_000 < u64::from(burst.loss.0)
            });
        let travel_us = self.network.region_us(from, to)
            + weather.latency.draw(&mut super::super::prf::Draws::new(
                seed ^ n,
                pair,
                Purpose::Latency,
            ));
        let span = travel_us.max(1);
        let mut arrives_us = now_us + travel_us;
        if happens(Purpose::Reorder, weather.reorder) {
            arrives_us += prf(seed, pair, Purpose::Reorder, n | 1 << 63) % (span * OVERTAKEN);
        } else {
            // The messages of one connection arrive in order.
            arrives_us = arrives_us.max(way.last_us);
            way.last_us = arrives_us;
        }
        let later =
            |purpose, span: u64| arrives_us + 1 + prf(seed, pair, purpose, n | 1 << 62) % span;
        Fate {
            arrives_us: (!lost).then_some(arrives_us),
            again_us: happens(Purpose::Duplicate, weather.duplicate)
                .then(|| later(Purpose::Duplicate, span * OVERTAKEN)),
            damaged_us: happens(Purpose::Garbage, weather.garbage)
                .then(|| later(Purpose::Garbage, span)),
            replayed_us: happens(Purpose::Replay, weather.replay)
                .then(|| later(Purpose::Replay, REPLAY_US)),
            travel_us,
        }
    }
}

impl Network {
    fn region_us(&self, from: usize, to: usize) -> u64 {
        self.regions.as_ref().map_or(0, |regions| {
            let region = |node: usize| regions.of.get(node).copied().unwrap_or_default();
            regions.one_way_us[region(from)][region(to)]
        })
    }
}

impl Weather {
    fn of(network: &Network, faults: &[Fault]) -> Self {
        let mut weather = Self {
            loss: network.loss,
            burst: network.burst,
            duplicate: network.duplicate,
            reorder: network.reorder,
            latency: network.latency,
            bandwidth: network.bandwidth,
            garbage: Chance::NEVER,
            replay: Chance::NEVER,
        };
        for fault in faults {
            match &fault.verb {
                Verb::Loss(chance) => weather.loss = weather.loss.max(*chance),
                Verb::Burst(burst) => weather.burst = Some(*burst),
                Verb::Duplicate(chance) => weather.duplicate = weather.duplicate.max(*chance),
                Verb::Reorder(chance) => weather.reorder = weather.reorder.max(*chance),
                Verb::Latency(latency) => weather.latency = *latency,
                Verb::Bandwidth(rate) => {
                    weather.bandwidth = Some(weather.bandwidth.map_or(*rate, |own| own.min(*rate)));
                }
                Verb::Garbage(chance) => weather.garbage = weather.garbage.max(*chance),
                Verb::Replay(chance) => weather.replay = weather.replay.max(*chance),
                _ => {}
            }
        }
        weather
    }
}
