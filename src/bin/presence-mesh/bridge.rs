//! The bridge to Asterisk, as the program starts and ends it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use presence_mesh::bridge::asterisk::{
    Asterisk, AsteriskConfig, AsteriskMonitor, AsteriskTiming, Password, pjsip_config,
    withdraw_from_ledger,
};
use presence_mesh::{Mesh, Pattern, Timing};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::cli::AsteriskToolArgs;
use crate::settings::{AsteriskSettings, Settings};
use crate::{exit, logs, output, secrets};

/// The file in the data folder that remembers what the PBX was told.
const LEDGER: &str = "asterisk.ledger";
/// Who we publish to when nothing else is said: what `asterisk config` prints fits it.
const DEFAULT_SERVER: &str = "sip:mesh@127.0.0.1:5060";
/// How long `asterisk withdraw` tries.
const WITHDRAW_TIMEOUT: Duration = Duration::from_secs(30);

/// The running bridge.
pub struct Bridge {
    ready: Readiness,
    monitor: AsteriskMonitor,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Whether the PBX's first dump is in the mesh. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Bridge {
    /// Binds and opens the ledger; never waits for the PBX.
    pub async fn start(
        mesh: &Mesh,
        asterisk: &AsteriskSettings,
        settings: &Settings,
    ) -> anyhow::Result<Self> {
        if asterisk.server.is_none() {
            return Err(exit::usage(
                "asterisk.server is missing: where is the PBX? such as sip:mesh@127.0.0.1:5060",
            ));
        }
        let mut config = config(asterisk, &settings.data_folder()?).await?;
        config.timing = timing(&settings.timing());
        config.password = asterisk
            .password_file
            .as_deref()
            .map(password)
            .transpose()?;
        let asterisk = Asterisk::start(mesh.clone(), config)
            .await
            .context("cannot start the bridge to asterisk")?;
        let ready = Readiness(Arc::default());
        let monitor = asterisk.monitor();
        let (stop, mut stopped) = oneshot::channel();
        let flag = ready.clone();
        let task = tokio::spawn(async move {
            tokio::select! {
                () = asterisk.ready() => {
                    flag.0.store(true, Ordering::Relaxed);
                    // Dropped without a word: the program ends anyhow, and takes back what it can.
                    let _ = stopped.await;
                }
                _ = &mut stopped => {}
            }
            match asterisk.shutdown().await {
                0 => tracing::info!("everything the pbx was told is taken back"),
                left => tracing::warn!(
                    left,
                    "the pbx was not reached to take everything back: run asterisk withdraw"
                ),
            }
        });
        Ok(Self {
            ready,
            monitor,
            stop,
            task,
        })
    }

    pub fn readiness(&self) -> Readiness {
        self.ready.clone()
    }

    pub fn monitor(&self) -> AsteriskMonitor {
        self.monitor.clone()
    }

    /// Takes back everything the PBX was told, within a bound.
    pub async fn stop(self) {
        // The task ends by itself only when it panicked.
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

/// `asterisk config`: prints the blocks for `pjsip.conf`.
pub fn print_config(args: &AsteriskToolArgs) -> anyhow::Result<()> {
    logs::start(logs::OPERATOR);
    let settings = Settings::for_asterisk_tool(args)?;
    output::raw(&pjsip_text(&settings)?)
}

/// The blocks that the PBX's `pjsip.conf` needs.
pub fn pjsip_text(settings: &Settings) -> anyhow::Result<String> {
    let asterisk = settings.asterisk.clone().unwrap_or_default();
    let mut config = runtime()?.block_on(config(&asterisk, Path::new("")))?;
    // Its content is not printed: the operator puts it there.
    config.password = asterisk.password_file.as_ref().map(|_| Password::from(""));
    Ok(pjsip_config(&config, &settings.node_name())?)
}

/// `asterisk withdraw`: takes back all that this node told its PBX, from the ledger alone.
pub fn withdraw(args: &AsteriskToolArgs) -> anyhow::Result<()> {
    logs::start(logs::OPERATOR);
    let settings = Settings::for_asterisk_tool(args)?;
    let asterisk = settings.asterisk.clone().unwrap_or_default();
    let folder = settings.data_folder()?;
    if !folder.join(LEDGER).exists() {
        return output::line("the PBX was never told anything");
    }
    let withdrawal = runtime()?.block_on(async {
        let mut config = config(&asterisk, &folder).await?;
        config.password = asterisk
            .password_file
            .as_deref()
            .map(password)
            .transpose()?;
        Ok::<_, anyhow::Error>(withdraw_from_ledger(&config, WITHDRAW_TIMEOUT).await?)
    })?;
    output::line(format_args!(
        "taken back: {}, left: {}",
        withdrawal.withdrawn, withdrawal.left
    ))?;
    match (withdrawal.left, withdrawal.refusal) {
        (0, _) => Ok(()),
        (_, Some(refusal)) => bail!("the PBX refused: {refusal}"),
        (_, None) => bail!("the PBX did not answer"),
    }
}

/// The bridge's configuration, without secrets.
pub async fn config(asterisk: &AsteriskSettings, folder: &Path) -> anyhow::Result<AsteriskConfig> {
    let resolved = tokio::net::lookup_host(&asterisk.listen).await;
    let listen = resolved
        .with_context(|| format!("asterisk.listen {} does not resolve", asterisk.listen))?
        .next();
    let listen =
        listen.with_context(|| format!("asterisk.listen {} has no address", asterisk.listen))?;
    let server = asterisk.server.as_deref().unwrap_or(DEFAULT_SERVER);
    let mut config = AsteriskConfig::new(listen, server, folder.join(LEDGER));
    if let Some(username) = &asterisk.username {
        config.username.clone_from(username);
    }
    let patterns = |globs: &[String]| {
        globs
            .iter()
            .map(|glob| Pattern::new(glob.as_str()))
            .collect()
    };
    if let Some(export) = &asterisk.export {
        config.export = patterns(export);
    }
    config.import = patterns(&asterisk.import);
    Ok(config)
}

/// The PBX is believed for as long as a node is.
fn timing(mesh: &Timing) -> AsteriskTiming {
    let mut timing = AsteriskTiming::default();
    timing.probe = mesh.stale_after / 3;
    timing.stale_after = mesh.stale_after;
    timing.gone_after = mesh.gone_after;
    // Every origin's lease has run once by then.
    timing.judge_after = mesh.gone_after * 3 / 2;
    timing
}

/// The password in a file that only its owner can read.
pub fn password(path: &Path) -> anyhow::Result<Password> {
    let credential = secrets::credential(path);
    let trusted = credential.is_some();
    let path = credential.as_deref().unwrap_or(path);
    let name = path.display();
    let read = || -> std::io::Result<(u32, String)> {
        Ok((
            fs::metadata(path)?.permissions().mode() & 0o777,
            fs::read_to_string(path)?,
        ))
    };
    let (mode, text) = read().with_context(|| format!("cannot read the password file {name}"))?;
    if mode & 0o077 != 0 && !trusted {
        bail!(
            "the password file {name} can be read by group or others (mode {mode:o}): chmod 600 it"
        );
    }
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() || password.contains('\n') {
        bail!("the password file {name} must hold one line");
    }
    Ok(password.into())
}

pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Runtime::new().context("cannot start the runtime")
}

#[cfg(test)]
mod tests {
    use presence_mesh::Preset;

    use super::*;

    #[test]
    fn a_password_is_one_line_that_only_its_owner_can_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        let write = |text: &str, mode| {
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            password(&file)
        };
        assert_eq!(
            write("pass word\n", 0o600).unwrap(),
            Password::from("pass word")
        );
        assert_eq!(write("x", 0o400).unwrap(), Password::from("x"));
        assert!(
            write("x", 0o640)
                .unwrap_err()
                .to_string()
                .contains("mode 640")
        );
        assert!(write("x", 0o604).is_err());
        assert!(write("", 0o600).is_err());
        assert!(write("a\nb\n", 0o600).is_err());
    }

    #[test]
    fn a_pbx_is_judged_only_after_every_lease_has_run() {
        for preset in [Preset::Lan, Preset::Wan, Preset::Local] {
            let (mesh, pbx) = (preset.timing(), timing(&preset.timing()));
            assert!(
                pbx.judge_after > mesh.gone_after && pbx.probe * 3 <= pbx.stale_after,
                "{preset:?}"
            );
        }
    }
}
