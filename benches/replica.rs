//! What the sans-IO core costs: `cargo bench --bench replica --no-default-features`.
//!
//! Prints local updates, remote updates, a join of 100,000 entries, and the memory an entry takes at the
//! joiner. One thread, no network: the limits of everything above it.
#![allow(unsafe_code)] // a global allocator that counts

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use presence_mesh::crdt::Hlc;
use presence_mesh::model::{Incarnation, Key, Source, SpaceId, Value};
use presence_mesh::proto::{Config, Input, Now, Output, Replica, Write};
use presence_mesh::wire::{Frame, MeshId, Request, Response};
use presence_mesh::{DeviceState, Identity, Limits, Merge, MeshKey, Preset};

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ENTRIES: usize = 100_000;
const UPDATES: usize = 500_000;

fn mesh() -> MeshId {
    MeshId::derive(&MeshKey::from_bytes([9; 32]), "bench")
}

fn now(ms: u64) -> Now {
    Now {
        mono: Duration::from_millis(ms),
        wall_ms: 1_767_225_600_000 + ms,
    }
}

fn replica(number: u8) -> Replica {
    let config = Config {
        mesh: mesh(),
        node: format!("n{number}"),
        version: "bench".into(),
        timing: Preset::Lan.timing(),
        limits: Limits::default(),
        mailboxes: Merge::Latest,
        incarnation_floor: Incarnation::default(),
        hlc_floor: Hlc::ZERO,
        seed: u64::from(number),
    };
    Replica::new(config, Identity::from_bytes([number; 32]), now(0))
}

fn write(replica: &mut Replica, key: &Key, state: DeviceState, at: u64) {
    let how = Write {
        source: Source::API,
        restate: false,
    };
    replica
        .write(vec![(key.clone(), Some(Value::from(state)))], how, now(at))
        .expect("a write");
}

fn frames(replica: &mut Replica) -> Vec<bytes::Bytes> {
    let outputs = std::iter::from_fn(|| replica.poll_output());
    outputs
        .filter_map(|output| {
            if let Output::Publish { frame } = output {
                Some(frame.sign())
            } else {
                None
            }
        })
        .collect()
}

/// Carries questions and answers between the two until there are none; returns the bytes carried.
fn converse(asker: &mut Replica, other: &mut Replica, at: u64) -> usize {
    let mut carried = 0;
    let (asker_id, other_id) = (asker.id(), other.id());
    loop {
        let mut quiet = true;
        for turn in 0..2 {
            let (from, to, from_id) = if turn == 0 {
                (&mut *asker, &mut *other, asker_id)
            } else {
                (&mut *other, &mut *asker, other_id)
            };
            while let Some(output) = from.poll_output() {
                match output {
                    Output::Request { id, request, .. } => {
                        let bytes = request.encode();
                        carried += bytes.len();
                        let request = Request::decode(&bytes).expect("a request");
                        to.handle(
                            Input::Request {
                                from: from_id,
                                id,
                                request,
                            },
                            now(at),
                        );
                        quiet = false;
                    }
                    Output::Respond { id, response, .. } => {
                        let bytes = response.encode();
                        carried += bytes.len();
                        let response = Response::decode(&bytes, &mesh()).expect("a response");
                        to.handle(
                            Input::Response {
                                from: from_id,
                                id,
                                response,
                            },
                            now(at),
                        );
                        quiet = false;
                    }
                    _ => {}
                }
            }
        }
        if quiet {
            return carried;
        }
    }
}

fn main() {
    let keys: Vec<Key> = (0..ENTRIES)
        .map(|n| Key::new(SpaceId::DEVICES, format!("PJSIP/{n:06}")).expect("a key"))
        .collect();
    let mut writer = replica(1);

    let start = Instant::now();
    for (n, key) in keys.iter().enumerate() {
        write(&mut writer, key, DeviceState::NotInUse, 1);
        if n % 256 == 255 {
            frames(&mut writer);
        }
    }
    println!(
        "first write of {ENTRIES} keys: {:.0} ns each",
        start.elapsed().as_nanos() as f64 / ENTRIES as f64
    );

    let start = Instant::now();
    for n in 0..UPDATES {
        let state = if (n / ENTRIES).is_multiple_of(2) {
            DeviceState::InUse
        } else {
            DeviceState::NotInUse
        };
        write(&mut writer, &keys[n % ENTRIES], state, 2);
        if n % 256 == 255 {
            frames(&mut writer);
        }
    }
    let each = start.elapsed().as_nanos() as f64 / UPDATES as f64;
    println!(
        "local updates among {ENTRIES} keys, frames signed: {each:.0} ns each, {:.0}/s",
        1e9 / each
    );

    let mut joiner = replica(2);
    let before = LIVE.load(Ordering::Relaxed);
    let start = Instant::now();
    joiner.handle(Input::PeerUp { peer: writer.id() }, now(3));
    writer.handle(Input::PeerUp { peer: joiner.id() }, now(3));
    let bytes = converse(&mut joiner, &mut writer, 3);
    let elapsed = start.elapsed();
    assert_eq!(
        joiner.digest(),
        writer.digest(),
        "the joiner has everything"
    );
    let memory = LIVE.load(Ordering::Relaxed) - before;
    println!(
        "join of {ENTRIES} entries: {elapsed:?}, {:.1} bytes each on the wire",
        bytes as f64 / ENTRIES as f64
    );
    println!(
        "memory at the joiner: {:.0} bytes an entry",
        memory as f64 / ENTRIES as f64
    );

    let mut prepared = Vec::new();
    for (n, key) in keys.iter().enumerate() {
        write(&mut writer, key, DeviceState::Busy, 4);
        if n % 256 == 255 {
            prepared.extend(frames(&mut writer));
        }
    }
    prepared.extend(frames(&mut writer));
    let from = writer.id();
    let start = Instant::now();
    for bytes in &prepared {
        let frame = Frame::decode(bytes, &mesh()).expect("genuine");
        joiner.handle(Input::Frame { from, frame }, now(5));
    }
    let each = start.elapsed().as_nanos() as f64 / ENTRIES as f64;
    assert_eq!(joiner.digest(), writer.digest(), "every frame was applied");
    println!(
        "remote updates, signatures checked: {each:.0} ns each, {:.0}/s",
        1e9 / each
    );
}
