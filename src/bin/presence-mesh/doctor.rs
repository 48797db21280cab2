//! `doctor`: what is wrong with this node, and what to do about it.
//!
//! [`files`] looks at the configuration and the secrets, [`network`] at ports, [`node`] at what the running node
//! says, [`pbx`] asks the PBX, [`pjsip`] reads its configuration. Each tells what it found to the [`Report`].

mod files;
mod network;
mod node;
mod pbx;
mod pjsip;
mod report;

use std::path::Path;

use crate::cli::DoctorArgs;
use crate::settings::Settings;
use crate::{logs, output};
use report::Report;

/// Exits with 1 when something is wrong.
pub fn run(args: &DoctorArgs) -> anyhow::Result<()> {
    logs::start(logs::OPERATOR);
    let mut report = Report::default();
    examine(args, &mut report);
    if args.json {
        output::raw(&report.to_json())?;
    } else {
        output::raw(&report.to_text())?;
    }
    match report.wrong() {
        0 => Ok(()),
        1 => anyhow::bail!("1 thing is wrong"),
        count => anyhow::bail!("{count} things are wrong"),
    }
}

fn examine(args: &DoctorArgs, report: &mut Report) {
    let file = args.config.file.as_deref();
    let settings = match Settings::for_doctor(file) {
        Ok(settings) => settings,
        Err(error) => {
            report.wrong_with(
                "configuration",
                format!("{error:#}"),
                "correct what is named; presence-mesh config check FILE looks again",
            );
            return;
        }
    };
    let told = file.is_some() || settings.mesh.is_some();
    match file.map(Path::display) {
        Some(file) if settings.mesh.is_none() => report.wrong_with(
            "configuration",
            format!("{file} names no mesh"),
            "add mesh = \"NAME\", the same on all nodes",
        ),
        Some(file) => report.fine("configuration", format!("{file} reads well")),
        None if told => report.fine("configuration", "the environment says it".to_owned()),
        None => report.skipped(
            "configuration",
            "no --config: only the running node is looked at".to_owned(),
        ),
    }
    if told && settings.mesh.is_some() {
        files::check(&settings, report);
    }
    let address = args.http.clone().or_else(|| settings.http.clone());
    let node = node::ask(address.as_deref(), file, report);
    if let Some(node) = &node {
        node::check(node, &settings, report);
    }
    if told {
        network::check(&settings, node.is_some(), report);
        if let Some(asterisk) = &settings.asterisk {
            pbx::check(asterisk, &settings, node.as_ref(), report);
            pjsip::check(&settings, args.pjsip.as_deref(), report);
        }
    }
}
