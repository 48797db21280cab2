//! What is known: a value as it is stored and sent.

use std::fmt;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::device::DeviceState;
use super::mailbox::MessageCounts;

/// The longest encoded value, in bytes.
pub const MAX_VALUE_BYTES: usize = 4096;

/// A value in its encoded form.
///
/// The store compares and carries bytes and never looks inside; a space decodes them. Cheap to clone: the
/// bytes are shared. All values of one byte, which device states are, share 256 allocations in all, so that a
/// hundred thousand lamps do not cost a hundred thousand of them.
///
/// ```
/// use presence_mesh::{DeviceState, Value};
/// let value = Value::encode(&(3u32, "sales"))?;
/// assert_eq!(value.decode(), Some((3u32, "sales")));
/// assert_eq!(Value::from_bytes(value.as_bytes())?, value);
/// assert_eq!(Value::from(DeviceState::InUse).device_state(), DeviceState::InUse);
/// # Ok::<(), presence_mesh::ValueError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Value(Arc<[u8]>);

static ONE_BYTE: LazyLock<[Value; 256]> = LazyLock::new(|| {
    std::array::from_fn(|n| Value([u8::try_from(n).expect("256 bytes")].as_slice().into()))
});

impl Value {
    /// Takes encoded bytes.
    ///
    /// # Errors
    /// When they are more than [`MAX_VALUE_BYTES`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ValueError> {
        if bytes.len() > MAX_VALUE_BYTES {
            return Err(ValueError { bytes: bytes.len() });
        }
        match bytes {
            [byte] => Ok(Self::one_byte(*byte)),
            _ => Ok(Self(bytes.into())),
        }
    }

    fn one_byte(byte: u8) -> Self {
        ONE_BYTE[usize::from(byte)].clone()
    }

    /// Encodes any serde value with postcard.
    ///
    /// # Errors
    /// When the encoding is longer than [`MAX_VALUE_BYTES`]. A type that postcard cannot encode (a map of
    /// unknown length, say) is refused the same way, with length 0.
    pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Self, ValueError> {
        let bytes = postcard::to_stdvec(value).map_err(|_| ValueError { bytes: 0 })?;
        Self::from_bytes(&bytes)
    }

    /// Decodes; `None` when the bytes are not exactly one `T`.
    pub fn decode<'a, T: Deserialize<'a>>(&'a self) -> Option<T> {
        match postcard::take_from_bytes(&self.0) {
            Ok((value, [])) => Some(value),
            _ => None,
        }
    }

    /// The encoded bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The device state it holds; a byte that is none reads as UNKNOWN, as Asterisk itself does.
    pub fn device_state(&self) -> DeviceState {
        match &*self.0 {
            [number] => DeviceState::from_number(*number).unwrap_or(DeviceState::Unknown),
            _ => DeviceState::Unknown,
        }
    }
}

impl From<DeviceState> for Value {
    fn from(state: DeviceState) -> Self {
        Self::one_byte(state.number())
    }
}

impl From<MessageCounts> for Value {
    fn from(counts: MessageCounts) -> Self {
        Self::encode(&counts).expect("four integers are at most 20 bytes")
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        for byte in self.0.iter().take(24) {
            write!(f, "{byte:02x}")?;
        }
        if self.0.len() > 24 {
            write!(f, "… ({} bytes)", self.0.len())
        } else {
            Ok(())
        }
    }
}

/// The value is too long; nothing was changed.
///
/// ```
/// let error = presence_mesh::Value::from_bytes(&[0; 5_000]).expect_err("too long");
/// assert_eq!(error.to_string(), "the value is 5000 bytes long when encoded, the limit is 4096");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the value is {bytes} bytes long when encoded, the limit is {MAX_VALUE_BYTES}")]
pub struct ValueError {
    bytes: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_read_back() {
        let counts = MessageCounts {
            new: 3,
            old: 70_000,
            urgent_new: 1,
            urgent_old: 0,
        };
        assert_eq!(Value::from(counts).decode(), Some(counts));
    }

    #[test]
    fn trailing_bytes_are_no_value() {
        let mut bytes = Value::from(MessageCounts::new(1, 2)).as_bytes().to_vec();
        bytes.push(0);
        assert_eq!(
            Value::from_bytes(&bytes)
                .expect("short")
                .decode::<MessageCounts>(),
            None
        );
    }

    #[test]
    fn a_state_of_a_newer_version_reads_as_unknown() {
        assert_eq!(
            Value::from_bytes(&[77]).expect("short").device_state(),
            DeviceState::Unknown
        );
        assert_eq!(
            Value::from(DeviceState::OnHold).device_state(),
            DeviceState::OnHold
        );
    }

    #[test]
    fn overlong_values_are_refused() {
        assert!(Value::from_bytes(&[0; MAX_VALUE_BYTES]).is_ok());
        assert!(Value::from_bytes(&[0; MAX_VALUE_BYTES + 1]).is_err());
    }
}
