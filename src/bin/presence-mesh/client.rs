//! The commands that ask a running node.

mod connection;
mod events;
mod invite;
mod read;
mod watch;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use crate::api::PREFIX;
use crate::cli::{ClearArgs, SetArgs, SetWhat, SpaceName};
use crate::exit;
pub use connection::{Connection, StreamEvent};

pub use events::events;
pub use invite::invite;
pub use read::{custom, devices, explain, mailboxes, peers, ping, presence, status};
pub use watch::watch;

/// What RFC 3986 lets stand as it is.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// `set`: this node's contribution.
pub fn set(args: &SetArgs) -> anyhow::Result<()> {
    let (target, path, body) = match &args.what {
        SetWhat::Device { key, state, target } => (
            target,
            key_path(SpaceName::Device, None, key),
            json!({ "state": state.as_str() }),
        ),
        SetWhat::Mailbox {
            mailbox,
            new,
            old,
            urgent_new,
            urgent_old,
            target,
        } => {
            let body = json!({ "new": new, "old": old, "urgent_new": urgent_new, "urgent_old": urgent_old });
            (target, key_path(SpaceName::Mailbox, None, mailbox), body)
        }
        SetWhat::Presence {
            id,
            status,
            subtype,
            message,
            target,
        } => {
            let body = json!({ "status": status.as_str(), "subtype": subtype, "message": message });
            (target, key_path(SpaceName::Presence, None, id), body)
        }
        SetWhat::Custom {
            namespace,
            key,
            value,
            target,
        } => (
            target,
            key_path(SpaceName::Custom, Some(namespace), key),
            json_of(value)?,
        ),
        SetWhat::CustomPerOrigin {
            namespace,
            key,
            value,
            target,
        } => (
            target,
            key_path(SpaceName::CustomPerOrigin, Some(namespace), key),
            json_of(value)?,
        ),
    };
    Connection::new(&target.address).put(&path, &body.to_string())
}

fn json_of(text: &str) -> anyhow::Result<serde_json::Value> {
    serde_json::from_str(text).map_err(|error| exit::usage(format!("{text:?} is no JSON: {error}")))
}

/// `clear`: this node's contribution withdrawn.
pub fn clear(args: &ClearArgs) -> anyhow::Result<()> {
    let (namespace, key) = args.key.parts()?;
    let path = key_path(args.key.space, namespace, key);
    Connection::new(&args.target.address).delete(&path)
}

/// Where a key is read and written.
fn key_path(space: SpaceName, namespace: Option<&str>, key: &str) -> String {
    let plural = match space {
        SpaceName::Device => "devices",
        SpaceName::Mailbox => "mailboxes",
        SpaceName::Presence => "presence",
        SpaceName::Custom => "custom",
        SpaceName::CustomPerOrigin => "custom-per-origin",
    };
    format!("{PREFIX}/{plural}/{}", names_path(namespace, key))
}

/// A key within its space, as paths name it.
fn names_path(namespace: Option<&str>, key: &str) -> String {
    match namespace {
        Some(namespace) => format!("{}/{}", escape(namespace), escape(key)),
        None => escape(key),
    }
}

pub fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_travel_whole() {
        assert_eq!(
            key_path(SpaceName::Device, None, "PJSIP/100"),
            "/api/v1/devices/PJSIP%2F100"
        );
        assert_eq!(
            key_path(SpaceName::Mailbox, None, "100@default"),
            "/api/v1/mailboxes/100%40default"
        );
        assert_eq!(
            key_path(SpaceName::Custom, Some("a b"), "c/d"),
            "/api/v1/custom/a%20b/c%2Fd"
        );
        assert_eq!(escape("a b%é?#"), "a%20b%25%C3%A9%3F%23");
    }
}
