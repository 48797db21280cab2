//! What lies in the file, as bytes.

use serde::{Deserialize, Serialize};

use crate::crdt::{Content, Dot, Entry, Hlc, MAX_NAMED_DOTS};
use crate::model::{Incarnation, Key, Source, SpaceId, Value};
use crate::proto::{Facts, Proof};
use crate::wire::{MeshId, SignedHeader};

/// Names an origin within the file, so that a row does not carry 32 bytes for it. Our own is [`OWN`].
pub(super) type Number = u32;

/// Our own origin.
pub(super) const OWN: Number = 0;

/// What there is once in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) incarnation: Incarnation,
    pub(super) hlc: Hlc,
    pub(super) wall_ms: u64,
    /// The number the next origin gets.
    pub(super) next: Number,
}

#[derive(Serialize, Deserialize)]
struct FactsBytes<'a> {
    number: Number,
    #[serde(borrow)]
    header: &'a [u8],
    head: u64,
    hash: u128,
    alive_wall_ms: u64,
    proof: Option<Proof>,
}

#[derive(Serialize, Deserialize)]
struct EntryBytes<'a> {
    seq: u64,
    hlc: Hlc,
    source: u8,
    #[serde(borrow)]
    value: &'a [u8],
    over: Vec<Dot>,
}

pub(super) fn to_bytes<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("our own rows hold nothing that postcard cannot encode")
}

/// `None` when the bytes are not exactly one `T`.
pub(super) fn from_bytes<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Some(value),
        _ => None,
    }
}

pub(super) fn facts_bytes(number: Number, facts: &Facts) -> Vec<u8> {
    to_bytes(&FactsBytes {
        number,
        header: facts.header.as_bytes(),
        head: facts.head,
        hash: facts.hash,
        alive_wall_ms: facts.alive_wall_ms,
        proof: facts.proof,
    })
}

/// Checks the header's signature, too.
pub(super) fn read_facts(bytes: &[u8], mesh: &MeshId) -> Option<(Number, Facts)> {
    let read: FactsBytes<'_> = from_bytes(bytes)?;
    let facts = Facts {
        header: SignedHeader::decode(read.header, mesh).ok()?,
        head: read.head,
        hash: read.hash,
        alive_wall_ms: read.alive_wall_ms,
        proof: read.proof,
    };
    Some((read.number, facts))
}

/// The rows of one origin lie beside each other, ordered by key.
pub(super) fn key_bytes(number: Number, key: &Key) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.push(key.space().0);
    bytes.extend_from_slice(key.name().as_bytes());
    bytes
}

pub(super) fn read_key(bytes: &[u8]) -> Option<(Number, Key)> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    let (space, name) = rest.split_first()?;
    let name = std::str::from_utf8(name).ok()?;
    let key = Key::new(SpaceId(*space), name).ok()?;
    Some((Number::from_be_bytes(*number), key))
}

/// An entry that is no tombstone: those are not kept.
pub(super) fn entry_bytes(entry: &Entry) -> Vec<u8> {
    to_bytes(&EntryBytes {
        seq: entry.seq(),
        hlc: entry.hlc(),
        source: entry.source().0,
        value: entry.value().map_or(&[], Value::as_bytes),
        over: entry.over().to_vec(),
    })
}

pub(super) fn read_entry(bytes: &[u8]) -> Option<Entry> {
    let read: EntryBytes<'_> = from_bytes(bytes)?;
    if read.over.len() > MAX_NAMED_DOTS {
        return None;
    }
    let content = Content {
        value: Some(Value::from_bytes(read.value).ok()?),
        source: Source(read.source),
        over: (!read.over.is_empty()).then(|| Box::new(read.over)),
    };
    Some(Entry::new(read.seq, read.hlc, content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DeviceState, ReplicaId};

    #[test]
    fn rows_read_back() {
        let key = Key::new(SpaceId::DEVICES, "PJSIP/é 1").expect("a key");
        assert_eq!(read_key(&key_bytes(7, &key)), Some((7, key)));
        let dot = Dot {
            replica: ReplicaId::from_public_key([3; 32]),
            incarnation: Incarnation(9),
            seq: 4,
        };
        let content = Content {
            value: Some(DeviceState::OnHold.into()),
            source: Source::ASTERISK,
            over: Some(Box::new(vec![dot])),
        };
        let entry = Entry::new(900, Hlc(77 << 16), content);
        let bytes = entry_bytes(&entry);
        assert_eq!(read_entry(&bytes), Some(entry));
        assert_eq!(read_entry(&bytes[..bytes.len() - 1]), None);
        assert_eq!(read_entry(&[]), None);
        assert_eq!(read_key(b"\0\0\0\x01"), None);
    }
}
