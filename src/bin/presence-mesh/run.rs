//! `run`: a node.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use presence_mesh::{Mesh, MeshBuilder, MeshKey, StartError};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::bridge::Bridge;
use crate::cli::RunArgs;
use crate::guest::Guest;
use crate::http::{App, Limits, Server, View};
use crate::service::Service;
use crate::settings::Settings;
use crate::{exit, logs, output, people, secrets};

/// How long leaving may take: withdrawals at the PBX, the goodbye to the others.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(8);
/// How long what is left of the program may take afterwards.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(500);

/// Runs a node until it is told to stop.
pub fn run(args: &RunArgs) -> anyhow::Result<()> {
    logs::start_as(logs::OPERATOR, args.log);
    let settings = Settings::for_run(args)?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let result = runtime.block_on(node(&settings));
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    result
}

async fn node(settings: &Settings) -> anyhow::Result<()> {
    // Before anything listens: a signal must never find the default action once the line is printed.
    let mut stop = Stop::listen()?;
    let left_out = tokio::spawn(logs::tell_left_out());
    let server = match &settings.http {
        Some(address) => Some(Server::bind(address).await?),
        None => None,
    };
    let people = match &settings.people_file {
        Some(file) => people::read(file)?,
        None => Vec::new(),
    };
    // Dropped however this ends: a try by hand must not keep the service from starting.
    let guest = Guest::of(settings.data_folder()?);
    let mesh = start(builder(settings)?).await?;
    let bridge = match &settings.asterisk {
        Some(asterisk) => Some(Bridge::start(&mesh, asterisk, settings).await?),
        None => None,
    };
    guest.give();
    let http = server
        .as_ref()
        .map_or_else(|| "off".to_owned(), |server| server.address().to_string());
    let readiness = bridge.as_ref().map(Bridge::readiness);
    let limits = Limits {
        key_bytes: settings.key_bytes,
        value_bytes: settings.value_bytes,
    };
    let app = App::new(View::of(mesh.clone()))
        .with_bridge(readiness)
        .with_monitor(bridge.as_ref().map(Bridge::monitor))
        .with_limits(limits)
        .with_people(people);
    let server = server.map(|server| server.serve(app)).transpose()?;
    output::line(format_args!(
        "listening mesh={} http={http} replica={}",
        mesh.addresses().join(","),
        mesh.id()
    ))?;
    tracing::info!(node = mesh.node(), mesh = mesh.mesh_name(), replica = %mesh.id(), "node started");
    let service = Service::ready(&mesh);

    let mut peers = mesh.watch_peers();
    let ended = async { while peers.changed().await.is_some() {} };
    let told = tokio::select! {
        name = stop.next() => Some(name),
        () = ended => None,
    };
    service.stopping();
    match told {
        Some(signal) => tracing::info!(signal, "leaving"),
        None => tracing::error!("the network task has ended"),
    }
    // The others need not wait until a PBX that does not answer is given up.
    let leave = async { tokio::join!(mesh.leave(), stop_bridge(bridge)) };
    tokio::select! {
        left = tokio::time::timeout(LEAVE_TIMEOUT, leave) => match left {
            Ok(_) => tracing::info!("node stopped"),
            Err(_) => tracing::warn!("left without all goodbyes said"),
        },
        signal = stop.next() => tracing::warn!(signal, "told again, leaving at once"),
    }
    left_out.abort();
    drop(server);
    if told.is_some() {
        Ok(())
    } else {
        anyhow::bail!("the node ended by itself")
    }
}

async fn stop_bridge(bridge: Option<Bridge>) {
    if let Some(bridge) = bridge {
        bridge.stop().await;
    }
}

/// A node as the settings describe it.
fn builder(settings: &Settings) -> anyhow::Result<MeshBuilder> {
    let data_dir = settings.data_folder()?;
    let key_file = settings
        .key_file
        .clone()
        .unwrap_or_else(|| data_dir.join("mesh.key"));
    let state = data_dir.join("state.redb");
    let builder = Mesh::builder(settings.mesh_name()?).node(settings.node_name());
    let builder = match secrets::credential(&key_file) {
        Some(credential) => builder.key(mesh_key(&credential)?),
        None => builder.key_file(key_file)?,
    };
    let mut builder = builder
        .data_dir(data_dir)?
        .persist(state)
        .join(&settings.join)?
        .mdns(settings.mdns)
        .kad(settings.kad)
        .timing(settings.timing())
        .limits(settings.limits.clone())
        .mailboxes(settings.merge)
        .allow(settings.allow.iter().copied())
        .ban(settings.ban.iter().copied());
    for address in &settings.listen {
        builder = builder.listen(address)?;
    }
    Ok(builder)
}

/// The mesh key in a credential, whose permissions say nothing.
fn mesh_key(credential: &Path) -> anyhow::Result<MeshKey> {
    let name = credential.display();
    let text = fs::read_to_string(credential).with_context(|| format!("cannot read {name}"))?;
    MeshKey::parse(&text).with_context(|| format!("cannot use {name}"))
}

async fn start(builder: MeshBuilder) -> anyhow::Result<Mesh> {
    builder.start().await.map_err(|error| match error {
        StartError::Timing(_) | StartError::Name { .. } | StartError::Address(_) => {
            exit::usage(format!("{:#}", anyhow::Error::new(error)))
        }
        other => anyhow::Error::new(other).context("cannot start the node"),
    })
}

/// The signals that end the program in order.
pub struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// Must be called within a tokio runtime.
    pub fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// The name of the next one. Cancel safe.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
