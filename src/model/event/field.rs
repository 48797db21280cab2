//! The value of one field.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The value of one field of an event.
///
/// As text (JSON) it is plain: a string, an integer, a boolean, null for "exists", `{"bytes":"base64"}`,
/// `{"flags":5}`. An integer read from text is a [`FieldValue::U64`] when it is not negative.
///
/// ```
/// use presence_mesh::FieldValue;
/// assert_eq!(FieldValue::from_text("701"), FieldValue::U64(701));
/// assert_eq!(FieldValue::from_text("-3").as_i64(), Some(-3));
/// assert_eq!(FieldValue::from(701).as_u64(), Some(701));
/// assert_eq!(FieldValue::from("PJSIP/100").as_str(), Some("PJSIP/100"));
/// assert_eq!(FieldValue::from(true).as_bool(), Some(true));
/// assert_eq!(FieldValue::from(vec![0, 255]).as_bytes(), Some(&[0, 255][..]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FieldValue {
    /// The field is there, and that is all it says.
    Exists,
    /// Yes or no.
    Bool(bool),
    /// A number that is never negative.
    U64(u64),
    /// A number.
    I64(i64),
    /// A text.
    Str(String),
    /// Anything else.
    Bytes(Vec<u8>),
    /// Single bits, each of which means something.
    Flags(u64),
}

impl FieldValue {
    /// The text, when it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The number, when it is one that is not negative. Flags are one, too.
    pub fn as_u64(&self) -> Option<u64> {
        self.number().and_then(|number| u64::try_from(number).ok())
    }

    /// The number, when it is one that fits. Flags are one, too.
    pub fn as_i64(&self) -> Option<i64> {
        self.number().and_then(|number| i64::try_from(number).ok())
    }

    /// Yes or no, when it is that.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(yes) => Some(*yes),
            _ => None,
        }
    }

    /// The bytes, when it is some.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// What it takes besides its kind.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Str(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            _ => 0,
        }
    }

    /// A value as a person writes it: an integer when it is one, else a text.
    pub fn from_text(text: &str) -> Self {
        if let Ok(number) = text.parse() {
            Self::U64(number)
        } else if let Ok(number) = text.parse() {
            Self::I64(number)
        } else {
            Self::Str(text.to_owned())
        }
    }

    /// Whether both say the same: numbers by value, whatever their type; a number or a boolean and a text when
    /// the text spells it.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (self.number(), other.number()) {
            (Some(a), Some(b)) => a == b,
            _ if self == other => true,
            _ => self.spelled().is_some() && self.spelled() == other.spelled(),
        }
    }

    /// Numbers by value, a text that spells a number as that number; texts and bytes by their bytes. `None`
    /// when they cannot be compared.
    pub(crate) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Str(a), Self::Str(b)) => Some(a.cmp(b)),
            (Self::Bytes(a), Self::Bytes(b)) => Some(a.cmp(b)),
            _ => Some(self.spelled_number()?.cmp(&other.spelled_number()?)),
        }
    }

    pub(crate) fn begins_with(&self, prefix: &str) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.starts_with(prefix.as_bytes()),
            _ => self.spelled().is_some_and(|text| text.starts_with(prefix)),
        }
    }

    /// Its bits, when it is flags or a number that is not negative.
    pub(crate) fn bits(&self) -> Option<u64> {
        self.as_u64()
    }

    fn number(&self) -> Option<i128> {
        match self {
            Self::U64(number) | Self::Flags(number) => Some((*number).into()),
            Self::I64(number) => Some((*number).into()),
            _ => None,
        }
    }

    fn spelled_number(&self) -> Option<i128> {
        self.number().or_else(|| self.as_str()?.parse().ok())
    }

    fn spelled(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Exists | Self::Bytes(_) => None,
            Self::Bool(yes) => Some(if *yes { "true" } else { "false" }.into()),
            Self::U64(number) | Self::Flags(number) => Some(number.to_string().into()),
            Self::I64(number) => Some(number.to_string().into()),
            Self::Str(text) => Some(text.as_str().into()),
        }
    }
}

/// As a person reads it; bytes in base64.
impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists => Ok(()),
            Self::Bytes(bytes) => f.write_str(&BASE64.encode(bytes)),
            Self::Flags(bits) => write!(f, "{bits:#x}"),
            _ => f.write_str(&self.spelled().unwrap_or_default()),
        }
    }
}

macro_rules! from {
    ($($from:ty => $variant:ident,)*) => {$(
        impl From<$from> for FieldValue {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}

from! {
    bool => Bool,
    u8 => U64, u16 => U64, u32 => U64, u64 => U64,
    i8 => I64, i16 => I64, i32 => I64, i64 => I64,
    &str => Str, String => Str,
    Vec<u8> => Bytes, &[u8] => Bytes,
}

impl Serialize for FieldValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Exists => serializer.serialize_unit(),
            Self::Bool(yes) => serializer.serialize_bool(*yes),
            Self::U64(number) => serializer.serialize_u64(*number),
            Self::I64(number) => serializer.serialize_i64(*number),
            Self::Str(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("bytes", &BASE64.encode(bytes))?;
                map.end()
            }
            Self::Flags(bits) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("flags", bits)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for FieldValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Plain)
    }
}

struct Plain;

impl<'de> Visitor<'de> for Plain {
    type Value = FieldValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a string, an integer, a boolean, null, {\"bytes\":\"base64\"} or {\"flags\":n}",
        )
    }

    fn visit_unit<E>(self) -> Result<FieldValue, E> {
        Ok(FieldValue::Exists)
    }

    fn visit_bool<E>(self, yes: bool) -> Result<FieldValue, E> {
        Ok(yes.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<FieldValue, E> {
        Ok(number.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<FieldValue, E> {
        Ok(u64::try_from(number).map_or(FieldValue::I64(number), FieldValue::U64))
    }

    fn visit_str<E>(self, text: &str) -> Result<FieldValue, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<FieldValue, E> {
        Ok(text.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FieldValue, A::Error> {
        let value = match map.next_key::<String>()?.as_deref() {
            Some("bytes") => {
                let text: String = map.next_value()?;
                FieldValue::Bytes(BASE64.decode(text).map_err(de::Error::custom)?)
            }
            Some("flags") => FieldValue::Flags(map.next_value()?),
            _ => return Err(de::Error::custom("neither \"bytes\" nor \"flags\"")),
        };
        match map.next_key::<String>()? {
            None => Ok(value),
            Some(_) => Err(de::Error::custom("more than \"bytes\" or \"flags\"")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_an_integer_when_it_spells_one() {
        assert_eq!(FieldValue::from_text("701"), FieldValue::U64(701));
        assert_eq!(FieldValue::from_text("-7"), FieldValue::I64(-7));
        assert_eq!(FieldValue::from_text("7.5"), FieldValue::from("7.5"));
        let huge = "99999999999999999999";
        assert_eq!(FieldValue::from_text(huge), FieldValue::from(huge));
    }

    #[test]
    fn equality_and_order_look_at_the_value_not_the_type() {
        let (number, text) = (FieldValue::U64(701), FieldValue::from("701"));
        assert!(number.same(&FieldValue::I64(701)) && number.same(&text));
        assert!(FieldValue::Bool(true).same(&"true".into()));
        assert!(!FieldValue::Exists.same(&"".into()));
        assert!(!FieldValue::U64(u64::MAX).same(&FieldValue::I64(-1)));
        let less = FieldValue::I64(-1).order(&FieldValue::U64(u64::MAX));
        assert_eq!(less, Some(Ordering::Less));
        assert_eq!(text.order(&FieldValue::U64(80)), Some(Ordering::Greater));
        assert_eq!(FieldValue::from("x").order(&number), None);
        assert!(number.begins_with("70") && !FieldValue::Exists.begins_with(""));
    }
}
