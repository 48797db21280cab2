//! What a watch takes from the node, before it is put into C's words.

use std::pin::Pin;

use futures::{Stream, StreamExt as _};

use super::answer::Answer;
use super::entry::ToValue;
use super::result::{Failure, PMESH_BAD_ARGUMENT};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    DeviceState, EventItem, Gap, KeyError, MessageCounts, Pattern, Presence, Shown, Watch,
    WriteError, blocking,
};

/// A space, by its name in URLs and on the command line.
#[derive(Debug, Clone)]
pub(super) enum SpaceName {
    Device,
    Mailbox,
    Presence,
    /// With its namespace.
    Custom(String),
    /// With its namespace.
    CustomPerOrigin(String),
}

/// A custom value of a space where each node's is shown apart: another type, so that one is not taken for the
/// other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Apart(pub(super) Value);

impl SpaceName {
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        match text {
            "device" => Ok(Self::Device),
            "mailbox" => Ok(Self::Mailbox),
            "presence" => Ok(Self::Presence),
            _ => match text.split_once('/') {
                Some(("custom", namespace)) => Ok(Self::Custom(namespace.into())),
                Some(("custom-per-origin", namespace)) => {
                    Ok(Self::CustomPerOrigin(namespace.into()))
                }
                _ => {
                    let text = format!(
                        "the space is {text:?}, it must be device, mailbox, presence, custom/NAMESPACE or \
                         custom-per-origin/NAMESPACE"
                    );
                    Err(Failure::new(PMESH_BAD_ARGUMENT, text))
                }
            },
        }
    }

    /// `None` when nothing is known of `key`.
    pub(super) fn get(&self, mesh: &blocking::Mesh, key: &str) -> Result<Option<Answer>, KeyError> {
        Ok(match self {
            Self::Device => mesh.devices().get(key).map(entry),
            Self::Mailbox => mesh.mailboxes().get(key).map(entry),
            Self::Presence => mesh.presence().get(key).map(entry),
            Self::Custom(namespace) => mesh.custom::<Value>(namespace)?.get(key).map(entry),
            Self::CustomPerOrigin(namespace) => {
                // What all nodes say of it, not this one alone.
                let space = mesh.custom_per_origin::<Apart>(namespace)?;
                space.explain(key).map(|told| entry(told.shown))
            }
        })
    }

    pub(super) fn list(
        &self,
        mesh: &blocking::Mesh,
        pattern: &Pattern,
    ) -> Result<Answer, KeyError> {
        Ok(match self {
            Self::Device => Answer::entries(&mesh.devices().list(pattern)),
            Self::Mailbox => Answer::entries(&mesh.mailboxes().list(pattern)),
            Self::Presence => Answer::entries(&mesh.presence().list(pattern)),
            Self::Custom(namespace) => {
                Answer::entries(&mesh.custom::<Value>(namespace)?.list(pattern))
            }
            Self::CustomPerOrigin(namespace) => {
                Answer::entries(&mesh.custom_per_origin::<Apart>(namespace)?.list(pattern))
            }
        })
    }

    pub(super) fn clear(&self, mesh: &blocking::Mesh, key: &str) -> Result<bool, WriteError> {
        match self {
            Self::Device => mesh.devices().clear(key),
            Self::Mailbox => mesh.mailboxes().clear(key),
            Self::Presence => mesh.presence().clear(key),
            Self::Custom(namespace) => mesh.custom::<Value>(namespace)?.clear(key),
            Self::CustomPerOrigin(namespace) => {
                mesh.custom_per_origin::<Apart>(namespace)?.clear(key)
            }
        }
    }

    pub(super) fn watch(&self, mesh: &blocking::Mesh, pattern: Pattern) -> Result<Items, Failure> {
        let mesh = mesh.handle();
        Ok(match self {
            Self::Device => Box::pin(mesh.devices().watch(pattern)?.map(Taken::Device)),
            Self::Mailbox => Box::pin(mesh.mailboxes().watch(pattern)?.map(Taken::Mailbox)),
            Self::Presence => Box::pin(mesh.presence().watch(pattern)?.map(Taken::Presence)),
            Self::Custom(namespace) => {
                let space = mesh.custom::<Value>(namespace)?;
                Box::pin(space.watch(pattern)?.map(Taken::Custom))
            }
            Self::CustomPerOrigin(namespace) => {
                let space = mesh.custom_per_origin::<Apart>(namespace)?;
                Box::pin(space.watch(pattern)?.map(Taken::CustomPerOrigin))
            }
        })
    }
}

/// One item, in the library's words: C's words hold pointers, which do not go from thread to thread.
#[derive(Debug)]
pub(super) enum Taken {
    Device(Watch<DeviceState>),
    Mailbox(Watch<MessageCounts>),
    Presence(Watch<Presence>),
    Custom(Watch<Value>),
    CustomPerOrigin(Watch<Apart>),
    Event(EventItem),
}

/// What a watch takes items from.
pub(super) type Items = Pin<Box<dyn Stream<Item = Taken> + Send>>;

impl Taken {
    pub(super) fn answer(&self) -> Answer {
        match self {
            Self::Device(item) => watched(item),
            Self::Mailbox(item) => watched(item),
            Self::Presence(item) => watched(item),
            Self::Custom(item) => watched(item),
            Self::CustomPerOrigin(item) => watched(item),
            Self::Event(EventItem::Event(event)) => Answer::event(event),
            Self::Event(EventItem::Gap(Gap::Lost { first, last, .. })) => {
                Answer::gap(last.saturating_sub(*first).saturating_add(1))
            }
            Self::Event(EventItem::Gap(Gap::Slow { dropped })) => Answer::gap(*dropped),
        }
    }
}

fn watched<T: ToValue>(item: &Watch<T>) -> Answer {
    match item {
        Watch::Snapshot(all) => Answer::entries(all),
        Watch::Changed(change) => {
            Answer::change(&change.key, change.old.as_ref(), change.new.as_ref())
        }
        Watch::Resync => Answer::resync(),
    }
}

fn entry<T: ToValue>(shown: Shown<T>) -> Answer {
    Answer::entries(&[shown])
}
