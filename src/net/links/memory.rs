//! A network inside this process: nodes meet at IP addresses and ports that no socket has.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Ready, ready};
use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, Transport};
use tokio::sync::mpsc;

use super::Links;
use super::relay::Near;
use crate::net::address::socket_address;

/// Connections that wait to be accepted; further diallers wait, as on a full backlog.
pub(super) const BACKLOG: usize = 128;

/// A connection that is handed to its listener, and where it comes from.
pub(super) type Knock = (Near, SocketAddr);

/// In the place of TCP: the same addresses, no sockets, and therefore no time but what tokio's clock says.
pub(in crate::net) struct Memory {
    links: Links,
    listeners: Vec<Listener>,
}

struct Listener {
    id: ListenerId,
    address: SocketAddr,
    knocks: mpsc::Receiver<Knock>,
    announced: bool,
}

impl Memory {
    pub(in crate::net) fn new(links: Links) -> Self {
        Self {
            links,
            listeners: Vec::new(),
        }
    }

    /// Where our connections come from.
    fn ip(&self) -> IpAddr {
        self.listeners
            .first()
            .map_or(Ipv4Addr::LOCALHOST.into(), |first| first.address.ip())
    }
}

impl Transport for Memory {
    type Output = Near;
    type Error = io::Error;
    type ListenerUpgrade = Ready<io::Result<Near>>;
    type Dial = BoxFuture<'static, io::Result<Near>>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        let Some(wanted) = socket_address(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let (address, knocks) = self.links.open(wanted).map_err(TransportError::Other)?;
        self.listeners.push(Listener {
            id,
            address,
            knocks,
            announced: false,
        });
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let listener = self.listeners.iter_mut().find(|known| known.id == id);
        listener.map(|known| known.knocks.close()).is_some()
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        _: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        let Some(to) = socket_address(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let (links, ip) = (self.links.clone(), self.ip());
        let dial = async move {
            let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
            let (door, from) = links.door(to, ip).ok_or_else(refused)?;
            let (near, far) = Near::pair();
            door.send((far, from)).await.map_err(|_| refused())?;
            Ok(near)
        };
        Ok(dial.boxed())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        for index in 0..self.listeners.len() {
            let listener = &mut self.listeners[index];
            let listener_id = listener.id;
            let local_addr = multiaddr(listener.address);
            if !listener.announced {
                listener.announced = true;
                return Poll::Ready(TransportEvent::NewAddress {
                    listener_id,
                    listen_addr: local_addr,
                });
            }
            match listener.knocks.poll_recv(context) {
                Poll::Pending => {}
                Poll::Ready(Some((stream, from))) => {
                    return Poll::Ready(TransportEvent::Incoming {
                        listener_id,
                        upgrade: ready(Ok(stream)),
                        local_addr,
                        send_back_addr: multiaddr(from),
                    });
                }
                Poll::Ready(None) => {
                    self.listeners.remove(index);
                    return Poll::Ready(TransportEvent::ListenerClosed {
                        listener_id,
                        reason: Ok(()),
                    });
                }
            }
        }
        Poll::Pending
    }
}

fn multiaddr(address: SocketAddr) -> Multiaddr {
    Multiaddr::from(address.ip()).with(Protocol::Tcp(address.port()))
}

#[cfg(test)]
mod tests {
    use futures::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const HERE: &str = "/ip4/10.0.0.1/tcp/4747";

    fn address(text: &str) -> Multiaddr {
        text.parse().expect("a multiaddr")
    }

    fn listening(links: &Links, at: &str) -> Memory {
        let mut memory = Memory::new(links.clone());
        memory
            .listen_on(ListenerId::next(), address(at))
            .expect("a free address");
        memory
    }

    async fn event(memory: &mut Memory) -> TransportEvent<Ready<io::Result<Near>>, io::Error> {
        futures::future::poll_fn(|context| Pin::new(&mut *memory).poll(context)).await
    }

    async fn dial(links: &Links, to: &str) -> io::Result<Near> {
        let options = DialOpts {
            role: libp2p::core::Endpoint::Dialer,
            port_use: libp2p::core::transport::PortUse::Reuse,
        };
        let dial = Memory::new(links.clone()).dial(address(to), options);
        dial.map_err(|_| io::ErrorKind::Unsupported)?.await
    }

    #[tokio::test]
    async fn a_dial_reaches_who_listens_there() {
        let links = Links::in_memory();
        let mut one = listening(&links, HERE);
        let TransportEvent::NewAddress { listen_addr, .. } = event(&mut one).await else {
            panic!("a listener begins with its address");
        };
        assert_eq!(listen_addr, address(HERE));
        let mut near = dial(&links, HERE).await.expect("somebody listens there");
        let TransportEvent::Incoming { upgrade, .. } = event(&mut one).await else {
            panic!("the dial arrives");
        };
        let mut far = upgrade.await.expect("it is there");
        near.write_all(b"x").await.expect("the pipe takes a byte");
        let mut byte = [0];
        far.read_exact(&mut byte).await.expect("it arrives");
        assert_eq!(&byte, b"x");
    }

    #[tokio::test]
    async fn an_address_has_one_owner_at_a_time() {
        let links = Links::in_memory();
        let refused = dial(&links, HERE).await.expect_err("nobody is there");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let one = listening(&links, HERE);
        assert!(links.open("10.0.0.1:4747".parse().expect("one")).is_err());
        drop(one);
        drop(listening(&links, HERE));
        assert!(dial(&links, HERE).await.is_err(), "it is free again");
    }

    #[test]
    fn port_zero_takes_a_free_one() {
        let links = Links::in_memory();
        let any: SocketAddr = "10.0.0.1:0".parse().expect("an address");
        let (one, _kept) = links.open(any).expect("a port");
        let (two, _kept) = links.open(any).expect("a port");
        assert!(one.port() != 0 && two.port() != 0 && one != two);
    }
}
