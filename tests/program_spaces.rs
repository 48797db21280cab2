//! Presence, custom values, names of people and pings, asked of real nodes by HTTP and by the commands.

#[path = "support/process.rs"]
mod process;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use process::{Node, PATIENCE, Stream, World, program, request, text, wait_for};
use serde_json::{Value, json};

fn ask(node: &Node, arguments: &[&str]) -> (Option<i32>, String) {
    let output = node.ask(arguments);
    let printed = text(&output.stdout) + &text(&output.stderr);
    (output.status.code(), printed)
}

fn ok(node: &Node, arguments: &[&str]) -> String {
    let (code, printed) = ask(node, arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {printed}");
    printed
}

#[test]
fn presence_and_custom_values_are_seen_on_the_other_node() {
    let world = World::new();
    let berlin = world.start("berlin", &[], &["--preset", "local"]);
    let paris = world.start("paris", &[&berlin], &["--preset", "local"]);
    paris.await_peers(1);
    ok(
        &berlin,
        &[
            "set",
            "presence",
            "alice",
            "DND",
            "--message",
            "in a \u{1b}[31mmeeting",
        ],
    );
    ok(
        &berlin,
        &["set", "custom", "queues", "sales/1", r#"{"waiting":3}"#],
    );
    paris.await_field("/api/v1/presence/alice", "status", "dnd", PATIENCE);
    let waiting = json!({"waiting": 3});
    paris.await_field(
        "/api/v1/custom/queues/sales%2F1",
        "value",
        waiting,
        PATIENCE,
    );

    let (_, alice) = paris.get("/api/v1/presence/alice");
    assert_eq!(
        (&alice["subtype"], &alice["contributions"][0]["status"]),
        (&json!(""), &json!("dnd"))
    );
    let (_, list) = paris.get("/api/v1/custom/queues?pattern=sales*");
    assert_eq!(list[0]["key"], "sales/1");
    assert_eq!(list.as_array().map(Vec::len), Some(1));
    let (_, status) = paris.get("/api/v1/status");
    let entries = json!({"device": 0, "mailbox": 0, "presence": 1, "custom": 1});
    assert_eq!(status["entries"], entries);

    let table = ok(&paris, &["presence", "a*"]);
    assert!(table.contains("Do not disturb (dnd)"), "{table}");
    assert!(!table.contains('\u{1b}'), "another's words move no cursor");
    assert!(ok(&paris, &["custom", "queues"]).contains(r#"{"waiting":3}"#));
    assert_eq!(ok(&paris, &["custom", "others", "--json"]).trim(), "[]");
    let explained = ok(&paris, &["explain", "presence", "alice"]);
    assert!(explained.contains("berlin"), "{explained}");
    let explained = ok(
        &paris,
        &["explain", "custom", "queues", "sales/1", "--json"],
    );
    let explained: Value = serde_json::from_str(&explained).expect("JSON");
    assert_eq!(
        (&explained["space"], &explained["key"], &explained["rule"]),
        (&json!("custom"), &json!("sales/1"), &json!("single"))
    );

    let stream = paris.stream("space=custom&namespace=queues&pattern=sales*");
    let (name, snapshot) = stream.next(PATIENCE);
    assert_eq!(
        (name.as_str(), &snapshot[0]["key"]),
        ("snapshot", &json!("sales/1"))
    );
    berlin.put("/api/v1/custom/others/sales", "1");
    ok(&berlin, &["clear", "custom", "queues", "sales/1"]);
    let (_, change) = stream.next(PATIENCE);
    assert_eq!(
        (&change["key"], &change["old"]["value"], &change["new"]),
        (&json!("sales/1"), &json!({"waiting": 3}), &Value::Null)
    );
    ok(&berlin, &["clear", "presence", "alice"]);
    wait_for("the presence is withdrawn", PATIENCE, || {
        (paris.get("/api/v1/presence/alice").0 == 404).then_some(())
    });
    assert_eq!(ask(&paris, &["explain", "presence", "alice"]).0, Some(4));
}

#[test]
fn any_json_is_a_custom_value_and_nothing_else_is() {
    let world = World::new();
    let node = world.start("berlin", &[], &[]);
    for body in [
        "null",
        "true",
        "-1.5",
        "\"é\"",
        "[1,[2]]",
        r#"{"b":1,"a":{}}"#,
    ] {
        node.put("/api/v1/custom/any/key", body);
        let wanted: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(node.get("/api/v1/custom/any/key").1["value"], wanted);
    }
    let long = format!("\"{}\"", "x".repeat(4_095));
    let namespace = format!("/api/v1/custom/{}/key", "n".repeat(65));
    let refused = [
        ("/api/v1/custom/any/key", "{", 400),
        ("/api/v1/custom/any/key", "", 400),
        ("/api/v1/custom/any/key", long.as_str(), 400),
        ("/api/v1/custom/any/", "1", 400),
        ("/api/v1/custom/a%2Fb/key", "1", 400),
        (namespace.as_str(), "1", 400),
        ("/api/v1/presence/alice", r#"{"status":"busy"}"#, 400),
        ("/api/v1/presence/alice", r#"{"message":"x"}"#, 400),
        ("/api/v1/presence/alice", r#"{"status":"dnd","x":1}"#, 400),
    ];
    let before = node.digest();
    for (path, body, wanted) in refused {
        let (status, answer) = request(node.http, "PUT", path, &[], body);
        assert_eq!(status, wanted, "{path} {body}: {answer}");
    }
    assert_eq!(node.digest(), before);
    assert_eq!(node.get("/api/v1/stream?space=custom").0, 400);
    assert_eq!(node.get("/api/v1/stream?space=nothing").0, 400);
    let usage: [&[&str]; 5] = [
        &["set", "custom", "any", "key", "{"],
        &["set", "presence", "alice", "busy"],
        &["clear", "custom", "any"],
        &["explain", "device", "a", "b"],
        &["watch", "--space", "custom"],
    ];
    for arguments in usage {
        assert_eq!(ask(&node, arguments).0, Some(2), "{arguments:?}");
    }
}

#[test]
fn a_ping_tells_who_answers_and_who_does_not() {
    let world = World::new();
    let berlin = world.start("berlin", &[], &["--preset", "local"]);
    let mut paris = world.start("paris", &[&berlin], &["--preset", "local"]);
    berlin.await_peers(1);
    let pong = wait_for("paris is known by name", PATIENCE, || {
        let (_, pongs) = berlin.get("/api/v1/ping");
        (pongs[0]["node"] == "paris").then(|| pongs[0].clone())
    });
    assert!(pong["rtt_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{pong}");
    assert!(ok(&berlin, &["ping"]).contains(" ms"));
    paris.kill();
    wait_for("paris is silent", PATIENCE, || {
        let (_, pongs) = berlin.get("/api/v1/ping");
        pongs[0]["rtt_ms"].is_null().then_some(())
    });
    let printed = ok(&berlin, &["ping", "--json"]);
    let pongs: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(
        (&pongs[0]["node"], &pongs[0]["rtt_ms"]),
        (&json!("paris"), &Value::Null)
    );
    assert!(ok(&berlin, &["ping"]).contains("silent"));
}

/// What each node says for itself: never combined, though they write one key; and not what `custom` holds.
#[test]
fn each_nodes_own_value_is_shown_apart_by_http_and_the_commands() {
    let world = World::new();
    let berlin = world.start("berlin", &[], &["--preset", "local"]);
    let paris = world.start("paris", &[&berlin], &["--preset", "local"]);
    paris.await_peers(1);
    let stream = paris.stream("space=custom-per-origin&namespace=load");
    ok(
        &berlin,
        &["set", "custom-per-origin", "load", "now", r#"{"calls":12}"#],
    );
    paris.put("/api/v1/custom-per-origin/load/now", r#"{"calls":30}"#);
    let replica = |node: &Node| node.get("/api/v1/status").1["replica"].clone();
    let (berlins, pariss) = (replica(&berlin), replica(&paris));
    let of = |list: &Value, replica: &Value| {
        let mut items = list.as_array().expect("a list").iter();
        let found = items.find(|item| item["origin"] == *replica)?;
        Some(found["value"]["calls"].clone())
    };
    wait_for("both loads", PATIENCE, || {
        let (status, list) = paris.get("/api/v1/custom-per-origin/load?pattern=n*");
        assert_eq!(status, 200);
        let both = (of(&list, &berlins)?, of(&list, &pariss)?);
        assert_eq!(both, (json!(12), json!(30)), "{list}");
        Some(())
    });
    let (status, now) = paris.get("/api/v1/custom-per-origin/load/now");
    assert_eq!(
        (status, &now["value"]),
        (200, &json!({"calls": 30})),
        "its own first"
    );
    assert_eq!(
        now["contributions"].as_array().map(Vec::len),
        Some(2),
        "{now}"
    );
    let (_, why) = paris.get("/api/v1/explain/custom-per-origin/load/now");
    assert_eq!(why["rule"], "per-origin");
    assert_eq!(
        paris.get("/api/v1/custom/load").1,
        json!([]),
        "another namespace"
    );
    let told = stream.await_change("now", PATIENCE, |new| new["value"]["calls"] == 12);
    assert_eq!(
        (&told["space"], &told["origin"]),
        (&json!("custom-per-origin"), &berlins)
    );

    let table = ok(&paris, &["custom", "--per-origin", "load"]);
    assert!(
        table.contains("12") && table.contains("30") && table.contains("berlin"),
        "{table}"
    );
    let explained = ok(&paris, &["explain", "custom-per-origin", "load", "now"]);
    assert!(
        explained.contains("each server's own is shown"),
        "{explained}"
    );
    ok(&paris, &["clear", "custom-per-origin", "load", "now"]);
    let (_, now) = paris.get("/api/v1/custom-per-origin/load/now");
    assert_eq!(
        now["value"],
        json!({"calls": 12}),
        "the other's is still there"
    );
    let gone = stream.await_change("now", PATIENCE, Value::is_null);
    assert_eq!(gone["origin"], pariss);
    let (code, _) = ask(&paris, &["watch", "--space", "custom-per-origin"]);
    assert_eq!(code, Some(2), "a namespace is needed");
}

/// Each open stream holds a watch or a subscription of the node.
#[test]
fn a_stream_beyond_the_limit_is_refused_with_the_reason() {
    let world = World::new();
    let mut command = world.command("berlin", &[]);
    command.env("PRESENCE_MESH_LIMITS_WATCHES", "1");
    command.env("PRESENCE_MESH_LIMITS_SUBSCRIPTIONS", "1");
    let node = Node::spawn("berlin", command, &world.path("berlin.log"));
    let refused = |path: &str, detail: &str| {
        let (status, problem) = node.get(path);
        assert_eq!((status, &problem["status"]), (503, &json!(503)), "{path}");
        assert_eq!(problem["title"], "Service Unavailable");
        assert_eq!(problem["detail"], detail, "{path}");
    };
    let lamps = node.stream("space=device");
    let events = Stream::open(node.http, "/api/v1/events?kind=call.*");
    let watches = "this node already has 1 watches, its limit";
    refused("/api/v1/stream?space=mailbox", watches);
    refused("/api/v1/panel", watches);
    let subscriptions = "this node already has 1 subscriptions, its limit";
    refused("/api/v1/events", subscriptions);
    node.put("/api/v1/mailboxes/100", r#"{"new":1,"old":0}"#);

    drop((lamps, events));
    // The node notices in a moment that its readers have gone.
    wait_for("room again", PATIENCE, || {
        let http = node.http;
        let open = move || Stream::open(http, "/api/v1/stream?space=mailbox");
        let stream = std::panic::catch_unwind(open).ok()?;
        (stream.next(PATIENCE).0 == "snapshot").then_some(())
    });
}

/// The directory is the node's; the commands ask it, and machines get what they always got.
#[test]
fn who_has_a_name_is_shown_by_it() {
    let world = World::new();
    let people = world.path("people.csv");
    fs::write(&people, "key,name,extension\nPJSIP/100,Anna Berger,100\n").expect("it is writable");
    let mut command = world.command("berlin", &[]);
    command.env("PRESENCE_MESH_PEOPLE_FILE", &people);
    let berlin = Node::spawn("berlin", command, &world.path("berlin.log"));
    berlin.put("/api/v1/devices/PJSIP%2F100", r#"{"state":"INUSE"}"#);
    berlin.put("/api/v1/devices/PJSIP%2F200", r#"{"state":"INUSE"}"#);
    berlin.put("/api/v1/mailboxes/100", r#"{"new":3,"old":1}"#);

    let said = |arguments: &[&str]| text(&berlin.ask(arguments).stdout);
    let table = said(&["devices"]);
    let names: Vec<bool> = table
        .lines()
        .map(|line| line.contains("Anna Berger"))
        .collect();
    assert_eq!(names, [false, true, false], "{table}");
    assert!(said(&["mailboxes"]).contains("Anna Berger"));
    let why = said(&["explain", "device", "PJSIP/100"]);
    assert!(
        why.starts_with("device PJSIP/100, Anna Berger: [#] On a call"),
        "{why}"
    );
    assert!(
        !said(&["devices", "PJSIP/200"]).contains("NAME"),
        "nobody there has one"
    );
    assert!(
        !said(&["devices", "--json"]).contains("Anna"),
        "the contract is kept"
    );

    let mut watch = program();
    watch.args(["watch", "--http", &berlin.http.to_string()]);
    let mut watch = watch
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut lines = BufReader::new(watch.stdout.take().expect("it is piped")).lines();
    let line = lines.next().expect("a snapshot").expect("UTF-8");
    assert_eq!(line, "PJSIP/100, Anna Berger  - -> [#] On a call  (berlin)");
    watch.kill().expect("a child of ours");
    watch.wait().expect("a child of ours");
}

#[test]
fn a_directory_that_cannot_be_read_is_refused_with_its_line() {
    let world = World::new();
    let people = world.path("people.csv");
    fs::write(&people, "key,name\nPJSIP/100,Berger, Anna\n").expect("it is writable");
    let mut command = world.command("berlin", &[]);
    command.env("PRESENCE_MESH_PEOPLE_FILE", &people);
    let output = command.output().expect("the program starts");
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    let line =
        "people.csv:2: 3 fields, but 2 columns: put what has a comma in it in quotation marks";
    assert!(stderr.contains(line), "{stderr}");
}
