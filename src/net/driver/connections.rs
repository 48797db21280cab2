//! Connections: dialled, made, failed, ended; and where we listen.

use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::core::ConnectedPoint;
use libp2p::ping;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{DialError, ListenError, SwarmEvent};

#[cfg(feature = "faults")]
use super::super::address::socket_address;
use super::super::address::{Scope, peer_id, replica_id, split_peer};
use super::super::behaviour::BehaviourEvent;
use super::super::links_table::FoundBy;
use super::{Driver, Failure, Made};
use crate::model::ReplicaId;
use crate::proto::Input;

impl Driver {
    pub(super) fn dial_peer(
        &mut self,
        replica: ReplicaId,
        addresses: Vec<Multiaddr>,
        now: Duration,
    ) {
        let peer = peer_id(replica);
        let known = !addresses.is_empty();
        if !known && !self.can_search() {
            self.care.dial_failed(replica, &Failure::Unreachable, now);
            return;
        }
        let options = DialOpts::peer_id(peer)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(addresses);
        let options = if known {
            options.build()
        } else {
            options.extend_addresses_through_behaviour().build()
        };
        let id = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => {
                self.dials.insert(id, None);
                self.shared.count(|counters| counters.dials += 1);
            }
            // Discovery dials on its own account, too; whatever comes of that will be reported.
            Err(DialError::DialPeerConditionFalse(_)) => {}
            Err(error) => {
                tracing::debug!(%peer, %error, "a dial could not begin");
                self.care.dial_failed(replica, &Failure::Unreachable, now);
            }
        }
    }

    pub(super) fn dial_join(&mut self, join: usize, address: Multiaddr, now: Duration) {
        let options = DialOpts::unknown_peer_id().address(address).build();
        let id = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => {
                self.dials.insert(id, Some(join));
                self.shared.count(|counters| counters.dials += 1);
            }
            Err(error) => {
                tracing::debug!(%error, "a dial of a join address could not begin");
                self.care.join_failed(join, now);
            }
        }
    }

    pub(super) fn on_connection(&mut self, event: SwarmEvent<BehaviourEvent>, now: Duration) {
        match event {
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                established_in,
                ..
            } => {
                self.shared.count(|counters| counters.connections += 1);
                let own = self.dials.remove(&connection_id);
                let Some(replica) = replica_id(&peer_id) else {
                    // It has the key, and an identity of a kind that no replica has.
                    self.refusals.denied(
                        Some(peer_id),
                        endpoint.get_remote_address(),
                        &"not an ed25519 identity",
                    );
                    let _ = self.swarm.disconnect_peer_id(peer_id);
                    return;
                };
                self.scopes
                    .insert(connection_id, Scope::of(endpoint.get_remote_address()));
                let dialled = match &endpoint {
                    ConnectedPoint::Dialer { address, .. } => Some(split_peer(address.clone()).0),
                    ConnectedPoint::Listener { .. } => None,
                };
                // What neither we nor the other's dial explains, the DHT's own dials do.
                let how = if own.is_none() && dialled.is_some() {
                    FoundBy::Kad
                } else {
                    FoundBy::Join
                };
                let began = now.saturating_sub(established_in);
                let made = Made {
                    began,
                    address: dialled,
                    join: own.flatten(),
                    how,
                };
                if !self.care.connected(replica, connection_id, made, now) {
                    self.swarm.close_connection(connection_id);
                }
                self.show(replica, now);
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                num_established,
                cause,
                ..
            } => {
                self.scopes.remove(&connection_id);
                let Some(replica) = replica_id(&peer_id) else {
                    return;
                };
                tracing::debug!(peer = %replica, ?cause, left = num_established, "a connection ended");
                if num_established == 0 {
                    self.peer_down(replica);
                }
                self.care.closed(replica, connection_id, now);
                self.show(replica, now);
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                peer_id,
                error,
            } => {
                self.shared.count(|counters| counters.dials_failed += 1);
                tracing::debug!(peer = ?peer_id, %error, "a dial failed");
                match (
                    self.dials.remove(&connection_id),
                    peer_id.as_ref().and_then(replica_id),
                ) {
                    (Some(Some(join)), _) => self.care.join_failed(join, now),
                    (_, Some(replica)) => self.dial_failed(replica, error, now),
                    _ => {}
                }
            }
            SwarmEvent::IncomingConnectionError {
                send_back_addr,
                peer_id,
                error: ListenError::Denied { cause },
                ..
            } => {
                self.refusals.denied(peer_id, &send_back_addr, &cause);
            }
            // All other failures of strangers were noted where they happened.
            SwarmEvent::IncomingConnectionError { .. } => {}
            SwarmEvent::Dialing { .. } => self.shared.count(|counters| counters.dials += 1),
            SwarmEvent::NewListenAddr { address, .. } => {
                tracing::info!(%address, "listening");
                #[cfg(feature = "faults")]
                if let (Some(links), Some(address)) = (&self.links, socket_address(&address)) {
                    links.listens(self.local, address);
                }
                self.own.insert(address);
                self.announce();
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => self.no_longer_at(&[address]),
            SwarmEvent::ListenerClosed {
                addresses, reason, ..
            } => {
                if let Err(error) = reason {
                    tracing::warn!(?addresses, %error, "a listener ended: others cannot connect there; restart the node");
                }
                self.no_longer_at(&addresses);
            }
            SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!(%error, "a connection could not be accepted: check the limit on open files");
            }
            _ => {}
        }
    }

    fn dial_failed(&mut self, replica: ReplicaId, error: DialError, now: Duration) {
        let failure = match error {
            DialError::WrongPeerId { obtained, address } => {
                let address = split_peer(address).0;
                Failure::Somebody {
                    obtained: replica_id(&obtained),
                    address,
                }
            }
            _ => Failure::Unreachable,
        };
        self.care.dial_failed(replica, &failure, now);
    }

    /// Nothing that is published reaches this peer any more.
    pub(super) fn peer_down(&mut self, replica: ReplicaId) {
        if self.care.is_subscribed(replica) {
            tracing::info!(peer = %replica, "a peer went");
            self.care.unsubscribed(replica);
        }
        self.shared
            .with_turns(|proto, now| proto.begin(Input::PeerDown { peer: replica }, now));
    }

    pub(super) fn on_ping(&mut self, event: &ping::Event, now: Duration) {
        let Some(replica) = replica_id(&event.peer) else {
            return;
        };
        match &event.result {
            Ok(rtt) => {
                self.care.measured(replica, *rtt);
                self.show(replica, now);
            }
            Err(ping::Failure::Unsupported) => {}
            Err(error) => {
                // Libp2p only reports it; half-open TCP would stay for as long as the kernel retries.
                tracing::info!(peer = %replica, %error, "a peer does not answer pings: closing the connection");
                self.shared.count(|counters| counters.pings_failed += 1);
                self.swarm.close_connection(event.connection);
            }
        }
    }

    fn no_longer_at(&mut self, addresses: &[Multiaddr]) {
        for address in addresses {
            tracing::info!(%address, "no longer listening");
            #[cfg(feature = "faults")]
            if let (Some(links), Some(address)) = (&self.links, socket_address(address)) {
                links.forget(self.local, address);
            }
            self.own.remove(address);
        }
        self.announce();
    }

    /// Tells the others where we can be dialled, if that changed.
    fn announce(&mut self) {
        self.care.own_addresses(self.own.all());
        let announced = self.own.announced();
        if announced != self.announced {
            let texts = announced.iter().map(Multiaddr::to_string).collect();
            self.announced = announced;
            self.shared
                .with_turns(|replica, now| replica.set_addresses(texts, now));
        }
    }

    /// Where we can be dialled, good for others to join at.
    pub(in crate::net) fn join_addresses(&self) -> Vec<String> {
        self.announced
            .iter()
            .map(|address| format!("{address}/p2p/{}", self.local))
            .collect()
    }
}
