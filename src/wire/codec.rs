//! What both kinds of messages are made of: entries as bytes, and why bytes are refused.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::WIRE_VERSION;
use crate::crdt::{Content, DeltaError, Dot, Entry, Hlc, MAX_NAMED_DOTS};
use crate::model::{Key, Source, SpaceId, Value};

/// Why bytes from the network were refused. Nothing was changed; count it and go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Nothing there.
    #[error("the message is empty")]
    Empty,
    /// Made by another version of the protocol.
    #[error("wire version {0} is not {WIRE_VERSION}")]
    Version(u8),
    /// Longer than any message of its kind may be.
    #[error("the message is {bytes} bytes long, the limit is {limit}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The longest allowed.
        limit: usize,
    },
    /// Cut off, or not what it claims to be.
    #[error("the bytes make no sense as {0}")]
    Malformed(&'static str),
    /// More bytes than the message needs.
    #[error("{0} bytes follow the end of the message")]
    Trailing(usize),
    /// Belongs to another mesh.
    #[error("the frame belongs to another mesh")]
    Mesh,
    /// The signer is not the origin, or the bytes were changed.
    #[error("the signature is not the origin's")]
    Signature,
    /// The body is not the one that was signed.
    #[error("the body is not the one that was signed")]
    Body,
    /// The delta contradicts itself.
    #[error("the delta contradicts itself")]
    Delta(#[from] DeltaError),
    /// The delta is not the one its header speaks of.
    #[error("the delta does not end at the head that was signed")]
    Head,
}

impl DecodeError {
    /// One word for metrics and logs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Empty | Self::Malformed(_) | Self::Trailing(_) => "malformed",
            Self::Version(_) => "version",
            Self::TooLong { .. } => "oversize",
            Self::Mesh => "mesh",
            Self::Signature | Self::Body => "signature",
            Self::Delta(_) | Self::Head => "delta",
        }
    }
}

/// An entry as it is sent. `step` is its seq less that of the entry before it (or the base), at least 1.
#[derive(Serialize, Deserialize)]
struct EntryBytes<'a> {
    step: u64,
    space: u8,
    #[serde(borrow)]
    name: &'a str,
    hlc: u64,
    source: u8,
    #[serde(borrow)]
    value: Option<&'a [u8]>,
    over: Vec<Dot>,
}

/// Appends entries in ascending seq, the first of them after `after`.
pub(super) fn push_entries(bytes: &mut Vec<u8>, after: u64, entries: &[(Key, Entry)]) {
    let mut last = after;
    for (key, entry) in entries {
        let step = entry
            .seq()
            .checked_sub(last)
            .expect("entries are sent in ascending seq");
        last = entry.seq();
        let record = EntryBytes {
            step,
            space: key.space().0,
            name: key.name(),
            hlc: entry.hlc().0,
            source: entry.source().0,
            value: entry.value().map(Value::as_bytes),
            over: entry.over().to_vec(),
        };
        push(bytes, &record);
    }
}

/// Reads entries until the bytes end.
pub(super) fn take_entries(mut bytes: &[u8], after: u64) -> Result<Vec<(Key, Entry)>, DecodeError> {
    let mut entries = Vec::new();
    let mut seq = after;
    while !bytes.is_empty() {
        let (record, rest): (EntryBytes<'_>, _) = take(bytes, "an entry")?;
        bytes = rest;
        if record.step == 0 || record.over.len() > MAX_NAMED_DOTS {
            return Err(DecodeError::Malformed("an entry"));
        }
        seq = seq
            .checked_add(record.step)
            .ok_or(DecodeError::Malformed("an entry"))?;
        let key = Key::new(SpaceId(record.space), record.name)
            .map_err(|_| DecodeError::Malformed("a key"))?;
        let value = record
            .value
            .map(Value::from_bytes)
            .transpose()
            .map_err(|_| DecodeError::Malformed("a value"))?;
        let over = (!record.over.is_empty()).then(|| Box::new(record.over));
        let content = Content {
            value,
            source: Source(record.source),
            over,
        };
        entries.push((key, Entry::new(seq, Hlc(record.hlc), content)));
    }
    Ok(entries)
}

pub(super) fn push<T: Serialize>(bytes: &mut Vec<u8>, value: &T) {
    let taken = std::mem::take(bytes);
    *bytes = postcard::to_extend(value, taken)
        .expect("our own messages hold nothing that postcard cannot encode");
}

pub(super) fn take<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
    what: &'static str,
) -> Result<(T, &'a [u8]), DecodeError> {
    postcard::take_from_bytes(bytes).map_err(|_| DecodeError::Malformed(what))
}

/// Strips the version byte, and refuses what is too long before looking at it.
pub(super) fn open(bytes: &[u8], limit: usize) -> Result<&[u8], DecodeError> {
    if bytes.len() > limit {
        return Err(DecodeError::TooLong {
            bytes: bytes.len(),
            limit,
        });
    }
    match bytes.split_first() {
        None => Err(DecodeError::Empty),
        Some((&WIRE_VERSION, rest)) => Ok(rest),
        Some((&version, _)) => Err(DecodeError::Version(version)),
    }
}

pub(super) fn end(rest: &[u8]) -> Result<(), DecodeError> {
    if rest.is_empty() {
        Ok(())
    } else {
        Err(DecodeError::Trailing(rest.len()))
    }
}
