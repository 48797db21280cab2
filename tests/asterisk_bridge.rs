//! The bridge end to end: real nodes, real UDP sockets, and scripted Asterisks that speak as recorded.

#![cfg(feature = "asterisk")]

#[path = "support/asterisk.rs"]
mod asterisk;

use std::path::Path;
use std::time::{Duration, Instant};

use asterisk::{DEADLINE, Pbx};
use presence_mesh::bridge::asterisk::{
    Asterisk, AsteriskConfig, AsteriskError, AsteriskTiming, Eid, LedgerError, Retransmit,
    withdraw_from_ledger,
};
use presence_mesh::{DeviceState, Freshness, Mesh, MeshKey, MessageCounts, Preset};

const A: &str = "02:00:00:00:00:0a";
const B: &str = "02:00:00:00:00:0b";

/// Everything much faster than in life.
fn timing() -> AsteriskTiming {
    let mut timing = AsteriskTiming::default();
    timing.probe = Duration::from_millis(100);
    timing.stale_after = Duration::from_millis(500);
    timing.gone_after = Duration::from_millis(1500);
    timing.dump_quiet = Duration::from_millis(200);
    timing.judge_after = Duration::from_millis(2500);
    timing.shutdown = Duration::from_secs(3);
    timing.retransmit = Retransmit {
        first: Duration::from_millis(100),
        longest: Duration::from_millis(400),
        give_up: Duration::from_secs(2),
    };
    timing.backoff = Duration::from_millis(200);
    timing
}

/// One site: a node, its bridge, its Asterisk.
struct Site {
    mesh: Mesh,
    bridge: Asterisk,
    pbx: Pbx,
    folder: tempfile::TempDir,
}

fn config(pbx: &Pbx, folder: &Path) -> AsteriskConfig {
    let any = "127.0.0.1:0".parse().expect("valid");
    let mut config = AsteriskConfig::new(any, pbx.uri(), folder.join("ledger"));
    config.timing = timing();
    config
}

/// A key and a name that no other test shares.
struct World {
    key: MeshKey,
    name: String,
    first: std::sync::Mutex<Vec<String>>,
}

impl World {
    fn new(name: &str) -> Self {
        Self {
            key: MeshKey::from_bytes([9; 32]),
            name: name.into(),
            first: Default::default(),
        }
    }

    async fn node(&self, name: &str) -> Mesh {
        let join = self.first.lock().expect("no holder panics").clone();
        let mesh = Mesh::builder(&self.name)
            .node(name)
            .key(self.key.clone())
            .preset(Preset::Local)
            .mdns(false)
            .listen("127.0.0.1:0")
            .expect("valid")
            .join(join)
            .expect("valid")
            .start()
            .await
            .expect("starts");
        self.first
            .lock()
            .expect("no holder panics")
            .extend(mesh.addresses().iter().cloned());
        mesh
    }

    /// A site whose Asterisk runs already.
    async fn site(&self, node: &str, eid: &str) -> Site {
        let pbx = Pbx::new(node, eid).await;
        self.site_with(node, pbx, true).await
    }

    async fn site_with(&self, node: &str, pbx: Pbx, boot: bool) -> Site {
        let mesh = self.node(node).await;
        let folder = tempfile::tempdir().expect("a folder");
        let bridge = Asterisk::start(mesh.clone(), config(&pbx, folder.path()))
            .await
            .expect("starts");
        pbx.publish_to(bridge.listen());
        if boot {
            pbx.boot();
            within("first dump", bridge.ready()).await;
        }
        Site {
            mesh,
            bridge,
            pbx,
            folder,
        }
    }
}

/// Starts a bridge on the ledger of one that was just dropped, as soon as that has let go of the file.
async fn restart(mesh: &Mesh, pbx: &Pbx, folder: &Path) -> Asterisk {
    let bridge = within("the ledger is free", async {
        loop {
            match Asterisk::start(mesh.clone(), config(pbx, folder)).await {
                Err(AsteriskError::Ledger(LedgerError::InUse { .. })) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                started => return started.expect("starts"),
            }
        }
    });
    let bridge = bridge.await;
    pbx.publish_to(bridge.listen());
    bridge
}

async fn within<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

/// Waits for something that nothing announces.
async fn until(what: &str, mut so: impl FnMut() -> bool) {
    within(what, async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

fn synthetic(mesh: &Mesh) -> String {
    Eid::synthetic(mesh.id()).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_on_one_server_lights_the_lamp_on_the_other() {
    let world = World::new("call");
    let (berlin, paris) = (world.site("berlin", A).await, world.site("paris", B).await);
    for (state, shown) in [
        ("NOT_INUSE", DeviceState::NotInUse),
        ("RINGING", DeviceState::Ringing),
        ("INUSE", DeviceState::InUse),
        ("ONHOLD", DeviceState::OnHold),
        ("NOT_INUSE", DeviceState::NotInUse),
    ] {
        berlin.pbx.device("PJSIP/100", state);
        paris
            .pbx
            .until(state, |pbx| pbx.lamp("PJSIP/100") == shown)
            .await;
    }
    assert_eq!(
        paris.pbx.remote("PJSIP/100").keys().collect::<Vec<_>>(),
        [A],
        "under the EID of its own server"
    );
    // Both ways at once: the same phone registered on both servers.
    paris.pbx.device("PJSIP/100", "INUSE");
    berlin.pbx.device("PJSIP/100", "RINGING");
    berlin
        .pbx
        .until("both", |pbx| {
            pbx.lamp("PJSIP/100") == DeviceState::RingInUse
        })
        .await;
    paris
        .pbx
        .until("both", |pbx| {
            pbx.lamp("PJSIP/100") == DeviceState::RingInUse
        })
        .await;
    for site in [&berlin, &paris] {
        assert_eq!(site.pbx.violations(), [""; 0]);
        assert_eq!(site.bridge.status().rejected.values().sum::<u64>(), 0);
    }
    let told = paris.bridge.told("PJSIP/100");
    assert_eq!(
        told.iter()
            .map(|told| (told.eid.to_string(), told.value))
            .collect::<Vec<_>>(),
        [(A.to_owned(), DeviceState::Ringing)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_derives_itself_and_our_own_endpoint_stay_at_home() {
    let world = World::new("derived");
    let (berlin, paris) = (world.site("berlin", A).await, world.site("paris", B).await);
    berlin.pbx.mailbox("100@default", 2, 1);
    berlin.pbx.passing("Local/x@y", "INUSE");
    berlin.pbx.passing("PJSIP/passing", "INUSE");
    berlin.pbx.device("PJSIP/100", "INUSE");
    paris
        .pbx
        .until("the phone", |pbx| {
            pbx.lamp("PJSIP/100") == DeviceState::InUse
        })
        .await;
    paris
        .pbx
        .until("the count", |pbx| pbx.counts("100@default") == Some((2, 1)))
        .await;
    let devices: Vec<String> = berlin
        .mesh
        .devices()
        .list(&"*".into())
        .into_iter()
        .map(|shown| shown.key.to_string())
        .collect();
    assert_eq!(devices, ["PJSIP/100"]);
    assert!(
        paris
            .pbx
            .injected()
            .iter()
            .all(|said| said.starts_with("PJSIP/100 ")),
        "{:?}",
        paris.pbx.injected()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_without_an_asterisk_comes_under_a_synthetic_eid() {
    let world = World::new("synthetic");
    let site = world.site("berlin", A).await;
    let other = world.node("laptop").await;
    other
        .devices()
        .set("PJSIP/500", DeviceState::Busy)
        .expect("set");
    site.mesh
        .devices()
        .set("PJSIP/501", DeviceState::InUse)
        .expect("set");
    site.pbx.until("both", |pbx| pbx.remote_lamps() == 2).await;
    assert_eq!(
        site.pbx
            .remote("PJSIP/500")
            .keys()
            .cloned()
            .collect::<Vec<_>>(),
        [synthetic(&other)]
    );
    assert_eq!(
        site.pbx
            .remote("PJSIP/501")
            .keys()
            .cloned()
            .collect::<Vec<_>>(),
        [synthetic(&site.mesh)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lamps_of_a_node_that_dies_go_dark_and_return_with_it() {
    let world = World::new("death");
    let (berlin, paris) = (world.site("berlin", A).await, world.site("paris", B).await);
    berlin.pbx.device("PJSIP/100", "INUSE");
    paris
        .pbx
        .until("lit", |pbx| pbx.lamp("PJSIP/100") == DeviceState::InUse)
        .await;
    let Site {
        mesh,
        bridge,
        pbx,
        folder,
    } = berlin;
    drop((bridge, mesh));
    paris
        .pbx
        .until("dark", |pbx| pbx.lamp("PJSIP/100") == DeviceState::Invalid)
        .await;
    let mesh = world.node("berlin").await;
    let bridge = restart(&mesh, &pbx, folder.path()).await;
    paris
        .pbx
        .until("lit again", |pbx| {
            pbx.lamp("PJSIP/100") == DeviceState::InUse
        })
        .await;
    within("dump", bridge.ready()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_pbx_shows_stale_then_its_devices_go_and_its_counts_stay() {
    let world = World::new("silent");
    let (berlin, paris) = (world.site("berlin", A).await, world.site("paris", B).await);
    berlin.pbx.device("PJSIP/100", "INUSE");
    berlin.pbx.mailbox("100@default", 3, 0);
    paris
        .pbx
        .until("lit", |pbx| pbx.lamp("PJSIP/100") == DeviceState::InUse)
        .await;
    paris
        .pbx
        .until("count", |pbx| pbx.counts("100@default") == Some((3, 0)))
        .await;
    berlin.pbx.freeze();
    let lamps = paris.mesh.devices();
    until("stale", || {
        lamps
            .get("PJSIP/100")
            .is_some_and(|shown| shown.freshness == Freshness::Stale)
    })
    .await;
    assert_eq!(
        paris.pbx.lamp("PJSIP/100"),
        DeviceState::InUse,
        "a stale lamp is left as it is"
    );
    until("withdrawn", || lamps.get("PJSIP/100").is_none()).await;
    paris
        .pbx
        .until("dark", |pbx| pbx.lamp("PJSIP/100") == DeviceState::Invalid)
        .await;
    let counts = paris
        .mesh
        .mailboxes()
        .get("100@default")
        .expect("counts stay");
    assert_eq!(
        (counts.value, counts.freshness),
        (MessageCounts::new(3, 0), Freshness::Stale)
    );
    assert_eq!(paris.pbx.counts("100@default"), Some((3, 0)));
    berlin.pbx.thaw();
    paris
        .pbx
        .until("lit again", |pbx| {
            pbx.lamp("PJSIP/100") == DeviceState::InUse
        })
        .await;
    until("live", || {
        lamps
            .get("PJSIP/100")
            .is_some_and(|shown| shown.freshness == Freshness::Live)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_pbx_is_told_everything_again_and_its_dead_devices_are_cleared() {
    let world = World::new("restart");
    let (berlin, paris) = (world.site("berlin", A).await, world.site("paris", B).await);
    berlin.pbx.device("PJSIP/100", "INUSE");
    berlin.pbx.device("PJSIP/101", "NOT_INUSE");
    berlin.pbx.mailbox("100@default", 1, 0);
    paris.pbx.device("PJSIP/200", "NOT_INUSE");
    paris.pbx.device("PJSIP/201", "INUSE");
    paris
        .pbx
        .until("lit", |pbx| {
            pbx.remote_lamps() == 2 && pbx.counts("100@default").is_some()
        })
        .await;
    berlin.pbx.until("lit", |pbx| pbx.remote_lamps() == 2).await;
    // Quicker than its silence could be noticed.
    paris.pbx.kill();
    paris.pbx.forget_device("PJSIP/201");
    paris.pbx.boot_slowly();
    assert_eq!(paris.pbx.remote_lamps(), 0);
    paris
        .pbx
        .until("it is being asked while it boots", |pbx| {
            pbx.received("ignored") > 5
        })
        .await;
    paris.pbx.booted();
    paris
        .pbx
        .until("lit again", |pbx| {
            pbx.remote_lamps() == 2 && pbx.counts("100@default") == Some((1, 0))
        })
        .await;
    berlin
        .pbx
        .until("its dead device is dark", |pbx| {
            pbx.lamp("PJSIP/201") == DeviceState::Invalid
        })
        .await;
    assert_eq!(berlin.pbx.lamp("PJSIP/200"), DeviceState::NotInUse);
    assert_eq!(paris.pbx.violations(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_is_answered_with_everything_once() {
    let world = World::new("refresh");
    let (berlin, paris) = (world.site("berlin", A).await, world.site("paris", B).await);
    for n in 0..20 {
        berlin.pbx.device(&format!("PJSIP/1{n:02}"), "NOT_INUSE");
    }
    paris.pbx.until("lit", |pbx| pbx.remote_lamps() == 20).await;
    let before = paris.pbx.injected().len();
    paris.pbx.refresh();
    paris
        .pbx
        .until("said again", |pbx| pbx.injected().len() >= before + 20)
        .await;
    berlin.pbx.device("PJSIP/100", "INUSE");
    paris
        .pbx
        .until("after it", |pbx| {
            pbx.lamp("PJSIP/100") == DeviceState::InUse
        })
        .await;
    assert_eq!(
        paris.pbx.injected().len(),
        before + 21,
        "each device once, and the change"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn forgotten_publications_mean_that_it_forgot_and_all_is_said_again_once() {
    let world = World::new("etags");
    let (berlin, paris) = (world.site("berlin", A).await, world.site("paris", B).await);
    for n in 0..20 {
        berlin.pbx.device(&format!("PJSIP/1{n:02}"), "NOT_INUSE");
    }
    paris.pbx.until("lit", |pbx| pbx.remote_lamps() == 20).await;
    let before = paris.pbx.injected().len();
    paris.pbx.forget_publications();
    berlin.pbx.device("PJSIP/100", "INUSE");
    paris
        .pbx
        .until("all again", |pbx| pbx.injected().len() >= before + 20)
        .await;
    berlin.pbx.device("PJSIP/100", "NOT_INUSE");
    paris
        .pbx
        .until("after it", |pbx| {
            pbx.lamp("PJSIP/100") == DeviceState::NotInUse
        })
        .await;
    let said = paris.pbx.injected().len() - before;
    assert!(
        (21..=22).contains(&said),
        "each once, and the two changes: {said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn digest_authentication_is_answered_also_when_the_nonce_is_old() {
    let world = World::new("digest");
    let other = world.node("laptop").await;
    let pbx = Pbx::new("berlin", A).await.with_password("CHANGE-ME");
    let folder = tempfile::tempdir().expect("a folder");
    let mesh = world.node("berlin").await;
    let mut config = config(&pbx, folder.path());
    config.password = Some("CHANGE-ME".into());
    let bridge = Asterisk::start(mesh, config).await.expect("starts");
    pbx.publish_to(bridge.listen());
    pbx.boot();
    within("dump", bridge.ready()).await;
    other
        .devices()
        .set("PJSIP/500", DeviceState::InUse)
        .expect("set");
    pbx.until("lit", |pbx| pbx.lamp("PJSIP/500") == DeviceState::InUse)
        .await;
    pbx.stale_nonces(true);
    other
        .devices()
        .set("PJSIP/500", DeviceState::NotInUse)
        .expect("set");
    pbx.until("dark", |pbx| pbx.lamp("PJSIP/500") == DeviceState::NotInUse)
        .await;
    assert!(pbx.received("challenged") >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_and_retried_without_a_hot_loop() {
    let world = World::new("refusal");
    let site = world.site("berlin", A).await;
    for status in [404, 403, 489, 500] {
        site.pbx.refuse(Some(status));
        let started = Instant::now();
        let device = format!("PJSIP/{status}");
        site.mesh
            .devices()
            .set(&device, DeviceState::InUse)
            .expect("set");
        site.pbx
            .until("tried again", |pbx| pbx.received(&device) >= 2)
            .await;
        // 200 ms for what meets all alike, 2 s for what concerns one body.
        assert!(
            started.elapsed() > Duration::from_millis(150),
            "a hot loop after {status}"
        );
        let refusal = site
            .bridge
            .status()
            .last_refusal
            .expect("told to the operator");
        assert!(refusal.starts_with(&status.to_string()), "{refusal}");
        site.pbx.refuse(None);
        site.pbx
            .until("told in the end", |pbx| {
                pbx.lamp(&device) == DeviceState::InUse
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_takes_everything_back() {
    let world = World::new("stop");
    let (berlin, paris) = (world.site("berlin", A).await, world.site("paris", B).await);
    berlin.pbx.device("PJSIP/100", "INUSE");
    berlin.pbx.mailbox("100@default", 3, 0);
    paris
        .pbx
        .until("lit", |pbx| {
            pbx.remote_lamps() == 1 && pbx.counts("100@default") == Some((3, 0))
        })
        .await;
    assert_eq!(within("shutdown", paris.bridge.shutdown()).await, 0);
    assert_eq!(
        (paris.pbx.lamp("PJSIP/100"), paris.pbx.counts("100@default")),
        (DeviceState::Invalid, Some((0, 0)))
    );
    let nothing = withdraw_from_ledger(&config(&paris.pbx, paris.folder.path()), DEADLINE)
        .await
        .expect("opens");
    assert_eq!(
        (nothing.withdrawn, nothing.left),
        (0, 0),
        "the ledger is empty"
    );
}

/// kill -9 of the node, and it never comes back: the ledger alone is enough.
#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_alone_takes_everything_back_after_a_crash() {
    let world = World::new("ledger");
    let (berlin, paris) = (world.site("berlin", A).await, world.site("paris", B).await);
    berlin.pbx.device("PJSIP/100", "INUSE");
    berlin.pbx.device("PJSIP/101", "RINGING");
    paris.pbx.until("lit", |pbx| pbx.remote_lamps() == 2).await;
    // The file as it lies on the disk at this moment.
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(
        paris.folder.path().join("ledger"),
        folder.path().join("ledger"),
    )
    .expect("copied");
    let in_use = withdraw_from_ledger(&config(&paris.pbx, paris.folder.path()), DEADLINE).await;
    assert!(
        in_use
            .expect_err("a running node holds it")
            .to_string()
            .contains("in use")
    );
    drop(paris.bridge);
    let done = within(
        "withdrawal",
        withdraw_from_ledger(&config(&paris.pbx, folder.path()), DEADLINE),
    )
    .await;
    let done = done.expect("opens");
    assert_eq!((done.withdrawn, done.left), (2, 0));
    assert_eq!(paris.pbx.remote_lamps(), 0);
}

/// Our restart must not blink: what an earlier life told stays, is asserted again by whom it belongs to, and
/// what nobody owns any more is taken back.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_ours_does_not_blink_and_cleans_up_what_nobody_owns() {
    let world = World::new("blink");
    let (berlin, paris) = (world.site("berlin", A).await, world.site("paris", B).await);
    berlin.pbx.device("PJSIP/100", "INUSE");
    let other = world.node("laptop").await;
    other
        .devices()
        .set("PJSIP/500", DeviceState::InUse)
        .expect("set");
    paris.pbx.until("lit", |pbx| pbx.remote_lamps() == 2).await;
    let Site {
        mesh,
        bridge,
        pbx,
        folder,
    } = paris;
    drop((bridge, mesh));
    other.leave().await;
    let before = pbx.injected().len();
    let mesh = world.node("paris").await;
    let _bridge = restart(&mesh, &pbx, folder.path()).await;
    pbx.until("the orphan is taken back", |pbx| {
        pbx.lamp("PJSIP/500") == DeviceState::Invalid
    })
    .await;
    assert_eq!(pbx.lamp("PJSIP/100"), DeviceState::InUse);
    let blinks: Vec<String> = pbx.injected().split_off(before);
    let blinks: Vec<&String> = blinks
        .iter()
        .filter(|said| said.starts_with("PJSIP/100") && !said.ends_with("INUSE"))
        .collect();
    assert!(blinks.is_empty(), "{blinks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_is_never_overridden_at_its_home_and_two_homes_keep_their_own() {
    let world = World::new("homes");
    let (berlin, paris) = (world.site("berlin", A).await, world.site("paris", B).await);
    let london = world.site("london", "02:00:00:00:00:0c").await;
    berlin.pbx.mailbox("100@default", 1, 0);
    paris
        .pbx
        .until("first writer", |pbx| {
            pbx.counts("100@default") == Some((1, 0))
        })
        .await;
    paris.pbx.mailbox("100@default", 5, 5);
    london
        .pbx
        .until("latest writer", |pbx| {
            pbx.counts("100@default") == Some((5, 5))
        })
        .await;
    berlin.pbx.mailbox("100@default", 2, 0);
    london
        .pbx
        .until("latest writer", |pbx| {
            pbx.counts("100@default") == Some((2, 0))
        })
        .await;
    assert_eq!(paris.pbx.counts("100@default"), Some((5, 5)));
    assert_eq!(berlin.pbx.counts("100@default"), Some((2, 0)));
    assert_eq!(
        berlin.pbx.injected_boxes(),
        [""; 0],
        "its home was never told"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_that_nobody_holds_any_more_is_emptied() {
    let world = World::new("empty");
    let site = world.site("berlin", A).await;
    let other = world.node("laptop").await;
    other
        .mailboxes()
        .set("300", MessageCounts::new(4, 0))
        .expect("set");
    site.pbx
        .until("told", |pbx| pbx.counts("300@default") == Some((4, 0)))
        .await;
    other.mailboxes().clear("300").expect("cleared");
    site.pbx
        .until("emptied", |pbx| pbx.counts("300@default") == Some((0, 0)))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_switch_only_the_latest_writers_state_is_told() {
    let world = World::new("switch");
    let (berlin, paris) = (world.site("berlin", A).await, world.site("paris", B).await);
    let london = world.site("london", "02:00:00:00:00:0c").await;
    berlin.pbx.device("Custom:night", "INUSE");
    london
        .pbx
        .until("on", |pbx| pbx.lamp("Custom:night") == DeviceState::InUse)
        .await;
    paris.pbx.device("Custom:night", "NOT_INUSE");
    london
        .pbx
        .until("off", |pbx| {
            pbx.lamp("Custom:night") == DeviceState::NotInUse
        })
        .await;
    let told = london.pbx.remote("Custom:night");
    assert_eq!(told.get(A).map(String::as_str), Some("INVALID"));
    assert_eq!(told.get(B).map(String::as_str), Some("NOT_INUSE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_with_one_eid_are_told_apart() {
    let world = World::new("clones");
    let (berlin, paris) = (world.site("berlin", A).await, world.site("paris", A).await);
    let london = world.site("london", "02:00:00:00:00:0c").await;
    berlin.pbx.device("PJSIP/100", "INUSE");
    paris.pbx.device("PJSIP/100", "RINGING");
    london
        .pbx
        .until("both", |pbx| {
            pbx.lamp("PJSIP/100") == DeviceState::RingInUse
        })
        .await;
    paris
        .pbx
        .until("the other", |pbx| {
            pbx.lamp("PJSIP/100") == DeviceState::RingInUse
        })
        .await;
    let live = london
        .pbx
        .remote("PJSIP/100")
        .into_iter()
        .filter(|(_, state)| state != "INVALID");
    let eids: Vec<String> = live.map(|(eid, _)| eid).collect();
    let mut expected = vec![synthetic(&berlin.mesh), synthetic(&paris.mesh)];
    expected.sort();
    assert_eq!(eids, expected);
    assert_eq!(
        (berlin.pbx.violations(), paris.pbx.violations()),
        (vec![], vec![])
    );
    until("reported", || {
        london
            .bridge
            .status()
            .shared_eids
            .values()
            .any(|nodes| nodes.len() == 2)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_new_eid_is_told_and_heard_under_it() {
    let world = World::new("neweid");
    let (berlin, paris) = (world.site("berlin", A).await, world.site("paris", B).await);
    berlin.pbx.device("PJSIP/100", "INUSE");
    paris.pbx.device("PJSIP/200", "INUSE");
    paris.pbx.until("lit", |pbx| pbx.remote_lamps() == 1).await;
    berlin.pbx.until("lit", |pbx| pbx.remote_lamps() == 1).await;
    berlin.pbx.kill();
    paris
        .pbx
        .until("dark", |pbx| pbx.lamp("PJSIP/100") == DeviceState::Invalid)
        .await;
    berlin.pbx.set_eid("02:00:00:00:00:1a");
    berlin.pbx.boot();
    paris
        .pbx
        .until("lit under the new one", |pbx| {
            pbx.remote("PJSIP/100")
                .get("02:00:00:00:00:1a")
                .is_some_and(|state| state == "INUSE")
        })
        .await;
    assert_eq!(paris.pbx.lamp("PJSIP/100"), DeviceState::InUse);
    berlin
        .pbx
        .until("told again", |pbx| pbx.remote_lamps() == 1)
        .await;
    assert_eq!(berlin.pbx.violations(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_told_to_an_unknown_pbx_and_a_second_one_is_refused() {
    let world = World::new("second");
    let pbx = Pbx::new("berlin", A).await;
    let site = world.site_with("berlin", pbx, false).await;
    site.mesh
        .devices()
        .set("PJSIP/500", DeviceState::InUse)
        .expect("set");
    // It runs, but nobody has told it where to publish to.
    site.pbx.publish_to("127.0.0.1:9".parse().expect("valid"));
    site.pbx.thaw();
    site.pbx
        .until("probed", |pbx| pbx.received("options") > 2)
        .await;
    assert_eq!(site.pbx.injected(), [""; 0]);
    site.pbx.publish_to(site.bridge.listen());
    site.pbx.boot();
    site.pbx.until("told", |pbx| pbx.remote_lamps() == 1).await;
    let second = Pbx::new("intruder", B).await;
    second.publish_to(site.bridge.listen());
    second.boot();
    second.device("PJSIP/666", "INUSE");
    second.until("refused", |pbx| pbx.is_quiet()).await;
    assert_eq!(second.answers().keys().copied().collect::<Vec<_>>(), [403]);
    assert!(site.mesh.devices().get("PJSIP/666").is_none());
    assert_eq!(
        site.bridge
            .status()
            .eid
            .map(|eid| eid.to_string())
            .as_deref(),
        Some(A)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_datagrams_change_nothing_and_harm_nothing() {
    let world = World::new("hostile");
    let site = world.site("berlin", A).await;
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let to = site.bridge.listen();
    let long = format!(
        r#"{{"type":"devicestate","device":"{}","state":"INUSE","cachable":1,"eid":"{A}"}}"#,
        "x".repeat(60_000)
    );
    let bodies = [
        "{",
        "[]",
        "null",
        "\u{0}",
        r#"{"type":"devicestate"}"#,
        &long,
        r#"{"type":"devicestate","device":"PJSIP/x","state":"FLYING","cachable":1,"eid":"02:00:00:00:00:0a"}"#,
        r#"{"type":"devicestate","device":7,"state":"INUSE","cachable":1,"eid":"02:00:00:00:00:0a"}"#,
        r#"{"type":"mailboxstate","uniqueid":"x","old":0,"new":-1,"eid":"02:00:00:00:00:0a"}"#,
    ];
    let mut expected = 0;
    for (n, body) in bodies.iter().enumerate() {
        for package in ["asterisk-devicestate", "asterisk-mwi", "presence"] {
            let text = format!(
                "PUBLISH sip:x@y SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:1;rport;branch=z9hG4bK{n}{package}\r\nFrom: <sip:a@b>;tag=1\r\n\
                 To: <sip:a@b>\r\nCall-ID: c\r\nCSeq: 1 PUBLISH\r\nEvent: {package}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            socket.send_to(text.as_bytes(), to).await.expect("sent");
            let mut buffer = [0; 65_535];
            let (length, _) = within("an answer", socket.recv_from(&mut buffer))
                .await
                .expect("received");
            let status = std::str::from_utf8(&buffer[8..11])
                .expect("a status")
                .to_owned();
            assert!(
                ["400", "413", "489"].contains(&status.as_str()),
                "{status} {length} to {body:.80}"
            );
            expected += 1;
        }
    }
    for junk in [
        &b""[..],
        b"\r\n\r\n",
        b"\xff\xff\xff\xff",
        &[0; 60_000],
        b"PUBLISH sip:x@y SIP/2.0\r\n\r\n",
        b"SIP/2.0 200 OK\r\n\r\n",
    ] {
        socket.send_to(junk, to).await.expect("sent");
    }
    let mut bits = 1u64;
    for _ in 0..500 {
        let bytes: Vec<u8> = (0..64)
            .map(|_| {
                bits = bits.wrapping_mul(6364136223846793005).wrapping_add(1);
                (bits >> 40) as u8
            })
            .collect();
        socket.send_to(&bytes, to).await.expect("sent");
    }
    site.pbx.device("PJSIP/100", "INUSE");
    until("still at work", || {
        site.mesh.devices().get("PJSIP/100").is_some()
    })
    .await;
    assert_eq!(site.mesh.devices().count(), 1);
    assert_eq!(site.mesh.mailboxes().count(), 0);
    let rejected = site.bridge.status().rejected;
    assert!(rejected.values().sum::<u64>() >= expected, "{rejected:?}");
}

/// Answers never wait for the mesh: they come as quickly when the node has long stopped.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_mesh_does_not_delay_the_answers() {
    let world = World::new("stopped");
    let site = world.site("berlin", A).await;
    site.mesh.leave().await;
    for n in 0..50 {
        site.pbx.device(&format!("PJSIP/{n}"), "INUSE");
    }
    site.pbx.until("answered", |pbx| pbx.is_quiet()).await;
    assert!(site.pbx.answers()[&200] >= 50);
    until("counted", || site.bridge.status().failed_entries > 0).await;
}
