//! Binding, and starting the driver.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use libp2p::core::transport::ListenerId;
use libp2p::core::upgrade::Version;
use libp2p::gossipsub::IdentTopic;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{self, Swarm, SwarmEvent};
use libp2p::{Multiaddr, TransportError};
use tokio::net::lookup_host;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tracing::Instrument as _;

use super::address::{port, socket_address};
use super::behaviour::Behaviour;
use super::config::{NetConfig, StartError};
use super::driver::Driver;
#[cfg(feature = "metrics")]
use super::metrics;
use super::refusals::Refusals;
use super::shared::{Command, Shared};
use super::transport;

/// How long a listener may take to say where it listens.
const BIND_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the addresses of further interfaces are waited for after the first.
const INTERFACES_GATHER: Duration = Duration::from_millis(50);
/// A connection is closed on purpose only: between two servers of one mesh there is no such thing as idle.
const IDLE_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// Binds all listeners and starts the driver task. Returns the bound addresses, with `/p2p/…`.
pub(crate) async fn start(
    config: NetConfig,
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
) -> Result<(Vec<String>, AbortHandle), StartError> {
    let span = tracing::info_span!("mesh", replica = ?config.identity.replica());
    let starting = bind(config, shared, commands, span.clone());
    let driver = starting.instrument(span.clone()).await?;
    let addresses = driver.join_addresses();
    let task = tokio::spawn(driver.run().instrument(span));
    Ok((addresses, task.abort_handle()))
}

async fn bind(
    config: NetConfig,
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    span: tracing::Span,
) -> Result<Driver, StartError> {
    let network = |error: &dyn std::fmt::Display| StartError::Network(error.to_string());
    let keypair =
        Keypair::ed25519_from_bytes(config.identity.to_bytes()).map_err(|error| network(&error))?;
    let refusals = Arc::new(Refusals::new(shared.clone(), span.clone()));
    let transport = transport::build(&config, &keypair, &refusals)?;
    #[cfg(feature = "metrics")]
    let (recorder, transport, mut registry) = metrics::count(transport);
    let topic = IdentTopic::new(config.key.topic(&config.mesh));
    let behaviour = Behaviour::new(&config, &keypair, &topic, shared.sync_bytes())?;
    #[cfg(feature = "metrics")]
    let behaviour = metrics::count_gossip(behaviour, &mut registry);
    let settings = swarm::Config::with_executor(move |task: BoxFuture<'static, ()>| {
        drop(tokio::spawn(task.instrument(span.clone())));
    })
    .with_idle_connection_timeout(IDLE_TIMEOUT)
    .with_substream_upgrade_protocol_override(Version::V1Lazy);
    let mut swarm = Swarm::new(
        transport,
        behaviour,
        keypair.public().to_peer_id(),
        settings,
    );
    swarm
        .behaviour_mut()
        .gossip
        .subscribe(&topic)
        .map_err(|error| network(&error))?;

    let mut listeners = Vec::new();
    for text in &config.listen {
        let address: Multiaddr = text.parse().map_err(|error| network(&error))?;
        listeners.extend(
            listen(&mut swarm, &address, config.uses_sockets())
                .await
                .map_err(|source| refused(text, source))?,
        );
    }
    #[cfg(feature = "metrics")]
    shared.set_registry(registry);
    let mut driver = Driver::new(swarm, &config, topic, refusals, (shared, commands));
    #[cfg(feature = "metrics")]
    driver.record(recorder);
    await_listeners(&mut driver, listeners)
        .await
        .map_err(|source| refused(&config.listen.join(", "), source))?;
    Ok(driver)
}

fn refused(address: &str, source: io::Error) -> StartError {
    StartError::Listen {
        address: address.to_owned(),
        source,
    }
}

/// Listens there, on every address of a host name.
async fn listen(
    swarm: &mut Swarm<Behaviour>,
    address: &Multiaddr,
    sockets: bool,
) -> io::Result<Vec<ListenerId>> {
    let mut listeners = Vec::new();
    for wanted in resolve(address).await? {
        // libp2p listens with SO_REUSEPORT: without this look, two nodes started by one user would share the
        // port without noticing, and the kernel would deal out connections between them.
        if sockets {
            drop(TcpListener::bind(wanted)?);
        }
        let wanted = Multiaddr::from(wanted.ip()).with(Protocol::Tcp(wanted.port()));
        let listener = swarm.listen_on(wanted).map_err(|error| match error {
            TransportError::Other(error) => error,
            other => io::Error::other(other),
        })?;
        listeners.push(listener);
    }
    Ok(listeners)
}

async fn resolve(address: &Multiaddr) -> io::Result<Vec<SocketAddr>> {
    if let Some(address) = socket_address(address) {
        return Ok(vec![address]);
    }
    let host = address.iter().find_map(|part| match part {
        Protocol::Dns(host) | Protocol::Dns4(host) | Protocol::Dns6(host) => {
            Some(host.into_owned())
        }
        _ => None,
    });
    let (Some(host), Some(port)) = (host, port(address)) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    Ok(lookup_host((host.as_str(), port)).await?.collect())
}

/// Runs the swarm until every listener has said where it listens.
async fn await_listeners(driver: &mut Driver, mut waiting: Vec<ListenerId>) -> io::Result<()> {
    let all_interfaces = driver.swarm.listeners().next().is_none() && !waiting.is_empty();
    while !waiting.is_empty() {
        let next = timeout(BIND_TIMEOUT, driver.swarm.select_next_some());
        let event = next
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
        match &event {
            SwarmEvent::NewListenAddr { listener_id, .. } => {
                waiting.retain(|waiting| waiting != listener_id)
            }
            SwarmEvent::ListenerClosed {
                listener_id,
                reason,
                ..
            } if waiting.contains(listener_id) => {
                let text = reason
                    .as_ref()
                    .err()
                    .map_or_else(|| "closed".to_owned(), ToString::to_string);
                return Err(io::Error::other(text));
            }
            _ => {}
        }
        driver.on_event(event);
    }
    // A listener on all interfaces reports them one after another.
    if all_interfaces {
        while let Ok(event) = timeout(INTERFACES_GATHER, driver.swarm.select_next_some()).await {
            driver.on_event(event);
        }
    }
    Ok(())
}
