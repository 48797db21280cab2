//! What is known about: a name within a space.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use rustc_hash::FxBuildHasher;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest name, in bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 255;

/// The space a key lives in: names of different spaces never meet.
///
/// The number goes on the wire. A number this version does not know is carried along unread, so that a newer
/// member's entries survive a relay through an older one.
///
/// ```
/// use presence_mesh::SpaceId;
/// assert_eq!(SpaceId::DEVICES.name(), "device");
/// assert!(SpaceId::VISIBLE.contains(&SpaceId::PRESENCE));
/// assert!(!SpaceId::VISIBLE.contains(&SpaceId::NODES));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SpaceId(pub u8);

impl SpaceId {
    /// The nodes' own records; internal.
    pub const NODES: SpaceId = SpaceId(0);
    /// Device states.
    pub const DEVICES: SpaceId = SpaceId(1);
    /// Message counts.
    pub const MAILBOXES: SpaceId = SpaceId(2);
    /// What people say of being reachable.
    pub const PRESENCE: SpaceId = SpaceId(3);
    /// Values of users' own types, by latest writer; names are `namespace/key`.
    pub const CUSTOM: SpaceId = SpaceId(4);
    /// Values of users' own types, each origin's own; names are `namespace/key`.
    pub const CUSTOM_PER_ORIGIN: SpaceId = SpaceId(5);

    /// The spaces that users see, in the order of their numbers.
    pub const VISIBLE: [SpaceId; 5] = [
        Self::DEVICES,
        Self::MAILBOXES,
        Self::PRESENCE,
        Self::CUSTOM,
        Self::CUSTOM_PER_ORIGIN,
    ];

    /// The name in URLs, on the command line and in metrics: `device`, `mailbox`, `presence`, `custom`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NODES => "node",
            Self::DEVICES => "device",
            Self::MAILBOXES => "mailbox",
            Self::PRESENCE => "presence",
            Self::CUSTOM => "custom",
            Self::CUSTOM_PER_ORIGIN => "custom-per-origin",
            _ => "unknown",
        }
    }
}

/// How the contributions of several origins become what is shown.
///
/// ```
/// use presence_mesh::{Key, Policy, SpaceId};
/// assert_eq!(Key::new(SpaceId::DEVICES, "PJSIP/100")?.policy(), Policy::Aggregate);
/// assert_eq!(Key::new(SpaceId::DEVICES, "Custom:night")?.policy(), Policy::LatestWriter);
/// assert_eq!(Key::new(SpaceId::CUSTOM_PER_ORIGIN, "load/now")?.policy(), Policy::PerOrigin);
/// # Ok::<(), presence_mesh::KeyError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// Device states joined as in Asterisk; an origin that is gone contributes nothing.
    Aggregate,
    /// The greatest stamp wins; the value of an origin that is gone is kept and flagged.
    LatestWriter,
    /// Each origin's own; never combined.
    PerOrigin,
}

/// A name within a space.
///
/// Cheap to clone: the name is shared. Cheap to look up: its hash is kept with it.
///
/// ```
/// use presence_mesh::{Key, Policy, SpaceId};
/// let key = Key::new(SpaceId::DEVICES, "PJSIP/100")?;
/// assert_eq!((key.space(), key.name(), key.policy()), (SpaceId::DEVICES, "PJSIP/100", Policy::Aggregate));
/// assert_eq!(&*key.shared_name(), "PJSIP/100");
/// # Ok::<(), presence_mesh::KeyError>(())
/// ```
#[derive(Clone)]
pub struct Key {
    space: SpaceId,
    /// Of both, without a random seed: order and timing are the same at every run. Who could choose keys that
    /// collide holds the mesh key.
    hash: u32,
    /// Follows from both; kept, so that what is shown of a key is brought up to date without a look at its name.
    policy: Policy,
    name: Arc<str>,
}

impl Key {
    /// A key from its parts.
    ///
    /// # Errors
    /// When `name` is empty or longer than [`MAX_KEY_BYTES`].
    pub fn new(space: SpaceId, name: impl Into<Arc<str>>) -> Result<Self, KeyError> {
        let name = name.into();
        check_name(&name)?;
        let hash = FxBuildHasher.hash_one((space, &*name));
        let hash = u32::try_from((hash ^ hash >> 32) & u64::from(u32::MAX)).expect("32 bits");
        let policy = policy(space, &name);
        Ok(Self {
            space,
            hash,
            policy,
            name,
        })
    }

    /// The space it lives in.
    pub fn space(&self) -> SpaceId {
        self.space
    }

    /// Its name, 1 to 255 bytes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name, shared rather than copied.
    pub fn shared_name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// How several origins' contributions to this key combine.
    pub fn policy(&self) -> Policy {
        self.policy
    }
}

fn policy(space: SpaceId, name: &str) -> Policy {
    match space {
        SpaceId::DEVICES if !name.starts_with("Custom:") => Policy::Aggregate,
        SpaceId::DEVICES | SpaceId::MAILBOXES | SpaceId::PRESENCE | SpaceId::CUSTOM => {
            Policy::LatestWriter
        }
        _ => Policy::PerOrigin,
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let same_name = || Arc::ptr_eq(&self.name, &other.name) || self.name == other.name;
        self.hash == other.hash && self.space == other.space && same_name()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.space, &self.name).cmp(&(other.space, &other.name))
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u32(self.hash);
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.space.name(), self.name)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.space.0, self.name)
    }
}

/// The name cannot be a key; nothing was changed.
///
/// ```
/// use presence_mesh::{Key, KeyError, SpaceId};
/// assert_eq!(Key::new(SpaceId::DEVICES, ""), Err(KeyError::Empty));
/// assert_eq!(Key::new(SpaceId::DEVICES, "a\nb"), Err(KeyError::Control('\n')));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A key has at least one character.
    #[error("the key is empty")]
    Empty,
    /// A key has at most [`MAX_KEY_BYTES`] bytes of UTF-8.
    #[error("the key is {bytes} bytes long, the limit is {MAX_KEY_BYTES}")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// A namespace has 1 to [`MAX_NAMESPACE_BYTES`](super::MAX_NAMESPACE_BYTES) bytes, and no slash or control
    /// character.
    #[error(
        "the namespace must be 1 to {} bytes long, without '/' and control characters",
        super::MAX_NAMESPACE_BYTES
    )]
    Namespace,
    /// Control characters would garble logs, tables and SIP messages.
    #[error("the key holds the control character {0:?}")]
    Control(char),
}

pub(super) fn check_name(name: &str) -> Result<(), KeyError> {
    if name.is_empty() {
        return Err(KeyError::Empty);
    }
    if name.len() > MAX_KEY_BYTES {
        return Err(KeyError::TooLong { bytes: name.len() });
    }
    match name.chars().find(|c| c.is_control()) {
        Some(control) => Err(KeyError::Control(control)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_printable() {
        assert!(Key::new(SpaceId::DEVICES, "PJSIP/100").is_ok());
        assert!(Key::new(SpaceId::DEVICES, "é".repeat(127)).is_ok());
        assert_eq!(Key::new(SpaceId::DEVICES, ""), Err(KeyError::Empty));
        assert_eq!(
            Key::new(SpaceId::DEVICES, "x".repeat(256)),
            Err(KeyError::TooLong { bytes: 256 })
        );
        assert_eq!(
            Key::new(SpaceId::DEVICES, "a\r\nb"),
            Err(KeyError::Control('\r'))
        );
    }

    #[test]
    fn custom_devices_belong_to_their_latest_writer() {
        let policy = |name: &str| Key::new(SpaceId::DEVICES, name).expect(name).policy();
        assert_eq!(policy("PJSIP/100"), Policy::Aggregate);
        assert_eq!(policy("Custom:night"), Policy::LatestWriter);
    }
}
