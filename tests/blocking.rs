//! The façade for programs without tokio: it waits, ends, and works inside a runtime as well.
#![cfg(feature = "net")]

use std::thread;
use std::time::Duration;

use presence_mesh::blocking::{Mesh, TimedOut};
use presence_mesh::{
    Departure, DeviceState, Event, EventItem, Filter, MeshBuilder, MeshKey, PeerChange, Preset,
    StartError, Watch,
};

/// Long enough for anything on a loaded machine; nothing waits for it to pass.
const DEADLINE: Duration = Duration::from_secs(30);

fn builder(name: &str) -> MeshBuilder {
    Mesh::builder("acme")
        .node(name)
        .key(MeshKey::from_bytes([42; 32]))
        .preset(Preset::Local)
        .mdns(false)
        .listen("127.0.0.1:0")
        .expect("an address")
}

fn start(builder: MeshBuilder) -> Mesh {
    Mesh::start(builder).expect("the node starts")
}

/// Two nodes, connected.
fn pair() -> (Mesh, Mesh) {
    let one = start(builder("one"));
    let two = start(builder("two").join(one.addresses()).expect("addresses"));
    assert!(one.ready(DEADLINE) && two.ready(DEADLINE), "they meet");
    (one, two)
}

/// The first change of `key` to a value that is there.
fn changed(watcher: &mut presence_mesh::blocking::Watcher<DeviceState>) -> DeviceState {
    loop {
        match watcher.next_timeout(DEADLINE).expect("it is in time") {
            Some(Watch::Changed(change)) => {
                if let Some(new) = change.new {
                    return new.value;
                }
            }
            Some(_) => {}
            None => panic!("the node has left"),
        }
    }
}

#[test]
fn two_threads_without_a_runtime_share_a_lamp_and_an_event() {
    let (one, two) = pair();
    let mut lamps = two.devices().watch("PJSIP/*").expect("there is room");
    assert_eq!(lamps.next(), Some(Watch::Snapshot(Vec::new())));
    let mut parked = two
        .events()
        .subscribe(Filter::kind("call.parked"))
        .expect("there is room");
    let other = thread::spawn(move || {
        one.devices()
            .set("PJSIP/100", DeviceState::InUse)
            .expect("a write");
        one.events()
            .publish(Event::new("call.parked").with("slot", 701))
            .expect("an event");
        one // the node ends with its last handle
    });
    assert_eq!(changed(&mut lamps), DeviceState::InUse);
    let event = parked.next_timeout(DEADLINE).expect("it is in time");
    assert!(matches!(event, Some(EventItem::Event(event)) if event.kind() == "call.parked"));
    let one = other.join().expect("no panic");
    one.leave();
    two.leave();
    assert_eq!(
        two.devices()
            .set("PJSIP/1", DeviceState::Busy)
            .map_err(|error| error.to_string()),
        Err("the node has left the mesh".to_owned())
    );
    assert_eq!(parked.next(), None, "a stream of a node that has left ends");
    assert!(
        lamps.by_ref().all(|item| matches!(item, Watch::Changed(_))),
        "and so does a watch"
    );
}

#[test]
fn what_is_not_there_is_waited_for_no_longer_than_asked() {
    let mesh = start(builder("one"));
    let mut lamps = mesh.devices().watch("*").expect("there is room");
    assert!(matches!(lamps.try_next(), Some(Watch::Snapshot(_))));
    assert_eq!(lamps.try_next(), None);
    assert_eq!(lamps.next_timeout(Duration::from_millis(1)), Err(TimedOut));
    for state in [DeviceState::Ringing, DeviceState::InUse] {
        mesh.devices().set("PJSIP/100", state).expect("a write");
    }
    assert_eq!(
        lamps.try_iter().count(),
        2,
        "what is there, without waiting for more"
    );
    assert_eq!(lamps.next_timeout(Duration::ZERO), Err(TimedOut));
}

/// Where tokio's own `block_on` would panic, or a runtime dropped there would.
#[test]
fn all_of_it_may_be_called_inside_a_runtime_of_either_kind() {
    use tokio::runtime::Builder;
    let mut kinds = [Builder::new_current_thread(), Builder::new_multi_thread()];
    for kind in &mut kinds {
        let runtime = kind.enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (one, two) = pair();
            let lamp = one
                .devices()
                .track("PJSIP/100", DeviceState::Ringing)
                .expect("a write");
            let mut lamps = two.devices().watch("*").expect("there is room");
            assert!(matches!(lamps.next(), Some(Watch::Snapshot(_))));
            if two.devices().get("PJSIP/100").is_none() {
                assert_eq!(changed(&mut lamps), DeviceState::Ringing);
            }
            drop(lamp);
            one.ban(two.id());
            one.leave();
            drop((one, two)); // the second without a goodbye
        });
    }
}

/// Both wait on the caller's own thread, for what only the node's thread can bring.
#[test]
fn a_ping_is_answered_and_peers_come_and_go() {
    let (one, two) = pair();
    let mut peers = one.watch_peers();
    let mut told = |wanted: fn(&PeerChange) -> bool| loop {
        match peers.next_timeout(DEADLINE).expect("it is in time") {
            Some(change) if wanted(&change) => return change,
            Some(_) => {}
            None => panic!("the node has left"),
        }
    };
    let joined = told(|change| matches!(change, PeerChange::Joined(_)));
    assert!(matches!(joined, PeerChange::Joined(peer) if peer.replica == two.id()));
    let pongs = one.ping();
    assert_eq!(pongs.len(), 1);
    assert_eq!(pongs[0].replica, two.id());
    assert!(pongs[0].connected && pongs[0].rtt.is_some(), "{pongs:?}");
    two.leave();
    let departed = told(|change| matches!(change, PeerChange::Departed { .. }));
    assert!(
        matches!(
            departed,
            PeerChange::Departed {
                why: Departure::Left,
                ..
            }
        ),
        "{departed:?}"
    );
    assert_eq!(one.ping(), [], "who has left is not asked");
    one.leave();
    let rest: Vec<PeerChange> = peers.collect();
    assert!(
        rest.iter()
            .all(|change| matches!(change, PeerChange::Updated(_))),
        "it ends with the node: {rest:?}"
    );
}

#[test]
fn a_node_that_cannot_start_says_why_and_leaves_nothing_running() {
    let one = start(builder("one"));
    let port = one.addresses()[0]
        .split('/')
        .nth(4)
        .expect("a port")
        .to_owned();
    let taken = builder("two")
        .listen(format!("127.0.0.1:{port}"))
        .expect("an address");
    assert!(matches!(Mesh::start(taken), Err(StartError::Listen { .. })));
    let address = one.addresses()[0].clone();
    drop(one);
    // Its thread has ended, and with it the listener: the port is free again.
    let again = builder("three")
        .listen(format!("127.0.0.1:{port}"))
        .expect("an address");
    let again = start(again);
    assert!(
        again
            .addresses()
            .iter()
            .any(|found| found.split("/p2p/").next() == address.split("/p2p/").next())
    );
}
