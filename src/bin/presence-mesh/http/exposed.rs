//! Spaces as HTTP shows them.

use presence_mesh::bridge::asterisk::{AsteriskMonitor, Told};
use presence_mesh::{
    DeviceState, MailboxName, Mesh, MessageCounts, Presence, Space, SpaceId, StateValue,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Problem, path};
use crate::api::{CustomFields, DeviceFields};

/// A space with routes of its own.
pub trait Exposed: StateValue + Sized {
    /// One of it, in `explain` and in the stream: `device`.
    const NAME: &'static str;
    /// Many of it, in paths: `devices`.
    const PLURAL: &'static str;
    /// Whether the paths name a namespace before the key.
    const NAMESPACES: bool = false;
    /// The fields of the value within an object.
    type Fields: From<Self> + Serialize + Send + 'static;
    /// What a write brings.
    type Body: DeserializeOwned;

    /// The space; `namespace` is given exactly if there are any.
    ///
    /// # Errors
    /// When the namespace cannot be one.
    fn space(mesh: &Mesh, namespace: Option<&str>) -> Result<Space<Self>, Problem>;

    /// # Errors
    /// What is wrong with it, for people.
    fn from_body(body: Self::Body) -> Result<Self, String>;

    /// What the PBX was told of a key; `None` when it is told nothing of such keys.
    fn told(_: &AsteriskMonitor, _key: &str) -> Option<Vec<Told<Self>>> {
        None
    }

    /// The space that a path below `root` speaks of, and the path of the space itself.
    ///
    /// # Errors
    /// When the namespace cannot be one.
    fn place(mesh: &Mesh, path: &str, root: &str) -> Result<(Space<Self>, String), Problem> {
        if !Self::NAMESPACES {
            return Ok((Self::space(mesh, None)?, root.to_owned()));
        }
        let (raw, namespace) = path::namespace(path, root)?;
        let space = Self::space(mesh, Some(&namespace))?;
        Ok((space, format!("{root}/{raw}")))
    }
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

/// What sets a presence.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PresenceBody {
    status: String,
    #[serde(default)]
    subtype: String,
    #[serde(default)]
    message: String,
}

impl Exposed for DeviceState {
    const NAME: &'static str = "device";
    const PLURAL: &'static str = "devices";
    type Fields = DeviceFields;
    type Body = DeviceBody;

    fn space(mesh: &Mesh, _: Option<&str>) -> Result<Space<Self>, Problem> {
        Ok(mesh.devices())
    }

    fn from_body(body: DeviceBody) -> Result<Self, String> {
        body.state
            .parse()
            .map_err(|error: presence_mesh::UnknownDeviceState| error.to_string())
    }

    fn told(monitor: &AsteriskMonitor, key: &str) -> Option<Vec<Told<Self>>> {
        Some(monitor.told(key))
    }
}

impl Exposed for MessageCounts {
    const NAME: &'static str = "mailbox";
    const PLURAL: &'static str = "mailboxes";
    type Fields = MessageCounts;
    type Body = MailboxBody;

    fn space(mesh: &Mesh, _: Option<&str>) -> Result<Space<Self>, Problem> {
        Ok(mesh.mailboxes())
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

    fn told(monitor: &AsteriskMonitor, key: &str) -> Option<Vec<Told<Self>>> {
        let mailbox: MailboxName = key.parse().ok()?;
        Some(monitor.told_mailbox(&mailbox).into_iter().collect())
    }
}

impl Exposed for Presence {
    const NAME: &'static str = "presence";
    const PLURAL: &'static str = "presence";
    type Fields = Presence;
    type Body = PresenceBody;

    fn space(mesh: &Mesh, _: Option<&str>) -> Result<Space<Self>, Problem> {
        Ok(mesh.presence())
    }

    fn from_body(body: PresenceBody) -> Result<Self, String> {
        let status = body
            .status
            .parse()
            .map_err(|error: presence_mesh::UnknownPresenceStatus| error.to_string())?;
        Ok(Self::new(status)
            .with_subtype(body.subtype)
            .with_message(body.message))
    }
}

/// A custom value of a space where each node's is shown apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Apart(Value);

impl From<Apart> for CustomFields {
    fn from(value: Apart) -> Self {
        value.0.into()
    }
}

impl Exposed for Apart {
    const NAME: &'static str = SpaceId::CUSTOM_PER_ORIGIN.name();
    const PLURAL: &'static str = Self::NAME;
    const NAMESPACES: bool = true;
    type Fields = CustomFields;
    type Body = Value;

    fn space(mesh: &Mesh, namespace: Option<&str>) -> Result<Space<Self>, Problem> {
        let namespace = namespace.ok_or_else(|| Problem::bad_request("a namespace is needed"))?;
        mesh.custom_per_origin(namespace)
            .map_err(|error| Problem::bad_request(error.to_string()))
    }

    fn from_body(body: Value) -> Result<Self, String> {
        Ok(Self(body))
    }
}

/// Custom values, whatever their type.
impl Exposed for Value {
    const NAME: &'static str = "custom";
    const PLURAL: &'static str = "custom";
    const NAMESPACES: bool = true;
    type Fields = CustomFields;
    type Body = Value;

    fn space(mesh: &Mesh, namespace: Option<&str>) -> Result<Space<Self>, Problem> {
        let namespace = namespace.ok_or_else(|| Problem::bad_request("a namespace is needed"))?;
        mesh.custom(namespace)
            .map_err(|error| Problem::bad_request(error.to_string()))
    }

    fn from_body(body: Value) -> Result<Self, String> {
        Ok(body)
    }
}
