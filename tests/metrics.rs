//! `/metrics` as Prometheus reads it, and the alerts and graphs that are shipped for it.

mod support {
    pub mod process;
    pub mod prometheus;
}

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use presence_mesh::metrics::encode;
use presence_mesh::{DeviceState, Mesh, MeshKey};
use serde_json::Value;
use support::process::{Node, PATIENCE, World, request, request_in_full, wait_for};
use support::prometheus::{Exposition, Prometheus, is_installed};

/// The families that are promised, with their types and labels.
const PROMISED: [(&str, &str, &[&str]); 16] = [
    ("build", "info", &["version"]),
    ("peers", "gauge", &["standing"]),
    ("entries", "gauge", &["freshness", "space"]),
    ("local_writes", "counter", &["space"]),
    ("remote_writes", "counter", &["outcome", "space"]),
    ("propagation_seconds", "histogram", &["le"]),
    ("sync_rounds", "counter", &["result"]),
    ("sync_bytes", "counter", &["direction"]),
    ("pending_ranges", "gauge", &[]),
    ("clock_skew_seconds", "gauge", &[]),
    ("events_published", "counter", &[]),
    ("events_dropped", "counter", &["reason"]),
    ("bridge_up", "gauge", &["bridge"]),
    ("bridge_writes", "counter", &["bridge", "result"]),
    ("queue_length", "gauge", &["queue"]),
    ("rejected", "counter", &["reason"]),
];

fn packaging(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("packaging")
        .join(file)
}

fn metrics(node: &Node) -> Exposition {
    let (status, text) = request(node.http, "GET", "/metrics", &[], "");
    assert_eq!(status, 200, "{text}");
    Exposition::parse(&text)
}

/// A node with a bridge to a PBX that is not there: it has every family.
fn with_bridge(world: &World) -> Node {
    let pbx = [
        "--asterisk-listen",
        "127.0.0.1:0",
        "--asterisk-server",
        "sip:mesh@127.0.0.1:9",
    ];
    world.start("berlin", &[], &pbx)
}

#[test]
fn every_promised_family_is_there_with_its_type_and_labels() {
    let world = World::new();
    let berlin = with_bridge(&world);
    let (_, head, _) = request_in_full(berlin.http, "GET", "/metrics", &[], b"");
    let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(head.contains(kind), "{head}");
    let page = metrics(&berlin);
    for (name, kind, labels) in PROMISED {
        let family = format!("presence_mesh_{name}");
        assert_eq!(
            page.families.get(&family).map(String::as_str),
            Some(kind),
            "{family}"
        );
        let mut found = page.samples.iter().filter(|sample| {
            let rest = sample.name.strip_prefix(&family);
            rest.is_some_and(|rest| ["", "_total", "_info", "_bucket"].contains(&rest))
        });
        let sample = found
            .next()
            .unwrap_or_else(|| panic!("no sample of {family}"));
        assert_eq!(sample.labels.keys().collect::<Vec<_>>(), labels, "{family}");
    }
    let values = |name: &str, label: &str| -> BTreeSet<String> {
        let samples = page.samples.iter().filter(|sample| sample.name == name);
        samples.map(|sample| sample.labels[label].clone()).collect()
    };
    let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    assert_eq!(
        values("presence_mesh_peers", "standing"),
        set(&["alive", "suspect", "gone"])
    );
    assert_eq!(
        values("presence_mesh_entries", "freshness"),
        set(&["live", "stale", "gone"])
    );
    let spaces = set(&["device", "mailbox", "presence", "custom"]);
    assert_eq!(values("presence_mesh_entries", "space"), spaces);
    let outcomes = set(&["applied", "old", "rejected"]);
    assert_eq!(
        values("presence_mesh_remote_writes_total", "outcome"),
        outcomes
    );
    assert_eq!(
        page.sum("presence_mesh_bridge_up", &[("bridge", "asterisk")]),
        0.0
    );
    assert!(
        page.families
            .keys()
            .any(|family| family.starts_with("libp2p_gossipsub_"))
    );
    assert!(page.families.contains_key("libp2p_swarm_new_listen_addr"));
}

#[test]
fn numbers_move_when_something_happens() {
    let world = World::new();
    let local = ["--preset", "local"];
    let berlin = world.start("berlin", &[], &local);
    let mut paris = world.start("paris", &[&berlin], &local);
    berlin.await_peers(1);
    paris.await_field("/readyz", "ok", true, PATIENCE);
    let await_sum = |name: &str, labels: &[(&str, &str)], wanted: &dyn Fn(f64) -> bool| {
        wait_for(&format!("{name}{labels:?}"), PATIENCE, || {
            wanted(metrics(&berlin).sum(name, labels)).then_some(())
        });
    };
    await_sum("presence_mesh_peers", &[("standing", "alive")], &|count| {
        count == 1.0
    });
    let before = metrics(&berlin);
    assert_eq!(
        before.sum("presence_mesh_remote_writes_total", &[("space", "device")]),
        0.0
    );

    paris.put("/api/v1/devices/PJSIP%2F1", r#"{"state":"INUSE"}"#);
    berlin.put("/api/v1/mailboxes/100", r#"{"new":1,"old":2}"#);
    let applied = [("space", "device"), ("outcome", "applied")];
    await_sum("presence_mesh_remote_writes_total", &applied, &|count| {
        count == 1.0
    });
    let after = metrics(&berlin);
    assert_eq!(
        after.sum("presence_mesh_local_writes_total", &[("space", "mailbox")]),
        1.0
    );
    assert_eq!(
        after.sum("presence_mesh_local_writes_total", &[("space", "device")]),
        0.0
    );
    assert_eq!(
        after.sum("presence_mesh_propagation_seconds_count", &[]),
        1.0
    );
    // Both are on this machine: a second is long.
    assert!(after.sum("presence_mesh_propagation_seconds_sum", &[]) < 1.0);
    let live = [("space", "device"), ("freshness", "live")];
    assert_eq!(after.sum("presence_mesh_entries", &live), 1.0);
    assert!(after.sum("presence_mesh_sync_bytes_total", &[("direction", "in")]) > 0.0);
    assert!(after.sum("libp2p_bandwidth_bytes_total", &[]) > 0.0);
    await_sum(
        "presence_mesh_sync_rounds_total",
        &[("result", "equal")],
        &|count| count > 0.0,
    );

    let (status, _) = request(
        berlin.http,
        "POST",
        "/api/v1/events",
        &[],
        r#"{"kind":"call.parked"}"#,
    );
    assert_eq!(status, 202);
    await_sum("presence_mesh_events_published_total", &[], &|count| {
        count == 1.0
    });
    await_sum("presence_mesh_saves_total", &[("result", "ok")], &|count| {
        count > 0.0
    });

    paris.kill();
    await_sum(
        "presence_mesh_entries",
        &[("space", "device"), ("freshness", "live")],
        &|count| count == 0.0,
    );
    await_sum("presence_mesh_peers", &[("standing", "gone")], &|count| {
        count == 1.0
    });
    await_sum(
        "presence_mesh_entries",
        &[("space", "device"), ("freshness", "gone")],
        &|count| count == 1.0,
    );
    assert_eq!(metrics(&berlin).sum("presence_mesh_peers_left", &[]), 0.0);
    assert_eq!(
        metrics(&berlin).sum("presence_mesh_peers_connected", &[]),
        0.0
    );
}

/// Labels are words of ours: neither keys, nor nodes, nor kinds of events make a series.
#[test]
fn the_number_of_series_does_not_grow_with_what_is_said() {
    let world = World::new();
    let berlin = world.start("berlin", &[], &[]);
    let series = || metrics(&berlin).samples.len();
    // The first of a kind may make one.
    let say = |name: &str| {
        berlin.put(&format!("/api/v1/devices/{name}"), r#"{"state":"INUSE"}"#);
        berlin.put(&format!("/api/v1/custom/{name}/x"), "1");
        let event = format!(r#"{{"kind":"{name}.x","fields":{{"{name}":1}}}}"#);
        assert_eq!(
            request(berlin.http, "POST", "/api/v1/events", &[], &event).0,
            202
        );
    };
    say("first");
    let before = series();
    for number in 0..100 {
        say(&format!("n{number}"));
    }
    assert_eq!(series(), before);
}

/// The text is made from counts that are kept: two hundred times the keys are no more work.
#[tokio::test]
async fn the_cost_does_not_grow_with_the_keys() {
    let mesh = Mesh::builder("test")
        .key(MeshKey::from_bytes([1; 32]))
        .mdns(false);
    let mesh = mesh.start().await.expect("a node");
    let fill = |upto: u32| {
        let lamps = (0..upto).map(|number| (format!("PJSIP/{number}"), DeviceState::InUse));
        mesh.devices().set_many(lamps).expect("room");
        assert_eq!(mesh.devices().count(), upto as usize);
    };
    // The quickest of several: what else the machine does is no cost of ours.
    let cost = || {
        let batch = |_| {
            let start = Instant::now();
            (0..20).for_each(|_| drop(encode(&mesh, &[])));
            start.elapsed()
        };
        (0..10).map(batch).min().expect("ten")
    };
    fill(100);
    let few = cost();
    fill(20_000);
    let many = cost();
    assert!(many < 10 * few, "{few:?} {many:?}");
    mesh.leave().await;
}

/// A stranger with another key is turned away, and seen.
#[test]
fn strangers_are_counted() {
    let world = World::new();
    let berlin = world.start("berlin", &[], &[]);
    let elsewhere = World::new();
    support::process::write_secret(elsewhere.key_file(), &format!("{}\n", "66".repeat(32)));
    let stranger = elsewhere.start("stranger", &[&berlin], &[]);
    wait_for("the stranger's handshake", PATIENCE, || {
        let refused =
            metrics(&berlin).sum("presence_mesh_rejected_total", &[("reason", "handshake")]);
        (refused > 0.0).then_some(())
    });
    assert_eq!(
        metrics(&stranger).sum("presence_mesh_peers_connected", &[]),
        0.0
    );
}

#[test]
fn a_real_prometheus_scrapes_a_node() {
    if !is_installed("a_real_prometheus_scrapes_a_node") {
        return;
    }
    let world = World::new();
    let berlin = with_bridge(&world);
    let paris = world.start("paris", &[&berlin], &[]);
    berlin.await_peers(1);
    let prometheus = Prometheus::start(berlin.http, &packaging("alerts.yml"));
    wait_for("up to be 1", PATIENCE, || {
        let up = prometheus.query("up{job=\"presence-mesh\"}");
        (up.first().map(|(_, value)| *value) == Some(1.0)).then_some(())
    });
    assert_eq!(prometheus.scrape_error(), "\"\"");

    let version = prometheus.query("presence_mesh_build_info");
    assert_eq!(version[0].0["version"], env!("CARGO_PKG_VERSION"));
    prometheus.await_value("presence_mesh_peers{standing=\"alive\"}", |peers| {
        peers == 1.0
    });
    paris.put("/api/v1/devices/PJSIP%2F1", r#"{"state":"INUSE"}"#);
    prometheus.await_value(
        "presence_mesh_entries{space=\"device\", freshness=\"live\"}",
        |lamps| lamps == 1.0,
    );
    prometheus.await_value(
        "presence_mesh_propagation_seconds_bucket{le=\"+Inf\"}",
        |count| count == 1.0,
    );
    prometheus.await_value(
        "sum(rate(presence_mesh_remote_writes_total{outcome=\"applied\"}[1m]))",
        |rate| rate >= 0.0,
    );
    prometheus.await_value("sum(libp2p_bandwidth_bytes_total)", |bytes| bytes > 0.0);
    prometheus.await_value("presence_mesh_bridge_up{bridge=\"asterisk\"}", |up| {
        up == 0.0
    });
    // The rules are loaded and evaluated: this one waits for its half minute.
    prometheus.await_value(
        "count(ALERTS{alertname=\"PresenceMeshBridgeDown\", alertstate=\"pending\"})",
        |alerts| alerts == 1.0,
    );
    for query in dashboard_queries() {
        prometheus.query(&query);
    }
}

#[test]
fn every_alert_is_sound_and_says_what_to_do() {
    let text = fs::read_to_string(packaging("alerts.yml")).expect("it is here");
    let alerts: Vec<&str> = text.split("- alert: ").skip(1).collect();
    assert!(alerts.len() >= 10, "{}", alerts.len());
    for alert in alerts {
        for part in [
            "expr: ",
            "for: ",
            "severity: ",
            "summary: \"",
            "description: \"",
        ] {
            assert_eq!(alert.matches(part).count(), 1, "{part} in {alert}");
        }
    }
    if !is_installed("every_alert_is_sound_and_says_what_to_do") {
        return;
    }
    let tests =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/prometheus/alerts-test.yml");
    for (verb, file) in [("check", packaging("alerts.yml")), ("test", tests)] {
        let output = Command::new("promtool")
            .args([verb, "rules"])
            .arg(file)
            .output();
        let output = output.expect("promtool runs");
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// Names, and the values that are compared with `=`: a misspelt one would make an alert that never fires.
#[test]
fn every_query_names_what_exists() {
    let world = World::new();
    let berlin = with_bridge(&world);
    let _paris = world.start("paris", &[&berlin], &[]);
    berlin.await_peers(1);
    // libp2p makes a series when the first of its kind happens.
    let page = wait_for("the first ping", PATIENCE, || {
        let page = metrics(&berlin);
        page.families
            .contains_key("libp2p_ping_rtt_seconds")
            .then_some(page)
    });
    let alerts = fs::read_to_string(packaging("alerts.yml")).expect("it is here");
    let alerts = alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("expr: "));
    let queries: Vec<String> = alerts
        .map(str::to_owned)
        .chain(dashboard_queries())
        .collect();
    assert!(queries.len() > 30, "{}", queries.len());
    let mut named = BTreeSet::new();
    for query in &queries {
        let selectors = selectors(query);
        assert!(!selectors.is_empty(), "{query} names nothing");
        for (name, labels) in selectors {
            // Made by Prometheus itself.
            if name == "up" {
                continue;
            }
            let exists = page.samples.iter().any(|sample| {
                let has =
                    |(label, value): &(String, String)| sample.labels.get(label) == Some(value);
                sample.name == name && labels.iter().all(has)
            });
            assert!(exists, "{name} {labels:?}, of {query}");
            named.insert(name);
        }
    }
    assert!(named.len() > 15, "{named:?}");
}

/// The queries of the dashboard, as Grafana asks them.
fn dashboard_queries() -> Vec<String> {
    let text = fs::read_to_string(packaging("grafana-dashboard.json")).expect("it is here");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("it has panels");
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().expect("queries"));
    let query = |target: &Value| {
        let query = target["expr"].as_str().expect("a query");
        query
            .replace("$__rate_interval", "1m")
            .replace("$instance", ".*")
    };
    let queries: Vec<String> = targets.map(query).collect();
    let variable = dashboard["templating"]["list"][1]["query"]["query"].as_str();
    assert_eq!(
        variable,
        Some("label_values(presence_mesh_build_info, instance)")
    );
    queries
}

/// The metrics a query names, each with the labels it compares by `=`.
fn selectors(query: &str) -> Vec<(String, Vec<(String, String)>)> {
    const WORDS: [&str; 7] = ["and", "or", "unless", "sum", "count", "max", "avg"];
    const GROUPING: [&str; 6] = [
        "by",
        "without",
        "on",
        "ignoring",
        "group_left",
        "group_right",
    ];
    let mut found = Vec::new();
    let mut rest = query;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '[') {
        let after = &rest[start..];
        if let Some(range) = after.strip_prefix('[') {
            rest = range.split_once(']').expect("a range ends").1;
            continue;
        }
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (word, tail) = after.split_at(end.unwrap_or(after.len()));
        rest = tail;
        if GROUPING.contains(&word) {
            rest = tail.split_once(')').expect("a list of labels ends").1;
        } else if !WORDS.contains(&word) && !tail.starts_with('(') {
            let mut labels = Vec::new();
            if let Some(list) = tail.strip_prefix('{') {
                let (list, tail) = list.split_once('}').expect("a selector ends");
                for matcher in list.split(", ") {
                    if let Some((label, value)) = matcher.split_once("=\"") {
                        let plain = !label.ends_with(['!', '=']);
                        assert!(plain, "{query}");
                        labels.push((label.to_owned(), value.trim_end_matches('"').to_owned()));
                    }
                }
                rest = tail;
            }
            found.push((word.to_owned(), labels));
        }
    }
    found
}

#[test]
fn queries_are_taken_apart_rightly() {
    let query =
        "max(a{x=\"1\", y=~\"2|3\"} - ignoring(x) b_total) or sum by (c) (rate(d[5m])) > 2 and up";
    let names: Vec<String> = selectors(query).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "b_total", "d", "up"]);
    assert_eq!(selectors(query)[0].1, [("x".to_owned(), "1".to_owned())]);
}
