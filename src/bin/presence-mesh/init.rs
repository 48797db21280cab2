//! `init`: the files of a new node, which `join` writes, too.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use presence_mesh::{Identity, MeshKey};
use rustix::fs::{Access, access};

use crate::cli::InitArgs;
use crate::{output, service};

/// Writes `mesh.key`, `identity.key` and `presence-mesh.toml`; changes nothing when one of them is there.
pub fn run(args: &InitArgs) -> anyhow::Result<()> {
    let files = Files::prepare(&args.dir, args.data_dir.as_deref())?;
    let identity = Identity::from_bytes(random_bytes()?);
    let key = MeshKey::from_bytes(random_bytes()?);
    files.write(&key, &identity, &args.mesh, &args.node, &[])?;
    eprintln!(
        "Let others in: presence-mesh invite there, once it runs, and presence-mesh join on the new machine. Or copy \
         mesh.key over a safe channel, over the one their own init made."
    );
    Ok(())
}

/// The files of a new node, none of which is there.
#[derive(Debug)]
pub struct Files {
    dir: PathBuf,
    data_dir: Option<PathBuf>,
    /// Where an identity is to be written.
    identity: Option<PathBuf>,
}

impl Files {
    const KEY: &str = "mesh.key";
    const CONFIG: &str = "presence-mesh.toml";
    const IDENTITY: &str = "identity.key";

    /// Makes the folder. `data_dir`: where the node is to keep what it knows, when not there; it makes its own
    /// identity there at its first start, unless [`Files::identity`] does.
    ///
    /// # Errors
    /// When one of the files is there, or nothing can be written there.
    pub fn prepare(dir: &Path, data_dir: Option<&Path>) -> anyhow::Result<Self> {
        let absolute = |path| std::path::absolute(path).context("no working directory");
        let (dir, data_dir) = (absolute(dir)?, data_dir.map(absolute).transpose()?);
        let identity = data_dir.is_none().then(|| dir.join(Self::IDENTITY));
        let names = [Self::KEY, Self::CONFIG].map(|name| dir.join(name));
        let mut files = names.into_iter().chain(identity.clone());
        if let Some(file) = files.find(|file| file.symlink_metadata().is_ok()) {
            bail!("{} exists already: nothing was changed", file.display());
        }
        configuration("", "", data_dir.as_ref().unwrap_or(&dir), &[])?;
        make(&dir)?;
        Ok(Self {
            dir,
            data_dir,
            identity,
        })
    }

    /// Who the node is to be: whom its folder knows, or somebody new, who is written there with all the rest.
    ///
    /// # Errors
    /// When the identity there cannot be used, or none can be written there.
    pub fn identity(&mut self) -> anyhow::Result<Identity> {
        if let Some(folder) = &self.data_dir {
            let file = folder.join(Self::IDENTITY);
            let cannot = |what| format!("cannot {what} {}", file.display());
            match fs::read_to_string(&file) {
                Ok(text) => return Identity::parse(&text).with_context(|| cannot("use")),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| cannot("read")),
            }
            make(folder)?;
            self.identity = Some(file);
        }
        Ok(Identity::from_bytes(random_bytes()?))
    }

    /// Writes all of them or none, and tells where and what to do next.
    pub fn write(
        self,
        key: &MeshKey,
        identity: &Identity,
        mesh: &str,
        node: &str,
        join: &[String],
    ) -> anyhow::Result<()> {
        let data_dir = self.data_dir.as_ref().unwrap_or(&self.dir);
        let config = self.dir.join(Self::CONFIG);
        let text = configuration(mesh, node, data_dir, join)?;
        let mut files = vec![
            (self.dir.join(Self::KEY), 0o600, key.to_text()),
            (config.clone(), 0o644, text),
        ];
        if let Some(file) = &self.identity {
            files.push((file.clone(), 0o600, identity.to_text()));
        }
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
        if self.identity.is_some() {
            eprintln!("This node is {}.", identity.replica());
        }
        eprintln!("Start it: {}", service::start_command(&config));
        Ok(())
    }
}

/// What `init` and `join` write, with what most operators change as comments.
fn configuration(
    mesh: &str,
    node: &str,
    data_dir: &Path,
    join: &[String],
) -> anyhow::Result<String> {
    let Some(data_dir) = data_dir.to_str() else {
        bail!("{} is not UTF-8", data_dir.display())
    };
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let join: Vec<String> = join.iter().map(|address| quoted(address)).collect();
    Ok(format!(
        r#"mesh = {}
node = {}
key_file = "mesh.key"
data_dir = {}
listen = ["0.0.0.0:4747"]
# One live node is enough; it is redialled for ever.
join = [{}]
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
        quoted(data_dir),
        join.join(", ")
    ))
}

/// A folder that can be written to.
fn make(dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    access(dir, Access::WRITE_OK | Access::EXEC_OK)
        .with_context(|| format!("cannot write to {}", dir.display()))
}

/// The file belongs to whom its folder does: root may make it for a service that runs as somebody else.
fn write_new(path: &Path, mode: u32, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    if let Some(folder) = path.parent() {
        let (folder, own) = (folder.metadata()?, file.metadata()?);
        if folder.uid() != own.uid() {
            // Only root can, and only root has to.
            let _ = fchown(&file, Some(folder.uid()), Some(folder.gid()));
        }
    }
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
        let text = configuration(
            "ac\"me",
            "ber\\lin",
            Path::new("/tmp/a b"),
            &["paris.example.net:4747".to_owned()],
        )
        .unwrap();
        let settings =
            Settings::from_text(&text, Path::new("/etc/mesh/presence-mesh.toml")).unwrap();
        assert_eq!(settings.mesh.as_deref(), Some("ac\"me"));
        assert_eq!(settings.node.as_deref(), Some("ber\\lin"));
        assert_eq!(
            settings.key_file.as_deref(),
            Some(Path::new("/etc/mesh/mesh.key"))
        );
        assert_eq!(settings.data_dir.as_deref(), Some(Path::new("/tmp/a b")));
        assert_eq!(settings.join, ["paris.example.net:4747"]);
    }
}
