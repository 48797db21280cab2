//! The words: replicas, keys, values and what device states mean.
//!
//! Everything here is plain data with checked constructors. This module knows nothing of time, networks or
//! merging; every other module may use it.

mod device;
mod event;
mod key;
mod mailbox;
mod node;
mod pattern;
mod presence;
mod replica;
mod scope;
mod source;
mod value;

pub use device::{DeviceState, UnknownDeviceState};
pub use event::{
    Condition, Event, EventError, EventItem, FieldValue, Filter, FilterError, Gap, MAX_CONDITIONS,
    MAX_EVENT_BYTES, MAX_FIELD_BYTES, MAX_FIELD_NAME_BYTES, MAX_FIELDS, MAX_KIND_BYTES, MAX_TTL,
    ParseConditionError, PublishedEvent, Test,
};
pub use key::{Key, KeyError, MAX_KEY_BYTES, Policy, SpaceId};
pub use mailbox::{CountsError, DEFAULT_CONTEXT, MAX_MESSAGE_COUNT, MailboxName, MessageCounts};
pub use node::{
    AttributeError, MAX_ADDRESSES, MAX_ATTRIBUTE_BYTES, MAX_ATTRIBUTES, NodeRecord, SourceDown,
};
pub use pattern::Pattern;
pub use presence::{Presence, PresenceStatus, UnknownPresenceStatus};
pub use replica::{Incarnation, Origin, ParseReplicaIdError, ReplicaId};
pub use scope::{MAX_NAMESPACE_BYTES, Namespace, Scope};
pub use source::Source;
pub use value::{MAX_VALUE_BYTES, Value, ValueError};
