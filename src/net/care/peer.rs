//! What is known of one peer, and when it is dialled next.

use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::swarm::ConnectionId;

use super::super::links_table::{FoundBy, Link};
use super::super::random::Random;
use crate::model::Incarnation;

/// Addresses of one peer that are remembered from discovery; beyond it the oldest is forgotten.
const MAX_DISCOVERED: usize = 8;
/// Addresses tried in one dial, all at once.
const MAX_DIALLED: usize = 8;
/// How long an address at which somebody else answered is left alone.
const WRONG_FOR: Duration = Duration::from_secs(60);
/// Of two nodes that find each other the one with the greater id waits this long, so that they do not make
/// two connections; then it dials too, since perhaps only its dials get through.
pub(super) const TIE_BREAK: Duration = Duration::from_secs(1);
/// The longest pause between dials of a peer that was connected before: a mended network must be noticed
/// within it.
const CAP_KNOWN: Duration = Duration::from_secs(1);
/// The longest pause between dials of what was never reached.
pub(super) const CAP_UNKNOWN: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// When something is dialled next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dial {
    /// Not before this time.
    At(Duration),
    /// Being dialled since then.
    UnderWay(Duration),
}

/// The pause after the `failures`th failure in a row: doubling, at most `cap`, with jitter so that nodes that
/// failed together do not come back together.
pub(super) fn pause(failures: u32, cap: Duration, random: &mut Random) -> Duration {
    let doubled = FIRST_PAUSE * (1 << failures.clamp(1, 16).saturating_sub(1));
    doubled.min(cap).mul_f64(0.5 + 0.5 * random.share())
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) since: Duration,
    pub(super) outbound: bool,
}

/// What is known of one peer.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) found_by: FoundBy,
    /// When discovery last spoke of it.
    pub(super) found_at: Duration,
    /// A member by the mesh's own state, which has not left.
    pub(super) member: bool,
    /// It said that it leaves, and has not been seen since.
    pub(super) left: bool,
    /// The last life of which it said that it leaves.
    pub(super) left_in: Option<Incarnation>,
    /// Where a join address leads; these addresses come first.
    pub(super) joined: Vec<Multiaddr>,
    /// What it says of itself in the mesh's state.
    pub(super) record: Vec<Multiaddr>,
    /// Newest first.
    discovered: Vec<Multiaddr>,
    /// Where somebody else answered, and until when that is remembered.
    wrong: Vec<(Multiaddr, Duration)>,
    /// Among those to be connected to.
    pub(super) chosen: bool,
    pub(super) banned: bool,
    /// It was subscribed once: the two of us understand each other.
    pub(super) reached: bool,
    pub(super) subscribed: bool,
    /// Oldest first.
    pub(super) connections: Vec<Connection>,
    /// A connection made although an old one is there, and when it proves that the old one is dead.
    pub(super) second: Option<(ConnectionId, Duration)>,
    /// When something new of it last came by any path.
    pub(super) heard_at: Duration,
    /// How often it gives a sign of life.
    pub(super) beat: Duration,
    /// Times it was disconnected for its silence, since it was last heard.
    pub(super) silences: u32,
    pub(super) dial: Dial,
    pub(super) failures: u32,
    pub(super) rtt: Option<Duration>,
}

impl Peer {
    pub(super) fn new(found_by: FoundBy, now: Duration) -> Self {
        Self {
            found_by,
            found_at: now,
            member: false,
            left: false,
            left_in: None,
            joined: Vec::new(),
            record: Vec::new(),
            discovered: Vec::new(),
            wrong: Vec::new(),
            chosen: false,
            banned: false,
            reached: false,
            subscribed: false,
            connections: Vec::new(),
            second: None,
            heard_at: now,
            beat: Duration::ZERO,
            silences: 0,
            dial: Dial::At(now),
            failures: 0,
            rtt: None,
        }
    }

    pub(super) fn connected(&self) -> bool {
        !self.connections.is_empty()
    }

    /// Whether to keep a connection to it. What discovery alone speaks of is tried, too, until it is forgotten.
    pub(super) fn wanted(&self) -> bool {
        !self.banned
            && (!self.joined.is_empty() || (!self.left && (self.chosen || !self.candidate())))
    }

    /// Whether it counts among those from whom peers are chosen.
    pub(super) fn candidate(&self) -> bool {
        !self.left && !self.banned && (self.member || self.reached)
    }

    /// Learns an address; says whether it is new.
    pub(super) fn discover(&mut self, address: Multiaddr) -> bool {
        let known = self.discovered.iter().position(|known| *known == address);
        if let Some(position) = known {
            self.discovered.remove(position);
        }
        self.discovered.insert(0, address);
        self.discovered.truncate(MAX_DISCOVERED);
        known.is_none()
    }

    /// Somebody else answered there.
    pub(super) fn wrong(&mut self, address: &Multiaddr, now: Duration) {
        self.discovered.retain(|known| known != address);
        self.wrong
            .retain(|(known, until)| known != address && *until > now);
        self.wrong.insert(0, (address.clone(), now + WRONG_FOR));
        self.wrong.truncate(MAX_DISCOVERED);
    }

    /// Where to dial it, best first.
    pub(super) fn dialled(&self, now: Duration) -> Vec<Multiaddr> {
        let mut addresses: Vec<Multiaddr> = Vec::new();
        for address in self
            .joined
            .iter()
            .chain(&self.record)
            .chain(&self.discovered)
        {
            let wrong = self
                .wrong
                .iter()
                .any(|(known, until)| known == address && *until > now);
            if !wrong && !addresses.contains(address) {
                addresses.push(address.clone());
            }
        }
        addresses.truncate(MAX_DIALLED);
        addresses
    }

    /// Counts a failure and puts the next dial off.
    pub(super) fn failed(&mut self, now: Duration, random: &mut Random) {
        self.failures = self.failures.saturating_add(1);
        let cap = if self.reached || self.member {
            CAP_KNOWN
        } else {
            CAP_UNKNOWN
        };
        self.dial = Dial::At(now + pause(self.failures, cap, random));
    }

    pub(super) fn link(&self, now: Duration) -> Link {
        Link {
            connected: self.connected(),
            rtt: self.rtt.filter(|_| self.connected()),
            addresses: self.dialled(now).iter().map(Multiaddr::to_string).collect(),
            found_by: self.found_by,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_cap() {
        let mut random = Random::new(1);
        for (failures, longest) in [(1, 100), (2, 200), (4, 800), (5, 1_000), (1_000, 1_000)] {
            let longest = Duration::from_millis(longest);
            for _ in 0..100 {
                let pause = pause(failures, Duration::from_secs(1), &mut random);
                assert!(
                    pause >= longest / 2 && pause <= longest,
                    "{failures}: {pause:?}"
                );
            }
        }
    }

    #[test]
    fn addresses_are_bounded_and_the_newest_survive() {
        let mut peer = Peer::new(FoundBy::Mdns, Duration::ZERO);
        let address = |n: u32| -> Multiaddr {
            format!("/ip4/10.0.0.1/tcp/{n}")
                .parse()
                .expect("a multiaddr")
        };
        assert!((1..100).all(|n| peer.discover(address(n))));
        assert!(!peer.discover(address(99)));
        assert_eq!(peer.dialled(Duration::ZERO).len(), MAX_DIALLED);
        assert_eq!(peer.dialled(Duration::ZERO)[0], address(99));
    }

    #[test]
    fn an_address_of_somebody_else_rests() {
        let mut peer = Peer::new(FoundBy::Member, Duration::ZERO);
        peer.record = vec!["/ip4/10.0.0.1/tcp/1".parse().expect("a multiaddr")];
        let address = peer.record[0].clone();
        peer.wrong(&address, Duration::ZERO);
        assert!(peer.dialled(Duration::from_secs(59)).is_empty());
        assert_eq!(peer.dialled(Duration::from_secs(60)), [address]);
    }
}
