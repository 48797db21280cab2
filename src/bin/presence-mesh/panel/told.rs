//! What a source tells the panel.

use presence_mesh::{DeviceState, MessageCounts, Presence};

use crate::api::{DeviceFields, EventObject, GapObject, NodeStatus, Object, PeerObject};
use crate::people::Person;

/// The spaces whose keys have lamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Space {
    Device,
    Presence,
    Mailbox,
}

impl Space {
    pub const ALL: [Self; 3] = [Self::Device, Self::Presence, Self::Mailbox];

    /// As the API names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Presence => "presence",
            Self::Mailbox => "mailbox",
        }
    }
}

/// What is shown of one key, whatever its space.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    Device(DeviceState),
    Presence(Presence),
    Mailbox(MessageCounts),
}

impl From<DeviceFields> for Item {
    fn from(fields: DeviceFields) -> Self {
        Self::Device(fields.state)
    }
}

impl From<Presence> for Item {
    fn from(presence: Presence) -> Self {
        Self::Presence(presence)
    }
}

impl From<MessageCounts> for Item {
    fn from(counts: MessageCounts) -> Self {
        Self::Mailbox(counts)
    }
}

/// Something that a source has to say.
#[derive(Debug)]
pub enum Told {
    /// How the node does that is looked at, and what it knows of the others.
    Beat(NodeStatus, Vec<PeerObject>),
    /// All keys of a space; those not named are no more.
    All(Space, Vec<Object<Item>>),
    /// One key; `None`: it is no more.
    Change(Space, String, Option<Object<Item>>),
    /// Whose phones they are.
    People(Vec<Person>),
    /// Why lamps are what they are, as it was asked.
    Why(Vec<super::why::Why>),
    /// How many writes of others took at most so many seconds, since the node's start.
    Arrivals(Vec<(f64, u64)>),
    Event(EventObject),
    Gap(GapObject),
    /// The node does not answer, and when it is asked again.
    Lost {
        why: String,
        again_in: std::time::Duration,
    },
}

/// The same object with its value as the panel has it.
pub fn item<V: Into<Item>>(object: Object<V>) -> Object<Item> {
    Object {
        key: object.key,
        origin: object.origin,
        value: object.value.into(),
        freshness: object.freshness,
        age_ms: object.age_ms,
        changed_at: object.changed_at,
        contributions: object
            .contributions
            .into_iter()
            .map(|part| crate::api::Part {
                node: part.node,
                replica: part.replica,
                value: part.value.into(),
                freshness: part.freshness,
                age_ms: part.age_ms,
            })
            .collect(),
    }
}
