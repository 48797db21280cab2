//! Two machines on one wire, told nothing about each other, become a mesh. Runs `examples/node.rs`.
#![cfg(all(feature = "mdns", target_os = "linux"))]

#[path = "support/netns.rs"]
mod netns;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use netns::Wire;
use presence_mesh::MeshKey;

const DEADLINE: Duration = Duration::from_secs(60);

/// A running example, ended when dropped.
struct Node {
    child: Child,
    lines: Receiver<String>,
}

impl Node {
    fn start(wire: &Wire, machine: usize, key: &Path, name: &str) -> Self {
        let mut command = wire.command(machine, &example());
        command
            .args(["--node", name, "--key-file"])
            .arg(key)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("the example runs");
        let output = BufReader::new(child.stdout.take().expect("it was piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            output
                .lines()
                .map_while(Result::ok)
                .all(|line| sender.send(line).is_ok())
        });
        Self { child, lines }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().expect("it was piped"), "{line}")
            .expect("the example listens");
    }

    fn hears(&self, wanted: &str) {
        let deadline = Instant::now() + DEADLINE;
        let mut heard = Vec::new();
        while !heard.iter().any(|line: &String| line.starts_with(wanted)) {
            let left = deadline.saturating_duration_since(Instant::now());
            heard.push(
                self.lines
                    .recv_timeout(left)
                    .unwrap_or_else(|_| panic!("no {wanted:?} in {heard:?}")),
            );
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Built together with the tests, beside them.
fn example() -> PathBuf {
    let test = std::env::current_exe().expect("this test is a file");
    let path = test
        .parent()
        .and_then(Path::parent)
        .expect("it lies in deps")
        .join("examples/node");
    assert!(
        path.exists(),
        "{} is not there: cargo build --examples",
        path.display()
    );
    path
}

#[test]
fn two_machines_on_one_wire_find_each_other() {
    let Some(wire) = Wire::new("two_machines_on_one_wire_find_each_other") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("mesh.key");
    fs::write(&key, MeshKey::from_bytes([42; 32]).to_text()).expect("a key file");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("its permissions");

    let mut berlin = Node::start(&wire, 0, &key, "berlin");
    berlin.hears("listening /ip4/10.77.0.1/tcp/");
    let mut paris = Node::start(&wire, 1, &key, "paris");
    paris.hears("listening /ip4/10.77.0.2/tcp/");
    berlin.say("PJSIP/100 INUSE");
    paris.hears("PJSIP/100 INUSE Live berlin");
    paris.say("PJSIP/100 RINGING");
    berlin.hears("PJSIP/100 RINGINUSE Live");

    // The end of its input makes it leave, which the other sees at once and not after ten seconds of silence.
    drop(paris.child.stdin.take());
    let start = Instant::now();
    berlin.hears("PJSIP/100 INUSE Live berlin");
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
}
