//! Addresses: as people write them, as libp2p takes them, and how far each reaches.

use std::net::{IpAddr, SocketAddr};

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

use super::config::AddressError;
use crate::model::ReplicaId;

/// `host:port` or a multiaddr, as a multiaddr that can be listened on.
pub(crate) fn parse_listen_address(text: &str) -> Result<String, AddressError> {
    let (address, peer) = parse(text)?;
    if peer.is_some() {
        return Err(refuse(text, "an address to listen on names no peer"));
    }
    Ok(address.to_string())
}

/// `host:port` or a multiaddr, with or without `/p2p/…`, as a multiaddr that can be dialled.
pub(crate) fn parse_join_address(text: &str) -> Result<String, AddressError> {
    let (address, peer) = parse(text)?;
    if port(&address) == Some(0) {
        return Err(refuse(text, "port 0 cannot be dialled"));
    }
    if ip(&address).is_some_and(|ip| ip.is_unspecified()) {
        return Err(refuse(
            text,
            "it stands for all interfaces, which cannot be dialled",
        ));
    }
    Ok(match peer {
        Some(peer) => format!("{address}/p2p/{peer}"),
        None => address.to_string(),
    })
}

/// What people write for an address of a TCP port that can be dialled: `host:port`.
///
/// # Errors
/// As [`parse_join_address`], or when it is no plain TCP address.
pub(crate) fn host_port(text: &str) -> Result<String, AddressError> {
    let (address, _) = split_peer(
        parse_join_address(text)?
            .parse()
            .expect("what was just printed is a multiaddr"),
    );
    let host = address.iter().next().and_then(|part| match part {
        Protocol::Ip4(ip) => Some(ip.to_string()),
        Protocol::Ip6(ip) => Some(format!("[{ip}]")),
        Protocol::Dns(host) | Protocol::Dns4(host) | Protocol::Dns6(host) => {
            Some(host.into_owned())
        }
        _ => None,
    });
    match (host, port(&address)) {
        (Some(host), Some(port)) => Ok(format!("{host}:{port}")),
        _ => Err(refuse(text, "it names no host and TCP port")),
    }
}

/// The TCP port of a multiaddr, if it has one.
pub(crate) fn tcp_port(text: &str) -> Option<u16> {
    port(&text.parse().ok()?)
}

/// Takes `/p2p/…` off the end of an address that was parsed before, as ours or a peer's.
pub(super) fn split_peer(mut address: Multiaddr) -> (Multiaddr, Option<PeerId>) {
    match address.pop() {
        Some(Protocol::P2p(peer)) => (address, Some(peer)),
        Some(other) => (address.with(other), None),
        None => (address, None),
    }
}

/// The libp2p name of a replica.
pub(super) fn peer_id(replica: ReplicaId) -> PeerId {
    PeerId::from_bytes(&replica.to_peer_id_bytes()).expect("a replica id is the peer id of its key")
}

/// The replica a peer is; `None` when its key is of another kind than ours.
pub(super) fn replica_id(peer: &PeerId) -> Option<ReplicaId> {
    ReplicaId::from_peer_id_bytes(&peer.to_bytes())
}

/// The IP address an address begins with, if it does.
pub(super) fn ip(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

/// The TCP port.
pub(super) fn port(address: &Multiaddr) -> Option<u16> {
    address.iter().find_map(|part| {
        if let Protocol::Tcp(port) = part {
            Some(port)
        } else {
            None
        }
    })
}

/// IP address and TCP port, unless it names a host.
pub(super) fn socket_address(address: &Multiaddr) -> Option<SocketAddr> {
    Some(SocketAddr::new(ip(address)?, port(address)?))
}

/// From where an address can be reached, nearest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// This machine.
    Loopback,
    /// One wire: needs an interface's name to be dialled, which means something here only.
    Link,
    /// One site (RFC 1918, RFC 4193, and RFC 6598 behind a carrier's NAT).
    Private,
    /// Everywhere; host names too.
    Global,
}

impl Scope {
    pub(super) fn of(address: &Multiaddr) -> Self {
        match ip(address) {
            None => Self::Global,
            Some(ip) if ip.is_loopback() => Self::Loopback,
            Some(IpAddr::V4(ip)) if ip.is_link_local() => Self::Link,
            Some(IpAddr::V6(ip)) if ip.is_unicast_link_local() => Self::Link,
            Some(IpAddr::V4(ip))
                if ip.is_private() || (ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64) =>
            {
                Self::Private
            }
            Some(IpAddr::V6(ip)) if ip.is_unique_local() => Self::Private,
            Some(_) => Self::Global,
        }
    }

    /// Whether an address of this scope means the same host here, when it was learnt over a connection of
    /// scope `over`: a private address from across the internet is somebody else's.
    pub(super) fn holds_over(self, over: Self) -> bool {
        match self {
            Self::Link => false,
            Self::Global => true,
            Self::Private => over <= Self::Private,
            Self::Loopback => over == Self::Loopback,
        }
    }
}

fn parse(text: &str) -> Result<(Multiaddr, Option<ReplicaId>), AddressError> {
    if text.starts_with('/') {
        parse_multiaddr(text)
    } else {
        Ok((parse_host_port(text)?, None))
    }
}

fn parse_multiaddr(text: &str) -> Result<(Multiaddr, Option<ReplicaId>), AddressError> {
    let address: Multiaddr = text
        .parse()
        .map_err(|error| refuse(text, &format!("{error}")))?;
    let (address, peer) = split_peer(address);
    let mut parts = address.iter();
    let host = parts.next();
    if !matches!(
        host,
        Some(
            Protocol::Ip4(_)
                | Protocol::Ip6(_)
                | Protocol::Dns(_)
                | Protocol::Dns4(_)
                | Protocol::Dns6(_)
        )
    ) {
        return Err(refuse(text, "it must begin with /ip4, /ip6 or /dns"));
    }
    if !matches!(parts.next(), Some(Protocol::Tcp(_))) || parts.next().is_some() {
        return Err(refuse(
            text,
            "only TCP is spoken: /tcp/PORT must follow the host, and at most /p2p/ID that",
        ));
    }
    let peer = match peer {
        None => None,
        Some(peer) => {
            Some(replica_id(&peer).ok_or_else(|| refuse(text, "the peer is not an ed25519 key"))?)
        }
    };
    Ok((address, peer))
}

fn parse_host_port(text: &str) -> Result<Multiaddr, AddressError> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(Multiaddr::from(address.ip()).with(Protocol::Tcp(address.port())));
    }
    if text.parse::<IpAddr>().is_ok() {
        return Err(refuse(text, "the port is missing"));
    }
    let (host, port) = text
        .rsplit_once(':')
        .ok_or_else(|| refuse(text, "the port is missing"))?;
    let port = port
        .parse()
        .map_err(|_| refuse(text, "the port is not a number from 0 to 65535"))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if host.is_empty() || host.len() > 253 || !host.chars().all(plain) {
        return Err(refuse(text, "the host is neither a name nor an IP address"));
    }
    Ok(Multiaddr::empty()
        .with(Protocol::Dns(host.into()))
        .with(Protocol::Tcp(port)))
}

fn refuse(address: &str, problem: &str) -> AddressError {
    AddressError {
        address: address.chars().take(256).collect(),
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";

    #[test]
    fn hosts_and_ports_become_multiaddrs() {
        for (text, multiaddr) in [
            ("192.0.2.1:4747", "/ip4/192.0.2.1/tcp/4747"),
            ("[::1]:4747", "/ip6/::1/tcp/4747"),
            ("paris.example.net:4747", "/dns/paris.example.net/tcp/4747"),
            (
                "/dns4/paris.example.net/tcp/1",
                "/dns4/paris.example.net/tcp/1",
            ),
            ("/ip6/2001:db8::1/tcp/4747", "/ip6/2001:db8::1/tcp/4747"),
        ] {
            assert_eq!(parse_join_address(text).as_deref(), Ok(multiaddr));
            assert_eq!(parse_listen_address(text).as_deref(), Ok(multiaddr));
        }
        let whole = format!("/ip4/192.0.2.1/tcp/4747/p2p/{PEER}");
        assert_eq!(parse_join_address(&whole), Ok(whole.clone()));
    }

    #[test]
    fn what_is_no_address_says_why() {
        for (text, problem) in [
            ("", "port is missing"),
            ("paris", "port is missing"),
            ("192.0.2.1", "port is missing"),
            ("::1", "port is missing"),
            ("paris:70000", "not a number"),
            ("paris:-1", "not a number"),
            (":4747", "neither a name nor"),
            ("pa ris:4747", "neither a name nor"),
            ("http://paris:4747", "neither a name nor"),
            ("/ip4/192.0.2.1", "only TCP"),
            ("/ip4/192.0.2.1/udp/4747/quic-v1", "only TCP"),
            ("/unix/tmp", "must begin"),
            ("/ip4/300.0.0.1/tcp/1", "IPv4"),
            (
                "/ip4/192.0.2.1/tcp/4747/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
                "ed25519",
            ),
        ] {
            let error = parse_join_address(text).expect_err(text);
            assert!(error.problem.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn what_cannot_be_dialled_can_be_listened_on() {
        for text in ["0.0.0.0:4747", "127.0.0.1:0", "[::]:0"] {
            assert!(parse_join_address(text).is_err(), "{text}");
            assert!(parse_listen_address(text).is_ok(), "{text}");
        }
        assert!(parse_listen_address(&format!("/ip4/192.0.2.1/tcp/4747/p2p/{PEER}")).is_err());
    }

    #[test]
    fn a_near_address_means_nothing_from_afar() {
        let scope = |text: &str| Scope::of(&text.parse().expect("a multiaddr"));
        let (loopback, link) = (scope("/ip4/127.0.0.1/tcp/1"), scope("/ip6/fe80::1/tcp/1"));
        let (private, global) = (scope("/ip4/10.0.0.1/tcp/1"), scope("/ip4/192.0.2.1/tcp/1"));
        assert_eq!(scope("/ip4/100.64.0.1/tcp/1"), Scope::Private);
        assert_eq!(scope("/dns/example.net/tcp/1"), Scope::Global);
        assert!(global.holds_over(loopback) && global.holds_over(global));
        assert!(
            private.holds_over(private)
                && private.holds_over(loopback)
                && !private.holds_over(global)
        );
        assert!(loopback.holds_over(loopback) && !loopback.holds_over(private));
        assert!(!link.holds_over(link));
    }

    #[test]
    fn replicas_and_peers_are_the_same_names() {
        let replica: ReplicaId = PEER.parse().expect("a replica id");
        assert_eq!(peer_id(replica).to_string(), PEER);
        assert_eq!(replica_id(&peer_id(replica)), Some(replica));
    }
}
