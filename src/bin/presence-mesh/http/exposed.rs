//! Spaces as HTTP shows them.

use presence_mesh::{DeviceState, Mesh, MessageCounts, Space, StateValue};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::api::DeviceFields;

/// A space with routes of its own.
pub trait Exposed: StateValue + Sized {
    /// One of it, in `explain` and in the stream: `device`.
    const NAME: &'static str;
    /// Many of it, in paths: `devices`.
    const PLURAL: &'static str;
    /// The fields of the value within an object.
    type Fields: From<Self> + Serialize + Send + 'static;
    /// What a write brings.
    type Body: DeserializeOwned;

    fn space(mesh: &Mesh) -> Space<Self>;

    /// # Errors
    /// What is wrong with it, for people.
    fn from_body(body: Self::Body) -> Result<Self, String>;
}

/// What sets a device.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceBody {
    state: String,
}

/// What sets a mailbox.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailboxBody {
    new: u32,
    old: u32,
    #[serde(default)]
    urgent_new: u32,
    #[serde(default)]
    urgent_old: u32,
}

impl Exposed for DeviceState {
    const NAME: &'static str = "device";
    const PLURAL: &'static str = "devices";
    type Fields = DeviceFields;
    type Body = DeviceBody;

    fn space(mesh: &Mesh) -> Space<Self> {
        mesh.devices()
    }

    fn from_body(body: DeviceBody) -> Result<Self, String> {
        body.state
            .parse()
            .map_err(|error: presence_mesh::UnknownDeviceState| error.to_string())
    }
}

impl Exposed for MessageCounts {
    const NAME: &'static str = "mailbox";
    const PLURAL: &'static str = "mailboxes";
    type Fields = MessageCounts;
    type Body = MailboxBody;

    fn space(mesh: &Mesh) -> Space<Self> {
        mesh.mailboxes()
    }

    fn from_body(body: MailboxBody) -> Result<Self, String> {
        let MailboxBody {
            new,
            old,
            urgent_new,
            urgent_old,
        } = body;
        Self {
            new,
            old,
            urgent_new,
            urgent_old,
        }
        .checked()
        .map_err(|error| error.to_string())
    }
}
