//! The model alone: one latency, nothing lost, everything accepted.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::fmt;

use super::chance::{Purpose, below, choose, draw};
use super::counters::GossipCounters;
use super::network::Gossip;
use super::params::Params;
use super::rpc::{MessageId, Received, Rpc, Send};

/// What to measure: nodes that dial each other, settle, and then publish one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// How gossipsub is configured.
    pub params: Params,
    /// How many nodes. They all start at time 0.
    pub nodes: usize,
    /// How many others each node dials, at random. From `nodes - 1` on, every pair is connected once, and a
    /// draw decides who dialled.
    pub dial_count: usize,
    /// What every link takes, in µs.
    pub latency_us: u64,
    /// How long to wait before the first message, in µs.
    pub settle_us: u64,
    /// How many messages to publish, each by a node drawn anew.
    pub messages: u32,
    /// The time between two messages, in µs.
    pub publish_every_us: u64,
    /// The data in a message.
    pub message_bytes: usize,
    /// Decides everything that is drawn.
    pub seed: u64,
}

impl Trial {
    /// `nodes` nodes of which each dials `dial_count` others, with 1 ms of latency: 100 messages of 200 bytes,
    /// 10 a second, after 10 s of settling.
    pub fn new(params: Params, nodes: usize, dial_count: usize, seed: u64) -> Self {
        Self {
            params,
            nodes,
            dial_count,
            latency_us: 1_000,
            settle_us: 10_000_000,
            messages: 100,
            publish_every_us: 100_000,
            message_bytes: 200,
            seed,
        }
    }
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Figures {
    /// Nodes in the network.
    pub nodes: u64,
    /// Messages published to somebody.
    pub published: u64,
    /// Deliveries there should be: every message at every node but its publisher.
    pub expected: u64,
    /// Messages that were new to a node that received them.
    pub deliveries: u64,
    /// Copies received by all nodes. `copies / deliveries` is what one delivery costs.
    pub copies: u64,
    /// Of those, the copies that came because they were asked for.
    pub asked_copies: u64,
    /// Bytes sent, as they are on the wire.
    pub bytes: u64,
    /// Things sent, copies included.
    pub rpcs: u64,
    /// How many deliveries took how many µs.
    pub latencies_us: BTreeMap<u64, u64>,
    /// How many nodes had how many mesh peers when the first message was published.
    pub degrees: BTreeMap<usize, u64>,
    /// How many links there were.
    pub links: u64,
}

impl Figures {
    /// Thousandths of copies per delivery, rounded down.
    pub fn copies_permille(&self) -> u64 {
        self.copies * 1_000 / self.deliveries.max(1)
    }

    /// The latency below which `percent` per cent of the deliveries are or at which they are, in µs.
    pub fn latency_us(&self, percent: u64) -> u64 {
        let needed = (self.deliveries * percent).div_ceil(100);
        let mut seen = 0;
        for (&latency_us, &count) in &self.latencies_us {
            seen += count;
            if seen >= needed {
                return latency_us;
            }
        }
        0
    }

    /// Hundredths of mesh peers per node, rounded down.
    pub fn degree_percent(&self) -> u64 {
        let sum: u64 = self.degrees.iter().map(|(&d, &n)| d as u64 * n).sum();
        sum * 100 / self.nodes.max(1)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let copies = self.copies_permille();
        let degree = self.degree_percent();
        write!(
            f,
            "{} nodes, {} links, mesh degree {}.{:02}: {} messages, {} of {} deliveries, {}.{:03} copies each \
             ({} asked for), latency 50 % {} µs, 99 % {} µs, 100 % {} µs; {} rpcs, {} bytes",
            self.nodes,
            self.links,
            degree / 100,
            degree % 100,
            self.published,
            self.deliveries,
            self.expected,
            copies / 1_000,
            copies % 1_000,
            self.asked_copies,
            self.latency_us(50),
            self.latency_us(99),
            self.latency_us(100),
            self.rpcs,
            self.bytes,
        )
    }
}

/// Runs a trial: every message that reaches a node is accepted at once, and nothing is lost.
pub fn measure(trial: &Trial) -> Figures {
    let mut bench = Bench::new(
        trial.params.clone(),
        trial.nodes,
        trial.latency_us,
        trial.seed,
    );
    for (at_us, a, b) in dials(trial) {
        bench.run_until(at_us);
        bench.connect(a, b);
    }
    bench.run_until(trial.settle_us);
    let before = bench.counters();
    let mut figures = Figures {
        nodes: trial.nodes as u64,
        links: (0..trial.nodes)
            .map(|node| bench.gossip.peers(node).count() as u64)
            .sum::<u64>()
            / 2,
        ..Figures::default()
    };
    for node in 0..trial.nodes {
        let degree = bench.gossip.mesh(node).count();
        *figures.degrees.entry(degree).or_default() += 1;
    }
    let (rpcs, bytes) = (bench.rpcs, bench.bytes);

    for number in 0..trial.messages {
        bench.run_until(trial.settle_us + u64::from(number) * trial.publish_every_us);
        let publisher = draw(trial.seed, 0, Purpose::Publisher, u64::from(number));
        let publisher = below(publisher, trial.nodes as u64) as usize;
        bench.publish(publisher, MessageId(number), trial.message_bytes);
    }
    // Until nobody would answer for the last message any more.
    let tail_us = (trial.params.history_length as u64 + 1) * trial.params.heartbeat_us;
    bench.run_until(bench.now_us + tail_us + 4 * trial.latency_us);

    let after = bench.counters();
    figures.published = after.published - before.published;
    figures.expected = figures.published * (trial.nodes as u64).saturating_sub(1);
    figures.copies = after.copies_received - before.copies_received;
    figures.deliveries = bench.deliveries.len() as u64;
    figures.asked_copies = after.iwant_served - before.iwant_served;
    figures.rpcs = bench.rpcs - rpcs;
    figures.bytes = bench.bytes - bytes;
    for delivery in &bench.deliveries {
        let latency_us = delivery.at_us - bench.published_at_us[&delivery.id];
        *figures.latencies_us.entry(latency_us).or_default() += 1;
    }
    figures
}

/// Who dials whom and when: at random moments of the first heartbeat interval.
fn dials(trial: &Trial) -> Vec<(u64, usize, usize)> {
    let mut pairs = Vec::new();
    let full = trial.dial_count + 1 >= trial.nodes;
    for a in 0..trial.nodes {
        if full {
            for b in a + 1..trial.nodes {
                let number = (a * trial.nodes + b) as u64;
                let turned = draw(trial.seed, 0, Purpose::Dial, number) & 1 == 1;
                pairs.push(if turned { (b, a) } else { (a, b) });
            }
        } else {
            let mut others: Vec<usize> = (0..trial.nodes).filter(|&b| b != a).collect();
            choose(&mut others, trial.dial_count, |b| {
                draw(trial.seed, a as u64, Purpose::Dial, b as u64)
            });
            pairs.extend(others.into_iter().map(|b| (a, b)));
        }
    }
    let mut dials: Vec<(u64, usize, usize)> = pairs
        .into_iter()
        .map(|(a, b)| {
            let at = draw(trial.seed, a as u64, Purpose::DialAt, b as u64);
            (below(at, trial.params.heartbeat_us), a, b)
        })
        .collect();
    dials.sort_unstable();
    dials
}

/// A world with one latency.
pub(super) struct Bench {
    pub(super) gossip: Gossip,
    pub(super) now_us: u64,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) rpcs: u64,
    pub(super) bytes: u64,
    published_at_us: BTreeMap<MessageId, u64>,
    nodes: usize,
    latency_us: u64,
    /// Under way: with one latency for all, what is sent first arrives first.
    under_way: VecDeque<(u64, Send)>,
    heartbeats: BinaryHeap<Reverse<(u64, usize)>>,
    /// In the nodes' send queues.
    queued: Vec<Send>,
    out: Vec<Send>,
}

/// A message reached a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delivery {
    pub(super) node: usize,
    pub(super) id: MessageId,
    pub(super) at_us: u64,
}

impl Bench {
    /// `nodes` nodes, all up at time 0.
    pub(super) fn new(params: Params, nodes: usize, latency_us: u64, seed: u64) -> Self {
        let mut gossip = Gossip::new(params, seed);
        gossip.grow(nodes);
        let mut heartbeats = BinaryHeap::new();
        for node in 0..nodes {
            gossip.start(node, 0);
            heartbeats.extend(gossip.next_heartbeat(node).map(|at| Reverse((at, node))));
        }
        Self {
            gossip,
            now_us: 0,
            deliveries: Vec::new(),
            rpcs: 0,
            bytes: 0,
            published_at_us: BTreeMap::new(),
            nodes,
            latency_us,
            under_way: VecDeque::new(),
            queued: Vec::new(),
            heartbeats,
            out: Vec::new(),
        }
    }

    pub(super) fn connect(&mut self, a: usize, b: usize) {
        self.gossip.connect(a, b, self.now_us, &mut self.out);
        self.carry();
    }

    pub(super) fn publish(&mut self, node: usize, id: MessageId, bytes: usize) -> usize {
        self.published_at_us.insert(id, self.now_us);
        let recipients = self
            .gossip
            .publish(node, id, bytes, self.now_us, &mut self.out);
        self.carry();
        recipients
    }

    /// Lets everything happen that is due before `end_us`.
    pub(super) fn run_until(&mut self, end_us: u64) {
        loop {
            let arrival_us = self.under_way.front().map_or(u64::MAX, |(at, _)| *at);
            let heartbeat_us = self.heartbeats.peek().map_or(u64::MAX, |next| next.0.0);
            let next_us = arrival_us.min(heartbeat_us);
            if next_us > self.now_us && !self.queued.is_empty() {
                self.depart();
                continue;
            }
            if next_us >= end_us {
                break;
            }
            if arrival_us <= heartbeat_us {
                let (at_us, send) = self.under_way.pop_front().expect("it was the next");
                self.now_us = at_us;
                self.arrive(&send);
            } else {
                let Reverse((at_us, node)) = self.heartbeats.pop().expect("it was the next");
                self.now_us = at_us;
                self.gossip.heartbeat(node, at_us, &mut self.out);
                let next = self.gossip.next_heartbeat(node);
                self.heartbeats.extend(next.map(|at| Reverse((at, node))));
            }
            self.carry();
        }
        self.now_us = end_us;
    }

    fn arrive(&mut self, send: &Send) {
        let Send { from, to, rpc } = send;
        let received = self
            .gossip
            .receive(*to, *from, rpc, self.now_us, &mut self.out);
        if let (Received::New, Rpc::Message(id)) = (received, rpc) {
            self.deliveries.push(Delivery {
                node: *to,
                id: *id,
                at_us: self.now_us,
            });
            self.gossip
                .forward(*to, *from, *id, self.now_us, &mut self.out);
        }
    }

    fn carry(&mut self) {
        self.queued.append(&mut self.out);
    }

    /// What was queued leaves, now that all that arrives at this moment is read: a copy whose receiver has just
    /// said that it has the message is dropped from the queue (`Queue::remove_data_messages` in the crate).
    fn depart(&mut self) {
        for send in self.queued.drain(..) {
            if let Rpc::Message(id) = send.rpc
                && self.gossip.is_unwanted(send.from, send.to, id)
            {
                continue;
            }
            self.rpcs += 1;
            self.bytes += self.gossip.wire_bytes(&send.rpc) as u64;
            self.under_way
                .push_back((self.now_us + self.latency_us, send));
        }
    }

    /// The sum over all nodes.
    pub(super) fn counters(&self) -> GossipCounters {
        let mut sum = GossipCounters::default();
        for node in 0..self.nodes {
            sum += *self.gossip.counters(node);
        }
        sum
    }
}
