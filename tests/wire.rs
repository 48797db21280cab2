//! Messages as bytes: what they look like, and what hostile ones do.
#![allow(unsafe_code)] // a global allocator that counts

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::path::Path;

use presence_mesh::Digest;
use presence_mesh::crdt::{Content, Delta, Dot, Entry, Head, Hlc};
use presence_mesh::model::{
    DeviceState, Event, FieldValue, Incarnation, Key, MessageCounts, ReplicaId, Source, SpaceId,
    Value,
};
use presence_mesh::wire::{
    About, Alive, Answer, BatchedEvent, DecodeError, EventBatch, EventsWanted, Frame, HeadInfo,
    Header, Identity, Kind, KnownEvents, MAX_FRAME_BYTES, MeshId, MeshKey, Part, RememberedFrame,
    Request, Response, Resume, Want,
};
use proptest::prelude::*;

struct Counting;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATED.try_with(|total| total.set(total.get() + layout.size()));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Decoding may allocate this many times the bytes it was given in all, plus a constant.
const FACTOR: usize = 100;
const CONSTANT: usize = 8 * 1024;

fn within_bounds<T>(bytes: &[u8], decode: impl Fn(&[u8]) -> T) -> T {
    let before = ALLOCATED.with(Cell::get);
    let result = decode(bytes);
    let allocated = ALLOCATED.with(Cell::get) - before;
    assert!(
        allocated <= FACTOR * bytes.len() + CONSTANT,
        "{allocated} bytes allocated for {}",
        bytes.len()
    );
    result
}

fn identity() -> Identity {
    Identity::from_bytes([7; 32])
}

fn mesh() -> MeshId {
    MeshId::derive(&MeshKey::from_bytes([9; 32]), "acme")
}

fn header(kind: Kind) -> Header {
    Header {
        replica: identity().replica(),
        incarnation: Incarnation(0x0192_0000_0000_0001),
        head: 5,
        events: 4,
        frame: 3,
        up_ms: 12_345,
        beat_ms: 1_000,
        settled: Some(2),
        kind,
    }
}

fn entry(seq: u64, value: Option<Value>, over: &[Dot]) -> Entry {
    let over = (!over.is_empty()).then(|| Box::new(over.to_vec()));
    Entry::new(
        seq,
        Hlc::from_wall_ms(1_767_225_600_000),
        Content {
            value,
            source: Source::ASTERISK,
            over,
        },
    )
}

fn entries() -> Vec<(Key, Entry)> {
    let key = |space, name: &str| Key::new(space, name).expect("a key");
    let dot = Dot {
        replica: ReplicaId::from_public_key([1; 32]),
        incarnation: Incarnation(9),
        seq: 4,
    };
    vec![
        (
            key(SpaceId::DEVICES, "PJSIP/100"),
            entry(3, Some(DeviceState::InUse.into()), &[]),
        ),
        (
            key(SpaceId::MAILBOXES, "100@default"),
            entry(4, Some(MessageCounts::new(2, 300).into()), &[dot]),
        ),
        (key(SpaceId::DEVICES, "PJSIP/101"), entry(5, None, &[])),
    ]
}

fn delta_frame() -> Vec<u8> {
    let delta = Delta {
        incarnation: header(Kind::Delta).incarnation,
        base: 2,
        upto: 5,
        reset: None,
        entries: entries(),
    };
    Frame::sign(&identity(), mesh(), header(Kind::Delta), Some(delta))
        .1
        .to_vec()
}

fn response(answer: Answer) -> Vec<u8> {
    let about = About {
        incarnation: Incarnation(77),
        up_ms: 5_000,
        wall_ms: 1_767_225_600_000,
    };
    Response { about, answer }.encode()
}

fn head_info() -> HeadInfo {
    HeadInfo {
        replica: identity().replica(),
        shard: 0,
        head: Head {
            incarnation: Incarnation(8),
            seq: 5,
        },
        alive: Some(Alive {
            age_ms: 40,
            up_ms: 12_000,
        }),
        left: false,
        settled: true,
    }
}

fn parts() -> Vec<u8> {
    let (frame, _) = Frame::sign(&identity(), mesh(), header(Kind::Beat), None);
    let part = Part {
        header: frame.into_parts().0,
        shard: 0,
        reset: Some(2),
        base: 0,
        after: 0,
        upto: Some(5),
        alive: Some(Alive {
            age_ms: 40,
            up_ms: 12_000,
        }),
        silent_ms: 40,
        entries: entries(),
    };
    response(Answer::Parts {
        parts: vec![part],
        more: true,
    })
}

/// Every type of field, in two events.
fn event_frame() -> (Frame, bytes::Bytes) {
    let full = Event::new("call.parked")
        .with("bits", FieldValue::Flags(5))
        .with("blob", vec![0, 255])
        .with("channel", "PJSIP/100")
        .with("delta", -7)
        .with("slot", 701u64)
        .with("there", FieldValue::Exists)
        .with("urgent", true);
    let events = [full, Event::new("ping")].map(|event| BatchedEvent {
        event: event.time_to_live(std::time::Duration::from_secs(45)),
        at_ms: 1_767_225_600_000,
        waited_ms: 3,
    });
    let batch = EventBatch::new(3, events);
    Frame::sign_events(&identity(), mesh(), header(Kind::Events), batch)
}

fn remembered() -> Vec<u8> {
    response(Answer::Events {
        frames: vec![RememberedFrame {
            age_ms: 1_500,
            frame: event_frame().0,
        }],
        more: true,
    })
}

/// Every kind of message, by the name of its file.
fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let want = Want {
        replica: identity().replica(),
        shard: 0,
        head: Head {
            incarnation: Incarnation(8),
            seq: 2,
        },
        resume: Some(Resume {
            cursor: 4,
            reset: Some(1),
        }),
    };
    vec![
        ("frame-delta", delta_frame()),
        (
            "frame-beat",
            Frame::sign(&identity(), mesh(), header(Kind::Beat), None)
                .1
                .to_vec(),
        ),
        (
            "frame-leave",
            Frame::sign(&identity(), mesh(), header(Kind::Leave), None)
                .1
                .to_vec(),
        ),
        ("request-root", Request::Root(Digest([3; 16])).encode()),
        (
            "request-heads",
            Request::Heads(Some(identity().replica())).encode(),
        ),
        ("request-have", Request::Have(vec![head_info()]).encode()),
        ("frame-events", event_frame().1.to_vec()),
        (
            "request-events",
            Request::Events(EventsWanted {
                after: Some(ReplicaId::from_public_key([1; 32])),
                upto: Some(identity().replica()),
                known: vec![KnownEvents {
                    replica: identity().replica(),
                    incarnation: Incarnation(8),
                    next: 3,
                    before: Some(7),
                }],
            })
            .encode(),
        ),
        ("request-pull", Request::Pull(vec![want]).encode()),
        ("response-equal", response(Answer::Equal)),
        (
            "response-heads",
            response(Answer::Heads {
                heads: vec![head_info()],
                more: false,
            }),
        ),
        ("response-noted", response(Answer::Noted)),
        ("response-parts", parts()),
        ("response-events", remembered()),
    ]
}

/// A change here is a change of the protocol: raise `WIRE_VERSION`, then write the files anew with
/// `MESH_TESTS_BLESS=1`.
#[test]
fn messages_look_as_they_always_did() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wire");
    for (name, bytes) in messages() {
        let file = folder.join(format!("{name}.hex"));
        let lines = bytes.chunks(32).map(|line| {
            line.iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        });
        let text = lines.collect::<Vec<_>>().join("\n") + "\n";
        if std::env::var_os("MESH_TESTS_BLESS").is_some() {
            fs::write(&file, &text).expect("the folder is there");
        }
        let golden =
            fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert_eq!(text, golden, "{name}");
    }
}

fn decode_any(name: &str, bytes: &[u8]) -> Result<(), DecodeError> {
    within_bounds(bytes, |bytes| match name.split_once('-') {
        Some(("frame", _)) => Frame::decode(bytes, &mesh()).map(drop),
        Some(("request", _)) => Request::decode(bytes).map(drop),
        _ => Response::decode(bytes, &mesh()).map(drop),
    })
}

#[test]
fn messages_read_back() {
    for (name, bytes) in messages() {
        assert_eq!(decode_any(name, &bytes), Ok(()), "{name}");
    }
    let frame = Frame::decode(&delta_frame(), &mesh()).expect("genuine");
    assert_eq!(frame.header(), &header(Kind::Delta));
    let request = Request::Have(vec![head_info()]);
    assert_eq!(Request::decode(&request.encode()), Ok(request));
    let response = Response::decode(&parts(), &mesh()).expect("genuine");
    let Answer::Parts { parts, more: true } = response.answer else {
        panic!("not parts")
    };
    assert_eq!(parts[0].entries, entries());
    let (frame, bytes) = event_frame();
    assert_eq!(Frame::decode(&bytes, &mesh()), Ok(frame));
}

#[test]
fn cut_off_messages_are_refused() {
    for (name, bytes) in messages() {
        // Lists run to the end of their message: cut between two items they are a shorter list.
        let shortest_list =
            if ["response-heads", "response-parts", "response-events"].contains(&name) {
                20
            } else {
                0
            };
        for length in (0..bytes.len()).filter(|length| *length < 5 || *length > shortest_list) {
            assert!(
                decode_any(name, &bytes[..length]).is_err(),
                "{name} cut to {length}"
            );
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(
            decode_any(name, &longer).is_err(),
            "{name} with a byte more"
        );
    }
}

/// No bit of a frame, and none of a part's header, can be changed on the way.
#[test]
fn changed_frames_are_refused() {
    for (name, bytes) in messages()
        .into_iter()
        .filter(|(name, _)| name.starts_with("frame"))
    {
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_any(name, &changed).is_err(), "{name}, bit {bit}");
        }
    }
}

#[test]
fn a_frame_signed_by_another_than_its_origin_is_refused() {
    let genuine = Frame::sign(&identity(), mesh(), header(Kind::Beat), None)
        .1
        .to_vec();
    let other = Identity::from_bytes([8; 32]);
    let forged_header = Header {
        replica: other.replica(),
        ..header(Kind::Beat)
    };
    let forged = Frame::sign(&other, mesh(), forged_header, None).1.to_vec();
    // The forger's signature under the origin's header.
    let spliced = [&genuine[..genuine.len() - 64], &forged[forged.len() - 64..]].concat();
    assert_eq!(
        Frame::decode(&spliced, &mesh()),
        Err(DecodeError::Signature)
    );
}

#[test]
fn a_frame_of_another_mesh_is_refused() {
    let other = MeshId::derive(&MeshKey::from_bytes([9; 32]), "other");
    assert_eq!(
        Frame::decode(&delta_frame(), &other),
        Err(DecodeError::Mesh)
    );
}

#[test]
fn oversize_frames_are_refused_unread() {
    let bytes = vec![1; MAX_FRAME_BYTES + 1];
    assert!(matches!(
        Frame::decode(&bytes, &mesh()),
        Err(DecodeError::TooLong { .. })
    ));
}

/// Lengths that promise far more than there is.
#[test]
fn promised_lengths_allocate_nothing() {
    for variant in 0..5 {
        for count in [[0xff, 0xff, 0xff, 0xff, 0x0f].as_slice(), &[0xff; 9]] {
            let bytes = [&[1, variant], count].concat();
            let _ = decode_any("request-x", &bytes);
            let _ = decode_any("response-x", &bytes);
            let _ = decode_any("frame-x", &bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn random_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), version in any::<bool>()) {
        if let (true, Some(first)) = (version, bytes.first_mut()) {
            *first = 1;
        }
        for name in ["frame-x", "request-x", "response-x"] {
            let _ = decode_any(name, &bytes);
        }
    }

    #[test]
    fn damaged_messages_never_panic(
        which in 0usize..14,
        damage in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6),
    ) {
        let (name, mut bytes) = messages().swap_remove(which);
        for (at, byte) in damage {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        let _ = decode_any(name, &bytes);
    }
}
