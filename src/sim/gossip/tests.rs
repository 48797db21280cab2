use std::collections::BTreeSet;

use super::measure::Bench;
use super::*;

fn trial(nodes: usize, dial_count: usize) -> Trial {
    Trial::new(Params::default(), nodes, dial_count, 7)
}

/// Nodes of which every two are connected, settled for 5 s.
fn full_mesh(params: Params, nodes: usize) -> Bench {
    let mut bench = Bench::new(params, nodes, 1_000, 7);
    for a in 0..nodes {
        for b in a + 1..nodes {
            bench.connect(a, b);
        }
    }
    bench.run_until(5_000_000);
    bench
}

fn deliveries_of(bench: &Bench, id: u32) -> Vec<usize> {
    let all = bench.deliveries.iter();
    let mut nodes: Vec<usize> = all.filter(|d| d.id.0 == id).map(|d| d.node).collect();
    nodes.sort_unstable();
    nodes
}

fn grafts(out: &[Send]) -> usize {
    out.iter().filter(|send| send.rpc == Rpc::Graft).count()
}

/// Two nodes that are up and connected, `0` having dialled; their grafts are under way in `out`.
fn two(params: Params) -> (Gossip, Vec<Send>) {
    let mut gossip = Gossip::new(params, 1);
    let mut out = Vec::new();
    gossip.grow(2);
    gossip.start(0, 0);
    gossip.start(1, 0);
    gossip.connect(0, 1, 0, &mut out);
    (gossip, out)
}

#[test]
fn every_node_gets_every_message_once() {
    for (nodes, dial_count) in [(2, 1), (5, 4), (20, 19), (60, 4)] {
        for flood_publish in [true, false] {
            let mut trial = trial(nodes, dial_count);
            trial.params.flood_publish = flood_publish;
            let figures = measure(&trial);
            assert_eq!(figures.published, 100);
            assert_eq!(figures.deliveries, figures.expected, "{figures}");
            assert!(figures.copies >= figures.deliveries);
        }
    }
}

#[test]
fn mesh_degrees_are_within_bounds_and_mutual() {
    for (nodes, dial_count) in [(50, 49), (200, 10)] {
        let mut bench = Bench::new(Params::default(), nodes, 1_000, 3);
        for a in 0..nodes {
            for step in 1..=dial_count.min(nodes / 2) {
                bench.connect(a, (a + step * 7919) % nodes);
            }
        }
        bench.run_until(10_000_000);
        let Params {
            mesh_n_low,
            mesh_n_high,
            mesh_outbound_min,
            ..
        } = Params::default();
        for node in 0..nodes {
            let mesh: Vec<usize> = bench.gossip.mesh(node).collect();
            assert!(mesh.len() >= mesh_n_low, "{node} has {mesh:?}");
            assert!(mesh.len() <= mesh_n_high + mesh_outbound_min);
            for &peer in &mesh {
                assert!(
                    bench.gossip.mesh(peer).any(|back| back == node),
                    "{node} has {peer} in its mesh and not the other way round"
                );
            }
        }
    }
}

/// With flooding the first hop reaches everybody, and then everybody forwards once more to its mesh.
#[test]
fn flooding_costs_copies_and_saves_hops() {
    let mut flooded = trial(50, 49);
    flooded.params.flood_publish = true;
    let mut routed = flooded.clone();
    routed.params.flood_publish = false;
    let (flooded, routed) = (measure(&flooded), measure(&routed));
    println!("flooded: {flooded}\nrouted:  {routed}");
    assert_eq!(flooded.latency_us(100), 1_000);
    assert!(routed.latency_us(50) >= 2_000);
    // In thousandths, per delivery. Everybody but the publisher forwards to its mesh, except back. With flooding
    // all have it from the publisher, who is in the meshes of as many as are in its own; without, each has it from
    // a mesh peer.
    let degree = 10 * flooded.degree_percent();
    let with = 1_000 + degree - degree / 49;
    let without = degree * 50 / 49 - 1_000;
    assert!(flooded.copies_permille().abs_diff(with) < 50, "{with}");
    assert!(routed.copies_permille().abs_diff(without) < 50, "{without}");
}

/// Without authors the publisher gets its own message back from those who have it from somebody else.
#[test]
fn only_named_authors_are_spared() {
    for authored in [false, true] {
        let params = Params {
            authored,
            ..Params::default()
        };
        let mut bench = full_mesh(params, 3);
        let (now_us, mut out) = (bench.now_us, Vec::new());
        let id = MessageId(1);
        bench.gossip.publish(0, id, 10, now_us, &mut out);
        let copy = Rpc::Message(id);
        bench.gossip.receive(1, 2, &copy, now_us, &mut out);
        out.clear();
        bench.gossip.forward(1, 2, id, now_us, &mut out);
        let to: Vec<usize> = out.iter().map(|send| send.to).collect();
        assert_eq!(to, if authored { vec![] } else { vec![0] });
    }
}

/// Two halves that publish while apart have nothing of each other afterwards, except what was published so
/// shortly before the heal that it is still offered.
#[test]
fn what_was_published_while_apart_is_lost() {
    let nodes = 30;
    let mut bench = full_mesh(Params::default(), nodes);
    let halves = (0..15).flat_map(|a| (15..nodes).map(move |b| (a, b)));
    for (a, b) in halves.clone() {
        bench.gossip.disconnect(a, b);
    }
    bench.run_until(8_000_000);
    bench.publish(0, MessageId(1), 100);
    // Three heartbeats, each within a second.
    bench.run_until(12_000_000);
    bench.publish(0, MessageId(2), 100);
    bench.run_until(12_500_000);
    for (a, b) in halves {
        bench.connect(a, b);
    }
    bench.run_until(13_000_000);
    bench.publish(0, MessageId(3), 100);
    bench.run_until(30_000_000);
    let own_half: Vec<usize> = (1..15).collect();
    assert_eq!(deliveries_of(&bench, 1), own_half);
    let offered = deliveries_of(&bench, 2);
    assert!(offered.len() > own_half.len(), "{offered:?}");
    assert_eq!(deliveries_of(&bench, 3), (1..nodes).collect::<Vec<_>>());
}

/// In a small mesh everybody is in everybody's mesh, so nothing is ever offered.
#[test]
fn small_meshes_offer_nothing() {
    let mut bench = full_mesh(Params::default(), 6);
    bench.publish(0, MessageId(1), 100);
    bench.run_until(20_000_000);
    assert_eq!(bench.counters().ihave_sent, 0);
    let mut bench = full_mesh(Params::default(), 40);
    bench.publish(0, MessageId(1), 100);
    bench.run_until(20_000_000);
    let counters = bench.counters();
    assert_eq!(counters.ihave_ids, counters.ihave_sent);
    // Each of the 40 offers it at three heartbeats to a quarter of the others, or six.
    assert!(
        (40 * 3 * 6..=40 * 3 * 9).contains(&counters.ihave_sent),
        "{counters:?}"
    );
    assert_eq!(counters.iwant_ids, 0);
}

#[test]
fn a_publish_without_peers_is_forgotten() {
    let mut bench = Bench::new(Params::default(), 2, 1_000, 1);
    assert_eq!(bench.publish(0, MessageId(1), 100), 0);
    bench.connect(0, 1);
    bench.run_until(10_000_000);
    assert_eq!(deliveries_of(&bench, 1), [0usize; 0]);
    assert_eq!(bench.publish(0, MessageId(2), 100), 1);
    bench.run_until(11_000_000);
    assert_eq!(deliveries_of(&bench, 2), [1]);
}

#[test]
fn a_message_is_offered_and_answered_as_long_as_the_history_says() {
    let params = Params {
        mesh_n: 0,
        mesh_n_low: 0,
        mesh_outbound_min: 0,
        mesh_n_high: 0,
        ..Params::default()
    };
    let (mut gossip, mut out) = two(params);
    assert_eq!(out, []);
    let id = MessageId(9);
    assert_eq!(gossip.publish(0, id, 10, 0, &mut out), 1);
    // That copy is lost, and so is every offer.
    let asking = Rpc::IWant([id].as_slice().into());
    for beat in 1..=6 {
        out.clear();
        gossip.heartbeat(0, beat * 1_000_000, &mut out);
        assert_eq!(!out.is_empty(), beat <= 3, "beat {beat}");
        out.clear();
        gossip.receive(0, 1, &asking, beat * 1_000_000, &mut out);
        // Three answers at most, whatever the history says.
        assert_eq!(!out.is_empty(), beat <= 3, "beat {beat}");
    }

    gossip.publish(0, MessageId(10), 10, 7_000_000, &mut out);
    let asking = Rpc::IWant([MessageId(10)].as_slice().into());
    for beat in 1..=5 {
        out.clear();
        gossip.heartbeat(0, 7_000_000 + beat * 1_000_000, &mut out);
        if beat >= 4 {
            gossip.receive(0, 1, &asking, 12_000_000, &mut out);
            assert_eq!(!out.is_empty(), beat == 4);
        }
    }
}

/// What is asked for is asked of one peer only, even if the answer never comes.
#[test]
fn a_promise_is_never_given_up() {
    let mut gossip = Gossip::new(Params::default(), 1);
    let mut out = Vec::new();
    gossip.grow(3);
    for node in 0..3 {
        gossip.start(node, 0);
    }
    gossip.connect(0, 1, 0, &mut out);
    gossip.connect(0, 2, 0, &mut out);
    gossip.publish(1, MessageId(1), 10, 0, &mut out);
    out.clear();
    let offer = Rpc::IHave([MessageId(1)].as_slice().into());
    gossip.receive(0, 1, &offer, 10, &mut out);
    assert_eq!(out.len(), 1);
    out.clear();
    gossip.heartbeat(0, 60_000_000, &mut out);
    out.clear();
    gossip.receive(0, 2, &offer, 60_000_000, &mut out);
    assert_eq!(out, []);
}

#[test]
fn long_offers_are_cut_and_asked_for_within_limits() {
    let params = Params {
        max_ihave_length: 3,
        max_ihave_messages: 2,
        mesh_n: 0,
        mesh_n_low: 0,
        mesh_outbound_min: 0,
        mesh_n_high: 0,
        ..Params::default()
    };
    let (mut gossip, mut out) = two(params);
    for id in 0..8 {
        gossip.publish(0, MessageId(id), 10, 0, &mut out);
    }
    out.clear();
    gossip.heartbeat(0, 1_500_000, &mut out);
    let [
        Send {
            rpc: Rpc::IHave(ids),
            ..
        },
    ] = &out[..]
    else {
        panic!("one offer: {out:?}");
    };
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 3);

    let asked = |gossip: &mut Gossip, ids: std::ops::Range<u32>| {
        let mut out = Vec::new();
        let offer = Rpc::IHave(ids.map(MessageId).collect::<Vec<_>>().into());
        gossip.receive(1, 0, &offer, 1_600_000, &mut out);
        match out.pop() {
            Some(Send {
                rpc: Rpc::IWant(ids),
                ..
            }) => ids.len(),
            _ => 0,
        }
    };
    assert_eq!(asked(&mut gossip, 0..2), 2);
    // There is room for one more.
    assert_eq!(asked(&mut gossip, 2..8), 1);
    gossip.heartbeat(1, 2_000_000, &mut Vec::new());
    // What was asked for already is not asked for again.
    assert_eq!(asked(&mut gossip, 0..2), 0);
    assert_eq!(asked(&mut gossip, 0..2), 0);
    // There is room, but the third offer since the heartbeat is not heeded.
    assert_eq!(asked(&mut gossip, 2..8), 0);
    gossip.heartbeat(1, 3_000_000, &mut Vec::new());
    assert_eq!(asked(&mut gossip, 2..8), 3);
    gossip.heartbeat(1, 4_000_000, &mut Vec::new());
    assert_eq!(asked(&mut gossip, 2..8), 2);
}

/// Who has a large message says so to its mesh, and is sent no more copies.
#[test]
fn large_messages_are_announced_and_spared() {
    for (bytes, large) in [(900, false), (1_000, true)] {
        let mut bench = full_mesh(Params::default(), 3);
        let (now_us, mut out) = (bench.now_us, Vec::new());
        let id = MessageId(1);
        bench.gossip.publish(0, id, bytes, now_us, &mut out);
        let copy = Rpc::Message(id);
        out.clear();
        bench.gossip.receive(1, 0, &copy, now_us, &mut out);
        let announcement = Send {
            from: 1,
            to: 2,
            rpc: Rpc::IDontWant([id].as_slice().into()),
        };
        assert_eq!(out, if large { vec![announcement] } else { vec![] });
        for send in std::mem::take(&mut out) {
            bench.gossip.receive(2, 1, &send.rpc, now_us, &mut out);
        }
        assert_eq!(bench.gossip.is_unwanted(2, 1, id), large);
        bench.gossip.receive(2, 0, &copy, now_us, &mut out);
        out.clear();
        bench.gossip.forward(2, 0, id, now_us, &mut out);
        assert_eq!(out.is_empty(), large);
        // For three seconds it is remembered.
        bench.gossip.heartbeat(2, now_us + 4_000_000, &mut out);
        assert!(!bench.gossip.is_unwanted(2, 1, id));
    }
}

/// A peer is not grafted again, nor may graft us, before the backoff has passed.
#[test]
fn a_pruned_peer_stays_out_for_the_backoff() {
    let (mut gossip, mut out) = two(Params::default());
    assert_eq!(grafts(&out), 2);
    out.clear();
    gossip.receive(0, 1, &Rpc::Prune, 2_500_000, &mut out);
    assert_eq!(gossip.mesh(0).count(), 0);
    gossip.receive(0, 1, &Rpc::Graft, 40_000_000, &mut out);
    assert_eq!(out.pop().map(|send| send.rpc), Some(Rpc::Prune));

    let (mut gossip, mut out) = two(Params::default());
    for second in 1..=2 {
        gossip.heartbeat(0, second * 1_000_000, &mut out);
    }
    gossip.receive(0, 1, &Rpc::Prune, 2_500_000, &mut out);
    for second in 3..=63 {
        out.clear();
        gossip.heartbeat(0, second * 1_000_000, &mut out);
        assert_eq!(grafts(&out), 0, "second {second}");
    }
    out.clear();
    gossip.heartbeat(0, 64_000_000, &mut out);
    assert_eq!(grafts(&out), 1);
}

/// A peer that still holds the connection of our earlier life tells us nothing, so we publish nothing to it.
#[test]
fn a_restart_behind_a_dead_connection_is_mute() {
    let (mut gossip, mut out) = two(Params::default());
    gossip.stop(0);
    gossip.start(0, 1_000_000);
    gossip.connect(0, 1, 1_000_000, &mut out);
    assert_eq!(gossip.publish(0, MessageId(1), 10, 1_000_000, &mut out), 0);
    assert_eq!(gossip.publish(1, MessageId(2), 10, 1_000_000, &mut out), 1);

    gossip.disconnect(0, 1);
    gossip.connect(0, 1, 2_000_000, &mut out);
    assert_eq!(gossip.publish(0, MessageId(3), 10, 2_000_000, &mut out), 1);
}

#[test]
fn a_restart_forgets_what_it_has_seen() {
    let mut bench = full_mesh(Params::default(), 4);
    bench.publish(0, MessageId(1), 100);
    bench.run_until(6_000_000);
    assert_eq!(deliveries_of(&bench, 1), [1, 2, 3]);
    for peer in 0..3 {
        bench.gossip.disconnect(3, peer);
    }
    bench.gossip.stop(3);
    assert_eq!(bench.gossip.next_heartbeat(3), None);
    bench.gossip.start(3, bench.now_us);
    for peer in 0..3 {
        bench.connect(3, peer);
    }
    let mut out = Vec::new();
    let copy = Rpc::Message(MessageId(1));
    assert_eq!(
        bench.gossip.receive(3, 0, &copy, bench.now_us, &mut out),
        Received::New
    );
    assert_eq!(
        bench.gossip.receive(2, 0, &copy, bench.now_us, &mut out),
        Received::Duplicate
    );
}

#[test]
fn a_rejected_message_goes_no_further() {
    let (mut gossip, mut out) = two(Params::default());
    gossip.grow(3);
    gossip.start(2, 0);
    gossip.connect(1, 2, 0, &mut out);
    let id = MessageId(1);
    gossip.publish(0, id, 10, 0, &mut out);
    out.clear();
    let copy = Rpc::Message(id);
    assert_eq!(gossip.receive(1, 0, &copy, 1, &mut out), Received::New);
    gossip.reject(1, id);
    gossip.forward(1, 0, id, 1, &mut out);
    gossip.receive(1, 2, &Rpc::IWant([id].as_slice().into()), 1, &mut out);
    assert_eq!(out, []);
    assert_eq!(
        gossip.receive(1, 2, &copy, 2, &mut out),
        Received::Duplicate
    );
}

/// Who sends a copy before the first is judged gets none back.
#[test]
fn early_duplicates_are_not_answered() {
    for twice in [false, true] {
        let mut bench = full_mesh(Params::default(), 4);
        let mut out = Vec::new();
        let copy = Rpc::Message(MessageId(1));
        let now_us = bench.now_us;
        bench.gossip.publish(0, MessageId(1), 10, now_us, &mut out);
        bench.gossip.receive(1, 0, &copy, now_us, &mut out);
        if twice {
            bench.gossip.receive(1, 2, &copy, now_us, &mut out);
        }
        out.clear();
        bench.gossip.forward(1, 0, MessageId(1), now_us, &mut out);
        let to: Vec<usize> = out.iter().map(|send| send.to).collect();
        assert_eq!(to, if twice { vec![3] } else { vec![2, 3] });
    }
}

#[test]
fn messages_are_forgotten_after_the_duplicate_cache_time() {
    let mut bench = full_mesh(Params::default(), 5);
    bench.publish(0, MessageId(1), 100);
    bench.run_until(5_000_000 + 110_000_000);
    assert_eq!(bench.gossip.live_messages(), 1);
    bench.run_until(5_000_000 + 125_000_000);
    assert_eq!(bench.gossip.live_messages(), 0);
}

#[test]
fn nothing_arrives_over_a_connection_that_has_ended() {
    let (mut gossip, mut out) = two(Params::default());
    gossip.publish(0, MessageId(1), 10, 0, &mut out);
    gossip.disconnect(0, 1);
    let copy = Rpc::Message(MessageId(1));
    assert_eq!(gossip.receive(1, 0, &copy, 1, &mut out), Received::Dropped);
    assert_eq!(gossip.counters(1).copies_received, 0);
}

#[test]
fn the_same_seed_measures_the_same_and_another_does_not() {
    let one = trial(40, 6);
    let mut other = one.clone();
    other.seed += 1;
    assert_eq!(measure(&one), measure(&one));
    assert_ne!(measure(&one), measure(&other));
}

#[test]
fn a_thousand_nodes_are_no_trouble() {
    let mut trial = trial(1_000, 10);
    trial.messages = 20;
    let figures = measure(&trial);
    assert_eq!(figures.deliveries, 20 * 999, "{figures}");
}

/// As protobuf has it: 203 bytes of data field and 50 of topic in a field of 256, with two more for the length.
#[test]
fn sizes_on_the_wire() {
    let params = Params::default();
    let ids: std::sync::Arc<[MessageId]> = [MessageId(1), MessageId(2)].as_slice().into();
    assert_eq!(Rpc::Message(MessageId(1)).wire_bytes(&params, 200), 258);
    assert_eq!(Rpc::IHave(ids.clone()).wire_bytes(&params, 0), 91);
    assert_eq!(Rpc::IWant(ids).wire_bytes(&params, 0), 41);
    assert_eq!(Rpc::Graft.wire_bytes(&params, 0), 55);
    assert_eq!(Rpc::Prune.wire_bytes(&params, 0), 57);
}
