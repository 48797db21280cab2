//! The outermost layer of the transport: who gets through, how long they may take, and a note of who did not.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{
    Boxed, DialOpts, ListenerId, PortUse, TransportError, TransportEvent,
};
use libp2p::{Multiaddr, PeerId, Transport};
use tokio::time::timeout;

use super::refusals::Refusals;

/// How long both handshakes together may take, either way: several round trips around the world, and a bound
/// on how long a stranger occupies a slot.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

tokio::task_local! {
    /// Whether the other machine answered: what fails before that is an unreachable address, what fails
    /// afterwards is a peer that does not belong to the mesh.
    static REACHED: Cell<bool>;
}

/// To be called on the way up from TCP, once that connection stands.
pub(super) fn mark_reached() {
    // Inbound connections come without the mark: they are there, so they were reached.
    let _ = REACHED.try_with(|reached| reached.set(true));
}

type Connection = (PeerId, StreamMuxerBox);

/// Wraps the whole authenticated transport.
pub(super) struct Gate {
    inner: Boxed<Connection>,
    local: PeerId,
    refusals: Arc<Refusals>,
}

impl Gate {
    pub(super) fn new(inner: Boxed<Connection>, local: PeerId, refusals: Arc<Refusals>) -> Self {
        Self {
            inner,
            local,
            refusals,
        }
    }
}

impl Transport for Gate {
    type Output = Connection;
    type Error = io::Error;
    type ListenerUpgrade = BoxFuture<'static, io::Result<Connection>>;
    type Dial = BoxFuture<'static, io::Result<Connection>>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        // From the port we listen on, two nodes that dial each other at once would make one TCP connection of
        // which both believe they opened it, and quick redials would meet their predecessor's TIME_WAIT.
        let dial = self.inner.dial(
            address.clone(),
            DialOpts {
                port_use: PortUse::New,
                ..options
            },
        )?;
        let (local, refusals) = (self.local, self.refusals.clone());
        let attempt = async move {
            let result = within(HANDSHAKE_TIMEOUT, dial).await;
            match result {
                // Found out here, not by the swarm, so that a host name which is also ours goes on to its
                // next address.
                Ok((peer, _)) if peer == local => Err(io::Error::new(
                    io::ErrorKind::AddrInUse,
                    "that is ourselves",
                )),
                Ok(connection) => {
                    refusals.forget(&address);
                    Ok(connection)
                }
                Err(error) => {
                    if REACHED.with(Cell::get) {
                        refusals.outbound(&address, &error);
                    }
                    Err(error)
                }
            }
        };
        Ok(REACHED.scope(Cell::new(false), attempt).boxed())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        let event = futures::ready!(Pin::new(&mut self.inner).poll(context));
        let from = match &event {
            TransportEvent::Incoming { send_back_addr, .. } => send_back_addr.clone(),
            _ => Multiaddr::empty(),
        };
        let refusals = self.refusals.clone();
        Poll::Ready(event.map_upgrade(|upgrade| {
            let upgrade = async move {
                let result = within(HANDSHAKE_TIMEOUT, upgrade).await;
                if let Err(error) = &result {
                    refusals.inbound(&from, error);
                }
                result
            };
            upgrade.boxed()
        }))
    }
}

async fn within(
    limit: Duration,
    upgrade: impl Future<Output = io::Result<Connection>>,
) -> io::Result<Connection> {
    timeout(limit, upgrade)
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "handshake")))
}
