//! The transport below encryption whose dials run over a [`Links`].

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::{BoxFuture, Either};
use futures::{AsyncRead, AsyncWrite, FutureExt as _, TryFutureExt as _};
use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, Transport};
use tracing::Instrument as _;

use super::Links;
use super::relay::{Near, relay};
use crate::model::ReplicaId;
use crate::net::address::{replica_id, socket_address};

/// Wraps what this node dials. Every connection has one dialler, so between two wrapped nodes nothing passes
/// by; libp2p above notices nothing.
pub(in crate::net) struct Faulty<T> {
    inner: T,
    links: Links,
    local: ReplicaId,
}

impl<T> Faulty<T> {
    pub(in crate::net) fn new(inner: T, links: Links, local: ReplicaId) -> Self {
        Self {
            inner,
            links,
            local,
        }
    }

    /// Who listens at an address: as far as registered the real one, not the one a dialler hopes to find.
    fn owner(&self, address: &Multiaddr) -> Option<ReplicaId> {
        let registered = socket_address(address).and_then(|address| self.links.owner(address));
        registered.or_else(|| match address.iter().last() {
            Some(Protocol::P2p(peer)) => replica_id(&peer),
            _ => None,
        })
    }
}

impl<T, S> Transport for Faulty<T>
where
    T: Transport<Output = S, Error = io::Error> + Unpin,
    T::Dial: Send + 'static,
    T::ListenerUpgrade: Send + 'static,
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = Either<S, Near>;
    type Error = io::Error;
    type ListenerUpgrade = BoxFuture<'static, io::Result<Self::Output>>;
    type Dial = BoxFuture<'static, io::Result<Self::Output>>;

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
        let owner = self.owner(&address);
        let dial = self.inner.dial(address, options)?;
        let Some(owner) = owner else {
            return Ok(dial.map_ok(Either::Left).boxed());
        };
        let mut line = self.links.line(self.local, owner);
        let dial = async move {
            line.connect().await?;
            let stream = dial.await?;
            let (near, far) = Near::pair();
            tokio::spawn(relay(far, stream, line).in_current_span());
            Ok(Either::Right(near))
        };
        Ok(dial.boxed())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        let event = Pin::new(&mut self.inner).poll(context);
        event.map(|event| event.map_upgrade(|upgrade| upgrade.map_ok(Either::Left).boxed()))
    }
}
