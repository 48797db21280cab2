//! Events as bytes: the body of a frame, and what replicas that remember events ask each other.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::codec::{DecodeError, push, take};
use super::frame::Frame;
use super::header::Kind;
use super::keys::MeshId;
use crate::crdt::MAX_SEQ;
use crate::model::{Event, FieldValue, Incarnation, MAX_EVENT_BYTES, MAX_FIELDS, ReplicaId};

/// The longest body of a frame of events: with its header it fits a frame.
pub const MAX_EVENTS_BODY_BYTES: usize = super::MAX_FRAME_BYTES - 512;
/// How many origins one [`EventsWanted`] speaks of: each takes at most 75 bytes.
pub const MAX_KNOWN_EVENTS: usize = 2_000;
/// How many frames one answer holds: each costs its reader a signature check.
pub const MAX_EVENT_FRAMES: usize = 256;

/// The fewest bytes an event takes.
const MIN_EVENT_BYTES: usize = 6;

/// Events of one origin with consecutive numbers, as they ride in one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventBatch {
    first: u64,
    events: Vec<BatchedEvent>,
    /// What was signed, so that it can be relayed verbatim.
    body: Bytes,
}

/// An event in a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchedEvent {
    /// The event; its time to live is set.
    pub event: Event,
    /// Its origin's wall clock when it was published, in ms since the Unix epoch.
    pub at_ms: u64,
    /// For how many ms it waited to be put into its frame.
    pub waited_ms: u32,
}

#[derive(Serialize, Deserialize)]
struct BatchBytes {
    first: u64,
    count: u16,
}

#[derive(Serialize, Deserialize)]
struct EventBytes<'a> {
    #[serde(borrow)]
    kind: &'a str,
    at_ms: u64,
    waited_ms: u32,
    ttl_ms: u64,
    fields: u8,
}

#[derive(Serialize, Deserialize)]
struct FieldBytes<'a> {
    #[serde(borrow)]
    name: &'a str,
    #[serde(borrow)]
    value: ValueBytes<'a>,
}

#[derive(Serialize, Deserialize)]
enum ValueBytes<'a> {
    Exists,
    Bool(bool),
    U64(u64),
    I64(i64),
    Str(#[serde(borrow)] &'a str),
    Bytes(#[serde(borrow)] &'a [u8]),
    Flags(u64),
}

impl EventBatch {
    /// Encodes the events numbered from `first`: as many from the front as fit a frame, at least one. Each has
    /// been checked ([`Event::check`]) and has a time to live.
    pub fn new(first: u64, events: impl IntoIterator<Item = BatchedEvent>) -> Self {
        let mut taken = Vec::new();
        let mut encoded = Vec::new();
        for batched in events {
            let mut bytes = Vec::new();
            push_event(&mut bytes, &batched);
            let full = encoded.len() + bytes.len() > MAX_EVENTS_BODY_BYTES - 16;
            if (full && !taken.is_empty()) || taken.len() == usize::from(u16::MAX) {
                break;
            }
            encoded.extend_from_slice(&bytes);
            taken.push(batched);
        }
        assert!(!taken.is_empty(), "a frame of events holds at least one");
        let mut body = Vec::with_capacity(encoded.len() + 16);
        let count = u16::try_from(taken.len()).expect("no more were taken");
        push(&mut body, &BatchBytes { first, count });
        body.extend_from_slice(&encoded);
        Self {
            first,
            events: taken,
            body: body.into(),
        }
    }

    /// Reads the body of a frame.
    pub(super) fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let (BatchBytes { first, count }, mut rest) = take(body, "events")?;
        let count = usize::from(count);
        let last = first.checked_add(count as u64);
        let sane = first > 0 && count > 0 && last.is_some_and(|last| last <= MAX_SEQ);
        if !sane || count > rest.len() / MIN_EVENT_BYTES {
            return Err(DecodeError::Malformed("events"));
        }
        let mut events = Vec::with_capacity(count);
        for _ in 0..count {
            let (event, after) = take_event(rest)?;
            events.push(event);
            rest = after;
        }
        super::codec::end(rest)?;
        Ok(Self {
            first,
            events,
            body: Bytes::copy_from_slice(body),
        })
    }

    /// The number of the first event.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The number of the last event.
    pub fn last(&self) -> u64 {
        self.first + self.events.len() as u64 - 1
    }

    /// The events, in the order of their numbers.
    pub fn events(&self) -> &[BatchedEvent] {
        &self.events
    }

    pub(super) fn body(&self) -> &Bytes {
        &self.body
    }
}

fn push_event(bytes: &mut Vec<u8>, batched: &BatchedEvent) {
    let event = &batched.event;
    let ttl = event.ttl().expect("what is published has a time to live");
    let record = EventBytes {
        kind: event.kind(),
        at_ms: batched.at_ms,
        waited_ms: batched.waited_ms,
        ttl_ms: u64::try_from(ttl.as_millis()).expect("it was checked"),
        fields: u8::try_from(event.fields().len()).expect("it was checked"),
    };
    push(bytes, &record);
    for (name, value) in event.fields() {
        let value = match value {
            FieldValue::Exists => ValueBytes::Exists,
            FieldValue::Bool(yes) => ValueBytes::Bool(*yes),
            FieldValue::U64(number) => ValueBytes::U64(*number),
            FieldValue::I64(number) => ValueBytes::I64(*number),
            FieldValue::Str(text) => ValueBytes::Str(text),
            FieldValue::Bytes(raw) => ValueBytes::Bytes(raw),
            FieldValue::Flags(bits) => ValueBytes::Flags(*bits),
        };
        push(bytes, &FieldBytes { name, value });
    }
}

fn take_event(bytes: &[u8]) -> Result<(BatchedEvent, &[u8]), DecodeError> {
    let malformed = DecodeError::Malformed("an event");
    let (record, mut rest): (EventBytes<'_>, _) = take(bytes, "an event")?;
    if usize::from(record.fields) > MAX_FIELDS || record.kind.len() > MAX_EVENT_BYTES {
        return Err(malformed);
    }
    let ttl = std::time::Duration::from_millis(record.ttl_ms);
    let mut event = Event::new(record.kind).time_to_live(ttl);
    for known in 0..usize::from(record.fields) {
        let (field, after): (FieldBytes<'_>, _) = take(rest, "a field")?;
        rest = after;
        event = match field.value {
            ValueBytes::Exists => event.with(field.name, FieldValue::Exists),
            ValueBytes::Bool(yes) => event.with(field.name, yes),
            ValueBytes::U64(number) => event.with(field.name, number),
            ValueBytes::I64(number) => event.with(field.name, number),
            ValueBytes::Str(text) => event.with(field.name, text),
            ValueBytes::Bytes(raw) => event.with(field.name, raw),
            ValueBytes::Flags(bits) => event.with(field.name, FieldValue::Flags(bits)),
        };
        if event.fields().len() != known + 1 {
            return Err(malformed);
        }
    }
    event.check().map_err(|_| malformed)?;
    let batched = BatchedEvent {
        event,
        at_ms: record.at_ms,
        waited_ms: record.waited_ms,
    };
    Ok((batched, rest))
}

/// What the asker has of the events of some origins: those after `after` and up to `upto`, by replica id.
/// Of an origin in between that is not listed it has nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EventsWanted {
    /// Speaks of origins after this one; of all from the first when `None`.
    pub after: Option<ReplicaId>,
    /// Speaks of origins up to this one; of all to the last when `None`.
    pub upto: Option<ReplicaId>,
    /// Ordered by replica; at most [`MAX_KNOWN_EVENTS`].
    pub known: Vec<KnownEvents>,
}

/// What the asker has of the events of one origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownEvents {
    /// The origin.
    pub replica: ReplicaId,
    /// Its life, as known to the asker.
    pub incarnation: Incarnation,
    /// All before this number are there.
    pub next: u64,
    /// Those from this number on are there, too; nothing else is when it is `None`.
    pub before: Option<u64>,
}

/// A frame of events that somebody remembers, as its origin signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RememberedFrame {
    /// How many ms ago it was made, as far as the one who relays it knows.
    pub age_ms: u64,
    /// The frame; its body is an [`EventBatch`].
    pub frame: Frame,
}

#[derive(Serialize, Deserialize)]
struct RememberedBytes<'a> {
    age_ms: u64,
    #[serde(borrow)]
    frame: &'a [u8],
}

impl RememberedFrame {
    pub(super) fn push(&self, bytes: &mut Vec<u8>) {
        let frame = self.frame.to_bytes();
        let record = RememberedBytes {
            age_ms: self.age_ms,
            frame: &frame,
        };
        push(bytes, &record);
    }

    pub(super) fn take<'a>(
        bytes: &'a [u8],
        mesh: &MeshId,
    ) -> Result<(Self, &'a [u8]), DecodeError> {
        let (record, rest): (RememberedBytes<'a>, _) = take(bytes, "a remembered frame")?;
        let frame = Frame::decode(record.frame, mesh)?;
        if frame.header().kind != Kind::Events {
            return Err(DecodeError::Malformed("a remembered frame"));
        }
        let age_ms = record.age_ms;
        Ok((Self { age_ms, frame }, rest))
    }

    /// What it takes in an answer, at most.
    pub fn encoded_bytes(&self) -> usize {
        self.frame.events_bytes() + 16
    }
}
