//! The program as its users meet it: real processes, real connections on the loopback interface.

mod support {
    pub mod process;
}

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use support::process::{
    Deadline, Node, PATIENCE, World, program, request, request_in_full, run, text, wait_for,
    write_secret,
};

const DEVICE: &str = "/api/v1/devices/PJSIP%2F100";

/// Three nodes, the last of which is told of the second alone.
fn three(world: &World, flags: &[&str]) -> [Node; 3] {
    let berlin = world.start("berlin", &[], flags);
    let paris = world.start("paris", &[&berlin], flags);
    let oslo = world.start("oslo", &[&paris], flags);
    for node in [&berlin, &paris, &oslo] {
        node.await_peers(2);
    }
    [berlin, paris, oslo]
}

#[test]
fn what_is_put_on_one_node_is_seen_on_the_others() {
    let world = World::new();
    let [berlin, paris, oslo] = three(&world, &[]);
    let streams = [&paris, &oslo].map(|node| node.stream("space=device&pattern=PJSIP/*"));
    for stream in &streams {
        assert_eq!(stream.next(PATIENCE), ("snapshot".to_owned(), json!([])));
    }

    berlin.put(DEVICE, r#"{"state":"ringing"}"#);
    for stream in &streams {
        let change = stream.await_change("PJSIP/100", PATIENCE, |new| new["state"] == "RINGING");
        assert_eq!(change["space"], "device");
        assert_eq!(change["old"], Value::Null);
        assert_eq!(change["new"]["freshness"], "live");
        let contribution = &change["new"]["contributions"][0];
        assert_eq!(
            (&contribution["node"], &contribution["replica"]),
            (&json!("berlin"), &json!(berlin.replica))
        );
    }

    // Two servers report one device: Asterisk's aggregate.
    oslo.put(DEVICE, r#"{"state":"INUSE"}"#);
    for node in [&berlin, &paris, &oslo] {
        node.await_field(DEVICE, "state", "RINGINUSE", PATIENCE);
    }
    let (_, explained) = paris.get("/api/v1/explain/device/PJSIP%2F100");
    assert_eq!(explained["rule"], "aggregate", "{explained}");
    let stamps = explained["contributions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| &part["stamp"]["seq"]);
    assert!(
        stamps.clone().count() == 2 && stamps.clone().all(Value::is_u64),
        "{explained}"
    );

    berlin.delete(DEVICE);
    for stream in &streams {
        stream.await_change("PJSIP/100", PATIENCE, |new| new["state"] == "INUSE");
    }
    oslo.delete(DEVICE);
    for stream in &streams {
        stream.await_change("PJSIP/100", PATIENCE, Value::is_null);
    }
    assert_eq!(paris.get(DEVICE).0, 404);
    wait_for("agreement", PATIENCE, || {
        let digest = berlin.digest();
        (paris.digest() == digest && oslo.digest() == digest).then_some(())
    });
}

/// The promise: a lamp of a dead server never burns on, and never hides how old it is.
#[test]
fn lamps_of_a_killed_node_go_stale_then_out_and_come_back_with_it() {
    let world = World::new();
    let [mut berlin, paris, _oslo] = three(&world, &[]);
    let mailbox = "/api/v1/mailboxes/100";
    berlin.put(DEVICE, r#"{"state":"INUSE"}"#);
    berlin.put(mailbox, r#"{"new":3,"old":1}"#);
    paris.await_field(DEVICE, "freshness", "live", PATIENCE);
    paris.await_field(mailbox, "freshness", "live", PATIENCE);

    berlin.kill();
    let out = Deadline::after(Duration::from_secs(11));
    paris.await_field(DEVICE, "freshness", "stale", Duration::from_secs(4));
    let (_, stale) = paris.get(DEVICE);
    assert_eq!(
        stale["state"], "INUSE",
        "a stale lamp shows what it last showed: {stale}"
    );
    assert!(stale["age_ms"].as_u64() >= Some(2_500), "{stale}");

    paris.await_field(DEVICE, "freshness", "gone", out.left());
    let (status, gone) = paris.get(DEVICE);
    assert_eq!(
        (status, &gone["state"]),
        (200, &json!("UNAVAILABLE")),
        "{gone}"
    );
    assert_eq!(gone["contributions"][0]["freshness"], "gone", "{gone}");
    let (_, counts) = paris.get(mailbox);
    assert_eq!(
        (&counts["new"], &counts["freshness"]),
        (&json!(3), &json!("stale")),
        "{counts}"
    );
    let (_, peers) = paris.get("/api/v1/peers");
    let peer = peers
        .as_array()
        .unwrap()
        .iter()
        .find(|peer| peer["node"] == "berlin")
        .expect("gone peers stay");
    assert_eq!(peer["standing"], "gone");

    let back = Deadline::after(Duration::from_secs(3));
    let berlin = world.start("berlin", &[&paris], &[]);
    berlin.put(DEVICE, r#"{"state":"RINGING"}"#);
    paris.await_field(DEVICE, "state", "RINGING", back.left());
    assert_eq!(paris.get(DEVICE).1["freshness"], "live");
}

#[test]
fn a_node_told_to_stop_is_gone_everywhere_at_once() {
    let world = World::new();
    let [mut berlin, paris, oslo] = three(&world, &[]);
    berlin.put(DEVICE, r#"{"state":"INUSE"}"#);
    for node in [&paris, &oslo] {
        node.await_field(DEVICE, "freshness", "live", PATIENCE);
    }
    assert_eq!(berlin.terminate(), Some(0));
    for node in [&paris, &oslo] {
        // Silence alone would take 10 s.
        node.await_field(DEVICE, "freshness", "gone", Duration::from_secs(2));
    }
    let (_, peers) = paris.get("/api/v1/peers");
    let peer = peers
        .as_array()
        .unwrap()
        .iter()
        .find(|peer| peer["node"] == "berlin")
        .expect("gone peers stay");
    assert_eq!(
        (&peer["standing"], &peer["left"]),
        (&json!("gone"), &json!(true))
    );
}

#[test]
fn a_node_with_another_key_learns_nothing() {
    let world = World::new();
    let berlin = world.start("berlin", &[], &["--preset", "local"]);
    berlin.put(DEVICE, r#"{"state":"INUSE"}"#);
    let thief_world = World::new();
    write_secret(thief_world.key_file(), &format!("{}\n", "77".repeat(32)));
    let thief = thief_world.start("thief", &[&berlin], &["--preset", "local"]);
    thief.put("/api/v1/devices/PJSIP%2F666", r#"{"state":"INUSE"}"#);
    // A node that meets nobody is ready after 5 s: until then it has tried.
    thief.await_field("/api/v1/status", "ready", true, PATIENCE);
    assert_eq!(thief.get("/api/v1/status").1["peers_connected"], 0);
    assert_eq!(thief.get("/api/v1/peers").1, json!([]));
    assert_eq!(thief.get(DEVICE).0, 404);
    assert_eq!(berlin.get("/api/v1/devices/PJSIP%2F666").0, 404);
    assert_eq!(berlin.get("/api/v1/peers").1, json!([]));
}

#[test]
fn bad_requests_are_refused_and_change_nothing() {
    let world = World::new();
    let node = world.start("berlin", &[], &[]);
    let long_key = format!("/api/v1/devices/{}", "x".repeat(256));
    let longest_key = format!("/api/v1/devices/{}", "x".repeat(255));
    let padded = format!("{{\"state\":\"INUSE\"{}}}", " ".repeat(4096));
    let huge = format!("{{\"state\":\"{}\"}}", "x".repeat(100_000));
    let deep = "[".repeat(4_000);
    let cases = [
        ("PUT", DEVICE, "", 400),
        ("PUT", DEVICE, "INUSE", 400),
        ("PUT", DEVICE, "\"INUSE\"", 400),
        ("PUT", DEVICE, "null", 400),
        ("PUT", DEVICE, "[\"INUSE\"]", 400),
        ("PUT", DEVICE, "{}", 400),
        ("PUT", DEVICE, "{\"state\":\"ONLINE\"}", 400),
        ("PUT", DEVICE, "{\"state\":2}", 400),
        ("PUT", DEVICE, "{\"state\":null}", 400),
        ("PUT", DEVICE, "{\"state\":\"INUSE\",\"x\":1}", 400),
        ("PUT", DEVICE, "{\"state\":\"INUSE\"}{}", 400),
        ("PUT", DEVICE, "{\"state\":\"INUSE\"", 400),
        ("PUT", DEVICE, &padded, 400),
        ("PUT", DEVICE, &huge, 413),
        ("PUT", DEVICE, &deep, 400),
        ("PUT", &long_key, "{\"state\":\"INUSE\"}", 400),
        ("PUT", "/api/v1/devices/", "{\"state\":\"INUSE\"}", 400),
        ("PUT", "/api/v1/devices/%FF", "{\"state\":\"INUSE\"}", 400),
        ("PUT", "/api/v1/devices/%4", "{\"state\":\"INUSE\"}", 400),
        ("PUT", "/api/v1/devices/a%0Ab", "{\"state\":\"INUSE\"}", 400),
        ("DELETE", "/api/v1/devices/a%00b", "", 400),
        ("GET", "/api/v1/devices/%zz", "", 400),
        ("GET", "/api/v1/explain/device/%zz", "", 400),
        (
            "PUT",
            "/api/v1/mailboxes/100",
            "{\"new\":-1,\"old\":0}",
            400,
        ),
        (
            "PUT",
            "/api/v1/mailboxes/100",
            "{\"new\":1.5,\"old\":0}",
            400,
        ),
        (
            "PUT",
            "/api/v1/mailboxes/100",
            "{\"new\":\"1\",\"old\":0}",
            400,
        ),
        ("PUT", "/api/v1/mailboxes/100", "{\"new\":1}", 400),
        (
            "PUT",
            "/api/v1/mailboxes/100",
            "{\"new\":1,\"new\":2,\"old\":0}",
            400,
        ),
        (
            "PUT",
            "/api/v1/mailboxes/100",
            "{\"new\":4294967295,\"old\":0}",
            400,
        ),
        (
            "PUT",
            "/api/v1/mailboxes/@default",
            "{\"new\":1,\"old\":0}",
            400,
        ),
        ("GET", "/api/v1/stream?space=lamp", "", 400),
        ("GET", DEVICE, "", 404),
        ("GET", "/api/v1/explain/device/none", "", 404),
        ("GET", "/api/v1/nothing", "", 404),
        ("POST", DEVICE, "{\"state\":\"INUSE\"}", 405),
        ("PUT", "/api/v1/devices", "{}", 405),
        ("DELETE", "/api/v1/status", "", 405),
    ];
    let before = node.digest();
    for (method, path, body, expected) in cases {
        let (status, head, answer) = request_in_full(node.http, method, path, &[], body.as_bytes());
        let what = format!("{method} {path:.60} {body:.60}: {answer}");
        assert_eq!(status, expected, "{what}");
        assert!(
            head.to_lowercase()
                .contains("content-type: application/problem+json"),
            "{what}\n{head}"
        );
        let problem: Value = serde_json::from_str(&answer).expect(&what);
        assert_eq!(
            (&problem["status"], &problem["type"]),
            (&json!(expected), &json!("about:blank")),
            "{what}"
        );
        assert!(
            problem["title"].is_string() && problem["detail"].is_string(),
            "{what}"
        );
    }
    let not_utf8 = request_in_full(node.http, "PUT", DEVICE, &[], b"{\"state\":\"\xFF\"}");
    assert_eq!(not_utf8.0, 400);
    assert_eq!(node.digest(), before, "something was changed");
    assert_eq!(node.get("/api/v1/devices").1, json!([]));

    // The same things, done right.
    node.put(&longest_key, r#"{"state":"INUSE"}"#);
    node.put("/api/v1/devices/Local%25%2F1", r#"{"state":"busy"}"#);
    assert_eq!(node.get("/api/v1/devices/Local%25/1").1["key"], "Local%/1");
    node.put(
        "/api/v1/mailboxes/100",
        r#"{"new":1,"old":2,"urgent_new":1}"#,
    );
    let (_, counts) = node.get("/api/v1/mailboxes/100@default");
    assert_eq!(counts["key"], "100@default");
    assert_eq!(
        (&counts["urgent_new"], &counts["urgent_old"]),
        (&json!(1), &json!(0))
    );
    node.delete("/api/v1/devices/none");
}

#[test]
fn pages_of_other_origins_neither_write_nor_read() {
    let world = World::new();
    let node = world.start("berlin", &[], &[]);
    let body = r#"{"state":"INUSE"}"#;
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], u16);
    let cases: [Case<'_>; 6] = [
        ("PUT", &[("Origin", "http://evil.example")], 403),
        ("PUT", &[("Sec-Fetch-Site", "cross-site")], 403),
        (
            "PUT",
            &[("Host", "evil.example"), ("Origin", "http://evil.example")],
            403,
        ),
        ("DELETE", &[("Origin", "null")], 403),
        ("GET", &[("Host", "evil.example")], 403),
        (
            "PUT",
            &[
                ("Origin", &format!("http://{}", node.http)),
                ("Sec-Fetch-Site", "same-origin"),
            ],
            204,
        ),
    ];
    for (method, headers, expected) in cases {
        let (status, answer) = request(node.http, method, DEVICE, headers, body);
        assert_eq!(status, expected, "{method} {headers:?}: {answer}");
    }
}

#[test]
fn the_commands_ask_a_running_node() {
    let world = World::new();
    let node = world.start("berlin", &[], &[]);
    let ask = |arguments: &[&str]| {
        let output = node.ask(arguments);
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let ok = |arguments: &[&str]| {
        let (code, stdout, stderr) = ask(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
        stdout
    };

    assert_eq!(ok(&["devices", "--json"]).trim(), "[]");
    assert_eq!(ok(&["devices"]), "");
    assert_eq!(ok(&["set", "device", "PJSIP/100", "ringing"]), "");
    assert_eq!(ok(&["set", "mailbox", "100", "3", "1", "1", "0"]), "");
    assert!(ok(&["devices", "PJSIP/*"]).contains("Ringing (RINGING)"));
    assert_eq!(ok(&["devices", "SIP/*", "--json"]).trim(), "[]");
    let devices = ok(&["devices", "--json"]);
    assert_eq!(
        devices,
        request(node.http, "GET", "/api/v1/devices?pattern=*", &[], "").1,
        "not unchanged"
    );
    let mailboxes: Value = serde_json::from_str(&ok(&["mailboxes", "100@*", "--json"])).unwrap();
    assert_eq!(
        (&mailboxes[0]["key"], &mailboxes[0]["urgent_new"]),
        (&json!("100@default"), &json!(1))
    );
    let explained = ok(&["explain", "device", "PJSIP/100"]);
    assert!(
        explained.contains("berlin") && explained.contains("one server reports it"),
        "{explained}"
    );
    assert!(ok(&["explain", "mailbox", "100", "--json"]).contains("\"rule\":\"single\""));
    assert_eq!(ok(&["peers", "--json"]).trim(), "[]");
    ok(&["clear", "device", "PJSIP/100"]);
    ok(&["clear", "device", "PJSIP/100"]);
    assert_eq!(ask(&["explain", "device", "PJSIP/100"]).0, Some(4));

    node.await_field("/api/v1/status", "ready", true, PATIENCE);
    assert!(ok(&["status"]).contains("berlin"));
    let status: Value = serde_json::from_str(&ok(&["status", "--json"])).unwrap();
    assert_eq!(status["replica"], json!(node.replica));
    assert!(
        status["incarnation"].is_string() && status["digest"].is_string(),
        "{status}"
    );
    assert_eq!(
        status["entries"],
        json!({"device": 0, "mailbox": 1, "presence": 0, "custom": 0})
    );
    assert_eq!(node.get("/readyz").0, 200);
    assert_eq!(node.get("/livez").0, 200);
}

#[test]
fn a_node_that_is_not_ready_says_so() {
    let world = World::new();
    let node = world.start("berlin", &[], &[]);
    // It waits 5 s for a first peer: we are here before.
    let output = node.ask(&["status", "--json"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("\"ready\":false"));
    let (status, health) = node.get("/readyz");
    assert_eq!(status, 503);
    assert!(health["reasons"][0].is_string(), "{health}");
    assert_eq!(node.get("/livez").0, 200);
}

#[test]
fn watch_prints_a_line_for_each_change() {
    let world = World::new();
    let mut node = world.start("berlin", &[], &[]);
    node.put(DEVICE, r#"{"state":"INUSE"}"#);
    let http = node.http.to_string();
    let mut command = program();
    command
        .args(["watch", "PJSIP/*", "--json", "--http", &http])
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut watch = command.spawn().expect("the program starts");
    let mut lines = BufReader::new(watch.stdout.take().expect("it is piped")).lines();
    let mut next = || {
        serde_json::from_str::<Value>(&lines.next().expect("a line").expect("UTF-8")).expect("JSON")
    };
    let line = next();
    assert_eq!(
        (&line["event"], &line["new"]["state"]),
        (&json!("snapshot"), &json!("INUSE"))
    );
    node.put("/api/v1/devices/SIP%2F1", r#"{"state":"BUSY"}"#);
    node.put(DEVICE, r#"{"state":"ONHOLD"}"#);
    let line = next();
    assert_eq!(
        (&line["event"], &line["key"]),
        (&json!("change"), &json!("PJSIP/100"))
    );
    assert_eq!(
        (&line["old"]["state"], &line["new"]["state"]),
        (&json!("INUSE"), &json!("ONHOLD"))
    );
    node.delete(DEVICE);
    assert_eq!(next()["new"], Value::Null);
    node.terminate();
    let code = wait_for("the end of watch", PATIENCE, || {
        watch.try_wait().expect("a child of ours")
    });
    assert_eq!(
        code.code(),
        Some(3),
        "a watch that sees nothing more must not look like one that goes on"
    );
}

/// A client that does not read is made to resynchronise; the node holds no more than its queue for it.
#[test]
fn a_slow_reader_of_the_stream_is_resynchronised() {
    let world = World::new();
    let config = world.path("few.toml");
    fs::write(&config, "[limits]\nwatch_queue = 16\n").unwrap();
    let node = world.start("berlin", &[], &["--config", config.to_str().unwrap()]);
    // Nothing is read before the changes are made; what fits the sockets' buffers is fixed by the system.
    let socket = std::net::TcpStream::connect(node.http).unwrap();
    use std::io::Write as _;
    (&socket)
        .write_all(format!("GET /api/v1/stream HTTP/1.0\r\nHost: {}\r\n\r\n", node.http).as_bytes())
        .unwrap();
    let key = "k".repeat(240);
    let agent = ureq::Agent::new_with_defaults();
    let states = ["INUSE", "NOT_INUSE"];
    for round in 0..12_000 {
        let url = format!("http://{}/api/v1/devices/{key}", node.http);
        agent
            .put(url)
            .send(format!("{{\"state\":\"{}\"}}", states[round % 2]))
            .unwrap();
    }
    agent
        .put(format!("http://{}/api/v1/devices/last", node.http))
        .send(r#"{"state":"BUSY"}"#)
        .unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut resyncs = 0;
    for line in BufReader::new(socket).lines() {
        let line = line.expect("the stream goes on");
        resyncs += usize::from(line == "event: resync");
        // The final state arrives, by a change or by a snapshot.
        if line.starts_with("data: ") && line.contains("\"last\"") {
            assert!(line.contains("BUSY"), "{line}");
            break;
        }
    }
    assert!(resyncs > 0, "all changes fitted: the test must make more");
}

#[test]
fn streams_are_marked_as_not_to_be_kept() {
    let world = World::new();
    let node = world.start("berlin", &[], &[]);
    let stream = node.stream("space=mailbox");
    assert_eq!(stream.header("cache-control"), "no-store");
    node.put("/api/v1/mailboxes/7@sales", r#"{"new":1,"old":0}"#);
    let change = stream.await_change("7@sales", PATIENCE, |new| new["new"] == 1);
    assert_eq!(change["space"], "mailbox");
}

#[test]
fn nobody_to_ask_is_told_by_the_exit_code() {
    // Bound and dropped: nobody listens there.
    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    for arguments in [
        &["status"][..],
        &["devices"],
        &["set", "device", "a", "INUSE"],
        &["watch"],
        &["peers"],
    ] {
        let output = program()
            .args(arguments)
            .args(["--http", &address])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
        assert_eq!(text(&output.stdout), "");
        assert!(text(&output.stderr).contains(&address), "{arguments:?}");
    }
    let output = program()
        .arg("status")
        .env("PRESENCE_MESH_HTTP", &address)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn usage_errors_have_their_own_exit_code() {
    let cases: [&[&str]; 9] = [
        &[],
        &["fly"],
        &["set", "device", "PJSIP/100", "ONLINE"],
        &["set", "mailbox", "100", "1"],
        &["set", "mailbox", "100", "-1", "0"],
        &["devices", "--http", "nowhere"],
        &["run"],
        &["run", "--mesh", "a", "--preset", "fast"],
        &["demo", "--nodes", "1"],
    ];
    for arguments in cases {
        let output = run(arguments);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        assert_ne!(text(&output.stderr), "", "{arguments:?}");
    }
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["run", "--help"],
        &["set", "device", "--help"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_ne!(text(&output.stdout), "");
    }
    assert_eq!(
        text(&run(&["--version"]).stdout),
        format!("presence-mesh {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn config_check_tells_every_problem_with_its_line() {
    let world = World::new();
    let file = world.path("node.toml");
    let check = |content: &str| {
        fs::write(&file, content).unwrap();
        let output = run(&["config", "check", file.to_str().unwrap()]);
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    assert_eq!(
        check("mesh = \"acme\"\n[http]\nlisten = \"off\"\n"),
        (Some(0), "ok\n".to_owned(), String::new())
    );
    let (code, stdout, stderr) = check("mesh = \"acme\"\nlisen = []\n[timing]\nbeat = 3\n");
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(
        stderr.contains("node.toml:2: unknown key \"lisen\", the nearest known key is listen"),
        "{stderr}"
    );
    assert!(
        stderr.contains("node.toml:4: timing.beat: must be"),
        "{stderr}"
    );
    assert_eq!(
        run(&["config", "check", "/nonexistent"]).status.code(),
        Some(2)
    );
    assert_eq!(
        run(&["run", "--config", file.to_str().unwrap()])
            .status
            .code(),
        Some(2)
    );
}

#[test]
fn init_makes_a_node_that_runs_and_never_overwrites() {
    let world = World::new();
    let dir = world.path("berlin");
    let init = || {
        run(&[
            "init",
            "--dir",
            dir.to_str().unwrap(),
            "--mesh",
            "acme",
            "--node",
            "berlin",
        ])
    };
    let output = init();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let content = |name: &str| fs::read_to_string(dir.join(name)).expect(name);
    for name in ["mesh.key", "identity.key"] {
        let mode = fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
    let before = ["mesh.key", "identity.key", "presence-mesh.toml"].map(content);
    assert_eq!(init().status.code(), Some(1));
    fs::remove_file(dir.join("mesh.key")).unwrap();
    assert_eq!(init().status.code(), Some(1));
    assert!(
        !dir.join("mesh.key").exists(),
        "half of a new node was made"
    );
    write_secret(&dir.join("mesh.key"), &before[0]);
    assert_eq!(
        ["mesh.key", "identity.key", "presence-mesh.toml"].map(content),
        before
    );

    let mut command = program();
    command.args([
        "run",
        "--listen",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
        "--mdns",
        "off",
    ]);
    command.arg("--config").arg(dir.join("presence-mesh.toml"));
    let mut node = Node::spawn("berlin", command, &world.path("log"));
    assert!(
        before[1].contains(&node.replica),
        "the identity is the one that was made"
    );
    let (_, status) = node.get("/api/v1/status");
    assert_eq!(
        (&status["mesh"], &status["node"]),
        (&json!("acme"), &json!("berlin"))
    );
    assert_eq!(node.terminate(), Some(0));
    assert_eq!(
        text(
            &program()
                .args(["run", "--config"])
                .arg(dir.join("presence-mesh.toml"))
                .args(["--http", "nowhere:x"])
                .output()
                .unwrap()
                .stdout
        ),
        ""
    );
}

#[test]
fn a_secret_that_others_can_read_is_refused() {
    let world = World::new();
    for mode in [0o640, 0o604, 0o660] {
        fs::set_permissions(world.key_file(), fs::Permissions::from_mode(mode)).unwrap();
        let output = world.command("berlin", &[]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{mode:o}");
        assert_eq!(text(&output.stdout), "");
        assert!(
            text(&output.stderr).contains("mesh.key"),
            "{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn a_join_that_leads_nowhere_keeps_nothing_from_starting() {
    let world = World::new();
    let started = Deadline::after(Duration::from_secs(3));
    let mut node = world.start(
        "berlin",
        &[],
        &[
            "--join",
            "127.0.0.1:1",
            "--join",
            "192.0.2.1:4747",
            "--join",
            "nowhere.invalid:1",
        ],
    );
    assert!(!started.is_over(), "the start waited for a join");
    node.put(DEVICE, r#"{"state":"INUSE"}"#);
    assert_eq!(node.get(DEVICE).1["freshness"], "live");
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn settings_come_from_the_environment_and_unknown_ones_are_told() {
    let world = World::new();
    let mut command = program();
    command.args(["run", "--http", "127.0.0.1:0", "--node", "paris"]);
    command
        .env("PRESENCE_MESH_MESH", "test")
        .env("PRESENCE_MESH_NODE", "berlin");
    command
        .env("PRESENCE_MESH_KEY_FILE", world.key_file())
        .env("PRESENCE_MESH_DATA_DIR", world.path("data"));
    command
        .env("PRESENCE_MESH_LISTEN", "127.0.0.1:0")
        .env("PRESENCE_MESH_DISCOVERY_MDNS", "off");
    command.env("PRESENCE_MESH_NONSENSE", "1");
    let node = Node::spawn("paris", command, &world.path("log"));
    assert_eq!(
        node.get("/api/v1/status").1["node"],
        "paris",
        "a flag beats the environment"
    );
    assert!(
        node.log().contains("PRESENCE_MESH_NONSENSE"),
        "{}",
        node.log()
    );
}

#[test]
fn the_demonstration_cuts_heals_and_agrees() {
    let output = run(&[
        "demo",
        "--headless",
        "--for",
        "20s",
        "--seed",
        "7",
        "--http",
        "127.0.0.1:0",
    ]);
    let stdout = text(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{stdout}\n{}",
        text(&output.stderr)
    );
    let lines: Vec<&str> = stdout.lines().collect();
    assert!(
        lines[0].starts_with("demo mesh up: 5 nodes, 40 phones, converged in "),
        "{stdout}"
    );
    assert!(lines[1].starts_with("http: http://127.0.0.1:"), "{stdout}");
    for part in [
        "CUT     berlin paris | london madrid oslo",
        "STALE   ",
        "GONE    ",
        "HEALED  digests equal on all 5",
        "0 late",
    ] {
        assert!(stdout.contains(part), "no {part}:\n{stdout}");
    }
}

#[test]
fn the_blocks_for_the_pbx_are_printed() {
    let output = run(&["asterisk", "config"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for block in [
        "type=inbound-publication",
        "type=asterisk-publication",
        "type=outbound-publish",
        "127.0.0.1:5099",
    ] {
        assert!(text(&output.stdout).contains(block), "no {block}");
    }
    let output = run(&[
        "asterisk",
        "config",
        "--asterisk-listen",
        "127.0.0.1:6000",
        "--asterisk-server",
        "sip:hall@10.0.0.1",
    ]);
    assert!(
        text(&output.stdout).contains("[hall]") && text(&output.stdout).contains("127.0.0.1:6000")
    );
    assert_eq!(
        run(&["asterisk", "config", "--asterisk-server", "10.0.0.1"])
            .status
            .code(),
        Some(2)
    );
}

/// The bridge holds what the PBX is told, and a node is ready only once the PBX has said what it knows.
#[test]
fn a_bridge_waits_for_its_pbx_and_withdraws_from_it() {
    let world = World::new();
    // A PBX that answers everything with 200 and takes notes.
    let pbx = UdpSocket::bind("127.0.0.1:0").unwrap();
    pbx.set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let server = format!("sip:mesh@{}", pbx.local_addr().unwrap());
    let flags = [
        "--preset",
        "local",
        "--asterisk-listen",
        "127.0.0.1:0",
        "--asterisk-server",
        &server,
    ];
    let mut node = world.start("berlin", &[], &flags);
    let (status, health) = node.get("/readyz");
    assert_eq!(status, 503, "{health}");
    assert!(health["reasons"].to_string().contains("PBX"), "{health}");
    let mut datagram = [0; 4_096];
    let heard = wait_for("request of the bridge", PATIENCE, || {
        let (length, from) = pbx.recv_from(&mut datagram).ok()?;
        Some((text(&datagram[..length]), from))
    });
    assert!(
        heard.0.starts_with("OPTIONS ") || heard.0.starts_with("PUBLISH "),
        "{}",
        heard.0
    );
    assert_eq!(node.terminate(), Some(0));

    let folder = world.path("berlin");
    let withdraw = [
        "asterisk",
        "withdraw",
        "--data-dir",
        folder.to_str().unwrap(),
        "--asterisk-server",
        &server,
    ];
    let output = run(&withdraw);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "taken back: 0, left: 0\n");
}

#[test]
fn a_password_that_others_can_read_is_refused() {
    let world = World::new();
    let (secret, config) = (world.path("asterisk.secret"), world.path("node.toml"));
    fs::write(&secret, "hunter2\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&config, "[asterisk]\nserver = \"sip:mesh@127.0.0.1:5060\"\nlisten = \"127.0.0.1:0\"\npassword_file = \"asterisk.secret\"\n")
        .unwrap();
    let output = world
        .command("berlin", &["--config", config.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("asterisk.secret") && !stderr.contains("hunter2"),
        "{stderr}"
    );
}
