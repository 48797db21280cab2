//! Transfers in parts, message by message: what happens to the sender's map between two parts.

use std::time::Duration;

use presence_mesh::crdt::Hlc;
use presence_mesh::model::{Incarnation, Key, Source, SpaceId, Value};
use presence_mesh::proto::{Config, Input, Now, Output, Replica, RequestId, Write};
use presence_mesh::wire::{Answer, Frame, MeshId, Request, Response};
use presence_mesh::{DeviceState, Freshness, Identity, Limits, Merge, MeshKey, Preset};

const ENTRIES: usize = 20_000;

fn mesh() -> MeshId {
    MeshId::derive(&MeshKey::from_bytes([9; 32]), "transfer")
}

fn at(seconds: u64) -> Now {
    Now {
        mono: Duration::from_secs(seconds),
        wall_ms: 1_767_225_600_000 + seconds * 1000,
    }
}

fn config(number: u8) -> Config {
    Config {
        mesh: mesh(),
        node: format!("n{number}"),
        version: "test".into(),
        timing: Preset::Lan.timing(),
        limits: Limits::default(),
        mailboxes: Merge::Latest,
        incarnation_floor: Incarnation::default(),
        hlc_floor: Hlc::ZERO,
        seed: u64::from(number),
    }
}

fn replica(number: u8) -> Replica {
    let identity = Identity::from_bytes([number; 32]);
    Replica::new(config(number), identity, at(0))
}

fn key(n: usize) -> Key {
    Key::new(SpaceId::DEVICES, format!("PJSIP/{n:05}")).expect("a key")
}

fn write(replica: &mut Replica, entries: Vec<(Key, Option<Value>)>, now: Now) {
    replica
        .write(
            entries,
            Write {
                source: Source::API,
                restate: false,
            },
            now,
        )
        .expect("a write");
}

fn drain(replica: &mut Replica) -> Vec<Output> {
    std::iter::from_fn(|| replica.poll_output()).collect()
}

fn question(replica: &mut Replica) -> Option<(RequestId, Request)> {
    drain(replica).into_iter().find_map(|output| match output {
        Output::Request { id, request, .. } => Some((id, request)),
        _ => None,
    })
}

/// Asks `answerer` what `asker` wants to know, until it wants to know nothing more. `between` runs before each
/// pull but the first, and says what time it is for the answerer then. Returns how many pulls there were.
fn pull(
    asker: &mut Replica,
    answerer: &mut Replica,
    mut between: impl FnMut(&mut Replica) -> Now,
) -> usize {
    let (mut pulls, mut now) = (0, at(2));
    asker.handle(
        Input::PeerUp {
            peer: answerer.id(),
        },
        at(2),
    );
    while let Some((id, request)) = question(asker) {
        if matches!(request, Request::Pull(_)) {
            pulls += 1;
            if pulls > 1 {
                now = between(answerer);
            }
        }
        drain(answerer);
        answerer.handle(
            Input::Request {
                from: asker.id(),
                id,
                request,
            },
            now,
        );
        let response = drain(answerer).into_iter().find_map(|output| match output {
            Output::Respond { response, .. } => Some(response),
            _ => None,
        });
        let bytes = response.expect("every request is answered").encode();
        let response = Response::decode(&bytes, &mesh()).expect("a response");
        if let Answer::Parts { parts, .. } = &response.answer {
            assert!(parts.len() <= 1, "one origin is transferred");
        }
        asker.handle(
            Input::Response {
                from: answerer.id(),
                id,
                response,
            },
            at(2),
        );
    }
    pulls
}

fn filled() -> Replica {
    let mut sender = replica(1);
    write(
        &mut sender,
        (0..ENTRIES)
            .map(|n| (key(n), Some(DeviceState::InUse.into())))
            .collect(),
        at(1),
    );
    drain(&mut sender);
    sender
}

#[test]
fn a_large_map_travels_in_parts() {
    let (mut sender, mut asker) = (filled(), replica(2));
    let pulls = pull(&mut asker, &mut sender, |_| at(2));
    assert!(pulls > 2, "{pulls} pulls");
    assert_eq!(asker.count(SpaceId::DEVICES), ENTRIES);
}

/// Keys sent in the first part are deleted, and their tombstones forgotten, before the second is asked for.
/// Going on from the cursor would leave them at the asker for ever.
#[test]
fn a_collection_between_two_parts_starts_the_transfer_over() {
    let (mut sender, mut asker) = (filled(), replica(2));
    let mut collected = false;
    pull(&mut asker, &mut sender, |sender| {
        if !std::mem::replace(&mut collected, true) {
            // More than a quarter, so that they are forgotten after a minute.
            write(
                sender,
                (0..ENTRIES / 2).map(|n| (key(n), None)).collect(),
                at(3),
            );
            drain(sender);
            sender.handle(Input::Timeout, at(100));
            assert_eq!(sender.counters().tombstones_collected, (ENTRIES / 2) as u64);
        }
        at(100)
    });
    assert!(collected);
    assert_eq!(asker.count(SpaceId::DEVICES), ENTRIES / 2);
    let hash = |replica: &Replica| {
        replica
            .maps()
            .into_iter()
            .find(|map| map.entries > 100)
            .map(|map| map.hash)
    };
    assert_eq!(hash(&asker), hash(&sender));
}

/// Writes during a transfer move keys to its end; the asker ends with the map as it is at the last part.
#[test]
fn writes_between_two_parts_arrive_with_the_last() {
    let (mut sender, mut asker) = (filled(), replica(2));
    let mut round = 0;
    pull(&mut asker, &mut sender, |sender| {
        round += 1;
        write(
            sender,
            vec![
                (key(round), Some(DeviceState::Busy.into())),
                (key(ENTRIES - round), None),
            ],
            at(3),
        );
        at(3)
    });
    assert!(round > 1);
    let shown = asker.get(&key(1), at(5)).expect("it is there");
    assert_eq!(shown.value.device_state(), DeviceState::Busy);
    assert_eq!(asker.count(SpaceId::DEVICES), ENTRIES - round);
}

/// A gossiped frame that is genuine, but of a replica nobody asked about: taken, and its age asked for.
#[test]
fn a_first_frame_is_shown_but_not_as_live() {
    let (mut sender, mut reader) = (replica(1), replica(2));
    write(
        &mut sender,
        vec![(key(1), Some(DeviceState::InUse.into()))],
        at(1),
    );
    for output in drain(&mut sender) {
        if let Output::Publish { frame } = output {
            let frame = Frame::decode(&frame.sign(), &mesh()).expect("genuine");
            reader.handle(
                Input::Frame {
                    from: sender.id(),
                    frame,
                },
                at(2),
            );
        }
    }
    let shown = reader.get(&key(1), at(2)).expect("it is there");
    assert_eq!(shown.freshness, Freshness::Stale);
}

/// Beats are further apart in a large mesh. Who joins it is told by the first part, not only by the next beat.
#[test]
fn who_beats_rarely_is_believed_for_three_beats_from_the_first_part_on() {
    let mut config = config(1);
    config.timing.beat = Duration::from_secs(10);
    let mut sender = Replica::new(config, Identity::from_bytes([1; 32]), at(0));
    let mut reader = replica(2);
    let lamp = vec![(key(1), Some(DeviceState::InUse.into()))];
    write(&mut sender, lamp, at(1));
    drain(&mut sender);
    pull(&mut reader, &mut sender, |_| at(2));
    let mut freshness = |seconds| {
        reader.handle(Input::Timeout, at(seconds));
        let shown = reader.get(&key(1), at(seconds)).expect("it is there");
        shown.freshness
    };
    assert_eq!(freshness(31), Freshness::Live);
    assert_eq!(freshness(32), Freshness::Gone);
}

/// Whoever starts knows itself alone, and says that it beats every second. Others give it leases by that, and must not
/// call it stale because it has met a thousand meanwhile, and would beat every ten.
#[test]
fn a_growing_mesh_slows_beats_only_once_it_is_told() {
    const MET: u16 = 500;
    let mut sender = replica(1);
    let mut frames: Vec<(u64, u64)> = Vec::new();
    let mut note = |sender: &mut Replica, ms: u64| {
        for output in drain(sender) {
            if let Output::Publish { frame } = output {
                let frame = Frame::decode(&frame.sign(), &mesh()).expect("it is genuine");
                frames.push((ms, frame.header().beat_ms.into()));
            }
        }
    };
    note(&mut sender, 0);
    for n in 0..MET {
        let mut bytes = [2; 32];
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        let mut other = Replica::new(config(2), Identity::from_bytes(bytes), at(0));
        let frame = drain(&mut other)
            .into_iter()
            .find_map(|output| match output {
                Output::Publish { frame } => Some(frame.sign()),
                _ => None,
            });
        let frame = frame.expect("it tells that it is there");
        let frame = Frame::decode(&frame, &mesh()).expect("it is genuine");
        let from = other.id();
        sender.handle(Input::Frame { from, frame }, at_ms(700));
        note(&mut sender, 700);
    }
    let mut now = 700;
    while now < 60_000 {
        let due = sender.poll_timeout().expect("there is always a next beat");
        now = u64::try_from(due.as_millis()).expect("a time").max(now);
        sender.handle(Input::Timeout, at_ms(now));
        note(&mut sender, now);
    }
    for pair in frames.windows(2) {
        let ((then, promised), (next, _)) = (pair[0], pair[1]);
        assert!(
            next - then <= promised,
            "{promised} ms were promised at {then}, it was {next}"
        );
    }
    let (_, promised) = frames.last().expect("it beats");
    assert_eq!(
        *promised,
        10 * u64::from(MET + 1),
        "it beats for all it knows"
    );
}

fn at_ms(ms: u64) -> Now {
    Now {
        mono: Duration::from_millis(ms),
        wall_ms: 1_767_225_600_000 + ms,
    }
}

/// Lets the replica's timer fire until it gives a question up; says when that was.
fn gives_up(replica: &mut Replica) -> u64 {
    let failed = replica.counters().requests_failed;
    for _ in 0..1_000 {
        let due = replica.poll_timeout().expect("there is always a next beat");
        let due = u64::try_from(due.as_millis()).expect("a time");
        replica.handle(Input::Timeout, at_ms(due));
        if replica.counters().requests_failed > failed {
            return due;
        }
    }
    panic!("it never gives up");
}

/// A question that is lost keeps its peer busy for `retry`, then twice as long, and so on: a lossy path is not
/// left idle, and a slow one is not asked the same again and again. An answer says how long to wait for the next.
#[test]
fn lost_questions_are_put_again_after_ever_longer_and_at_most_ten_seconds() {
    let (mut sender, mut asker) = (replica(1), replica(2));
    asker.handle(Input::PeerUp { peer: sender.id() }, at(0));
    let (mut last, mut waits, mut now) = (Vec::new(), Vec::new(), 0);
    for _ in 0..6 {
        last.push(question(&mut asker).expect("it asks at once").0);
        let then = gives_up(&mut asker);
        waits.push(then - now);
        now = then;
    }
    assert_eq!(waits, [1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
    last.push(question(&mut asker).expect("it asks at once").0);
    let mut answer = |asker: &mut Replica, id, now| {
        let (from, request) = (asker.id(), Request::Root(asker.digest()));
        drain(&mut sender);
        sender.handle(Input::Request { from, id, request }, now);
        let response = drain(&mut sender)
            .into_iter()
            .find_map(|output| match output {
                Output::Respond { response, .. } => Some(response),
                _ => None,
            })
            .expect("every request is answered");
        let from = sender.id();
        asker.handle(Input::Response { from, id, response }, now);
    };
    // Too late: its peer is still busy with the next one.
    answer(&mut asker, last[5], at_ms(now + 100));
    assert!(question(&mut asker).is_none());
    // In time, after 700 ms: the next may take twice as long, and the one after that one twice as long again.
    answer(&mut asker, last[6], at_ms(now + 700));
    question(&mut asker).expect("it lacks the node's record");
    assert_eq!(gives_up(&mut asker), now + 700 + 1_400);
    question(&mut asker).expect("it is still missing");
    assert_eq!(gives_up(&mut asker), now + 700 + 1_400 + 2_800);
}
