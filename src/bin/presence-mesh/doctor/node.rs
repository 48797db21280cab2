//! What the running node says.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use presence_mesh::Standing;
use presence_mesh::bridge::asterisk::EID_ATTRIBUTE;
use serde::de::DeserializeOwned;

use super::report::Report;
use crate::api::{BridgeObject, Health, NodeStatus, PREFIX, PeerObject};
use crate::client::Connection;
use crate::service;
use crate::settings::Settings;

/// Of two writers of one key the latest wins, by their clocks: from here on people notice.
const MAX_SKEW_MS: u64 = 1_000;

/// What it says.
#[derive(Debug)]
pub struct Node {
    pub status: NodeStatus,
    pub health: Health,
    pub peers: Vec<PeerObject>,
    /// `None`: it has none.
    pub bridge: Option<BridgeObject>,
}

/// Asks the node, if one answers.
pub fn ask(address: Option<&str>, file: Option<&Path>, report: &mut Report) -> Option<Node> {
    let Some(address) = address else {
        report.skipped("node", "its HTTP is off: it cannot be asked".to_owned());
        return None;
    };
    // Who listens on all interfaces is asked on this one.
    let dialled = match address.rsplit_once(':') {
        Some(("0.0.0.0", port)) => format!("127.0.0.1:{port}"),
        Some(("[::]", port)) => format!("[::1]:{port}"),
        _ => address.to_owned(),
    };
    match fetch(&Connection::new(&dialled)) {
        Ok(node) => {
            let NodeStatus {
                node: name, mesh, ..
            } = &node.status;
            report.fine(
                "node",
                format!("{name} of mesh {mesh} answers at {address}"),
            );
            Some(node)
        }
        Err(error) => {
            let config = file.unwrap_or(Path::new("presence-mesh.toml"));
            report.wrong_with(
                "node",
                format!("{error:#}"),
                format!("start it: {}", service::start_command(config)),
            );
            None
        }
    }
}

fn fetch(connection: &Connection) -> anyhow::Result<Node> {
    let read = |path: &str| connection.get_any(path);
    Ok(Node {
        status: parse(&read(&format!("{PREFIX}/status"))?.1)?,
        health: parse(&read("/readyz")?.1)?,
        peers: parse(&read(&format!("{PREFIX}/peers"))?.1)?,
        bridge: match read(&format!("{PREFIX}/bridge"))? {
            (200, body) => Some(parse(&body)?),
            _ => None,
        },
    })
}

fn parse<T: DeserializeOwned>(body: &str) -> anyhow::Result<T> {
    serde_json::from_str(body).context("what answers is no node of this version")
}

/// Judges what it says.
pub fn check(node: &Node, settings: &Settings, report: &mut Report) {
    let NodeStatus { mesh, .. } = &node.status;
    if let Some(wanted) = settings.mesh.as_ref().filter(|wanted| *wanted != mesh) {
        report.wrong_with(
            "mesh",
            format!("the node that answers is of mesh {mesh}, the configuration says {wanted}"),
            "restart the node, or name the right one with --http",
        );
    }
    if node.health.ok {
        report.fine("ready", "the first sync is done".to_owned());
    } else {
        report.wrong_with(
            "ready",
            node.health.reasons.join("; "),
            "wait a moment; if it stays so, the findings below say why",
        );
    }
    let here: Vec<&PeerObject> = node
        .peers
        .iter()
        .filter(|peer| peer.standing != Standing::Gone)
        .collect();
    if here.is_empty() {
        report.skipped("peers", "no other node is there to compare with".to_owned());
    } else {
        versions(node, &here, report);
        clocks(&here, report);
    }
    eids(node, &here, report);
}

fn versions(node: &Node, here: &[&PeerObject], report: &mut Report) {
    let own = &node.status.version;
    let others: Vec<String> = here
        .iter()
        .filter(|peer| !peer.version.is_empty() && peer.version != *own)
        .map(|peer| format!("{} runs {}", peer.node, peer.version))
        .collect();
    if others.is_empty() {
        report.fine("versions", format!("all run {own}"));
    } else {
        report.wrong_with(
            "versions",
            format!("this node runs {own}, {}", others.join(", ")),
            "bring all nodes to one version",
        );
    }
}

fn clocks(here: &[&PeerObject], report: &mut Report) {
    let off: Vec<String> = here
        .iter()
        .filter_map(|peer| {
            let skew = peer.clock_skew_ms?;
            let seconds = skew.unsigned_abs() as f64 / 1_000.0;
            let way = if skew > 0 { "ahead of" } else { "behind" };
            (skew.unsigned_abs() > MAX_SKEW_MS)
                .then(|| format!("the clock of {} is {seconds:.1} s {way} ours", peer.node))
        })
        .collect();
    if off.is_empty() {
        report.fine("clocks", "all within 1 s of ours".to_owned());
    } else {
        report.wrong_with(
            "clocks",
            off.join(", "),
            "run an NTP client on every server (timedatectl set-ntp true)",
        );
    }
}

fn eids(node: &Node, here: &[&PeerObject], report: &mut Report) {
    let mut holders: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    if let Some(eid) = node.bridge.as_ref().and_then(|bridge| bridge.eid.as_ref()) {
        holders.entry(eid).or_default().push(&node.status.node);
    }
    for peer in here {
        if let Some(eid) = peer.attributes.get(EID_ATTRIBUTE) {
            holders.entry(eid).or_default().push(&peer.node);
        }
    }
    if holders.is_empty() {
        return report.skipped("eids", "no node has said the EID of a PBX".to_owned());
    }
    let shared: Vec<String> = holders
        .iter()
        .filter(|(_, nodes)| nodes.len() > 1)
        .map(|(eid, nodes)| format!("{eid} is the PBX of {}", nodes.join(" and of ")))
        .collect();
    if shared.is_empty() {
        report.fine("eids", "every PBX has one of its own".to_owned());
    } else {
        report.wrong_with(
            "eids",
            shared.join(", "),
            "give each Asterisk an entityid= of its own in asterisk.conf, [options], and restart it",
        );
    }
}

#[cfg(test)]
mod tests {
    use presence_mesh::FoundBy;

    use super::*;

    fn peer(name: &str) -> PeerObject {
        PeerObject {
            node: name.into(),
            replica: String::new(),
            connected: true,
            standing: Standing::Alive,
            rtt_ms: None,
            addresses: Vec::new(),
            found_by: FoundBy::Join,
            attributes: BTreeMap::new(),
            version: "1.0.0".into(),
            incarnation: "1".into(),
            age_ms: Some(0),
            left: false,
            clock_skew_ms: Some(1_000),
            entries: 0,
        }
    }

    fn node(peers: Vec<PeerObject>) -> Node {
        let status = serde_json::json!({
            "mesh": "acme", "node": "berlin", "replica": "12D3", "incarnation": "1", "version": "1.0.0",
            "ready": true, "peers_connected": 1, "digest": "00",
            "entries": {"device": 0, "mailbox": 0, "presence": 0, "custom": 0},
        });
        Node {
            status: serde_json::from_value(status).unwrap(),
            health: Health {
                warnings: Vec::new(),
                ok: true,
                reasons: Vec::new(),
            },
            peers,
            bridge: None,
        }
    }

    fn wrong(node: &Node) -> Vec<&'static str> {
        let mut report = Report::default();
        check(node, &Settings::default(), &mut report);
        report.names_wrong()
    }

    #[test]
    fn a_healthy_mesh_has_no_findings() {
        assert_eq!(wrong(&node(Vec::new())), [""; 0]);
        assert_eq!(wrong(&node(vec![peer("paris"), peer("oslo")])), [""; 0]);
    }

    #[test]
    fn another_version_is_found_and_one_that_is_gone_is_not() {
        let mut other = peer("paris");
        other.version = "0.9.0".into();
        assert_eq!(wrong(&node(vec![other.clone()])), ["versions"]);
        other.standing = Standing::Gone;
        assert_eq!(wrong(&node(vec![other])), [""; 0]);
    }

    #[test]
    fn a_clock_that_is_off_is_found_whichever_way() {
        for skew in [1_001, -1_001, i64::MIN] {
            let mut other = peer("paris");
            other.clock_skew_ms = Some(skew);
            assert_eq!(wrong(&node(vec![other, peer("oslo")])), ["clocks"]);
        }
    }

    #[test]
    fn two_with_one_eid_are_found() {
        let eid = |name: &str, eid: &str| {
            let mut peer = peer(name);
            peer.attributes.insert(EID_ATTRIBUTE.into(), eid.into());
            peer
        };
        let (paris, oslo) = (eid("paris", "02:0a"), eid("oslo", "02:0a"));
        assert_eq!(wrong(&node(vec![paris.clone(), oslo])), ["eids"]);
        assert_eq!(
            wrong(&node(vec![paris.clone(), eid("oslo", "02:0b")])),
            [""; 0]
        );
        let mut ours = node(vec![paris]);
        ours.bridge = Some(BridgeObject {
            bridge: "asterisk".into(),
            pbx: Some("up".into()),
            eid: Some("02:0a".into()),
            ready: true,
            last_refusal: None,
            shared_eids: BTreeMap::new(),
        });
        assert_eq!(wrong(&ours), ["eids"]);
    }

    #[test]
    fn a_node_that_is_not_ready_or_of_another_mesh_is_found() {
        let mut node = node(Vec::new());
        node.health.ok = false;
        let settings = Settings::from_text("mesh = \"other\"", Path::new("x.toml")).unwrap();
        let mut report = Report::default();
        check(&node, &settings, &mut report);
        assert_eq!(report.names_wrong(), ["mesh", "ready"]);
    }
}
