//! Shows failover: a session's state is replicated, its server is killed, and another continues from the last
//! state.
//!
//! Start it two or three times, kill the one that serves (Ctrl-C, or `kill -9`), start it again:
//!
//! ```sh
//! cargo run --features examples --example failover -- berlin
//! cargo run --features examples --example failover -- paris ADDRESS-THAT-BERLIN-PRINTED
//! ```
//!
//! The rule by which one serves alone among those that can see each other:
//!
//! 1. The session's state says who serves. It is a custom value, so the latest writer's is shown to all.
//! 2. Whoever it names serves for as long as it is not gone.
//! 3. When it is gone, the lowest replica id among those that are not takes over, and writes its own name.
//! 4. Whoever serves goes on from the furthest state that any node is known to have written.
//!
//! During a cut each side comes to have one server, by 3. When it heals, both sides see the later of the two
//! names, by 1: that server stays and the other stands by. Nothing that either counted goes back, by 4.

use std::error::Error;
use std::time::Duration;

use presence_mesh::{Mesh, MeshKey, Preset, ReplicaId, Standing};
use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval};

/// A conference, a queue, a call: whatever must go on when its server does not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    server: ReplicaId,
    /// How far it has come. What a real session needs to be continued stands here.
    pub steps: u64,
}

const NAME: &str = "conference-7";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mesh = Mesh::builder("failover")
        .node(arguments.next().ok_or("the node's name is needed")?)
        .key(MeshKey::from_bytes([7; 32])) // yours comes from a file: `key_file`
        .listen("127.0.0.1:0")?
        .join(arguments)?
        .preset(Preset::Local) // gone after 2 s; across a LAN 10 s is wiser
        .mdns(false)
        .start()
        .await?;
    println!("listening {}", mesh.addresses().join(","));
    tokio::select! {
        ended = take_part(&mesh, |line| println!("{line}")) => ended?,
        _ = tokio::signal::ctrl_c() => mesh.leave().await,
    }
    Ok(())
}

/// Serves the session when it falls to this node, and stands by when it does not, for ever.
pub async fn take_part(mesh: &Mesh, mut say: impl FnMut(String)) -> Result<(), Box<dyn Error>> {
    let sessions = mesh.custom::<Session>("sessions")?;
    mesh.ready().await; // whether somebody serves is known only then
    let (mut served, mut seen, mut met) = (None, 0, 0);
    let mut step = interval(Duration::from_millis(50));
    step.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        step.tick().await;
        let connected = mesh.peers().iter().filter(|peer| peer.connected).count();
        if connected != met {
            say(format!("is connected to {connected}"));
            met = connected;
        }
        let named = sessions.get(NAME).map(|shown| shown.value.server);
        let server = named
            .filter(|server| alive(mesh).contains(server))
            .or_else(|| alive(mesh).into_iter().min());
        let serves = server == Some(mesh.id());
        let written = sessions.contributions(NAME);
        let furthest = written.iter().map(|said| said.value.steps).max();
        let furthest = furthest.unwrap_or(0);
        if served != Some(serves) {
            let role = if serves { "serves" } else { "stands by" };
            say(format!("{role} from step {furthest}"));
            served = Some(serves);
        }
        if serves {
            let steps = furthest + 1; // a real server does its work here
            say(format!("makes step {steps}"));
            let server = mesh.id();
            sessions.set(NAME, Session { server, steps })?;
        } else if furthest > seen {
            say(format!("sees step {furthest}"));
        }
        seen = furthest;
    }
}

/// Those that are not known to be gone, this node among them.
fn alive(mesh: &Mesh) -> Vec<ReplicaId> {
    let peers = mesh.peers().into_iter();
    let alive = peers.filter(|peer| peer.standing != Standing::Gone);
    alive.map(|peer| peer.replica).chain([mesh.id()]).collect()
}
