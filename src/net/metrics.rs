//! What libp2p itself counts.

use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::metrics::{BandwidthTransport, Metrics, Recorder as _};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Transport as _, gossipsub, identify};
pub(crate) use prometheus_client::registry::Registry;

use super::address::socket_address;
use super::behaviour::{Behaviour, BehaviourEvent};

type Connection = (PeerId, StreamMuxerBox);

/// Counts events. Cheap: an event is a few atomic numbers, besides one short lock for a connection that comes or
/// goes.
pub(super) struct Recorder(Metrics);

/// Counts the bytes of every connection, and makes what counts the rest.
pub(super) fn count(transport: Boxed<Connection>) -> (Recorder, Boxed<Connection>, Registry) {
    let mut registry = Registry::default();
    let transport = BandwidthTransport::new(transport, &mut registry)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed();
    (Recorder(Metrics::new(&mut registry)), transport, registry)
}

/// Counts what gossipsub does: one topic, so one series of each.
pub(super) fn count_gossip(mut behaviour: Behaviour, registry: &mut Registry) -> Behaviour {
    let registry = registry
        .sub_registry_with_prefix("libp2p")
        .sub_registry_with_prefix("gossipsub");
    let config = gossipsub::MetricsConfig::default();
    behaviour.gossip = behaviour.gossip.with_metrics(registry, config);
    behaviour
}

impl Recorder {
    pub(super) fn record(&self, event: &SwarmEvent<BehaviourEvent>) {
        self.0.record(event);
        let SwarmEvent::Behaviour(event) = event else {
            return;
        };
        match event {
            BehaviourEvent::Gossip(event) => self.0.record(event),
            BehaviourEvent::Ping(event) => self.0.record(event),
            BehaviourEvent::Identify(identify::Event::Received {
                connection_id,
                peer_id,
                info,
            }) => self.0.record(&bounded(*peer_id, *connection_id, info)),
            BehaviourEvent::Identify(event) => self.0.record(event),
            #[cfg(feature = "kad")]
            BehaviourEvent::Kad(event) => self.0.record(event),
            _ => {}
        }
    }
}

/// libp2p makes a series of every form of address a peer announces: the forms must not be the peer's to invent.
fn bounded(peer_id: PeerId, connection_id: ConnectionId, info: &identify::Info) -> identify::Event {
    let mut info = info.clone();
    info.listen_addrs = info.listen_addrs.iter().filter_map(plain).collect();
    info.observed_addr = plain(&info.observed_addr).unwrap_or_else(Multiaddr::empty);
    identify::Event::Received {
        connection_id,
        peer_id,
        info,
    }
}

/// The address and the port, and nothing that follows.
fn plain(address: &Multiaddr) -> Option<Multiaddr> {
    let socket = socket_address(address)?;
    Some(Multiaddr::from(socket.ip()).with(Protocol::Tcp(socket.port())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_cannot_invent_forms_of_addresses() {
        let peer = PeerId::random();
        let forms = [
            "/ip4/192.0.2.1/tcp/1",
            "/ip6/::1/tcp/2/ws/p2p-circuit",
            "/memory/7",
            "/ip4/192.0.2.1/tcp/3/ws/ws",
        ];
        let mut registry = Registry::default();
        let recorder = Recorder(Metrics::new(&mut registry));
        let info = identify::Info {
            public_key: libp2p::identity::Keypair::generate_ed25519().public(),
            protocol_version: "x".into(),
            agent_version: "x".into(),
            listen_addrs: forms
                .iter()
                .map(|form| form.parse().expect("an address"))
                .collect(),
            protocols: Vec::new(),
            observed_addr: "/memory/9".parse().expect("an address"),
            signed_peer_record: None,
        };
        recorder
            .0
            .record(&bounded(peer, ConnectionId::new_unchecked(1), &info));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("to memory");
        let series: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("libp2p_identify_remote_listen_addresses{"))
            .collect();
        assert_eq!(series.len(), 2, "{series:?}");
        assert!(!text.contains("ws") && !text.contains("memory"), "{text}");
    }
}
