//! Asterisk's events as events of the mesh, and back.

use thiserror::Error;

use super::elements::{Class, EID, ELEMENTS, KINDS, class};
use super::{AstEvent, InformationElement, Payload};
use crate::bridge::asterisk::Eid;
use crate::{Event, FieldValue};

/// What the kind of a type that is not known begins with; its number in hexadecimal follows.
const UNKNOWN_KIND: &str = "asterisk.";
/// What the field of an element that is not known begins with; its number in hexadecimal follows.
const UNKNOWN_ELEMENT: &str = "ie_";

impl AstEvent {
    /// The same as an event of the mesh: its type is the kind (`mwi`, `device_state_change`, …), its elements
    /// are the fields (`mailbox`, `new_messages`, `eid`, …; texts, numbers, and bytes).
    ///
    /// A type that is not known becomes `asterisk.00ff`, an element that is not known `ie_00ff`. Of several
    /// elements of one type the first counts. The event may break a bound of the mesh: see [`Event::check`].
    ///
    /// ```
    /// use presence_mesh::bridge::asterisk::AstEvent;
    /// let unknown = AstEvent { event_type: 0xff, elements: Vec::new() };
    /// assert_eq!(unknown.to_event().kind(), "asterisk.00ff");
    /// ```
    pub fn to_event(&self) -> Event {
        let known = KINDS.iter().find(|(number, _)| *number == self.event_type);
        let kind = known.map_or_else(
            || format!("{UNKNOWN_KIND}{:04x}", self.event_type),
            |(_, kind)| (*kind).to_owned(),
        );
        let mut event = Event::new(kind);
        for element in &self.elements {
            let name = field_name(element.element_type);
            if event.get(&name).is_none() {
                event = event.with(name, field_value(element));
            }
        }
        event
    }

    /// The event of Asterisk's that an event of the mesh stands for, its elements in the order in which
    /// Asterisk writes them.
    ///
    /// # Errors
    /// When its kind or a field has no counterpart.
    ///
    /// ```
    /// use presence_mesh::{Event, bridge::asterisk::AstEvent};
    /// let mwi = Event::new("mwi").with("mailbox", "100").with("context", "default").with("new_messages", 2u32);
    /// let event = AstEvent::from_event(&mwi)?;
    /// assert_eq!(event.to_event(), mwi);
    /// # Ok::<(), presence_mesh::bridge::asterisk::AstEventMappingError>(())
    /// ```
    pub fn from_event(event: &Event) -> Result<Self, AstEventMappingError> {
        let event_type = event_type(event.kind())
            .ok_or_else(|| AstEventMappingError::Kind(event.kind().to_owned()))?;
        let mut elements = Vec::new();
        for (name, value) in event.fields() {
            let element_type =
                element_type(name).ok_or_else(|| AstEventMappingError::Field(name.clone()))?;
            let payload = payload(element_type, value)
                .ok_or_else(|| AstEventMappingError::Value(name.clone()))?;
            elements.push(InformationElement {
                element_type,
                payload,
            });
        }
        elements.sort_by_key(|element| rank(element.element_type));
        Ok(Self {
            event_type,
            elements,
        })
    }
}

fn field_name(element_type: u16) -> String {
    let known = ELEMENTS.iter().find(|(number, ..)| *number == element_type);
    known.map_or_else(
        || format!("{UNKNOWN_ELEMENT}{element_type:04x}"),
        |(_, name, _)| (*name).to_owned(),
    )
}

fn field_value(element: &InformationElement) -> FieldValue {
    match &element.payload {
        Payload::Uint(number) => (*number).into(),
        Payload::Text { text, .. } => text.as_str().into(),
        Payload::Raw(raw) => match <[u8; 6]>::try_from(raw.as_slice()) {
            Ok(eid) if element.element_type == EID => Eid::from_bytes(eid).to_string().into(),
            _ => raw.as_slice().into(),
        },
    }
}

fn event_type(kind: &str) -> Option<u16> {
    let known = KINDS.iter().find(|(_, name)| *name == kind);
    known
        .map(|(number, _)| *number)
        .or_else(|| number(kind, UNKNOWN_KIND))
}

fn element_type(name: &str) -> Option<u16> {
    let known = ELEMENTS.iter().find(|(_, known, _)| *known == name);
    known
        .map(|(number, ..)| *number)
        .or_else(|| number(name, UNKNOWN_ELEMENT))
}

fn number(text: &str, prefix: &str) -> Option<u16> {
    let digits = text.strip_prefix(prefix)?;
    let hex = digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u16::from_str_radix(digits, 16).ok().filter(|_| hex)
}

fn payload(element_type: u16, value: &FieldValue) -> Option<Payload> {
    if let Some(raw) = value.as_bytes() {
        return Some(Payload::Raw(raw.to_vec()));
    }
    match class(element_type) {
        Class::Uint => {
            let number = value.as_u64().or(value.as_bool().map(u64::from))?;
            Some(Payload::Uint(u32::try_from(number).ok()?))
        }
        Class::Text => {
            let text = match value.as_str() {
                Some(text) => text.to_owned(),
                // A number that a person typed: an extension, say.
                None => value.as_i64()?.to_string(),
            };
            (!text.contains('\0')).then(|| Payload::text(text))
        }
        Class::Raw => {
            let eid: Eid = value.as_str()?.parse().ok()?;
            (element_type == EID).then(|| Payload::Raw(eid.as_bytes().to_vec()))
        }
    }
}

/// Where an element stands: the known ones as Asterisk writes them, the others before the entity id.
fn rank(element_type: u16) -> (usize, u16) {
    let known = ELEMENTS
        .iter()
        .position(|(number, ..)| *number == element_type);
    match known {
        Some(_) if element_type == EID => (usize::MAX, EID),
        Some(position) => (position, element_type),
        None => (ELEMENTS.len(), element_type),
    }
}

/// An event of the mesh is none of Asterisk's.
///
/// ```
/// use presence_mesh::{Event, bridge::asterisk::{AstEvent, AstEventMappingError}};
/// let refused = AstEvent::from_event(&Event::new("call.parked"));
/// assert_eq!(refused, Err(AstEventMappingError::Kind("call.parked".into())));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AstEventMappingError {
    /// Its kind.
    #[error("Asterisk has no events of kind {0}")]
    Kind(String),
    /// One of its fields.
    #[error("Asterisk's events have no field {0}")]
    Field(String),
    /// The value of one of its fields.
    #[error("the value of field {0} is not of the type that Asterisk has for it")]
    Value(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_made_here_is_written_as_asterisk_does() {
        let event = Event::new("mwi")
            .with("eid", "02:00:00:00:00:0a")
            .with("new_messages", 2)
            .with("old_messages", 1)
            .with("context", "default")
            .with("mailbox", 100);
        let made = AstEvent::from_event(&event).expect("it has a form");
        let types: Vec<u16> = made.elements.iter().map(|one| one.element_type).collect();
        assert_eq!(types, [0x03, 0x09, 0x01, 0x02, 0x21]);
        assert_eq!(made.element(0x03), Some(&Payload::text("100")));
    }

    #[test]
    fn what_asterisk_does_not_know_is_refused() {
        let refused = |event: Event| AstEvent::from_event(&event).err();
        let kind = AstEventMappingError::Kind("call.parked".into());
        assert_eq!(refused(Event::new("call.parked")), Some(kind));
        let field = AstEventMappingError::Field("slot".into());
        assert_eq!(refused(Event::new("mwi").with("slot", 1)), Some(field));
        for (name, value) in [
            ("new_messages", FieldValue::from("many")),
            ("new_messages", (1u64 << 32).into()),
            ("mailbox", "a\0b".into()),
            ("eid", "not an eid".into()),
        ] {
            let refused = refused(Event::new("mwi").with(name, value));
            assert_eq!(refused, Some(AstEventMappingError::Value(name.into())));
        }
    }
}
