//! Shows what a watch is given: first all there is, then each change with the value before and after, and
//! freshness, which changes without anybody writing.
//!
//! Two nodes on this machine: one follows, the other rings, answers, falls silent, and is gone.
//!
//! ```sh
//! cargo run --example watch
//! ```

use std::error::Error;

use presence_mesh::{DeviceState, Freshness, Mesh, MeshBuilder, MeshKey, Preset, Shown, Watch};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let berlin = node("berlin").listen("127.0.0.1:0")?.start().await?;
    let paris = node("paris").join(berlin.addresses())?.start().await?;
    paris.ready().await;
    let mut lamps = berlin.devices().watch("PJSIP/*")?;
    let mut paris = Some(paris);
    loop {
        let Some(item) = lamps.next().await else {
            return Ok(());
        };
        match item {
            // The lamps there are when the watch begins: none yet.
            Watch::Snapshot(all) => {
                println!("snapshot of {} lamps", all.len());
                write(&paris, DeviceState::Ringing)?;
            }
            Watch::Changed(change) => {
                println!(
                    "{}: {} -> {}",
                    change.key,
                    text(change.old.as_ref()),
                    text(change.new.as_ref())
                );
                match change.new {
                    Some(lamp) if lamp.value == DeviceState::Ringing => {
                        write(&paris, DeviceState::InUse)?;
                    }
                    // Dropped without a goodbye, as in a power cut: nobody writes what follows.
                    Some(lamp) if lamp.freshness == Freshness::Live => paris = None,
                    Some(lamp) if lamp.freshness == Freshness::Gone => break,
                    _ => {}
                }
            }
            // Only after 4,096 changes that were not taken. A snapshot follows.
            Watch::Resync => println!("fell behind"),
            _ => {}
        }
    }
    berlin.leave().await;
    println!("the watch has ended: {:?}", lamps.next().await.is_none());
    Ok(())
}

fn write(node: &Option<Mesh>, state: DeviceState) -> Result<(), Box<dyn Error>> {
    let node = node.as_ref().ok_or("paris is gone")?;
    Ok(node.devices().set("PJSIP/100", state)?)
}

fn text(lamp: Option<&Shown<DeviceState>>) -> String {
    lamp.map_or("nothing".into(), |lamp| {
        format!("{} ({})", lamp.value, lamp.freshness)
    })
}

fn node(name: &str) -> MeshBuilder {
    Mesh::builder("example")
        .node(name)
        .key(MeshKey::from_bytes([7; 32])) // yours comes from a file: `key_file`
        .preset(Preset::Local) // silence counts after 0.6 s
        .mdns(false)
}
