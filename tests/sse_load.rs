//! A thousand clients follow one node while a hundred changes a second are made.

mod support {
    pub mod process;
}

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use presence_mesh::{DeviceState, Identity, Links, Mesh, MeshKey, Watch, Watcher};
use rustix::process::setpriority_process;
use serde_json::{Value, json};
use support::process::{Deadline, Node, PATIENCE, World, allow_files, lines_of, wait_for};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Clients that read as quickly as they can, that check what they read, and that do not read at all.
const QUICK: usize = 940;
const CAREFUL: usize = 10;
const STANDING: usize = 50;

/// The address that the clients' process is told.
const CLIENTS_OF: &str = "SSE_LOAD_CLIENTS_OF";

/// Of so many the one in the middle counts.
const ROUNDS: usize = 5;
const A_SECOND: u64 = 100;
const PHASE: Duration = Duration::from_secs(4);
const KEYS: u64 = 200;
/// What the node may grow by for all clients, and for each.
const RSS_KIB: u64 = 16 * 1024;
const RSS_KIB_EACH: u64 = 64;

/// What everybody is told at the end.
const MARKER: &str = "the-very-last-lamp";

/// A node within this process that reaches `node`, and none of the others that do.
async fn member(number: u8, node: &Node, links: &Links) -> Mesh {
    let join: Vec<&str> = node.mesh.iter().map(String::as_str).collect();
    let builder = Mesh::builder("test")
        .node(format!("member{number}"))
        .key(MeshKey::from_bytes([0x5a; 32]))
        .identity(Identity::from_bytes([number; 32]))
        .mdns(false)
        .links(links.clone())
        .listen("127.0.0.1:0")
        .and_then(|builder| builder.join(join));
    let mesh = builder.expect("addresses").start().await;
    mesh.expect("the node starts")
}

/// Makes a hundred changes a second for a while, and measures how long each takes by way of the node between.
async fn measure(phase: u32, writer: &Mesh, seen: &mut Watcher<DeviceState>) -> Vec<Duration> {
    let changes = A_SECOND * PHASE.as_secs();
    let mut pace = tokio::time::interval(Duration::from_millis(1000 / A_SECOND));
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let states = [DeviceState::InUse, DeviceState::NotInUse];
    let mut made = BTreeMap::new();
    let mut spans = Vec::new();
    let mut number = 0;
    let deadline = Instant::now() + PHASE + PATIENCE;
    while (spans.len() as u64) < changes {
        tokio::select! {
            _ = pace.tick(), if number < changes => {
                let (key, turn) = (format!("PJSIP/{phase}-{}", number % KEYS), number / KEYS);
                made.insert(key.clone(), Instant::now());
                let state = states[usize::try_from(turn % 2).expect("0 or 1")];
                writer.devices().set(&key, state).expect("a write");
                number += 1;
            }
            item = seen.next() => if let Some(Watch::Changed(change)) = item
                && let Some(made) = made.remove(&*change.key)
            {
                spans.push(made.elapsed());
            },
            () = tokio::time::sleep_until(deadline.into()) => panic!("{} of {changes} arrived", spans.len()),
        }
    }
    // Each phase begins as the first did.
    for number in 0..KEYS {
        let _ = writer.devices().clear(&format!("PJSIP/{phase}-{number}"));
    }
    spans
}

fn p99(mut spans: Vec<Duration>) -> f64 {
    spans.sort_unstable();
    spans[spans.len() * 99 / 100].as_secs_f64() * 1000.0
}

fn ask(http: SocketAddr, path: &str) -> String {
    format!("GET {path} HTTP/1.0\r\nHost: {http}\r\n\r\n")
}

/// All clients, in a process of their own: they stand for other machines, and take only the time that is left over.
struct Clients {
    process: Child,
    said: Receiver<String>,
}

impl Clients {
    /// Returns once each has got the beginning of an answer.
    fn connect(http: SocketAddr) -> Self {
        let mut process = Command::new(env::current_exe().expect("it runs"))
            .args(["--exact", "clients_of_their_own", "--nocapture"])
            .env(CLIENTS_OF, http.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it can be run again");
        let said = lines_of(process.stdout.take().expect("it is piped"));
        let clients = Self { process, said };
        clients.hear("connected");
        clients
    }

    /// From now on they look for the marker.
    fn look(&mut self) {
        let stdin = self.process.stdin.as_mut().expect("it is piped");
        stdin.write_all(b"look\n").expect("it reads");
        self.hear("looking");
    }

    /// Waits until each has got the marker.
    fn end(mut self) {
        self.hear("all got it");
        drop(self.process.stdin.take());
        assert!(self.process.wait().expect("a child of ours").success());
    }

    fn hear(&self, what: &str) {
        let deadline = Deadline::after(PATIENCE);
        // The harness has things to say, too.
        while self.said.recv_timeout(deadline.left()).as_deref() != Ok(what) {
            assert!(!deadline.is_over(), "the clients never said {what:?}");
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        // Ended already, if all went well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What [`Clients`] runs; by itself it has nothing to do.
#[test]
fn clients_of_their_own() {
    let Some(http) = env::var_os(CLIENTS_OF) else {
        return;
    };
    let http = http.to_str().and_then(|http| http.parse().ok());
    let http: SocketAddr = http.expect("an address");
    setpriority_process(None, 19).expect("everybody may be nicer");
    allow_files();
    let open = |_| follow(http, "/api/v1/stream");
    let careful: Vec<TcpStream> = (0..CAREFUL).map(open).collect();
    let standing: Vec<TcpStream> = (0..STANDING).map(open).collect();
    let careful: Vec<_> = careful
        .into_iter()
        .map(|socket| thread::spawn(|| read_to_marker(socket)))
        .collect();
    let quick = Quick::connect(http);
    println!("\nconnected");

    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("a pipe");
    quick.marked.store(true, Ordering::SeqCst);
    println!("looking");

    quick.wait("marker for all", &quick.finished);
    let expected = BTreeMap::from([(MARKER.to_owned(), json!("BUSY"))]);
    for careful in careful {
        assert_eq!(careful.join().expect("it reads").0, expected);
    }
    for standing in standing {
        assert_eq!(read_to_marker(standing).0, expected);
    }
    println!("all got it");
}

/// Clients that read and look at nothing but the marker, on one thread.
struct Quick {
    thread: Option<JoinHandle<()>>,
    connected: Arc<AtomicUsize>,
    finished: Arc<AtomicUsize>,
    /// Before that nobody looks for it.
    marked: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
}

impl Quick {
    fn connect(http: SocketAddr) -> Self {
        let [connected, finished] = [(); 2].map(|()| Arc::<AtomicUsize>::default());
        let [marked, over] = [(); 2].map(|()| Arc::<AtomicBool>::default());
        let all = (
            connected.clone(),
            finished.clone(),
            marked.clone(),
            over.clone(),
        );
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let tasks = tokio::task::LocalSet::new();
            let buffer = Rc::new(RefCell::new(vec![0; 64 * 1024]));
            for _ in 0..QUICK {
                let buffer = buffer.clone();
                let (connected, finished, marked, _) = all.clone();
                tasks.spawn_local(async move {
                    let mut socket = tokio::net::TcpStream::connect(http)
                        .await
                        .expect("it listens");
                    let ask = ask(http, "/api/v1/stream");
                    socket.write_all(ask.as_bytes()).await.expect("it reads");
                    let mut first = [0; 1];
                    socket.read_exact(&mut first).await.expect("an answer");
                    connected.fetch_add(1, Ordering::SeqCst);
                    let mut tail = Vec::new();
                    while socket.readable().await.is_ok() {
                        let mut buffer = buffer.borrow_mut();
                        match socket.try_read(&mut buffer) {
                            Ok(0) => break,
                            Ok(read) if marked.load(Ordering::SeqCst) => {
                                tail.extend(&buffer[..read]);
                                if String::from_utf8_lossy(&tail).contains(MARKER) {
                                    finished.fetch_add(1, Ordering::SeqCst);
                                    break;
                                }
                                tail.drain(..tail.len().saturating_sub(MARKER.len()));
                            }
                            _ => {}
                        }
                    }
                    // The connection lasts as long as the thread.
                    std::future::pending::<()>().await;
                });
            }
            let ended = async {
                while !all.3.load(Ordering::SeqCst) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            let runtime = runtime.expect("a runtime");
            runtime.block_on(tasks.run_until(ended));
        });
        let quick = Self {
            thread: Some(thread),
            connected,
            finished,
            marked,
            over,
        };
        quick.wait("connections", &quick.connected);
        quick
    }

    fn wait(&self, what: &str, count: &AtomicUsize) {
        wait_for(what, PATIENCE, || {
            (count.load(Ordering::SeqCst) == QUICK).then_some(())
        });
    }
}

impl Drop for Quick {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || ended.is_some_and(|ended| ended.is_ok()));
    }
}

/// What a client knows after it read everything up to the marker, and how often it was resynchronised.
fn read_to_marker(socket: TcpStream) -> (BTreeMap<String, Value>, usize) {
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let (mut known, mut resyncs, mut name) = (BTreeMap::new(), 0, String::new());
    for line in BufReader::new(socket).lines() {
        let line = line.expect("the stream goes on");
        if let Some(event) = line.strip_prefix("event: ") {
            event.clone_into(&mut name);
            resyncs += usize::from(name == "resync");
        }
        let Some(data) = line.strip_prefix("data: ") else {
            continue;
        };
        let data: Value = serde_json::from_str(data).expect("events are JSON");
        let said = |object: &Value| object.get("state").unwrap_or(&object["value"]).clone();
        let key = |object: &Value| object["key"].as_str().expect("a key").to_owned();
        match &*name {
            "snapshot" => {
                let all = data.as_array().expect("a list").iter();
                known = all.map(|object| (key(object), said(object))).collect();
            }
            "change" if data["new"].is_null() => drop(known.remove(&key(&data))),
            "change" => drop(known.insert(key(&data), said(&data["new"]))),
            _ => {}
        }
        if known.contains_key(MARKER) {
            return (known, resyncs);
        }
    }
    panic!("the stream ended without the marker");
}

fn follow(http: SocketAddr, path: &str) -> TcpStream {
    let mut socket = TcpStream::connect(http).expect("it listens");
    socket
        .write_all(ask(http, path).as_bytes())
        .expect("it reads");
    socket
}

/// What one test does would be measured by the other.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().expect("a runtime")
}

/// Lamps go first: what is measured passes from one node to another by way of the one with all the clients.
#[test]
fn a_thousand_clients_slow_no_lamp() {
    let _alone = alone();
    allow_files();
    let world = World::new();
    let node = world.start("berlin", &[], &[]);
    let links = Links::new();
    let runtime = runtime();
    let of = |number: u8| Identity::from_bytes([number; 32]).replica();
    links.cut(of(1), of(2));
    let writer = runtime.block_on(member(1, &node, &links));
    let observer = runtime.block_on(member(2, &node, &links));
    node.await_peers(2);
    let mut seen = observer.devices().watch("PJSIP/*").expect("room");
    let mut phase = 0;
    let mut measured = || {
        phase += 1;
        runtime.block_on(measure(phase, &writer, &mut seen))
    };
    measured();

    let mut ratios: Vec<f64> = Vec::new();
    for _ in 0..ROUNDS {
        let before_all = measured();
        let before = node.resident_kib();
        let mut clients = Clients::connect(node.http);
        let with = measured();
        let grown = node.resident_kib().saturating_sub(before);
        let count = (QUICK + CAREFUL + STANDING) as u64;
        assert!(
            grown < RSS_KIB + RSS_KIB_EACH * count,
            "{grown} KiB for {count} clients"
        );

        clients.look();
        writer
            .devices()
            .set(MARKER, DeviceState::Busy)
            .expect("a write");
        clients.end();
        writer.devices().clear(MARKER).expect("a write");

        // Whatever else the machine did, at one of both times it did less of it.
        let (with, without) = (p99(with), p99(before_all).min(p99(measured())));
        ratios.push(with / without);
        println!(
            "p99 {with:.2} ms with {count} clients at {A_SECOND} changes a second, {without:.2} ms without: \
             {:.2} times; {grown} KiB more memory",
            with / without
        );
    }
    ratios.sort_by(f64::total_cmp);
    assert!(
        ratios[ROUNDS / 2] <= 2.0,
        "with the clients it took {ratios:?} times as long"
    );
}

/// Who does not read holds no more than the log, whatever is told meanwhile; and once it reads, it sees what is.
#[test]
fn who_does_not_read_costs_no_more_than_the_log_and_is_resynchronised() {
    const CLIENTS: u64 = 100;
    const CHANGES: usize = 3_000;
    let _alone = alone();
    allow_files();
    let world = World::new();
    let node = world.start("berlin", &[], &[]);
    let runtime = runtime();
    let links = Links::new();
    let writer = runtime.block_on(member(1, &node, &links));
    let bulky = writer.custom::<String>("bulky").expect("a namespace");
    let path = "/api/v1/stream?space=custom&namespace=bulky";
    // Every change costs three times its length: what was, what is, and who says so.
    let text = "x".repeat(3_000);
    let write = |numbers: std::ops::Range<usize>| {
        for number in numbers {
            bulky
                .set(&format!("{}", number % 50), format!("{number} {text}"))
                .expect("a write");
            // No quicker than the node takes them.
            if number % 100 == 0 {
                let seen = format!("/api/v1/custom/bulky/{}", number % 50);
                let wanted = number.to_string();
                wait_for("change at the node", PATIENCE, || {
                    let (_, object) = node.get(&seen);
                    object["value"]
                        .as_str()
                        .filter(|value| value.starts_with(&wanted))
                        .map(drop)
                });
            }
        }
    };
    // What the changes take by themselves.
    write(0..CHANGES);
    let before = node.resident_kib();
    let standing: Vec<TcpStream> = (0..CLIENTS).map(|_| follow(node.http, path)).collect();
    let watching = thread::spawn({
        let mut socket = follow(node.http, path);
        socket.read_exact(&mut [0; 1]).expect("an answer");
        move || read_to_marker(socket)
    });
    write(CHANGES..2 * CHANGES);
    bulky.set(MARKER, String::new()).expect("a write");
    let (expected, _) = watching.join().expect("it reads");
    assert_eq!(expected.len(), 51);
    let grown = node.resident_kib().saturating_sub(before);
    println!("{grown} KiB for {CLIENTS} clients that did not read {CHANGES} changes of 9 KB");
    assert!(
        grown < 40 * 1024 + 2 * RSS_KIB_EACH * CLIENTS,
        "{grown} KiB"
    );
    for standing in standing {
        let (known, resyncs) = read_to_marker(standing);
        assert!(known == expected, "{:?}", known.keys());
        assert!(resyncs > 0, "all fitted: the test must make more");
    }
}
