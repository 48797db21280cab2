//! How long a fresh node takes to have 100,000 entries of another process, and the memory each costs it.
//!
//! `cargo bench --bench join` starts itself a second time as the joiner, so that its memory is its own.

use std::env;
use std::process::Command;
use std::time::{Duration, Instant};

use presence_mesh::{DeviceState, Mesh, MeshBuilder, MeshKey, Preset};

const ENTRIES: usize = 100_000;
const JOIN: &str = "PRESENCE_MESH_BENCH_JOIN";

fn node(name: &str) -> MeshBuilder {
    let node = Mesh::builder("bench")
        .node(name)
        .key(MeshKey::from_bytes([7; 32]))
        .preset(Preset::Lan)
        .mdns(false);
    node.listen("127.0.0.1:0").expect("an address")
}

#[tokio::main]
async fn main() {
    if let Ok(address) = env::var(JOIN) {
        join(&address).await;
        return;
    }
    let mesh = node("holder").start().await.expect("the node starts");
    let all = (0..ENTRIES).map(|n| (format!("PJSIP/{n:06}"), DeviceState::NotInUse));
    mesh.devices().set_many(all).expect("a write");
    let address = mesh.addresses()[0].clone();
    let joiner = tokio::task::spawn_blocking(move || {
        let program = env::current_exe().expect("this program has a path");
        Command::new(program)
            .env(JOIN, address)
            .status()
            .expect("the joiner starts")
    });
    assert!(joiner.await.expect("nothing panics there").success());
}

async fn join(address: &str) {
    let start = Instant::now();
    let mesh = node("joiner")
        .join([address])
        .expect("an address")
        .start()
        .await
        .expect("the node starts");
    let before = resident_bytes();
    let mut look = tokio::time::interval(Duration::from_millis(1));
    while mesh.devices().count() < ENTRIES {
        look.tick().await;
    }
    let elapsed = start.elapsed();
    // What the transfer itself needed is given back or used again; what stays is the entries.
    let grown = resident_bytes().saturating_sub(before);
    println!("a fresh node has {ENTRIES} entries after {elapsed:?}");
    println!(
        "resident memory grew by {} bytes an entry (the transfer's buffers included)",
        grown / ENTRIES as u64
    );
    mesh.leave().await;
}

fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    // 4 KiB: every Linux this runs on.
    pages.unwrap_or_default() * 4096
}
