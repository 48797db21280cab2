//! The commands that read once.

use anyhow::Context as _;
use presence_mesh::{MessageCounts, Presence};
use serde::de::DeserializeOwned;

use super::connection::Connection;
use super::{escape, names_path};
use crate::api::{
    CustomFields, DeviceFields, Explained, NodeStatus, Object, PREFIX, PeerObject, PongObject,
};
use crate::cli::{CustomArgs, ExplainArgs, ListArgs, ReadArgs, SpaceName};
use crate::people::Directory;
use crate::table::Cells;
use crate::{exit, output, table};

/// `devices`
pub fn devices(args: &ListArgs) -> anyhow::Result<()> {
    list::<DeviceFields>(args, "devices", table::devices)
}

/// `mailboxes`
pub fn mailboxes(args: &ListArgs) -> anyhow::Result<()> {
    list::<MessageCounts>(args, "mailboxes", table::mailboxes)
}

/// `presence`
pub fn presence(args: &ListArgs) -> anyhow::Result<()> {
    list::<Presence>(args, "presence", table::presence)
}

/// `custom`
pub fn custom(args: &CustomArgs) -> anyhow::Result<()> {
    let space = if args.per_origin {
        SpaceName::CustomPerOrigin
    } else {
        SpaceName::Custom
    };
    let path = format!("{}/{}", space.as_str(), escape(&args.namespace));
    list::<CustomFields>(&args.list, &path, table::custom)
}

/// `explain`
pub fn explain(args: &ExplainArgs) -> anyhow::Result<()> {
    let (namespace, key) = args.key.parts()?;
    let (space, names) = (args.key.space.as_str(), names_path(namespace, key));
    let body = get(&args.read, &format!("/explain/{space}/{names}"))?;
    if args.read.json {
        return output::raw(&body);
    }
    match args.key.space {
        SpaceName::Device => explained::<DeviceFields>(args, &body),
        SpaceName::Mailbox => explained::<MessageCounts>(args, &body),
        SpaceName::Presence => explained::<Presence>(args, &body),
        SpaceName::Custom | SpaceName::CustomPerOrigin => explained::<CustomFields>(args, &body),
    }
}

fn explained<V: DeserializeOwned + Cells>(args: &ExplainArgs, body: &str) -> anyhow::Result<()> {
    let people = Connection::new(&args.read.target.address).people();
    output::line(table::explain(&parse::<Explained<V>>(body)?, &people))
}

/// `ping`: exit code 0 though some are silent; that is what was asked.
pub fn ping(args: &ReadArgs) -> anyhow::Result<()> {
    let body = get(args, "/ping")?;
    if args.json {
        return output::raw(&body);
    }
    let all: Vec<PongObject> = parse(&body)?;
    if all.is_empty() {
        eprintln!("This node knows no other node.");
        return Ok(());
    }
    output::line(table::ping(&all))
}

/// `status`: exit code 3 when the node is not ready.
pub fn status(args: &ReadArgs) -> anyhow::Result<()> {
    let body = get(args, "/status")?;
    let status: NodeStatus = parse(&body)?;
    if args.json {
        output::raw(&body)?
    } else {
        output::line(table::status(&status))?
    }
    if status.ready {
        Ok(())
    } else {
        Err(exit::not_ready("the node is not ready yet"))
    }
}

/// `peers`
pub fn peers(args: &ReadArgs) -> anyhow::Result<()> {
    let body = get(args, "/peers")?;
    if args.json {
        return output::raw(&body);
    }
    let peers: Vec<PeerObject> = parse(&body)?;
    if peers.is_empty() {
        eprintln!("This node knows no other node.");
        return Ok(());
    }
    output::line(table::peers(&peers))
}

fn list<V: DeserializeOwned>(
    args: &ListArgs,
    plural: &str,
    table: impl Fn(&[Object<V>], &Directory) -> String,
) -> anyhow::Result<()> {
    let pattern = args.pattern.as_deref().unwrap_or("*");
    let path = format!("/{plural}?pattern={}", escape(pattern));
    let body = get(&args.read, &path)?;
    if args.read.json {
        return output::raw(&body);
    }
    let all: Vec<Object<V>> = parse(&body)?;
    if all.is_empty() {
        eprintln!("No {plural} match {pattern}.");
        return Ok(());
    }
    let people = Connection::new(&args.read.target.address).people();
    output::line(table(&all, &people))
}

fn get(args: &ReadArgs, path: &str) -> anyhow::Result<String> {
    Ok(Connection::new(&args.target.address)
        .get(&format!("{PREFIX}{path}"))?
        .body)
}

fn parse<T: DeserializeOwned>(body: &str) -> anyhow::Result<T> {
    serde_json::from_str(body).context("the node's answer is none of this version")
}
