//! Letting a new node in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::Mesh;
use crate::config::random_bytes;
use crate::net::{self, InviteError, MAX_INVITE_LIFETIME};
use crate::wire::{Invite, host_and_port};

impl Mesh {
    /// Opens an invite: a line with which one new node, once, can fetch the mesh's key from this one.
    ///
    /// `address` is what the new node dials: `host:port`. The port is answered by the mesh's own listener when it is
    /// one at which this node listens, so that one forwarded port is enough for the invite and for the mesh; else a
    /// second listener is opened there until the invite is used or expires. `listen` says where that is when it is
    /// not the port of `address`, on all interfaces (for a loopback address: on it alone). After `lifetime`, at most
    /// 15 minutes, the invite is worth nothing. At most 16 are open at once; they end with this node.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// See [`InviteError`]; nothing is changed then.
    ///
    /// ```no_run
    /// # async fn example(mesh: presence_mesh::Mesh) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// let invite = mesh.invite("berlin.example.net:4747", None, Duration::from_secs(900))?;
    /// println!("{}", invite.to_text()); // secret until it is used
    /// # Ok(())
    /// # }
    /// ```
    pub fn invite(
        &self,
        address: &str,
        listen: Option<&str>,
        lifetime: Duration,
    ) -> Result<Invite, InviteError> {
        if lifetime < Duration::from_secs(1) || lifetime > MAX_INVITE_LIFETIME {
            return Err(InviteError::Lifetime);
        }
        let address = net::host_port(address)?;
        let (host, port) = host_and_port(&address).expect("it was just made of both");
        let listen = match listen {
            Some(text) => text
                .parse::<SocketAddr>()
                .ok()
                .filter(|listen| listen.port() != 0)
                .ok_or_else(|| InviteError::Listen(text.to_owned()))?,
            None => SocketAddr::new(interface(host), port),
        };
        let own = self.addresses().iter();
        let own: Vec<u16> = own.filter_map(|address| net::tcp_port(address)).collect();
        let &first = own.first().ok_or(InviteError::NotListening)?;
        // What leads to the mesh's own listener leads there for good.
        let (mesh_port, listener) = if own.contains(&listen.port()) {
            (port, None)
        } else {
            (first, Some(listen))
        };
        let expires_at = (SystemTime::now() + lifetime)
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let (mesh, node) = (self.mesh_name().to_owned(), self.id());
        let invite = Invite::new(random_bytes(), mesh, address, node, expires_at);
        let ends = Instant::now() + lifetime;
        self.inner
            .invites
            .open(invite.clone(), mesh_port, listener, ends)?;
        Ok(invite)
    }
}

/// Where to listen for who dials `host`: as wide as needed.
fn interface(host: &str) -> IpAddr {
    match host.parse::<IpAddr>() {
        Ok(ip) if ip.is_loopback() => ip,
        Ok(IpAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
        _ => Ipv4Addr::UNSPECIFIED.into(),
    }
}
