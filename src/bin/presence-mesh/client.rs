//! The commands that ask a running node.

mod connection;
mod events;
mod read;
mod watch;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use crate::api::PREFIX;
use crate::cli::{ClearArgs, SetArgs, SetWhat, SpaceName};
use connection::Connection;

pub use events::events;
pub use read::{devices, explain, mailboxes, peers, status};
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
            key_path(SpaceName::Device, key),
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
            (target, key_path(SpaceName::Mailbox, mailbox), body)
        }
    };
    Connection::new(&target.address).put(&path, &body.to_string())
}

/// `clear`: this node's contribution withdrawn.
pub fn clear(args: &ClearArgs) -> anyhow::Result<()> {
    Connection::new(&args.target.address).delete(&key_path(args.space, &args.key))
}

/// Where a key is read and written.
fn key_path(space: SpaceName, key: &str) -> String {
    let plural = match space {
        SpaceName::Device => "devices",
        SpaceName::Mailbox => "mailboxes",
    };
    format!("{PREFIX}/{plural}/{}", escape(key))
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_travel_whole() {
        assert_eq!(
            key_path(SpaceName::Device, "PJSIP/100"),
            "/api/v1/devices/PJSIP%2F100"
        );
        assert_eq!(
            key_path(SpaceName::Mailbox, "100@default"),
            "/api/v1/mailboxes/100%40default"
        );
        assert_eq!(escape("a b%é?#"), "a%20b%25%C3%A9%3F%23");
    }
}
