//! Who takes part: the stable name of a replica and one life of it.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The stable name of a replica: its ed25519 public key.
///
/// Written out it is the libp2p peer id of that key (`12D3KooW…`), so the same text names a replica in logs,
/// in configuration files and in multiaddrs.
///
/// ```
/// use presence_mesh::ReplicaId;
/// let id = ReplicaId::from_public_key([7; 32]);
/// assert!(id.to_string().starts_with("12D3KooW"));
/// assert_eq!(id.to_string().parse(), Ok(id));
/// assert_eq!(ReplicaId::from_peer_id_bytes(&id.to_peer_id_bytes()), Some(id));
/// assert_eq!(id.public_key(), &[7; 32]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReplicaId([u8; 32]);

impl ReplicaId {
    /// The identity multihash of a protobuf-encoded ed25519 key begins with these bytes
    /// (libp2p peer-id specification, "Keys" and "Peer Ids").
    const PEER_ID_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

    /// Names the replica that holds the private half of `public_key` (32 bytes, ed25519).
    pub const fn from_public_key(public_key: [u8; 32]) -> Self {
        Self(public_key)
    }

    /// The 32 bytes of the ed25519 public key.
    pub const fn public_key(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 38 bytes of the libp2p peer id: a multihash that holds the key itself.
    pub fn to_peer_id_bytes(self) -> [u8; 38] {
        let mut bytes = [0; 38];
        bytes[..6].copy_from_slice(&Self::PEER_ID_PREFIX);
        bytes[6..].copy_from_slice(&self.0);
        bytes
    }

    /// Reads the bytes of a libp2p peer id; `None` when it is not that of an ed25519 key.
    pub fn from_peer_id_bytes(bytes: &[u8]) -> Option<Self> {
        let key = bytes.strip_prefix(&Self::PEER_ID_PREFIX)?;
        Some(Self(key.try_into().ok()?))
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bs58::encode(self.to_peer_id_bytes()).into_string())
    }
}

impl fmt::Debug for ReplicaId {
    /// The last eight characters: enough to tell replicas apart in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.to_string();
        write!(f, "…{}", &text[text.len().saturating_sub(8)..])
    }
}

impl FromStr for ReplicaId {
    type Err = ParseReplicaIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // 38 bytes are at most 52 characters; the bound keeps the decoder's quadratic cost away from strangers.
        if text.len() > 64 {
            return Err(ParseReplicaIdError);
        }
        let bytes = bs58::decode(text)
            .into_vec()
            .map_err(|_| ParseReplicaIdError)?;
        Self::from_peer_id_bytes(&bytes).ok_or(ParseReplicaIdError)
    }
}

/// The text is not the peer id of an ed25519 key; such ids begin with `12D3KooW`.
///
/// ```
/// use presence_mesh::{ParseReplicaIdError, ReplicaId};
/// assert_eq!("berlin".parse::<ReplicaId>(), Err(ParseReplicaIdError));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a replica id: expected the peer id of an ed25519 key, which begins with 12D3KooW")]
pub struct ParseReplicaIdError;

/// One life of a replica; greater at every start.
///
/// The upper 48 bits are the start time in ms since the Unix epoch, the lower 16 are random, so that two
/// starts within one millisecond still differ. Whoever makes one forces it above all earlier ones it knows.
///
/// ```
/// use presence_mesh::Incarnation;
/// let first = Incarnation::start(1_767_225_600_000, 7, Incarnation::default());
/// let clock_set_back = Incarnation::start(0, 7, first);
/// assert!(clock_set_back > first);
/// assert_eq!(first.to_string().parse(), Ok(first));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Incarnation(pub u64);

impl Incarnation {
    /// A new life begun at `wall_ms` (ms since the Unix epoch), above `floor`.
    ///
    /// Under a clock that is behind the floor it is random, too: a clone of the machine starts from the same
    /// floor, and must not begin the same life.
    pub fn start(wall_ms: u64, random: u16, floor: Incarnation) -> Self {
        const LAST_MS: u64 = (1 << 48) - 1;
        let at = |ms: u64| Self((ms << 16) | u64::from(random));
        let wanted = at(wall_ms.min(LAST_MS));
        if wanted > floor {
            wanted
        } else if floor.0 >> 16 < LAST_MS {
            at((floor.0 >> 16) + 1)
        } else {
            Self(floor.0.saturating_add(1))
        }
    }

    /// When it began, in ms since the Unix epoch, by its own clock; later when it was forced above an earlier one.
    ///
    /// ```
    /// use presence_mesh::Incarnation;
    /// let life = Incarnation::start(1_767_225_600_000, 7, Incarnation::default());
    /// assert_eq!(life.started_ms(), 1_767_225_600_000);
    /// ```
    pub fn started_ms(self) -> u64 {
        self.0 >> 16
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl From<u64> for Incarnation {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl FromStr for Incarnation {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "inc:{:x}", self.0)
    }
}

/// The writer of an entry: a replica in one of its lives.
///
/// ```
/// use presence_mesh::{Incarnation, Origin, ReplicaId};
/// let replica = ReplicaId::from_public_key([7; 32]);
/// let life = |number| Origin { replica, incarnation: Incarnation(number) };
/// assert!(life(1) < life(2));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// Who wrote.
    pub replica: ReplicaId,
    /// In which life.
    pub incarnation: Incarnation,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replica_id_reads_back_what_it_prints() {
        let id = ReplicaId::from_public_key([7; 32]);
        let text = id.to_string();
        assert!(text.starts_with("12D3KooW"), "{text}");
        assert_eq!(text.parse(), Ok(id));
    }

    #[test]
    fn foreign_text_is_no_replica_id() {
        for text in [
            "",
            "12D3KooW",
            "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
            &"1".repeat(10_000),
        ] {
            assert_eq!(
                text.parse::<ReplicaId>(),
                Err(ParseReplicaIdError),
                "{text}"
            );
        }
    }

    /// A machine whose clock had been ahead was cloned, and both started anew in one and the same life.
    #[test]
    fn clones_under_a_clock_set_back_begin_lives_of_their_own() {
        let floor = Incarnation::start(4_102_444_800_000, 7, Incarnation::default());
        assert_ne!(
            Incarnation::start(5, 1, floor),
            Incarnation::start(5, 2, floor)
        );
    }

    #[test]
    fn a_start_under_a_clock_set_back_still_rises() {
        let first = Incarnation::start(1_000_000, 3, Incarnation::default());
        assert!(Incarnation::start(5, 0, first) > first);
        let last = Incarnation(u64::MAX - 1);
        assert!(Incarnation::start(5, 0, last) > last);
        assert!(Incarnation::start(1_000_001, 0, first) > first);
    }
}
