//! The Debian package: made of the program this test was built with, put into a scratch root, and taken out again.

#[path = "support/asterisk.rs"]
mod asterisk;
#[path = "support/process.rs"]
mod process;
#[path = "support/tools.rs"]
mod tools;

use std::collections::BTreeSet;
use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use asterisk::Pbx;
use presence_mesh::DeviceState::InUse;
use process::{Node, PATIENCE, PROGRAM, World, program_at};
use tempfile::TempDir;
use tools::{has, succeed, write_targets};

/// A Debian of its own, as far as dpkg and systemd look at it.
struct Root(TempDir);

impl Root {
    fn new() -> Self {
        let root = Self(TempDir::new().expect("a temporary folder"));
        for folder in [
            "etc/systemd/system/multi-user.target.wants",
            "usr/bin",
            "usr/lib/systemd/system",
            "usr/share/doc",
            "usr/share/man/man1",
            "var/lib/dpkg/info",
            "var/lib/dpkg/triggers",
            "var/lib/dpkg/updates",
            "var/lib/private",
            "var/lib/systemd",
        ] {
            fs::create_dir_all(root.path(folder)).expect("a writable folder");
        }
        for file in ["status", "available"] {
            fs::write(root.path("var/lib/dpkg").join(file), "").expect("a writable folder");
        }
        write_targets(&root.path("usr/lib/systemd/system"));
        root
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.0.path().join(inside)
    }

    /// dpkg on this root. What the package needs of Debian is not here, and what the machine leaves out of its own
    /// packages (manual pages, in containers) is not left out.
    fn dpkg(&self, arguments: &[&str]) -> String {
        succeed(
            Command::new("dpkg")
                .arg(format!("--root={}", self.0.path().display()))
                .args([
                    "--force-script-chrootless",
                    "--force-depends",
                    "--log=/dev/null",
                ])
                .arg("--path-include=/usr/share/*")
                .args(arguments),
        )
    }

    /// Everything in it but dpkg's own books.
    fn list(&self) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        let mut folders = vec![self.0.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("it can be read") {
                let path = entry.expect("it can be read").path();
                let inside = path
                    .strip_prefix(self.0.path())
                    .expect("it is inside")
                    .to_owned();
                if inside.starts_with("var/lib/dpkg") {
                    continue;
                }
                if path.symlink_metadata().expect("it is there").is_dir() {
                    folders.push(path);
                }
                found.insert(inside);
            }
        }
        found
    }

    /// What the unit starts, as systemd would in this root.
    fn command_of_the_unit(&self) -> Command {
        let unit = self.path("usr/lib/systemd/system/presence-mesh.service");
        let unit = fs::read_to_string(unit).expect("it is installed");
        let line = unit
            .lines()
            .find_map(|line| line.strip_prefix("ExecStart="));
        let inside = |word: &str| {
            let word = word.replace("%S", "/var/lib");
            match word.strip_prefix('/') {
                Some(path) => self.path(path),
                None => word.into(),
            }
        };
        let mut words = line.expect("it starts something").split(' ').map(inside);
        let mut command = program_at(&words.next().expect("a program"));
        command.args(words);
        command
    }
}

/// Makes the package, once for all tests of this file.
fn package(folder: &Path) -> PathBuf {
    let file = folder.join("presence-mesh.deb");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/build-deb");
    succeed(
        Command::new(script)
            .args([PROGRAM, "--fast", "--output"])
            .arg(&file),
    );
    file
}

/// The whole life of an installation: what it brings, that it runs as the unit says, that removing it takes back
/// what a node that died told its PBX, and that purging it leaves nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_package_is_installed_runs_and_leaves_nothing() {
    let name = "a_package_is_installed_runs_and_leaves_nothing";
    if !has("cargo-deb", "cargo install cargo-deb", name)
        || !has("dpkg", "dpkg", name)
        || !has("systemd-analyze", "systemd", name)
    {
        return;
    }
    let (root, folder) = (Root::new(), TempDir::new().expect("a temporary folder"));
    let before = root.list();
    let file = package(folder.path());
    let file = file.to_str().expect("UTF-8");
    let said = root.dpkg(&["--install", file]);
    assert!(
        said.contains("presence-mesh init"),
        "it says what to do next: {said}"
    );

    let installed = root.list();
    for path in [
        "usr/bin/presence-mesh",
        "usr/lib/systemd/system/presence-mesh.service",
        "usr/share/man/man1/presence-mesh.1.gz",
        "usr/share/man/man1/presence-mesh-run.1.gz",
        "usr/share/bash-completion/completions/presence-mesh",
        "usr/share/zsh/vendor-completions/_presence-mesh",
        "usr/share/fish/vendor_completions.d/presence-mesh.fish",
        "usr/share/doc/presence-mesh/README.md",
        "usr/share/doc/presence-mesh/docs/two-offices.md",
        "usr/share/doc/presence-mesh/copyright",
        "usr/share/doc/presence-mesh/alerts.yml",
        "usr/share/doc/presence-mesh/grafana-dashboard.json",
        "etc/presence-mesh/example.toml",
        "etc/systemd/system/multi-user.target.wants/presence-mesh.service",
    ] {
        assert!(
            installed.contains(Path::new(path)),
            "{path} in {installed:?}"
        );
    }
    let conffiles = root.dpkg(&["--status", "presence-mesh"]);
    assert!(
        conffiles.contains(" /etc/presence-mesh/example.toml "),
        "{conffiles}"
    );
    let program_file = root.path("usr/bin/presence-mesh");
    succeed(Command::new(&program_file).arg("--version"));
    let example = root.path("etc/presence-mesh/example.toml");
    let check = |config: &Path| {
        succeed(
            Command::new(&program_file)
                .args(["config", "check"])
                .arg(config),
        )
    };
    check(&example);
    let complaints = succeed(
        Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(format!("--root={}", root.0.path().display()))
            .arg("presence-mesh.service"),
    );
    // What it merely warns of fails it not.
    assert_eq!(complaints, "");

    // As the example says, and as systemd makes the folder of a service with a user of its own.
    let etc = root.path("etc/presence-mesh");
    let line = fs::read_to_string(&example).expect("it is installed");
    let line = line
        .lines()
        .find_map(|line| line.strip_prefix("#   presence-mesh init "));
    let words = line
        .expect("a command")
        .split(' ')
        .map(|word| match word.strip_prefix('/') {
            Some(inside) => root.path(inside).into_os_string(),
            None => word.into(),
        });
    succeed(Command::new(&program_file).arg("init").args(words));
    let mode = |file: &str| {
        fs::metadata(etc.join(file))
            .expect("made")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(
        (mode("mesh.key"), mode("presence-mesh.toml")),
        (0o600, 0o644)
    );
    fs::create_dir(root.path("var/lib/private/presence-mesh")).expect("a writable folder");
    symlink("private/presence-mesh", root.path("var/lib/presence-mesh"))
        .expect("a writable folder");

    let pbx = Pbx::new("berlin", "02:00:00:00:00:0a").await;
    let free = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let bridge = free.local_addr().expect("it is bound");
    drop(free);
    let config = etc.join("presence-mesh.toml");
    let text = fs::read_to_string(&config).expect("made");
    let text = text
        .replace("\"0.0.0.0:4747\"", "\"127.0.0.1:0\"")
        .replace("\"127.0.0.1:4780\"", "\"127.0.0.1:0\"")
        .replace("preset = \"lan\"", "preset = \"local\"");
    let asterisk = format!(
        "[asterisk]\nlisten = \"{bridge}\"\nserver = \"{}\"\n",
        pbx.uri()
    );
    fs::write(
        &config,
        format!("{text}\n[discovery]\nmdns = false\n\n{asterisk}"),
    )
    .expect("writable");
    check(&config);

    // A node beside it, with the same key, whose lamp the PBX is told of.
    let world = World::new();
    fs::copy(etc.join("mesh.key"), world.key_file()).expect("readable");
    let mut node = Node::spawn(
        "berlin",
        root.command_of_the_unit(),
        &folder.path().join("log"),
    );
    pbx.publish_to(bridge);
    pbx.boot();
    node.await_field("/readyz", "ok", true, PATIENCE);
    let flags = ["--mesh", "acme", "--preset", "local"];
    let mut command = world.command("oslo", &flags);
    for address in &node.mesh {
        command.args(["--join", address]);
    }
    let oslo = Node::spawn("oslo", command, &folder.path().join("oslo.log"));
    oslo.put("/api/v1/devices/PJSIP%2F100", r#"{"state":"INUSE"}"#);
    pbx.until("the lamp is lit", |pbx| pbx.lamp("PJSIP/100") == InUse)
        .await;
    assert!(
        root.path("var/lib/private/presence-mesh/identity.key")
            .exists()
    );
    assert!(!etc.join("identity.key").exists());

    // It dies, and so does the lamp, though no node is left to take it back.
    node.kill();
    assert_eq!(pbx.remote_lamps(), 1);
    let said = tokio::task::block_in_place(|| root.dpkg(&["--remove", "presence-mesh"]));
    assert_eq!(pbx.remote_lamps(), 0, "{said}");
    assert!(said.contains("left: 0"), "{said}");
    assert!(etc.join("mesh.key").exists(), "configuration stays");

    root.dpkg(&["--purge", "presence-mesh"]);
    let after = root.list();
    let left: Vec<_> = after.difference(&before).collect();
    assert!(left.is_empty(), "{left:?}");
}
