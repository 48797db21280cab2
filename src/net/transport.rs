//! From TCP up to an authenticated, encrypted, multiplexed connection with a member of the mesh.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::transport::timeout::TransportTimeout;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::pnet::{PnetConfig, PreSharedKey};
use libp2p::{PeerId, Transport, dns, noise, tcp, yamux};
use thiserror::Error;

use super::config::{NetConfig, StartError};
use super::gate::{Gate, mark_reached};
use super::invites::{Begun, Invites, from_pnet};
use super::refusals::Refusals;

/// After this long an unanswered TCP dial is given up. The kernel would try ever more rarely; giving up and
/// dialling anew finds a mended network within a second. One round trip takes less anywhere on earth.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

type Connection = (PeerId, StreamMuxerBox);

/// Names are resolved outermost, so that each address of a name goes through the whole of the handshakes.
pub(super) fn build(
    config: &NetConfig,
    keypair: &Keypair,
    refusals: &Arc<Refusals>,
) -> Result<Boxed<Connection>, StartError> {
    match dns::tokio::Transport::system(gate(config, keypair, refusals)?) {
        Ok(transport) => Ok(transport.boxed()),
        Err(error) => {
            tracing::warn!(%error, "the system's name servers are unknown: host names cannot be joined");
            Ok(gate(config, keypair, refusals)?.boxed())
        }
    }
}

fn gate(
    config: &NetConfig,
    keypair: &Keypair,
    refusals: &Arc<Refusals>,
) -> Result<Gate, StartError> {
    let key = PreSharedKey::new(config.key.network_key(&config.mesh));
    #[cfg(feature = "faults")]
    let secured = match &config.links {
        Some(links) => over_links(
            links,
            config.identity.replica(),
            key,
            keypair,
            config.invites.clone(),
        )?,
        None => secure(tcp(), key, keypair, config.invites.clone())?,
    };
    #[cfg(not(feature = "faults"))]
    let secured = secure(tcp(), key, keypair, config.invites.clone())?;
    Ok(Gate::new(
        secured,
        keypair.public().to_peer_id(),
        refusals.clone(),
    ))
}

fn tcp() -> tcp::tokio::Transport {
    tcp::tokio::Transport::new(tcp::Config::default())
}

#[cfg(feature = "faults")]
pub(super) fn over_links(
    links: &super::Links,
    local: crate::model::ReplicaId,
    key: PreSharedKey,
    keypair: &Keypair,
    invites: Arc<Invites>,
) -> Result<Boxed<Connection>, StartError> {
    use super::links::{Faulty, Memory};

    let links = links.clone();
    if links.is_in_memory() {
        let memory = Memory::new(links.clone());
        secure(Faulty::new(memory, links, local), key, keypair, invites)
    } else {
        secure(Faulty::new(tcp(), links, local), key, keypair, invites)
    }
}

/// The mesh key comes first: whoever does not have it cannot even see what is spoken here. Who comes for an invite
/// says so before, and is led elsewhere.
fn secure<T>(
    tcp: T,
    key: PreSharedKey,
    keypair: &Keypair,
    invites: Arc<Invites>,
) -> Result<Boxed<Connection>, StartError>
where
    T: Transport + Send + Unpin + 'static,
    T::Output: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    T::Error: Send + Sync + 'static,
    T::Dial: Send + 'static,
    T::ListenerUpgrade: Send + 'static,
{
    let noise =
        noise::Config::new(keypair).map_err(|error| StartError::Network(error.to_string()))?;
    let transport = TransportTimeout::with_outgoing_timeout(tcp, CONNECT_TIMEOUT)
        .and_then(move |stream, end| {
            mark_reached();
            let invites = end.is_listener().then(|| invites.clone());
            async move {
                let stream = match invites {
                    Some(invites) => invites.divert(stream).await.map_err(Early)?,
                    None => Begun::afresh(stream),
                };
                let secured = PnetConfig::new(key).handshake(stream).await;
                secured.map_err(|error| Early(from_pnet(error)))
            }
        })
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux::Config::default());
    Ok(transport.boxed())
}

/// A connection that ended before anything was proved. A type of its own: what libp2p wraps around an error shows
/// that error's cause and not the error itself.
#[derive(Debug, Error)]
#[error("{0}")]
struct Early(#[source] io::Error);
