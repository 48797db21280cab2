//! What a read waits while a node takes in very much. `cargo test --release --test reads -- --nocapture` prints it.
//!
//! Five rounds of two nodes on loopback. One thread reads a key of the second node, 200 µs after the last time, first
//! while nothing happens, then while 100,000 entries of the first node arrive and 1,000 writes a second are made (half
//! of them on each node), and at last while the first node, with all its entries, leaves. What is measured of the
//! transfer ends with it: when its last key is shown.
//!
//! The first node stands for another machine, so it is a process of its own that takes only the time the second one
//! leaves over (`nice` 19).

use std::env;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use presence_mesh::{DeviceState, Identity, Mesh, MeshBuilder, MeshKey, Preset, Watch};

const ENTRIES: usize = 100_000;
/// Of so many the one in the middle counts.
const ROUNDS: usize = 5;
/// How many times as long as in quiet the p99 of a read may be.
const MOST: f64 = 3.0;
const PACE: Duration = Duration::from_micros(200);
/// Set for the process that stands for the other machine, which answers with its address behind this word.
const OTHER: &str = "READS_OTHER_MACHINE";
/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

fn builder(number: u8) -> MeshBuilder {
    Mesh::builder("bench")
        .node(format!("node{number}"))
        .key(MeshKey::from_bytes([7; 32]))
        .identity(Identity::from_bytes([number; 32]))
        .preset(Preset::Local)
        .mdns(false)
        .listen("127.0.0.1:0")
        .expect("an address")
}

/// Reads until told to stop; returns how long each read took, ascending.
fn reader(mesh: &Mesh) -> (Arc<AtomicBool>, std::thread::JoinHandle<Vec<Duration>>) {
    let stop = Arc::new(AtomicBool::new(false));
    let (told, devices) = (stop.clone(), mesh.devices());
    let reading = std::thread::spawn(move || {
        let mut took = Vec::new();
        while !told.load(Ordering::Relaxed) {
            let start = Instant::now();
            assert!(devices.get("PJSIP/own").is_some());
            took.push(start.elapsed());
            std::thread::sleep(PACE);
        }
        took.sort_unstable();
        took
    });
    (stop, reading)
}

fn tell(what: &str, took: &[Duration]) -> Duration {
    let p99 = took[took.len() * 99 / 100];
    let longest = took[took.len() - 1];
    println!(
        "{what}: {} reads, p99 {p99:?}, longest {longest:?}",
        took.len()
    );
    p99
}

async fn until(mut so: impl FnMut() -> bool) {
    let mut look = tokio::time::interval(Duration::from_millis(20));
    let end = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < end, "it never came to be");
        look.tick().await;
    }
}

/// Writes `SIP/…`, one every 2 ms, for as long as the node is there.
fn write_on(mesh: &Mesh) {
    let mesh = mesh.clone();
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(2));
        for n in 0.. {
            tick.tick().await;
            let key = format!("SIP/{}", n % 100);
            let written = mesh.devices().set(&key, DeviceState::ALL[n % 9]);
            if written.is_err() {
                return;
            }
        }
    });
}

/// The first node: tells its address, and leaves when its input ends. By itself it has nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn the_other_machine() {
    if env::var_os(OTHER).is_none() {
        return;
    }
    rustix::process::setpriority_process(None, 19).expect("everybody may be nicer");
    let one = builder(1).start().await.expect("it starts");
    let all = (0..ENTRIES).map(|n| (format!("PJSIP/{n:06}"), DeviceState::InUse));
    one.devices().set_many(all).expect("a write");
    println!("\n{OTHER} {}", one.addresses()[0]);
    write_on(&one);
    let end = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    end.await.expect("no panic").expect("a pipe");
    one.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_are_as_quick_while_very_much_arrives() {
    let (mut during, mut after) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (busy, gone) = round().await;
        during.push(busy);
        after.push(gone);
    }
    let (during, after) = (median(during), median(after));
    println!(
        "median of {ROUNDS} rounds: {during:.2} during the transfer, {after:.2} after the leave"
    );
    assert!(during <= MOST, "{during:.2} times as long as in quiet");
}

fn median(mut ratios: Vec<f64>) -> f64 {
    ratios.sort_unstable_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}

/// How many times as long as in quiet the p99 was during the transfer, and after the leave.
async fn round() -> (f64, f64) {
    let mut other = Command::new(env::current_exe().expect("a path"))
        .args(["--exact", "the_other_machine", "--nocapture"])
        .env(OTHER, "")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut said = BufReader::new(other.stdout.take().expect("a pipe")).lines();
    // The harness has things to say, too.
    let join = said.find_map(|line| Some(line.ok()?.strip_prefix(OTHER)?.to_owned()));
    let join = join.expect("it tells its address");

    let alone = builder(2).start().await.expect("it starts");
    let set = |mesh: &Mesh| mesh.devices().set("PJSIP/own", DeviceState::Busy);
    set(&alone).expect("a write");
    let (stop, reading) = reader(&alone);
    tokio::time::sleep(Duration::from_secs(3)).await;
    stop.store(true, Ordering::Relaxed);
    let quiet = tell("quiet", &reading.join().expect("no read failed"));
    alone.leave().await;
    drop(alone);

    let two = builder(2).join([join.trim()]).expect("addresses");
    let two = two.start().await.expect("it starts");
    set(&two).expect("a write");
    let last = two.devices().watch(format!("PJSIP/{:06}", ENTRIES - 1));
    let mut last = last.expect("there is room");
    let (stop, reading) = reader(&two);
    write_on(&two);
    let begun = Instant::now();
    let shown = async {
        let nothing =
            |item: &Option<Watch<_>>| matches!(item, Some(Watch::Snapshot(all)) if all.is_empty());
        while nothing(&last.next().await) {}
    };
    let shown = tokio::time::timeout(PATIENCE, shown).await;
    shown.expect("all of it arrives");
    stop.store(true, Ordering::Relaxed);
    println!("the transfer took {:?}", begun.elapsed());
    let busy = tell(
        "100,000 entries arrive",
        &reading.join().expect("no read failed"),
    );

    let (stop, reading) = reader(&two);
    drop(other.stdin.take());
    until(|| {
        let shown = two.devices().get("PJSIP/000000");
        shown.is_some_and(|shown| shown.value == DeviceState::Unavailable)
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.store(true, Ordering::Relaxed);
    let gone = tell(
        "100,000 entries are gone",
        &reading.join().expect("no read failed"),
    );
    let ratio = |p99: Duration| p99.as_secs_f64() / quiet.as_secs_f64();
    let ratios = (ratio(busy), ratio(gone));
    println!(
        "p99 against quiet: {:.2} during the transfer, {:.2} after the leave",
        ratios.0, ratios.1
    );
    // What the harness says at its end must not find a broken pipe.
    said.for_each(drop);
    assert!(other.wait().expect("a child of ours").success());
    ratios
}
