//! All that is on show, and what somebody who sits before it is looking at.

mod focus;
mod press;

use std::time::{Duration, Instant};

use presence_mesh::Standing;

pub use focus::{Asked, Focus};
pub use press::Wish;

use super::arrivals::Arrivals;
use super::lamps::{Lamps, Lost};
use super::log::{Log, Weight};
use super::node::{Link, Node};
use super::pulse::Pulse;
use super::spread::Spread;
use super::told::Told;
use crate::api::{EventObject, NodeStatus, PeerObject};
use crate::span;

/// A node that said nothing for so many beats of a second each is lost: the pages hold it so, too.
const SILENCE: Duration = Duration::from_secs(4);
/// How long an outcome stays in the first line.
const BANNER_STAYS: Duration = Duration::from_secs(15);
/// Nodes shown; a mesh of more wants a wall, not a terminal.
const MOST_NODES: usize = 1_000;

/// Everything on show.
#[derive(Debug)]
pub struct Board {
    pub scope: Scope,
    start: Instant,
    pub status: Option<NodeStatus>,
    nodes: Vec<Node>,
    pub lamps: Lamps,
    pub log: Log,
    /// How long changes take until all show them; `None` where nobody can know.
    pub spread: Option<Spread>,
    /// Changes of each second.
    pub changes: Pulse,
    /// How long writes of others took until the node showed them.
    pub arrivals: Arrivals,
    line: Line,
    pub network: Network,
    banner: Option<(String, Weight, Instant)>,
    pub focus: Focus,
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The demonstration: things can be provoked.
    Demo,
    /// A running node at this address: it is only looked at.
    Node(String),
}

/// What somebody did to the demonstration's network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// Nothing; whether all nodes hold the same.
    Whole {
        agree: bool,
    },
    Cut {
        sides: [Vec<String>; 2],
    },
    Healing,
}

/// The connection to the node.
#[derive(Debug)]
struct Line {
    heard_at: Instant,
    lost_since: Lost,
    /// Why, and when it is asked again.
    trouble: Option<(String, Instant)>,
    /// Spaces of which this connection has told all.
    told: [bool; 3],
    beat: bool,
    /// It was up once.
    known: bool,
}

impl Board {
    pub fn new(scope: Scope, now: Instant) -> Self {
        Self {
            spread: (scope == Scope::Demo).then(|| Spread::new(now)),
            scope,
            start: now,
            status: None,
            nodes: Vec::new(),
            lamps: Lamps::default(),
            log: Log::default(),
            changes: Pulse::new(now),
            arrivals: Arrivals::default(),
            line: Line {
                heard_at: now,
                lost_since: None,
                trouble: None,
                told: [false; 3],
                beat: false,
                known: false,
            },
            network: Network::Whole { agree: true },
            banner: None,
            focus: Focus::default(),
        }
    }

    /// Takes in what a source says.
    pub fn tell(&mut self, told: Told, now: Instant) {
        match told {
            Told::Beat(status, peers) => self.beat(status, &peers, now),
            Told::All(space, all) => {
                self.lamps.all(space, all, now);
                self.line.told[space as usize] = true;
                self.heard(now);
            }
            Told::Change(space, key, new) => {
                self.changes.add(now, 1.0);
                self.lamps.change(space, &key, new, now);
                self.line.heard_at = now;
            }
            Told::People(people) => self.lamps.people(people),
            Told::Event(event) => self.note(now, &event_words(&event), Weight::Plain),
            Told::Gap(gap) => self.note(now, &gap.to_string(), Weight::Plain),
            Told::Arrivals(buckets) => self.arrivals.take(buckets),
            Told::Why(whys) => self.focus.explained(whys),
            Told::Lost { why, again_in } => self.lose(why, again_in, now),
        }
    }

    fn beat(&mut self, status: NodeStatus, peers: &[PeerObject], now: Instant) {
        let mut nodes: Vec<Node> = peers.iter().map(Node::of).collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        nodes.insert(0, Node::own(&status.node));
        let known = !self.nodes.is_empty();
        let before = std::mem::take(&mut self.nodes);
        if known {
            for node in &nodes[1..] {
                let old = before.iter().find(|old| old.name == node.name);
                if let Some((text, weight)) = news(old, node) {
                    self.note(now, &text, weight);
                }
            }
        }
        self.set_nodes(nodes);
        self.status = Some(status);
        self.line.beat = true;
        self.heard(now);
    }

    fn heard(&mut self, now: Instant) {
        let line = &mut self.line;
        line.heard_at = now;
        if !(line.beat && line.told.iter().all(|told| *told)) {
            return;
        }
        line.trouble = None;
        let (known, lost) = (line.known, line.lost_since.take());
        line.known = true;
        if !known {
            self.note(now, "connected", Weight::Good);
        } else if let Some(since) = lost {
            let away = span::age(now.saturating_duration_since(since));
            self.note(now, &format!("connected again after {away}"), Weight::Good);
        }
    }

    fn lose(&mut self, why: String, again_in: Duration, now: Instant) {
        let line = &mut self.line;
        (line.told, line.beat) = ([false; 3], false);
        line.lost_since.get_or_insert(line.heard_at);
        let again = line.trouble.is_some();
        let text = format!("no connection: {why}");
        line.trouble = Some((why, now + again_in));
        if !again {
            self.note(now, &text, Weight::Bad);
        }
    }

    /// Time has passed. What is to be asked again, if anything.
    pub fn tick(&mut self, now: Instant) -> Option<Wish> {
        let silent = now.saturating_duration_since(self.line.heard_at) > SILENCE;
        if matches!(self.scope, Scope::Node(_))
            && self.line.known
            && silent
            && self.line.lost_since.is_none()
        {
            self.line.lost_since = Some(self.line.heard_at);
            let text = format!("the node has said nothing for {}", span::age(SILENCE));
            self.note(now, &text, Weight::Bad);
        }
        let over = |(_, _, at): &(String, Weight, Instant)| {
            now.saturating_duration_since(*at) > BANNER_STAYS
        };
        if self.banner.as_ref().is_some_and(over) {
            self.banner = None;
        }
        self.lamps
            .arrange(self.nodes.iter().map(|node| node.name.as_str()));
        self.focus.ask_again(now)
    }

    /// Since when the node is lost; nothing is live then.
    pub fn lost(&self) -> Lost {
        self.line.lost_since
    }

    /// Why the node is lost, and when it is asked again.
    pub fn trouble(&self) -> Option<(&str, Instant)> {
        let (why, at) = self.line.trouble.as_ref()?;
        Some((why, *at))
    }

    pub fn is_demo(&self) -> bool {
        self.scope == Scope::Demo
    }

    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub fn set_nodes(&mut self, mut nodes: Vec<Node>) {
        nodes.truncate(MOST_NODES);
        self.nodes = nodes;
    }

    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes
            .iter()
            .find(|node| node.name.eq_ignore_ascii_case(name))
    }

    /// The node whose view it is.
    pub fn own(&self) -> Option<&Node> {
        self.nodes.iter().find(|node| node.link == Link::Own)
    }

    /// Writes into the log.
    pub fn note(&mut self, now: Instant, text: &str, weight: Weight) {
        let at = self.clock(now);
        self.log.push(at, text, weight);
    }

    /// Puts an outcome into the first line, for a while.
    pub fn announce(&mut self, now: Instant, text: &str, weight: Weight) {
        self.banner = Some((text.to_owned(), weight, now));
    }

    pub fn banner(&self) -> Option<(&str, Weight)> {
        let (text, weight, _) = self.banner.as_ref()?;
        Some((text, *weight))
    }

    pub fn forget_banner(&mut self) {
        self.banner = None;
    }

    /// Since the start of the demonstration; of a node, the time of the day.
    pub fn clock(&self, now: Instant) -> String {
        match self.scope {
            Scope::Demo => {
                let tenths = now.saturating_duration_since(self.start).as_millis() / 100;
                format!(
                    "{:02}:{:02}.{}",
                    tenths / 600,
                    tenths / 10 % 60,
                    tenths % 10
                )
            }
            Scope::Node(_) => jiff::Timestamp::now().strftime("%H:%M:%S").to_string(),
        }
    }
}

/// What is worth telling of a node.
fn news(old: Option<&Node>, new: &Node) -> Option<(String, Weight)> {
    let name = &new.name;
    let Some(old) = old else {
        return Some((
            format!("{name} is known now: {}", new.trust()),
            Weight::Plain,
        ));
    };
    if (old.standing, old.left) == (new.standing, new.left) {
        let links = (old.link, new.link);
        return match links {
            (Link::Up, Link::Down) if new.standing == Standing::Alive => {
                Some((format!("{name}: the connection is lost"), Weight::Plain))
            }
            _ => None,
        };
    }
    Some(match new.standing {
        Standing::Alive => (format!("{name} is heard again"), Weight::Good),
        _ if new.left => (format!("{name} has left"), Weight::Plain),
        Standing::Suspect => (
            format!("{name} is silent: its lamps are shown as old"),
            Weight::Bad,
        ),
        _ => (
            format!("{name} is gone: its lamps are given up"),
            Weight::Bad,
        ),
    })
}

fn event_words(event: &EventObject) -> String {
    let fields = event.fields.iter().map(|(name, value)| match value {
        presence_mesh::FieldValue::Exists => format!(" {name}"),
        value => format!(" {name}={value}"),
    });
    format!(
        "event {} from {}:{}",
        event.kind,
        event.node,
        fields.collect::<String>()
    )
}

#[cfg(test)]
pub mod tests {
    use presence_mesh::{DeviceState, FoundBy, Freshness};

    use super::*;
    use crate::api::{Entries, Object, Part};
    use crate::panel::told::{Item, Space};

    pub fn object(key: &str, item: Item, nodes: &[&str]) -> Object<Item> {
        let part = |node: &&str| Part {
            node: (*node).into(),
            replica: "12D3".into(),
            value: item.clone(),
            freshness: Freshness::Live,
            age_ms: 0,
        };
        Object {
            key: key.into(),
            origin: None,
            contributions: nodes.iter().map(part).collect(),
            value: item,
            freshness: Freshness::Live,
            age_ms: 0,
            changed_at: "2026-01-01T00:00:00.000Z".into(),
        }
    }

    pub fn status(node: &str) -> NodeStatus {
        NodeStatus {
            mesh: "acme".into(),
            node: node.into(),
            replica: "12D3".into(),
            incarnation: "1".into(),
            version: "0.1.0".into(),
            ready: true,
            peers_connected: 1,
            entries: Entries::default(),
            digest: "9f3a21bc00".into(),
            saving: None,
        }
    }

    pub fn peer(node: &str, standing: Standing, connected: bool) -> PeerObject {
        PeerObject {
            node: node.into(),
            replica: "12D3".into(),
            connected,
            standing,
            rtt_ms: connected.then_some(18),
            addresses: Vec::new(),
            found_by: FoundBy::Join,
            attributes: Default::default(),
            version: "0.1.0".into(),
            incarnation: "1".into(),
            age_ms: Some(2_000),
            left: false,
            clock_skew_ms: None,
            entries: 1,
        }
    }

    /// A node with two lamps, connected.
    pub fn top(now: Instant) -> Board {
        let mut board = Board::new(Scope::Node("127.0.0.1:4780".into()), now);
        let peers = vec![peer("paris", Standing::Alive, true)];
        board.tell(Told::Beat(status("berlin"), peers), now);
        let lamps = vec![
            object("PJSIP/100", Item::Device(DeviceState::InUse), &["berlin"]),
            object("PJSIP/200", Item::Device(DeviceState::NotInUse), &["paris"]),
        ];
        board.tell(Told::All(Space::Device, lamps), now);
        board.tell(Told::All(Space::Presence, Vec::new()), now);
        board.tell(Told::All(Space::Mailbox, Vec::new()), now);
        board.tick(now);
        board
    }

    pub fn log(board: &Board) -> Vec<&str> {
        board.log.all().map(|line| line.text.as_str()).collect()
    }

    /// The promise, in `top`: an old lamp is never shown as a live one.
    #[test]
    fn nothing_is_live_from_the_loss_of_the_node_until_it_has_told_all_again() {
        let now = Instant::now();
        let mut board = top(now);
        assert_eq!((board.lost(), log(&board)), (None, vec!["connected"]));
        let later = now + Duration::from_secs(3);
        let lost = || Told::Lost {
            why: "refused".into(),
            again_in: Duration::from_secs(1),
        };
        board.tell(lost(), later);
        board.tell(lost(), later);
        assert_eq!(board.lost(), Some(now));
        assert_eq!(board.lamps.count(board.lost()), (2, 2));
        board.tell(Told::Beat(status("berlin"), Vec::new()), later);
        board.tell(Told::All(Space::Device, Vec::new()), later);
        board.tell(Told::All(Space::Presence, Vec::new()), later);
        assert_eq!(board.lost(), Some(now));
        board.tell(Told::All(Space::Mailbox, Vec::new()), later);
        assert_eq!(board.lost(), None);
        assert_eq!(
            log(&board),
            [
                "connected",
                "no connection: refused",
                "connected again after 3.0 s"
            ]
        );
    }

    /// A node that is stopped keeps its connections open.
    #[test]
    fn a_node_that_says_nothing_is_lost_too() {
        let now = Instant::now();
        let mut board = top(now);
        board.tick(now + SILENCE);
        assert_eq!(board.lost(), None);
        board.tick(now + SILENCE + Duration::from_millis(1));
        assert_eq!(board.lost(), Some(now));
        board.tell(Told::Beat(status("berlin"), Vec::new()), now + 2 * SILENCE);
        assert_eq!(board.lost(), None);
    }

    #[test]
    fn what_becomes_of_nodes_is_in_the_log_once() {
        let now = Instant::now();
        let mut board = top(now);
        for standing in [
            Standing::Suspect,
            Standing::Suspect,
            Standing::Gone,
            Standing::Alive,
        ] {
            let peers = vec![peer("paris", standing, standing == Standing::Alive)];
            board.tell(Told::Beat(status("berlin"), peers), now);
        }
        assert_eq!(
            log(&board)[1..],
            [
                "paris is silent: its lamps are shown as old",
                "paris is gone: its lamps are given up",
                "paris is heard again"
            ]
        );
    }
}
