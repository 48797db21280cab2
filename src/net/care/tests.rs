//! The rules of connection care, played through without a socket.

use super::*;

const LOCAL: u8 = 5;

fn node(n: u8) -> ReplicaId {
    ReplicaId::from_public_key([n; 32])
}

fn address(n: u8) -> Multiaddr {
    format!("/ip4/10.0.0.{n}/tcp/4747")
        .parse()
        .expect("a multiaddr")
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn connection(n: usize) -> ConnectionId {
    ConnectionId::new_unchecked(n)
}

fn care(joins: &[&str]) -> Care {
    let joins = joins
        .iter()
        .map(|text| text.parse().expect("a multiaddr"))
        .collect();
    Care::new(node(LOCAL), ms(6_000), joins, 1)
}

fn member(n: u8) -> Known {
    Known {
        replica: node(n),
        incarnation: Incarnation(1),
        addresses: vec![address(n)],
        left: false,
    }
}

/// Everything done until then, with the time of each.
fn run(care: &mut Care, now: &mut Duration, until: Duration) -> Vec<(Duration, Action)> {
    let mut done = Vec::new();
    while *now < until {
        done.extend(
            care.act(*now, *now)
                .into_iter()
                .map(|action| (*now, action)),
        );
        *now = care.due().min(until);
    }
    done
}

fn dials(done: &[(Duration, Action)], n: u8) -> Vec<Duration> {
    let dials = done
        .iter()
        .filter(|(_, action)| matches!(action, Action::Dial { peer, .. } if *peer == node(n)));
    dials.map(|(at, _)| *at).collect()
}

fn disconnects(done: &[(Duration, Action)]) -> Vec<(Duration, Why)> {
    let wanted = |(at, action): &(Duration, Action)| match action {
        Action::Disconnect { why, .. } => Some((*at, *why)),
        _ => None,
    };
    done.iter().filter_map(wanted).collect()
}

/// It dialled us.
fn inbound(care: &mut Care, n: u8, id: usize, now: Duration) {
    assert!(care.connected(
        node(n),
        connection(id),
        Made {
            began: now,
            address: None,
            join: None,
            how: FoundBy::Join
        },
        now
    ));
}

/// We dialled it.
fn outbound(care: &mut Care, peer: ReplicaId, id: usize, now: Duration) {
    let made = Made {
        began: now,
        address: Some(address(1)),
        join: None,
        how: FoundBy::Join,
    };
    assert!(care.connected(peer, connection(id), made, now));
}

/// Our dial of the first join address led to it; says whether the connection is kept.
fn join(care: &mut Care, n: u8, id: usize, now: Duration) -> bool {
    let made = Made {
        began: now,
        address: Some(address(n)),
        join: Some(0),
        how: FoundBy::Join,
    };
    care.connected(node(n), connection(id), made, now)
}

fn connect(care: &mut Care, n: u8, id: usize, now: Duration) {
    inbound(care, n, id, now);
    care.subscribed(node(n), now);
}

#[test]
fn the_lesser_id_dials_first_and_the_greater_a_second_later() {
    let (mut care, mut now) = (care(&[]), ms(0));
    care.found(node(9), &[address(9)], FoundBy::Mdns, now);
    care.found(node(1), &[address(1)], FoundBy::Mdns, now);
    let done = run(&mut care, &mut now, ms(3_000));
    assert!(dials(&done, 9)[0] <= ms(50), "{done:?}");
    let later = dials(&done, 1)[0];
    assert!(later >= ms(1_000) && later <= ms(1_250), "{done:?}");
}

#[test]
fn the_greater_id_does_not_dial_who_came_by_itself() {
    let (mut care, mut now) = (care(&[]), ms(0));
    care.found(node(1), &[address(1)], FoundBy::Mdns, now);
    connect(&mut care, 1, 1, ms(300));
    assert!(dials(&run(&mut care, &mut now, ms(3_000)), 1).is_empty());
}

#[test]
fn members_are_redialled_for_ever_at_least_every_second() {
    let (mut care, mut now) = (care(&[]), ms(0));
    care.members(&[member(9)], now);
    let mut last = ms(0);
    for _ in 0..1_000 {
        let until = now + ms(1_200);
        let done = run(&mut care, &mut now, until);
        let at = *dials(&done, 9).first().expect("a dial each second");
        assert!(at - last <= ms(1_020), "{:?}", at - last);
        care.dial_failed(node(9), &Failure::Unreachable, at);
        last = at;
        now = at;
    }
}

#[test]
fn a_join_address_never_reached_is_tried_ever_more_rarely() {
    let (mut care, mut now) = (care(&["/ip4/10.0.0.1/tcp/4747"]), ms(0));
    let mut times = Vec::new();
    for _ in 0..20 {
        let until = now + ms(31_000);
        let done = run(&mut care, &mut now, until);
        let (at, _) = done
            .iter()
            .find(|(_, action)| matches!(action, Action::Join { join: 0, .. }))
            .expect("a dial");
        care.join_failed(0, *at);
        times.push(*at);
        now = *at;
    }
    assert!(times[1] <= ms(110) && times[3] <= ms(800), "{times:?}");
    let last = times[19] - times[18];
    assert!(last >= ms(15_000) && last <= ms(30_010), "{last:?}");
}

#[test]
fn a_join_address_becomes_its_peers() {
    let (mut care, mut now) = (care(&["/dns/paris/tcp/4747"]), ms(0));
    assert_eq!(run(&mut care, &mut now, ms(10)).len(), 1);
    assert!(join(&mut care, 9, 1, now));
    care.subscribed(node(9), now);
    care.closed(node(9), connection(1), ms(1_000));
    let done = run(&mut care, &mut now, ms(2_000));
    let Some((_, Action::Dial { peer, addresses })) = done.last() else {
        panic!("{done:?}")
    };
    assert_eq!(
        (*peer, addresses[0].to_string().as_str()),
        (node(9), "/dns/paris/tcp/4747")
    );
    assert!(
        !done
            .iter()
            .any(|(_, action)| matches!(action, Action::Join { .. }))
    );
}

/// Two nodes are told to join each other; one was down when the other tried first, and came by itself.
#[test]
fn a_join_address_of_a_peer_connected_already_costs_it_nothing() {
    let (mut care, mut now) = (care(&["/ip4/10.0.0.9/tcp/4747"]), ms(0));
    run(&mut care, &mut now, ms(10));
    care.join_failed(0, now);
    connect(&mut care, 9, 1, now);
    run(&mut care, &mut now, ms(5_000));
    assert!(
        !join(&mut care, 9, 2, now),
        "the second connection is closed by us"
    );
    care.closed(node(9), connection(2), now);
    assert!(run(&mut care, &mut now, ms(5_900)).is_empty());
}

/// A machine set up anew keeps its address and has another identity.
#[test]
fn a_join_address_with_a_new_owner_is_joined_anew() {
    let (mut care, mut now) = (care(&["/ip4/10.0.0.9/tcp/4747"]), ms(0));
    run(&mut care, &mut now, ms(10));
    join(&mut care, 9, 1, now);
    care.closed(node(9), connection(1), now);
    let failure = Failure::Somebody {
        obtained: Some(node(8)),
        address: address(9),
    };
    care.dial_failed(node(9), &failure, ms(20));
    let done = run(&mut care, &mut now, ms(100));
    assert!(
        done.iter()
            .any(|(_, action)| matches!(action, Action::Join { join: 0, .. })),
        "{done:?}"
    );
}

#[test]
fn nobody_dials_itself() {
    let me = format!("/ip4/10.0.0.4/tcp/4747/p2p/{}", node(LOCAL));
    let (mut care, mut now) = (care(&["/ip4/10.0.0.5/tcp/4747", &me]), ms(0));
    care.own_addresses(&[address(LOCAL)].into());
    let mut behind_nat = member(9);
    behind_nat.addresses = vec![address(LOCAL)];
    care.members(&[member(LOCAL), behind_nat], now);
    let done = run(&mut care, &mut now, ms(2_000));
    assert!(
        done.iter().all(
            |(_, action)| matches!(action, Action::Dial { peer, addresses } if *peer == node(9) && addresses.is_empty())
        ),
        "{done:?}"
    );
}

/// The peer lost power, came back, and gossipsub would stay mute towards it (rust-libp2p #5097).
#[test]
fn a_second_connection_beside_an_old_one_starts_over() {
    let (mut care, mut now) = (care(&[]), ms(0));
    connect(&mut care, 9, 1, now);
    run(&mut care, &mut now, ms(5_000));
    inbound(&mut care, 9, 2, now);
    let done = run(&mut care, &mut now, ms(5_500));
    assert_eq!(disconnects(&done), [(ms(5_250), Why::Stale)]);
}

/// Closing only the old connection does not make gossipsub speak on the new one.
#[test]
fn the_old_connection_ending_first_does_not_save_the_second() {
    let (mut care, mut now) = (care(&[]), ms(0));
    connect(&mut care, 9, 1, now);
    run(&mut care, &mut now, ms(5_000));
    inbound(&mut care, 9, 2, now);
    care.closed(node(9), connection(1), ms(5_100));
    assert_eq!(
        disconnects(&run(&mut care, &mut now, ms(5_500))),
        [(ms(5_250), Why::Stale)]
    );
}

#[test]
fn two_dials_at_once_are_no_reason_to_start_over() {
    let (mut care, mut now) = (care(&[]), ms(0));
    connect(&mut care, 9, 1, now);
    run(&mut care, &mut now, ms(1_500));
    inbound(&mut care, 9, 2, now);
    assert_eq!(disconnects(&run(&mut care, &mut now, ms(5_000))), []);
}

/// The other side saw it begin only now, and would take it for the dial of somebody who came back.
#[test]
fn a_slow_dial_is_dropped_when_the_peer_came_meanwhile() {
    let (mut care, mut now) = (care(&[]), ms(0));
    connect(&mut care, 9, 1, ms(1_000));
    run(&mut care, &mut now, ms(5_000));
    let made = Made {
        began: ms(0),
        address: Some(address(9)),
        join: None,
        how: FoundBy::Join,
    };
    assert!(!care.connected(node(9), connection(2), made, now));
    care.closed(node(9), connection(2), ms(5_010));
    assert_eq!(disconnects(&run(&mut care, &mut now, ms(6_500))), []);
}

/// A machine so busy that it took five seconds over a handshake.
#[test]
fn a_dial_begun_in_time_is_no_reason_to_start_over() {
    let (mut care, mut now) = (care(&[]), ms(0));
    connect(&mut care, 9, 1, now);
    run(&mut care, &mut now, ms(5_000));
    let made = Made {
        began: ms(400),
        address: None,
        join: None,
        how: FoundBy::Join,
    };
    assert!(care.connected(node(9), connection(2), made, now));
    assert_eq!(disconnects(&run(&mut care, &mut now, ms(5_900))), []);
}

#[test]
fn nobody_is_silent_while_there_is_more_to_read() {
    let (mut care, now) = (care(&[]), ms(0));
    connect(&mut care, 9, 1, now);
    assert_eq!(care.act(ms(60_000), ms(5_000)), []);
    assert_eq!(care.act(ms(60_001), ms(6_001)).len(), 1);
}

/// Someone who looks for another peer at our address hangs up as soon as it sees who answers.
#[test]
fn a_connection_made_by_mistake_changes_nothing() {
    let (mut care, mut now) = (care(&[]), ms(0));
    connect(&mut care, 9, 1, now);
    run(&mut care, &mut now, ms(5_000));
    inbound(&mut care, 9, 2, now);
    care.closed(node(9), connection(2), ms(5_020));
    assert_eq!(disconnects(&run(&mut care, &mut now, ms(5_900))), []);
}

#[test]
fn a_silent_peer_is_dialled_anew_ever_more_rarely() {
    let (mut care, mut now) = (care(&[]), ms(0));
    let mut patience = Vec::new();
    for id in 0..8 {
        let since = now;
        connect(&mut care, 9, id, now);
        while disconnects(
            &care
                .act(now, now)
                .into_iter()
                .map(|action| (now, action))
                .collect::<Vec<_>>(),
        )
        .is_empty()
        {
            now = care.due();
        }
        patience.push((now - since).as_secs());
        care.closed(node(9), connection(id), now);
    }
    assert_eq!(patience, [6, 12, 24, 48, 96, 192, 192, 192]);
    // Whoever is heard again has our patience of old.
    connect(&mut care, 9, 9, now);
    care.heard(node(9), None, now);
    let since = now;
    let until = now + ms(10_000);
    assert_eq!(
        disconnects(&run(&mut care, &mut now, until)),
        [(since + ms(6_000), Why::Silent)]
    );
}

#[test]
fn a_peer_heard_by_any_path_is_not_silent() {
    let (mut care, mut now) = (care(&[]), ms(0));
    connect(&mut care, 9, 1, now);
    for _ in 0..100 {
        let until = now + ms(5_000);
        assert_eq!(disconnects(&run(&mut care, &mut now, until)), []);
        care.heard(node(9), Some(ms(1_000)), now);
    }
    // One that beats every ten seconds may be silent for longer.
    care.heard(node(9), Some(ms(10_000)), now);
    let until = now + ms(59_000);
    assert_eq!(disconnects(&run(&mut care, &mut now, until)), []);
}

/// A node that bans us accepts the connection and closes it, over and over.
#[test]
fn who_hangs_up_at_once_is_dialled_ever_more_rarely() {
    let (mut care, mut now) = (care(&["/ip4/10.0.0.9/tcp/4747"]), ms(0));
    let mut dialled = 0;
    while now < ms(600_000) {
        let until = now + ms(100);
        for (at, _) in run(&mut care, &mut now, until) {
            dialled += 1;
            join(&mut care, 9, dialled, at);
            care.closed(node(9), connection(dialled), at);
        }
    }
    assert!((25..60).contains(&dialled), "{dialled}");
}

#[test]
fn who_left_is_disconnected_once_and_left_alone() {
    let (mut care, mut now) = (care(&[]), ms(0));
    care.members(&[member(9)], now);
    connect(&mut care, 9, 1, now);
    let left = Known {
        left: true,
        ..member(9)
    };
    care.members(std::slice::from_ref(&left), ms(100));
    let done = run(&mut care, &mut now, ms(200));
    assert_eq!(disconnects(&done), [(ms(0), Why::Left)]);
    care.closed(node(9), connection(1), ms(200));
    assert!(run(&mut care, &mut now, ms(5_000)).is_empty());
    // It comes back, and its new life has not been heard of yet.
    connect(&mut care, 9, 2, now);
    care.members(&[left], now);
    assert_eq!(disconnects(&run(&mut care, &mut now, ms(5_500))), []);
}

#[test]
fn up_to_fifty_everyone_is_dialled_beyond_that_a_dozen() {
    for (count, dialled) in [(50, 50), (51, DOZEN)] {
        let (mut care, mut now) = (care(&[]), ms(0));
        let members: Vec<Known> = (0..count).map(|n| member(n + 100)).collect();
        care.members(&members, now);
        let mut peers = BTreeSet::new();
        for _ in 0..20 {
            let until = now + ms(100);
            for (at, action) in run(&mut care, &mut now, until) {
                let Action::Dial { peer, .. } = action else {
                    continue;
                };
                peers.insert(peer);
                care.dial_failed(peer, &Failure::Unreachable, at);
            }
        }
        assert_eq!(peers.len(), dialled);
    }
}

#[test]
fn in_a_large_mesh_everyone_is_met_over_time() {
    let (mut care, mut now) = (care(&[]), ms(0));
    let members: Vec<Known> = (0..80).map(|n| member(n + 100)).collect();
    care.members(&members, now);
    let (mut met, mut id) = (BTreeSet::new(), 0);
    while now < 700 * RECHOOSE {
        let until = now + RECHOOSE;
        for (at, action) in run(&mut care, &mut now, until) {
            match action {
                Action::Dial { peer, .. } => {
                    id += 1;
                    met.insert(peer);
                    outbound(&mut care, peer, id, at);
                    care.subscribed(peer, at);
                }
                Action::Disconnect { peer, .. } => {
                    for connection in care.peers[&peer].connections.clone() {
                        care.closed(peer, connection.id, at);
                    }
                }
                Action::Join { .. } => unreachable!("there is none"),
            }
        }
        let connected: Vec<ReplicaId> = care
            .peers
            .iter()
            .filter(|(_, peer)| peer.connected())
            .map(|(&replica, _)| replica)
            .collect();
        assert!(connected.len() <= DOZEN + 1, "{}", connected.len());
        connected
            .into_iter()
            .for_each(|replica| care.heard(replica, Some(RECHOOSE), now));
    }
    assert_eq!(met.len(), 80);
}

#[test]
fn strangers_on_the_lan_are_forgotten_and_their_number_is_bounded() {
    let (mut care, mut now) = (care(&[]), ms(0));
    for n in 0..MAX_PEERS + 100 {
        let mut key = [7; 32];
        key[..8].copy_from_slice(&n.to_be_bytes());
        care.found(
            ReplicaId::from_public_key(key),
            &[address(1)],
            FoundBy::Mdns,
            now,
        );
    }
    assert_eq!((care.peers.len(), care.ignored()), (MAX_PEERS, 100));
    let first = run(&mut care, &mut now, ms(5));
    assert_eq!(
        first.len(),
        MAX_DIALS.min(first.len()),
        "dials under way are bounded"
    );
    run(&mut care, &mut now, KEEP_FOUND + ms(20_000));
    assert_eq!(care.peers.len(), 0);
}

#[test]
fn the_banned_are_not_dialled() {
    let (mut care, mut now) = (care(&["/ip4/10.0.0.9/tcp/4747"]), ms(0));
    care.ban(node(9), now);
    join(&mut care, 9, 1, now);
    care.closed(node(9), connection(1), now);
    care.members(&[member(9)], now);
    assert!(run(&mut care, &mut now, ms(60_000)).is_empty());
}
