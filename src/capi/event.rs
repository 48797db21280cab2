//! Events as C sees them.

use std::ffi::c_char;
use std::ptr;

use super::entry::pointer;
use super::result::{Failure, PMESH_BAD_ARGUMENT};
use super::text::{Texts, reference, text};
use crate::{FieldValue, PublishedEvent};

/// What a field holds.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum pmesh_field_type {
    /// Nothing: it is there, and that is all it says.
    PMESH_FIELD_EXISTS = 0,
    /// `number`: 0 or 1.
    PMESH_FIELD_BOOL = 1,
    /// `number`.
    PMESH_FIELD_U64 = 2,
    /// `signed_number`.
    PMESH_FIELD_I64 = 3,
    /// `text`.
    PMESH_FIELD_STR = 4,
    /// `bytes` and `byte_count`.
    PMESH_FIELD_BYTES = 5,
    /// `number`: single bits.
    PMESH_FIELD_FLAGS = 6,
}

use pmesh_field_type::*;

/// A field of an event. What its type does not name is 0 or NULL when given out, and not looked at when given
/// in.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct pmesh_field {
    /// Its name.
    pub name: *const c_char,
    /// What it holds: one of pmesh_field_type.
    pub holds: u32,
    /// See pmesh_field_type.
    pub number: u64,
    /// See pmesh_field_type.
    pub signed_number: i64,
    /// A text.
    pub text: *const c_char,
    /// Any bytes; may be NULL when there are none.
    pub bytes: *const u8,
    /// How many.
    pub byte_count: usize,
}

/// An event that somebody published.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct pmesh_event {
    /// What kind of event it is: `call.parked`.
    pub kind: *const c_char,
    /// What people call the node that published it.
    pub node: *const c_char,
    /// The replica id of that node.
    pub replica: *const c_char,
    /// In which life it did; with `replica` and `seq` the one name of this event.
    pub incarnation: u64,
    /// The number of the event in that life, from 1.
    pub seq: u64,
    /// When, by its clock, in ms since 1970.
    pub at_ms: u64,
    /// Its fields, ordered by name.
    pub fields: *const pmesh_field,
    /// How many.
    pub field_count: usize,
}

/// An event and what it points into.
#[derive(Debug)]
pub(super) struct Event {
    event: pmesh_event,
    _fields: Vec<pmesh_field>,
    _bytes: Vec<Vec<u8>>,
    _texts: Texts,
}

impl Event {
    pub(super) fn new(published: &PublishedEvent) -> Self {
        let (mut texts, mut bytes) = (Texts::default(), Vec::new());
        let fields: Vec<pmesh_field> = published
            .fields()
            .iter()
            .map(|(name, value)| field(name, value, &mut texts, &mut bytes))
            .collect();
        let event = pmesh_event {
            kind: texts.keep(published.kind()),
            node: texts.keep(&published.node),
            replica: texts.keep(&published.replica.to_string()),
            incarnation: published.incarnation.0,
            seq: published.seq,
            at_ms: published.at_ms,
            fields: pointer(&fields),
            field_count: fields.len(),
        };
        Self {
            event,
            _fields: fields,
            _bytes: bytes,
            _texts: texts,
        }
    }

    pub(super) fn as_c(&self) -> *const pmesh_event {
        &self.event
    }
}

const EMPTY: pmesh_field = pmesh_field {
    name: ptr::null(),
    holds: PMESH_FIELD_EXISTS as u32,
    number: 0,
    signed_number: 0,
    text: ptr::null(),
    bytes: ptr::null(),
    byte_count: 0,
};

fn field(
    name: &str,
    value: &FieldValue,
    texts: &mut Texts,
    bytes: &mut Vec<Vec<u8>>,
) -> pmesh_field {
    let mut field = pmesh_field {
        name: texts.keep(name),
        ..EMPTY
    };
    let holds = match value {
        FieldValue::Exists => PMESH_FIELD_EXISTS,
        FieldValue::Bool(yes) => {
            field.number = (*yes).into();
            PMESH_FIELD_BOOL
        }
        FieldValue::U64(number) => {
            field.number = *number;
            PMESH_FIELD_U64
        }
        FieldValue::I64(number) => {
            field.signed_number = *number;
            PMESH_FIELD_I64
        }
        FieldValue::Str(text) => {
            field.text = texts.keep(text);
            PMESH_FIELD_STR
        }
        FieldValue::Bytes(content) => {
            // The answer may outlive the event itself.
            let content = content.clone();
            field.bytes = pointer(&content);
            field.byte_count = content.len();
            bytes.push(content);
            PMESH_FIELD_BYTES
        }
        FieldValue::Flags(bits) => {
            field.number = *bits;
            PMESH_FIELD_FLAGS
        }
    };
    field.holds = holds as u32;
    field
}

/// A field that C gave, copied.
///
/// # Safety
/// All that the field's type names is as it says, and stays so until this returns.
pub(super) unsafe fn value_of(field: &pmesh_field) -> Result<(&str, FieldValue), Failure> {
    // SAFETY: as asked of the caller.
    let name = unsafe { text("the name of a field", field.name) }?;
    let value = match field.holds {
        holds if holds == PMESH_FIELD_EXISTS as u32 => FieldValue::Exists,
        holds if holds == PMESH_FIELD_BOOL as u32 => FieldValue::Bool(field.number != 0),
        holds if holds == PMESH_FIELD_U64 as u32 => FieldValue::U64(field.number),
        holds if holds == PMESH_FIELD_I64 as u32 => FieldValue::I64(field.signed_number),
        holds if holds == PMESH_FIELD_FLAGS as u32 => FieldValue::Flags(field.number),
        holds if holds == PMESH_FIELD_STR as u32 => {
            // SAFETY: as asked of the caller.
            FieldValue::from(unsafe { text(name, field.text) }?)
        }
        holds if holds == PMESH_FIELD_BYTES as u32 => {
            // SAFETY: as asked of the caller.
            FieldValue::from(unsafe { slice(name, field.bytes, field.byte_count) }?)
        }
        holds => {
            let text = format!("{holds} is no type of a field");
            return Err(Failure::new(PMESH_BAD_ARGUMENT, text));
        }
    };
    Ok((name, value))
}

/// An array from C.
///
/// # Safety
/// `items` is NULL, or points to `count` items that nobody changes or frees for `'a`.
pub(super) unsafe fn slice<'a, T>(
    what: &str,
    items: *const T,
    count: usize,
) -> Result<&'a [T], Failure> {
    if count == 0 {
        return Ok(&[]);
    }
    // SAFETY: as asked of the caller.
    unsafe { reference(what, items) }?;
    // No object is larger; what claims to be is a mistake.
    if count > isize::MAX as usize / size_of::<T>().max(1) {
        let text = format!("{what} cannot hold {count} items");
        return Err(Failure::new(PMESH_BAD_ARGUMENT, text));
    }
    // SAFETY: not NULL and not too large; the caller vouches for the rest.
    Ok(unsafe { std::slice::from_raw_parts(items, count) })
}
