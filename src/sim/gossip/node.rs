//! The gossip state of one node.

use std::collections::{BTreeMap, VecDeque};

use super::backoffs::Backoffs;
use super::counters::GossipCounters;
use super::rpc::MessageId;

/// The gossip state of one node.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) up: bool,
    /// The connections, sorted by peer.
    pub(super) links: Vec<Link>,
    /// The mesh, sorted. Every one in it has a link.
    pub(super) mesh: Vec<u32>,
    pub(super) backoffs: Backoffs,
    /// The messages that can be asked for, by the heartbeat before which they came, the latest first.
    pub(super) history: VecDeque<Vec<MessageId>>,
    /// What peers have said they do not want, and when; by peer, then sorted by message.
    pub(super) unwanted: BTreeMap<u32, Vec<(MessageId, u64)>>,
    /// Heartbeats so far, those before a restart included, so that no draw repeats.
    pub(super) beats: u64,
    pub(super) next_heartbeat_us: u64,
    pub(super) counters: GossipCounters,
}

/// What a node knows about a peer it is connected to.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) peer: u32,
    /// IHAVEs received since the last heartbeat.
    pub(super) ihaves: u32,
    /// Ids asked for since the last heartbeat.
    pub(super) asked: u32,
    /// Whether this side dialled.
    pub(super) outbound: bool,
    /// Whether the peer has told that it is subscribed.
    pub(super) subscribed: bool,
}

impl Node {
    pub(super) fn link(&self, peer: u32) -> Option<&Link> {
        let at = self.links.binary_search_by_key(&peer, |l| l.peer).ok()?;
        Some(&self.links[at])
    }

    pub(super) fn link_mut(&mut self, peer: u32) -> Option<&mut Link> {
        let at = self.links.binary_search_by_key(&peer, |l| l.peer).ok()?;
        Some(&mut self.links[at])
    }

    /// Adds a link; false if there is one already.
    pub(super) fn add_link(&mut self, peer: u32, outbound: bool) -> bool {
        let place = self.links.binary_search_by_key(&peer, |l| l.peer);
        if let Err(at) = place {
            self.links.insert(
                at,
                Link {
                    peer,
                    ihaves: 0,
                    asked: 0,
                    outbound,
                    subscribed: false,
                },
            );
        }
        place.is_err()
    }

    pub(super) fn remove_link(&mut self, peer: u32) {
        if let Ok(at) = self.links.binary_search_by_key(&peer, |l| l.peer) {
            self.links.remove(at);
        }
        self.remove_from_mesh(peer);
        self.unwanted.remove(&peer);
    }

    pub(super) fn in_mesh(&self, peer: u32) -> bool {
        self.mesh.binary_search(&peer).is_ok()
    }

    pub(super) fn add_to_mesh(&mut self, peer: u32) {
        if let Err(at) = self.mesh.binary_search(&peer) {
            self.mesh.insert(at, peer);
        }
    }

    pub(super) fn remove_from_mesh(&mut self, peer: u32) {
        if let Ok(at) = self.mesh.binary_search(&peer) {
            self.mesh.remove(at);
        }
    }

    /// Whether `peer` is connected and was dialled by us.
    pub(super) fn dialled(&self, peer: u32) -> bool {
        self.link(peer).is_some_and(|link| link.outbound)
    }

    /// Puts a message where it can be asked for.
    pub(super) fn remember(&mut self, id: MessageId) {
        if let Some(latest) = self.history.front_mut() {
            latest.push(id);
        }
    }

    /// Whether `peer` has said that it does not want `id`.
    pub(super) fn is_unwanted(&self, peer: u32, id: MessageId) -> bool {
        self.unwanted
            .get(&peer)
            .is_some_and(|list| list.binary_search_by_key(&id, |&(id, _)| id).is_ok())
    }

    /// Remembers that `peer` does not want `id`.
    pub(super) fn set_unwanted(&mut self, peer: u32, id: MessageId, now_us: u64) {
        let list = self.unwanted.entry(peer).or_default();
        match list.binary_search_by_key(&id, |&(id, _)| id) {
            Ok(at) => list[at].1 = now_us,
            Err(at) => list.insert(at, (id, now_us)),
        }
        if list.len() > MAX_UNWANTED {
            list.remove(0);
        }
    }

    /// Forgets what was not wanted too long ago.
    pub(super) fn forget_unwanted(&mut self, now_us: u64) {
        self.unwanted.retain(|_, list| {
            list.retain(|&(_, at_us)| at_us + UNWANTED_US >= now_us);
            !list.is_empty()
        });
    }
}

/// Messages one peer can refuse at a time; the crate's `IDONTWANT_CAP`. The oldest goes when there are more.
const MAX_UNWANTED: usize = 10_000;
/// How long a refusal is remembered; the crate's `IDONTWANT_TIMEOUT`.
const UNWANTED_US: u64 = 3_000_000;
