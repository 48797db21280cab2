//! What outlives a process: saved as it changes, and restored in the next life.

use std::time::Duration;

use presence_mesh::DeviceState::{self, InUse, Ringing, Unavailable};
use presence_mesh::Freshness::{self, Gone, Live, Stale};
use presence_mesh::model::{Key, ReplicaId, Source, SpaceId, Value};
use presence_mesh::proto::{Config, Input, Now, Output, Replica, Restored, Saved, Write};
use presence_mesh::wire::{Frame, MeshId};
use presence_mesh::{Identity, Limits, Merge, MeshKey, MessageCounts, Preset};

const EPOCH_MS: u64 = 1_767_225_600_000;
const DAY_MS: u64 = 86_400_000;

const API: Write = Write {
    source: Source::API,
    restate: false,
};
const BRIDGE: Write = Write {
    source: Source::ASTERISK,
    restate: true,
};

/// A machine: its disk outlives its process, and its clocks go on without it.
struct Machine {
    number: u8,
    disk: Saved,
    replica: Option<Replica>,
    started_ms: u64,
    /// True time, the same for all.
    now_ms: u64,
    /// How far its wall clock is off.
    off_ms: i64,
}

fn mesh() -> MeshId {
    MeshId::derive(&MeshKey::from_bytes([9; 32]), "saved")
}

fn device(name: &str) -> Key {
    Key::new(SpaceId::DEVICES, name).expect("a key")
}

fn mailbox(name: &str) -> Key {
    Key::new(SpaceId::MAILBOXES, name).expect("a key")
}

impl Machine {
    fn new(number: u8) -> Self {
        let mut machine = Self {
            number,
            disk: Saved::default(),
            replica: None,
            started_ms: 0,
            now_ms: 1_000,
            off_ms: 0,
        };
        machine.start();
        machine
    }

    fn start(&mut self) -> Restored {
        let config = Config {
            mesh: mesh(),
            node: format!("n{}", self.number),
            version: "test".into(),
            timing: Preset::Lan.timing(),
            limits: Limits::default(),
            mailboxes: Merge::Latest,
            incarnation_floor: self.disk.incarnation,
            hlc_floor: self.disk.hlc,
            seed: self.now_ms + u64::from(self.number),
        };
        self.started_ms = self.now_ms;
        let now = self.now();
        let mut replica = Replica::new(config, Identity::from_bytes([self.number; 32]), now);
        let restored = replica.restore(self.disk.clone(), now);
        self.replica = Some(replica);
        self.save();
        restored
    }

    fn now(&self) -> Now {
        Now {
            mono: Duration::from_millis(self.now_ms - self.started_ms),
            wall_ms: (EPOCH_MS + self.now_ms).saturating_add_signed(self.off_ms),
        }
    }

    fn up(&mut self) -> &mut Replica {
        self.replica.as_mut().expect("it is up")
    }

    fn id(&mut self) -> ReplicaId {
        self.up().id()
    }

    /// In many small pieces, all of them.
    fn save(&mut self) {
        let now = self.now();
        loop {
            let replica = self.up();
            let (me, changes) = (replica.id(), replica.save_changes(100, now));
            let Some(changes) = changes else { return };
            let complete = changes.complete;
            self.disk.apply(me, changes);
            if complete {
                return;
            }
        }
    }

    fn crash(&mut self) {
        self.replica = None;
    }

    fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        let now = self.now();
        if let Some(replica) = &mut self.replica {
            replica.handle(Input::Timeout, now);
            while replica.poll_output().is_some() {}
        }
    }

    fn write(&mut self, key: Key, value: impl Into<Value>, how: Write) {
        let now = self.now();
        let entries = vec![(key, Some(value.into()))];
        self.up().write(entries, how, now).expect("a write");
    }

    fn lamp(&mut self, name: &str) -> Option<(DeviceState, Freshness, u64)> {
        let now = self.now();
        let shown = self.up().get(&device(name), now)?;
        let age_ms = u64::try_from(shown.age.as_millis()).expect("short");
        Some((shown.value.device_state(), shown.freshness, age_ms))
    }

    fn counts(&mut self, name: &str) -> Option<(u32, Freshness)> {
        let now = self.now();
        let shown = self.up().get(&mailbox(name), now)?;
        let counts: MessageCounts = shown.value.decode()?;
        Some((counts.new, shown.freshness))
    }
}

/// Connects two machines until they have nothing more to say to each other.
fn talk(a: &mut Machine, b: &mut Machine) {
    let (a_id, b_id) = (a.id(), b.id());
    let (a_now, b_now) = (a.now(), b.now());
    a.up().handle(Input::PeerUp { peer: b_id }, a_now);
    b.up().handle(Input::PeerUp { peer: a_id }, b_now);
    loop {
        let mut said = false;
        for (from, to) in [(true, false), (false, true)] {
            let (speaker, hearer) = if from && !to {
                (&mut *a, &mut *b)
            } else {
                (&mut *b, &mut *a)
            };
            let from = speaker.id();
            let outputs: Vec<Output> = std::iter::from_fn(|| speaker.up().poll_output()).collect();
            let now = hearer.now();
            for output in outputs {
                said = true;
                let input = match output {
                    Output::Publish { frame } => Input::Frame {
                        from,
                        frame: Frame::decode(&frame.sign(), &mesh()).expect("our own"),
                    },
                    Output::Request { id, request, .. } => Input::Request { from, id, request },
                    Output::Respond { id, response, .. } => Input::Response { from, id, response },
                    _ => continue,
                };
                hearer.up().handle(input, now);
            }
        }
        if !said {
            break;
        }
    }
    a.up().check_invariants();
    b.up().check_invariants();
}

fn part(a: &mut Machine, b: &mut Machine) {
    let (a_id, b_id) = (a.id(), b.id());
    let (a_now, b_now) = (a.now(), b.now());
    a.up().handle(Input::PeerDown { peer: b_id }, a_now);
    b.up().handle(Input::PeerDown { peer: a_id }, b_now);
}

#[test]
fn own_values_return_under_a_new_life_with_their_stamps() {
    let mut node = Machine::new(1);
    node.write(device("PJSIP/100"), InUse, API);
    node.write(mailbox("100@default"), MessageCounts::new(3, 1), API);
    node.write(device("gone"), InUse, API);
    let now = node.now();
    node.up()
        .write(vec![(device("gone"), None)], API, now)
        .expect("a write");
    node.save();
    let me = node.id();
    let before = node
        .up()
        .entry(me, &mailbox("100@default"))
        .expect("it is there")
        .clone();
    let life = node.up().incarnation();
    node.crash();
    node.pass(60_000);

    assert_eq!(node.start().own, 2);
    assert!(node.up().incarnation() > life);
    assert_eq!(node.lamp("PJSIP/100"), Some((InUse, Live, 0)));
    assert_eq!(node.counts("100@default"), Some((3, Live)));
    assert_eq!(node.lamp("gone"), None);
    let after = node
        .up()
        .entry(me, &mailbox("100@default"))
        .expect("it is there")
        .clone();
    assert_eq!((after.hlc(), after.value()), (before.hlc(), before.value()));
    let seqs: Vec<u64> = node
        .up()
        .entries(me, 0)
        .iter()
        .map(|(_, entry)| entry.seq())
        .collect();
    assert_eq!(
        seqs,
        [1, 2, 3],
        "published anew from 1, after the node's record"
    );
    let next = node.up().last_hlc();
    assert!(
        next >= before.hlc(),
        "the clock goes on above what was handed out"
    );
}

/// A PBX says itself how its phones are; nobody holds the token of a tracked key any more. A silent PBX's counts
/// are kept, and so they are over a restart: stale, until it says them again.
#[test]
fn what_hangs_on_something_else_than_the_process_does_not_return_as_if_it_were_true() {
    let mut node = Machine::new(1);
    node.write(device("PJSIP/100"), InUse, BRIDGE);
    node.write(mailbox("100@default"), MessageCounts::new(3, 1), BRIDGE);
    // Said and saved as any other, and then somebody takes a token for it.
    node.write(device("session"), InUse, API);
    node.write(device("kept"), InUse, API);
    node.save();
    let now = node.now();
    let mut track = |name: &str| {
        let (key, replica) = (device(name), node.replica.as_mut().expect("it is up"));
        let token = replica.track(key, InUse.into(), Source::API, now);
        token.expect("a write")
    };
    let (_, ended) = (track("session"), track("session/2"));
    node.save();
    node.up().untrack(ended, now).expect("a write");
    node.write(device("session/2"), InUse, API);
    node.save();
    node.crash();
    node.start();
    assert_eq!(node.lamp("PJSIP/100"), None);
    assert_eq!(node.lamp("session"), None);
    assert_eq!(node.lamp("session/2"), Some((InUse, Live, 0)));
    assert_eq!(node.lamp("kept"), Some((InUse, Live, 0)));
    assert_eq!(node.counts("100@default"), Some((3, Stale)));
    let now = node.now();
    node.write(mailbox("100@default"), MessageCounts::new(3, 1), BRIDGE);
    node.up()
        .mark_source(Source::ASTERISK, None, now)
        .expect("a write");
    assert_eq!(node.counts("100@default"), Some((3, Live)));
}

#[test]
fn a_restart_does_not_beat_a_newer_write_of_someone_else() {
    let (mut a, mut b) = (Machine::new(1), Machine::new(2));
    a.write(mailbox("100@default"), MessageCounts::new(1, 0), API);
    a.save();
    talk(&mut a, &mut b);
    a.crash();
    for machine in [&mut a, &mut b] {
        machine.pass(500);
    }
    b.write(mailbox("100@default"), MessageCounts::new(7, 0), API);
    a.pass(500);
    b.pass(500);
    a.start();
    assert_eq!(
        a.counts("100@default"),
        Some((1, Live)),
        "alone, it shows its own"
    );
    talk(&mut a, &mut b);
    for machine in [&mut a, &mut b] {
        assert_eq!(machine.counts("100@default"), Some((7, Live)));
    }
    // But who writes after the restart has seen that, and wins.
    a.write(mailbox("100@default"), MessageCounts::new(2, 0), API);
    talk(&mut a, &mut b);
    assert_eq!(b.counts("100@default"), Some((2, Live)));
}

/// A reader that has heard `other`, saved, and lost its process.
fn bereft(off_ms: i64) -> (Machine, Machine) {
    let (mut reader, mut other) = (Machine::new(1), Machine::new(2));
    reader.off_ms = off_ms;
    other.write(device("PJSIP/100"), Ringing, API);
    other.write(mailbox("100@default"), MessageCounts::new(3, 0), API);
    talk(&mut reader, &mut other);
    assert!(matches!(reader.lamp("PJSIP/100"), Some((Ringing, Live, _))));
    reader.save();
    reader.crash();
    (reader, other)
}

#[test]
fn others_are_back_at_their_age_and_live_only_when_heard() {
    let (mut reader, mut other) = bereft(0);
    reader.pass(2_000);
    assert_eq!(reader.start().origins, 1);
    let (state, freshness, age_ms) = reader.lamp("PJSIP/100").expect("it is known");
    assert_eq!(
        (state, freshness),
        (Ringing, Stale),
        "young as it is, nobody has heard it"
    );
    assert!((2_000..2_100).contains(&age_ms), "{age_ms}");
    assert_eq!(reader.counts("100@default"), Some((3, Stale)));
    reader.pass(3_000);
    assert_eq!(reader.lamp("PJSIP/100").map(|lamp| lamp.1), Some(Stale));
    reader.pass(6_000);
    let (state, freshness, age_ms) = reader.lamp("PJSIP/100").expect("it is known");
    assert_eq!((state, freshness), (Unavailable, Gone));
    assert!((11_000..11_100).contains(&age_ms), "{age_ms}");
    assert_eq!(
        reader.counts("100@default"),
        Some((3, Stale)),
        "counts are kept"
    );
    other.pass(11_000);
    talk(&mut reader, &mut other);
    assert!(matches!(reader.lamp("PJSIP/100"), Some((Ringing, Live, _))));
    assert_eq!(reader.counts("100@default"), Some((3, Live)));
}

#[test]
fn a_clock_that_went_back_makes_nobody_younger() {
    for off_ms in [-1_000, -600_000] {
        let (mut reader, _) = bereft(0);
        reader.pass(500);
        reader.off_ms = off_ms;
        reader.start();
        let (_, freshness, age_ms) = reader.lamp("PJSIP/100").expect("it is known");
        assert_eq!(freshness, Gone, "nobody knows for how long we were away");
        assert!(age_ms >= 10_000, "{age_ms}");
        // And not when that clock has gone on and it starts once more.
        reader.save();
        reader.crash();
        reader.pass(500);
        reader.start();
        let (_, freshness, age_ms) = reader.lamp("PJSIP/100").expect("it is known");
        assert!(
            freshness == Gone && age_ms >= 10_000,
            "{freshness} {age_ms}"
        );
    }
}

/// Guards ages saved before the clock was set and read after it.
#[test]
fn a_clock_set_back_while_we_lived_makes_nobody_younger() {
    let (mut reader, mut other) = (Machine::new(1), Machine::new(2));
    other.write(device("PJSIP/100"), Ringing, API);
    reader.off_ms = 3_600_000;
    talk(&mut reader, &mut other);
    reader.save();
    reader.pass(60_000);
    reader.off_ms = 0;
    reader.save();
    reader.crash();
    reader.pass(500);
    reader.start();
    let (_, freshness, age_ms) = reader.lamp("PJSIP/100").expect("it is known");
    assert!(
        freshness == Gone && (60_000..62_000).contains(&age_ms),
        "{freshness} {age_ms}"
    );
}

#[test]
fn who_was_silent_for_too_long_is_forgotten_with_a_grave() {
    let (mut reader, mut other) = bereft(0);
    reader.pass(8 * DAY_MS);
    assert_eq!(reader.start().forgotten, 1);
    assert_eq!(reader.lamp("PJSIP/100"), None);
    assert!(reader.disk.others.is_empty(), "forgotten on the disk, too");
    let id = other.id();
    assert!(reader.disk.graves.contains_key(&id));
    other.pass(8 * DAY_MS);
    talk(&mut reader, &mut other);
    assert!(
        matches!(reader.lamp("PJSIP/100"), Some((Ringing, Live, _))),
        "alive, it returns"
    );
    reader.save();
    assert!(reader.disk.graves.is_empty() && reader.disk.others.contains_key(&id));
}

/// Two that both lost their processes must not take each other's word for a third that is dead.
#[test]
fn those_who_only_remember_do_not_make_each_other_believe() {
    let (mut a, mut b, mut dead) = (Machine::new(1), Machine::new(2), Machine::new(3));
    dead.write(device("PJSIP/100"), InUse, API);
    talk(&mut a, &mut dead);
    talk(&mut b, &mut dead);
    for machine in [&mut a, &mut b] {
        machine.save();
        machine.crash();
        machine.pass(500);
        machine.start();
    }
    talk(&mut a, &mut b);
    for machine in [&mut a, &mut b] {
        assert_eq!(machine.lamp("PJSIP/100").map(|lamp| lamp.1), Some(Stale));
    }
    // Nor does someone who never heard it.
    let mut young = Machine::new(4);
    young.pass(500);
    talk(&mut a, &mut young);
    let (_, freshness, age_ms) = young.lamp("PJSIP/100").expect("it was told");
    assert_eq!(freshness, Gone);
    assert!(age_ms >= 10_000, "{age_ms}");
    part(&mut a, &mut young);
}

/// Guards J: a file that lost a row, or took one from elsewhere, would make a moment that never was.
#[test]
fn a_map_that_is_no_moment_of_its_origin_is_left_out() {
    let (mut reader, mut other) = bereft(0);
    let id = other.id();
    let saved = reader.disk.others.get_mut(&id).expect("it was saved");
    saved
        .entries
        .remove(&device("PJSIP/100"))
        .expect("it was there");
    assert_eq!((reader.start().origins, reader.disk.others.len()), (0, 0));
    assert_eq!(reader.counts("100@default"), None);
    talk(&mut reader, &mut other);
    assert_eq!(
        reader.counts("100@default"),
        Some((3, Live)),
        "the others have it"
    );
}

/// While nothing can be saved, all is to be saved from nothing later, and is.
#[test]
fn what_could_not_be_saved_is_saved_anew() {
    let (mut node, mut other) = (Machine::new(1), Machine::new(2));
    other.write(device("PJSIP/200"), InUse, API);
    talk(&mut node, &mut other);
    let now = node.now();
    for number in 0..50 {
        node.write(device(&format!("PJSIP/{number}")), InUse, API);
    }
    let lost = node
        .up()
        .save_changes(usize::MAX, now)
        .expect("there is something");
    assert!(lost.complete && lost.origins.len() == 2);
    node.disk.own.insert(
        device("not ours any more"),
        lost.origins
            .iter()
            .flat_map(|origin| &origin.rows)
            .find_map(|(_, entry)| entry.clone())
            .expect("a row"),
    );
    node.up().save_anew();
    node.save();
    assert_eq!((node.disk.own.len(), node.disk.others.len()), (50, 1));
    node.crash();
    assert_eq!(
        node.start(),
        Restored {
            own: 50,
            origins: 1,
            entries: 2,
            ..Restored::default()
        }
    );
}
