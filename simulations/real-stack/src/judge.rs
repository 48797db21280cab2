//! Who watches the lamps of all nodes from outside, and what must hold of them.
//!
//! The judge sees what users do: [`Space::list`](presence_mesh::Space::list) and [`Mesh::digest`] of every node;
//! what must hold inside the nodes is in [`Stores`]. The rules are the simulator's, written over that:
//!
//! - **lie**: nothing is shown live of an origin of which nobody could have known for `stale_after` that it
//!   runs, nor a value that was overwritten that long ago; nothing that is not flagged gone after `gone_after`.
//! - **age**: what is shown stale is not said to be younger than it can be.
//! - **content** (O): what is shown is what its origin wrote.
//! - **monotone** (M): what is shown of an origin's key never goes back.
//! - **agreement**: after the faults, equal digests, equal lists, everything live that runs; and equal digests
//!   never with different lists.
//!
//! What *could* be known is computed beside the network, from which lines are open: see [`Judge::spread`].

use std::collections::BTreeMap;
use std::time::Duration;

use presence_mesh::{
    Contribution, DeviceState, Digest, Freshness, Incarnation, Mesh, MessageCounts, Pattern,
    ReplicaId, Shown, Timing,
};
use tokio::time::Instant;

use crate::outcome::Outcome;
use crate::stores::Stores;
use crate::world::{Node, lamp, mailbox};

/// What passes between two nodes, one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    Open,
    /// What is sent arrives when it opens.
    Held,
    Cut,
}

/// How late a node may be in knowing what it could know: some hops of 20 ms, and how often we look.
const PROPAGATION: Duration = Duration::from_millis(400);

/// The value of a device or a mailbox, comparable over both.
#[derive(Debug, Clone, PartialEq)]
enum Said {
    Lamp(DeviceState),
    Box(MessageCounts),
}

/// What one write said, and how long that was so.
#[derive(Debug)]
struct Written {
    said: Said,
    /// When its origin said something else, or came back without having said it again.
    over_at: Option<Instant>,
}

/// A write: of whom, in which life, under which number.
type Dot = (ReplicaId, Incarnation, u64);

/// One contribution as anybody may see it.
type Seen = (String, Dot, Said, Freshness);

pub struct Judge {
    pub outcome: Outcome,
    ids: Vec<ReplicaId>,
    timing: Timing,
    lines: BTreeMap<(usize, usize), Line>,
    running: Vec<bool>,
    /// `known[a][b]`: the latest moment at which `a` can know that `b` ran.
    known: Vec<Vec<Instant>>,
    /// The same of what is under way on lines that are held.
    held: BTreeMap<(usize, usize), Vec<Instant>>,
    written: BTreeMap<Dot, Written>,
    /// By node and space: what it said last.
    last: BTreeMap<(usize, bool), Dot>,
    /// By observer, key and origin: what was shown last.
    shown: BTreeMap<(usize, String, ReplicaId), (Incarnation, u64)>,
    stores: Stores,
    looks: u64,
    /// The longest silence of an origin shown live, and the longest time a value shown live was over.
    longest_silence: Duration,
    longest_over: Duration,
}

impl Judge {
    pub fn new(ids: &[ReplicaId], timing: Timing) -> Self {
        let now = Instant::now();
        Self {
            outcome: Outcome::default(),
            ids: ids.to_vec(),
            timing,
            lines: BTreeMap::new(),
            running: vec![false; ids.len()],
            known: vec![vec![now; ids.len()]; ids.len()],
            held: BTreeMap::new(),
            written: BTreeMap::new(),
            last: BTreeMap::new(),
            shown: BTreeMap::new(),
            stores: Stores::default(),
            looks: 0,
            longest_silence: Duration::ZERO,
            longest_over: Duration::ZERO,
        }
    }

    /// A node begins a life, knowing nothing.
    pub fn started(&mut self, node: usize) {
        self.running[node] = true;
        self.stores.started(node);
        // What it said in its earlier life it has not said in this one.
        for space in [true, false] {
            if let Some(dot) = self.last.remove(&(node, space)) {
                self.over(dot);
            }
        }
        self.shown.retain(|(observer, ..), _| *observer != node);
    }

    pub fn stopped(&mut self, node: usize) {
        self.spread();
        self.running[node] = false;
    }

    pub fn set_line(&mut self, from: usize, to: usize, line: Line) {
        self.spread();
        let before = self.lines.insert((from, to), line);
        if before == Some(Line::Held)
            && let Some(under_way) = self.held.remove(&(from, to))
            && line == Line::Open
        {
            learn(&mut self.known[to], &under_way);
        }
    }

    /// A node wrote its lamp and its mailbox.
    pub fn wrote(&mut self, node: usize, mesh: &Mesh) {
        let device = mesh.devices().get(&lamp(node));
        let counts = mesh.mailboxes().get(&mailbox(node));
        let device = device.and_then(|shown| own(&shown, Said::Lamp));
        let counts = counts.and_then(|shown| own(&shown, Said::Box));
        for (space, wrote) in [(true, device), (false, counts)] {
            let (dot, said) = wrote.expect("a node reads what it wrote");
            if let Some(before) = self.last.insert((node, space), dot) {
                self.over(before);
            }
            let over_at = None;
            self.written.insert(dot, Written { said, over_at });
        }
    }

    fn over(&mut self, dot: Dot) {
        if let Some(written) = self.written.get_mut(&dot) {
            written.over_at = Some(Instant::now());
        }
    }

    /// Looks at everything every node shows.
    pub fn look(&mut self, nodes: &[Node]) {
        self.spread();
        self.stores.look(nodes, &mut self.outcome);
        let mut lists: BTreeMap<Digest, (usize, Vec<Seen>)> = BTreeMap::new();
        for (observer, node) in nodes.iter().enumerate() {
            let Some(mesh) = &node.mesh else { continue };
            self.looks += 1;
            let store = self.judge_lists(observer, mesh);
            match lists.get(&mesh.digest()) {
                None => drop(lists.insert(mesh.digest(), (observer, store))),
                Some((other, theirs)) => self.outcome.demand(*theirs == store, || {
                    format!("node{observer} and node{other} have equal digests and show different things")
                }),
            }
        }
    }

    /// Says what the store holds, as far as it is shown; how fresh that is is everybody's own opinion.
    fn judge_lists(&mut self, observer: usize, mesh: &Mesh) -> Vec<Seen> {
        let mut seen = Vec::new();
        for shown in mesh.devices().list(&Pattern::any()) {
            self.judge_gone(observer, &shown);
            for one in &shown.contributions {
                let said = Said::Lamp(one.value);
                self.judge_one(observer, &shown.key, one, &said);
                // What is left of an earlier life is not in the store any more.
                if !one.previous {
                    seen.push((shown.key.to_string(), dot(one), said, Freshness::Live));
                }
            }
        }
        for shown in mesh.mailboxes().list(&Pattern::any()) {
            for one in &shown.contributions {
                let said = Said::Box(one.value);
                self.judge_one(observer, &shown.key, one, &said);
                // What is left of an earlier life is not in the store any more.
                if !one.previous {
                    seen.push((shown.key.to_string(), dot(one), said, Freshness::Live));
                }
            }
        }
        seen
    }

    fn judge_one<T>(&mut self, observer: usize, key: &str, one: &Contribution<T>, said: &Said) {
        let now = Instant::now();
        let Some(origin) = self.ids.iter().position(|id| *id == one.replica) else {
            self.outcome.demand(false, || {
                format!("node{observer} shows {key} of a stranger")
            });
            return;
        };
        let what = format!("node{observer} shows {key} of node{origin}");

        let written = self.written.get(&dot(one));
        self.outcome
            .demand(written.is_some_and(|written| written.said == *said), || {
                format!("content: {what} as {said:?}, which it never wrote")
            });

        let place = (observer, key.to_owned(), one.replica);
        let shown = (one.incarnation, one.seq);
        let before = self.shown.insert(place, shown);
        self.outcome
            .demand(before.is_none_or(|before| before <= shown), || {
                format!("monotone: {what} at {shown:?} after {before:?}")
            });

        if observer == origin {
            return;
        }
        let silence = now - self.known[observer][origin];
        let over = written
            .and_then(|written| written.over_at)
            .map_or(Duration::ZERO, |at| now - at);
        if one.freshness == Freshness::Live {
            self.longest_silence = self.longest_silence.max(silence);
            self.longest_over = self.longest_over.max(over);
            let limit = self.timing.stale_after + PROPAGATION;
            self.outcome.demand(silence <= limit, || {
                format!("lie: {what} live {silence:?} after it could last be known to run")
            });
            self.outcome.demand(over <= limit, || {
                format!("lie: {what} live as {said:?} {over:?} after that was over")
            });
            self.outcome.demand(!one.previous, || {
                format!("lie: {what} live from an earlier life")
            });
        }
        self.outcome.demand(one.age + PROPAGATION >= silence, || {
            format!("age: {what} as {:?} old, it is {silence:?}", one.age)
        });
    }

    /// A lamp whose origin is gone for all that can be known is flagged so.
    fn judge_gone(&mut self, observer: usize, shown: &Shown<DeviceState>) {
        let now = Instant::now();
        let limit = self.timing.gone_after + PROPAGATION;
        let silences = shown.contributions.iter().map(|one| {
            let origin = self.ids.iter().position(|id| *id == one.replica);
            origin.map_or(Duration::ZERO, |origin| now - self.known[observer][origin])
        });
        let silence = silences.min().unwrap_or_default();
        self.outcome.demand(
            silence <= limit || shown.freshness == Freshness::Gone,
            || {
                format!(
                    "lie: node{observer} shows {} {:?} {silence:?} after anybody could last be known to run",
                    shown.key, shown.freshness
                )
            },
        );
    }

    /// Carries what can be known along all open lines, as if nothing took time; on those that are held it
    /// gathers. So a node that is cut off knows what it knew then, and one to whom old frames are released knows
    /// what was so when they were sent.
    fn spread(&mut self) {
        let now = Instant::now();
        for node in 0..self.ids.len() {
            if self.running[node] {
                self.known[node][node] = now;
            }
        }
        let mut learnt = true;
        while learnt {
            learnt = false;
            for from in 0..self.ids.len() {
                for to in 0..self.ids.len() {
                    let line = self.lines.get(&(from, to)).copied().unwrap_or(Line::Open);
                    if line == Line::Open && self.running[from] && self.running[to] {
                        let theirs = self.known[from].clone();
                        learnt |= learn(&mut self.known[to], &theirs);
                    }
                }
            }
        }
        for (&(from, to), line) in &self.lines {
            if *line == Line::Held && self.running[from] {
                self.held.insert((from, to), self.known[from].clone());
            }
        }
    }

    /// The first thing about which running nodes differ, or that one does not show as it is.
    pub fn difference(&self, nodes: &[Node]) -> Option<String> {
        let running = || {
            let numbered = nodes.iter().enumerate();
            numbered.filter_map(|(number, node)| Some((number, node.mesh.as_ref()?)))
        };
        let (first, reference) = running().next()?;
        for (number, mesh) in running() {
            if mesh.digest() != reference.digest() {
                return Some(format!(
                    "node{first} and node{number} have different digests"
                ));
            }
            let list = list(mesh);
            for (origin, _) in running() {
                for space in [true, false] {
                    let Some(dot) = self.last.get(&(origin, space)) else {
                        continue;
                    };
                    let shown = list
                        .iter()
                        .find(|(_, seen, ..)| seen == dot)
                        .map(|(.., freshness)| *freshness);
                    if shown != Some(Freshness::Live) {
                        return Some(format!(
                            "node{number} shows what node{origin} wrote last as {shown:?}"
                        ));
                    }
                }
            }
            if list != self::list(reference) {
                return Some(format!("node{first} and node{number} show different lists"));
            }
        }
        None
    }

    /// Whether a node shows all that others wrote with this freshness.
    pub fn demand_shown(&mut self, observer: &Node, of: &[usize], wanted: Freshness) {
        let Some(mesh) = &observer.mesh else { return };
        for &origin in of {
            let shown = mesh.devices().get(&lamp(origin));
            let freshness = shown.map(|shown| shown.freshness);
            // A device that is gone may be not listed at all.
            let holds =
                freshness == Some(wanted) || (wanted == Freshness::Gone && freshness.is_none());
            self.outcome.demand(holds, || {
                format!(
                    "{} shows the lamp of node{origin} as {freshness:?}, not {wanted:?}",
                    mesh.status().node
                )
            });
        }
    }

    pub fn report(&mut self) {
        let figure = format!(
            "{} looks; longest shown live: {:.2} s after the last that could be known, {:.2} s after it was over",
            self.looks,
            self.longest_silence.as_secs_f64(),
            self.longest_over.as_secs_f64(),
        );
        self.outcome.figure(figure);
    }
}

fn list(mesh: &Mesh) -> Vec<Seen> {
    let devices = mesh.devices().list(&Pattern::any());
    let devices = devices.iter().flat_map(|shown| {
        let all = shown.contributions.iter();
        all.map(|one| seen(&shown.key, one, Said::Lamp(one.value)))
    });
    let boxes = mesh.mailboxes().list(&Pattern::any());
    let boxes = boxes.iter().flat_map(|shown| {
        let all = shown.contributions.iter();
        all.map(|one| seen(&shown.key, one, Said::Box(one.value)))
    });
    devices.chain(boxes).collect()
}

fn seen<T>(key: &str, one: &Contribution<T>, said: Said) -> Seen {
    (key.to_owned(), dot(one), said, one.freshness)
}

fn own<T: Clone>(shown: &Shown<T>, said: impl Fn(T) -> Said) -> Option<(Dot, Said)> {
    let own = shown.contributions.iter().find(|one| one.own)?;
    Some((dot(own), said(own.value.clone())))
}

fn dot<T>(one: &Contribution<T>) -> Dot {
    (one.replica, one.incarnation, one.seq)
}

/// Takes the later of each; says whether anything was new.
fn learn(known: &mut [Instant], theirs: &[Instant]) -> bool {
    let mut learnt = false;
    for (mine, theirs) in known.iter_mut().zip(theirs) {
        if *theirs > *mine {
            *mine = *theirs;
            learnt = true;
        }
    }
    learnt
}
