//! A few replicas in virtual time on a network that loses, delays and reorders, with the invariants of the
//! design checked after every step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use presence_mesh::crdt::Hlc;
use presence_mesh::model::{Incarnation, Key, Pattern, ReplicaId, Source, SpaceId, Value};
use presence_mesh::proto::{Building, Config, Input, Now, Output, Replica, Report, Write};
use presence_mesh::wire::{Frame, MeshId, Request, Response};
use presence_mesh::{
    DeviceState, Freshness, Identity, Limits, Merge, MeshKey, MessageCounts, Preset, Timing,
};

/// Wall time at the start of every world: 2026-01-01.
pub const EPOCH_MS: u64 = 1_767_225_600_000;

enum Event {
    Frame {
        from: usize,
        bytes: bytes::Bytes,
    },
    Request {
        from: usize,
        id: presence_mesh::proto::RequestId,
        request: Request,
    },
    Response {
        from: usize,
        id: presence_mesh::proto::RequestId,
        response: Response,
    },
    Failed {
        to: usize,
        id: presence_mesh::proto::RequestId,
    },
}

struct Node {
    identity: Identity,
    /// `None` while it is down.
    replica: Option<Replica>,
    started_ms: u64,
    /// When it last went down.
    down_ms: u64,
    floor: Incarnation,
    wall_offset_ms: i64,
    reports: Vec<Report>,
}

pub struct World {
    nodes: Vec<Node>,
    mesh: MeshId,
    now_ms: u64,
    queue: BTreeMap<(u64, u64), (usize, Event)>,
    sequence: u64,
    random: u64,
    cuts: BTreeSet<(usize, usize)>,
    /// Nodes that do nothing, and what waits for them.
    frozen: BTreeMap<usize, Vec<Event>>,
    pub loss_percent: u64,
    pub delay_ms: (u64, u64),
    pub timing: Timing,
    pub limits: Limits,
    /// Nodes do what may wait in slices of so many keys, one before each event of anybody; all at once if `None`.
    pub slice: Option<usize>,
    /// Those that have more to do.
    behind: BTreeSet<usize>,
    /// A map that is being built while other things happen.
    lent: BTreeMap<usize, Building>,
    pub frames_sent: u64,
    /// Every state an origin's own map was in, by head: what every copy must equal.
    truth: BTreeMap<(ReplicaId, Incarnation, u64), u128>,
    seen_heads: BTreeMap<(usize, ReplicaId), (Incarnation, u64)>,
}

pub fn device(name: &str) -> Key {
    Key::new(SpaceId::DEVICES, name).expect("a key")
}

pub fn mailbox(name: &str) -> Key {
    Key::new(SpaceId::MAILBOXES, name).expect("a key")
}

const API: Write = Write {
    source: Source::API,
    restate: false,
};

impl World {
    pub fn new(nodes: usize, seed: u64) -> Self {
        let mesh = MeshId::derive(&MeshKey::from_bytes([9; 32]), "world");
        let mut world = Self {
            nodes: Vec::new(),
            mesh,
            now_ms: 0,
            queue: BTreeMap::new(),
            sequence: 0,
            random: seed,
            cuts: BTreeSet::new(),
            frozen: BTreeMap::new(),
            loss_percent: 0,
            delay_ms: (1, 5),
            timing: Preset::Lan.timing(),
            limits: Limits::default(),
            slice: None,
            behind: BTreeSet::new(),
            lent: BTreeMap::new(),
            frames_sent: 0,
            truth: BTreeMap::new(),
            seen_heads: BTreeMap::new(),
        };
        (0..nodes).for_each(|_| world.add());
        world
    }

    /// Adds a node and starts it.
    pub fn add(&mut self) {
        let number = u8::try_from(self.nodes.len() + 1).expect("few nodes");
        self.nodes.push(Node {
            identity: Identity::from_bytes([number; 32]),
            replica: None,
            started_ms: 0,
            down_ms: 0,
            floor: Incarnation::default(),
            wall_offset_ms: 0,
            reports: Vec::new(),
        });
        self.start(self.nodes.len() - 1);
    }

    pub fn start(&mut self, node: usize) {
        let seed = self.draw();
        let config = Config {
            mesh: self.mesh,
            node: format!("n{node}"),
            version: "test".into(),
            timing: self.timing.clone(),
            limits: self.limits.clone(),
            mailboxes: Merge::Latest,
            incarnation_floor: self.nodes[node].floor,
            hlc_floor: Hlc::ZERO,
            seed,
        };
        self.nodes[node].started_ms = self.now_ms;
        let now = self.now(node);
        self.nodes[node].replica =
            Some(Replica::new(config, self.nodes[node].identity.clone(), now));
        self.seen_heads.retain(|(reader, _), _| *reader != node);
        self.settle_outputs(node);
        for other in 0..self.nodes.len() {
            self.connect(node, other);
        }
    }

    /// Forgets the last incarnation, as a lost disk does.
    pub fn lose_disk(&mut self, node: usize) {
        self.nodes[node].floor = Incarnation::default();
    }

    pub fn set_clock_off(&mut self, node: usize, ms: i64) {
        self.nodes[node].wall_offset_ms = ms;
    }

    pub fn crash(&mut self, node: usize) {
        if let Some(replica) = self.nodes[node].replica.take() {
            self.nodes[node].floor = replica.incarnation();
            self.nodes[node].down_ms = self.now_ms;
        }
        for other in 0..self.nodes.len() {
            self.peer_down(other, node);
        }
        self.queue.retain(|_, (to, _)| *to != node);
        self.lent.remove(&node);
    }

    /// Stops a node as a hypervisor does: its clock goes on, it does nothing, and what is sent to it waits.
    pub fn freeze(&mut self, node: usize) {
        self.frozen.entry(node).or_default();
    }

    pub fn thaw(&mut self, node: usize) {
        for event in self.frozen.remove(&node).unwrap_or_default() {
            self.deliver(node, event);
        }
    }

    /// Writes one after another before anything is sent.
    pub fn write_in_one_turn(&mut self, node: usize, writes: Vec<(Key, Option<Value>)>) {
        let now = self.now(node);
        for write in writes {
            let written = self.replica_mut(node).write(vec![write], API, now);
            written.expect("a write");
            self.note_truth(node);
        }
        self.settle_outputs(node);
    }

    pub fn leave(&mut self, node: usize) {
        self.with(node, Replica::leave);
    }

    pub fn cut(&mut self, a: usize, b: usize) {
        self.cuts.insert((a.min(b), a.max(b)));
        self.peer_down(a, b);
        self.peer_down(b, a);
    }

    pub fn mend(&mut self) {
        let cuts = std::mem::take(&mut self.cuts);
        for (a, b) in cuts {
            self.connect(a, b);
        }
    }

    fn connect(&mut self, a: usize, b: usize) {
        if a == b
            || !self.linked(a, b)
            || self.nodes[a].replica.is_none()
            || self.nodes[b].replica.is_none()
        {
            return;
        }
        for (node, peer) in [(a, b), (b, a)] {
            let peer = self.id(peer);
            self.handle(node, Input::PeerUp { peer });
        }
    }

    fn peer_down(&mut self, node: usize, peer: usize) {
        let peer = self.id(peer);
        if self.nodes[node].replica.is_some() {
            self.handle(node, Input::PeerDown { peer });
        }
    }

    fn linked(&self, a: usize, b: usize) -> bool {
        a != b && !self.cuts.contains(&(a.min(b), a.max(b)))
    }

    pub fn set(&mut self, node: usize, name: &str, state: DeviceState) {
        self.write(node, vec![(device(name), Some(state.into()))])
            .expect("a write");
    }

    pub fn set_counts(&mut self, node: usize, name: &str, new: u32) {
        self.write(
            node,
            vec![(mailbox(name), Some(MessageCounts::new(new, 0).into()))],
        )
        .expect("a write");
    }

    pub fn clear(&mut self, node: usize, name: &str) {
        self.write(node, vec![(device(name), None)])
            .expect("a write");
    }

    pub fn write(
        &mut self,
        node: usize,
        entries: Vec<(Key, Option<Value>)>,
    ) -> Result<usize, presence_mesh::WriteError> {
        self.write_as(node, entries, API)
    }

    pub fn write_as(
        &mut self,
        node: usize,
        entries: Vec<(Key, Option<Value>)>,
        how: Write,
    ) -> Result<usize, presence_mesh::WriteError> {
        self.with(node, |replica, now| replica.write(entries, how, now))
    }

    /// Has a replica do something, and carries out what it wants done.
    pub fn with<R>(&mut self, node: usize, work: impl FnOnce(&mut Replica, Now) -> R) -> R {
        let now = self.now(node);
        let result = work(self.replica_mut(node), now);
        self.settle_outputs(node);
        result
    }

    /// What `node` shows of a device.
    pub fn shown(&mut self, node: usize, name: &str) -> Option<(DeviceState, Freshness)> {
        let now = self.now(node);
        let shown = self.replica(node).get(&device(name), now)?;
        Some((shown.value.device_state(), shown.freshness))
    }

    pub fn shown_counts(&mut self, node: usize, name: &str) -> Option<(u32, Freshness)> {
        let now = self.now(node);
        let shown = self.replica(node).get(&mailbox(name), now)?;
        Some((shown.value.decode::<MessageCounts>()?.new, shown.freshness))
    }

    pub fn listed(&mut self, node: usize) -> BTreeMap<String, (DeviceState, Freshness)> {
        let now = self.now(node);
        let all = self
            .replica(node)
            .list(SpaceId::DEVICES, &Pattern::any(), now);
        all.iter()
            .map(|shown| {
                (
                    shown.key.to_string(),
                    (shown.value.device_state(), shown.freshness),
                )
            })
            .collect()
    }

    pub fn replica(&self, node: usize) -> &Replica {
        self.nodes[node].replica.as_ref().expect("the node is up")
    }

    pub fn replica_mut(&mut self, node: usize) -> &mut Replica {
        self.nodes[node].replica.as_mut().expect("the node is up")
    }

    pub fn reports(&self, node: usize) -> &[Report] {
        &self.nodes[node].reports
    }

    pub fn id(&self, node: usize) -> ReplicaId {
        self.nodes[node].identity.replica()
    }

    pub fn now(&self, node: usize) -> Now {
        let node = &self.nodes[node];
        Now {
            mono: Duration::from_millis(self.now_ms - node.started_ms),
            wall_ms: (EPOCH_MS + self.now_ms).saturating_add_signed(node.wall_offset_ms),
        }
    }

    pub fn up(&self) -> Vec<usize> {
        (0..self.nodes.len())
            .filter(|node| self.nodes[*node].replica.is_some())
            .collect()
    }

    pub fn agree(&self) -> bool {
        let digests: BTreeSet<_> = self
            .up()
            .into_iter()
            .map(|node| self.replica(node).digest())
            .collect();
        digests.len() <= 1
    }

    /// Runs until all digests are equal; panics when that takes longer than `limit_ms`.
    pub fn run_until_agreed(&mut self, limit_ms: u64) {
        let end = self.now_ms + limit_ms;
        while !self.agree()
            || !self.behind.is_empty()
            || self
                .queue
                .values()
                .any(|(_, event)| matches!(event, Event::Frame { .. }))
        {
            assert!(self.now_ms < end, "no agreement within {limit_ms} ms");
            self.run_for(20);
        }
    }

    /// Lets time pass.
    pub fn run_for(&mut self, span_ms: u64) {
        let end = self.now_ms + span_ms;
        loop {
            self.work_some();
            let awake = |node: &usize| !self.frozen.contains_key(node);
            let timeouts = self.up().into_iter().filter(awake).filter_map(|node| {
                let due = self.replica(node).poll_timeout()?;
                let due_ms = u64::try_from(due.as_millis()).expect("a short test")
                    + self.nodes[node].started_ms;
                Some((due_ms.max(self.now_ms), node))
            });
            let timeout = timeouts.min();
            let message = self.queue.keys().next().copied();
            match (timeout, message) {
                (Some((at, node)), message)
                    if at <= end && message.is_none_or(|(when, _)| at < when) =>
                {
                    self.now_ms = at;
                    self.handle(node, Input::Timeout);
                }
                (_, Some((at, sequence))) if at <= end => {
                    self.now_ms = at;
                    let (to, event) = self.queue.remove(&(at, sequence)).expect("it was there");
                    self.deliver(to, event);
                }
                _ => break,
            }
        }
        self.now_ms = end;
    }

    fn deliver(&mut self, to: usize, event: Event) {
        if self.nodes[to].replica.is_none() {
            return;
        }
        if let Some(waiting) = self.frozen.get_mut(&to) {
            waiting.push(event);
            return;
        }
        match event {
            Event::Frame { from, bytes } => {
                if self.linked(from, to) {
                    let frame = Frame::decode(&bytes, &self.mesh).expect("frames are genuine");
                    let from = self.id(from);
                    self.handle(to, Input::Frame { from, frame });
                }
            }
            Event::Request { from, id, request } => {
                if self.linked(from, to) {
                    let request = Request::decode(&request.encode()).expect("requests decode");
                    let from = self.id(from);
                    self.handle(to, Input::Request { from, id, request });
                }
            }
            Event::Response { from, id, response } => {
                let response =
                    Response::decode(&response.encode(), &self.mesh).expect("responses decode");
                let sender = self.id(from);
                let input = if self.linked(from, to) {
                    Input::Response {
                        from: sender,
                        id,
                        response,
                    }
                } else {
                    Input::RequestFailed { to: sender, id }
                };
                self.handle(to, input);
            }
            Event::Failed { to: asked, id } => {
                let asked = self.id(asked);
                self.handle(to, Input::RequestFailed { to: asked, id });
            }
        }
    }

    fn handle(&mut self, node: usize, input: Input) {
        let now = self.now(node);
        if self.slice.is_some() {
            self.replica_mut(node).begin(input, now);
            self.behind.insert(node);
        } else {
            self.replica_mut(node).handle(input, now);
        }
        self.settle_outputs(node);
    }

    fn work_some(&mut self) {
        let Some(keys) = self.slice else { return };
        for node in std::mem::take(&mut self.behind) {
            let lent = self.lent.remove(&node);
            if self.nodes[node].replica.is_none() {
                continue;
            }
            let replica = self.replica_mut(node);
            if let Some(mut building) = lent {
                building.build(keys);
                replica.take_back(building);
            }
            let lent = replica.lend();
            if replica.work_some(keys) || lent.is_some() {
                self.behind.insert(node);
            }
            if let Some(lent) = lent {
                self.lent.insert(node, lent);
            }
            self.settle_outputs(node);
        }
    }

    fn note_truth(&mut self, node: usize) {
        let own = self
            .replica(node)
            .maps()
            .into_iter()
            .find(|map| map.replica == self.id(node))
            .expect("itself");
        self.truth
            .insert((own.replica, own.incarnation, own.head), own.hash);
    }

    fn settle_outputs(&mut self, node: usize) {
        self.note_truth(node);
        while let Some(output) = self.replica_mut(node).poll_output() {
            match output {
                Output::Publish { frame } => {
                    let frame = frame.sign();
                    self.frames_sent += 1;
                    for to in (0..self.nodes.len()).filter(|to| *to != node) {
                        if self.linked(node, to) && self.draw() % 100 >= self.loss_percent {
                            self.post(
                                to,
                                Event::Frame {
                                    from: node,
                                    bytes: frame.clone(),
                                },
                            );
                        }
                    }
                }
                Output::Request { to, id, request } => {
                    let to = self.number(to);
                    if self.linked(node, to) && self.nodes[to].replica.is_some() {
                        self.post(
                            to,
                            Event::Request {
                                from: node,
                                id,
                                request,
                            },
                        );
                    } else {
                        self.post(node, Event::Failed { to, id });
                    }
                }
                Output::Respond { to, id, response } => {
                    let to = self.number(to);
                    self.post(
                        to,
                        Event::Response {
                            from: node,
                            id,
                            response,
                        },
                    );
                }
                Output::MembersChanged => {}
                Output::Report(report) => self.nodes[node].reports.push(report),
            }
        }
        self.check(node);
    }

    /// J: every copy is a true moment of the original. M: heads never go back. And what the replica says of
    /// itself.
    fn check(&mut self, node: usize) {
        if !self.behind.contains(&node) {
            self.replica(node).check_invariants();
        }
        for map in self.replica(node).maps() {
            if map.head > 0 {
                let truth = self.truth.get(&(map.replica, map.incarnation, map.head));
                assert_eq!(
                    truth,
                    Some(&map.hash),
                    "J: node {node} holds no true moment of {map:?}"
                );
            }
            let seen = self.seen_heads.entry((node, map.replica)).or_default();
            assert!(
                (map.incarnation, map.head) >= *seen,
                "M: node {node} went back on {map:?}"
            );
            *seen = (map.incarnation, map.head);
        }
    }

    /// The lamp never lies: nobody shows as live what a node said that has been down for longer than a lease
    /// and a message take, or what it said in a life that ended as long ago.
    pub fn check_lamps(&self) {
        let lease_ms = u64::try_from(self.timing.stale_after.as_millis()).expect("a short test")
            + self.delay_ms.1;
        for reader in self.up() {
            let shown =
                self.replica(reader)
                    .list(SpaceId::DEVICES, &Pattern::any(), self.now(reader));
            for live in shown.iter().flat_map(|shown| &shown.contributions) {
                let origin = self.number(live.replica);
                let node = &self.nodes[origin];
                let over = match &node.replica {
                    Some(replica) => replica.incarnation() != live.incarnation,
                    None => true,
                };
                let since_ms = self.now_ms - node.down_ms;
                let lies = live.freshness == Freshness::Live && over && since_ms > lease_ms;
                assert!(
                    !lies,
                    "node {reader} shows node {origin} live, {since_ms} ms after its end: {live:?}"
                );
            }
        }
    }

    fn number(&self, replica: ReplicaId) -> usize {
        self.nodes
            .iter()
            .position(|node| node.identity.replica() == replica)
            .expect("a node of this world")
    }

    fn post(&mut self, to: usize, event: Event) {
        let (least, most) = self.delay_ms;
        let at = self.now_ms + least + self.draw() % (most - least + 1);
        self.sequence += 1;
        self.queue.insert((at, self.sequence), (to, event));
    }

    /// SplitMix64.
    pub fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
