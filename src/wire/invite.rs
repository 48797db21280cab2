//! Invites: one line of text that lets one new node into a mesh.
//!
//! What crosses the wire when one is used, between two machines that both hold the line:
//!
//! ```text
//!  who joins                                   who invited
//!    │ knock, 24 bytes ────────────────────────►│  names the invite, and gives nothing away
//!    │◄═══════════ libp2p-pnet, network key ═══►│  both know the secret, or read only noise
//!    │◄═══════════════════ Noise XX ═══════════►│  who joins sees that it is the node of the line
//!    │ proof, 32 bytes ────────────────────────►│  compared in constant time; the invite is used up here
//!    │◄────── mesh key and port, 34 bytes ──────│
//! ```
//!
//! Knock, network key and proof are hashes of the whole line: whoever changes a letter of it knocks in vain.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

#[cfg(any(test, feature = "net"))]
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::model::ReplicaId;

/// The longest line that is read.
pub const MAX_INVITE_BYTES: usize = 1_024;
/// As long as the nonce with which every other connection begins.
#[cfg(any(test, feature = "net"))]
pub(crate) const KNOCK_BYTES: usize = 24;

const SCHEME: &str = "presence-mesh://";
const SECRET_BYTES: usize = 16;

/// A line that lets one node into a mesh, once, and for some minutes.
///
/// Made by `Mesh::invite`, used by `Invite::redeem`. Whoever has the line can join: until it is used it is as
/// secret as the mesh's key.
///
/// ```
/// use presence_mesh::Invite;
/// let line = "presence-mesh://MUE84i9m9wpmWyyyQd2ZYj@berlin.example.net:4747/acme\
///             ?node=12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp&expires=1763806500";
/// let invite: Invite = line.parse()?;
/// assert_eq!((invite.mesh(), invite.address()), ("acme", "berlin.example.net:4747"));
/// assert!(invite.node().to_string().ends_with("nc6iDEp"));
/// assert_eq!(invite.expires_at(), 1_763_806_500);
/// assert_eq!(invite.to_text(), line);
/// # Ok::<(), presence_mesh::ParseInviteError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Invite {
    secret: [u8; SECRET_BYTES],
    mesh: String,
    /// `host:port`
    address: String,
    node: ReplicaId,
    /// Seconds since 1970.
    expires_at: u64,
}

impl Invite {
    /// The line. Secret.
    pub fn to_text(&self) -> String {
        let secret = bs58::encode(self.secret).into_string();
        let (address, mesh) = (&self.address, escape(&self.mesh));
        let (node, expires_at) = (self.node, self.expires_at);
        format!("{SCHEME}{secret}@{address}/{mesh}?node={node}&expires={expires_at}")
    }

    /// The mesh's name.
    pub fn mesh(&self) -> &str {
        &self.mesh
    }

    /// Where the node that gave it is dialled, `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The node that gave it.
    pub fn node(&self) -> ReplicaId {
        self.node
    }

    /// Until when it is good, in seconds since 1970, by the clock of who gave it.
    pub fn expires_at(&self) -> u64 {
        self.expires_at
    }
}

/// What nodes do with it.
#[cfg(any(test, feature = "net"))]
impl Invite {
    pub(crate) fn new(
        secret: [u8; SECRET_BYTES],
        mesh: String,
        address: String,
        node: ReplicaId,
        expires_at: u64,
    ) -> Self {
        Self {
            secret,
            mesh,
            address,
            node,
            expires_at,
        }
    }

    /// The host of the address, without brackets.
    #[cfg(feature = "net")]
    pub(crate) fn host(&self) -> &str {
        host_and_port(&self.address).map_or("", |(host, _)| host)
    }

    /// What names it to the node that gave it.
    pub(crate) fn knock(&self) -> [u8; KNOCK_BYTES] {
        let hash = self.derive("invite-knock");
        hash[..KNOCK_BYTES]
            .try_into()
            .expect("a hash is 32 bytes long")
    }

    /// The key of the encrypted transport (`libp2p-pnet`).
    pub(crate) fn network_key(&self) -> [u8; 32] {
        self.derive("invite-network")
    }

    /// What the mesh's key is given for.
    pub(crate) fn proof(&self) -> [u8; 32] {
        self.derive("invite-proof")
    }

    fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(b"presence-mesh/1/");
        hasher.update(purpose);
        hasher.update([0]);
        hasher.update(self.secret);
        hasher.update(self.node.public_key());
        hasher.update(self.expires_at.to_be_bytes());
        hasher.update(&self.address);
        hasher.update([0]);
        hasher.update(&self.mesh);
        hasher.finalize().into()
    }
}

impl FromStr for Invite {
    type Err = ParseInviteError;

    /// Reads the line; space around it does not matter.
    fn from_str(text: &str) -> Result<Self, ParseInviteError> {
        let text = text.trim();
        if text.len() > MAX_INVITE_BYTES {
            return Err(ParseInviteError::TooLong { bytes: text.len() });
        }
        let rest = text.strip_prefix(SCHEME).ok_or(ParseInviteError::Scheme)?;
        let (secret, rest) = rest.split_once('@').ok_or(ParseInviteError::Part("@"))?;
        let (address, rest) = rest.split_once('/').ok_or(ParseInviteError::Part("/"))?;
        let (mesh, rest) = rest
            .split_once("?node=")
            .ok_or(ParseInviteError::Part("?node="))?;
        let (node, expires_at) = rest
            .split_once("&expires=")
            .ok_or(ParseInviteError::Part("&expires="))?;
        let mut bytes = [0; SECRET_BYTES];
        match bs58::decode(secret).onto(&mut bytes[..]) {
            Ok(SECRET_BYTES) => {}
            _ => return Err(ParseInviteError::Value("secret")),
        }
        host_and_port(address).ok_or(ParseInviteError::Value("address"))?;
        let mesh = unescape(mesh).ok_or(ParseInviteError::Value("mesh"))?;
        if mesh.is_empty() || mesh.len() > 63 || mesh.chars().any(char::is_control) {
            return Err(ParseInviteError::Value("mesh"));
        }
        Ok(Self {
            secret: bytes,
            mesh,
            address: address.to_owned(),
            node: node.parse().map_err(|_| ParseInviteError::Value("node"))?,
            expires_at: expires_at
                .parse()
                .map_err(|_| ParseInviteError::Value("expires"))?,
        })
    }
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invite")
            .field("mesh", &self.mesh)
            .field("address", &self.address)
            .field("node", &self.node)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// The text is no invite.
///
/// ```
/// use presence_mesh::{Invite, ParseInviteError};
/// assert_eq!("https://example.net".parse::<Invite>(), Err(ParseInviteError::Scheme));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseInviteError {
    /// It begins otherwise.
    #[error("an invite begins with {SCHEME}")]
    Scheme,
    /// It is longer than any invite.
    #[error("an invite is at most {MAX_INVITE_BYTES} bytes long, this is {bytes}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// A piece of it is not there: it was not copied whole.
    #[error("the invite is not whole: {0:?} is missing")]
    Part(&'static str),
    /// A piece of it makes no sense.
    #[error("the invite is damaged: its {0} makes no sense")]
    Value(&'static str),
}

/// The parts of `host:port`; the host without brackets, the port not 0.
pub(crate) fn host_and_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let named = |host: &str| {
        !host.is_empty()
            && host.len() <= 253
            && host
                .chars()
                .all(|c| c.is_alphanumeric() || ['.', '-', '_'].contains(&c))
    };
    match bracketed {
        Some(host) => host.parse::<Ipv6Addr>().is_ok().then_some((host, port)),
        None => named(host).then_some((host, port)),
    }
}

/// Percent-encoding (RFC 3986) of all that is not unreserved.
fn escape(text: &str) -> String {
    use fmt::Write as _;
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    escaped
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite() -> Invite {
        let node = ReplicaId::from_public_key([7; 32]);
        let address = "[2001:db8::1]:4747".to_owned();
        Invite::new(
            [0xa5; 16],
            "ac me/ü?".to_owned(),
            address,
            node,
            1_763_806_500,
        )
    }

    #[test]
    fn a_line_reads_back() {
        let line = invite().to_text();
        assert!(!line.contains(char::is_whitespace), "{line}");
        assert_eq!(format!(" {line}\r\n").parse(), Ok(invite()));
    }

    /// Copied badly or changed on purpose: it is refused here, or knocks in vain.
    #[test]
    fn no_letter_can_be_changed() {
        let (line, knock) = (invite().to_text(), invite().knock());
        for position in 0..line.len() {
            for letter in ["2", "z", "/", "é", ""] {
                let mut changed = line.clone();
                changed.replace_range(position..=position, letter);
                if changed == line {
                    continue;
                }
                let harmless = |read: &Invite| *read == invite();
                if let Ok(read) = changed.parse::<Invite>() {
                    assert!(harmless(&read) || read.knock() != knock, "{changed}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_invite_says_why() {
        let line = invite().to_text();
        let refused = |text: &str| text.parse::<Invite>().expect_err(text);
        assert_eq!(refused(""), ParseInviteError::Scheme);
        assert_eq!(refused("5a5a"), ParseInviteError::Scheme);
        assert_eq!(
            refused(&line[..line.len() - 25]),
            ParseInviteError::Part("&expires=")
        );
        assert_eq!(
            refused(&line.replace(":4747", "")),
            ParseInviteError::Value("address")
        );
        assert_eq!(
            refused(&line.replace("//", "//1")),
            ParseInviteError::Value("secret")
        );
        assert_eq!(
            refused(&"presence-mesh://x".repeat(100)),
            ParseInviteError::TooLong { bytes: 1_700 }
        );
    }

    #[test]
    fn the_secret_does_not_print() {
        let secret = bs58::encode([0xa5; 16]).into_string();
        assert!(invite().to_text().contains(&secret));
        assert!(!format!("{:?}", invite()).contains(&secret));
    }

    #[test]
    fn each_purpose_has_bytes_of_its_own() {
        let invite = invite();
        assert_ne!(invite.network_key(), invite.proof());
        assert_ne!(invite.knock()[..], invite.proof()[..KNOCK_BYTES]);
    }

    #[test]
    fn hosts_and_ports_are_told_apart() {
        assert_eq!(host_and_port("[::1]:4747"), Some(("::1", 4747)));
        assert_eq!(host_and_port("10.0.0.1:1"), Some(("10.0.0.1", 1)));
        for text in [
            "", "host", "host:", "host:0", "::1:4747", "[x]:1", "a b:1", "a@b:1",
        ] {
            assert_eq!(host_and_port(text), None, "{text}");
        }
    }
}
