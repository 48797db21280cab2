//! What the service manager is told, when it started us: `Type=notify`, with a watchdog.

use std::path::Path;
use std::time::Duration;

use presence_mesh::{Mesh, Standing};
use sd_notify::NotifyState;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

/// Where the package puts its unit, and which configuration that reads.
const UNIT: &str = "/usr/lib/systemd/system/presence-mesh.service";
const CONFIG: &str = "/etc/presence-mesh/presence-mesh.toml";
/// There while systemd runs the machine.
const SYSTEMD: &str = "/run/systemd/system";

/// How to start the node of this configuration: where it is the service's, a second one by hand would be in its way.
pub fn start_command(config: &Path) -> String {
    let here = |path: &str| Path::new(path).exists();
    if config == Path::new(CONFIG) && here(UNIT) && here(SYSTEMD) {
        "systemctl start presence-mesh".to_owned()
    } else {
        format!("presence-mesh run --config {}", config.display())
    }
}

/// The status is told this often at the most.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// Tells how the node is doing, until it is told to stop.
pub struct Service {
    /// Ended when dropped.
    _tasks: JoinSet<()>,
}

impl Service {
    /// Says that everything is bound. Without a service manager nobody is told, and nothing runs. Must be called
    /// within a tokio runtime.
    pub fn ready(mesh: &Mesh) -> Self {
        let mut tasks = JoinSet::new();
        if std::env::var_os("NOTIFY_SOCKET").is_some() {
            tell(&[NotifyState::Ready, NotifyState::Status(&status(mesh))]);
            tasks.spawn(keep_status(mesh.clone()));
            if let Some(patience) = sd_notify::watchdog_enabled() {
                tasks.spawn(keep_watchdog(mesh.clone(), patience / 2));
            }
        }
        Self { _tasks: tasks }
    }

    /// Says that the node is about to leave.
    pub fn stopping(self) {
        tell(&[
            NotifyState::Stopping,
            NotifyState::Status("leaving the mesh"),
        ]);
    }
}

/// A sign of life only while the network's task takes its turns: one that is stuck is what a watchdog is for.
async fn keep_watchdog(mesh: Mesh, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match timeout(every, mesh.responds()).await {
            Ok(true) => tell(&[NotifyState::Watchdog]),
            Ok(false) => return,
            Err(_) => {
                tracing::error!("the network task does not respond: no sign of life is given")
            }
        }
    }
}

async fn keep_status(mesh: Mesh) {
    let mut peers = mesh.watch_peers();
    let mut told = String::new();
    while peers.changed().await.is_some() {
        let status = status(&mesh);
        if status != told {
            tell(&[NotifyState::Status(&status)]);
            told = status;
        }
        sleep(STATUS_EVERY).await;
    }
}

fn status(mesh: &Mesh) -> String {
    let peers = mesh.statistics().replica.peers;
    let alive = peers.get(&Standing::Alive).copied().unwrap_or_default();
    let all: usize = peers.values().sum();
    format!(
        "{} of {}: {alive} of {all} other nodes alive",
        mesh.node(),
        mesh.mesh_name()
    )
}

/// A service manager that does not listen is no reason to end.
fn tell(what: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(what) {
        tracing::warn!(%error, "the service manager was not told how the node is doing");
    }
}
