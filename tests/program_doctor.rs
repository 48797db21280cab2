//! `doctor`: each finding appears where something is wrong, and nowhere else.

#[path = "support/asterisk.rs"]
mod asterisk;
mod support {
    pub mod process;
}

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use asterisk::Pbx;
use serde_json::Value;
use support::process::{Node, PATIENCE, World, program, text, write_secret};

const EID: &str = "02:00:00:00:00:0a";
const PASSWORD: &str = "pass word";

/// A server: configuration, secrets, a PBX beside it, and another server that it joins.
struct Site {
    world: World,
    oslo: Node,
    pbx: Pbx,
    /// Where the PBX publishes to.
    bridge: SocketAddr,
    listen: SocketAddr,
    http: SocketAddr,
    /// The PBX's tasks run here.
    runtime: tokio::runtime::Runtime,
}

impl Site {
    fn new() -> Self {
        let world = World::new();
        let oslo = world.start("oslo", &[], &[]);
        let runtime = tokio::runtime::Runtime::new().expect("threads");
        let pbx = runtime
            .block_on(Pbx::new("berlin", EID))
            .with_password(PASSWORD);
        let udp = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        let bridge = udp.local_addr().expect("it is bound");
        let tcp = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("loopback"));
        let [listen, http] = tcp
            .each_ref()
            .map(|one| one.local_addr().expect("it is bound"));
        pbx.publish_to(bridge);
        pbx.boot();
        let site = Self {
            world,
            oslo,
            pbx,
            bridge,
            listen,
            http,
            runtime,
        };
        write_secret(&site.path("asterisk.secret"), PASSWORD);
        fs::create_dir(site.path("berlin")).expect("a writable folder");
        site.configure("", "");
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.world.path(name)
    }

    /// Writes the configuration anew, with `old` replaced by `new`.
    fn configure(&self, old: &str, new: &str) {
        let Self {
            listen,
            http,
            bridge,
            ..
        } = self;
        let (join, server) = (&self.oslo.mesh[0], self.pbx.uri());
        let text = format!(
            "mesh = \"test\"\nnode = \"berlin\"\nkey_file = \"mesh.key\"\ndata_dir = \"berlin\"\n\
             listen = [\"{listen}\"]\njoin = [\"{join}\"]\n[discovery]\nmdns = false\n[http]\nlisten = \"{http}\"\n\
             [asterisk]\nlisten = \"{bridge}\"\nserver = \"{server}\"\npassword_file = \"asterisk.secret\"\n"
        );
        assert!(text.contains(old), "{text}");
        fs::write(self.path("berlin.toml"), text.replacen(old, new, 1)).expect("a writable folder");
    }

    fn start(&self) -> Node {
        let mut command = program();
        command
            .arg("run")
            .arg("--config")
            .arg(self.path("berlin.toml"));
        let node = Node::spawn("berlin", command, &self.path("berlin.log"));
        node.await_peers(1);
        node.await_field("/readyz", "ok", true, PATIENCE);
        node
    }

    /// What it finds wrong, by name and with what it says; every finding has a fix of one line.
    fn doctor(&self, flags: &[&str]) -> Vec<(String, String)> {
        let mut command = program();
        command
            .args(["doctor", "--json", "--config"])
            .arg(self.path("berlin.toml"));
        let output = command.args(flags).output().expect("the program starts");
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
        let checks = report["checks"].as_array().expect("a list");
        let wrong: Vec<_> = checks.iter().filter(|check| check["ok"] == false).collect();
        assert_eq!(report["ok"], wrong.is_empty());
        assert_eq!(
            output.status.code(),
            Some(i32::from(!wrong.is_empty())),
            "{report}"
        );
        let word =
            |check: &Value, field: &str| check[field].as_str().unwrap_or_default().to_owned();
        for check in &wrong {
            let fix = word(check, "fix");
            assert!(!fix.is_empty() && !fix.contains('\n'), "{check}");
        }
        let told = |check: &&Value| (word(check, "check"), check.to_string());
        wrong.iter().map(told).collect()
    }

    /// It finds this alone, and says this of it.
    fn finds(&self, flags: &[&str], check: &str, says: &str) {
        let found = self.doctor(flags);
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, [check], "{found:?}");
        assert!(found[0].1.contains(says), "{found:?}");
    }

    fn finds_nothing(&self, flags: &[&str]) {
        assert_eq!(self.doctor(flags), []);
    }
}

#[test]
fn a_running_node_is_examined() {
    let mut site = Site::new();
    let berlin = site.start();
    site.finds_nothing(&[]);

    // The PBX, from without and from within.
    write_secret(&site.path("asterisk.secret"), "wrong");
    site.finds(&[], "pbx-credentials", "type=auth");
    write_secret(&site.path("asterisk.secret"), PASSWORD);
    site.pbx.refuse(Some(404));
    let found = site.doctor(&[]);
    let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["pbx-blocks"; 2], "{found:?}");
    assert!(found[0].1.contains("type=inbound-publication"), "{found:?}");
    site.pbx.refuse(Some(489));
    assert!(site.doctor(&[])[0].1.contains("res_pjsip_publish_asterisk"));
    site.pbx.refuse(None);
    site.finds_nothing(&[]);

    // The node runs on other settings than the file says.
    // Bound and let go at once: nobody listens there.
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let free = bound.expect("loopback").to_string();
    site.configure(&site.listen.to_string(), &free);
    site.finds(&[], "mesh-port", "nobody listens at");
    site.configure("mesh = \"test\"", "mesh = \"toast\"");
    site.finds(&[], "mesh", "of mesh test");
    site.configure("", "");

    site.oslo.kill();
    site.finds(&[], "join", &site.oslo.mesh[0]);
    assert_eq!(site.pbx.violations(), [""; 0]);
    drop(berlin);
}

#[test]
fn without_a_node_the_rest_is_examined() {
    let site = Site::new();
    site.finds(&[], "node", "start it: presence-mesh run");
    // What is wrong besides.
    let besides = |flags: &[&str]| {
        let mut found = site.doctor(flags);
        assert_eq!(found.remove(0).0, "node");
        found
    };
    let taken = TcpListener::bind(site.listen).expect("nobody has it");
    let found = besides(&[]);
    assert!(
        found.len() == 1 && found[0].1.contains("taken by another program"),
        "{found:?}"
    );
    drop(taken);
    let taken = UdpSocket::bind(site.bridge).expect("nobody has it");
    assert_eq!(besides(&[])[0].0, "pbx-port");
    drop(taken);
    site.pbx.kill();
    let found = besides(&[]);
    assert!(
        found.len() == 1 && found[0].1.contains("nobody answers SIP"),
        "{found:?}"
    );
    drop(site.runtime);
}

#[test]
fn secrets_and_folders_are_examined() {
    let site = Site::new();
    let _berlin = site.start();
    let chmod = |file: &str, mode| {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(site.path(file), permissions).expect("our own file");
    };
    for (file, check) in [
        ("mesh.key", "mesh-key"),
        ("berlin/identity.key", "identity"),
        ("asterisk.secret", "pbx-password"),
    ] {
        chmod(file, 0o640);
        site.finds(&[], check, "chmod 600");
        chmod(file, 0o600);
        site.finds_nothing(&[]);
    }
    let key = fs::read_to_string(site.path("mesh.key")).expect("our own file");
    fs::write(site.path("mesh.key"), "5a").expect("our own file");
    site.finds(&[], "mesh-key", "line 1");
    fs::remove_file(site.path("mesh.key")).expect("our own file");
    site.finds(&[], "mesh-key", "presence-mesh join");
    write_secret(&site.path("mesh.key"), &key);
    // A file is in the way; nobody, root included, can write below it.
    site.configure("data_dir = \"berlin\"", "data_dir = \"mesh.key/berlin\"");
    site.finds(&[], "data-dir", "cannot be written");
}

#[test]
fn the_pbxs_configuration_is_compared() {
    let site = Site::new();
    let _berlin = site.start();
    let mut command = program();
    command
        .args(["asterisk", "config", "--config"])
        .arg(site.path("berlin.toml"));
    let blocks = text(&command.output().expect("the program starts").stdout);
    let file = site.path("pjsip.conf");
    let flags = ["--pjsip", file.to_str().expect("UTF-8")];
    fs::write(&file, format!("[global]\ntype=global\n{blocks}")).expect("a writable folder");
    site.finds_nothing(&flags);
    fs::write(
        &file,
        blocks.replace("type=asterisk-publication", "type=aor"),
    )
    .expect("ours");
    site.finds(
        &flags,
        "pjsip-conf",
        "[mesh] type=asterisk-publication is missing",
    );
    fs::remove_file(&file).expect("ours");
    site.finds(&flags, "pjsip-conf", "cannot be read");
}

#[test]
fn a_bad_configuration_is_a_finding_and_words_are_for_people() {
    let world = World::new();
    let config = world.path("x.toml");
    fs::write(&config, "mesh = \"a\"\nlisen = []\n").expect("a writable folder");
    let run = |flags: &[&str]| {
        let mut command = program();
        command
            .args(["doctor", "--config"])
            .arg(&config)
            .args(flags);
        command.output().expect("the program starts")
    };
    let output = run(&[]);
    let words = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        words.contains("WRONG  configuration:") && words.contains("x.toml:2"),
        "{words}"
    );
    assert!(words.contains("fix: "), "{words}");
    // Without a configuration the running node alone is looked at.
    let node = world.start("berlin", &[], &[]);
    node.await_field("/readyz", "ok", true, PATIENCE);
    let output = node.ask(&["doctor"]);
    let words = text(&output.stdout);
    assert!(output.status.success(), "{words}");
    assert!(
        words.contains("ok     node: berlin of mesh test answers"),
        "{words}"
    );
}
