//! Spaces, tokens, pings and peers on real nodes.
#![cfg(feature = "faults")]

#[path = "support/nodes.rs"]
mod nodes;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nodes::{DEADLINE, builder, connected, id, start, state, until};
use presence_mesh::{
    Departure, DeviceState, Filter, FollowError, Limits, Links, Mesh, PeerChange, PeerWatcher,
    Pong, Presence, PresenceStatus, Space, Watch, Watcher, WriteError,
};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Queue {
    waiting: u32,
    open: bool,
}

async fn pair(links: &Links) -> (Mesh, Mesh) {
    let one = start(builder(1).links(links.clone())).await;
    let two = builder(2)
        .links(links.clone())
        .join(one.addresses())
        .expect("addresses");
    let two = start(two).await;
    until("two nodes are connected", || {
        connected(&one, id(2)) && connected(&two, id(1))
    })
    .await;
    (one, two)
}

async fn next<T: presence_mesh::StateValue>(watcher: &mut Watcher<T>) -> Watch<T> {
    let item = timeout(DEADLINE, watcher.next()).await;
    item.expect("it comes in time").expect("the node is up")
}

#[test]
fn handles_can_be_shared_among_threads() {
    fn shared<T: Send + Sync + Clone + 'static>() {}
    fn sent<T: Send + Sync + 'static>() {}
    shared::<Mesh>();
    shared::<Space<DeviceState>>();
    shared::<Space<Queue>>();
    sent::<Watcher<Queue>>();
    sent::<PeerWatcher>();
    sent::<presence_mesh::Tracked<Queue>>();
    sent::<presence_mesh::MeshBuilder>();
    shared::<Pong>();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presence_and_values_of_any_type_are_seen_on_the_other_node() {
    let (one, two) = pair(&Links::new()).await;
    let dnd = Presence::new(PresenceStatus::Dnd).with_message("in a meeting");
    one.presence().set("alice", dnd.clone()).expect("a write");
    let queues = |mesh: &Mesh| mesh.custom::<Queue>("queues").expect("a namespace");
    let sales = Queue {
        waiting: 3,
        open: true,
    };
    queues(&one).set("sales", sales.clone()).expect("a write");
    let load = |mesh: &Mesh| mesh.custom_per_origin::<u32>("load").expect("a namespace");
    load(&one).set("cpu", 10).expect("a write");
    load(&two).set("cpu", 20).expect("a write");

    until("node 2 sees all of it, and node 1 both loads", || {
        load(&one).count() == 2
            && two.presence().get("alice").map(|shown| shown.value) == Some(dnd.clone())
            && queues(&two).get("sales").map(|shown| shown.value) == Some(sales.clone())
            && load(&two).count() == 2
    })
    .await;
    let listed = queues(&two).list(&"s*".into());
    assert_eq!((&*listed[0].key, listed.len()), ("sales", 1));
    assert_eq!(queues(&two).count(), 1);
    // Another type for the same thing, and one that does not fit.
    let any = two.custom::<serde_json::Value>("queues").expect("a name");
    let shown = any.get("sales").expect("it is there").value;
    assert_eq!(shown, serde_json::json!({"open": true, "waiting": 3}));
    let numbers = two.custom::<u32>("queues").expect("a name");
    assert_eq!((numbers.get("sales"), numbers.count()), (None, 1));

    let said: Vec<u32> = load(&one)
        .contributions("cpu")
        .into_iter()
        .map(|part| part.value)
        .collect();
    assert_eq!(said, [10, 20]);
    assert_eq!(load(&two).get("cpu").map(|shown| shown.value), Some(20));
    let origins: Vec<_> = load(&one)
        .list(&"*".into())
        .into_iter()
        .map(|shown| (shown.origin, shown.value))
        .collect();
    assert!(origins.contains(&(Some(id(1)), 10)) && origins.contains(&(Some(id(2)), 20)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_stored_is_refused_and_changes_nothing() {
    let one = start(builder(1)).await;
    for name in ["", "a/b", "a\n", &"x".repeat(65)] {
        assert!(one.custom::<u32>(name).is_err(), "{name:?}");
    }
    let texts = one.custom::<String>("texts").expect("a name");
    let before = one.digest();
    let long = texts.set("long", "x".repeat(4_095));
    assert!(matches!(long, Err(WriteError::Value(_))), "{long:?}");
    assert!(texts.set("", String::new()).is_err());
    let bytes = one.custom::<std::collections::BTreeMap<Vec<u8>, u8>>("texts");
    let bad = bytes.expect("a name").set("map", [(vec![1], 1)].into());
    assert!(matches!(bad, Err(WriteError::Encode { .. })), "{bad:?}");
    let some = [("a", "1".repeat(10)), ("b", "1".repeat(5_000))];
    assert!(texts.set_many(some).is_err());
    let presence = Presence::default().with_message("x".repeat(4_096));
    assert!(one.presence().set("alice", presence).is_err());
    assert_eq!((one.digest(), texts.count()), (before, 0));
}

/// Set and withdrawn in one go: who watches elsewhere sees both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_value_before_a_withdrawal_is_seen_over_the_network() {
    let (one, two) = pair(&Links::new()).await;
    until("the first exchange is over", || {
        one.digest() == two.digest()
    })
    .await;
    let mut watcher = two.devices().watch("PJSIP/*").expect("there is room");
    assert_eq!(next(&mut watcher).await, Watch::Snapshot(Vec::new()));
    let mut whole = 0;
    for round in 0..20 {
        let key = format!("PJSIP/{round}");
        let token = one.devices().track(&key, DeviceState::Ringing);
        drop(token.expect("a write"));
        until("the other has it all", || one.digest() == two.digest()).await;
        let mut seen = Vec::new();
        while let Some(item) = watcher.try_next() {
            let Watch::Changed(change) = item else {
                panic!("nobody is slow here");
            };
            assert_eq!(*change.key, *key);
            seen.push(change.new.map(|shown| shown.value));
        }
        assert!(two.devices().get(&key).is_none());
        whole += usize::from(seen == [Some(DeviceState::Ringing), None]);
    }
    assert_eq!(whole, 20, "of 20 were seen whole");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_withdrawn_with_its_last_token() {
    let (one, two) = pair(&Links::new()).await;
    let first = one.devices().track("PJSIP/1", DeviceState::InUse);
    let first = first.expect("a write");
    let second = one.devices().track("PJSIP/1", DeviceState::Ringing);
    drop(second.expect("a write"));
    until("the older token speaks again", || {
        state(&two, "PJSIP/1") == Some(DeviceState::InUse)
    })
    .await;
    let panicked = std::thread::spawn(move || {
        let _held = first;
        panic!("on purpose");
    });
    assert!(panicked.join().is_err());
    until("a panic withdraws", || state(&two, "PJSIP/1").is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ping_tells_who_answers_and_who_is_silent() {
    let links = Links::new();
    let (one, two) = pair(&links).await;
    until("node 1 knows node 2 by name", || {
        nodes::peer(&one, id(2)).is_some_and(|peer| peer.node == "node2")
    })
    .await;
    let pongs = one.ping().await;
    assert_eq!(pongs.len(), 1);
    assert_eq!((&*pongs[0].node, pongs[0].replica), ("node2", id(2)));
    let rtt = pongs[0].rtt.expect("it answers");
    assert!(rtt > Duration::ZERO && rtt < Duration::from_secs(2));

    links.cut(id(1), id(2));
    let pongs = one.ping().await;
    assert_eq!((pongs.len(), pongs[0].rtt), (1, None));
    two.leave().await;
    one.leave().await;
    assert!(one.ping().await.iter().all(|pong| pong.rtt.is_none()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_becomes_of_a_peer_is_told() {
    let links = Links::new();
    let one = start(builder(1).links(links.clone())).await;
    let mut watcher = one.watch_peers();
    let two = builder(2)
        .links(links.clone())
        .join(one.addresses())
        .expect("addresses");
    let two = start(two).await;
    let mut told = async |wanted: &str| {
        loop {
            let change = timeout(DEADLINE, watcher.next()).await;
            let change = change.expect(wanted).expect("the node is up");
            let (word, peer) = match change {
                PeerChange::Joined(peer) => ("joined", peer),
                PeerChange::Suspected(peer) => ("suspected", peer),
                PeerChange::Returned(peer) => ("returned", peer),
                PeerChange::Departed { peer, why } => match why {
                    Departure::Left => ("left", peer),
                    Departure::Silent => ("silent", peer),
                    other => panic!("{other:?}"),
                },
                _ => continue,
            };
            assert_eq!(peer.replica, id(2));
            // A loaded machine may let a lease run out for a moment.
            if word == wanted {
                return;
            }
        }
    };
    told("joined").await;
    links.cut(id(1), id(2));
    told("suspected").await;
    told("silent").await;
    links.mend(id(1), id(2));
    told("returned").await;
    two.leave().await;
    told("left").await;
    one.leave().await;
    // Its connection may close after that.
    let end = async {
        while let Some(change) = watcher.next().await {
            assert!(matches!(change, PeerChange::Updated(_)), "{change:?}");
        }
    };
    timeout(DEADLINE, end).await.expect("it ends");
}

/// A key that is there is found by every read, however often it is written meanwhile; and of a `set_many`, all or
/// nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn reading_in_a_tight_loop_never_misses_a_key() {
    let (one, two) = pair(&Links::new()).await;
    let keys: Vec<String> = (0..50).map(|n| format!("PJSIP/{n}")).collect();
    let all = |state| keys.iter().map(move |key| (key.clone(), state));
    let states = [DeviceState::InUse, DeviceState::Ringing];
    one.devices().set_many(all(states[0])).expect("a write");
    until("node 2 sees them", || two.devices().count() == 50).await;

    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = [one.clone(), two.clone()]
        .into_iter()
        .map(|mesh| {
            let done = done.clone();
            std::thread::spawn(move || {
                let mut reads = 0u64;
                while !done.load(Ordering::Relaxed) {
                    let listed = mesh.devices().list(&"*".into());
                    assert_eq!(listed.len(), 50);
                    let first = listed[0].value;
                    assert!(
                        listed.iter().all(|shown| shown.value == first),
                        "half of a set_many"
                    );
                    assert!(mesh.devices().get("PJSIP/7").is_some());
                    reads += 1;
                }
                reads
            })
        })
        .collect();
    for round in 0..400 {
        one.devices()
            .set_many(all(states[round % 2]))
            .expect("a write");
        tokio::task::yield_now().await;
    }
    until("node 2 has the last of them", || {
        one.digest() == two.digest()
    })
    .await;
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.join().expect("no read failed") > 0);
    }
}

/// Who forgets to drop what it follows is told, before memory is: the others go on.
#[tokio::test]
async fn watches_and_subscriptions_are_bounded_and_a_dropped_one_makes_room() {
    let mut limits = Limits::default();
    (limits.watches, limits.subscriptions) = (3, 2);
    let mesh = start(builder(1).limits(limits)).await;
    let full = |what, limit| FollowError::Full { what, limit };

    let mut lamps = mesh.devices().watch("*").expect("room for three");
    let boxes = mesh.mailboxes().watch_contributions("*");
    let boxes = boxes.expect("room for three");
    let custom = mesh.custom::<u32>("queues").expect("a namespace");
    let counts = custom.watch("*").expect("room for three");
    let fourth = mesh.presence().watch("*");
    assert_eq!(fourth.err(), Some(full("watches", 3)));
    let subscribe = || mesh.events().subscribe(Filter::everything());
    let streams = [subscribe(), subscribe()].map(|stream| stream.expect("room for two"));
    assert_eq!(subscribe().err(), Some(full("subscriptions", 2)));
    let refused = full("watches", 3).to_string();
    assert_eq!(refused, "this node already has 3 watches, its limit");

    drop(counts);
    let presence = mesh.presence().watch("*").expect("one was dropped");
    assert_eq!(mesh.devices().watch("*").err(), Some(full("watches", 3)));
    drop(streams);
    assert!(subscribe().is_ok(), "both were dropped");
    mesh.devices()
        .set("PJSIP/100", DeviceState::InUse)
        .expect("a write");
    assert!(matches!(lamps.try_next(), Some(Watch::Snapshot(all)) if all.len() == 1));
    drop((boxes, presence));
}
