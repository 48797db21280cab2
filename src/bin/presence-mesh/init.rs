//! `init`: the files of a new node.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use presence_mesh::{Identity, MeshKey};

use crate::cli::InitArgs;
use crate::output;

/// Writes `mesh.key`, `identity.key` and `presence-mesh.toml`; changes nothing when one of them is there.
pub fn run(args: &InitArgs) -> anyhow::Result<()> {
    let dir = std::path::absolute(&args.dir).context("no working directory")?;
    let data_dir = args.data_dir.as_deref().map(std::path::absolute);
    let data_dir = data_dir.transpose().context("no working directory")?;
    let key = MeshKey::from_bytes(random_bytes()?);
    let config = dir.join("presence-mesh.toml");
    let text = configuration(&args.mesh, &args.node, data_dir.as_ref().unwrap_or(&dir))?;
    let mut files = vec![
        (dir.join("mesh.key"), 0o600, key.to_text()),
        (config.clone(), 0o644, text),
    ];
    // Another folder is another user's, who makes it at the first start.
    let identity = match data_dir {
        Some(_) => None,
        None => Some(Identity::from_bytes(random_bytes()?)),
    };
    if let Some(identity) = &identity {
        files.push((dir.join("identity.key"), 0o600, identity.to_text()));
    }
    if let Some((file, ..)) = files
        .iter()
        .find(|(file, ..)| file.symlink_metadata().is_ok())
    {
        bail!("{} exists already: nothing was changed", file.display());
    }
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;

    let mut made: Vec<&Path> = Vec::new();
    for (file, mode, text) in &files {
        if let Err(error) = write_new(file, *mode, text) {
            // Ours alone: `create_new` refuses files of others.
            for file in made {
                let _ = fs::remove_file(file);
            }
            return Err(error).with_context(|| format!("cannot write {}", file.display()));
        }
        made.push(file);
    }
    for (file, ..) in &files {
        output::line(format_args!("wrote {}", file.display()))?;
    }
    if let Some(identity) = identity {
        eprintln!("This node is {}.", identity.replica());
    }
    eprintln!("Start it: presence-mesh run --config {}", config.display());
    eprintln!(
        "Other nodes need the same mesh.key: copy it over a safe channel, over the one their own init made."
    );
    Ok(())
}

/// What `init` writes, with what most operators change as comments.
fn configuration(mesh: &str, node: &str, data_dir: &Path) -> anyhow::Result<String> {
    let Some(data_dir) = data_dir.to_str() else {
        bail!("{} is not UTF-8", data_dir.display())
    };
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    Ok(format!(
        r#"mesh = {}
node = {}
key_file = "mesh.key"
data_dir = {}
listen = ["0.0.0.0:4747"]
# One live node is enough; it is redialled for ever.
join = []
# lan | wan | local
preset = "lan"

[http]
listen = "127.0.0.1:4780"

# `presence-mesh asterisk config` prints what the PBX needs.
# [asterisk]
# listen = "127.0.0.1:5099"
# server = "sip:mesh@127.0.0.1:5060"
# username = "mesh"
# password_file = "asterisk.secret"
"#,
        quoted(mesh),
        quoted(node),
        quoted(data_dir)
    ))
}

fn write_new(file: &PathBuf, mode: u32, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(file)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Bytes nobody can guess.
pub fn random_bytes<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(error) => bail!("the operating system gives no random numbers: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn what_init_writes_is_a_good_configuration() {
        let text = configuration("ac\"me", "ber\\lin", Path::new("/tmp/a b")).unwrap();
        let settings =
            Settings::from_text(&text, Path::new("/etc/mesh/presence-mesh.toml")).unwrap();
        assert_eq!(settings.mesh.as_deref(), Some("ac\"me"));
        assert_eq!(settings.node.as_deref(), Some("ber\\lin"));
        assert_eq!(
            settings.key_file.as_deref(),
            Some(Path::new("/etc/mesh/mesh.key"))
        );
        assert_eq!(settings.data_dir.as_deref(), Some(Path::new("/tmp/a b")));
    }
}
