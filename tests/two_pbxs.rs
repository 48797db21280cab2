//! The main job, as it is run: two programs beside two Asterisks (scripted as recorded), a third program
//! without one, and everything that can die does.
#![cfg(feature = "daemon")]

#[path = "support/asterisk.rs"]
mod asterisk;
#[path = "support/process.rs"]
mod process;

use std::net::UdpSocket;

use asterisk::Pbx;
use presence_mesh::DeviceState::{InUse, Invalid};
use process::{Node, PATIENCE, World};

/// A program, its PBX, and the flags to start it again.
struct Site {
    node: Node,
    pbx: Pbx,
    flags: Vec<String>,
}

impl Site {
    async fn new(world: &World, name: &str, eid: &str, join: &[&Node]) -> Self {
        let pbx = Pbx::new(name, eid).await;
        let free = UdpSocket::bind("127.0.0.1:0")
            .expect("a port")
            .local_addr()
            .expect("it is bound");
        let flags = [
            "--preset",
            "local",
            "--asterisk-listen",
            &free.to_string(),
            "--asterisk-server",
            &pbx.uri(),
        ];
        let flags: Vec<String> = flags.map(str::to_owned).into();
        let node = start(world, name, join, &flags);
        pbx.publish_to(free);
        pbx.boot();
        node.await_field("/readyz", "ok", true, PATIENCE);
        Self { node, pbx, flags }
    }
}

fn start(world: &World, name: &str, join: &[&Node], flags: &[String]) -> Node {
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    world.start(name, join, &flags)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_servers_lamps_and_counts_are_right_on_the_other_whoever_dies() {
    let world = World::new();
    let oslo = world.start("oslo", &[], &["--preset", "local"]);
    let mut berlin = Site::new(&world, "berlin", "02:00:00:00:00:0a", &[&oslo]).await;
    let mut paris = Site::new(&world, "paris", "02:00:00:00:00:0b", &[&oslo]).await;

    berlin.pbx.device("PJSIP/100", "INUSE");
    berlin.pbx.mailbox("100@default", 2, 1);
    paris
        .pbx
        .until("the lamp of berlin is lit in paris", |pbx| {
            pbx.lamp("PJSIP/100") == InUse
        })
        .await;
    paris
        .pbx
        .until("the messages of berlin show in paris", |pbx| {
            pbx.counts("100@default") == Some((2, 1))
        })
        .await;
    oslo.await_field("/api/v1/devices/PJSIP%2F100", "state", "INUSE", PATIENCE);

    // Why it is lit, and what each PBX was told of it: its own lamp is none of our business.
    let explained = |site: &Site| {
        let (status, body) = site.node.get("/api/v1/explain/device/PJSIP%2F100");
        assert_eq!(status, 200, "{body}");
        body["pbx"].clone()
    };
    process::wait_for("paris' PBX is known to have taken it", PATIENCE, || {
        let told = &explained(&paris)[0];
        let of_berlin = told["eid"] == "02:00:00:00:00:0a" && told["state"] == "INUSE";
        (of_berlin && told["pending"] == false).then_some(())
    });
    assert_eq!(explained(&berlin), serde_json::json!([]));
    let text = paris.node.ask(&["explain", "mailbox", "100"]);
    let text = process::text(&text.stdout);
    assert!(text.contains("the PBX was told"), "{text}");

    // Berlin's node dies.
    berlin.node.kill();
    oslo.await_field(
        "/api/v1/devices/PJSIP%2F100",
        "freshness",
        "stale",
        PATIENCE,
    );
    paris
        .pbx
        .until("the lamp is dark in paris", |pbx| {
            pbx.lamp("PJSIP/100") == Invalid
        })
        .await;
    oslo.await_field("/api/v1/devices/PJSIP%2F100", "freshness", "gone", PATIENCE);
    oslo.await_field(
        "/api/v1/mailboxes/100@default",
        "freshness",
        "stale",
        PATIENCE,
    );
    assert_eq!(
        paris.pbx.counts("100@default"),
        Some((2, 1)),
        "counts are kept"
    );

    // While it is away its phone hangs up; it comes back over a PBX that never stopped.
    berlin.pbx.device("PJSIP/100", "NOT_INUSE");
    berlin.pbx.device("PJSIP/101", "INUSE");
    berlin.node = start(&world, "berlin", &[&oslo], &berlin.flags);
    paris
        .pbx
        .until("the new call is lit in paris", |pbx| {
            pbx.lamp("PJSIP/101") == InUse
        })
        .await;
    oslo.await_field(
        "/api/v1/devices/PJSIP%2F100",
        "state",
        "NOT_INUSE",
        PATIENCE,
    );
    oslo.await_field("/api/v1/devices/PJSIP%2F101", "freshness", "live", PATIENCE);

    // Berlin's PBX dies under a living node, and boots again.
    berlin.pbx.kill();
    oslo.await_field(
        "/api/v1/devices/PJSIP%2F101",
        "freshness",
        "stale",
        PATIENCE,
    );
    paris
        .pbx
        .until("the lamp is dark in paris", |pbx| {
            pbx.lamp("PJSIP/101") == Invalid
        })
        .await;
    berlin.pbx.boot();
    berlin.pbx.device("PJSIP/101", "INUSE");
    paris
        .pbx
        .until("the lamp is lit again", |pbx| {
            pbx.lamp("PJSIP/101") == InUse
        })
        .await;

    // Every device was told in order, on one stream.
    assert_eq!(paris.pbx.violations(), [""; 0]);

    // Paris' node dies, and berlin leaves while it is away: nobody could tell paris' PBX.
    paris.node.kill();
    assert_eq!(berlin.node.terminate(), Some(0));
    paris.node = start(&world, "paris", &[&oslo], &paris.flags);
    paris
        .pbx
        .until("nothing of berlin is left in paris", |pbx| {
            pbx.remote_lamps() == 0
        })
        .await;

    assert_eq!(paris.node.terminate(), Some(0));
}
