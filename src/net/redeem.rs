//! Using an invite.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::core::upgrade::OutboundConnectionUpgrade as _;
use libp2p::pnet::{PnetConfig, PreSharedKey};
use libp2p::{noise, tcp};
use thiserror::Error;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::address::peer_id;
use super::invites::{EXCHANGE_TIMEOUT, WELCOME_BYTES, from_pnet, keypair};
use crate::wire::{Identity, Invite, MeshKey};

/// How long one address is dialled: three repeats of a lost first packet.
const DIAL_TIMEOUT: Duration = Duration::from_secs(8);

/// What an invite brings.
///
/// ```
/// use presence_mesh::{Mesh, MeshBuilder, Welcome};
/// fn member(welcome: Welcome) -> Result<MeshBuilder, presence_mesh::AddressError> {
///     Mesh::builder("acme").key(welcome.key).join([welcome.join])
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Welcome {
    /// The mesh's key.
    pub key: MeshKey,
    /// Where the mesh is joined, `host:port`.
    pub join: String,
}

/// The mesh's key was not fetched.
///
/// ```
/// use presence_mesh::RedeemError;
/// let error = RedeemError::Unknown { address: "berlin.example.net:4747".to_owned() };
/// assert!(error.to_string().ends_with("ask for a new one"));
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RedeemError {
    /// The invite may be good still.
    #[error("cannot resolve {host}: {cause}")]
    Resolve {
        /// The name.
        host: String,
        /// Why.
        cause: io::Error,
    },
    /// The invite may be good still, or its listener is closed.
    #[error(
        "nobody answers at {address} ({cause}): the invite was used or has expired, or the port is not open from here"
    )]
    Unreachable {
        /// What was dialled.
        address: String,
        /// Why.
        cause: io::Error,
    },
    /// Ask for a new one.
    #[error(
        "what answers at {address} does not know the invite: it was used, has expired, or was copied badly; ask \
         for a new one"
    )]
    Unknown {
        /// What was dialled.
        address: String,
    },
    /// Somebody sits between, and has learnt nothing but that somebody joins.
    #[error(
        "what answers at {address} is not the node that gave the invite: do not trust the way to it"
    )]
    Impostor {
        /// What was dialled.
        address: String,
    },
    /// The invite is used up all the same: ask for a new one.
    #[error("{address} broke off before it gave the key ({cause}): ask for a new invite")]
    BrokenOff {
        /// What was dialled.
        address: String,
        /// Why.
        cause: io::Error,
    },
}

impl Invite {
    /// Fetches the mesh's key from the node that gave the invite, which can be done once. `identity` is who will
    /// join with it; the other node notes that in its log.
    ///
    /// The key comes over a connection that only holders of the invite can read, from the very node that the
    /// invite names, to nobody who does not hold the invite.
    ///
    /// Must be called within a tokio runtime. Not cancel safe: dropped half-way, the invite may be used up.
    ///
    /// # Errors
    /// See [`RedeemError`].
    ///
    /// ```no_run
    /// # async fn example(line: &str) -> Result<(), Box<dyn std::error::Error>> {
    /// use presence_mesh::{Identity, Invite, Mesh};
    /// let invite: Invite = line.parse()?;
    /// let identity = Identity::from_bytes([7; 32]); // random ones, of course
    /// let welcome = invite.redeem(&identity).await?;
    /// let mesh = Mesh::builder(invite.mesh())
    ///     .identity(identity)
    ///     .key(welcome.key)
    ///     .join([welcome.join])?
    ///     .start()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn redeem(&self, identity: &Identity) -> Result<Welcome, RedeemError> {
        let address = self.address();
        let stream = self.dial().await?;
        // A connection that is not taken off at the far end falls silent or breaks, however it is used.
        let unknown = |_| RedeemError::Unknown {
            address: address.to_owned(),
        };
        let opening = timeout(EXCHANGE_TIMEOUT, self.open_channel(stream, identity));
        let (peer, mut channel) = match opening.await {
            Ok(opened) => opened.map_err(unknown)?,
            Err(_) => return Err(unknown(io::ErrorKind::TimedOut.into())),
        };
        if peer != peer_id(self.node()) {
            return Err(RedeemError::Impostor {
                address: address.to_owned(),
            });
        }
        let fetching = async {
            channel.write_all(&self.proof()).await?;
            channel.flush().await?;
            let mut welcome = [0; WELCOME_BYTES];
            channel.read_exact(&mut welcome).await?;
            Ok(welcome)
        };
        let fetched = timeout(EXCHANGE_TIMEOUT, fetching).await;
        let welcome = fetched
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|cause| RedeemError::BrokenOff {
                address: address.to_owned(),
                cause,
            })?;
        Ok(self.read(&welcome))
    }

    fn read(&self, welcome: &[u8; WELCOME_BYTES]) -> Welcome {
        let (key, port) = welcome
            .split_first_chunk::<32>()
            .expect("a welcome begins with a key");
        let port = u16::from_be_bytes([port[0], port[1]]);
        let host = self.host();
        let join = if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        };
        Welcome {
            key: MeshKey::from_bytes(*key),
            join,
        }
    }

    /// The first of the name's addresses that answers.
    async fn dial(&self) -> Result<TcpStream, RedeemError> {
        let found: Vec<SocketAddr> = lookup_host(self.address())
            .await
            .map_err(|cause| RedeemError::Resolve {
                host: self.host().to_owned(),
                cause,
            })?
            .collect();
        let mut cause = io::Error::from(io::ErrorKind::NotFound);
        for address in found {
            match timeout(DIAL_TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => cause = error,
                Err(_) => cause = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(RedeemError::Unreachable {
            address: self.address().to_owned(),
            cause,
        })
    }

    async fn open_channel(&self, stream: TcpStream, identity: &Identity) -> io::Result<Channel> {
        let mut stream = tcp::tokio::TcpStream(stream);
        stream.write_all(&self.knock()).await?;
        let key = PreSharedKey::new(self.network_key());
        let stream = PnetConfig::new(key)
            .handshake(stream)
            .await
            .map_err(from_pnet)?;
        let noise = noise::Config::new(&keypair(identity)?).map_err(io::Error::other)?;
        let upgrade = noise.upgrade_outbound(stream, "/noise");
        upgrade.await.map_err(io::Error::other)
    }
}

/// Who answered, and what is said to them is read by them alone.
type Channel = (
    libp2p::PeerId,
    noise::Output<libp2p::pnet::PnetOutput<tcp::tokio::TcpStream>>,
);
