//! Shows state of a type of your own: any type that serde can write and read, shared as device states are.
//!
//! Two nodes on this machine keep the waiting lines of a call centre. Where several write one line, the latest
//! writer decides; what each node says of itself is kept apart.
//!
//! ```sh
//! cargo run --example custom_state
//! ```

use std::error::Error;

use presence_mesh::{Mesh, MeshBuilder, MeshKey, Preset, Watch};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Line {
    waiting: u32,
    announcement: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Load {
    calls: u32,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let berlin = node("berlin").listen("127.0.0.1:0")?.start().await?;
    let paris = node("paris").join(berlin.addresses())?.start().await?;

    // One value for all: both write it, the latest write is shown on both.
    let lines = berlin.custom::<Line>("lines")?;
    lines.set("sales", line(3, None))?;
    let theirs = paris.custom::<Line>("lines")?;
    see(&paris, |seen| seen.waiting == 3).await?;
    theirs.set("sales", line(4, Some("ten minutes")))?;
    see(&berlin, |seen| seen.announcement.is_some()).await?;
    let sales = lines.get("sales").ok_or("it was just seen")?;
    println!(
        "sales: {} waiting, says whoever wrote last",
        sales.value.waiting
    );

    // Each node's own: both write `calls`, both are shown.
    let loads = berlin.custom_per_origin::<Load>("load")?;
    loads.set("now", Load { calls: 12 })?;
    let other = paris.custom_per_origin::<Load>("load")?;
    other.set("now", Load { calls: 30 })?;
    let mut changes = loads.watch("*")?;
    while loads.contributions("now").len() < 2 {
        changes.next().await.ok_or("berlin has left")?;
    }
    for said in loads.contributions("now") {
        println!("{}: {} calls", said.node, said.value.calls);
    }

    // A value that does not fit is refused, and nothing is changed.
    let long = line(0, Some(&"x".repeat(5_000)));
    if let Err(error) = lines.set("sales", long) {
        println!("refused: {error}");
    }
    paris.leave().await;
    berlin.leave().await;
    Ok(())
}

/// Waits until `node` shows a line called `sales` that is so.
async fn see(node: &Mesh, is_so: impl Fn(&Line) -> bool) -> Result<(), Box<dyn Error>> {
    let mut changes = node.custom::<Line>("lines")?.watch("sales")?;
    while let Some(item) = changes.next().await {
        let seen = match item {
            Watch::Snapshot(all) => all.into_iter().next(),
            Watch::Changed(change) => change.new,
            _ => None,
        };
        if seen.is_some_and(|shown| is_so(&shown.value)) {
            return Ok(());
        }
    }
    Err("the node has left".into())
}

fn line(waiting: u32, announcement: Option<&str>) -> Line {
    Line {
        waiting,
        announcement: announcement.map(str::to_owned),
    }
}

fn node(name: &str) -> MeshBuilder {
    Mesh::builder("example")
        .node(name)
        .key(MeshKey::from_bytes([7; 32])) // yours comes from a file: `key_file`
        .preset(Preset::Local)
        .mdns(false)
}
