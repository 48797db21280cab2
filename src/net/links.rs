//! Faults on the real stack: cuts, stalls, delays and losses between pairs of nodes.

mod faulty;
mod memory;
mod relay;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

pub(super) use self::faulty::Faulty;
pub(super) use self::memory::Memory;
use super::random::Random;
use crate::model::ReplicaId;

/// Cuts, stalls, delays and loses what passes between pairs of nodes of one process, on their real
/// connections. For tests and demonstrations.
///
/// Give a clone to every node by [`MeshBuilder::links`](crate::MeshBuilder::links); a pair can be named before
/// its nodes exist. Every verb may be called from any thread, acts at once on what is connected and on what
/// will be, and has a partner that takes it back:
///
/// | verb | partner | what the nodes see |
/// |---|---|---|
/// | `cut` | `mend` | connections are reset, dials refused |
/// | `stall`, `stall_one_way` | `release`, `release_one_way` | nothing arrives and nothing is closed; what was held arrives after the release |
/// | `delay` | `delay` of zero | everything takes that much longer, each way |
/// | `lose` | `lose` of zero | whole gossip frames do not arrive (a stream itself loses nothing) |
/// | `partition` | `heal` | as `cut`, for every pair that is not in one group |
/// | `strand` | none | what is connected now is dead for ever and neither side is told, as when a machine loses power; what was under way arrives, and new connections work |
///
/// ```
/// use presence_mesh::{Identity, Links};
/// use std::time::Duration;
/// let [berlin, paris, rome] = [1, 2, 3].map(|n| Identity::from_bytes([n; 32]).replica());
/// let links = Links::with_seed(7); // give a clone to each builder
/// links.cut(berlin, paris);
/// links.mend(berlin, paris);
/// links.stall(berlin, paris);
/// links.release(berlin, paris);
/// links.stall_one_way(berlin, paris);
/// links.release_one_way(berlin, paris);
/// links.delay(berlin, rome, Duration::from_millis(80));
/// links.lose(berlin, rome, 0.05);
/// links.partition(&[&[berlin], &[paris, rome]]);
/// links.heal();
/// links.strand(rome); // it loses power: nobody is told
/// ```
#[derive(Clone, Default)]
pub struct Links {
    network: Arc<Mutex<Network>>,
}

#[derive(Default)]
struct Network {
    pairs: BTreeMap<Pair, watch::Sender<Condition>>,
    listeners: BTreeMap<SocketAddr, ReplicaId>,
    /// Without sockets: where the listeners wait.
    doors: Option<BTreeMap<SocketAddr, mpsc::Sender<memory::Knock>>>,
    /// The port of the last dial without a socket.
    port: u16,
    /// Numbers the connections, from 1.
    connections: u64,
    random: Random,
}

/// What passes between two nodes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Condition {
    cut: bool,
    /// By direction, see [`Pair::direction`].
    held: [bool; 2],
    delay: Duration,
    /// Share of gossip frames that is lost.
    loss: f64,
    /// Connections up to this number are dead.
    stranded: u64,
}

/// Two nodes, the lesser first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Pair(ReplicaId, ReplicaId);

impl Pair {
    fn of(a: ReplicaId, b: ReplicaId) -> Self {
        if a <= b { Self(a, b) } else { Self(b, a) }
    }

    /// 0 or 1: which way something goes that comes from `from`.
    fn direction(self, from: ReplicaId) -> usize {
        usize::from(from != self.0)
    }
}

impl Links {
    /// All links up.
    ///
    /// ```
    /// let links = presence_mesh::Links::new();
    /// let of_another_node = links.clone();
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// All links up, and no sockets: the nodes meet inside this process at the addresses they listen on, which
    /// may be any (`10.0.0.1:4747`), but not that of all interfaces. With [`MeshBuilder::clock`](crate::MeshBuilder::clock),
    /// nodes then know no time but tokio's, paused or not.
    ///
    /// ```
    /// # fn example() -> Result<(), presence_mesh::AddressError> {
    /// use presence_mesh::{Links, Mesh};
    /// let builder = Mesh::builder("acme").links(Links::in_memory()).listen("10.0.0.1:4747")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn in_memory() -> Self {
        let links = Self::new();
        links.network().doors = Some(BTreeMap::new());
        links
    }

    /// All links up; which frames are lost depends on `seed`.
    pub fn with_seed(seed: u64) -> Self {
        let links = Self::new();
        links.network().random = Random::new(seed);
        links
    }

    /// Resets all connections between two nodes and refuses new ones.
    pub fn cut(&self, a: ReplicaId, b: ReplicaId) {
        self.change(Pair::of(a, b), |condition| condition.cut = true);
    }

    /// Takes [`Links::cut`] back.
    pub fn mend(&self, a: ReplicaId, b: ReplicaId) {
        self.change(Pair::of(a, b), |condition| condition.cut = false);
    }

    /// Holds everything between two nodes, the end of a connection included; dials hang.
    pub fn stall(&self, a: ReplicaId, b: ReplicaId) {
        self.change(Pair::of(a, b), |condition| condition.held = [true; 2]);
    }

    /// Takes [`Links::stall`] and [`Links::stall_one_way`] back: what was held arrives.
    pub fn release(&self, a: ReplicaId, b: ReplicaId) {
        self.change(Pair::of(a, b), |condition| condition.held = [false; 2]);
    }

    /// Holds what goes from one node to another; dials hang, both ways.
    pub fn stall_one_way(&self, from: ReplicaId, to: ReplicaId) {
        let pair = Pair::of(from, to);
        self.change(pair, |condition| {
            condition.held[pair.direction(from)] = true
        });
    }

    /// Takes [`Links::stall_one_way`] back: what was held arrives.
    pub fn release_one_way(&self, from: ReplicaId, to: ReplicaId) {
        let pair = Pair::of(from, to);
        self.change(pair, |condition| {
            condition.held[pair.direction(from)] = false
        });
    }

    /// Makes everything between two nodes take this much longer, each way.
    pub fn delay(&self, a: ReplicaId, b: ReplicaId, delay: Duration) {
        self.change(Pair::of(a, b), |condition| condition.delay = delay);
    }

    /// Loses gossip frames between two nodes with this probability (0 to 1), each way.
    pub fn lose(&self, a: ReplicaId, b: ReplicaId, probability: f64) {
        self.change(Pair::of(a, b), |condition| condition.loss = probability);
    }

    /// Cuts every pair of which the two are in different groups. Nodes in no group keep all their links.
    pub fn partition(&self, groups: &[&[ReplicaId]]) {
        for (number, group) in groups.iter().enumerate() {
            for other in &groups[number + 1..] {
                for &a in *group {
                    other.iter().for_each(|&b| self.cut(a, b));
                }
            }
        }
    }

    /// No cut, no stall, no delay, no loss, anywhere. What was stranded stays dead.
    pub fn heal(&self) {
        for condition in self.network().pairs.values() {
            condition.send_modify(|condition| {
                *condition = Condition {
                    stranded: condition.stranded,
                    ..default()
                }
            });
        }
    }

    /// Makes all present connections of a node dead for ever without telling either side. What was under way,
    /// or held by a stall, still arrives.
    pub fn strand(&self, node: ReplicaId) {
        let network = self.network();
        let last = network.connections;
        for (pair, condition) in &network.pairs {
            if pair.0 == node || pair.1 == node {
                condition.send_modify(|condition| condition.stranded = last);
            }
        }
    }

    pub(super) fn is_in_memory(&self) -> bool {
        self.network().doors.is_some()
    }

    /// Begins to listen without a socket; port 0 takes a free one.
    fn open(&self, wanted: SocketAddr) -> io::Result<(SocketAddr, mpsc::Receiver<memory::Knock>)> {
        let mut network = self.network();
        let doors = network.doors.as_mut().ok_or(io::ErrorKind::Unsupported)?;
        if wanted.ip().is_unspecified() {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        doors.retain(|_, door| !door.is_closed());
        let ports = match wanted.port() {
            0 => 1..=u16::MAX,
            port => port..=port,
        };
        let address = ports
            .map(|port| SocketAddr::new(wanted.ip(), port))
            .find(|address| !doors.contains_key(address))
            .ok_or(io::ErrorKind::AddrInUse)?;
        let (door, knocks) = mpsc::channel(memory::BACKLOG);
        doors.insert(address, door);
        Ok((address, knocks))
    }

    /// Where to knock, and from which address, when dialling from `ip`.
    fn door(
        &self,
        to: SocketAddr,
        ip: IpAddr,
    ) -> Option<(mpsc::Sender<memory::Knock>, SocketAddr)> {
        let mut network = self.network();
        network.port = network.port.wrapping_add(1);
        let from = SocketAddr::new(ip, network.port);
        let door = network.doors.as_ref()?.get(&to)?;
        Some((door.clone(), from))
    }

    /// A node listens there.
    pub(super) fn listens(&self, node: ReplicaId, address: SocketAddr) {
        self.network().listeners.insert(address, node);
    }

    /// A node no longer listens there.
    pub(super) fn forget(&self, node: ReplicaId, address: SocketAddr) {
        let mut network = self.network();
        if network.listeners.get(&address) == Some(&node) {
            network.listeners.remove(&address);
        }
    }

    /// Whether a gossip frame is lost on its way. Draws anew each time.
    pub(super) fn loses(&self, from: ReplicaId, to: ReplicaId) -> bool {
        let mut network = self.network();
        let loss = network
            .pairs
            .get(&Pair::of(from, to))
            .map_or(0.0, |condition| condition.borrow().loss);
        loss > 0.0 && network.random.share() < loss
    }

    /// The line over which a new connection from one node to another runs.
    fn line(&self, from: ReplicaId, to: ReplicaId) -> relay::Line {
        let pair = Pair::of(from, to);
        let mut network = self.network();
        network.connections += 1;
        let number = network.connections;
        let condition = network.pairs.entry(pair).or_default().subscribe();
        relay::Line::new(condition, number, pair.direction(from))
    }

    fn owner(&self, address: SocketAddr) -> Option<ReplicaId> {
        self.network().listeners.get(&address).copied()
    }

    fn change(&self, pair: Pair, change: impl FnOnce(&mut Condition)) {
        self.network()
            .pairs
            .entry(pair)
            .or_default()
            .send_modify(change);
    }

    fn network(&self) -> MutexGuard<'_, Network> {
        self.network.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let network = self.network();
        let pairs = network
            .pairs
            .iter()
            .map(|(pair, condition)| (pair, *condition.borrow()));
        f.debug_map().entries(pairs).finish()
    }
}

fn default<T: Default>() -> T {
    T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(n: u8) -> ReplicaId {
        ReplicaId::from_public_key([n; 32])
    }

    fn condition(links: &Links, a: u8, b: u8) -> Condition {
        links
            .network()
            .pairs
            .get(&Pair::of(node(a), node(b)))
            .map_or_else(default, |known| *known.borrow())
    }

    #[test]
    fn verbs_come_in_pairs() {
        let links = Links::new();
        links.cut(node(2), node(1));
        assert!(condition(&links, 1, 2).cut);
        links.mend(node(1), node(2));
        links.stall_one_way(node(2), node(1));
        assert_eq!(condition(&links, 1, 2).held, [false, true]);
        links.stall_one_way(node(1), node(2));
        links.release_one_way(node(2), node(1));
        assert_eq!(condition(&links, 1, 2).held, [true, false]);
        links.release(node(1), node(2));
        assert_eq!(condition(&links, 1, 2), default());
    }

    #[test]
    fn a_partition_cuts_between_groups_only() {
        let links = Links::new();
        links.partition(&[&[node(1), node(2)], &[node(3)], &[node(4)]]);
        for (a, b) in [(1, 3), (2, 3), (1, 4), (2, 4), (3, 4)] {
            assert!(condition(&links, a, b).cut, "{a} {b}");
        }
        assert!(!condition(&links, 1, 2).cut);
        assert!(!condition(&links, 1, 5).cut);
        links.heal();
        assert!(!condition(&links, 1, 3).cut);
    }

    #[test]
    fn loss_is_about_what_was_asked_and_repeats_with_its_seed() {
        let losses = |seed| -> Vec<bool> {
            let links = Links::with_seed(seed);
            links.lose(node(1), node(2), 0.3);
            (0..1_000).map(|_| links.loses(node(2), node(1))).collect()
        };
        let lost = losses(1).iter().filter(|&&lost| lost).count();
        assert!((250..350).contains(&lost), "{lost}");
        assert_eq!(losses(1), losses(1));
        assert_ne!(losses(1), losses(2));
        assert!(!Links::new().loses(node(1), node(2)));
    }
}
