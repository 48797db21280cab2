//! Open invites, and who comes for them.
//!
//! An invite is answered by the mesh's own listeners, where a connection that begins with its knock is taken off
//! before the mesh's key is even asked for; and, when it names a port at which the mesh does not listen, by a
//! listener of its own, which ends with the last invite that needs it. How the exchange goes is drawn in
//! [`wire::Invite`](crate::wire::Invite).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use libp2p::PeerId;
use libp2p::core::upgrade::InboundConnectionUpgrade as _;
use libp2p::identity::Keypair;
use libp2p::pnet::{PnetConfig, PnetError, PreSharedKey};
use libp2p::{noise, tcp};
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::config::AddressError;
use crate::wire::{Identity, Invite, KNOCK_BYTES, MeshKey};

/// Invites open at once: more than anybody sets up in a quarter of an hour by hand. One more is refused.
pub(crate) const MAX_OPEN_INVITES: usize = 16;
/// The longest an invite is good for.
pub(crate) const MAX_INVITE_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// Connections to invites' own listeners that have not said yet what they want; further ones are closed at once.
const MAX_SILENT: usize = 64;
/// Holders of invites that are served at once; further ones are closed at once, and may come again.
const MAX_VISITORS: usize = 16;
/// How long a visitor may take: several round trips around the world.
pub(super) const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait when the system has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The mesh's key and a port.
pub(super) const WELCOME_BYTES: usize = 34;

/// The open invites of a node.
pub(crate) struct Invites {
    key: MeshKey,
    identity: Identity,
    state: Mutex<State>,
    /// Counts what listeners must look at.
    changes: watch::Sender<u64>,
    silent: Arc<Semaphore>,
    visitors: Arc<Semaphore>,
}

#[derive(Default)]
struct State {
    open: BTreeMap<[u8; KNOCK_BYTES], Open>,
    /// Where a listener of our own runs.
    listeners: BTreeSet<SocketAddr>,
    closed: bool,
}

#[derive(Clone)]
struct Open {
    invite: Invite,
    /// Where the mesh is joined, at the host of the invite.
    mesh_port: u16,
    /// Its own listener; `None`: the mesh's are enough.
    listener: Option<SocketAddr>,
    ends: Instant,
}

/// An invite was not given; nothing was changed.
///
/// ```
/// use presence_mesh::InviteError;
/// assert_eq!(InviteError::Lifetime.to_string(), "an invite is good for 1 s to 15 min");
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InviteError {
    /// The address is none that can be dialled.
    #[error("bad address")]
    Address(#[from] AddressError),
    /// The address to listen on is none.
    #[error(
        "{0:?} is not an address to listen on: expected an IP address and a port, such as 0.0.0.0:4748"
    )]
    Listen(String),
    /// It would be good for too long, or not at all.
    #[error("an invite is good for 1 s to 15 min")]
    Lifetime,
    /// Wait until one is used or expires.
    #[error("{MAX_OPEN_INVITES} invites are open already: wait until one is used or expires")]
    TooMany,
    /// Others cannot join a node that listens nowhere.
    #[error("this node listens nowhere, so nobody can join it: give it a listen address first")]
    NotListening,
    /// The port is taken, not permitted, or the address not this machine's.
    #[error(
        "cannot listen on {address} for who joins: {cause}; when the port is forwarded to another one of this \
         machine, name that one, as in --listen 0.0.0.0:4747"
    )]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why not.
        cause: io::Error,
    },
    /// The node has left the mesh.
    #[error("the node has left the mesh")]
    Stopped,
}

impl Invites {
    pub(crate) fn new(key: MeshKey, identity: Identity) -> Arc<Self> {
        Arc::new(Self {
            key,
            identity,
            state: Mutex::default(),
            changes: watch::Sender::new(0),
            silent: Arc::new(Semaphore::new(MAX_SILENT)),
            visitors: Arc::new(Semaphore::new(MAX_VISITORS)),
        })
    }

    /// Opens an invite, and a listener when one is needed that is not there. Must be called within a tokio
    /// runtime.
    pub(crate) fn open(
        self: &Arc<Self>,
        invite: Invite,
        mesh_port: u16,
        listener: Option<SocketAddr>,
        ends: Instant,
    ) -> Result<(), InviteError> {
        let mut state = self.state();
        if state.closed {
            return Err(InviteError::Stopped);
        }
        state.forget_expired(Instant::now());
        if state.open.len() >= MAX_OPEN_INVITES {
            return Err(InviteError::TooMany);
        }
        if let Some(address) = listener.filter(|address| !state.listeners.contains(address)) {
            let socket = bind(address).map_err(|cause| InviteError::Bind { address, cause })?;
            state.listeners.insert(address);
            tokio::spawn(self.clone().listen(socket, address));
        }
        let open = Open {
            mesh_port,
            listener,
            ends,
            invite,
        };
        state.open.insert(open.invite.knock(), open);
        drop(state);
        self.changes.send_modify(|changes| *changes += 1);
        Ok(())
    }

    /// Takes all invites back, and gives none any more.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.open.clear();
        drop(state);
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Lets through who does not come for an invite.
    ///
    /// # Errors
    /// `ConnectionAborted` for the others: they are served elsewhere. And when the stream ends before that can be
    /// told.
    pub(super) async fn divert<S>(self: &Arc<Self>, mut stream: S) -> io::Result<Begun<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut knock = [0; KNOCK_BYTES];
        stream.read_exact(&mut knock).await?;
        let Some(open) = self.find(&knock) else {
            return Ok(Begun {
                stream,
                first: knock,
                given: 0,
            });
        };
        self.receive(stream, open);
        Err(io::Error::new(
            io::ErrorKind::ConnectionAborted,
            "it came for an invite",
        ))
    }

    async fn listen(self: Arc<Self>, mut socket: TcpListener, address: SocketAddr) {
        let mut changes = self.changes.subscribe();
        tracing::info!(%address, "listening for who was invited");
        while let Some((kept, until)) = self.keep(socket, address) {
            socket = kept;
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                () = sleep_until(until) => continue,
                _ = changes.changed() => continue,
            };
            match accepted {
                Ok((stream, from)) => self.visited(stream, from),
                Err(error) => {
                    tracing::debug!(%error, "cannot take a connection of who was invited");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        tracing::info!(%address, "no longer listening for who was invited");
    }

    /// The listener back, and when to ask again; `None` when no invite needs it: it is closed then.
    fn keep(&self, socket: TcpListener, address: SocketAddr) -> Option<(TcpListener, Instant)> {
        let mut state = self.state();
        state.forget_expired(Instant::now());
        let needing = state
            .open
            .values()
            .filter(|open| open.listener == Some(address));
        match needing.map(|open| open.ends).min() {
            Some(until) => Some((socket, until)),
            None => {
                // Under the lock: whoever opens the next invite there finds the port free.
                drop(socket);
                state.listeners.remove(&address);
                None
            }
        }
    }

    fn visited(self: &Arc<Self>, stream: tokio::net::TcpStream, from: SocketAddr) {
        let Ok(permit) = self.silent.clone().try_acquire_owned() else {
            tracing::debug!(%from, "too many come for invites at once");
            return;
        };
        let invites = self.clone();
        tokio::spawn(async move {
            let stream = tcp::tokio::TcpStream(stream);
            // Who speaks something else, or knocks in vain, is cut off without a word.
            if let Ok(Ok(_)) = timeout(EXCHANGE_TIMEOUT, invites.divert(stream)).await {
                tracing::debug!(%from, "somebody came for an invite that is not open");
            }
            drop(permit);
        });
    }

    fn receive<S>(self: &Arc<Self>, stream: S, open: Open)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Ok(permit) = self.visitors.clone().try_acquire_owned() else {
            tracing::debug!("too many come for invites at once");
            return;
        };
        let invites = self.clone();
        tokio::spawn(async move {
            match timeout(EXCHANGE_TIMEOUT, invites.welcome(stream, open)).await {
                Ok(Ok(peer)) => {
                    tracing::info!(replica = %peer, "an invite was used: this replica has the mesh's key now");
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, "somebody came for an invite and did not prove to have it");
                }
                Err(_) => tracing::debug!("somebody came for an invite and fell silent"),
            }
            drop(permit);
        });
    }

    /// Gives the mesh's key to who proves to have the invite; says who that is.
    async fn welcome<S>(&self, stream: S, open: Open) -> io::Result<PeerId>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let key = PreSharedKey::new(open.invite.network_key());
        let stream = PnetConfig::new(key)
            .handshake(stream)
            .await
            .map_err(from_pnet)?;
        let noise = noise::Config::new(&keypair(&self.identity)?).map_err(io::Error::other)?;
        let upgrade = noise.upgrade_inbound(stream, "/noise");
        let (peer, mut channel) = upgrade.await.map_err(io::Error::other)?;
        let mut proof = [0; 32];
        channel.read_exact(&mut proof).await?;
        if !bool::from(proof.ct_eq(&open.invite.proof())) {
            return Err(io::Error::other("the proof is wrong"));
        }
        if self.use_up(&open.invite.knock()).is_none() {
            return Err(io::Error::other("somebody else used it meanwhile"));
        }
        let mut welcome = [0; WELCOME_BYTES];
        welcome[..32].copy_from_slice(self.key.as_bytes());
        welcome[32..].copy_from_slice(&open.mesh_port.to_be_bytes());
        channel.write_all(&welcome).await?;
        channel.close().await?;
        Ok(peer)
    }

    fn find(&self, knock: &[u8; KNOCK_BYTES]) -> Option<Open> {
        let mut state = self.state();
        state.forget_expired(Instant::now());
        state.open.get(knock).cloned()
    }

    /// Closes an invite that is open still.
    fn use_up(&self, knock: &[u8; KNOCK_BYTES]) -> Option<Open> {
        let mut state = self.state();
        state.forget_expired(Instant::now());
        let open = state.open.remove(knock);
        drop(state);
        self.changes.send_modify(|changes| *changes += 1);
        open
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Invites {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let open = self.state().open.len();
        f.debug_struct("Invites")
            .field("open", &open)
            .finish_non_exhaustive()
    }
}

impl State {
    fn forget_expired(&mut self, now: Instant) {
        self.open.retain(|_, open| open.ends > now);
    }
}

/// A stream of which the first bytes were read already, and are read again.
pub(super) struct Begun<S> {
    stream: S,
    first: [u8; KNOCK_BYTES],
    given: usize,
}

impl<S> Begun<S> {
    /// A stream of which nothing was read.
    pub(super) fn afresh(stream: S) -> Self {
        Self {
            stream,
            first: [0; KNOCK_BYTES],
            given: KNOCK_BYTES,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Begun<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let left = &self.first[self.given..];
        if left.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let length = left.len().min(buffer.len());
        buffer[..length].copy_from_slice(&left[..length]);
        self.given += length;
        Poll::Ready(Ok(length))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Begun<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(context)
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = std::net::TcpListener::bind(address)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket)
}

pub(super) fn keypair(identity: &Identity) -> io::Result<Keypair> {
    Keypair::ed25519_from_bytes(identity.to_bytes()).map_err(io::Error::other)
}

pub(super) fn from_pnet(error: PnetError) -> io::Error {
    match error {
        PnetError::HandshakeError(error) | PnetError::IoError(error) => error,
    }
}
