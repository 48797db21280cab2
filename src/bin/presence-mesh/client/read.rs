//! The commands that read once.

use anyhow::Context as _;
use presence_mesh::MessageCounts;
use serde::de::DeserializeOwned;

use super::connection::Connection;
use super::escape;
use crate::api::{DeviceFields, Explained, NodeStatus, Object, PREFIX, PeerObject};
use crate::cli::{ExplainArgs, ListArgs, ReadArgs, SpaceName};
use crate::{exit, output, table};

/// `devices`
pub fn devices(args: &ListArgs) -> anyhow::Result<()> {
    list::<DeviceFields>(args, "devices", table::devices)
}

/// `mailboxes`
pub fn mailboxes(args: &ListArgs) -> anyhow::Result<()> {
    list::<MessageCounts>(args, "mailboxes", table::mailboxes)
}

/// `explain`
pub fn explain(args: &ExplainArgs) -> anyhow::Result<()> {
    let body = get(
        &args.read,
        &format!("/explain/{}/{}", args.space.as_str(), escape(&args.key)),
    )?;
    if args.read.json {
        return output::raw(&body);
    }
    match args.space {
        SpaceName::Device => {
            output::line(table::explain(&parse::<Explained<DeviceFields>>(&body)?))
        }
        SpaceName::Mailbox => {
            output::line(table::explain(&parse::<Explained<MessageCounts>>(&body)?))
        }
    }
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
    table: impl Fn(&[Object<V>]) -> String,
) -> anyhow::Result<()> {
    let pattern = args.pattern.as_deref().unwrap_or("*");
    let body = get(
        &args.read,
        &format!("/{plural}?pattern={}", escape(pattern)),
    )?;
    if args.read.json {
        return output::raw(&body);
    }
    let all: Vec<Object<V>> = parse(&body)?;
    if all.is_empty() {
        eprintln!("No {plural} match {pattern}.");
        return Ok(());
    }
    output::line(table(&all))
}

fn get(args: &ReadArgs, path: &str) -> anyhow::Result<String> {
    Ok(Connection::new(&args.target.address)
        .get(&format!("{PREFIX}{path}"))?
        .body)
}

fn parse<T: DeserializeOwned>(body: &str) -> anyhow::Result<T> {
    serde_json::from_str(body).context("the node's answer is none of this version")
}
