//! Asterisk's own events: the binary `ast_event` form that `res_corosync` multicasts.
//!
//! Everything is big endian but the hash of a text, which is in the byte order of the host that wrote it and
//! which no receiver checks (`main/event.c`):
//!
//! ```text
//!  u16 type │ u16 length of all │ elements …
//!  element: u16 type │ u16 length of its payload │ payload
//!  payload: number: u32 · text: u32 hash, bytes, NUL · raw: bytes
//! ```
//!
//! An [`AstEvent`] keeps what it does not know and every byte that it read, so that what is read and written
//! again is the same. [`AstEvent::to_event`] makes an event of the mesh of it and [`AstEvent::from_event`]
//! the way back.

mod elements;
mod mapping;

use thiserror::Error;

use elements::Class;
pub use mapping::AstEventMappingError;

/// The longest event, in bytes: its length is a u16.
pub const MAX_AST_EVENT_BYTES: usize = u16::MAX as usize;

const HEADER_BYTES: usize = 4;
const HASH_BYTES: usize = 4;

/// An event of Asterisk's: a type, and information elements in the order in which they were written.
///
/// ```
/// use presence_mesh::bridge::asterisk::AstEvent;
/// let ping = [0x00, 0x0c, 0x00, 0x0e, 0x00, 0x21, 0x00, 0x06, 0x02, 0, 0, 0, 0, 0x0a];
/// let event = AstEvent::decode(&ping)?;
/// assert_eq!(event.to_event().kind(), "ping");
/// assert_eq!(event.to_event().get("eid").and_then(|eid| eid.as_str()), Some("02:00:00:00:00:0a"));
/// assert_eq!(event.encode()?, ping);
/// # Ok::<(), presence_mesh::bridge::asterisk::AstEventError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AstEvent {
    /// Its type, `AST_EVENT_…` of `event_defs.h`.
    pub event_type: u16,
    /// Its information elements.
    pub elements: Vec<InformationElement>,
}

/// One thing that an event says.
///
/// ```
/// use presence_mesh::bridge::asterisk::{AstEvent, InformationElement, Payload};
/// let element = InformationElement { element_type: 0x0001, payload: Payload::Uint(2) };
/// let event = AstEvent { event_type: 0x0001, elements: vec![element] };
/// assert_eq!(event.element(0x0001), Some(&Payload::Uint(2)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InformationElement {
    /// Its type, `AST_EVENT_IE_…` of `event_defs.h`.
    pub element_type: u16,
    /// What it says.
    pub payload: Payload,
}

/// What an information element says.
///
/// ```
/// use presence_mesh::bridge::asterisk::{Payload, text_hash};
/// let hash = text_hash("100").to_le_bytes();
/// assert_eq!(Payload::text("100"), Payload::Text { hash, text: "100".into() });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Payload {
    /// A number.
    Uint(u32),
    /// A text.
    Text {
        /// The hash before it, as it was written: see [`text_hash`].
        hash: [u8; HASH_BYTES],
        /// The text, without its NUL.
        text: String,
    },
    /// Anything else, and what its type does not let it be.
    Raw(Vec<u8>),
}

impl Payload {
    /// A text, with the hash that an Asterisk on x86 or ARM would write.
    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::Text {
            hash: text_hash(&text).to_le_bytes(),
            text,
        }
    }

    fn decode(element_type: u16, bytes: &[u8]) -> Self {
        let raw = || Self::Raw(bytes.to_vec());
        match elements::class(element_type) {
            Class::Uint => bytes
                .try_into()
                .map_or_else(|_| raw(), |bytes| Self::Uint(u32::from_be_bytes(bytes))),
            Class::Text => split_text(bytes).unwrap_or_else(raw),
            Class::Raw => raw(),
        }
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Uint(number) => bytes.extend_from_slice(&number.to_be_bytes()),
            Self::Text { hash, text } => {
                bytes.extend_from_slice(hash);
                bytes.extend_from_slice(text.as_bytes());
                bytes.push(0);
            }
            Self::Raw(raw) => bytes.extend_from_slice(raw),
        }
    }
}

/// A text as it lies in an element, unless its end is not where the element's is.
fn split_text(bytes: &[u8]) -> Option<Payload> {
    let (hash, rest) = bytes.split_first_chunk::<HASH_BYTES>()?;
    let (end, text) = rest.split_last()?;
    let whole = *end == 0 && !text.contains(&0);
    let text = std::str::from_utf8(text).ok().filter(|_| whole)?;
    Some(Payload::Text {
        hash: *hash,
        text: text.to_owned(),
    })
}

impl AstEvent {
    /// Reads an event that takes all of `bytes`. Whatever follows from its lengths is kept, known or not.
    ///
    /// # Errors
    /// When a length does not fit what is there.
    pub fn decode(bytes: &[u8]) -> Result<Self, AstEventError> {
        let (header, mut rest) = bytes
            .split_first_chunk::<HEADER_BYTES>()
            .ok_or(AstEventError::Header)?;
        let (event_type, length) = two_words(*header);
        if usize::from(length) != bytes.len() {
            return Err(AstEventError::Length {
                said: length.into(),
                found: bytes.len(),
            });
        }
        let mut elements = Vec::new();
        while !rest.is_empty() {
            let (header, after) = rest
                .split_first_chunk::<HEADER_BYTES>()
                .ok_or(AstEventError::Element)?;
            let (element_type, length) = two_words(*header);
            let (payload, after) = after
                .split_at_checked(length.into())
                .ok_or(AstEventError::Element)?;
            elements.push(InformationElement {
                element_type,
                payload: Payload::decode(element_type, payload),
            });
            rest = after;
        }
        Ok(Self {
            event_type,
            elements,
        })
    }

    /// Writes it. What was read is written as it was.
    ///
    /// # Errors
    /// When it is longer than [`MAX_AST_EVENT_BYTES`].
    pub fn encode(&self) -> Result<Vec<u8>, AstEventError> {
        let mut bytes = vec![0; HEADER_BYTES];
        let word = |number: usize| {
            let word = u16::try_from(number).map_err(|_| AstEventError::TooLong(number));
            word.map(u16::to_be_bytes)
        };
        for element in &self.elements {
            let mut payload = Vec::new();
            element.payload.encode(&mut payload);
            bytes.extend_from_slice(&element.element_type.to_be_bytes());
            bytes.extend_from_slice(&word(payload.len())?);
            bytes.extend_from_slice(&payload);
        }
        let length = word(bytes.len())?;
        bytes[..2].copy_from_slice(&self.event_type.to_be_bytes());
        bytes[2..HEADER_BYTES].copy_from_slice(&length);
        Ok(bytes)
    }

    /// The first element of this type.
    ///
    /// ```
    /// use presence_mesh::bridge::asterisk::AstEvent;
    /// let empty = AstEvent { event_type: 0x0001, elements: Vec::new() };
    /// assert_eq!(empty.element(0x0001), None);
    /// ```
    pub fn element(&self, element_type: u16) -> Option<&Payload> {
        let mut elements = self.elements.iter();
        let found = elements.find(|element| element.element_type == element_type)?;
        Some(&found.payload)
    }
}

fn two_words([a, b, c, d]: [u8; HEADER_BYTES]) -> (u16, u16) {
    (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
}

/// Asterisk's hash of a text (`ast_str_hash`: djb2 with exclusive or, 31 bits of it).
///
/// ```
/// assert_eq!(presence_mesh::bridge::asterisk::text_hash(""), 5381);
/// ```
pub fn text_hash(text: &str) -> u32 {
    let hash = text.bytes().fold(5381u32, |hash, byte| {
        hash.wrapping_mul(33) ^ u32::from(byte)
    });
    hash & 0x7fff_ffff
}

/// Bytes are no event, or an event cannot be written.
///
/// ```
/// use presence_mesh::bridge::asterisk::{AstEvent, AstEventError};
/// assert_eq!(AstEvent::decode(&[0, 1]), Err(AstEventError::Header));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AstEventError {
    /// Not even a type and a length.
    #[error("an event begins with its type and its length")]
    Header,
    /// Cut off, or more than one event.
    #[error("the event says that it is {said} bytes long, and is {found}")]
    Length {
        /// The length it states.
        said: usize,
        /// The bytes there are.
        found: usize,
    },
    /// An element that is cut off.
    #[error("an information element does not fit its event")]
    Element,
    /// Longer than a length can say.
    #[error("{0} bytes are more than an event can hold")]
    TooLong(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded() -> Vec<(Vec<u8>, String)> {
        let text = include_str!("../../../tests/fixtures/asterisk/corosync-ast-event-wire.txt");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let events = lines.filter_map(|line| {
            let (data, what) = line.split_once('#')?;
            let (length, hex) = data.trim().split_once(' ')?;
            let bytes: Vec<u8> = (0..hex.len() / 2)
                .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex"))
                .collect();
            assert_eq!(length.parse(), Ok(bytes.len()), "{line}");
            Some((bytes, what.trim().to_owned()))
        });
        events.collect()
    }

    /// Byte for byte, both as it was read and by way of an event of the mesh.
    #[test]
    fn the_recording_reads_and_writes_back() {
        let recorded = recorded();
        assert!(recorded.len() > 20, "{} events", recorded.len());
        for (bytes, what) in recorded {
            let event = AstEvent::decode(&bytes).expect("an event");
            assert_eq!(event.encode().as_ref(), Ok(&bytes), "{what}");
            let mapped = event.to_event();
            assert_eq!(mapped.check(), Ok(()), "{what}");
            let back = AstEvent::from_event(&mapped).expect("it has a form");
            assert_eq!(back, event, "{what}");
            assert_eq!(back.encode(), Ok(bytes), "{what}");
        }
    }

    #[test]
    fn the_recording_says_what_its_comments_say() {
        let kinds = [
            ("MWI ", "mwi"),
            ("DeviceStateChange", "device_state_change"),
            ("DeviceState(", "device_state"),
            ("Ping", "ping"),
            ("ClusterDiscovery", "cluster_discovery"),
        ];
        for (bytes, what) in recorded() {
            let event = AstEvent::decode(&bytes).expect("an event").to_event();
            let kind = kinds.iter().find(|(begin, _)| what.starts_with(begin));
            assert_eq!(Some(event.kind()), kind.map(|(_, kind)| *kind), "{what}");
            for said in what.split(' ').filter_map(|word| word.split_once('=')) {
                let (name, value) = match said {
                    ("new", value) => ("new_messages", value),
                    ("old", value) => ("old_messages", value),
                    // States are numbers on the wire.
                    ("state", _) => continue,
                    other => other,
                };
                let found = event.get(name).map(ToString::to_string);
                assert_eq!(found.as_deref(), Some(value), "{what}: {name}");
            }
        }
    }

    #[test]
    fn what_is_not_known_survives() {
        // A type and an element of a later Asterisk, a text without its end, a number of three bytes, twice.
        let bytes = [
            0x00, 0x77, 0, 33, 0x12, 0x34, 0, 2, 9, 9, 0x00, 0x07, 0, 5, 1, 2, 3, 4, b'x', 0x00,
            0x08, 0, 3, 1, 2, 3, 0x00, 0x08, 0, 3, 4, 5, 6,
        ];
        let event = AstEvent::decode(&bytes).expect("an event");
        assert_eq!(event.encode(), Ok(bytes.to_vec()));
        assert_eq!(event.to_event().kind(), "asterisk.0077");
        assert_eq!(event.to_event().get("ie_1234"), Some(&vec![9, 9].into()));
        let back = AstEvent::from_event(&event.to_event()).expect("it has a form");
        assert_eq!(back.event_type, 0x77);
        assert_eq!(back.element(0x1234), Some(&Payload::Raw(vec![9, 9])));
    }

    #[test]
    fn cut_off_and_lying_events_are_refused() {
        let (bytes, _) = recorded().swap_remove(0);
        for length in 0..bytes.len() {
            assert!(AstEvent::decode(&bytes[..length]).is_err(), "{length}");
            // The same with a length that is right.
            let mut shorter = bytes[..length].to_vec();
            if length >= HEADER_BYTES {
                shorter[2..4].copy_from_slice(&u16::try_from(length).expect("short").to_be_bytes());
            }
            let _ = AstEvent::decode(&shorter);
        }
        let long = AstEvent {
            event_type: 1,
            elements: vec![InformationElement {
                element_type: 0x21,
                payload: Payload::Raw(vec![0; MAX_AST_EVENT_BYTES]),
            }],
        };
        assert_eq!(
            long.encode(),
            Err(AstEventError::TooLong(MAX_AST_EVENT_BYTES + 8))
        );
    }
}
