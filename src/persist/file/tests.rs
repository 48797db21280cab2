use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use super::*;
use crate::crdt::Hlc;
use crate::model::{DeviceState, Source, SpaceId};
use crate::proto::{Config, Input, Limits, Merge, Now, Output, Preset, Replica, Write};
use crate::wire::{Frame, Identity, MeshKey};

fn mesh() -> MeshId {
    MeshId::derive(&MeshKey::from_bytes([9; 32]), "file")
}

fn now(ms: u64) -> Now {
    Now {
        mono: Duration::from_millis(ms),
        wall_ms: 1_767_225_600_000 + ms,
    }
}

fn replica(number: u8, saved: Saved) -> Replica {
    let config = Config {
        mesh: mesh(),
        node: format!("n{number}"),
        version: "test".into(),
        timing: Preset::Lan.timing(),
        limits: Limits::default(),
        mailboxes: Merge::Latest,
        incarnation_floor: saved.incarnation,
        hlc_floor: saved.hlc,
        seed: 1,
    };
    let mut replica = Replica::new(config, Identity::from_bytes([number; 32]), now(0));
    replica.restore(saved, now(0));
    replica
}

fn device(name: impl std::fmt::Display) -> Key {
    Key::new(SpaceId::DEVICES, format!("PJSIP/{name}")).expect("a key")
}

fn set(replica: &mut Replica, key: Key, state: DeviceState) {
    let how = Write {
        source: Source::API,
        restate: false,
    };
    let entries = vec![(key, Some(state.into()))];
    replica.write(entries, how, now(0)).expect("a write");
}

/// What `from` gossips, `to` hears.
fn tell(from: &mut Replica, to: &mut Replica) {
    while let Some(output) = from.poll_output() {
        if let Output::Publish { frame } = output {
            let frame = Frame::decode(&frame.sign(), &mesh()).expect("our own");
            let from = from.id();
            to.handle(Input::Frame { from, frame }, now(0));
        }
    }
}

fn write(file: &mut StateFile, replica: &mut Replica) -> bool {
    file.write(|budget| replica.save_changes(budget, now(0)))
        .expect("a disk")
}

fn open(path: &Path, me: ReplicaId) -> (StateFile, Saved) {
    StateFile::open(path, me, mesh()).expect("it opens")
}

#[test]
fn what_was_written_reads_back_whatever_happened_between() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.redb");
    let (mut me, mut other) = (replica(1, Saved::default()), replica(2, Saved::default()));
    let mut model = Saved::default();
    let (mut file, found) = open(&path, me.id());
    assert_eq!(found, Saved::default());
    for round in 0..20u64 {
        for number in 0..5 {
            set(&mut other, device(number * round), DeviceState::InUse);
            set(
                &mut me,
                device(format!("own/{number}/{round}")),
                DeviceState::Ringing,
            );
        }
        let how = Write {
            source: Source::API,
            restate: false,
        };
        me.write(vec![(device(format!("own/1/{round}")), None)], how, now(0))
            .expect("a write");
        tell(&mut other, &mut me);
        if round % 5 == 4 {
            // Another life, and everything from nothing.
            other = replica(
                2,
                Saved {
                    incarnation: other.incarnation(),
                    ..Saved::default()
                },
            );
            me.save_anew();
        }
        let id = me.id();
        let written = file.write(|_| {
            let changes = me.save_changes(300, now(0))?;
            model.apply(id, changes.clone());
            Some(changes)
        });
        assert_eq!(written, Ok(true));
        if round % 3 == 0 {
            drop(file);
            let (again, saved) = open(&path, me.id());
            assert_eq!(saved, model, "round {round}");
            file = again;
        }
    }
    assert!(!write(&mut file, &mut me), "nothing has changed");
    drop(file);
    let (_, saved) = open(&path, me.id());
    assert_eq!((saved.own.len(), &saved), (80, &model));
    let mode = fs::metadata(&path).expect("it is there");
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777,
        0o600
    );
}

/// A copy of the file as it lies there, at any moment, is what a killed process leaves behind.
#[test]
fn a_copy_of_the_open_file_opens_with_the_last_save_in_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, copy) = (folder.path().join("state.redb"), folder.path().join("copy"));
    let mut me = replica(1, Saved::default());
    let (mut file, _) = open(&path, me.id());
    for round in 0..10 {
        set(&mut me, device(round), DeviceState::InUse);
        write(&mut file, &mut me);
        fs::copy(&path, &copy).expect("copied");
        let (_, saved) = open(&copy, me.id());
        assert_eq!(saved.own.len(), round + 1);
        assert_eq!(saved.incarnation, me.incarnation());
    }
}

#[test]
fn a_file_in_use_is_told_apart_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.redb");
    let me = replica(1, Saved::default()).id();
    let (_open, _) = open(&path, me);
    let error = StateFile::open(&path, me, mesh()).err();
    assert!(matches!(error, Some(Unusable::InUse)), "{error:?}");
}

fn reason(path: &Path, me: ReplicaId, mesh: MeshId) -> String {
    match StateFile::open(path, me, mesh) {
        Err(Unusable::Broken(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn torn_foreign_newer_and_other_nodes_files_are_broken_each_with_its_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.redb");
    let mut me = replica(1, Saved::default());
    let (mut file, _) = open(&path, me.id());
    for number in 0..3_000 {
        set(&mut me, device(number), DeviceState::InUse);
    }
    write(&mut file, &mut me);
    let (me, other) = (me.id(), replica(2, Saved::default()).id());
    drop(file);
    let whole = fs::read(&path).expect("it is there");
    let put = |bytes: &[u8]| fs::write(&path, bytes).expect("written");

    assert_eq!(
        reason(&path, other, mesh()),
        "it belongs to another identity"
    );
    let elsewhere = MeshId::derive(&MeshKey::from_bytes([9; 32]), "elsewhere");
    assert_eq!(reason(&path, me, elsewhere), "it belongs to another mesh");

    put("this is no state, it is a letter".repeat(1_000).as_bytes());
    reason(&path, me, mesh());
    for length in [1, 100, 4_096, whole.len() / 2, whole.len() - 4_096] {
        put(&whole[..length]);
        // Cut off within what is not used it may be whole; but then all of it.
        match StateFile::open(&path, me, mesh()) {
            Ok((_, saved)) => assert_eq!(saved.own.len(), 3_000),
            Err(Unusable::Broken(_)) => {}
            Err(other) => panic!("{length}: {other:?}"),
        }
    }
    let mut flipped_seen = 0;
    for at in (0..whole.len()).step_by(whole.len() / 40) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x55;
        put(&flipped);
        match StateFile::open(&path, me, mesh()) {
            Ok((_, saved)) => assert_eq!(saved.own.len(), 3_000, "at {at}"),
            Err(Unusable::Broken(_)) => flipped_seen += 1,
            Err(other) => panic!("at {at}: {other:?}"),
        }
    }
    assert!(flipped_seen > 0, "no byte that mattered was hit");

    put(&whole);
    let database = Database::create(&path).expect("it opens");
    let write = database.begin_write().expect("a transaction");
    let newer = (FORMAT + 1).to_le_bytes();
    write
        .open_table(META)
        .expect("a table")
        .insert("format", &newer[..])
        .expect("inserted");
    write.commit().expect("committed");
    drop(database);
    assert_eq!(
        reason(&path, me, mesh()),
        "its format is 2, this program reads 1"
    );

    // What cannot be used is moved aside, and a new file begun.
    let (opened, saved) = super::super::open(&path, me, mesh()).expect("a new one is made");
    assert_eq!(saved, Saved::default());
    drop(opened);
    assert!(folder.path().join("state.redb.broken-1").exists());
    let (_, saved) = open(&path, me);
    assert_eq!(saved, Saved::default());
}

#[test]
fn a_folder_that_is_not_there_is_no_broken_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("nowhere/state.redb");
    let me = replica(1, Saved::default()).id();
    let error = super::super::open(&path, me, mesh()).err();
    assert!(
        matches!(error, Some(super::super::OpenError::Io(..))),
        "{error:?}"
    );
}

/// Prints what 100,000 lamps of others cost: on disk, to write, and to have back.
#[test]
fn a_large_state_is_back_in_one_piece() {
    const ENTRIES: usize = 100_000;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.redb");
    let mut me = replica(1, Saved::default());
    let mut other = replica(2, Saved::default());
    for number in 0..ENTRIES {
        set(&mut other, device(number), DeviceState::InUse);
        if number % 100 == 0 {
            tell(&mut other, &mut me);
        }
    }
    tell(&mut other, &mut me);
    let (mut file, _) = open(&path, me.id());
    let began = Instant::now();
    write(&mut file, &mut me);
    let written = began.elapsed();
    let id = me.id();
    drop(file);
    let bytes = fs::metadata(&path).expect("it is there").len();
    let began = Instant::now();
    let (_, saved) = open(&path, id);
    let read = began.elapsed();
    assert_eq!(
        saved
            .others
            .values()
            .map(|origin| origin.entries.len())
            .collect::<Vec<_>>(),
        [ENTRIES + 1]
    );
    let hlc = saved.hlc;
    let began = Instant::now();
    let again = replica(1, saved);
    let restored = began.elapsed();
    assert_eq!(again.count(SpaceId::DEVICES), ENTRIES);
    assert!(hlc > Hlc::ZERO);
    println!(
        "{ENTRIES} entries: {bytes} bytes, {:.0} an entry; written in {written:?}, read in {read:?}, restored in {restored:?}",
        bytes as f64 / ENTRIES as f64
    );
    let maps: BTreeMap<ReplicaId, u128> = me
        .maps()
        .into_iter()
        .map(|map| (map.replica, map.hash))
        .collect();
    let theirs = again
        .maps()
        .into_iter()
        .find(|map| map.replica == other.id());
    assert_eq!(theirs.map(|map| map.hash), maps.get(&other.id()).copied());
}
