//! Real nodes over real sockets: they find each other, hear each other, and get over what networks do.
#![cfg(feature = "faults")]

#[path = "support/nodes.rs"]
mod nodes;

use std::time::Duration;

use nodes::{DEADLINE, KEY, builder, connected, id, peer, start, state, until, until_within};
use presence_mesh::{DeviceState, FoundBy, Links, Mesh, MeshKey, Standing, StartError};

const TWO_THREADS: &str = "the driver must not starve whoever waits for it";

/// Node 1, and node 2 that joins it, both over `links`, connected.
async fn pair(links: &Links) -> (Mesh, Mesh) {
    let one = start(builder(1).links(links.clone())).await;
    let two = start(
        builder(2)
            .links(links.clone())
            .join(one.addresses())
            .expect("addresses"),
    )
    .await;
    until("two nodes are connected", || {
        connected(&one, id(2)) && connected(&two, id(1))
    })
    .await;
    (one, two)
}

fn all_connected(nodes: &[Mesh]) -> bool {
    nodes.iter().all(|node| {
        nodes
            .iter()
            .all(|other| node.id() == other.id() || connected(node, other.id()))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_written_on_one_node_are_seen_on_the_other() {
    let (one, two) = pair(&Links::new()).await;
    one.devices()
        .set("PJSIP/100", DeviceState::InUse)
        .expect("a write");
    two.devices()
        .set("PJSIP/200", DeviceState::Ringing)
        .expect("a write");
    until("node 2 sees the lamp of node 1", || {
        state(&two, "PJSIP/100") == Some(DeviceState::InUse)
    })
    .await;
    until("node 1 sees the lamp of node 2", || {
        state(&one, "PJSIP/200") == Some(DeviceState::Ringing)
    })
    .await;
    until("both stores are equal", || one.digest() == two.digest()).await;
    let seen = peer(&one, id(2)).expect(TWO_THREADS);
    assert_eq!(
        (seen.node.as_str(), seen.found_by),
        ("node2", FoundBy::Join)
    );
    until("the round trip is measured", || {
        peer(&one, id(2)).is_some_and(|peer| peer.rtt.is_some())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_meet_in_memory_as_they_do_over_sockets() {
    let links = Links::in_memory();
    let (one, two) = pair(&links).await;
    one.devices()
        .set("PJSIP/100", DeviceState::InUse)
        .expect("a write");
    until("node 2 sees the lamp of node 1", || {
        state(&two, "PJSIP/100") == Some(DeviceState::InUse)
    })
    .await;
    links.cut(id(1), id(2));
    until("a cut cuts them as well", || !connected(&two, id(1))).await;
    let taken = builder(3)
        .links(links)
        .listen("127.0.0.1:1")
        .expect("an address");
    let refused = taken.start().await;
    assert!(
        matches!(refused, Err(StartError::Listen { .. })),
        "node 1 listens there: {refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_another_key_learns_nothing_and_is_counted() {
    let one = start(builder(1)).await;
    one.devices()
        .set("PJSIP/100", DeviceState::InUse)
        .expect("a write");
    let stranger = builder(2)
        .key(MeshKey::from_bytes([43; 32]))
        .join(one.addresses())
        .expect("addresses");
    let stranger = start(stranger).await;
    until("the stranger is turned away", || {
        one.net_counters().handshakes_failed > 0
    })
    .await;
    until("the stranger is told nothing but no", || {
        stranger.net_counters().handshakes_failed > 0
    })
    .await;
    assert!(!connected(&one, id(2)) && !connected(&stranger, id(1)));
    assert_eq!(
        (
            one.net_counters().connections,
            stranger.net_counters().connections
        ),
        (0, 0)
    );
    assert_eq!(state(&stranger, "PJSIP/100"), None);
    // The mesh's name is part of what must be known.
    let other = Mesh::builder("acme2")
        .key(KEY)
        .mdns(false)
        .join(one.addresses())
        .expect("addresses");
    let other = start(other).await;
    until("a node of another mesh is turned away", || {
        other.net_counters().handshakes_failed > 0
    })
    .await;
    assert_eq!(one.net_counters().connections, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_heals_and_nothing_is_sent_again() {
    let links = Links::new();
    let (one, two) = pair(&links).await;
    for n in 0..100 {
        one.devices()
            .set(&format!("PJSIP/{n}"), DeviceState::InUse)
            .expect("a write");
    }
    until("both stores are equal", || {
        one.digest() == two.digest() && two.devices().count() == 100
    })
    .await;
    let sent = |node: &Mesh| {
        let counters = node.counters();
        (
            counters.entries_published,
            counters.entries_served,
            counters.entries_applied,
            counters.resets_served,
        )
    };
    let before = (sent(&one), sent(&two));

    links.cut(id(1), id(2));
    until("the cut is noticed", || {
        !connected(&one, id(2)) && !connected(&two, id(1))
    })
    .await;
    let standing = |node: &Mesh, n| peer(node, id(n)).map(|peer| peer.standing);
    until("each thinks the other gone", || {
        standing(&one, 2) == Some(Standing::Gone) && standing(&two, 1) == Some(Standing::Gone)
    })
    .await;
    assert_eq!(state(&two, "PJSIP/7"), Some(DeviceState::Unavailable));

    links.heal();
    let connected = || connected(&one, id(2)) && connected(&two, id(1));
    until_within(Duration::from_secs(3), "the heal is noticed", connected).await;
    until("the lamps are back", || {
        state(&two, "PJSIP/7") == Some(DeviceState::InUse)
    })
    .await;
    until("each knows the other alive", || {
        standing(&one, 2) == Some(Standing::Alive) && standing(&two, 1) == Some(Standing::Alive)
    })
    .await;
    assert_eq!((sent(&one), sent(&two)), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_during_a_cut_arrives_after_it() {
    let links = Links::new();
    let (one, two) = pair(&links).await;
    links.cut(id(1), id(2));
    until("the cut is noticed", || {
        !connected(&one, id(2)) && !connected(&two, id(1))
    })
    .await;
    one.devices()
        .set("PJSIP/100", DeviceState::Busy)
        .expect("a write");
    two.devices()
        .set("PJSIP/200", DeviceState::OnHold)
        .expect("a write");
    links.mend(id(1), id(2));
    until("both see both", || {
        state(&two, "PJSIP/100") == Some(DeviceState::Busy)
            && state(&one, "PJSIP/200") == Some(DeviceState::OnHold)
    })
    .await;
}

/// A power cut: the peer still holds the dead connection when the machine is back, and gossipsub would stay
/// mute towards it for ever (rust-libp2p #5097).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_lost_power_is_heard_when_it_is_back() {
    let links = Links::new();
    let (one, two) = pair(&links).await;
    // Older than two dials at once explain.
    until("the connection is old", || {
        peer(&one, id(2)).is_some_and(|peer| peer.connected)
            && one.net_counters().frames_received > 15
    })
    .await;
    links.strand(id(2));
    drop(two);
    let again = start(
        builder(2)
            .links(links.clone())
            .join(one.addresses())
            .expect("addresses"),
    )
    .await;
    again
        .devices()
        .set("PJSIP/200", DeviceState::InUse)
        .expect("a write");
    one.devices()
        .set("PJSIP/100", DeviceState::InUse)
        .expect("a write");
    until("the lamps of the restarted node are seen", || {
        state(&one, "PJSIP/200") == Some(DeviceState::InUse)
    })
    .await;
    until("it sees the others", || {
        state(&again, "PJSIP/100") == Some(DeviceState::InUse)
    })
    .await;
    let before = one.counters().frames_received;
    until("its frames come by gossip", || {
        one.counters().frames_received > before + 5
    })
    .await;
    assert!(
        one.net_counters().stale_connections > 0,
        "{:?}",
        one.net_counters()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_stalls_for_good_is_made_anew() {
    let links = Links::new();
    let (one, two) = pair(&links).await;
    links.stall(id(1), id(2));
    until("the silence is noticed", || {
        one.net_counters().silent_peers > 0 && two.net_counters().silent_peers > 0
    })
    .await;
    one.devices()
        .set("PJSIP/100", DeviceState::InUse)
        .expect("a write");
    links.release(id(1), id(2));
    until("values pass again", || {
        state(&two, "PJSIP/100") == Some(DeviceState::InUse)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_nodes_that_know_one_address_all_connect() {
    let first = start(builder(1)).await;
    let mut nodes = vec![first.clone()];
    for n in 2..=6 {
        nodes.push(start(builder(n).join(first.addresses()).expect("addresses")).await);
    }
    until_within(Duration::from_secs(5), "all are connected with all", || {
        all_connected(&nodes)
    })
    .await;

    // The one address vanishes; a newcomer joins through another.
    drop(nodes.remove(0));
    drop(first);
    let fourth = nodes[2].addresses().to_vec();
    nodes.push(start(builder(7).join(fourth).expect("addresses")).await);
    until("the seventh is connected with all", || {
        all_connected(&nodes)
    })
    .await;
    nodes[0]
        .devices()
        .set("PJSIP/100", DeviceState::InUse)
        .expect("a write");
    until("everyone sees the lamp", || {
        nodes
            .iter()
            .all(|node| state(node, "PJSIP/100") == Some(DeviceState::InUse))
    })
    .await;
}

#[cfg(feature = "kad")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_nodes_find_each_other_in_the_dht_alone() {
    let lone = |n| builder(n).dial_members(false).kad(true);
    let first = start(lone(1)).await;
    let mut nodes = vec![first.clone()];
    for n in 2..=6 {
        nodes.push(start(lone(n).join(first.addresses()).expect("addresses")).await);
    }
    until_within(
        Duration::from_secs(10),
        "all are connected with all",
        || all_connected(&nodes),
    )
    .await;
    let found = nodes
        .iter()
        .flat_map(Mesh::peers)
        .filter(|peer| peer.found_by == FoundBy::Kad)
        .count();
    assert!(found > 0, "the DHT found somebody");

    drop(nodes.remove(0));
    drop(first);
    let fourth = nodes[2].addresses().to_vec();
    let seventh = start(lone(7).join(fourth).expect("addresses")).await;
    nodes.push(seventh.clone());
    until("the seventh is connected with all", || {
        all_connected(&nodes)
    })
    .await;
    // Not only met by the way: named under the mesh's own key.
    until("the DHT names the others to it", || {
        seventh.net_counters().found_in_dht >= 5
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leave_is_seen_at_once() {
    // So slow that only the goodbye itself can be quick.
    let timing = presence_mesh::Preset::Wan.timing();
    let one = start(builder(1).timing(timing.clone())).await;
    let two = start(
        builder(2)
            .timing(timing)
            .join(one.addresses())
            .expect("addresses"),
    )
    .await;
    until("two nodes know each other", || {
        connected(&one, id(2)) && peer(&one, id(2)).is_some_and(|p| p.node == "node2")
    })
    .await;
    two.devices()
        .set("PJSIP/200", DeviceState::InUse)
        .expect("a write");
    until("the lamp is seen", || {
        state(&one, "PJSIP/200") == Some(DeviceState::InUse)
    })
    .await;
    let leaving = tokio::time::timeout(Duration::from_secs(3), two.leave());
    leaving.await.expect("leaving takes a second at most");
    until_within(Duration::from_secs(1), "the leave is seen", || {
        peer(&one, id(2)).is_some_and(|peer| peer.left)
    })
    .await;
    assert_eq!(state(&one, "PJSIP/200"), Some(DeviceState::Unavailable));
    assert!(two.devices().set("PJSIP/200", DeviceState::InUse).is_err());
    // Once more is no error.
    two.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_banned_are_thrown_out_and_stay_out() {
    let (one, two) = pair(&Links::new()).await;
    one.ban(id(2)).await;
    until("the banned node is disconnected", || {
        !connected(&one, id(2))
    })
    .await;
    until("it is refused", || {
        one.net_counters().connections_refused > 0
    })
    .await;
    assert!(!connected(&one, id(2)));
    two.devices()
        .set("PJSIP/200", DeviceState::InUse)
        .expect("a write");
    let refused = one.net_counters().connections_refused;
    until("it keeps being refused", || {
        one.net_counters().connections_refused > refused
    })
    .await;
    assert_eq!(state(&one, "PJSIP/200"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_allowed_are_let_in() {
    let one = start(builder(1).allow([id(2)])).await;
    let two = start(builder(2).join(one.addresses()).expect("addresses")).await;
    until("the allowed node is connected", || {
        connected(&two, id(1)) && connected(&one, id(2))
    })
    .await;
    let three = start(
        builder(3)
            .dial_members(false)
            .join(one.addresses())
            .expect("addresses"),
    )
    .await;
    until("the other one is refused", || {
        one.net_counters().connections_refused > 0
    })
    .await;
    assert!(!connected(&one, id(3)) && three.counters().frames_received == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_frames_are_made_up_for() {
    let links = Links::with_seed(1);
    let (one, two) = pair(&links).await;
    links.lose(id(1), id(2), 0.5);
    for n in 0..40 {
        one.devices()
            .set(&format!("PJSIP/{n}"), DeviceState::InUse)
            .expect("a write");
        let key = format!("PJSIP/{n}");
        until(
            "each lamp is seen though half of all frames are lost",
            || state(&two, &key).is_some(),
        )
        .await;
    }
    assert!(
        two.net_counters().frames_lost > 5,
        "{:?}",
        two.net_counters()
    );
    until("both stores are equal", || one.digest() == two.digest()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_in_use_is_refused_by_name() {
    let one = start(builder(1)).await;
    let taken = one.addresses()[0]
        .rsplit_once("/p2p/")
        .expect("an address with a peer")
        .0
        .to_owned();
    let second = Mesh::builder("acme")
        .key(KEY)
        .mdns(false)
        .listen(&taken)
        .expect("an address")
        .start()
        .await;
    let Err(StartError::Listen { address, source }) = second else {
        panic!("{second:?}")
    };
    assert_eq!(
        (address, source.kind()),
        (taken, std::io::ErrorKind::AddrInUse)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ports_are_resolved_and_all_interfaces_are_spelt_out() {
    let everywhere = Mesh::builder("acme")
        .key(KEY)
        .mdns(false)
        .listen("0.0.0.0:0")
        .expect("an address");
    let everywhere = start(everywhere).await;
    assert!(!everywhere.addresses().is_empty());
    for address in everywhere.addresses() {
        assert!(
            !address.contains("/tcp/0/") && !address.contains("0.0.0.0"),
            "{address}"
        );
        assert!(
            address.ends_with(&format!("/p2p/{}", everywhere.id())),
            "{address}"
        );
    }
    let v6 = Mesh::builder("acme")
        .key(KEY)
        .mdns(false)
        .listen("[::1]:0")
        .expect("an address");
    let v6 = start(v6.join(everywhere.addresses()).expect("addresses")).await;
    assert!(
        v6.addresses()[0].starts_with("/ip6/::1/tcp/"),
        "{:?}",
        v6.addresses()
    );
    until("they are connected", || connected(&v6, everywhere.id())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_listens_nowhere_joins_and_a_name_is_resolved() {
    let one = start(builder(1)).await;
    let port = one.addresses()[0]
        .split('/')
        .nth(4)
        .expect("a port")
        .to_owned();
    let silent = Mesh::builder("acme")
        .key(KEY)
        .mdns(false)
        .join([format!("localhost:{port}")])
        .expect("an address");
    let silent = start(silent).await;
    assert!(silent.addresses().is_empty());
    until("it is connected", || {
        connected(&silent, id(1)) && connected(&one, silent.id())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_joins_itself_stays_alone_and_well() {
    let one = start(builder(1)).await;
    let port = one.addresses()[0]
        .split('/')
        .nth(4)
        .expect("a port")
        .to_owned();
    one.leave().await;
    let listen = format!("127.0.0.1:{port}");
    let own = || {
        let own = Mesh::builder("acme").key(KEY).mdns(false);
        let own = own.listen(&listen).expect("an address");
        own.join([listen.clone(), format!("localhost:{port}")])
            .expect("addresses")
            .start()
    };
    // The port is free once the last of the first node's connections is, and nothing announces that.
    let free = async {
        let mut look = tokio::time::interval(Duration::from_millis(5));
        loop {
            look.tick().await;
            match own().await {
                Err(StartError::Listen { .. }) => {}
                started => return started.expect("the node starts"),
            }
        }
    };
    let own = tokio::time::timeout(DEADLINE, free)
        .await
        .expect("the port becomes free");
    until("it noticed", || own.net_counters().dials_failed > 0).await;
    assert_eq!(own.peers(), []);
    tokio::time::timeout(DEADLINE, own.ready())
        .await
        .expect("alone is ready, too");
}

/// Fetched in parts, by pages; nobody waits for it, and everything is there in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_node_has_a_hundred_thousand_entries_within_ten_seconds() {
    const ENTRIES: usize = 100_000;
    let one = start(builder(1)).await;
    let all = (0..ENTRIES).map(|n| (format!("PJSIP/{n:06}"), DeviceState::NotInUse));
    one.devices().set_many(all).expect("a write");
    let two = start(builder(2).join(one.addresses()).expect("addresses")).await;
    until_within(Duration::from_secs(10), "all entries are there", || {
        two.devices().count() == ENTRIES
    })
    .await;
    until("both stores are equal", || one.digest() == two.digest()).await;
}
