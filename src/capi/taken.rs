//! What a watch takes from the node, before it is put into C's words.

use std::pin::Pin;

use futures::{Stream, StreamExt as _};

use super::answer::Answer;
use super::entry::ToValue;
use super::result::{Failure, PMESH_BAD_ARGUMENT};
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
}

impl SpaceName {
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        match text {
            "device" => Ok(Self::Device),
            "mailbox" => Ok(Self::Mailbox),
            "presence" => Ok(Self::Presence),
            _ => match text.strip_prefix("custom/") {
                Some(namespace) => Ok(Self::Custom(namespace.into())),
                None => {
                    let text = format!(
                        "the space is {text:?}, it must be device, mailbox, presence or custom/NAMESPACE"
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
        })
    }

    pub(super) fn clear(&self, mesh: &blocking::Mesh, key: &str) -> Result<bool, WriteError> {
        match self {
            Self::Device => mesh.devices().clear(key),
            Self::Mailbox => mesh.mailboxes().clear(key),
            Self::Presence => mesh.presence().clear(key),
            Self::Custom(namespace) => mesh.custom::<Value>(namespace)?.clear(key),
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
