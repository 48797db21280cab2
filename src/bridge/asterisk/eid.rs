//! Entity ids: how Asterisk servers tell each other apart.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::ReplicaId;

/// The entity id of an Asterisk server: six bytes, written `02:00:00:00:00:0a`.
///
/// Asterisk keeps device state per (device, EID) and shows the aggregate, so whatever is told to it must come
/// under the EID of who owns it.
///
/// ```
/// use presence_mesh::{ReplicaId, bridge::asterisk::Eid};
/// let eid: Eid = "02:00:00:00:AB:0a".parse()?;
/// assert_eq!(eid.to_string(), "02:00:00:00:ab:0a");
/// assert_eq!(Eid::from_bytes(*eid.as_bytes()), eid);
/// assert_eq!(Eid::synthetic(ReplicaId::from_public_key([7; 32])).as_bytes()[0], 0x02);
/// # Ok::<(), presence_mesh::bridge::asterisk::ParseEidError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Eid([u8; 6]);

impl Eid {
    /// The least of all, for ranges.
    pub(super) const MIN: Eid = Eid([0; 6]);
    /// The greatest of all, for ranges.
    pub(super) const MAX: Eid = Eid([0xff; 6]);

    /// An EID from its bytes.
    pub const fn from_bytes(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// Its six bytes.
    pub const fn as_bytes(&self) -> &[u8; 6] {
        &self.0
    }

    /// The EID of a node that has no Asterisk, or whose entry did not come from one: `02:` (a locally
    /// administered MAC address) and the first five bytes of the SHA-256 of the replica id.
    ///
    /// Every node computes the same one, so all servers of the mesh agree on it without asking.
    pub fn synthetic(replica: ReplicaId) -> Self {
        let hash = Sha256::digest(replica.public_key());
        Self([0x02, hash[0], hash[1], hash[2], hash[3], hash[4]])
    }
}

impl fmt::Display for Eid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Eid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Eid {
    type Err = ParseEidError;

    /// Reads six pairs of hexadecimal digits, in any case, joined by colons.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 6];
        let mut pairs = text.split(':');
        for byte in &mut bytes {
            let pair = pairs.next().ok_or(ParseEidError)?;
            if pair.len() != 2 || !pair.bytes().all(|c| c.is_ascii_hexdigit()) {
                return Err(ParseEidError);
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| ParseEidError)?;
        }
        match pairs.next() {
            None => Ok(Self(bytes)),
            Some(_) => Err(ParseEidError),
        }
    }
}

/// The text is not an EID.
///
/// ```
/// use presence_mesh::bridge::asterisk::{Eid, ParseEidError};
/// assert_eq!("02:00".parse::<Eid>(), Err(ParseEidError));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not an eid: expected six pairs of hexadecimal digits, as in 02:00:00:00:00:0a")]
pub struct ParseEidError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_eid_reads_back_what_it_prints() {
        let eid: Eid = "02:00:00:00:AB:0a".parse().expect("valid");
        assert_eq!(eid.to_string(), "02:00:00:00:ab:0a");
        assert_eq!(eid.to_string().parse(), Ok(eid));
    }

    #[test]
    fn what_is_no_eid_is_refused() {
        for text in [
            "",
            "02:00:00:00:00",
            "02:00:00:00:00:0a:0b",
            "2:0:0:0:0:a",
            "02:00:00:00:00:0g",
            "+2:00:00:00:00:00",
        ] {
            assert_eq!(text.parse::<Eid>(), Err(ParseEidError), "{text}");
        }
    }

    #[test]
    fn a_synthetic_eid_is_local_and_depends_on_the_replica() {
        let one = Eid::synthetic(ReplicaId::from_public_key([1; 32]));
        let two = Eid::synthetic(ReplicaId::from_public_key([2; 32]));
        assert_ne!(one, two);
        // SHA-256 of 32 bytes 0x01 begins 72cd6e84 22...
        assert_eq!(one.to_string(), "02:72:cd:6e:84:22");
    }
}
