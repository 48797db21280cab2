//! The C interface: the header is that of the sources, and a C program and a Rust program share lamps.

#[path = "support/beside.rs"]
mod beside;
#[path = "support/nodes.rs"]
mod nodes;
#[path = "support/running.rs"]
mod running;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nodes::{DEADLINE, builder, id, peer, start, state, until};
use presence_mesh::{
    DeviceState, Event, EventItem, Filter, MessageCounts, Presence, PresenceStatus, Standing,
};
use running::Running;
use tempfile::TempDir;
use tokio::time::timeout;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The header that the sources make.
fn header() -> String {
    let config = cbindgen::Config::from_file(root().join("include/cbindgen.toml"));
    let mut builder = cbindgen::Builder::new().with_config(config.expect("it is a config"));
    let mut sources: Vec<PathBuf> = fs::read_dir(root().join("src/capi"))
        .expect("the sources are there")
        .map(|entry| entry.expect("they can be read").path())
        .collect();
    sources.sort();
    for source in sources {
        builder = builder.with_src(source);
    }
    let mut header = Vec::new();
    builder
        .generate()
        .expect("cbindgen reads the sources")
        .write(&mut header);
    let header = String::from_utf8(header).expect("it is text");
    // What rustdoc calls so is about pointers.
    header.replace(" # Safety\n", " Pointers:\n")
}

/// `UPDATE_HEADER=1` writes it.
#[test]
fn the_header_is_that_of_the_sources() {
    let path = root().join("include/presence_mesh.h");
    if std::env::var_os("UPDATE_HEADER").is_some() {
        fs::write(&path, header()).expect("it can be written");
    }
    let found = fs::read_to_string(&path).expect("the header is there");
    assert!(
        found == header(),
        "include/presence_mesh.h is not what src/capi makes: UPDATE_HEADER=1 cargo test --features capi --test capi"
    );
}

/// Compiles `tests/c/NAME.c` against the header and the shared library, and runs it.
fn c_program(name: &str, arguments: &[&str]) -> (Running, TempDir) {
    let library = beside::example("libpresence_mesh_c.so");
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join(name);
    let compiled = Command::new("cc")
        .args([
            "-std=c99",
            "-pedantic",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-g",
            "-pthread",
        ])
        .arg("-I")
        .arg(root().join("include"))
        .arg(root().join("tests/c").join(format!("{name}.c")))
        .arg(&library)
        .arg(format!(
            "-Wl,-rpath,{}",
            library.parent().expect("it lies in a folder").display()
        ))
        .arg("-o")
        .arg(&program)
        .output()
        .expect("there is a C compiler");
    assert!(
        compiled.status.success(),
        "{}",
        String::from_utf8_lossy(&compiled.stderr)
    );
    (
        Running::start(Command::new(&program).args(arguments)),
        folder,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_c_program_and_a_rust_program_exchange_lamps() {
    let rust = start(builder(1)).await;
    rust.devices()
        .set("PJSIP/100", DeviceState::Ringing)
        .expect("a write");
    let key = nodes::KEY.to_text();
    let (mut c, _folder) = c_program("lamps", &[key.trim(), &rust.addresses()[0]]);
    let c_id = c.says("started ").split_off("started ".len());
    c.says("watching");

    // By the file descriptor, what was there and what changes.
    c.says("fd: entry PJSIP/100 6 live node1");
    rust.devices()
        .set("PJSIP/100", DeviceState::InUse)
        .expect("a write");
    c.says("fd: change PJSIP/100 6 -> 2");
    // By the callback, on a thread of its own.
    rust.mailboxes()
        .set("100", MessageCounts::new(3, 1))
        .expect("a write");
    c.says("callback: change 100@default 3/1");
    // An event each way, with every kind of field.
    rust.events()
        .publish(Event::new("call.parked").with("slot", 699))
        .expect("an event");
    let wanted = Event::new("call.parked").with("slot", 702).with("gain", -4);
    let wanted = wanted.with("raw", vec![0, 255]).with("caller", "PJSIP/100");
    rust.events().publish(wanted).expect("an event");
    c.says("event: call.parked 2 of node1 caller=PJSIP/100 gain=-4 raw=2 bytes slot=702");
    let mut parked = rust
        .events()
        .subscribe(Filter::kind("call.parked"))
        .expect("there is room");
    c.tell("publish");
    let event = loop {
        match timeout(DEADLINE, parked.next()).await.expect("in time") {
            Some(EventItem::Event(event)) if event.replica.to_string() == c_id => break event,
            Some(_) => {}
            None => panic!("the node has left"),
        }
    };
    let sent = Event::new("call.parked")
        .with("slot", 701_u64)
        .with("gain", -3)
        .with("caller", "PJSIP/200")
        .with("raw", vec![0, 1, 255])
        .with("urgent", true)
        .time_to_live(Duration::from_secs(30));
    assert_eq!(event.event, sent);

    // By asking.
    let dnd = Presence::new(PresenceStatus::Away).with_message("at lunch");
    rust.presence().set("bob", dnd).expect("a write");
    let queues = rust.custom("queues").expect("a namespace");
    queues
        .set("support", serde_json::json!({"open": true}))
        .expect("a write");
    rust.mailboxes()
        .set("101", MessageCounts::new(0, 1))
        .expect("a write");
    // Written last, by one origin: what was written before is there as well.
    c.says("callback: change 101@default 0/1");
    until(
        "presence and custom values of the C program are seen",
        || {
            let alice = rust.presence().get("alice").map(|shown| shown.value);
            let sales = queues.get("sales").map(|shown| shown.value);
            alice == Some(Presence::new(PresenceStatus::Dnd).with_message("in a meeting"))
                && sales == Some(serde_json::json!({"waiting": 3}))
        },
    )
    .await;
    c.tell("list");
    c.says("list: PJSIP/100 2");
    c.says("list: PJSIP/200 1");
    c.says("list: bob away at lunch");
    c.says("list: support {\"open\":true}");
    until("the lamp of the C program is seen", || {
        state(&rust, "PJSIP/200") == Some(DeviceState::NotInUse)
    })
    .await;

    // Keys that last as long as a call, many at once, and values that each node has of its own.
    let loads = rust.custom_per_origin("load").expect("a namespace");
    let load = |calls: u32| serde_json::json!({ "calls": calls });
    loads.set("now", load(12)).expect("a write");
    c.tell("call");
    until("the call and the floor of the C program are seen", || {
        let floor = [
            ("PJSIP/300", DeviceState::InUse),
            ("SIP/1", DeviceState::Busy),
            ("SIP/2", DeviceState::OnHold),
        ];
        let carol = rust.presence().get("carol").map(|shown| shown.value);
        floor
            .iter()
            .all(|(key, wanted)| state(&rust, key) == Some(*wanted))
            && carol == Some(Presence::new(PresenceStatus::Xa).with_subtype("holiday"))
            && loads.contributions("now").len() == 2
    })
    .await;
    until("the C program has seen the load of the other", || {
        c.tell("loads");
        c.says("loads: ") == "loads: 2 say something"
    })
    .await;
    assert!(!c.heard("load: now {\"calls\":1} of c").is_empty());
    assert!(!c.heard("load: now {\"calls\":12} of another").is_empty());
    c.tell("hang up");
    until("what was tracked is withdrawn", || {
        state(&rust, "PJSIP/300").is_none() && loads.contributions("peak").len() == 1
    })
    .await;
    assert_eq!(loads.contributions("now").len(), 2, "the other token lives");

    c.tell("leave");
    c.says("left");
    // Which of the two is told first is open.
    assert_eq!(c.heard("fd: stopped").len(), 1);
    assert_eq!(c.heard("callback: stopped").len(), 1);
    until("the C program is gone at once", || {
        rust.peers().iter().any(|peer| {
            peer.replica.to_string() == c_id && peer.standing == Standing::Gone && peer.left
        })
    })
    .await;
    assert_eq!(peer(&rust, id(1)), None, "nobody is a peer of itself");
    c.ends_well();
}

/// Mistakes that C makes easy are refused in words; nothing is written through a NULL.
#[test]
fn mistakes_come_back_as_codes_and_words() {
    let (mut c, _folder) = c_program("mistakes", &[]);
    c.says("done");
    c.ends_well();
}
