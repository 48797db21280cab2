//! What a watch takes from the node, before it is put into C's words.

use std::pin::Pin;

use futures::{Stream, StreamExt as _};

use super::answer::Answer;
use super::entry::ToValue;
use super::result::{Failure, PMESH_BAD_ARGUMENT};
use crate::{DeviceState, MessageCounts, Pattern, Shown, Watch, blocking};

/// A space, by its name in URLs and on the command line.
#[derive(Debug, Clone)]
pub(super) enum SpaceName {
    Device,
    Mailbox,
}

impl SpaceName {
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        match text {
            "device" => Ok(Self::Device),
            "mailbox" => Ok(Self::Mailbox),
            _ => {
                let text = format!("the space is {text:?}, it must be device or mailbox");
                Err(Failure::new(PMESH_BAD_ARGUMENT, text))
            }
        }
    }

    pub(super) fn get(&self, mesh: &blocking::Mesh, key: &str) -> Option<Answer> {
        match self {
            Self::Device => mesh.devices().get(key).map(|shown| entries(&[shown])),
            Self::Mailbox => mesh.mailboxes().get(key).map(|shown| entries(&[shown])),
        }
    }

    pub(super) fn list(&self, mesh: &blocking::Mesh, pattern: &Pattern) -> Answer {
        match self {
            Self::Device => entries(&mesh.devices().list(pattern)),
            Self::Mailbox => entries(&mesh.mailboxes().list(pattern)),
        }
    }

    pub(super) fn clear(
        &self,
        mesh: &blocking::Mesh,
        key: &str,
    ) -> Result<bool, crate::WriteError> {
        match self {
            Self::Device => mesh.devices().clear(key),
            Self::Mailbox => mesh.mailboxes().clear(key),
        }
    }

    pub(super) fn watch(&self, mesh: &blocking::Mesh, pattern: Pattern) -> Items {
        let mesh = mesh.handle();
        match self {
            Self::Device => Box::pin(mesh.devices().watch(pattern).map(Taken::Device)),
            Self::Mailbox => Box::pin(mesh.mailboxes().watch(pattern).map(Taken::Mailbox)),
        }
    }
}

/// One item, in the library's words: C's words hold pointers, which do not go from thread to thread.
#[derive(Debug)]
pub(super) enum Taken {
    Device(Watch<DeviceState>),
    Mailbox(Watch<MessageCounts>),
}

/// What a watch takes items from.
pub(super) type Items = Pin<Box<dyn Stream<Item = Taken> + Send>>;

impl Taken {
    pub(super) fn answer(&self) -> Answer {
        match self {
            Self::Device(item) => watched(item),
            Self::Mailbox(item) => watched(item),
        }
    }
}

fn watched<T: ToValue>(item: &Watch<T>) -> Answer {
    match item {
        Watch::Snapshot(all) => entries(all),
        Watch::Changed(change) => {
            Answer::change(&change.key, change.old.as_ref(), change.new.as_ref())
        }
        Watch::Resync => Answer::resync(),
    }
}

fn entries<T: ToValue>(all: &[Shown<T>]) -> Answer {
    Answer::entries(all)
}
