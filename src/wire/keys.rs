//! The secrets: the key of a mesh, the identity of a replica, and what is derived from them.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::model::ReplicaId;

/// The shared secret of a mesh: 32 bytes. Who holds it is a member.
///
/// ```
/// use presence_mesh::MeshKey;
/// let key: MeshKey = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff".parse()?;
/// assert_eq!(MeshKey::parse(&key.to_text())?, key);
/// assert_eq!(format!("{:?}", MeshKey::from_bytes([7; 32])), "MeshKey(…)", "secrets do not print");
/// // What the network layer derives from it for one mesh.
/// assert_ne!(key.network_key("acme"), key.network_key("other"));
/// assert_ne!(key.rendezvous("acme"), key.network_key("acme"));
/// assert!(key.topic("acme").starts_with("presence-mesh/1/"));
/// assert!(key.protocol("acme", "sync").starts_with("/presence-mesh/sync/1/"));
/// # Ok::<(), presence_mesh::wire::KeyFileError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct MeshKey([u8; 32]);

impl MeshKey {
    /// Takes 32 secret bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads the text of a key file: 64 hexadecimal digits; lines that begin with `#` are comments.
    ///
    /// # Errors
    /// When anything else is there, or not exactly one key.
    pub fn parse(text: &str) -> Result<Self, KeyFileError> {
        parse_secret(text).map(Self)
    }

    /// The text of a key file.
    pub fn to_text(&self) -> String {
        format!(
            "# presence-mesh: key of a mesh. Whoever has it is a member: keep it secret.\n{}\n",
            hex(&self.0)
        )
    }

    /// The 32 secret bytes.
    #[cfg(feature = "net")]
    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key of the encrypted transport (`libp2p-pnet`) for the mesh called `name`.
    pub fn network_key(&self, name: &str) -> [u8; 32] {
        self.derive("network", name)
    }

    /// The gossip topic of the mesh called `name`: tells strangers nothing about it.
    pub fn topic(&self, name: &str) -> String {
        format!("presence-mesh/1/{}", hex(&self.derive("topic", name)[..16]))
    }

    /// The name of a libp2p protocol for one purpose (`sync`, `kad`) within the mesh called `name`.
    pub fn protocol(&self, name: &str, purpose: &str) -> String {
        format!(
            "/presence-mesh/{purpose}/1/{}",
            hex(&self.derive("protocol", name)[..8])
        )
    }

    /// The key under which nodes of the mesh called `name` announce themselves in a DHT.
    pub fn rendezvous(&self, name: &str) -> [u8; 32] {
        self.derive("rendezvous", name)
    }

    fn derive(&self, purpose: &str, name: &str) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(b"presence-mesh/1/");
        hasher.update(purpose);
        hasher.update([0]);
        hasher.update(self.0);
        hasher.update(name);
        hasher.finalize().into()
    }
}

/// As [`MeshKey::parse`].
impl FromStr for MeshKey {
    type Err = KeyFileError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Debug for MeshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MeshKey(…)")
    }
}

/// Which mesh a message belongs to: 16 bytes derived from the mesh's key and its name.
///
/// ```
/// use presence_mesh::MeshKey;
/// use presence_mesh::wire::MeshId;
/// let key = MeshKey::from_bytes([7; 32]);
/// let id = MeshId::derive(&key, "acme");
/// assert_ne!(id.as_bytes(), MeshId::derive(&key, "other").as_bytes());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MeshId(pub(super) [u8; 16]);

impl MeshId {
    /// The id of the mesh called `name` with this key.
    pub fn derive(key: &MeshKey, name: &str) -> Self {
        Self(
            key.derive("mesh", name)[..16]
                .try_into()
                .expect("half of 32 bytes"),
        )
    }

    /// Its 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for MeshId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mesh:{}", hex(&self.0[..4]))
    }
}

/// A replica's private key: what makes it the only one that can write its map.
///
/// ```
/// use presence_mesh::Identity;
/// let identity = Identity::from_bytes([7; 32]); // yours are random, and stay
/// let again = Identity::parse(&identity.to_text())?;
/// assert_eq!(again.replica(), identity.replica());
/// assert_eq!(again.to_bytes(), [7; 32]);
/// # Ok::<(), presence_mesh::wire::KeyFileError>(())
/// ```
#[derive(Clone)]
pub struct Identity(SigningKey);

impl Identity {
    /// Takes the 32 secret bytes of an ed25519 key.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&bytes))
    }

    /// The 32 secret bytes.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Reads the text of an identity file: 64 hexadecimal digits; lines that begin with `#` are comments.
    ///
    /// # Errors
    /// When anything else is there, or not exactly one key.
    pub fn parse(text: &str) -> Result<Self, KeyFileError> {
        parse_secret(text).map(Self::from_bytes)
    }

    /// The text of an identity file.
    pub fn to_text(&self) -> String {
        let replica = self.replica();
        let secret = hex(&self.to_bytes());
        format!(
            "# presence-mesh: identity of replica {replica}. Two nodes must never share it.\n{secret}\n"
        )
    }

    /// The name of the replica that holds this key.
    pub fn replica(&self) -> ReplicaId {
        ReplicaId::from_public_key(self.0.verifying_key().to_bytes())
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

/// As [`Identity::parse`].
impl FromStr for Identity {
    type Err = KeyFileError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?})", self.replica())
    }
}

/// Strict verification (no malleable signatures, no keys of small order): every node agrees what is valid.
pub(super) fn verify(replica: ReplicaId, message: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(replica.public_key()).is_ok_and(|key| {
        key.verify_strict(message, &Signature::from_bytes(signature))
            .is_ok()
    })
}

/// The root of a replica's store: equal digests mean equal stores. Prints as hexadecimal.
///
/// ```
/// use presence_mesh::Digest;
/// let digest = Digest([0xab; 16]);
/// assert_eq!(digest.to_string(), "ab".repeat(16));
/// assert_eq!(digest.to_string().parse(), Ok(digest));
/// ```
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Digest(pub [u8; 16]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex(&self.0))
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    /// Reads the 32 hexadecimal digits that it prints as.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = text.as_bytes().try_into().ok().and_then(unhex::<32, 16>);
        bytes.map(Self).ok_or(ParseDigestError)
    }
}

/// The text is no digest.
///
/// ```
/// use presence_mesh::{Digest, ParseDigestError};
/// assert_eq!("ab".parse::<Digest>(), Err(ParseDigestError));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a digest is 32 hexadecimal digits")]
pub struct ParseDigestError;

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "root:{}", hex(&self.0[..4]))
    }
}

/// The text is not that of a key file.
///
/// ```
/// use presence_mesh::{MeshKey, wire::KeyFileError};
/// assert_eq!(MeshKey::parse("# a key\nabc\n"), Err(KeyFileError::Line { line: 2 }));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// There is no line with a key.
    #[error("the key file holds no key: expected a line of 64 hexadecimal digits")]
    Empty,
    /// A line is neither a comment nor a key.
    #[error("line {line} of the key file is not 64 hexadecimal digits")]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// There are several keys.
    #[error("the key file holds a second key in line {line}")]
    Second {
        /// Counted from 1.
        line: usize,
    },
}

fn parse_secret(text: &str) -> Result<[u8; 32], KeyFileError> {
    let mut secret = None;
    for (number, line) in text.lines().enumerate() {
        let line_number = number + 1;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let digits = line.as_bytes().try_into().ok();
        let bytes = digits
            .and_then(unhex::<64, 32>)
            .ok_or(KeyFileError::Line { line: line_number })?;
        if secret.replace(bytes).is_some() {
            return Err(KeyFileError::Second { line: line_number });
        }
    }
    secret.ok_or(KeyFileError::Empty)
}

/// `BYTES` is half of `DIGITS`.
fn unhex<const DIGITS: usize, const BYTES: usize>(digits: &[u8; DIGITS]) -> Option<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).expect("two hexadecimal digits are one byte");
    }
    Some(bytes)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string cannot fail");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_files_read_back() {
        let key = MeshKey::from_bytes([0xab; 32]);
        assert_eq!(MeshKey::parse(&key.to_text()), Ok(key));
        let identity = Identity::from_bytes([9; 32]);
        assert_eq!(
            Identity::parse(&identity.to_text())
                .expect("own text")
                .replica(),
            identity.replica()
        );
    }

    #[test]
    fn broken_key_files_name_the_line() {
        assert_eq!(MeshKey::parse("# nothing\n"), Err(KeyFileError::Empty));
        assert_eq!(
            MeshKey::parse("# one\nabc\n"),
            Err(KeyFileError::Line { line: 2 })
        );
        let key = "0".repeat(64);
        assert_eq!(
            MeshKey::parse(&format!("{key}\n{key}")),
            Err(KeyFileError::Second { line: 2 })
        );
        assert_eq!(
            MeshKey::parse(&"é".repeat(32)),
            Err(KeyFileError::Line { line: 1 })
        );
    }

    #[test]
    fn names_and_keys_both_separate_meshes() {
        let (a, b) = (MeshKey::from_bytes([1; 32]), MeshKey::from_bytes([2; 32]));
        assert_ne!(MeshId::derive(&a, "acme"), MeshId::derive(&b, "acme"));
        assert_ne!(MeshId::derive(&a, "acme"), MeshId::derive(&a, "acme2"));
        assert_ne!(a.network_key("acme"), a.network_key("acme2"));
        assert_ne!(a.topic("acme"), b.topic("acme"));
        assert_ne!(a.protocol("acme", "sync"), a.protocol("acme2", "sync"));
    }

    #[test]
    fn secrets_do_not_print() {
        assert_eq!(
            format!("{:?}", MeshKey::from_bytes([0xab; 32])),
            "MeshKey(…)"
        );
        assert!(!format!("{:?}", Identity::from_bytes([0xab; 32])).contains("abab"));
    }
}
