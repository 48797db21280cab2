//! What nodes send each other.

use std::sync::Arc;

use super::params::{Params, field_bytes, varint_bytes};

/// Names a message. The world chooses it, rising, and uses none twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MessageId(pub u32);

/// One thing a node says to another. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Rpc {
    /// A copy of a message.
    Message(MessageId),
    /// "I have these."
    IHave(Arc<[MessageId]>),
    /// "Send me these."
    IWant(Arc<[MessageId]>),
    /// "You are in my mesh."
    Graft,
    /// "You are no longer in my mesh."
    Prune,
    /// "I have these already: do not send them."
    IDontWant(Arc<[MessageId]>),
}

impl Rpc {
    /// Bytes on the wire, the length prefix included, if the messages it carries hold `data_bytes` of data.
    pub fn wire_bytes(&self, params: &Params, data_bytes: usize) -> usize {
        let topic = field_bytes(params.topic_bytes);
        let ids = |ids: &[MessageId]| ids.len() * field_bytes(params.id_bytes);
        let rpc = match self {
            Self::Message(_) => field_bytes(params.message_bytes(data_bytes)),
            Self::IHave(list) => field_bytes(field_bytes(topic + ids(list))),
            Self::IWant(list) | Self::IDontWant(list) => field_bytes(field_bytes(ids(list))),
            Self::Graft => field_bytes(field_bytes(topic)),
            // The backoff in seconds: a tag and a byte.
            Self::Prune => field_bytes(field_bytes(topic + 2)),
        };
        varint_bytes(rpc) + rpc
    }
}

/// An [`Rpc`] to be carried from one node to another.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Send {
    /// Who sends it.
    pub from: usize,
    /// Who shall get it.
    pub to: usize,
    /// What is said.
    pub rpc: Rpc,
}

/// What an [`Rpc`] was to the node that received it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    /// A message the node had not: judge it, then call `forward` or `reject`.
    New,
    /// A message the node had already.
    Duplicate,
    /// Not a message.
    Control,
    /// Nothing: the node is down, or not connected to the sender any more.
    Dropped,
}
