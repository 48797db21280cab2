//! What is gossiped.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::codec::{DecodeError, push, push_entries, take, take_entries};
use super::events::EventBatch;
use super::header::{Header, Kind, NO_BODY, SignedHeader};
use super::keys::{Identity, MeshId};
use crate::crdt::Delta;

/// The longest frame, in bytes. Gossip costs about the same per message up to 8 KiB; what does not fit is
/// fetched by anti-entropy.
pub const MAX_FRAME_BYTES: usize = 16 * 1024;

/// A signed header and its body, as gossiped.
///
/// One that was decoded is genuine: signed by the origin it names, for this mesh, over this body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    header: SignedHeader,
    body: Body,
}

/// What a frame carries besides its header.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body {
    /// Nothing: a beat or a leave.
    Empty,
    /// Writes of the header's origin, up to the header's head. Never a reset.
    Delta(Delta),
    /// What the header's origin has published, up to the header's events.
    Events(EventBatch),
}

impl Frame {
    /// Makes and signs a frame; returns it with its bytes.
    ///
    /// `header.kind` says whether `delta` is there; a delta ends at `header.head` and is not a reset.
    pub fn sign(
        identity: &Identity,
        mesh: MeshId,
        header: Header,
        delta: Option<Delta>,
    ) -> (Self, Bytes) {
        let mut body = Vec::new();
        if let Some(delta) = &delta {
            assert_eq!(
                header.kind,
                Kind::Delta,
                "only frames about writes carry some"
            );
            assert_eq!(
                (delta.incarnation, delta.upto),
                (header.incarnation, header.head),
                "a delta ends at the head"
            );
            assert_eq!(delta.reset, None, "resets never ride gossip");
            push(&mut body, &delta.base);
            push_entries(&mut body, delta.base, &delta.entries);
        }
        let hash = if delta.is_some() {
            Sha256::digest(&body).into()
        } else {
            NO_BODY
        };
        let header = SignedHeader::sign(identity, mesh, header, hash);
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(&body);
        let body = delta.map_or(Body::Empty, Body::Delta);
        (Self { header, body }, bytes.into())
    }

    /// Makes and signs a frame of events; returns it with its bytes.
    ///
    /// `header.kind` says that it is one, and `header.events` is the number of the last of them.
    pub fn sign_events(
        identity: &Identity,
        mesh: MeshId,
        header: Header,
        events: EventBatch,
    ) -> (Self, Bytes) {
        assert_eq!(
            (header.kind, header.events),
            (Kind::Events, events.last()),
            "a frame of events says so, and which is its last"
        );
        let hash = Sha256::digest(events.body()).into();
        let header = SignedHeader::sign(identity, mesh, header, hash);
        let body = Body::Events(events);
        let frame = Self { header, body };
        let bytes = frame.to_bytes();
        (frame, bytes)
    }

    /// Reads a frame and checks that its origin signed exactly this, for `mesh`.
    ///
    /// Costs one signature check (tens of µs): call it outside any lock.
    ///
    /// # Errors
    /// When anything about it is not as it must be; the frame is to be rejected and counted.
    pub fn decode(bytes: &[u8], mesh: &MeshId) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_FRAME_BYTES {
            return Err(DecodeError::TooLong {
                bytes: bytes.len(),
                limit: MAX_FRAME_BYTES,
            });
        }
        let (header, rest) = SignedHeader::take(bytes, mesh)?;
        let body = match header.header().kind {
            Kind::Delta => Body::Delta(decode_delta(&header, rest)?),
            Kind::Events => Body::Events(decode_events(&header, rest)?),
            Kind::Beat | Kind::Leave => {
                super::codec::end(rest)?;
                if header.body() != &NO_BODY {
                    return Err(DecodeError::Body);
                }
                Body::Empty
            }
        };
        Ok(Self { header, body })
    }

    /// Its bytes, as its origin signed them.
    pub(super) fn to_bytes(&self) -> Bytes {
        let mut bytes = self.header.as_bytes().to_vec();
        match &self.body {
            Body::Empty => {}
            Body::Events(events) => bytes.extend_from_slice(events.body()),
            Body::Delta(delta) => {
                push(&mut bytes, &delta.base);
                push_entries(&mut bytes, delta.base, &delta.entries);
            }
        }
        bytes.into()
    }

    /// How many bytes it takes, when it holds events.
    pub(crate) fn events_bytes(&self) -> usize {
        let body = match &self.body {
            Body::Events(events) => events.body().len(),
            Body::Empty | Body::Delta(_) => 0,
        };
        self.header.as_bytes().len() + body
    }

    /// Its header.
    pub fn header(&self) -> &Header {
        self.header.header()
    }

    /// Its header, with its origin's signature.
    pub(crate) fn signed(&self) -> &SignedHeader {
        &self.header
    }

    /// What it carries.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// Its header and its body, apart.
    pub fn into_parts(self) -> (SignedHeader, Body) {
        (self.header, self.body)
    }
}

fn decode_events(header: &SignedHeader, body: &[u8]) -> Result<EventBatch, DecodeError> {
    if header.body() != &<[u8; 32]>::from(Sha256::digest(body)) {
        return Err(DecodeError::Body);
    }
    let events = EventBatch::decode(body)?;
    if events.last() != header.header().events {
        return Err(DecodeError::Malformed("events"));
    }
    Ok(events)
}

fn decode_delta(header: &SignedHeader, body: &[u8]) -> Result<Delta, DecodeError> {
    if header.body() != &<[u8; 32]>::from(Sha256::digest(body)) {
        return Err(DecodeError::Body);
    }
    let (base, rest): (u64, _) = take(body, "a delta")?;
    let delta = Delta {
        incarnation: header.header().incarnation,
        base,
        upto: header.header().head,
        reset: None,
        entries: take_entries(rest, base)?,
    };
    delta.check()?;
    Ok(delta)
}
