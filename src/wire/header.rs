//! What an origin signs.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::WIRE_VERSION;
use super::codec::{DecodeError, push, take};
use super::keys::{Identity, MeshId, verify};
use crate::crdt::{Head, MAX_SEQ};
use crate::model::{Incarnation, ReplicaId};

/// What a frame is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Kind {
    /// Writes; the body is a delta up to the header's head.
    Delta,
    /// A sign of life; no body.
    Beat,
    /// The origin leaves, with this final head; no body. Nothing of this incarnation renews its lease afterwards.
    Leave,
    /// Events of the origin; the body is an [`EventBatch`](super::EventBatch) up to the header's events.
    Events,
}

/// What an origin says of itself in every frame, signed.
///
/// It proves that origin's incarnation, head and departure to everyone it is relayed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Who signs: the origin itself.
    pub replica: ReplicaId,
    /// Its life.
    pub incarnation: Incarnation,
    /// Its own head (shard 0) when it signed.
    pub head: u64,
    /// The number of the latest event that it has put into a frame, this one included; 0 for none.
    pub events: u64,
    /// Counts its frames from 1; makes two idle beats different bytes, and tells newer from older.
    pub frame: u64,
    /// Its monotonic clock: ms since its start, time asleep included.
    pub up_ms: u64,
    /// How often it gives a sign of life when it has nothing to say.
    pub beat_ms: u32,
    /// `Some(q)`: what it had to say at its start is all said by seq `q`.
    pub settled: Option<u64>,
    /// What the frame is about.
    pub kind: Kind,
}

impl Header {
    /// How far the origin had got.
    pub fn head(&self) -> Head {
        Head {
            incarnation: self.incarnation,
            seq: self.head,
        }
    }
}

/// The header as it is encoded: `mesh` and `body` are checked and then forgotten.
#[derive(Serialize, Deserialize)]
struct HeaderBytes {
    mesh: [u8; 16],
    replica: ReplicaId,
    incarnation: Incarnation,
    head: u64,
    events: u64,
    frame: u64,
    up_ms: u64,
    beat_ms: u32,
    settled: Option<u64>,
    kind: Kind,
    body: [u8; 32],
}

/// A header with its origin's signature, as bytes that can be relayed verbatim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHeader {
    header: Header,
    body: [u8; 32],
    /// Version byte, header, signature.
    bytes: Bytes,
}

const SIGNATURE_BYTES: usize = 64;
/// Prepended to what is signed, so that a signature over a header is never one over something else.
const DOMAIN: &[u8] = b"presence-mesh/1/header\0";
/// Names a body that is not there.
pub(super) const NO_BODY: [u8; 32] = [0; 32];

impl SignedHeader {
    /// Signs `header` for `mesh` over the hash of a body ([`NO_BODY`] when there is none).
    pub(super) fn sign(identity: &Identity, mesh: MeshId, header: Header, body: [u8; 32]) -> Self {
        assert_eq!(
            identity.replica(),
            header.replica,
            "an origin signs for itself alone"
        );
        let record = HeaderBytes {
            mesh: mesh.0,
            replica: header.replica,
            incarnation: header.incarnation,
            head: header.head,
            events: header.events,
            frame: header.frame,
            up_ms: header.up_ms,
            beat_ms: header.beat_ms,
            settled: header.settled,
            kind: header.kind,
            body,
        };
        let mut bytes = vec![WIRE_VERSION];
        push(&mut bytes, &record);
        let signature = identity.sign(&[DOMAIN, &bytes].concat());
        bytes.extend_from_slice(&signature);
        Self {
            header,
            body,
            bytes: bytes.into(),
        }
    }

    /// Reads a signed header from the front of `bytes` and checks version, mesh and signature. Returns what
    /// follows it.
    ///
    /// # Errors
    /// When the bytes make no sense, belong to another mesh, or were not signed by the replica they name.
    pub(super) fn take<'a>(
        bytes: &'a [u8],
        mesh: &MeshId,
    ) -> Result<(Self, &'a [u8]), DecodeError> {
        let rest = super::codec::open(bytes, usize::MAX)?;
        let (record, rest): (HeaderBytes, _) = take(rest, "a header")?;
        let signed = bytes.len() - rest.len();
        let (signature, rest) = rest
            .split_first_chunk::<SIGNATURE_BYTES>()
            .ok_or(DecodeError::Malformed("a signature"))?;
        if record.mesh != mesh.0 {
            return Err(DecodeError::Mesh);
        }
        if record.head > MAX_SEQ
            || record.events > MAX_SEQ
            || record.settled.is_some_and(|settled| settled > record.head)
        {
            return Err(DecodeError::Malformed("a header"));
        }
        if !verify(
            record.replica,
            &[DOMAIN, &bytes[..signed]].concat(),
            signature,
        ) {
            return Err(DecodeError::Signature);
        }
        let header = Header {
            replica: record.replica,
            incarnation: record.incarnation,
            head: record.head,
            events: record.events,
            frame: record.frame,
            up_ms: record.up_ms,
            beat_ms: record.beat_ms,
            settled: record.settled,
            kind: record.kind,
        };
        let bytes = Bytes::copy_from_slice(&bytes[..signed + SIGNATURE_BYTES]);
        Ok((
            Self {
                header,
                body: record.body,
                bytes,
            },
            rest,
        ))
    }

    /// Reads a signed header by itself, and checks it like one in a message.
    ///
    /// # Errors
    /// When the bytes make no sense, belong to another mesh, or were not signed by the replica they name.
    pub fn decode(bytes: &[u8], mesh: &MeshId) -> Result<Self, DecodeError> {
        let (header, rest) = Self::take(bytes, mesh)?;
        super::codec::end(rest)?;
        Ok(header)
    }

    /// What was signed.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The bytes to relay.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn body(&self) -> &[u8; 32] {
        &self.body
    }
}
