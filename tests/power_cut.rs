//! Programs that die at any moment, with all they had, and come back with what they had saved.

mod support {
    pub mod process;
    pub mod state_file;
}

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
use serde_json::{Value, json};
use support::process::{Node, PATIENCE, World, request, text, wait_for};
use support::state_file::saved_keys;

const ALICE: &str = "/api/v1/presence/alice";
const SALES: &str = "/api/v1/custom/queues/sales";
const LOAD: &str = "/api/v1/custom-per-origin/load/now";
const LIGHTS: &str = "/api/v1/devices/Custom:lights";

fn state_file(world: &World, name: &str) -> PathBuf {
    world.path(name).join("state.redb")
}

/// Waits until everything named is on the disk of a node.
fn await_saved(world: &World, name: &str, keys: &[&str]) {
    let file = state_file(world, name);
    wait_for(&format!("save of {name}"), PATIENCE, || {
        let saved = saved_keys(&file)?;
        keys.iter().all(|key| saved.contains(*key)).then_some(())
    });
}

/// Values of which the latest writer's is shown, that only others than paris write.
fn others() -> [(&'static str, &'static str, Value); 2] {
    [
        (ALICE, "status", json!("dnd")),
        (SALES, "value", json!({"waiting": 3})),
    ]
}

/// What each node says of its load, ascending.
fn loads(node: &Node) -> Vec<Value> {
    let (_, list) = node.get("/api/v1/custom-per-origin/load");
    let mut loads: Vec<Value> = list
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| item["value"]["calls"].clone())
        .collect();
    loads.sort_unstable_by_key(Value::as_u64);
    loads
}

/// The power of the whole building fails. Nothing but the disks is left, and no server that knows better.
#[test]
fn after_a_power_cut_of_the_whole_mesh_its_counts_and_values_are_back() {
    let world = World::new();
    let flags = ["--preset", "local"];
    let mut berlin = world.start("berlin", &[], &flags);
    let mut paris = world.start("paris", &[&berlin], &flags);
    let mut oslo = world.start("oslo", &[&paris], &flags);
    for node in [&berlin, &paris, &oslo] {
        node.await_peers(2);
    }
    berlin.put("/api/v1/mailboxes/100", r#"{"new":3,"old":1}"#);
    paris.put("/api/v1/mailboxes/200", r#"{"new":0,"old":7}"#);
    oslo.put(LIGHTS, r#"{"state":"INUSE"}"#);
    berlin.put("/api/v1/devices/PJSIP%2F100", r#"{"state":"BUSY"}"#);
    berlin.put(ALICE, r#"{"status":"dnd","message":"in a meeting"}"#);
    oslo.put(SALES, r#"{"waiting":3}"#);
    for (node, calls) in [(&berlin, 12), (&oslo, 30)] {
        node.put(LOAD, &json!({ "calls": calls }).to_string());
    }
    let keys = [
        "100@default",
        "200@default",
        "Custom:lights",
        "PJSIP/100",
        "alice",
        "queues/sales",
        "load/now",
    ];
    // Two nodes write the one key, and a file says of it only that somebody did.
    for node in [&berlin, &paris, &oslo] {
        wait_for("both loads", PATIENCE, || {
            (loads(node) == [json!(12), json!(30)]).then_some(())
        });
    }
    paris.put("/api/v1/mailboxes/300", r#"{"new":1,"old":0}"#);
    for name in ["berlin", "paris", "oslo"] {
        await_saved(&world, name, &keys);
        await_saved(&world, name, &["300@default"]);
    }
    let lives: Vec<Value> = [&berlin, &paris, &oslo]
        .map(|node| node.get("/api/v1/status").1["incarnation"].clone())
        .into();
    for node in [&mut berlin, &mut paris, &mut oslo] {
        node.kill();
    }

    // One is back before the others: what it remembers of them is shown, and not as if they were there.
    let paris = world.start("paris", &[], &flags);
    let (_, own) = paris.get("/api/v1/mailboxes/200");
    assert_eq!(
        (&own["old"], &own["freshness"]),
        (&json!(7), &json!("live")),
        "{own}"
    );
    let (_, counts) = paris.get("/api/v1/mailboxes/100");
    assert_eq!(
        (&counts["new"], &counts["freshness"]),
        (&json!(3), &json!("stale")),
        "{counts}"
    );
    let (_, lights) = paris.get(LIGHTS);
    assert_eq!(
        (&lights["state"], &lights["freshness"]),
        (&json!("INUSE"), &json!("stale")),
        "{lights}"
    );
    for (path, field, value) in others() {
        let (_, shown) = paris.get(path);
        assert_eq!(
            (&shown[field], &shown["freshness"]),
            (&value, &json!("stale")),
            "{shown}"
        );
    }
    assert_eq!(loads(&paris), [json!(12), json!(30)]);
    let (_, lamp) = paris.get("/api/v1/devices/PJSIP%2F100");
    assert!(
        ["stale", "gone"].contains(&lamp["freshness"].as_str().expect("text")),
        "{lamp}"
    );
    paris.await_field("/api/v1/devices/PJSIP%2F100", "freshness", "gone", PATIENCE);
    assert_eq!(
        paris.get("/api/v1/devices/PJSIP%2F100").1["state"],
        "UNAVAILABLE"
    );

    let berlin = world.start("berlin", &[&paris], &flags);
    let oslo = world.start("oslo", &[&paris], &flags);
    for (node, life) in [&berlin, &paris, &oslo].into_iter().zip(lives) {
        let number = |life: &Value| life.as_str().and_then(|text| text.parse::<u64>().ok());
        let new = node.get("/api/v1/status").1["incarnation"].clone();
        assert!(number(&new) > number(&life), "{new} after {life}");
        node.await_field("/api/v1/mailboxes/100", "freshness", "live", PATIENCE);
        node.await_field("/api/v1/mailboxes/200", "freshness", "live", PATIENCE);
        node.await_field(LIGHTS, "freshness", "live", PATIENCE);
        assert_eq!(node.get("/api/v1/mailboxes/100").1["new"], 3);
        assert_eq!(node.get("/api/v1/mailboxes/200").1["old"], 7);
        assert_eq!(node.get(LIGHTS).1["state"], "INUSE");
        node.await_field("/api/v1/devices/PJSIP%2F100", "state", "BUSY", PATIENCE);
        for (path, field, value) in others() {
            node.await_field(path, "freshness", "live", PATIENCE);
            assert_eq!(node.get(path).1[field], value, "{path}");
        }
        assert_eq!(node.get(ALICE).1["message"], "in a meeting");
        wait_for("both loads, live", PATIENCE, || {
            let (_, said) = node.get(LOAD);
            let said = said["contributions"].as_array()?;
            let live = said.iter().filter(|one| one["freshness"] == "live").count();
            (live == 2 && loads(node) == [json!(12), json!(30)]).then_some(())
        });
    }
}

/// The numbers of the mailboxes that a node was given.
fn numbers<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<u64> {
    let numbers = names
        .into_iter()
        .filter_map(|name| name.strip_suffix("@default"));
    numbers
        .map(|number| number.parse().expect("a number"))
        .collect()
}

#[test]
fn killed_at_any_moment_a_node_has_what_it_saved_and_no_holes_in_it() {
    const ROUNDS: u64 = 8;
    let world = World::new();
    let file = state_file(&world, "berlin");
    let seed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock")
        .as_nanos();
    let mut next = 0;
    for round in 0..ROUNDS {
        let mut node = world.start("berlin", &[], &["--preset", "local"]);
        let (_, listed) = node.get("/api/v1/mailboxes");
        let names = listed.as_array().expect("a list").iter();
        let there = numbers(names.filter_map(|box_| box_["key"].as_str()));
        let count = there.len() as u64;
        assert_eq!(
            there,
            (0..count).collect(),
            "each save is a moment that was"
        );
        assert!(count >= next, "{count} are there, {next} were saved");

        // Somebody writes as fast as it goes; the end comes at any moment.
        let http = node.http;
        let writer = thread::spawn(move || {
            for number in count.. {
                let path = format!("/api/v1/mailboxes/{number}");
                let put = || request(http, "PUT", &path, &[], r#"{"new":1,"old":0}"#);
                if !std::panic::catch_unwind(put).is_ok_and(|(status, _)| status == 204) {
                    break;
                }
            }
        });
        wait_for("a save", PATIENCE, || {
            let saved = numbers(saved_keys(&file)?.iter().map(String::as_str));
            next = saved.len() as u64;
            (next > count).then_some(())
        });
        let moment = (seed.wrapping_mul(2 * u128::from(round) + 3) >> 7) % 600;
        thread::sleep(Duration::from_millis(u64::try_from(moment).expect("small")));
        node.kill();
        writer.join().expect("it ends with the node");
        assert!(!node.log().contains("moved it aside"), "{}", node.log());
    }
}

#[test]
fn a_node_whose_disk_takes_nothing_goes_on_says_so_once_and_saves_later() {
    let world = World::new();
    let plain = world.command("berlin", &["--preset", "local"]);
    let mut command = Command::new("sh");
    // A process that writes beyond its limit is ended by a signal, unless it is ignored.
    command.args(["-c", r#"trap "" XFSZ; exec "$0" "$@""#]);
    command.arg(plain.get_program()).args(plain.get_args());
    command.env("NO_COLOR", "1");
    let node = Node::spawn("berlin", command, &world.path("berlin.log"));
    node.put("/api/v1/mailboxes/100", r#"{"new":1,"old":0}"#);
    await_saved(&world, "berlin", &["100@default"]);

    let maximum = getrlimit(Resource::Fsize).maximum;
    let limit = |bytes: Option<u64>| {
        let current = bytes.or(maximum);
        let rlimit = Rlimit { current, maximum };
        prlimit(Some(node.process()), Resource::Fsize, rlimit).expect("a child of ours");
    };
    limit(Some(16 * 1024));
    let complaint = "the state cannot be saved";
    wait_for("complaint", PATIENCE, || {
        node.put(
            "/api/v1/mailboxes/200",
            &format!(r#"{{"new":{},"old":0}}"#, node.log().len()),
        );
        node.log().contains(complaint).then_some(())
    });
    let warning = wait_for("warning of a node that is ready", PATIENCE, || {
        let (status, ready) = node.get("/readyz");
        let warning = ready["warnings"][0].as_str()?;
        (status == 200).then(|| warning.to_owned())
    });
    assert!(warning.starts_with("the state cannot be saved: "));
    let saving = node.get("/api/v1/status").1["saving"].clone();
    assert!(saving["failures"].as_u64() >= Some(1), "{saving}");
    assert!(
        saving["problem"].is_string() && saving["saves"].as_u64() >= Some(1),
        "{saving}"
    );
    let told = node.ask(&["status"]);
    assert!(text(&told.stdout).contains("cannot be saved"), "{told:?}");
    // It is tried again, and fails again; users do not notice.
    for number in 300..320 {
        node.put(
            &format!("/api/v1/mailboxes/{number}"),
            r#"{"new":2,"old":0}"#,
        );
        assert_eq!(node.get(&format!("/api/v1/mailboxes/{number}")).1["new"], 2);
    }
    limit(None);
    await_saved(
        &world,
        "berlin",
        &["100@default", "200@default", "300@default", "319@default"],
    );
    assert_eq!(node.log().matches(complaint).count(), 1, "{}", node.log());
    wait_for("good news", PATIENCE, || {
        node.log()
            .contains("the state is saved again")
            .then_some(())
    });
    wait_for("no warning", PATIENCE, || {
        let (_, status) = node.get("/api/v1/status");
        let over = status["saving"]["problem"].is_null();
        (over && node.get("/readyz").1["warnings"] == json!([])).then_some(())
    });
}
