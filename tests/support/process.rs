//! Real nodes in processes of their own, started and ended by a test.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::Value;
use tempfile::TempDir;

/// The built program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_presence-mesh");

/// How long anything that is not measured may take on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How often a condition without an event is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A mesh: a folder with its key, and nodes that are killed when it is dropped.
pub struct World {
    dir: TempDir,
    key_file: PathBuf,
}

impl World {
    pub fn new() -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let key_file = dir.path().join("mesh.key");
        write_secret(&key_file, &format!("{}\n", "5a".repeat(32)));
        Self { dir, key_file }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn key_file(&self) -> &Path {
        &self.key_file
    }

    /// Starts a node called `name`; its identity is that of earlier nodes of the name.
    pub fn start(&self, name: &str, join: &[&Node], flags: &[&str]) -> Node {
        let mut command = self.command(name, flags);
        for node in join {
            for address in &node.mesh {
                command.args(["--join", address]);
            }
        }
        Node::spawn(name, command, &self.path(&format!("{name}.log")))
    }

    /// What [`World::start`] runs; the flags come in the place of its own.
    pub fn command(&self, name: &str, flags: &[&str]) -> Command {
        let mut command = program();
        command.args(["run", "--node", name, "--mdns", "off"]);
        if !flags.contains(&"--mesh") {
            command.args(["--mesh", "test"]);
        }
        if !flags.contains(&"--http") {
            command.args(["--http", "127.0.0.1:0"]);
        }
        if !flags.contains(&"--key-file") {
            command.arg("--key-file").arg(&self.key_file);
        }
        command.arg("--data-dir").arg(self.path(name));
        if !flags.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.args(flags);
        command
    }
}

/// The program, with nothing of our own environment that it would take for settings.
pub fn program() -> Command {
    program_at(Path::new(PROGRAM))
}

/// [`program`], wherever it is installed.
pub fn program_at(path: &Path) -> Command {
    let mut command = Command::new(path);
    clean(&mut command);
    command.stdin(Stdio::null());
    command
}

/// Takes from a command's environment what the program would take for settings, and colours.
pub fn clean(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PRESENCE_MESH_") {
            command.env_remove(name);
        }
    }
    command.env("NO_COLOR", "1");
}

/// Runs the program to its end.
pub fn run(arguments: &[&str]) -> Output {
    program()
        .args(arguments)
        .output()
        .expect("the program starts")
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// A file that only its owner can read.
pub fn write_secret(path: &Path, content: &str) {
    fs::write(path, content).expect("a writable folder");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("our own file");
}

/// A running node. Killed when dropped; its log is shown when the test fails.
pub struct Node {
    name: String,
    child: Child,
    log: PathBuf,
    /// Multiaddrs good for `--join`.
    pub mesh: Vec<String>,
    pub http: SocketAddr,
    pub replica: String,
}

impl Node {
    /// Starts it, and waits for its `listening` line.
    pub fn spawn(name: &str, mut command: Command, log: &Path) -> Self {
        let stderr = File::options()
            .create(true)
            .append(true)
            .open(log)
            .expect("a log file");
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("the program starts");
        let lines = lines_of(child.stdout.take().expect("it is piped"));
        let mut node = Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
            mesh: Vec::new(),
            http: SocketAddr::from(([0; 4], 0)),
            replica: String::new(),
        };
        let line = lines
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("{name} said nothing"));
        let fields = line
            .strip_prefix("listening ")
            .unwrap_or_else(|| panic!("{name} said {line:?}"));
        for field in fields.split(' ') {
            match field.split_once('=').unwrap_or_else(|| panic!("{line:?}")) {
                ("mesh", addresses) => {
                    node.mesh = addresses.split(',').map(str::to_owned).collect()
                }
                ("http", address) => {
                    node.http = address.parse().unwrap_or_else(|_| panic!("{line:?}"))
                }
                ("replica", id) => id.clone_into(&mut node.replica),
                _ => panic!("{line:?}"),
            }
        }
        node
    }

    pub fn process(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// Its resident memory.
    pub fn resident_kib(&self) -> u64 {
        let status = format!("/proc/{}/status", self.process().as_raw_nonzero());
        let status = fs::read_to_string(status).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let digits = line.and_then(|line| line.trim().split(' ').next());
        digits
            .and_then(|digits| digits.parse().ok())
            .expect("a number")
    }

    /// As a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("a child of ours");
    }

    /// SIGTERM; the exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        rustix::process::kill_process(self.process(), rustix::process::Signal::TERM)
            .expect("a child of ours");
        wait_for("the end of the process", PATIENCE, || {
            self.child.try_wait().expect("a child of ours")
        })
        .code()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn get(&self, path: &str) -> (u16, Value) {
        let (status, body) = request(self.http, "GET", path, &[], "");
        (
            status,
            serde_json::from_str(&body).unwrap_or(Value::String(body)),
        )
    }

    pub fn put(&self, path: &str, body: &str) {
        let (status, answer) = request(self.http, "PUT", path, &[], body);
        assert_eq!(status, 204, "PUT {path} {body}: {answer}");
    }

    pub fn delete(&self, path: &str) {
        let (status, answer) = request(self.http, "DELETE", path, &[], "");
        assert_eq!(status, 204, "DELETE {path}: {answer}");
    }

    pub fn digest(&self) -> String {
        let (_, status) = self.get("/api/v1/status");
        status["digest"]
            .as_str()
            .expect("a status has a digest")
            .to_owned()
    }

    /// Waits until a field of what `path` answers is `wanted`.
    pub fn await_field(&self, path: &str, field: &str, wanted: impl Into<Value>, within: Duration) {
        let (deadline, wanted) = (Deadline::after(within), wanted.into());
        loop {
            let (_, found) = self.get(path);
            if found[field] == wanted {
                return;
            }
            assert!(
                !deadline.is_over(),
                "{} {path} has no {field} {wanted} after {within:?}: {found}",
                self.name
            );
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits until this many peers are connected.
    pub fn await_peers(&self, count: usize) {
        self.await_field("/api/v1/status", "peers_connected", count, PATIENCE);
    }

    /// A command line that asks this node.
    pub fn ask(&self, arguments: &[&str]) -> Output {
        let http = self.http.to_string();
        program()
            .args(arguments)
            .args(["--http", &http])
            .output()
            .expect("the program starts")
    }

    /// Follows `/api/v1/stream`.
    pub fn stream(&self, query: &str) -> Stream {
        Stream::open(self.http, &format!("/api/v1/stream?{query}"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Ended already, if the test did it.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- log of {} ---\n{}", self.name, self.log());
        }
    }
}

/// Server-sent events, read by a thread of their own.
pub struct Stream {
    lines: Receiver<String>,
    socket: TcpStream,
}

impl Stream {
    pub fn open(http: SocketAddr, path: &str) -> Self {
        let mut socket = TcpStream::connect(http).expect("the node listens");
        write!(socket, "GET {path} HTTP/1.0\r\nHost: {http}\r\n\r\n").expect("the node reads");
        let lines = lines_of(socket.try_clone().expect("a socket"));
        let stream = Self { lines, socket };
        let status = stream.lines.recv_timeout(PATIENCE).expect("an answer");
        assert!(status.contains(" 200 "), "{status}");
        stream
    }

    /// The next event: its name and data.
    pub fn next(&self, within: Duration) -> (String, Value) {
        let deadline = Deadline::after(within);
        let mut name = String::new();
        loop {
            let line = match self.lines.recv_timeout(deadline.left()) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) if !deadline.is_over() => continue,
                Err(RecvTimeoutError::Timeout) => panic!("no event within {within:?}"),
                Err(RecvTimeoutError::Disconnected) => panic!("the stream has ended"),
            };
            if let Some(event) = line.strip_prefix("event: ") {
                event.clone_into(&mut name);
            } else if let Some(data) = line.strip_prefix("data: ") {
                return (name, serde_json::from_str(data).expect("events are JSON"));
            }
        }
    }

    /// The first change of `key` for which `wanted` holds of its new object.
    pub fn await_change(
        &self,
        key: &str,
        within: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let deadline = Deadline::after(within);
        loop {
            let (name, data) = self.next(deadline.left());
            if name == "change" && data["key"] == key && wanted(&data["new"]) {
                return data;
            }
        }
    }

    pub fn header(&self, name: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("headers");
            assert!(!line.is_empty(), "no header {name}");
            if let Some((found, value)) = line.split_once(": ")
                && found.eq_ignore_ascii_case(name)
            {
                return value.to_owned();
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }
}

/// One request on a connection of its own; status and body.
pub fn request(
    http: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String) {
    let (status, _, body) = request_in_full(http, method, path, headers, body.as_bytes());
    (status, body)
}

/// Status, head and body. A `Host` among the headers replaces the right one.
pub fn request_in_full(
    http: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> (u16, String, String) {
    let mut socket = TcpStream::connect(http).expect("the node listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    if !headers.iter().any(|(name, _)| *name == "Host") {
        head.push_str(&format!("Host: {http}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    // A node that has read enough answers and closes: then not all can be written.
    let _ = socket.write_all(&[head.as_bytes(), body].concat());
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    let answer = text(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    (
        status.unwrap_or_else(|| panic!("{method} {path}: {answer:?}")),
        head.to_owned(),
        body.to_owned(),
    )
}

/// Lets this test open as many files as it may: each connection is one.
pub fn allow_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("our own limit");
}

/// What `look` finds, as soon as it finds something.
pub fn wait_for<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Deadline::after(within);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(!deadline.is_over(), "no {what} within {within:?}");
        thread::sleep(LOOK_EVERY);
    }
}

/// A point in time by which something must have happened, put off by as long as the whole machine stood still
/// meanwhile: a virtual machine that is throttled for 5 s breaks no promise of ours.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    start: Instant,
    within: Duration,
    stalled: Duration,
}

impl Deadline {
    pub fn after(within: Duration) -> Self {
        Self {
            start: Instant::now(),
            within,
            stalled: stalled(),
        }
    }

    /// Zero when it is over.
    pub fn left(&self) -> Duration {
        (self.within + (stalled() - self.stalled)).saturating_sub(self.start.elapsed())
    }

    pub fn is_over(&self) -> bool {
        self.left().is_zero()
    }
}

/// For how long this process has not been run when it wanted to, so far; small delays do not count.
fn stalled() -> Duration {
    const NAP: Duration = Duration::from_millis(20);
    const SMALL: Duration = Duration::from_millis(200);
    static STALLED_MS: OnceLock<&'static AtomicU64> = OnceLock::new();
    let total = STALLED_MS.get_or_init(|| {
        let total: &'static AtomicU64 = Box::leak(Box::default());
        thread::spawn(move || {
            loop {
                let start = Instant::now();
                thread::sleep(NAP);
                let late = start.elapsed().saturating_sub(NAP);
                if late > SMALL {
                    total.fetch_add(
                        u64::try_from(late.as_millis()).unwrap_or(u64::MAX),
                        Ordering::SeqCst,
                    );
                }
            }
        });
        total
    });
    Duration::from_millis(total.load(Ordering::SeqCst))
}

/// What is written there, line by line, read by a thread of its own.
pub fn lines_of(source: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(source).lines() {
            let Ok(line) = line else { break };
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}
