//! `invite` and `join`: a second server comes in with one line of text.

mod support {
    pub mod process;
}

use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::thread;

use serde_json::Value;
use support::process::{Node, PATIENCE, World, program, request, text, wait_for};

const DEVICE: &str = "/api/v1/devices/PJSIP%2F100";
const FILES: [&str; 3] = ["mesh.key", "identity.key", "presence-mesh.toml"];

/// What is dialled to reach the node's own listener.
fn mesh_address(node: &Node) -> String {
    let port = node.mesh[0].split('/').nth(4).expect("a TCP multiaddr");
    format!("127.0.0.1:{port}")
}

/// Nobody listens there.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    listener.local_addr().expect("it is bound").to_string()
}

fn invite(node: &Node, flags: &[&str]) -> String {
    let answer = node.ask(&[&["invite"], flags].concat());
    assert!(answer.status.success(), "{}", text(&answer.stderr));
    text(&answer.stdout).trim_end().to_owned()
}

fn join(dir: &Path, line: &str) -> Output {
    join_with(&["--dir".as_ref(), dir.as_os_str()], line)
}

fn join_with(flags: &[&OsStr], line: &str) -> Output {
    let mut child = program()
        .args(["join", "--node", "paris"])
        .args(flags)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    // A program that has seen enough does not read on.
    let _ = writeln!(stdin, "{line}");
    drop(stdin);
    child.wait_with_output().expect("a child of ours")
}

/// It exits with 1, says why, and writes nothing.
fn refused(dir: &Path, line: &str, why: &str) {
    let output = join(dir, line);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(why), "{stderr}");
    for file in FILES {
        assert!(!dir.join(file).exists(), "{file}");
    }
}

fn run_joined(world: &World, dir: &Path) -> Node {
    let mut command = program();
    command.arg("run").arg("--config").arg(dir.join(FILES[2]));
    command.args([
        "--mdns",
        "off",
        "--http",
        "127.0.0.1:0",
        "--listen",
        "127.0.0.1:0",
    ]);
    Node::spawn("paris", command, &world.path("paris.log"))
}

/// The whole story, through the one port that is forwarded.
#[test]
fn who_is_invited_joins_once() {
    let world = World::new();
    let berlin = world.start("berlin", &[], &[]);
    berlin.put(DEVICE, r#"{"state":"INUSE"}"#);
    let line = invite(&berlin, &["--address", &mesh_address(&berlin)]);

    let dir = world.path("paris");
    let joined = join(&dir, &line);
    assert!(joined.status.success(), "{}", text(&joined.stderr));
    for (file, mode) in FILES.iter().zip([0o600, 0o600, 0o644]) {
        let metadata = fs::metadata(dir.join(file)).expect(file);
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{file}");
    }
    let paris = run_joined(&world, &dir);
    paris.await_field(DEVICE, "state", "INUSE", PATIENCE);
    paris.put("/api/v1/devices/PJSIP%2F200", r#"{"state":"RINGING"}"#);
    berlin.await_field("/api/v1/devices/PJSIP%2F200", "state", "RINGING", PATIENCE);

    // Who comes for an invite is no stranger.
    assert!(!berlin.log().contains("stranger"), "{}", berlin.log());
    refused(&world.path("oslo"), &line, "was used");
    let log = berlin.log();
    assert!(
        log.contains("an invite was used") && log.contains(&paris.replica),
        "{log}"
    );
    let secret = &line[16..line.find('@').expect("an invite has a host")];
    assert!(!log.contains(secret), "{log}");
}

/// With a folder of its own for what it knows, the node is the one that was told to the inviter: now, and when it
/// comes in once more.
#[test]
fn who_joins_is_who_runs() {
    let world = World::new();
    let berlin = world.start("berlin", &[], &[]);
    let data_dir = world.path("state");
    for name in ["paris", "paris-again"] {
        let line = invite(&berlin, &["--address", &mesh_address(&berlin)]);
        let dir = world.path(name);
        let flags = ["--dir", "--data-dir"].map(OsStr::new);
        let flags = [flags[0], dir.as_os_str(), flags[1], data_dir.as_os_str()];
        let joined = join_with(&flags, &line);
        assert!(joined.status.success(), "{}", text(&joined.stderr));
        assert!(!dir.join(FILES[1]).exists());
        let mut paris = run_joined(&world, &dir);
        let told = |log: &str| {
            let used = log
                .lines()
                .filter(|line| line.contains("an invite was used"));
            used.filter(|line| line.contains(&paris.replica)).count()
        };
        let wanted = if name == "paris" { 1 } else { 2 };
        assert_eq!(told(&berlin.log()), wanted, "{}", berlin.log());
        paris.terminate();
    }
    let identity = fs::metadata(data_dir.join(FILES[1])).expect("it was made");
    assert_eq!(identity.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_port_of_its_own_is_closed_after_use() {
    let world = World::new();
    let berlin = world.start("berlin", &[], &[]);
    let address = free_address();
    let [first, second] = [(); 2].map(|()| invite(&berlin, &["--address", &address]));

    let joined = join(&world.path("paris"), &first);
    assert!(joined.status.success(), "{}", text(&joined.stderr));
    // Another is open there still, and the used one is refused all the same.
    refused(&world.path("oslo"), &first, "was used");
    let joined = join(&world.path("oslo"), &second);
    assert!(joined.status.success(), "{}", text(&joined.stderr));
    wait_for("the end of the listener", PATIENCE, || {
        TcpStream::connect(&address).err()
    });
    refused(&world.path("rome"), &second, "nobody answers");

    let config = fs::read_to_string(world.path("paris").join(FILES[2])).expect("it joined");
    assert!(
        config.contains(&format!("join = [\"{}\"]", mesh_address(&berlin))),
        "{config}"
    );
    let paris = run_joined(&world, &world.path("paris"));
    paris.await_peers(1);
}

#[test]
fn an_invite_expires() {
    let world = World::new();
    let berlin = world.start("berlin", &[], &[]);
    let address = free_address();
    let line = invite(&berlin, &["--address", &address, "--expires", "1s"]);
    let at_mesh = mesh_address(&berlin);
    let other = invite(&berlin, &["--address", &at_mesh, "--expires", "1s"]);
    wait_for("the end of the listener", PATIENCE, || {
        TcpStream::connect(&address).err()
    });
    refused(&world.path("paris"), &line, "expired");
    // Opened later, so it may live a moment longer.
    wait_for("the end of the other invite", PATIENCE, || {
        let end = other
            .rsplit_once('=')
            .expect("it says when")
            .1
            .parse::<u64>();
        let now = std::time::UNIX_EPOCH
            .elapsed()
            .expect("after 1970")
            .as_secs();
        (now > end.expect("a number") + 1).then_some(())
    });
    refused(&world.path("paris"), &other, "expired");
}

#[test]
fn a_changed_invite_is_refused_and_the_true_one_still_good() {
    let world = World::new();
    let berlin = world.start("berlin", &[], &[]);
    let oslo = world.start("oslo", &[&berlin], &[]);
    let address = free_address();
    let line = invite(&berlin, &["--address", &address]);
    let at_mesh = invite(&berlin, &["--address", &mesh_address(&berlin)]);
    let paris = world.path("paris");
    for line in [&line, &at_mesh] {
        let flipped = if line.as_bytes()[20] == b'x' {
            "y"
        } else {
            "x"
        };
        let mut secret = line.clone();
        secret.replace_range(20..21, flipped);
        refused(&paris, &secret, "does not know the invite");
        refused(
            &paris,
            &line.replace("/test?", "/toast?"),
            "does not know the invite",
        );
        refused(
            &paris,
            &line.replace(&berlin.replica, &oslo.replica),
            "does not know the invite",
        );
        refused(&paris, &line[..60], "not whole");
    }
    refused(&paris, &"5a".repeat(32), "begins with presence-mesh://");
    for (number, line) in [line, at_mesh].iter().enumerate() {
        let joined = join(&world.path(&format!("joined{number}")), line);
        assert!(joined.status.success(), "{}", text(&joined.stderr));
    }
}

#[test]
fn garbage_changes_nothing() {
    let world = World::new();
    let berlin = world.start("berlin", &[], &[]);
    let address = free_address();
    let line = invite(&berlin, &["--address", &address]);
    for garbage in [
        &b""[..],
        b"GET / HTTP/1.1\r\n\r\n",
        &[0; 24],
        &[0xff; 5_000],
    ] {
        let mut socket = TcpStream::connect(&address).expect("it listens");
        // It may close before all is written.
        let _ = socket.write_all(garbage);
        let _ = socket.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        assert_eq!(answer, b"", "it says nothing to strangers");
    }
    // More than are served at once, and none of them says a word.
    let idle: Vec<_> = (0..100).map(|_| TcpStream::connect(&address)).collect();
    drop(idle);
    wait_for("a place", PATIENCE, || {
        join(&world.path("paris"), &line)
            .status
            .success()
            .then_some(())
    });
    assert!(!berlin.log().contains("panic"), "{}", berlin.log());
}

#[test]
fn nothing_is_overwritten_and_the_invite_is_not_spent() {
    let world = World::new();
    let berlin = world.start("berlin", &[], &[]);
    let line = invite(&berlin, &["--address", &mesh_address(&berlin)]);
    for file in FILES {
        let dir = world.path(&format!("has-{file}"));
        fs::create_dir(&dir).expect("a writable folder");
        fs::write(dir.join(file), "mine").expect("a writable folder");
        let output = join(&dir, &line);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("exists already"));
        assert_eq!(fs::read_to_string(dir.join(file)).expect(file), "mine");
        assert_eq!(fs::read_dir(&dir).expect("ours").count(), 1);
    }
    assert!(join(&world.path("paris"), &line).status.success());
}

/// Only one of many who hold the line gets in, however they hurry.
#[test]
fn of_several_at_once_one_gets_in() {
    let world = World::new();
    let berlin = world.start("berlin", &[], &[]);
    let line = invite(&berlin, &["--address", &mesh_address(&berlin)]);
    let joined: Vec<bool> = thread::scope(|scope| {
        let tries: Vec<_> = (0..6)
            .map(|number| {
                let (dir, line) = (world.path(&format!("try{number}")), &line);
                scope.spawn(move || join(&dir, line).status.success())
            })
            .collect();
        tries
            .into_iter()
            .map(|one| one.join().expect("no panic"))
            .collect()
    });
    assert_eq!(
        joined.iter().filter(|&&joined| joined).count(),
        1,
        "{joined:?}"
    );
}

#[test]
fn bad_requests_are_refused() {
    let world = World::new();
    let berlin = world.start("berlin", &[], &[]);
    let post = |headers: &[(&str, &str)], body: &str| {
        let (status, answer) = request(berlin.http, "POST", "/api/v1/invites", headers, body);
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        (
            status,
            answer["detail"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let good = format!(r#"{{"address":"{}"}}"#, mesh_address(&berlin));
    let foreign = [("Origin", "http://evil.example")];
    assert_eq!(post(&foreign, &good).0, 403);
    for body in [
        "",
        "{}",
        r#"{"address":"berlin"}"#,
        r#"{"address":"0.0.0.0:4747"}"#,
        r#"{"address":"berlin:0"}"#,
        r#"{"address":"berlin:1","listen":"x"}"#,
        r#"{"address":"berlin:1","lifetime_s":901}"#,
        r#"{"address":"berlin:1","lifetime_s":0}"#,
        r#"{"address":"berlin:1","lifetime":1}"#,
    ] {
        assert_eq!(post(&[], body).0, 400, "{body}");
    }
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = taken.local_addr().expect("it is bound");
    let (status, detail) = post(&[], &format!(r#"{{"address":"{address}"}}"#));
    assert!(
        status == 409 && detail.contains("--listen"),
        "{status} {detail}"
    );
    for _ in 0..16 {
        assert_eq!(post(&[], &good).0, 201);
    }
    let (status, detail) = post(&[], &good);
    assert!(
        status == 409 && detail.contains("16 invites"),
        "{status} {detail}"
    );
    let empty = program()
        .args(["join", "--dir"])
        .arg(world.path("paris"))
        .output();
    assert_eq!(empty.expect("the program starts").status.code(), Some(2));
}
