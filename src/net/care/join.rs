//! One address we were told to join at.

use std::time::Duration;

use libp2p::Multiaddr;

use super::super::address::{replica_id, split_peer};
use super::super::random::Random;
use super::peer::{CAP_UNKNOWN, Dial, pause};
use crate::model::ReplicaId;

/// An address to join at. Once somebody answered there it is an address of that peer, and dialled as such.
#[derive(Debug)]
pub(super) struct Join {
    /// Without `/p2p/…`.
    pub(super) address: Multiaddr,
    /// Who must be there, if that was said.
    given: Option<ReplicaId>,
    found: Option<ReplicaId>,
    /// It is an address of ours.
    pub(super) own: bool,
    pub(super) dial: Dial,
    failures: u32,
}

impl Join {
    pub(super) fn new(address: Multiaddr) -> Self {
        let (address, peer) = split_peer(address);
        let given = peer.as_ref().and_then(replica_id);
        Self {
            address,
            given,
            found: None,
            own: false,
            dial: Dial::At(Duration::ZERO),
            failures: 0,
        }
    }

    /// Who is there, as far as known.
    pub(super) fn peer(&self) -> Option<ReplicaId> {
        self.given.or(self.found)
    }

    /// Whether it is to be dialled on its own.
    pub(super) fn is_open(&self) -> bool {
        !self.own && self.peer().is_none()
    }

    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.is_open() && matches!(self.dial, Dial::At(at) if at <= now)
    }

    pub(super) fn reached(&mut self, replica: ReplicaId) {
        self.found = Some(replica);
        self.failures = 0;
        self.dial = Dial::At(Duration::ZERO);
    }

    /// Not the peer we knew is there now.
    pub(super) fn somebody_else(&mut self, obtained: Option<ReplicaId>, now: Duration) {
        if self.given.is_none() && self.found != obtained {
            self.found = None;
            self.dial = Dial::At(now);
        }
    }

    pub(super) fn failed(&mut self, now: Duration, random: &mut Random) {
        self.failures = self.failures.saturating_add(1);
        self.dial = Dial::At(now + pause(self.failures, CAP_UNKNOWN, random));
    }
}
