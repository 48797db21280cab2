//! A server that shows one lamp to the others and follows theirs.

use futures::StreamExt as _;
use presence_mesh::{DeviceState, Mesh, Watch};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mesh = Mesh::builder("acme") // meshes with other names never mix
        .node("berlin") // shown to people
        .key_file("mesh.key")? // the secret that all of them share
        .listen("0.0.0.0:4747")?
        .join(["paris.example.net:4747"])? // any one live node is enough
        .start()
        .await?;
    let lamp = mesh.devices().track("PJSIP/100", DeviceState::Ringing)?; // withdrawn when dropped
    lamp.set(DeviceState::InUse)?; // local and instant: never waits for the network
    let stop = Box::pin(tokio::signal::ctrl_c());
    let mut lamps = mesh.devices().watch("PJSIP/*")?.take_until(stop); // snapshot, then changes
    while let Some(item) = lamps.next().await {
        match item {
            Watch::Snapshot(all) => println!("{} lamps", all.len()),
            Watch::Changed(change) => println!(
                "{} is now {:?}",
                change.key,
                change.new.map(|lamp| lamp.value)
            ),
            Watch::Resync => println!("fell behind; a fresh snapshot follows"),
            _ => {} // later versions may tell more
        }
    }
    mesh.leave().await; // the others see "left", not "lost"
    Ok(())
}
