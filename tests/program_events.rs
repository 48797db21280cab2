//! Events as users of the program meet them: by command line and HTTP, between real processes.

#[allow(dead_code)]
mod support {
    pub mod process;
}

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use serde_json::{Value, json};
use support::process::{Node, PATIENCE, Stream, World, program, request, text, wait_for};

const EVENTS: &str = "/api/v1/events";

fn pair(world: &World, flags: &[&str]) -> (Node, Node) {
    let berlin = world.start("berlin", &[], flags);
    let paris = world.start("paris", &[&berlin], flags);
    berlin.await_peers(1);
    paris.await_peers(1);
    // A connection comes before the record that says what the other is called.
    for (node, other) in [(&berlin, "paris"), (&paris, "berlin")] {
        wait_for("the other's name", PATIENCE, || {
            (node.get("/api/v1/peers").1[0]["node"] == other).then_some(())
        });
    }
    (berlin, paris)
}

fn post(node: &Node, body: &Value) -> u16 {
    request(node.http, "POST", EVENTS, &[], &body.to_string()).0
}

/// The next event; what was published before both were ready may be reported missing.
fn event(stream: &Stream) -> Value {
    loop {
        let (name, data) = stream.next(PATIENCE);
        match name.as_str() {
            "event" => return data,
            "gap" => assert!(data["missed"].is_u64(), "{data}"),
            other => panic!("{other}: {data}"),
        }
    }
}

#[test]
fn what_is_posted_to_one_node_streams_from_the_other() {
    let world = World::new();
    let (berlin, paris) = pair(&world, &["--remember", "60s"]);
    let query = "kind=call.*&where=slot%20%3E%3D%20700&where=caller^=PJSIP/";
    let stream = Stream::open(paris.http, &format!("{EVENTS}?{query}"));
    let fields = json!({
        "slot": 701, "caller": "PJSIP/100", "urgent": true, "note": null,
        "raw": {"bytes": "AP8="}, "bits": {"flags": 5}, "delta": -7,
    });
    for (kind, slot) in [("mwi", 701), ("call.parked", 699), ("call.parked", 701)] {
        let mut fields = fields.clone();
        fields["slot"] = slot.into();
        let body = json!({"kind": kind, "fields": fields, "ttl_ms": 30_000});
        assert_eq!(post(&berlin, &body), 202);
    }
    let event = event(&stream);
    assert_eq!(
        (&event["kind"], &event["seq"]),
        (&json!("call.parked"), &json!(3))
    );
    assert_eq!(
        event["fields"], fields,
        "fields are plain JSON, whatever their type"
    );
    assert_eq!(
        (&event["node"], &event["replica"]),
        (&json!("berlin"), &json!(berlin.replica))
    );
    let at = event["at"].as_str().expect("a time");
    assert!(at.starts_with("20") && at.ends_with('Z'), "{at}");

    let late = Stream::open(paris.http, &format!("{EVENTS}?remembered=true"));
    assert_eq!(
        self::event(&late)["seq"],
        1,
        "what is remembered comes first"
    );
    assert_eq!(self::event(&late)["seq"], 2);
}

#[test]
fn bad_events_and_filters_are_refused() {
    let world = World::new();
    let node = world.start("berlin", &[], &[]);
    let long = "x".repeat(5_000);
    for body in [
        json!({}),
        json!({"kind": ""}),
        json!({"kind": "a b"}),
        json!({"kind": "a", "fields": {"n": 1.5}}),
        json!({"kind": "a", "fields": {"n": [1]}}),
        json!({"kind": "a", "fields": {"n": {"bytes": "?"}}}),
        json!({"kind": "a", "fields": {"n": long}}),
        json!({"kind": "a", "fields": {"a=b": 1}}),
        json!({"kind": "a", "ttl_ms": 0}),
        json!({"kind": "a", "ttl": 5}),
        json!(7),
    ] {
        assert_eq!(post(&node, &body), 400, "{body}");
    }
    assert_eq!(post(&node, &json!({"kind": "a"})), 202);
    for query in [
        "where=slot",
        "where=slot%20%3E%207",
        "kinds=a",
        "kind=a&kind=b",
    ] {
        let (status, body) = request(node.http, "GET", &format!("{EVENTS}?{query}"), &[], "");
        assert_eq!(status, 400, "{query}: {body}");
    }
    let foreign = [("Origin", "http://elsewhere.example")];
    let (status, _) = request(node.http, "POST", EVENTS, &foreign, r#"{"kind":"a"}"#);
    assert_eq!(status, 403);
}

fn subscriber(node: &Node, arguments: &[&str]) -> Child {
    let http = node.http.to_string();
    let mut command = program();
    command
        .args(["events", "subscribe", "--http", &http])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command.spawn().expect("the program starts")
}

#[test]
fn the_commands_publish_and_subscribe() {
    let world = World::new();
    let (mut berlin, paris) = pair(&world, &["--remember", "1m"]);
    let filter = [
        "--kind",
        "call.*",
        "--where",
        "slot>=700",
        "--where",
        "caller != PJSIP/7",
    ];
    let arguments = [&filter[..], &["--remembered", "--json"]].concat();
    let mut subscribed = subscriber(&berlin, &arguments);
    for (caller, slot) in [("PJSIP/100", 3), ("PJSIP/7", 702), ("PJSIP/100", 703)] {
        let published = paris.ask(&[
            "events",
            "publish",
            "call.parked",
            "--ttl",
            "30s",
            "--field",
            &format!("slot={slot}"),
            "--field",
            &format!("caller={caller}"),
        ]);
        assert!(published.status.success(), "{}", text(&published.stderr));
        assert!(published.stdout.is_empty());
    }
    let lines = BufReader::new(subscribed.stdout.take().expect("it is piped")).lines();
    let mut events = lines.filter_map(|line| {
        let line: Value = serde_json::from_str(&line.expect("UTF-8")).expect("JSON");
        line["gap"].is_null().then_some(line)
    });
    let event = events.next().expect("a line");
    assert_eq!(event["fields"], json!({"caller": "PJSIP/100", "slot": 703}));
    assert_eq!(
        (&event["node"], &event["kind"]),
        (&json!("paris"), &json!("call.parked"))
    );
    berlin.terminate();
    let code = wait_for("the end of the subscriber", PATIENCE, || {
        subscribed.try_wait().expect("a child of ours")
    });
    assert_eq!(code.code(), Some(3));
}

#[test]
fn wrong_usage_of_events_has_its_exit_code() {
    let world = World::new();
    let node = world.start("berlin", &[], &[]);
    for arguments in [
        &["events", "publish"][..],
        &["events", "publish", "a b"],
        &["events", "publish", "a", "--field", "n"],
        &["events", "publish", "a", "--field", "n^=1"],
        &["events", "publish", "a", "--ttl", "0s"],
        &["events", "subscribe", "--where", "slot"],
    ] {
        let output = node.ask(arguments);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
    }
}
