//! Nodes of production over links that break, and one who uses and watches them all.

use std::time::Duration;

use presence_mesh::proto::Now;
use presence_mesh::{
    DeviceState, Identity, Links, Mesh, MeshKey, MessageCounts, Preset, ReplicaId,
};
use tokio::time::{Instant, sleep};

use crate::judge::{Judge, Line};
use crate::outcome::Outcome;
use crate::random::Random;

const KEY: MeshKey = MeshKey::from_bytes([7; 32]);
/// Each way, between any two nodes.
const LATENCY: Duration = Duration::from_millis(20);
/// How often somebody looks at every lamp of every node.
const LOOK: Duration = Duration::from_millis(50);
/// How soon after a fault has ended all nodes must agree, and show everything live that is: a dial is given up
/// after one second and repeated within another, and a restarted node settles in two.
pub const AGREEMENT: Duration = Duration::from_secs(6);
/// The wall clock at the beginning: some day in 2027.
const WALL_MS: u64 = 1_800_000_000_000;

/// Some of the nodes, by number.
pub type Nodes<'a> = &'a [usize];

/// A node, whether it runs or not.
pub struct Node {
    pub id: ReplicaId,
    pub mesh: Option<Mesh>,
    writes_at: Instant,
    count: u32,
}

/// The nodes, their links, and the judge.
pub struct World {
    pub nodes: Vec<Node>,
    pub judge: Judge,
    links: Links,
    random: Random,
    began: Instant,
    /// Whether users use their phones.
    busy: bool,
}

impl World {
    /// `count` nodes, all running, none broken, in agreement.
    pub async fn new(count: usize, seed: u64) -> Self {
        let links = Links::in_memory();
        let ids: Vec<ReplicaId> = (0..count).map(|node| identity(node).replica()).collect();
        for (number, &a) in ids.iter().enumerate() {
            ids[..number]
                .iter()
                .for_each(|&b| links.delay(a, b, LATENCY));
        }
        let now = Instant::now();
        let node = |id| Node {
            id,
            mesh: None,
            writes_at: now,
            count: 0,
        };
        let mut world = Self {
            judge: Judge::new(&ids, Preset::Lan.timing()),
            nodes: ids.into_iter().map(node).collect(),
            links,
            random: Random::new(seed),
            began: now,
            busy: true,
        };
        for node in 0..count {
            world.start(node).await;
        }
        world.pass(Duration::from_secs(3)).await;
        world.agree("at the start").await;
        world
    }

    /// Lets time pass, with users at the phones.
    pub async fn pass(&mut self, span: Duration) {
        let end = Instant::now() + span;
        while Instant::now() < end {
            sleep(LOOK).await;
            if self.busy {
                self.use_phones();
            }
            self.judge.look(&self.nodes);
        }
    }

    /// Lets time pass, with nobody at the phones.
    pub async fn rest(&mut self, span: Duration) {
        self.busy = false;
        self.pass(span).await;
        self.busy = true;
    }

    /// Nobody writes any more; demands that all nodes agree within the bound, and says how long they took.
    pub async fn agree(&mut self, when: &str) -> Duration {
        let start = Instant::now();
        while let Some(difference) = self.judge.difference(&self.nodes) {
            if start.elapsed() >= AGREEMENT {
                self.judge.outcome.demand(false, || {
                    format!("{when}: no agreement within {AGREEMENT:?}: {difference}")
                });
                break;
            }
            self.rest(LOOK).await;
        }
        start.elapsed()
    }

    /// Starts a node, with the identity it always has.
    pub async fn start(&mut self, node: usize) {
        let began = self.began;
        let builder = Mesh::builder("acme")
            .node(format!("node{node}"))
            .key(KEY)
            .identity(identity(node))
            .preset(Preset::Lan)
            .mdns(false)
            .links(self.links.clone())
            .clock(move || virtual_now(began))
            .listen(address(node))
            .and_then(|builder| builder.join([address(0), address(1)]))
            .expect("addresses");
        let mesh = builder.start().await.expect("a node starts");
        self.judge.started(node);
        self.nodes[node].mesh = Some(mesh);
    }

    /// The process dies: the kernel closes its connections.
    pub async fn kill(&mut self, node: usize) {
        self.nodes[node].mesh = None;
        self.judge.stopped(node);
    }

    /// The machine loses power: nobody is told, and its connections are dead for ever. What it had sent still
    /// arrives.
    pub async fn lose_power(&mut self, node: usize) {
        self.links.strand(self.nodes[node].id);
        self.kill(node).await;
    }

    /// A node's users pick up their phones at once.
    pub fn say(&mut self, node: usize) {
        self.nodes[node].writes_at = Instant::now();
        self.use_phones();
    }

    /// Cuts every link between the two groups.
    pub fn cut(&mut self, group: Nodes<'_>, others: Nodes<'_>) {
        self.both_ways(group, others, Line::Cut, Links::cut);
    }

    pub fn mend(&mut self, group: Nodes<'_>, others: Nodes<'_>) {
        self.both_ways(group, others, Line::Open, Links::mend);
    }

    /// Holds everything between the two groups.
    pub fn stall(&mut self, group: Nodes<'_>, others: Nodes<'_>) {
        self.both_ways(group, others, Line::Held, Links::stall);
    }

    pub fn release(&mut self, group: Nodes<'_>, others: Nodes<'_>) {
        self.both_ways(group, others, Line::Open, Links::release);
    }

    /// Holds what goes from one group to the other.
    pub fn stall_one_way(&mut self, from: Nodes<'_>, to: Nodes<'_>) {
        self.one_way(from, to, Line::Held, Links::stall_one_way);
    }

    pub fn release_one_way(&mut self, from: Nodes<'_>, to: Nodes<'_>) {
        self.one_way(from, to, Line::Open, Links::release_one_way);
    }

    /// Everybody else.
    pub fn except(&self, nodes: Nodes<'_>) -> Vec<usize> {
        (0..self.nodes.len())
            .filter(|node| !nodes.contains(node))
            .collect()
    }

    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// What came of it all.
    pub fn end(mut self) -> Outcome {
        self.judge.report();
        self.judge.outcome
    }

    fn both_ways(
        &mut self,
        group: Nodes<'_>,
        others: Nodes<'_>,
        line: Line,
        verb: impl Fn(&Links, ReplicaId, ReplicaId),
    ) {
        self.one_way(group, others, line, verb);
        self.one_way(others, group, line, |_, _, _| ());
    }

    fn one_way(
        &mut self,
        from: Nodes<'_>,
        to: Nodes<'_>,
        line: Line,
        verb: impl Fn(&Links, ReplicaId, ReplicaId),
    ) {
        for &a in from {
            for &b in to {
                verb(&self.links, self.nodes[a].id, self.nodes[b].id);
                self.judge.set_line(a, b, line);
            }
        }
    }

    /// Whoever's turn it is picks up, hangs up, is called, or gets a message.
    fn use_phones(&mut self) {
        let now = Instant::now();
        for (number, node) in self.nodes.iter_mut().enumerate() {
            let Some(mesh) = &node.mesh else { continue };
            if node.writes_at > now {
                continue;
            }
            node.writes_at = now + Duration::from_millis(500 + self.random.below(3_000));
            node.count += 1;
            let states = [
                DeviceState::NotInUse,
                DeviceState::Ringing,
                DeviceState::InUse,
            ];
            let state = states[node.count as usize % states.len()];
            let (lamp, mailbox) = (lamp(number), mailbox(number));
            let counts = MessageCounts {
                new: node.count,
                ..MessageCounts::default()
            };
            let written = mesh.devices().set(&lamp, state);
            let written = written.and_then(|()| mesh.mailboxes().set(&mailbox, counts));
            written.expect("a node writes whatever the network does");
            self.judge.wrote(number, mesh);
        }
    }
}

pub fn lamp(node: usize) -> String {
    format!("PJSIP/{node}")
}

pub fn mailbox(node: usize) -> String {
    format!("{node}@default")
}

/// Tokio's clock as a node's: the machine's would not move.
fn virtual_now(began: Instant) -> Now {
    let elapsed = began.elapsed();
    Now {
        mono: elapsed,
        wall_ms: WALL_MS + u64::try_from(elapsed.as_millis()).expect("a short run"),
    }
}

fn identity(node: usize) -> Identity {
    Identity::from_bytes([u8::try_from(node + 1).expect("few nodes"); 32])
}

fn address(node: usize) -> String {
    format!("10.0.0.{}:4747", node + 1)
}
