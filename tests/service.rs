//! The program as systemd runs it: what it tells, what it logs, and what packages make of it.

mod support {
    pub mod process;
    pub mod tools;
}

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use presence_mesh::{Mesh, MeshKey};
use serde_json::Value;
use support::process::{
    Node, PATIENCE, PROGRAM, World, program, run, text, wait_for, write_secret,
};
use support::tools::{has, missing, said, succeed, write_targets};
use tempfile::TempDir;

/// A socket as systemd gives a service.
struct Notified {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Notified {
    fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let socket = UnixDatagram::bind(folder.path().join("notify")).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Self { socket, folder }
    }

    /// Waits for a message that holds this line, and returns the lines of it and of all before it.
    fn until(&self, wanted: &str) -> Vec<String> {
        let mut heard = Vec::new();
        let mut buffer = [0; 4096];
        while !heard.iter().any(|line: &String| line.starts_with(wanted)) {
            let length = self.socket.recv(&mut buffer);
            let length = length.unwrap_or_else(|error| panic!("no {wanted} in {heard:?}: {error}"));
            heard.extend(text(&buffer[..length]).lines().map(str::to_owned));
        }
        heard
    }
}

fn start_notified(world: &World, notified: &Notified, watchdog: &str) -> Node {
    let mut command = world.command("berlin", &[]);
    command
        .env("NOTIFY_SOCKET", notified.folder.path().join("notify"))
        .env("WATCHDOG_USEC", watchdog);
    Node::spawn("berlin", command, &world.path("berlin.log"))
}

#[test]
fn systemd_hears_ready_signs_of_life_and_stopping() {
    let (world, notified) = (World::new(), Notified::new());
    let mut node = start_notified(&world, &notified, "200000");
    let heard = notified.until("READY=1");
    assert_eq!(heard[0], "READY=1", "nothing comes before: {heard:?}");
    assert!(heard[1].starts_with("STATUS=berlin of test: "), "{heard:?}");
    for _ in 0..3 {
        notified.until("WATCHDOG=1");
    }
    let paris = world.start("paris", &[&node], &[]);
    notified.until("STATUS=berlin of test: 1 of 1 other nodes alive");
    drop(paris);
    assert_eq!(node.terminate(), Some(0));
    let heard = notified.until("STOPPING=1");
    assert!(!heard.iter().any(|line| line == "READY=1"), "{heard:?}");
    // It has ended: all it said is here.
    notified.socket.set_nonblocking(true).expect("a socket");
    let mut buffer = [0; 4096];
    while let Ok(length) = notified.socket.recv(&mut buffer) {
        assert!(
            !text(&buffer[..length]).contains("WATCHDOG=1"),
            "it was alive after it stopped"
        );
    }
}

/// A sign of life says that the network's task takes its turns, and not merely that some thread runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_network_task_that_is_stuck_does_not_respond() {
    let mesh = Mesh::builder("test")
        .node("berlin")
        .key(MeshKey::from_bytes([1; 32]));
    let mesh = mesh.listen("127.0.0.1:0").expect("an address").mdns(false);
    let mesh = mesh.start().await.expect("a node");
    assert!(mesh.responds().await);
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (entered, inside) = std::sync::mpsc::channel();
    let holder = mesh.clone();
    let thread = std::thread::spawn(move || {
        holder.inspect(|_| {
            entered.send(()).expect("the test waits");
            held.recv().expect("the test releases");
        });
    });
    inside.recv().expect("the thread runs");
    // Whatever it is doing, its next look at the replica holds it up; it looks at it before it answers.
    let stuck = tokio::time::timeout(Duration::from_secs(2), async {
        while mesh.responds().await {}
    });
    assert!(stuck.await.is_err(), "it ended");
    let patience = Duration::from_millis(300);
    assert!(
        tokio::time::timeout(patience, mesh.responds())
            .await
            .is_err()
    );
    release.send(()).expect("the thread waits");
    thread.join().expect("no panic");
    let answer = tokio::time::timeout(PATIENCE, mesh.responds()).await;
    assert_eq!(answer.ok(), Some(true));
    mesh.leave().await;
    assert!(!mesh.responds().await);
}

#[test]
fn json_logs_are_objects_with_their_fields() {
    let world = World::new();
    let mut node = world.start("berlin", &[], &["--log", "json"]);
    let paris = world.start("paris", &[&node], &[]);
    wait_for("a peer is logged", PATIENCE, || {
        node.log().contains("a peer came").then_some(())
    });
    drop(paris);
    assert_eq!(node.terminate(), Some(0));
    let log = node.log();
    let events: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect();
    let started = events
        .iter()
        .find(|event| event["message"] == "node started");
    let started = started.unwrap_or_else(|| panic!("{log}"));
    assert_eq!(started["level"], "INFO");
    assert_eq!(started["node"], "berlin");
    assert_eq!(started["mesh"], "test");
    assert!(started["timestamp"].is_string());
    let came = events
        .iter()
        .find(|event| event["message"] == "a peer came");
    assert!(came.is_some_and(|event| event["peer"].is_string()), "{log}");
}

/// In a mount namespace of its own, so that the journal it finds is a socket of the test's.
#[test]
fn the_journal_gets_fields_when_stderr_is_the_journal() {
    let name = "the_journal_gets_fields_when_stderr_is_the_journal";
    let allowed = Command::new("unshare").args(["--mount", "true"]).status();
    if !allowed.is_ok_and(|status| status.success()) {
        return missing("netns", "namespaces cannot be made", name);
    }
    let (world, folder) = (World::new(), TempDir::new().expect("a temporary folder"));
    let journal = UnixDatagram::bind(folder.path().join("socket")).expect("a socket");
    journal.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let log = world.path("berlin.log");
    let stderr = fs::File::create(&log)
        .expect("a log")
        .metadata()
        .expect("a file");
    let run = world.command("berlin", &[]);
    let mut command = Command::new("unshare");
    let line = "mount -t tmpfs none /run && mkdir -p /run/systemd/journal && \
                mount --bind \"$0\" /run/systemd/journal && exec \"$@\"";
    command
        .args(["--mount", "sh", "-c", line])
        .arg(folder.path())
        .arg(run.get_program())
        .args(run.get_args())
        .env(
            "JOURNAL_STREAM",
            format!("{}:{}", stderr.dev(), stderr.ino()),
        );
    let node = Node::spawn("berlin", command, &log);
    let mut buffer = [0; 65536];
    let entry = wait_for("the start in the journal", PATIENCE, || {
        let length = journal.recv(&mut buffer).expect("an entry");
        let entry = fields(&buffer[..length]);
        entry
            .contains(&("MESH_EVENT".into(), "node started".into()))
            .then_some(entry)
    });
    // All that `systemctl status` and `journalctl` show of it.
    let line = entry.iter().find(|(name, _)| name == "MESSAGE");
    let line = line.map(|(_, line)| line.as_str()).unwrap_or_default();
    assert!(
        line.starts_with("node started node=berlin mesh=test replica=12D3KooW"),
        "{line}"
    );
    for (field, value) in [
        ("MESH_NODE", "berlin"),
        ("MESH_MESH", "test"),
        ("PRIORITY", "5"),
        ("SYSLOG_IDENTIFIER", "presence-mesh"),
    ] {
        assert!(
            entry.contains(&(field.into(), value.into())),
            "{field} in {entry:?}"
        );
    }
    assert_eq!(node.log(), "", "and not twice");
}

/// The journal's protocol: `NAME=value`, or the name, a line's end, a length and the value.
fn fields(mut entry: &[u8]) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    while let Some(end) = entry.iter().position(|&byte| byte == b'\n') {
        let (line, rest) = (&entry[..end], &entry[end + 1..]);
        if let Some((name, value)) = text(line).split_once('=') {
            fields.push((name.to_owned(), value.to_owned()));
            entry = rest;
        } else {
            let length = u64::from_le_bytes(rest[..8].try_into().expect("eight bytes"));
            let length = usize::try_from(length).expect("small");
            fields.push((text(line), text(&rest[8..8 + length])));
            entry = &rest[8 + length + 1..];
        }
    }
    fields
}

/// systemd lays root's files into a folder that only the service can enter; their permissions then say nothing.
#[test]
fn a_credential_stands_for_the_key_file_of_its_name() {
    let (world, folder) = (World::new(), TempDir::new().expect("a temporary folder"));
    let credential = folder.path().join("mesh.key");
    write_secret(&credential, &format!("{}\n", "5a".repeat(32)));
    fs::set_permissions(&credential, fs::Permissions::from_mode(0o440)).expect("our own file");
    fs::write(folder.path().join("asterisk.secret"), "\n").expect("a writable folder");
    let berlin = world.start("berlin", &[], &[]);
    // Where root's own file cannot be read.
    let flags = ["--key-file", "/nowhere/mesh.key"];
    let mut command = world.command("paris", &flags);
    for address in &berlin.mesh {
        command.args(["--join", address]);
    }
    let refused = world.command("paris", &flags).output();
    let refused = refused.expect("the program starts");
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    command.env("CREDENTIALS_DIRECTORY", folder.path());
    let paris = Node::spawn("paris", command, &world.path("paris.log"));
    paris.await_peers(1);
}

#[test]
fn every_command_has_a_manual_page_without_warnings() {
    let folder = TempDir::new().expect("a temporary folder");
    let pages = folder.path().join("man");
    succeed(program().args(["generate", "man"]).arg(&pages));
    let found: BTreeSet<String> = fs::read_dir(&pages)
        .expect("it made them")
        .map(|entry| {
            entry
                .expect("a folder")
                .file_name()
                .into_string()
                .expect("ASCII")
        })
        .collect();
    let help = text(&run(&["--help"]).stdout);
    let commands = help.split("Commands:\n").nth(1).expect("commands");
    let commands = commands.split("\n\n").next().expect("they end").lines();
    let commands: Vec<&str> = commands
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(
        commands.contains(&"run") && commands.contains(&"explain"),
        "{commands:?}"
    );
    for command in commands.into_iter().filter(|command| *command != "help") {
        assert!(
            found.contains(&format!("presence-mesh-{command}.1")),
            "{command}"
        );
    }
    assert!(found.contains("presence-mesh.1") && found.contains("presence-mesh-sim-run.1"));
    assert!(
        !found.iter().any(|page| page.contains("generate")),
        "hidden ones have none"
    );
    if !has(
        "man",
        "man-db",
        "every_command_has_a_manual_page_without_warnings",
    ) {
        return;
    }
    for page in &found {
        let output = Command::new("man")
            .args(["--warnings", "-E", "UTF-8", "-Tutf8", "-l"])
            .arg(pages.join(page))
            .envs([
                ("LC_ALL", "C.UTF-8"),
                ("MANWIDTH", "80"),
                ("MANROFFSEQ", ""),
                ("PAGER", "cat"),
            ])
            .output()
            .expect("man runs");
        assert_eq!(text(&output.stderr), "", "{page}");
        // Bold is a letter printed over itself.
        let mut shown = String::new();
        for letter in text(&output.stdout).chars() {
            if letter == '\u{8}' {
                shown.pop();
            } else {
                shown.push(letter);
            }
        }
        for part in ["NAME", "SYNOPSIS", "presence-mesh"] {
            assert!(shown.contains(part), "{page}: {shown}");
        }
    }
}

/// As a person does who types the beginning of a word and a tab.
#[test]
fn bash_completes_commands_flags_and_their_values() {
    let folder = TempDir::new().expect("a temporary folder");
    let script = folder.path().join("presence-mesh");
    fs::write(&script, run(&["generate", "completions", "bash"]).stdout)
        .expect("a writable folder");
    let complete = |words: &[&str]| {
        let last = words.len() - 1;
        let line = format!(
            "source '{}'; COMP_WORDS=({}); COMP_CWORD={last}; \
             _presence__mesh presence-mesh '{}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script.display(),
            words.join(" "),
            words[last],
            words[last - 1],
        );
        let said = succeed(Command::new("bash").args(["--norc", "-c", &line]));
        said.lines().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let set = |words: &[&str]| {
        words
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(complete(&["presence-mesh", "exp"]), set(&["explain"]));
    assert_eq!(
        complete(&["presence-mesh", "run", "--pre"]),
        set(&["--preset"])
    );
    assert_eq!(
        complete(&["presence-mesh", "run", "--log", "j"]),
        set(&["json", "journal"])
    );
    assert!(!complete(&["presence-mesh", ""]).contains("generate"));
    for shell in ["zsh", "fish"] {
        let script = text(&run(&["generate", "completions", shell]).stdout);
        assert!(script.contains("explain"), "{shell}");
    }
}

/// In a root of its own that holds the program and the targets the unit names.
#[test]
fn the_unit_is_sound_and_lets_the_service_do_little() {
    if !has(
        "systemd-analyze",
        "systemd",
        "the_unit_is_sound_and_lets_the_service_do_little",
    ) {
        return;
    }
    let root = TempDir::new().expect("a temporary folder");
    let units = root.path().join("usr/lib/systemd/system");
    fs::create_dir_all(&units).expect("a writable folder");
    fs::create_dir_all(root.path().join("usr/bin")).expect("a writable folder");
    fs::copy(PROGRAM, root.path().join("usr/bin/presence-mesh")).expect("it is built");
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/presence-mesh.service");
    let unit = fs::read_to_string(unit).expect("it is here");
    write_targets(&units);
    let verify = |unit: &str| {
        fs::write(units.join("presence-mesh.service"), unit).expect("a writable folder");
        let mut verify = Command::new("systemd-analyze");
        verify
            .args(["verify", "--man=no"])
            .arg(format!("--root={}", root.path().display()));
        let output = verify
            .arg("presence-mesh.service")
            .output()
            .expect("it runs");
        (output.status.success(), said(&output))
    };
    assert!(
        !verify(&unit.replace("/usr/bin/presence-mesh", "/usr/bin/other")).0,
        "it looks"
    );
    assert_eq!(verify(&unit), (true, String::new()));
    // 0 is locked up, 10 is free; without what is taken from it, it would be at 9.
    succeed(
        Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--threshold=20", "--no-pager"])
            .arg(format!("--root={}", root.path().display()))
            .arg("presence-mesh.service"),
    );
}

/// systemd says "Protocol error" of a credential that it cannot load, and tries again for ever.
#[test]
fn the_unit_says_which_file_is_missing() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/presence-mesh.service");
    let unit = fs::read_to_string(unit).expect("it is here");
    let has = |start: String| unit.lines().any(|line| line.starts_with(&start));
    let loaded = unit
        .lines()
        .filter_map(|line| line.strip_prefix("LoadCredential="));
    let loaded: Vec<_> = loaded.filter_map(|line| line.split_once(':')).collect();
    assert_eq!(loaded.len(), 2, "{loaded:?}");
    for (name, path) in loaded {
        let can_be_absent = has(format!("SetCredential={name}:"));
        assert_ne!(
            can_be_absent,
            has(format!("AssertPathExists={path}")),
            "{name}"
        );
    }
}

/// Root may try the service's configuration by hand: the service, which is somebody else, must be able to start then.
#[test]
fn what_root_makes_belongs_to_the_folders_owner() {
    let test = "what_root_makes_belongs_to_the_folders_owner";
    let me = fs::metadata("/proc/self").expect("it is us").uid();
    if me != 0 {
        return missing("netns", "only root can be a guest", test);
    }
    let world = World::new();
    let folder = world.path("berlin");
    fs::create_dir(&folder).expect("a writable folder");
    chown(&folder, Some(4747), Some(4748)).expect("we are root");
    // The owner's own, and what root might be led to give away.
    let other = world.path("other");
    fs::write(&other, "").expect("a writable folder");
    symlink(&other, folder.join("link")).expect("a writable folder");
    fs::hard_link(&other, folder.join("second name")).expect("one file system");
    let owners = || {
        let files = fs::read_dir(&folder).expect("it is there").map(|entry| {
            let entry = entry.expect("it can be read");
            let own = entry.metadata().expect("it is there");
            let name = entry.file_name().into_string().expect("UTF-8");
            (name, (own.uid(), own.gid()))
        });
        files.collect::<BTreeMap<_, _>>()
    };
    let all_theirs = || {
        let owners = owners();
        for name in [
            "identity.key",
            "incarnation",
            "state.redb",
            "asterisk.ledger",
        ] {
            assert_eq!(owners.get(name), Some(&(4747, 4748)), "{name}: {owners:?}");
        }
        assert_eq!(owners["second name"], (0, 0));
        assert_eq!(fs::metadata(&other).expect("it is there").uid(), 0);
    };
    let secret = world.path("asterisk.secret");
    write_secret(&secret, "secret");
    let mut command = world.command(
        "berlin",
        &[
            "--asterisk-listen",
            "127.0.0.1:0",
            "--asterisk-server",
            "sip:mesh@127.0.0.1:9",
        ],
    );
    command.env("PRESENCE_MESH_ASTERISK_PASSWORD_FILE", &secret);
    let mut node = Node::spawn("berlin", command, &world.path("berlin.log"));
    all_theirs();
    assert_eq!(node.terminate(), Some(0), "{}", node.log());
    all_theirs();
}

/// No container is built here: what the file names exists, cargo accepts what is copied, and the program takes what
/// it is given.
#[test]
fn the_container_file_names_what_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = fs::read_to_string(root.join("packaging/Containerfile")).expect("it is here");
    let lines = |word: &str| {
        let lines = file.lines().filter_map(|line| line.strip_prefix(word));
        lines.map(str::trim).map(str::to_owned).collect::<Vec<_>>()
    };
    // A folder that holds exactly what the first stage is given.
    let stage = TempDir::new().expect("a temporary folder");
    let copies = lines("COPY ");
    let copies = copies.iter().filter(|copy| !copy.starts_with("--from="));
    for copy in copies {
        let (sources, target) = copy.rsplit_once(' ').expect("a target");
        for source in sources.split(' ') {
            assert!(root.join(source).exists(), "{source}");
            let to = if target == "./" { source } else { target };
            if !to.starts_with('/') {
                symlink(root.join(source), stage.path().join(to)).expect("a writable folder");
            }
        }
    }
    let cargo = |arguments: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        succeed(cargo.args(arguments).current_dir(stage.path()))
    };
    let metadata = cargo(&["metadata", "--no-deps", "--offline", "--format-version=1"]);
    let package: Value =
        serde_json::from_str(metadata.lines().next().expect("JSON")).expect("JSON");
    let package = &package["packages"][0];
    let build = lines("RUN ")
        .into_iter()
        .find(|line| line.starts_with("cargo build"));
    let build = build.expect("it builds");
    let words: Vec<&str> = build.split(' ').collect();
    let after = |flag: &str| {
        words
            .iter()
            .skip_while(|word| **word != flag)
            .nth(1)
            .copied()
    };
    let features = package["features"].as_object().expect("it has features");
    let wanted = after("--features").expect("features");
    assert!(
        wanted
            .split(',')
            .all(|feature| features.contains_key(feature)),
        "{build}"
    );
    let target = package["targets"].as_array().expect("it has targets");
    let target = target
        .iter()
        .find(|target| target["name"] == after("--bin").expect("a program"));
    assert_eq!(target.expect("it is there")["kind"][0], "bin");
    let built = format!(
        "COPY --from=build /src/target/release/{} ",
        after("--bin").expect("a program")
    );
    assert!(file.contains(&built), "{built}");
    let user = lines("USER ").concat();
    assert!(
        user.split(':')
            .all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)),
        "{user}"
    );

    let words =
        |json: &str| -> Vec<String> { serde_json::from_str(json).expect("a list of words") };
    assert_eq!(lines("ENTRYPOINT ").concat(), "[\"presence-mesh\"]");
    let given = words(lines("CMD ").last().expect("a command"));
    succeed(program().args(given).arg("--help"));
    // Its head says how to use it. Podman's own format has no health check.
    let head: String = file
        .lines()
        .map_while(|line| line.strip_prefix('#'))
        .map(|line| format!("{line}\n"))
        .collect();
    let head = head.replace("\\\n", "");
    let told = head.lines().map(str::trim);
    let told: Vec<&str> = told.filter(|line| line.starts_with("podman ")).collect();
    assert!(
        told[0].starts_with("podman build --format docker -f packaging/Containerfile "),
        "{told:?}"
    );
    let given = told.iter().filter_map(|line| {
        let runs = ["podman run ", "podman exec "];
        let (_, given) = line.rsplit_once(" presence-mesh ")?;
        runs.iter()
            .any(|start| line.starts_with(start))
            .then_some(given)
    });
    let given: Vec<&str> = given.collect();
    assert!(given.len() >= 4, "{told:?}");
    for given in given {
        succeed(program().args(given.split_whitespace()).arg("--help"));
    }
    let health = lines("HEALTHCHECK ").concat();
    let health = words(health.split_once("CMD ").expect("a command").1);
    let world = World::new();
    let mut node = world.start("berlin", &[], &[]);
    let checked = |node: &Node| {
        let mut check = program();
        check
            .args(&health[1..])
            .env("PRESENCE_MESH_HTTP", node.http.to_string());
        check.output().expect("the program starts").status.code()
    };
    assert_eq!(checked(&node), Some(0));
    node.kill();
    assert_eq!(checked(&node), Some(3));
}
