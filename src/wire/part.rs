//! A piece of a delta, as anti-entropy hands it over.

use serde::{Deserialize, Serialize};

use super::codec::{DecodeError, push, push_entries, take, take_entries};
use super::header::SignedHeader;
use super::keys::MeshId;
use super::sync::Alive;
use crate::crdt::{Entry, MAX_SEQ};
use crate::model::Key;

/// A piece of a delta of one origin, with that origin's latest signed header.
///
/// What does not fit one message travels as several parts in ascending seq, asked for by cursor, staged by
/// the asker and applied as one delta when the last is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The latest header of the origin that the answerer knows. It proves the incarnation and the head.
    pub header: SignedHeader,
    /// 0 until parts of the keys can be replicated on their own.
    pub shard: u16,
    /// `Some(watermark)`: a reset; the answerer's watermark when the transfer began.
    pub reset: Option<u64>,
    /// Where the whole delta starts; 0 in a reset.
    pub base: u64,
    /// Where this piece starts: the entries are after this seq.
    pub after: u64,
    /// Set in the last piece: where the whole delta ends, the answerer's head at this moment.
    pub upto: Option<u64>,
    /// When the answerer last knew the origin alive; `None` when it cannot tell.
    pub alive: Option<Alive>,
    /// For so many ms the answerer has had no sign of that life: since it last was proved to be alive, or was
    /// first heard of.
    pub silent_ms: u64,
    /// In ascending seq, after `after`.
    pub entries: Vec<(Key, Entry)>,
}

#[derive(Serialize, Deserialize)]
struct PartBytes<'a> {
    #[serde(borrow)]
    header: &'a [u8],
    shard: u16,
    reset: Option<u64>,
    base: u64,
    after: u64,
    upto: Option<u64>,
    alive: Option<Alive>,
    silent_ms: u64,
    #[serde(borrow)]
    entries: &'a [u8],
}

impl Part {
    pub(super) fn push(&self, bytes: &mut Vec<u8>) {
        let mut entries = Vec::new();
        push_entries(&mut entries, self.after, &self.entries);
        let record = PartBytes {
            header: self.header.as_bytes(),
            shard: self.shard,
            reset: self.reset,
            base: self.base,
            after: self.after,
            upto: self.upto,
            alive: self.alive,
            silent_ms: self.silent_ms,
            entries: &entries,
        };
        push(bytes, &record);
    }

    pub(super) fn take<'a>(
        bytes: &'a [u8],
        mesh: &MeshId,
    ) -> Result<(Self, &'a [u8]), DecodeError> {
        let (record, rest): (PartBytes<'a>, _) = take(bytes, "a part")?;
        let (header, after_header) = SignedHeader::take(record.header, mesh)?;
        super::codec::end(after_header)?;
        let part = Self {
            header,
            shard: record.shard,
            reset: record.reset,
            base: record.base,
            after: record.after,
            upto: record.upto,
            alive: record.alive,
            silent_ms: record.silent_ms,
            entries: take_entries(record.entries, record.after)?,
        };
        part.check()?;
        Ok((part, rest))
    }

    /// In anti-entropy no head is believed beyond a signed header.
    fn check(&self) -> Result<(), DecodeError> {
        let last = self
            .entries
            .last()
            .map_or(self.after, |(_, entry)| entry.seq());
        let proved = self.header.header().head;
        if self.base > self.after || last > MAX_SEQ || last > proved {
            return Err(DecodeError::Head);
        }
        if self.upto.is_some_and(|upto| upto > proved || upto < last) {
            return Err(DecodeError::Head);
        }
        if self
            .reset
            .is_some_and(|watermark| self.base != 0 || watermark > proved)
        {
            return Err(DecodeError::Head);
        }
        Ok(())
    }
}
