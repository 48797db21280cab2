//! Connection care: whom to keep connected, when to dial them, and which connections are dead.
//!
//! A table without sockets: it is told what happened and when, and answers with [`Action`]s. libp2p itself
//! neither reconnects nor notices dead connections, and gossipsub stays mute towards a peer that restarted
//! while we still held its dead connection (rust-libp2p #5097). The rules:
//!
//! - Wanted are the peers behind join addresses, members of the mesh (all up to [`ALL_UP_TO`], beyond that
//!   [`DOZEN`] at random, re-chosen slowly), and what discovery speaks of. They are redialled for ever.
//! - Of two peers the lesser id dials first.
//! - A second connection that outlives [`GRACE`] beside one older than [`SIMULTANEOUS`] means that the first is
//!   dead: the peer is disconnected entirely and dialled anew, so that both sides start from nothing.
//! - A connected peer of which nothing new comes by any path is disconnected and dialled anew, ever more
//!   rarely if that does not help.

mod choice;
mod join;
mod peer;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::swarm::ConnectionId;

use self::join::Join;
use self::peer::{Connection, Dial, Peer, TIE_BREAK};
use super::links_table::{FoundBy, Link};
use super::random::Random;
use crate::model::{Incarnation, ReplicaId};

/// Up to this many members, every node connects to every other.
const ALL_UP_TO: usize = 50;
/// Beyond that, to this many.
const DOZEN: usize = 12;
/// How often one of the dozen is exchanged.
const RECHOOSE: Duration = Duration::from_secs(60);
/// How far apart two connections can be because both sides dialled: [`TIE_BREAK`] and a slow handshake.
const SIMULTANEOUS: Duration = Duration::from_secs(2);
/// How long a second connection must last to count: one made by mistake (somebody else was looked for at our
/// address) is closed by its dialler at once.
const GRACE: Duration = Duration::from_millis(250);
/// Peers known at once; further ones are ignored, and counted, until others are forgotten.
const MAX_PEERS: usize = 2_048;
/// Dials under way at once; the others wait.
const MAX_DIALS: usize = 48;
/// A dial that neither succeeded nor failed by now will do neither.
const DIAL_LOST: Duration = Duration::from_secs(20);
/// How long what discovery spoke of is tried.
const KEEP_FOUND: Duration = Duration::from_secs(5 * 60);
/// How long a peer that was connected, and is in no state of the mesh, is tried.
const KEEP_REACHED: Duration = Duration::from_secs(60 * 60);
/// How long the address of a node that left is let alone, if it is a join address.
const AFTER_LEAVE: Duration = Duration::from_secs(2);
/// Signs of life missed before a connection counts as broken.
const MISSED_BEATS: u32 = 6;
/// Doublings of the patience with a silent peer.
const MAX_PATIENCE: u32 = 5;

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Dial this peer. Without addresses: wherever discovery says it is.
    Dial {
        peer: ReplicaId,
        addresses: Vec<Multiaddr>,
    },
    /// Dial whoever is there.
    Join { join: usize, address: Multiaddr },
    /// Close all connections of this peer.
    Disconnect { peer: ReplicaId, why: Why },
}

/// Why a peer is disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// A second connection shows that the first is dead.
    Stale,
    /// Nothing new came from it.
    Silent,
    /// It said that it leaves.
    Left,
    /// Others were chosen.
    Exchanged,
}

/// How a connection came about.
#[derive(Debug, Clone)]
pub(super) struct Made {
    /// When it was begun: an overloaded machine takes seconds over its handshakes.
    pub(super) began: Duration,
    /// What was dialled; `None` when the other dialled us.
    pub(super) address: Option<Multiaddr>,
    /// The join address it was dialled for.
    pub(super) join: Option<usize>,
    /// How the peer was found, if nothing was known of it before.
    pub(super) how: FoundBy,
}

/// What the mesh's state says of one member.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) replica: ReplicaId,
    pub(super) incarnation: Incarnation,
    pub(super) addresses: Vec<Multiaddr>,
    pub(super) left: bool,
}

/// How a dial of a peer failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nobody there, or nobody who let us in.
    Unreachable,
    /// Somebody else is there.
    Somebody {
        obtained: Option<ReplicaId>,
        address: Multiaddr,
    },
}

/// The table. See the module's description.
#[derive(Debug)]
pub(super) struct Care {
    local: ReplicaId,
    /// Silence that means a connection is broken, at the least.
    patience: Duration,
    peers: BTreeMap<ReplicaId, Peer>,
    joins: Vec<Join>,
    own: BTreeSet<Multiaddr>,
    random: Random,
    rechoose_at: Duration,
    /// When [`Care::act`] has something to do.
    due: Duration,
    queued: Vec<Action>,
    ignored: u64,
}

impl Care {
    pub(super) fn new(
        local: ReplicaId,
        patience: Duration,
        joins: Vec<Multiaddr>,
        seed: u64,
    ) -> Self {
        let mut care = Self {
            local,
            patience,
            peers: BTreeMap::new(),
            joins: Vec::new(),
            own: BTreeSet::new(),
            random: Random::new(seed),
            rechoose_at: RECHOOSE,
            due: Duration::ZERO,
            queued: Vec::new(),
            ignored: 0,
        };
        for address in joins {
            let join = Join::new(address);
            if let Some(peer) = join.peer().filter(|peer| *peer != local) {
                care.pin(peer, &join.address, Duration::ZERO);
            }
            care.joins.push(join);
        }
        care
    }

    /// When [`Care::act`] is to be called next.
    pub(super) fn due(&self) -> Duration {
        self.due
    }

    /// Peers not remembered for lack of room.
    pub(super) fn ignored(&self) -> u64 {
        self.ignored
    }

    /// Of every peer known.
    pub(super) fn links(&self, now: Duration) -> impl Iterator<Item = (ReplicaId, Link)> {
        self.peers
            .iter()
            .map(move |(&replica, peer)| (replica, peer.link(now)))
    }

    /// Of one peer.
    pub(super) fn link(&self, replica: ReplicaId, now: Duration) -> Option<Link> {
        self.peers.get(&replica).map(|peer| peer.link(now))
    }

    /// Whether it gets what is published.
    pub(super) fn is_subscribed(&self, replica: ReplicaId) -> bool {
        self.peers.get(&replica).is_some_and(|peer| peer.subscribed)
    }

    /// These are our own addresses: no dial goes there.
    pub(super) fn own_addresses(&mut self, own: &BTreeSet<Multiaddr>) {
        self.own.clone_from(own);
        self.joins
            .iter_mut()
            .for_each(|join| join.own = own.contains(&join.address));
    }

    /// Never again.
    pub(super) fn ban(&mut self, replica: ReplicaId, now: Duration) {
        if let Some(peer) = self.peer(replica, FoundBy::Join, now) {
            peer.banned = true;
        }
    }

    /// Discovery speaks of a peer.
    #[cfg(any(feature = "mdns", feature = "kad", test))]
    pub(super) fn found(
        &mut self,
        replica: ReplicaId,
        addresses: &[Multiaddr],
        how: FoundBy,
        now: Duration,
    ) {
        // What is known by name only must be dialled while the search that found it still knows where it is.
        let tie = if addresses.is_empty() {
            Duration::ZERO
        } else {
            self.tie_break(replica)
        };
        let is_new = !self.peers.contains_key(&replica);
        let Some(peer) = self.peer(replica, how, now) else {
            return;
        };
        (peer.found_at, peer.left) = (now, false);
        let moved = addresses.iter().rev().fold(false, |moved, address| {
            peer.discover(address.clone()) | moved
        });
        // A new address is worth a dial at once, whatever the old ones did.
        if !peer.connected() && (is_new || moved) && !matches!(peer.dial, Dial::UnderWay(_)) {
            peer.failures = 0;
            peer.dial = Dial::At(now + tie);
        }
        self.wake(now);
    }

    /// Learns where a connected peer listens, as it says itself.
    pub(super) fn listens(&mut self, replica: ReplicaId, addresses: Vec<Multiaddr>) {
        if let Some(peer) = self.peers.get_mut(&replica) {
            for address in addresses.into_iter().rev() {
                peer.discover(address);
            }
        }
    }

    /// What the mesh's state says of all members; those it no longer names are members no more.
    pub(super) fn members(&mut self, members: &[Known], now: Duration) {
        let named: BTreeSet<ReplicaId> = members.iter().map(|known| known.replica).collect();
        for (replica, peer) in &mut self.peers {
            if peer.member && !named.contains(replica) {
                peer.member = false;
                peer.record.clear();
            }
        }
        for known in members {
            let tie = self.tie_break(known.replica);
            let Some(peer) = self.peer(known.replica, FoundBy::Member, now) else {
                continue;
            };
            let moved = peer.record != known.addresses;
            if moved {
                peer.record.clone_from(&known.addresses);
            }
            let was_member = std::mem::replace(&mut peer.member, !known.left);
            if known.left {
                // Said once: whoever is connected after that is in another life already.
                if peer.left_in.replace(known.incarnation) != Some(known.incarnation) {
                    peer.left = true;
                    if peer.connected() {
                        self.queued.push(Action::Disconnect {
                            peer: known.replica,
                            why: Why::Left,
                        });
                    }
                }
                continue;
            }
            peer.left = false;
            if !peer.connected()
                && (moved || !was_member)
                && !matches!(peer.dial, Dial::UnderWay(_))
            {
                peer.failures = 0;
                peer.dial = Dial::At(now + tie);
            }
        }
        self.fill();
        self.wake(now);
    }

    /// A connection was made: by dialling `address`, or by the other. Says whether to keep it: a join address
    /// that leads to a peer we were connected to all along has told us whose it is, and that is all; and a dial that
    /// took long (a name that is found slowly) would look like a restart of ours to a peer that came meanwhile.
    #[must_use = "a connection that is not kept must be closed at once, or it counts as a sign of a restart"]
    pub(super) fn connected(
        &mut self,
        replica: ReplicaId,
        id: ConnectionId,
        made: Made,
        now: Duration,
    ) -> bool {
        let Made {
            began,
            address,
            join,
            how,
        } = made;
        if let Some(join) = join {
            self.joined(join, replica, now);
        }
        // Every connection is counted, even if the table is full: their number is bounded elsewhere.
        let peer = self
            .peers
            .entry(replica)
            .or_insert_with(|| Peer::new(how, now));
        let first = peer.connections.first().map(|first| first.since);
        let later_by =
            |at: Duration| first.map_or(Duration::ZERO, |since| at.saturating_sub(since));
        let old = later_by(began) > SIMULTANEOUS;
        let late = address.is_some() && !old && later_by(now) > SIMULTANEOUS;
        let keep = !late && (join.is_none() || !old);
        if old && keep && peer.second.is_none() {
            peer.second = Some((id, now + GRACE));
        }
        if !peer.connected() {
            peer.heard_at = now;
        }
        peer.connections.push(Connection {
            id,
            since: now,
            outbound: address.is_some(),
        });
        if matches!(peer.dial, Dial::UnderWay(_)) {
            peer.dial = Dial::At(now);
        }
        if let Some(address) = address {
            peer.discover(address);
        }
        self.wake(now);
        keep
    }

    /// The dial of a join address led to this peer.
    fn joined(&mut self, join: usize, replica: ReplicaId, now: Duration) {
        let Some(join) = self.joins.get_mut(join) else {
            return;
        };
        join.reached(replica);
        let address = join.address.clone();
        self.pin(replica, &address, now);
    }

    /// A connection ended.
    pub(super) fn closed(&mut self, replica: ReplicaId, id: ConnectionId, now: Duration) {
        let tie = self.tie_break(replica);
        let Some(peer) = self.peers.get_mut(&replica) else {
            return;
        };
        peer.connections.retain(|connection| connection.id != id);
        if peer.second.is_some_and(|(second, _)| second == id) {
            peer.second = None;
        }
        if !peer.connected() {
            peer.second = None;
            peer.rtt = None;
            let understood = std::mem::take(&mut peer.subscribed);
            if peer.left {
                // At a join address it may come back, but not while it is still leaving.
                peer.dial = Dial::At(now + AFTER_LEAVE);
            } else if understood {
                peer.dial = Dial::At(now + tie);
            } else {
                // Whoever hangs up before we understood each other does not want us.
                peer.failed(now, &mut self.random);
            }
        }
        self.wake(now);
    }

    /// A dial of this peer failed.
    pub(super) fn dial_failed(&mut self, replica: ReplicaId, failure: &Failure, now: Duration) {
        if let Some(peer) = self.peers.get_mut(&replica) {
            peer.failed(now, &mut self.random);
            if let Failure::Somebody { address, .. } = failure {
                peer.wrong(address, now);
                peer.joined.retain(|joined| joined != address);
            }
        }
        if let Failure::Somebody { obtained, address } = failure {
            for join in self
                .joins
                .iter_mut()
                .filter(|join| join.address == *address)
            {
                join.somebody_else(*obtained, now);
            }
        }
        self.wake(now);
    }

    /// The dial of a join address failed.
    pub(super) fn join_failed(&mut self, join: usize, now: Duration) {
        if let Some(join) = self.joins.get_mut(join) {
            join.failed(now, &mut self.random);
        }
        self.wake(now);
    }

    /// It gets what is published from now on.
    pub(super) fn subscribed(&mut self, replica: ReplicaId, now: Duration) {
        if let Some(peer) = self.peers.get_mut(&replica) {
            (peer.subscribed, peer.reached, peer.left) = (true, true, false);
            (peer.failures, peer.heard_at, peer.found_at) = (0, now, now);
        }
        self.fill();
    }

    /// It no longer gets what is published.
    pub(super) fn unsubscribed(&mut self, replica: ReplicaId) {
        if let Some(peer) = self.peers.get_mut(&replica) {
            peer.subscribed = false;
        }
    }

    /// Something new of this peer came by some path; `beat`: how often it says it gives a sign of life.
    pub(super) fn heard(&mut self, replica: ReplicaId, beat: Option<Duration>, now: Duration) {
        if let Some(peer) = self.peers.get_mut(&replica) {
            (peer.heard_at, peer.found_at, peer.silences) = (now, now, 0);
            peer.beat = beat.unwrap_or(peer.beat);
        }
    }

    /// A round trip was measured.
    pub(super) fn measured(&mut self, replica: ReplicaId, rtt: Duration) {
        if let Some(peer) = self.peers.get_mut(&replica) {
            peer.rtt = Some(rtt);
        }
    }

    /// Everything that is to be done now. Nobody is called silent for what may still wait to be read: all that
    /// came before `read_until` has been taken in.
    pub(super) fn act(&mut self, now: Duration, read_until: Duration) -> Vec<Action> {
        if now >= self.rechoose_at {
            self.rechoose_at = now + RECHOOSE;
            self.exchange_one();
        }
        self.forget(now);
        let mut actions = std::mem::take(&mut self.queued);
        self.watch_connections(now, read_until, &mut actions);
        self.dial(now, &mut actions);
        self.due = self.next(now);
        actions
    }

    fn watch_connections(
        &mut self,
        now: Duration,
        read_until: Duration,
        actions: &mut Vec<Action>,
    ) {
        for (&replica, peer) in self.peers.iter_mut().filter(|(_, peer)| peer.connected()) {
            if peer.second.is_some_and(|(_, at)| at <= now) {
                peer.second = None;
                actions.push(Action::Disconnect {
                    peer: replica,
                    why: Why::Stale,
                });
            } else if peer.heard_at + patience(self.patience, peer) <= read_until {
                peer.silences = (peer.silences + 1).min(MAX_PATIENCE);
                peer.heard_at = now;
                actions.push(Action::Disconnect {
                    peer: replica,
                    why: Why::Silent,
                });
            }
        }
    }

    fn dial(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let mut room = MAX_DIALS.saturating_sub(self.under_way(now));
        for (number, join) in self.joins.iter_mut().enumerate() {
            if room > 0 && join.is_due(now) {
                room -= 1;
                join.dial = Dial::UnderWay(now);
                actions.push(Action::Join {
                    join: number,
                    address: join.address.clone(),
                });
            }
        }
        for (&replica, peer) in &mut self.peers {
            let due = matches!(peer.dial, Dial::At(at) if at <= now)
                && peer.wanted()
                && !peer.connected();
            if room == 0 || !due {
                continue;
            }
            let mut addresses = peer.dialled(now);
            addresses.retain(|address| !self.own.contains(address));
            room -= 1;
            peer.dial = Dial::UnderWay(now);
            actions.push(Action::Dial {
                peer: replica,
                addresses,
            });
        }
    }

    /// Counts the dials under way; those that were lost are under way no more.
    fn under_way(&mut self, now: Duration) -> usize {
        let dials = self.peers.values_mut().map(|peer| &mut peer.dial);
        let dials = dials.chain(self.joins.iter_mut().map(|join| &mut join.dial));
        let mut count = 0;
        for dial in dials {
            match dial {
                Dial::UnderWay(since) if *since + DIAL_LOST <= now => *dial = Dial::At(now),
                Dial::UnderWay(_) => count += 1,
                Dial::At(_) => {}
            }
        }
        count
    }

    fn forget(&mut self, now: Duration) {
        self.peers.retain(|_, peer| {
            let keep = if peer.reached {
                KEEP_REACHED
            } else {
                KEEP_FOUND
            };
            let anchored =
                peer.member || peer.banned || peer.connected() || !peer.joined.is_empty();
            anchored || now.saturating_sub(peer.found_at) < keep
        });
    }

    fn next(&self, now: Duration) -> Duration {
        let mut next = self.rechoose_at.min(now + KEEP_FOUND);
        for peer in self.peers.values() {
            if peer.connected() {
                next = next.min(peer.heard_at + patience(self.patience, peer));
                if let Some((_, at)) = peer.second {
                    next = next.min(at);
                }
            } else if peer.wanted() {
                next = next.min(when(peer.dial));
            }
        }
        for join in self.joins.iter().filter(|join| join.is_open()) {
            next = next.min(when(join.dial));
        }
        // Dials that wait for room are not to keep the driver spinning.
        next.max(now + Duration::from_millis(10))
    }

    fn pin(&mut self, replica: ReplicaId, address: &Multiaddr, now: Duration) {
        if let Some(peer) = self
            .peer(replica, FoundBy::Join, now)
            .filter(|peer| !peer.joined.contains(address))
        {
            peer.joined.push(address.clone());
        }
    }

    /// The entry of a peer, made if there is room.
    fn peer(&mut self, replica: ReplicaId, how: FoundBy, now: Duration) -> Option<&mut Peer> {
        if replica == self.local {
            return None;
        }
        if !self.peers.contains_key(&replica) && self.peers.len() >= MAX_PEERS {
            self.ignored += 1;
            return None;
        }
        Some(
            self.peers
                .entry(replica)
                .or_insert_with(|| Peer::new(how, now)),
        )
    }

    fn tie_break(&mut self, replica: ReplicaId) -> Duration {
        if self.local < replica {
            // Not quite at once: many that lost one peer at the same moment must not come back as one.
            Duration::from_millis(50).mul_f64(self.random.share())
        } else {
            TIE_BREAK.mul_f64(1.0 + 0.25 * self.random.share())
        }
    }

    fn wake(&mut self, at: Duration) {
        self.due = self.due.min(at);
    }
}

/// How long a peer may be silent.
fn patience(least: Duration, peer: &Peer) -> Duration {
    least.max(peer.beat * MISSED_BEATS) * (1 << peer.silences)
}

fn when(dial: Dial) -> Duration {
    match dial {
        Dial::At(at) => at,
        Dial::UnderWay(since) => since + DIAL_LOST,
    }
}
