//! The PBX.

use std::net::UdpSocket;
use std::time::Duration;

use presence_mesh::bridge::asterisk::{PbxCheckup, PbxVerdict, check_pbx};

use super::node::Node;
use super::report::Report;
use crate::bridge;
use crate::settings::{AsteriskSettings, Settings};

/// How long one answer of the PBX is waited for; it is on this machine or near.
const PATIENCE: Duration = Duration::from_secs(4);

/// Asks the PBX, and the running bridge what it hears of it.
pub fn check(
    asterisk: &AsteriskSettings,
    settings: &Settings,
    node: Option<&Node>,
    report: &mut Report,
) {
    if let Some(file) = &asterisk.password_file {
        match bridge::password(file) {
            Ok(_) => report.fine("pbx-password", format!("{} reads well", file.display())),
            Err(error) => {
                report.wrong_with(
                    "pbx-password",
                    format!("{error:#}"),
                    format!(
                        "write the password of the type=auth block into it, one line, chmod 600 {}",
                        file.display()
                    ),
                );
                return;
            }
        }
    }
    if asterisk.server.is_none() {
        return report.wrong_with(
            "pbx",
            "asterisk.server is missing".to_owned(),
            "name it in [asterisk], such as server = \"sip:mesh@127.0.0.1:5060\"",
        );
    }
    let checkup = || -> anyhow::Result<PbxCheckup> {
        let folder = settings.data_folder()?;
        bridge::runtime()?.block_on(async {
            let mut config = bridge::config(asterisk, &folder).await?;
            let password = asterisk.password_file.as_deref().map(bridge::password);
            config.password = password.transpose()?;
            Ok(check_pbx(&config, PATIENCE).await?)
        })
    };
    match checkup() {
        Ok(found) => judge(&found, report),
        Err(error) => report.wrong_with(
            "pbx",
            format!("{error:#}"),
            "correct listen and server in [asterisk]",
        ),
    }
    match node {
        Some(node) => hears(node, report),
        None => port(&asterisk.listen, report),
    }
}

fn judge(found: &PbxCheckup, report: &mut Report) {
    let asked = found.asked;
    if !found.answers {
        return report.wrong_with(
            "pbx",
            format!("nobody answers SIP at {asked} (UDP)"),
            "is Asterisk up, with a UDP transport there? Compare server in [asterisk] with the type=transport block",
        );
    }
    report.fine("pbx", format!("it answers at {asked}"));
    let mut credentials = None;
    for (package, verdict) in &found.packages {
        let name = package.name();
        match verdict {
            PbxVerdict::Taken => {
                credentials = credentials.or(Some(true));
                report.fine("pbx-blocks", format!("it takes {name}"));
            }
            // Said once below, for both packages.
            PbxVerdict::Refused {
                status: 401 | 407, ..
            } => credentials = Some(false),
            PbxVerdict::Refused { status, advice } => {
                report.wrong_with(
                    "pbx-blocks",
                    format!("it refuses {name} with {status}"),
                    format!("{advice}; presence-mesh asterisk config prints the blocks"),
                );
            }
            _ => report.wrong_with(
                "pbx-blocks",
                format!("it does not answer to {name}"),
                "it is starting, or overloaded: try again in a moment",
            ),
        }
    }
    match credentials {
        Some(true) => report.fine("pbx-credentials", "it takes user name and password".to_owned()),
        Some(false) => report.wrong_with(
            "pbx-credentials",
            "it refuses user name and password, or knows no such endpoint".to_owned(),
            "compare username and password_file in [asterisk] with the type=endpoint and type=auth blocks",
        ),
        None => {}
    }
}

/// The other direction: what comes from the PBX.
fn hears(node: &Node, report: &mut Report) {
    let Some(bridge) = &node.bridge else {
        return report.wrong_with(
            "pbx-publishes",
            "the running node has no bridge".to_owned(),
            "restart the node with the configuration that has [asterisk]",
        );
    };
    if bridge.ready {
        let eid = bridge.eid.as_deref().unwrap_or("?");
        report.fine("pbx-publishes", format!("the node hears it, EID {eid}"));
    } else {
        report.wrong_with(
            "pbx-publishes",
            "it has published nothing to the node yet".to_owned(),
            "add the two type=outbound-publish blocks that presence-mesh asterisk config prints, and entityid=",
        );
    }
    if let Some(refusal) = &bridge.last_refusal {
        report.wrong_with(
            "pbx-refuses",
            "it refused what the node told it last".to_owned(),
            refusal.lines().next().unwrap_or_default(),
        );
    }
}

/// No node runs: whether it will get the port.
fn port(listen: &str, report: &mut Report) {
    match UdpSocket::bind(listen) {
        Ok(_) => report.fine("pbx-port", format!("{listen} (UDP) is free")),
        Err(error) => report.wrong_with(
            "pbx-port",
            format!("{listen} (UDP) cannot be listened on: {error}"),
            "change listen in [asterisk], and server_uri= in both type=outbound-publish blocks",
        ),
    }
}
