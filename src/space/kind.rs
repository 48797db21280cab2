//! What a space holds: which keys, and how values become bytes.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::{
    DeviceState, Key, KeyError, MailboxName, MessageCounts, Namespace, Presence, Scope, SpaceId,
    Value,
};
use crate::proto::WriteError;

/// The keys of a space, and its codec.
pub(crate) struct Kind<T> {
    pub(crate) scope: Scope,
    name: fn(&str) -> Result<Arc<str>, KeyError>,
    encode: fn(T) -> Result<Value, WriteError>,
    decode: fn(&Value) -> Option<T>,
}

impl Kind<DeviceState> {
    pub(crate) fn devices() -> Self {
        Self {
            scope: SpaceId::DEVICES.into(),
            name: unchanged,
            encode: |state| Ok(state.into()),
            decode: |value| Some(value.device_state()),
        }
    }
}

impl Kind<MessageCounts> {
    pub(crate) fn mailboxes() -> Self {
        Self {
            scope: SpaceId::MAILBOXES.into(),
            // A mailbox without context is in the default one.
            name: |text| Ok(text.parse::<MailboxName>()?.as_str().into()),
            encode: |counts| Ok(counts.checked()?.into()),
            decode: |value| value.decode(),
        }
    }
}

impl Kind<Presence> {
    pub(crate) fn presence() -> Self {
        Self {
            scope: SpaceId::PRESENCE.into(),
            name: unchanged,
            encode: |presence| Ok(Value::encode(&presence)?),
            decode: |value| value.decode(),
        }
    }
}

impl<T: Serialize + DeserializeOwned> Kind<T> {
    /// Any type, as JSON: other programs of the mesh can read it without knowing the type.
    pub(crate) fn custom(space: SpaceId, namespace: &Namespace) -> Self {
        Self {
            scope: Scope::namespace(space, namespace),
            name: unchanged,
            encode: to_json,
            decode: |value| serde_json::from_slice(value.as_bytes()).ok(),
        }
    }
}

impl<T> Kind<T> {
    pub(crate) fn key(&self, text: &str) -> Result<Key, KeyError> {
        self.scope.key((self.name)(text)?)
    }

    pub(crate) fn encode(&self, value: T) -> Result<Value, WriteError> {
        (self.encode)(value)
    }

    pub(crate) fn decode(&self, value: &Value) -> Option<T> {
        (self.decode)(value)
    }

    /// What users call the key with this stored name.
    pub(crate) fn local(&self, stored: &Arc<str>) -> Arc<str> {
        match self.scope.local(stored) {
            Some(name) if name.len() < stored.len() => name.into(),
            _ => stored.clone(),
        }
    }
}

impl<T> Clone for Kind<T> {
    fn clone(&self) -> Self {
        Self {
            scope: self.scope.clone(),
            ..*self
        }
    }
}

impl<T> fmt::Debug for Kind<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}",
            self.scope.space().name(),
            self.scope.prefix().trim_end_matches('/')
        )
    }
}

fn unchanged(text: &str) -> Result<Arc<str>, KeyError> {
    Ok(text.into())
}

/// JSON in one form only, so that equal values are equal bytes: no spaces, the names in objects in ascending
/// order whatever the type's own order.
fn to_json<T: Serialize>(value: T) -> Result<Value, WriteError> {
    let refused = |error: serde_json::Error| WriteError::Encode {
        reason: error.to_string(),
    };
    let mut json = serde_json::to_value(value).map_err(refused)?;
    // Sorted already, unless somebody's dependency turns on serde_json's `preserve_order`.
    json.sort_all_objects();
    let bytes = serde_json::to_vec(&json).map_err(refused)?;
    let encoded = Value::from_bytes(&bytes)?;
    // Nested deeper than any reader goes, it could never be read again.
    serde_json::from_slice::<serde_json::Value>(&bytes).map_err(refused)?;
    Ok(encoded)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn bytes<T: Serialize>(value: T) -> String {
        let value = to_json(value).expect("it is JSON");
        String::from_utf8(value.as_bytes().to_vec()).expect("JSON is UTF-8")
    }

    #[test]
    fn equal_values_are_equal_bytes() {
        #[derive(Serialize)]
        struct Disorder {
            z: u8,
            a: HashMap<&'static str, u8>,
        }
        let a = HashMap::from([("y", 1), ("b", 2), ("x", 3)]);
        assert_eq!(
            bytes(Disorder { z: 1, a }),
            r#"{"a":{"b":2,"x":3,"y":1},"z":1}"#
        );
        assert_eq!(bytes("é\n"), r#""é\n""#);
    }

    #[test]
    fn what_cannot_be_read_again_is_refused() {
        let unreadable = to_json(HashMap::from([(vec![1u8], 1)]));
        assert!(matches!(unreadable, Err(WriteError::Encode { .. })));
        let mut deep = serde_json::Value::Null;
        for _ in 0..200 {
            deep = serde_json::Value::Array(vec![deep]);
        }
        assert!(matches!(to_json(deep), Err(WriteError::Encode { .. })));
        assert!(matches!(
            to_json("x".repeat(4095)),
            Err(WriteError::Value(_))
        ));
        assert!(to_json("x".repeat(4094)).is_ok());
    }
}
