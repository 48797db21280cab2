//! What libp2p is put together from, and how each piece is set.

use std::sync::Arc;
use std::time::Duration;

use libp2p::gossipsub::{self, IdentTopic, MessageId, WhitelistSubscriptionFilter};
use libp2p::identity::Keypair;
#[cfg(feature = "kad")]
use libp2p::kad;
#[cfg(feature = "mdns")]
use libp2p::mdns;
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{StreamProtocol, allow_block_list, connection_limits, identify, ping};
use sha2::{Digest as _, Sha256};

use super::address::peer_id;
use super::config::{NetConfig, StartError};
use super::sync_codec::{SyncBytes, SyncCodec};
use crate::wire::{MAX_FRAME_BYTES, MeshId};

/// Everything that is spoken on a connection.
///
/// Those that can refuse a connection come first: the others must never hear of one that is refused afterwards
/// (rust-libp2p #4870: request-response panics, or keeps a connection that is not there).
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) allowed: Toggle<allow_block_list::Behaviour<allow_block_list::AllowedPeers>>,
    pub(super) banned: allow_block_list::Behaviour<allow_block_list::BlockedPeers>,
    pub(super) limits: connection_limits::Behaviour,
    pub(super) gossip: Gossip,
    pub(super) sync: request_response::Behaviour<SyncCodec>,
    pub(super) identify: identify::Behaviour,
    pub(super) ping: ping::Behaviour,
    #[cfg(feature = "mdns")]
    pub(super) mdns: Toggle<mdns::tokio::Behaviour>,
    #[cfg(feature = "kad")]
    pub(super) kad: Toggle<kad::Behaviour<kad::store::MemoryStore>>,
}

pub(super) type Gossip =
    gossipsub::Behaviour<gossipsub::IdentityTransform, WhitelistSubscriptionFilter>;

/// Connections that have not proved anything yet, each way; further ones are dropped.
const MAX_PENDING_CONNECTIONS: u32 = 128;
/// Connections in all; further ones are refused and counted. Above the thousand nodes a mesh is made for.
pub(crate) const MAX_CONNECTIONS: u32 = 2_048;
/// Connections of one peer: one, a second from both having dialled, and some that are dead and not noticed
/// yet. Never one: a dead one would then lock its peer out until it is noticed.
const MAX_CONNECTIONS_PER_PEER: u32 = 8;
/// Longer than any frame of ours, so that one that is too long is seen, counted and refused by name instead
/// of breaking the stream.
const MAX_GOSSIP_BYTES: usize = 4 * MAX_FRAME_BYTES;
/// How long a question may take, the answer's 256 KiB included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Half-open TCP is cleared by it; liveness is the beats' job.
const PING: Duration = Duration::from_secs(5);

impl Behaviour {
    pub(super) fn new(
        config: &NetConfig,
        keypair: &Keypair,
        topic: &IdentTopic,
        sync_bytes: Arc<SyncBytes>,
    ) -> Result<Self, StartError> {
        #[cfg(not(feature = "mdns"))]
        if config.mdns {
            tracing::warn!(
                "built without feature mdns: nodes on this LAN must be joined by address"
            );
        }
        #[cfg(not(feature = "kad"))]
        if config.kad {
            tracing::warn!(
                "built without feature kad: only join addresses and members are dialled"
            );
        }
        let broken = |error: &dyn std::fmt::Display| StartError::Network(error.to_string());
        let gossip = Gossip::new_with_subscription_filter(
            gossipsub::MessageAuthenticity::Anonymous,
            gossip_config().map_err(|error| broken(&error))?,
            WhitelistSubscriptionFilter([topic.hash()].into()),
        )
        .map_err(|error| broken(&error))?;

        let allowed = (!config.allow.is_empty()).then(|| {
            let mut allowed =
                allow_block_list::Behaviour::<allow_block_list::AllowedPeers>::default();
            for &replica in &config.allow {
                allowed.allow_peer(peer_id(replica));
            }
            allowed
        });
        let mut banned = allow_block_list::Behaviour::<allow_block_list::BlockedPeers>::default();
        for &replica in &config.ban {
            banned.block_peer(peer_id(replica));
        }

        let sync = request_response::Behaviour::with_codec(
            SyncCodec::new(MeshId::derive(&config.key, &config.mesh), sync_bytes),
            [(protocol(config, "sync")?, ProtocolSupport::Full)],
            request_response::Config::default().with_request_timeout(REQUEST_TIMEOUT),
        );
        // Identify is spoken inside the encrypted, proven connection; still it says nothing of the mesh.
        let identify = identify::Config::new("presence-mesh/1".to_owned(), keypair.public())
            .with_agent_version(concat!("presence-mesh/", env!("CARGO_PKG_VERSION")).to_owned())
            .with_push_listen_addr_updates(true);

        Ok(Self {
            allowed: allowed.into(),
            banned,
            limits: connection_limits::Behaviour::new(limits()),
            gossip,
            sync,
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(PING).with_timeout(PING)),
            #[cfg(feature = "mdns")]
            mdns: config.mdns.then(|| mdns(keypair)).flatten().into(),
            #[cfg(feature = "kad")]
            kad: if config.kad {
                Some(kad(config, keypair)?)
            } else {
                None
            }
            .into(),
        })
    }
}

/// The protocol name of this mesh for one purpose.
pub(super) fn protocol(config: &NetConfig, purpose: &str) -> Result<StreamProtocol, StartError> {
    StreamProtocol::try_from_owned(config.key.protocol(&config.mesh, purpose))
        .map_err(|error| StartError::Network(error.to_string()))
}

fn limits() -> connection_limits::ConnectionLimits {
    connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(MAX_PENDING_CONNECTIONS))
        .with_max_pending_outgoing(Some(MAX_PENDING_CONNECTIONS))
        .with_max_established(Some(MAX_CONNECTIONS))
        .with_max_established_per_peer(Some(MAX_CONNECTIONS_PER_PEER))
}

pub(super) fn gossip_config() -> Result<gossipsub::Config, gossipsub::ConfigBuilderError> {
    gossipsub::ConfigBuilder::default()
        // The signature on every frame is the origin's own, checked once; gossipsub's would be checked on
        // every copy.
        .validation_mode(gossipsub::ValidationMode::Anonymous)
        .validate_messages()
        // Of the whole frame: a forged one has another id, so it cannot shadow the true one. Short, so that
        // lists of ids stay below the limits on control messages.
        .message_id_fn(|message| MessageId::new(&Sha256::digest(&message.data)[..16]))
        .max_control_message_size(256 * 1024)
        .max_control_messages_sent(200)
        .max_transmit_size(MAX_GOSSIP_BYTES)
        .heartbeat_initial_delay(Duration::from_millis(500))
        .flood_publish(true)
        // A stalled or overloaded host must not lose what it forwards.
        .publish_queue_duration(Duration::from_secs(5))
        .forward_queue_duration(Duration::from_secs(5))
        // Longer than any path's delay, stalls included; a frame that comes back later is only old news.
        .duplicate_cache_time(Duration::from_secs(120))
        .build()
}

/// Absent where the network does not allow it: the node can still be joined.
#[cfg(feature = "mdns")]
fn mdns(keypair: &Keypair) -> Option<mdns::tokio::Behaviour> {
    let config = mdns::Config {
        ttl: Duration::from_secs(120),
        query_interval: Duration::from_secs(20),
        enable_ipv6: false,
    };
    match mdns::tokio::Behaviour::new(config, keypair.public().to_peer_id()) {
        Ok(mdns) => Some(mdns),
        Err(error) => {
            tracing::warn!(%error, "cannot use multicast DNS: nodes on this LAN must be joined by address");
            None
        }
    }
}

#[cfg(feature = "kad")]
fn kad(
    config: &NetConfig,
    keypair: &Keypair,
) -> Result<kad::Behaviour<kad::store::MemoryStore>, StartError> {
    /// Every node of a mesh announces itself under one key; the default would keep the 20 closest.
    const MAX_PROVIDERS: usize = 1_024;
    let local = keypair.public().to_peer_id();
    let store = kad::store::MemoryStoreConfig {
        max_providers_per_key: MAX_PROVIDERS,
        ..Default::default()
    };
    let mut settings = kad::Config::new(protocol(config, "kad")?);
    settings
        .set_query_timeout(Duration::from_secs(10))
        .set_provider_record_ttl(Some(Duration::from_secs(10 * 60)))
        .set_provider_publication_interval(Some(Duration::from_secs(2 * 60)))
        .set_periodic_bootstrap_interval(Some(Duration::from_secs(60)));
    let mut kad = kad::Behaviour::with_config(
        local,
        kad::store::MemoryStore::with_config(local, store),
        settings,
    );
    // A client answers nobody's questions, and without AutoNAT everyone would stay one.
    kad.set_mode(Some(kad::Mode::Server));
    Ok(kad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gossip_is_set_as_the_design_says() {
        let config = gossip_config().expect("the settings agree");
        let defaults = gossipsub::Config::default();
        assert!(matches!(
            config.validation_mode(),
            gossipsub::ValidationMode::Anonymous
        ));
        assert!(config.validate_messages());
        assert!(config.flood_publish());
        assert_eq!(
            config.mesh_n(),
            defaults.mesh_n(),
            "smaller degrees stalled links for good"
        );
        assert!(config.heartbeat_initial_delay() <= Duration::from_secs(1));
        assert_eq!(config.max_control_messages_sent(), 200);
        assert!(config.max_control_message_size() > defaults.max_control_message_size());
    }

    #[test]
    fn message_ids_are_short_and_of_the_whole_frame() {
        let config = gossip_config().expect("the settings agree");
        let id = |data: &[u8]| {
            let topic = gossipsub::TopicHash::from_raw("t");
            config.message_id(&gossipsub::Message {
                source: None,
                data: data.into(),
                sequence_number: None,
                topic,
            })
        };
        assert_eq!(id(b"frame").0.len(), 16);
        assert_ne!(id(b"frame"), id(b"frame and more"));
    }
}
