//! Many replicas, their clocks and disks, and the network between them, in virtual time.

mod clock;
mod connect;
mod deliver;
mod faults;
mod links;
mod log;
mod node;
mod peers;
mod queue;
mod spread;
mod users;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use super::gossip::{Gossip, MessageId, Rpc, Send};
use super::outcome::{Figures, NodeFigures};
use super::prf::{Purpose, prf};
use super::recorder::Recorder;
use super::scenario::{Fault, Scenario, Verb};
use super::trace::Trace;
use crate::model::{Incarnation, Key, Pattern, ReplicaId, SpaceId, Value};
use crate::proto::{
    Freshness, Input, MapSummary, Now, Output, Replica, Report, RequestId, Shown, Watched,
};
use crate::wire::{Frame, Identity, MeshId, MeshKey, Request, Response};

pub use clock::EPOCH_MS;
pub use log::{Log, Logged};
pub(super) use users::{device, mailbox};

use clock::Clock;
use links::Links;
use node::Node;
use queue::Queue;
use spread::Spreads;

/// Many replicas, their clocks and disks, and the network between them, in virtual time.
///
/// Everything that happens is one [`Step`] of one replica; [`World::step`] makes it happen and says what it
/// was, and between two of them checkers may look at everything. The same scenario and seed give the same
/// steps.
#[derive(Debug)]
pub struct World {
    scenario: Scenario,
    seed: u64,
    mesh: MeshId,
    now_us: u64,
    queue: Queue<Event>,
    nodes: Vec<Node>,
    /// Clones share an id.
    by_id: FxHashMap<ReplicaId, Vec<usize>>,
    links: Links,
    gossip: Option<Gossip>,
    messages: VecDeque<Message>,
    spreads: Spreads,
    /// The id of the first in `messages`.
    first_message: u32,
    /// Faults under way, and what they hold back.
    active: Vec<(usize, Fault)>,
    held: Vec<Packet>,
    /// Empty between two events; kept for its room.
    sends: Vec<Send>,
    logs: FxHashMap<(ReplicaId, Incarnation), Log>,
    trace: Trace,
    figures: Figures,
    recorder: Option<Recorder>,
    mended: bool,
    /// Damaged frames that were taken for genuine.
    forged: u64,
    /// The longest that a message of gossip travelled from one node to the next, delays by `hold` left out.
    slowest_hop_us: u64,
    /// What nodes show, as far as somebody asked since the event of this number: checkers all ask the same.
    lists: RefCell<(u64, Lists)>,
}

/// Everything that a node shows in a space.
pub type Listed = Rc<Vec<Shown<Value>>>;
type Lists = BTreeMap<(usize, SpaceId), Listed>;

/// Something happened to one replica.
#[derive(Debug)]
pub struct Step {
    /// When.
    pub at_us: u64,
    /// To which node.
    pub node: usize,
    /// What.
    pub cause: Cause,
    /// The origins of which it knows something else than before, its own left out.
    pub news: Vec<News>,
    /// What it sent.
    pub sent: Vec<Sent>,
    /// Its own head before.
    pub head_before: u64,
}

/// A replica knows something else of an origin than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct News {
    /// The origin.
    pub origin: ReplicaId,
    /// How much is known of it now; `None` when it was forgotten.
    pub map: Option<MapSummary>,
    /// How much was known when it was last looked at, in this life.
    pub before: Option<MapSummary>,
}

/// What happened to a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Cause {
    Started,
    Write(Vec<Key>),
    Leave,
    Frame,
    Request,
    Response,
    Failed,
    Timeout,
    PeerUp,
    PeerDown,
}

/// What a replica sent.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Sent {
    Frame(Arc<Frame>),
    Request {
        to: ReplicaId,
        request: Arc<Request>,
    },
    Response {
        to: ReplicaId,
        response: Arc<Response>,
    },
}

/// What is gossiped.
#[derive(Debug, Clone)]
struct Message {
    bytes: Bytes,
    frame: Arc<Frame>,
    entries: u64,
    at_us: u64,
}

#[derive(Debug, Clone)]
enum Event {
    Start(usize),
    Timer(usize, u32),
    Heartbeat(usize, u32),
    Populate(usize, u32),
    Write(usize),
    Dial(usize, usize),
    /// The way between two has been cut for long enough to be noticed.
    Notice(usize, usize),
    /// The first learns that the process which the second was is dead.
    Reset(usize, usize, u32),
    PeerUp(usize, ReplicaId, u32),
    PeerDown(usize, ReplicaId, u32),
    Arrive(Packet),
    Stop(usize, u32),
    FaultBegins(usize),
    FaultEnds(usize),
    Mend,
}

#[derive(Debug, Clone)]
struct Packet {
    from: usize,
    to: usize,
    /// The life it is meant for.
    life: u32,
    bytes: u32,
    cargo: Cargo,
}

#[derive(Debug, Clone)]
enum Cargo {
    Gossip(Rpc),
    /// An old frame, past gossip's memory.
    Replay(MessageId),
    Request(RequestId, Arc<Request>),
    Response(RequestId, Arc<Response>),
    /// What is left of a message after its bytes were changed.
    Damaged(Damaged, Bytes),
    /// The connection is gone: nobody will answer.
    Refused(RequestId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damaged {
    Frame,
    Request,
    Response,
}

/// Up to so many nodes every receiver decodes every message from its bytes; beyond, frames are decoded once
/// and answers are handed over as they are, so that a thousand nodes do not check a million signatures.
const DECODING_NODES: usize = 16;
/// Gossiped messages are kept this long, for late copies and replays; later copies are lost.
const KEEP_MESSAGES_US: u64 = 300_000_000;
/// What a message costs on the wire besides its own bytes.
const ENVELOPE_BYTES: u32 = 64;
/// What a process has to save is on its disk so long after, as in production.
const SAVE_US: u64 = 1_000_000;
/// Nodes start within this time of each other.
const START_SPREAD_US: u64 = 200_000;

impl World {
    /// A world at its beginning; faults drawn by chaos are to be part of the scenario already.
    pub fn new(scenario: &Scenario, seed: u64) -> Self {
        assert_eq!(scenario.chaos, None, "chaos is drawn before");
        let mesh = MeshId::derive(&MeshKey::from_bytes([9; 32]), "world");
        let clones = scenario.faults.iter().filter_map(|fault| match fault.verb {
            Verb::Clone(node) => Some(node),
            _ => None,
        });
        let named = scenario.nodes.len();
        let originals: Vec<usize> = (0..named).chain(clones).collect();
        let mut world = Self {
            seed,
            mesh,
            now_us: 0,
            queue: Queue::new(),
            nodes: Vec::new(),
            by_id: FxHashMap::default(),
            links: Links::new(scenario.network.clone(), originals.len(), seed),
            gossip: scenario
                .gossip
                .clone()
                .map(|params| Gossip::new(params, seed)),
            messages: VecDeque::new(),
            spreads: Spreads::default(),
            first_message: 0,
            active: Vec::new(),
            held: Vec::new(),
            sends: Vec::new(),
            logs: FxHashMap::default(),
            trace: Trace::default(),
            figures: Figures::default(),
            recorder: None,
            mended: false,
            forged: 0,
            slowest_hop_us: 0,
            lists: RefCell::default(),
            scenario: scenario.clone(),
        };
        if let Some(gossip) = &mut world.gossip {
            gossip.grow(originals.len());
        }
        for (number, original) in originals.into_iter().enumerate() {
            world.add(number, original);
        }
        world.choose_peers();
        for node in 0..named {
            let at = prf(seed, node as u64, Purpose::Choice, 0) % START_SPREAD_US;
            world.queue.put(at, Event::Start(node));
        }
        for (number, fault) in scenario.faults.iter().enumerate() {
            world.queue.put(fault.at_us, Event::FaultBegins(number));
        }
        world.queue.put(scenario.mended_at_us(), Event::Mend);
        world
    }

    fn add(&mut self, number: usize, original: usize) {
        let mut bytes = [0; 32];
        for (word, chunk) in bytes.chunks_mut(8).enumerate() {
            let drawn = prf(0, original as u64, Purpose::Identity, word as u64);
            chunk.copy_from_slice(&drawn.to_le_bytes());
        }
        let identity = Identity::from_bytes(bytes);
        let clone = number >= self.scenario.nodes.len();
        let mark = if clone { "'" } else { "" };
        let name = format!("{}{mark}", self.scenario.nodes[original]);
        self.by_id
            .entry(identity.replica())
            .or_default()
            .push(number);
        self.figures.nodes.push(NodeFigures {
            name: name.clone(),
            ..NodeFigures::default()
        });
        let mut node = Node::new(name, identity, original);
        node.saves = self.scenario.faults.iter().any(|fault| match fault.verb {
            Verb::Crash { node, .. } | Verb::Leave(node) | Verb::Clone(node) => node == original,
            _ => false,
        });
        self.nodes.push(node);
    }

    /// From now on notes what a report draws.
    pub fn record(&mut self, recorder: Recorder) {
        self.recorder = Some(recorder);
    }

    /// Makes the next thing happen, unless it is due after `end_us`: then time is `end_us`, and nothing has
    /// happened.
    pub fn step(&mut self, end_us: u64) -> Option<Step> {
        while let Some((at_us, event)) = self.queue.take(end_us) {
            assert!(at_us >= self.now_us, "time never goes back");
            self.now_us = at_us;
            self.figures.events += 1;
            if let Some(step) = self.happen(event) {
                if self.recorder.is_some() {
                    self.record_lamps(step.node);
                }
                return Some(step);
            }
        }
        self.now_us = self.now_us.max(end_us);
        None
    }

    fn happen(&mut self, event: Event) -> Option<Step> {
        if let Some(node) = event.node()
            && self.nodes[node].paused > 0
        {
            self.nodes[node].waiting.push(event);
            return None;
        }
        match event {
            Event::Start(node) => self.start(node),
            Event::Timer(node, life) => self.on_timer(node, life),
            Event::Heartbeat(node, life) => {
                self.on_heartbeat(node, life);
                None
            }
            Event::Populate(node, life) => self.populate(node, life),
            Event::Write(node) => self.on_write(node),
            Event::Dial(a, b) => {
                self.dial(a, b);
                None
            }
            Event::Notice(a, b) => {
                if !self.links.passes(a, b) && !self.links.passes(b, a) {
                    self.disconnect(a, b);
                }
                None
            }
            Event::Reset(node, dead, life) => {
                if self.nodes[node].peers.life(dead) == Some(life) {
                    self.lose_peer(node, dead);
                }
                None
            }
            Event::PeerUp(node, peer, life) if self.nodes[node].lives(life) => {
                Some(self.handle(node, Input::PeerUp { peer }, Cause::PeerUp))
            }
            Event::PeerDown(node, peer, life) if self.nodes[node].lives(life) => {
                Some(self.handle(node, Input::PeerDown { peer }, Cause::PeerDown))
            }
            Event::PeerUp(..) | Event::PeerDown(..) => None,
            Event::Arrive(packet) => self.arrive(packet),
            Event::Stop(node, life) => {
                if self.nodes[node].lives(life) {
                    self.stop(node, false);
                }
                None
            }
            Event::FaultBegins(number) => self.begin(number),
            Event::FaultEnds(number) => {
                self.end(number);
                None
            }
            Event::Mend => {
                self.mend();
                None
            }
        }
    }

    fn on_timer(&mut self, node: usize, life: u32) -> Option<Step> {
        if !self.nodes[node].lives(life) {
            return None;
        }
        self.nodes[node].timer_us = u64::MAX;
        let due = self.nodes[node].due_us()?;
        if due > self.now_us {
            self.set_timer(node);
            return None;
        }
        Some(self.handle(node, Input::Timeout, Cause::Timeout))
    }

    fn set_timer(&mut self, node: usize) {
        let this = &mut self.nodes[node];
        let Some(due) = this.due_us() else { return };
        let due = due.max(self.now_us);
        if due < this.timer_us {
            this.timer_us = due;
            let life = this.life;
            self.queue.put(due, Event::Timer(node, life));
        }
    }

    /// Hands an input to a replica.
    fn handle(&mut self, node: usize, input: Input, cause: Cause) -> Step {
        self.trace_step(node, &cause);
        let touched = match &input {
            Input::Frame { frame, .. } => vec![frame.header().replica],
            Input::Response { response, .. } => log::origins(response),
            _ => Vec::new(),
        };
        let head_before = self.own_head(node);
        let now = self.now_of(node);
        self.nodes[node].up_mut().handle(input, now);
        self.settle(node, cause, touched, head_before)
    }

    /// Carries out what a replica wants done after something happened to it.
    fn settle(
        &mut self,
        node: usize,
        cause: Cause,
        touched: Vec<ReplicaId>,
        head_before: u64,
    ) -> Step {
        // First, while every write of this step is still to be seen in its own map.
        self.log_own(node);
        self.save_when_due(node);
        let mut sent = Vec::new();
        while let Some(output) = self.nodes[node].up_mut().poll_output() {
            match output {
                Output::Publish { frame } => sent.push(self.publish(node, frame)),
                Output::Request { to, id, request } => {
                    let request = Arc::new(request);
                    self.ask(node, to, id, request.clone());
                    sent.push(Sent::Request { to, request });
                }
                Output::Respond { to, id, response } => {
                    let response = Arc::new(response);
                    self.answer(node, to, id, response.clone());
                    sent.push(Sent::Response { to, response });
                }
                Output::MembersChanged => {}
                Output::Report(report) => self.note_report(node, report),
            }
        }
        self.set_timer(node);
        Step {
            at_us: self.now_us,
            node,
            cause,
            news: self.see(node, touched),
            sent,
            head_before,
        }
    }

    fn save_when_due(&mut self, node: usize) {
        let this = &mut self.nodes[node];
        if this.saves && self.now_us - this.saved_us >= SAVE_US {
            this.save(self.now_us);
        }
    }

    /// Takes down something noteworthy.
    fn note(&mut self, what: &str, node: usize, text: &str) {
        if let Some(recorder) = &mut self.recorder {
            recorder.line(self.now_us, what, &self.nodes[node].name, text);
        }
    }

    fn note_fault(&mut self, what: &str, fault: &Fault) {
        if let Some(recorder) = &mut self.recorder {
            let text = format!("{:?}", fault.verb);
            recorder.line(self.now_us, &format!("fault {what}"), "", &text);
        }
    }

    fn note_report(&mut self, node: usize, report: Report) {
        let (at_us, name) = (self.now_us, self.nodes[node].name.clone());
        if let Some(recorder) = &mut self.recorder {
            recorder.line(at_us, "report", &name, &format!("{report:?}"));
        }
        if self.mended && matches!(report, Report::Fenced { .. }) {
            // Its operator gives it a new life.
            let life = self.nodes[node].life;
            self.queue
                .put(at_us + RESTARTED_US, Event::Stop(node, life));
            self.queue.put(at_us + RESTARTED_US + 1, Event::Start(node));
        }
        let reports = &mut self.nodes[node].reports;
        if reports.len() < MAX_REPORTS {
            reports.push((at_us, report));
        }
    }

    fn trace_step(&mut self, node: usize, cause: &Cause) {
        self.trace.word(self.now_us);
        let tag = match cause {
            Cause::Started => 1,
            Cause::Write(_) => 2,
            Cause::Leave => 3,
            Cause::Frame => 4,
            Cause::Request => 5,
            Cause::Response => 6,
            Cause::Failed => 7,
            Cause::Timeout => 8,
            Cause::PeerUp => 9,
            Cause::PeerDown => 10,
        };
        self.trace.word((node as u64) << 8 | tag);
    }

    fn own_head(&self, node: usize) -> u64 {
        self.replica(node).map_or(0, Replica::head)
    }

    fn now_of(&self, node: usize) -> Now {
        self.nodes[node].clock.now(self.now_us)
    }

    /// The time, in µs since the start.
    pub fn now_us(&self) -> u64 {
        self.now_us
    }

    /// What it runs.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// How many nodes there are, clones included.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// What a node is called.
    pub fn name(&self, node: usize) -> &str {
        &self.nodes[node].name
    }

    /// A node's replica, while it is up.
    pub fn replica(&self, node: usize) -> Option<&Replica> {
        self.nodes[node].replica.as_deref()
    }

    /// Who a node is; clones share it.
    pub fn id(&self, node: usize) -> ReplicaId {
        self.nodes[node].identity.replica()
    }

    /// The nodes of an identity: the first, and its clones.
    pub fn numbers(&self, replica: ReplicaId) -> &[usize] {
        self.by_id.get(&replica).map_or(&[], Vec::as_slice)
    }

    /// Whose disk a node begins with: a clone's is that of its original, anyone else's its own.
    pub fn original(&self, node: usize) -> usize {
        self.nodes[node].original
    }

    /// Counts the lives of a node, from 1; 0 before the first.
    pub fn life(&self, node: usize) -> u32 {
        self.nodes[node].life
    }

    /// Whether a node stands still.
    pub fn is_paused(&self, node: usize) -> bool {
        self.nodes[node].paused > 0
    }

    /// Whether a node has stopped publishing because another process uses its identity.
    pub fn is_fenced(&self, node: usize) -> bool {
        self.nodes[node].fenced()
    }

    /// When a node went down, while it is.
    pub fn down_since_us(&self, node: usize) -> Option<u64> {
        self.nodes[node].down_since_us
    }

    /// What a node says now of the keys it owns: what its users wrote in this life, or in an earlier one that was
    /// saved.
    pub fn said(&self, node: usize) -> &BTreeMap<Key, Value> {
        &self.nodes[node].said
    }

    /// A node's clocks as it sees them.
    pub fn clock(&self, node: usize) -> Now {
        self.now_of(node)
    }

    /// How far a node's wall clock is off, in ms.
    pub fn clock_off_ms(&self, node: usize) -> i64 {
        self.nodes[node].clock.off_ms(self.now_us)
    }

    /// By how much more than it knows what a node found on its disk may be old, in ms: its wall clock went back
    /// while it was down.
    pub fn younger_ms(&self, node: usize) -> u64 {
        self.nodes[node].younger_ms
    }

    /// What a node reported in its lives: when, and what.
    pub fn reports(&self, node: usize) -> &[(u64, Report)] {
        &self.nodes[node].reports
    }

    /// Whether frames and answers pass from one node to another at once: both up, connected, nothing blocking
    /// or holding. To one that stands still they do: they wait in its machine, and are read when it goes on.
    pub fn passes(&self, from: usize, to: usize) -> bool {
        self.nodes[from].replica.is_some()
            && self.nodes[to].replica.is_some()
            && self.nodes[from].paused == 0
            && self.nodes[to].peers.life(from) == Some(self.nodes[from].life)
            && self.links.passes(from, to)
            && !self.links.holds(from, to)
    }

    /// Whether what is sent from one node to another waits until it is released.
    pub fn holds(&self, from: usize, to: usize) -> bool {
        self.links.holds(from, to)
    }

    /// The nodes that a node believes to be connected to.
    pub fn peers(&self, node: usize) -> impl Iterator<Item = usize> + use<'_> {
        self.nodes[node].peers.iter()
    }

    /// The longest that a gossiped message travelled from one node to the next so far, without held ones.
    pub fn slowest_hop_us(&self) -> u64 {
        self.slowest_hop_us
    }

    /// How many damaged frames were taken for genuine.
    pub fn forged(&self) -> u64 {
        self.forged
    }

    /// Whether everything has been mended: no faults and no writes any more.
    pub fn is_mended(&self) -> bool {
        self.mended
    }

    /// Everything that one life of an origin wrote, as it wrote it.
    pub fn log(&self, replica: ReplicaId, incarnation: Incarnation) -> Option<&Log> {
        self.logs.get(&(replica, incarnation))
    }

    /// What a node shows in a space, with the ages as of what happened last anywhere.
    pub fn list(&self, node: usize, space: SpaceId) -> Listed {
        let (at, lists) = &mut *self.lists.borrow_mut();
        if *at != self.figures.events {
            *at = self.figures.events;
            lists.clear();
        }
        let list = || {
            let now = self.now_of(node);
            self.replica(node).map_or_else(Vec::new, |replica| {
                replica.list(space, &Pattern::any(), now)
            })
        };
        let listed = lists.entry((node, space)).or_insert_with(|| list().into());
        Rc::clone(listed)
    }

    /// How much faster a node's clocks run, in millionths.
    pub fn drift_ppm(&self, node: usize) -> i64 {
        self.nodes[node].clock.drift_ppm()
    }

    /// Takes what a node's watchers were given since the last time, by space. The first of a life is a
    /// snapshot.
    pub fn take_watched(&mut self, node: usize) -> Vec<(SpaceId, Vec<Watched>)> {
        let now = self.now_of(node);
        let this = &mut self.nodes[node];
        let Some(replica) = this.replica.as_mut().filter(|_| this.paused == 0) else {
            return Vec::new();
        };
        if this.watching != this.life {
            this.watching = this.life;
            this.watches = [SpaceId::DEVICES, SpaceId::MAILBOXES]
                .map(|space| {
                    let watch = replica.watch(space, Pattern::any(), false);
                    (space, watch.expect("two of a life are below any limit"))
                })
                .to_vec();
        }
        let taken = this.watches.iter().map(|(space, id)| {
            let items = std::iter::from_fn(|| replica.poll_watch(*id, now)).collect();
            (*space, items)
        });
        taken.collect()
    }

    /// What has been counted so far.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// The hash of everything so far.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    pub(super) fn recorder_mut(&mut self) -> Option<&mut Recorder> {
        self.recorder.as_mut()
    }

    pub(super) fn take_recorder(&mut self) -> Option<Recorder> {
        self.recorder.take()
    }

    fn record_lamps(&mut self, node: usize) {
        let Some(recorder) = &mut self.recorder else {
            return;
        };
        let now = self.nodes[node].clock.now(self.now_us);
        let replica = self.nodes[node].replica.as_ref();
        let keys = recorder.keys().to_vec();
        for (lamp, key) in keys.iter().enumerate() {
            let shown = replica.and_then(|replica| replica.get(key, now));
            let shown: Option<(_, Freshness)> =
                shown.map(|shown| (shown.value.device_state(), shown.freshness));
            recorder.lamp(self.now_us, node, lamp, shown);
        }
    }
}

/// After everything was mended, who finds itself fenced is started again after this long.
const RESTARTED_US: u64 = 1_000_000;
/// Reports kept per node; further ones are only recorded.
const MAX_REPORTS: usize = 64;

impl Event {
    /// The node that has to be awake for it.
    fn node(&self) -> Option<usize> {
        match self {
            Self::Timer(node, _)
            | Self::Heartbeat(node, _)
            | Self::Populate(node, _)
            | Self::Write(node)
            | Self::PeerUp(node, ..)
            | Self::PeerDown(node, ..)
            | Self::Stop(node, _) => Some(*node),
            Self::Arrive(packet) => Some(packet.to),
            _ => None,
        }
    }
}
