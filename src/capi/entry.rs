//! Values and entries as C sees them.

use std::ffi::c_char;
use std::ptr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::taken::Apart;
use super::text::Texts;
use crate::{DeviceState, Freshness, MessageCounts, Presence, Shown};

/// What a device does; Asterisk's numbers.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum pmesh_device_state {
    /// Valid, but its state is not known.
    PMESH_UNKNOWN = 0,
    /// Idle.
    PMESH_NOT_INUSE = 1,
    /// On a call.
    PMESH_INUSE = 2,
    /// Takes no more calls.
    PMESH_BUSY = 3,
    /// Not known to the server.
    PMESH_INVALID = 4,
    /// Not registered.
    PMESH_UNAVAILABLE = 5,
    /// Ringing.
    PMESH_RINGING = 6,
    /// On a call, and ringing for another.
    PMESH_RINGINUSE = 7,
    /// On hold.
    PMESH_ONHOLD = 8,
}

/// How far a shown value may be trusted.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum pmesh_freshness {
    /// Right, as far as can be known.
    PMESH_LIVE = 0,
    /// It was right some time ago; the age says when.
    PMESH_STALE = 1,
    /// Everyone who said anything about it is gone.
    PMESH_GONE = 2,
}

/// How many messages wait. Each at most 2147483647.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct pmesh_counts {
    /// Not heard yet.
    pub new_messages: u32,
    /// Heard and kept.
    pub old_messages: u32,
    /// Urgent and not heard yet, on top.
    pub urgent_new: u32,
    /// Urgent, heard and kept, on top.
    pub urgent_old: u32,
}

/// A value: the field of its space is set, in what is given out all others are 0 or NULL.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct pmesh_value {
    /// Of a device: one of pmesh_device_state.
    pub device_state: u32,
    /// Of a mailbox.
    pub counts: pmesh_counts,
    /// Of a presence, as Asterisk spells it: `not_set`, `unavailable`, `available`, `away`, `xa`, `chat`, `dnd`.
    pub status: *const c_char,
    /// Of a presence: a finer word for the status, or empty.
    pub subtype: *const c_char,
    /// Of a presence: words for people, or empty.
    pub message: *const c_char,
    /// Of a custom value: JSON.
    pub json: *const c_char,
}

/// What one node says of a key.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct pmesh_contribution {
    /// What people call the node.
    pub node: *const c_char,
    /// Its replica id.
    pub replica: *const c_char,
    /// What it says.
    pub value: pmesh_value,
    /// How far it may be trusted.
    pub freshness: pmesh_freshness,
    /// How long ago the node was last known alive, in ms.
    pub age_ms: u64,
    /// Whether it is this node's own.
    pub own: bool,
    /// Whether it decides what is shown, alone or with others.
    pub wins: bool,
}

/// What is shown of a key.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct pmesh_entry {
    /// The key.
    pub key: *const c_char,
    /// Of `custom-per-origin/`: the replica id of the node whose own value this is; else NULL.
    pub origin: *const c_char,
    /// The value, as all contributions together make it.
    pub value: pmesh_value,
    /// How far it may be trusted.
    pub freshness: pmesh_freshness,
    /// The age of what the value rests on, in ms.
    pub age_ms: u64,
    /// The newest write among those the value needs, by its writer's clock, in ms since 1970.
    pub changed_at_ms: u64,
    /// What each node says; NULL when there is none. An `old_entry` has none.
    pub contributions: *const pmesh_contribution,
    /// How many contributions there are.
    pub contribution_count: usize,
}

/// What of a space's values C sees.
pub(super) trait ToValue {
    fn to_value(&self, texts: &mut Texts) -> pmesh_value;
}

const NOTHING: pmesh_value = pmesh_value {
    device_state: 0,
    counts: pmesh_counts {
        new_messages: 0,
        old_messages: 0,
        urgent_new: 0,
        urgent_old: 0,
    },
    status: ptr::null(),
    subtype: ptr::null(),
    message: ptr::null(),
    json: ptr::null(),
};

impl ToValue for DeviceState {
    fn to_value(&self, _texts: &mut Texts) -> pmesh_value {
        pmesh_value {
            device_state: self.number().into(),
            ..NOTHING
        }
    }
}

impl ToValue for MessageCounts {
    fn to_value(&self, _texts: &mut Texts) -> pmesh_value {
        pmesh_value {
            counts: pmesh_counts {
                new_messages: self.new,
                old_messages: self.old,
                urgent_new: self.urgent_new,
                urgent_old: self.urgent_old,
            },
            ..NOTHING
        }
    }
}

impl ToValue for Presence {
    fn to_value(&self, texts: &mut Texts) -> pmesh_value {
        pmesh_value {
            status: texts.keep(self.status.as_str()),
            subtype: texts.keep(&self.subtype),
            message: texts.keep(&self.message),
            ..NOTHING
        }
    }
}

impl ToValue for Apart {
    fn to_value(&self, texts: &mut Texts) -> pmesh_value {
        self.0.to_value(texts)
    }
}

impl ToValue for serde_json::Value {
    fn to_value(&self, texts: &mut Texts) -> pmesh_value {
        pmesh_value {
            json: texts.keep(&self.to_string()),
            ..NOTHING
        }
    }
}

/// What the entries of an answer point into. All of it stays where it is when this is moved.
#[derive(Debug, Default)]
pub(super) struct Storage {
    pub(super) texts: Texts,
    contributions: Vec<Vec<pmesh_contribution>>,
}

impl Storage {
    pub(super) fn entry<T: ToValue>(&mut self, shown: &Shown<T>) -> pmesh_entry {
        let Self {
            texts,
            contributions,
        } = self;
        let said: Vec<pmesh_contribution> = shown
            .contributions
            .iter()
            .map(|said| pmesh_contribution {
                node: texts.keep(&said.node),
                replica: texts.keep(&said.replica.to_string()),
                value: said.value.to_value(texts),
                freshness: said.freshness.into(),
                age_ms: ms(said.age),
                own: said.own,
                wins: said.wins,
            })
            .collect();
        let entry = pmesh_entry {
            key: texts.keep(&shown.key),
            origin: shown
                .origin
                .map_or(ptr::null(), |origin| texts.keep(&origin.to_string())),
            value: shown.value.to_value(texts),
            freshness: shown.freshness.into(),
            age_ms: ms(shown.age),
            changed_at_ms: since_1970_ms(shown.changed_at),
            contributions: pointer(&said),
            contribution_count: said.len(),
        };
        contributions.push(said);
        entry
    }
}

/// NULL for nothing, so that nobody is led to look.
pub(super) fn pointer<T>(items: &[T]) -> *const T {
    if items.is_empty() {
        ptr::null()
    } else {
        items.as_ptr()
    }
}

pub(super) fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn since_1970_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, ms)
}

impl From<Freshness> for pmesh_freshness {
    fn from(freshness: Freshness) -> Self {
        match freshness {
            Freshness::Live => Self::PMESH_LIVE,
            Freshness::Stale => Self::PMESH_STALE,
            Freshness::Gone => Self::PMESH_GONE,
        }
    }
}
