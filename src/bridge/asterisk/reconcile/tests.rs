use super::*;
use crate::{DeviceState, MessageCounts};

const A: Eid = Eid::from_bytes([2, 0, 0, 0, 0, 0xa]);
const B: Eid = Eid::from_bytes([2, 0, 0, 0, 0, 0xb]);
const SELF: Eid = Eid::from_bytes([2, 0, 0, 0, 0, 0xff]);

fn at(ms: u64) -> (Duration, SystemTime) {
    (
        Duration::from_millis(ms),
        SystemTime::UNIX_EPOCH + Duration::from_millis(ms),
    )
}

fn value(state: DeviceState) -> Want {
    Want::Value(Telling::State(state))
}

fn counts(new: u32) -> Want {
    Want::Value(Telling::Counts(MessageCounts::new(new, 0), A))
}

fn open(rows: Vec<LedgerRow>) -> Reconciler {
    let mut reconciler = Reconciler::new(rows, 1);
    reconciler.set_open(true);
    reconciler.set_mailboxes_open(true);
    reconciler
}

fn want(reconciler: &mut Reconciler, device: &str, wants: &[(Eid, Want)]) {
    reconciler.want_device(device, &wants.iter().copied().collect(), Urgency::Live);
}

/// Writes what has to be written; says whether it had to be synced.
fn record(reconciler: &mut Reconciler) -> bool {
    let (changes, sync) = reconciler.take_changes();
    reconciler.recorded(&changes);
    sync
}

/// The next job, as `device eid state` or `mailbox new`.
fn next(reconciler: &mut Reconciler) -> Option<(Slot, String)> {
    let job = reconciler.next(0, at(0), SELF)?;
    let text = match &job.body {
        Body::Device {
            device, state, eid, ..
        } => format!("{device} {eid} {state}"),
        Body::Mailbox {
            mailbox,
            counts,
            eid,
        } => format!("{mailbox} {eid} {}/{}", counts.new, counts.old),
        Body::Refresh { .. } => panic!("nothing is asked here"),
    };
    Some((job.slot, text))
}

/// Says everything that waits; all of it is taken.
fn drain(reconciler: &mut Reconciler) -> Vec<String> {
    let mut said = Vec::new();
    loop {
        record(reconciler);
        let Some((slot, text)) = next(reconciler) else {
            return said;
        };
        reconciler.finished(&slot, Finished::Taken, at(1));
        said.push(text);
    }
}

fn ledger_row(device: &str, eid: Eid, state: DeviceState) -> LedgerRow {
    LedgerRow {
        slot: Slot::Device(device.into(), eid),
        telling: Some(Telling::State(state)),
        at: SystemTime::UNIX_EPOCH,
    }
}

#[test]
fn a_slot_is_in_the_ledger_and_synced_before_it_is_first_told() {
    let mut reconciler = open(Vec::new());
    want(
        &mut reconciler,
        "PJSIP/a",
        &[(A, value(DeviceState::InUse))],
    );
    assert_eq!(
        next(&mut reconciler),
        None,
        "nothing is said before the ledger has it"
    );
    assert_eq!(reconciler.has_changes(), (true, true));
    assert!(record(&mut reconciler), "a new slot is synced");
    let (slot, said) = next(&mut reconciler).expect("now it is");
    assert_eq!(said, "PJSIP/a 02:00:00:00:00:0a INUSE");
    reconciler.finished(&slot, Finished::Taken, at(1));
    record(&mut reconciler);
    want(
        &mut reconciler,
        "PJSIP/a",
        &[(A, value(DeviceState::NotInUse))],
    );
    assert!(
        next(&mut reconciler).is_some(),
        "a later value of a known slot waits for no disk"
    );
    assert!(!record(&mut reconciler), "and is not synced");
}

/// Everything is marked dirty while a slot is on its way to the disk: it still waits for it.
#[test]
fn a_forgetting_pbx_does_not_hurry_a_slot_past_the_ledger() {
    let mut reconciler = open(Vec::new());
    want(
        &mut reconciler,
        "PJSIP/a",
        &[(A, value(DeviceState::InUse))],
    );
    reconciler.forgot(Package::DeviceState);
    reconciler.judge();
    assert_eq!(next(&mut reconciler), None);
    assert_eq!(drain(&mut reconciler), ["PJSIP/a 02:00:00:00:00:0a INUSE"]);
}

#[test]
fn only_the_newest_value_is_told() {
    let mut reconciler = open(Vec::new());
    for state in [
        DeviceState::Ringing,
        DeviceState::InUse,
        DeviceState::NotInUse,
    ] {
        want(&mut reconciler, "PJSIP/a", &[(A, value(state))]);
    }
    assert_eq!(
        drain(&mut reconciler),
        ["PJSIP/a 02:00:00:00:00:0a NOT_INUSE"]
    );
    want(
        &mut reconciler,
        "PJSIP/a",
        &[(A, value(DeviceState::InUse))],
    );
    let (slot, _) = next(&mut reconciler).expect("said");
    for state in [DeviceState::OnHold, DeviceState::NotInUse] {
        want(&mut reconciler, "PJSIP/a", &[(A, value(state))]);
        assert_eq!(next(&mut reconciler), None, "one is outstanding");
    }
    reconciler.finished(&slot, Finished::Taken, at(1));
    assert_eq!(
        drain(&mut reconciler),
        ["PJSIP/a 02:00:00:00:00:0a NOT_INUSE"]
    );
}

#[test]
fn a_slot_nobody_wants_any_more_is_taken_back_and_forgotten() {
    let mut reconciler = open(Vec::new());
    want(
        &mut reconciler,
        "PJSIP/a",
        &[
            (A, value(DeviceState::InUse)),
            (B, value(DeviceState::Ringing)),
        ],
    );
    drain(&mut reconciler);
    want(
        &mut reconciler,
        "PJSIP/a",
        &[(B, value(DeviceState::Ringing))],
    );
    assert_eq!(
        drain(&mut reconciler),
        ["PJSIP/a 02:00:00:00:00:0a INVALID"]
    );
    assert_eq!(reconciler.told_slots(), 1);
    let told = reconciler.told("PJSIP/a");
    assert_eq!(told.len(), 1);
    assert!(told[0].0 == B && !told[0].1.pending);
}

#[test]
fn what_was_never_told_needs_no_taking_back() {
    let mut reconciler = open(Vec::new());
    want(
        &mut reconciler,
        "PJSIP/a",
        &[(A, value(DeviceState::InUse))],
    );
    want(&mut reconciler, "PJSIP/a", &[]);
    assert_eq!(drain(&mut reconciler), [""; 0]);
    assert_eq!((reconciler.told_slots(), reconciler.waiting()), (0, 0));
}

/// Guards against a blink at our own restart: what an earlier life told stays until everyone had time to
/// claim it.
#[test]
fn rows_of_an_earlier_life_stay_until_judged() {
    let rows = vec![
        ledger_row("PJSIP/a", A, DeviceState::InUse),
        ledger_row("PJSIP/b", A, DeviceState::InUse),
    ];
    let mut reconciler = open(rows);
    assert_eq!(drain(&mut reconciler), [""; 0]);
    want(
        &mut reconciler,
        "PJSIP/a",
        &[(A, value(DeviceState::InUse))],
    );
    assert_eq!(
        drain(&mut reconciler),
        ["PJSIP/a 02:00:00:00:00:0a INUSE"],
        "said again: what reached it is unknown"
    );
    want(&mut reconciler, "PJSIP/b", &[]);
    assert_eq!(drain(&mut reconciler), [""; 0], "not claimed, not judged");
    reconciler.judge();
    assert_eq!(
        drain(&mut reconciler),
        ["PJSIP/b 02:00:00:00:00:0a INVALID"]
    );
}

#[test]
fn a_stale_owner_leaves_its_lamp_as_it_is() {
    let mut reconciler = open(Vec::new());
    want(
        &mut reconciler,
        "PJSIP/a",
        &[(A, value(DeviceState::InUse))],
    );
    drain(&mut reconciler);
    want(
        &mut reconciler,
        "PJSIP/a",
        &[(A, Want::Stale(Telling::State(DeviceState::InUse)))],
    );
    want(
        &mut reconciler,
        "PJSIP/new",
        &[(A, Want::Stale(Telling::State(DeviceState::InUse)))],
    );
    assert_eq!(drain(&mut reconciler), [""; 0]);
    want(
        &mut reconciler,
        "PJSIP/a",
        &[(A, Want::Stale(Telling::State(DeviceState::NotInUse)))],
    );
    assert_eq!(
        drain(&mut reconciler),
        ["PJSIP/a 02:00:00:00:00:0a NOT_INUSE"],
        "an old lamp that is at least newer"
    );
    want(&mut reconciler, "PJSIP/a", &[(A, Want::Leave)]);
    assert_eq!(drain(&mut reconciler), [""; 0]);
    want(&mut reconciler, "PJSIP/a", &[]);
    assert_eq!(
        drain(&mut reconciler),
        ["PJSIP/a 02:00:00:00:00:0a INVALID"]
    );
    want(
        &mut reconciler,
        "PJSIP/a",
        &[(A, value(DeviceState::NotInUse))],
    );
    assert_eq!(
        drain(&mut reconciler),
        ["PJSIP/a 02:00:00:00:00:0a NOT_INUSE"],
        "asserted again on its return"
    );
}

#[test]
fn what_the_pbx_forgot_is_said_again_once() {
    let mut reconciler = open(Vec::new());
    want(
        &mut reconciler,
        "PJSIP/a",
        &[(A, value(DeviceState::InUse))],
    );
    reconciler.want_mailbox("100@default", counts(3), Urgency::Live);
    drain(&mut reconciler);
    reconciler.forgot(Package::DeviceState);
    reconciler.forgot(Package::DeviceState);
    assert_eq!(drain(&mut reconciler), ["PJSIP/a 02:00:00:00:00:0a INUSE"]);
    reconciler.forgot(Package::Mwi);
    assert_eq!(
        drain(&mut reconciler),
        ["100@default 02:00:00:00:00:0a 3/0"]
    );
}

/// An answer that was on its way when the PBX forgot says nothing about what it knows now.
#[test]
fn an_answer_from_before_the_forgetting_does_not_count() {
    let mut reconciler = open(Vec::new());
    want(
        &mut reconciler,
        "PJSIP/a",
        &[(A, value(DeviceState::InUse))],
    );
    record(&mut reconciler);
    let (slot, _) = next(&mut reconciler).expect("said");
    reconciler.forgot(Package::DeviceState);
    reconciler.finished(&slot, Finished::Taken, at(1));
    assert_eq!(drain(&mut reconciler), ["PJSIP/a 02:00:00:00:00:0a INUSE"]);
}

#[test]
fn live_changes_go_before_withdrawals_and_withdrawals_before_dumps() {
    let mut reconciler = open(Vec::new());
    for device in ["PJSIP/1", "PJSIP/2", "PJSIP/3", "PJSIP/4"] {
        want(
            &mut reconciler,
            device,
            &[(A, value(DeviceState::NotInUse))],
        );
    }
    drain(&mut reconciler);
    reconciler.forgot(Package::DeviceState);
    want(&mut reconciler, "PJSIP/3", &[]);
    want(
        &mut reconciler,
        "PJSIP/4",
        &[(A, value(DeviceState::Ringing))],
    );
    assert_eq!(
        drain(&mut reconciler),
        [
            "PJSIP/4 02:00:00:00:00:0a RINGING",
            "PJSIP/3 02:00:00:00:00:0a INVALID",
            "PJSIP/1 02:00:00:00:00:0a NOT_INUSE",
            "PJSIP/2 02:00:00:00:00:0a NOT_INUSE",
        ]
    );
}

#[test]
fn nothing_is_said_before_the_pbx_is_known_and_mailboxes_wait_for_its_own() {
    let mut reconciler = Reconciler::new(Vec::new(), 1);
    want(
        &mut reconciler,
        "PJSIP/a",
        &[(A, value(DeviceState::InUse))],
    );
    reconciler.want_mailbox("100@default", counts(1), Urgency::Live);
    assert_eq!(drain(&mut reconciler), [""; 0]);
    reconciler.set_open(true);
    assert_eq!(drain(&mut reconciler), ["PJSIP/a 02:00:00:00:00:0a INUSE"]);
    reconciler.set_mailboxes_open(true);
    assert_eq!(
        drain(&mut reconciler),
        ["100@default 02:00:00:00:00:0a 1/0"]
    );
}

#[test]
fn a_box_that_nobody_holds_is_emptied_and_one_the_pbx_states_is_left_alone() {
    let mut reconciler = open(Vec::new());
    reconciler.want_mailbox("100@default", counts(3), Urgency::Live);
    reconciler.want_mailbox("200@default", counts(4), Urgency::Live);
    drain(&mut reconciler);
    reconciler.disown(&Slot::Mailbox("200@default".into()));
    reconciler.want_mailbox("100@default", Want::Nothing, Urgency::Live);
    reconciler.want_mailbox("200@default", Want::Nothing, Urgency::Live);
    assert_eq!(
        drain(&mut reconciler),
        ["100@default 02:00:00:00:00:0a 0/0"]
    );
    let (changes, _) = reconciler.take_changes();
    assert!(
        changes.is_empty(),
        "both rows are out of the ledger: {changes:?}"
    );
}

#[test]
fn nothing_is_ever_said_under_the_pbxs_own_eid() {
    let mut reconciler = open(vec![ledger_row("PJSIP/a", A, DeviceState::InUse)]);
    want(
        &mut reconciler,
        "PJSIP/b",
        &[(A, value(DeviceState::InUse))],
    );
    drain(&mut reconciler);
    reconciler.disown_eid(A);
    reconciler.judge();
    reconciler.withdraw_all();
    assert_eq!(drain(&mut reconciler), [""; 0]);
}

#[test]
fn a_refused_slot_is_tried_later_and_ever_later() {
    let mut reconciler = open(Vec::new());
    want(
        &mut reconciler,
        "PJSIP/bad",
        &[(A, value(DeviceState::InUse))],
    );
    want(
        &mut reconciler,
        "PJSIP/good",
        &[(A, value(DeviceState::InUse))],
    );
    record(&mut reconciler);
    let (slot, said) = next(&mut reconciler).expect("said");
    assert!(said.starts_with("PJSIP/bad"));
    reconciler.finished(&slot, Finished::Refused, at(0));
    assert!(
        next(&mut reconciler)
            .expect("the others go on")
            .1
            .starts_with("PJSIP/good")
    );
    assert_eq!(next(&mut reconciler), None);
    let mut waits = Vec::new();
    let mut now = Duration::ZERO;
    for _ in 0..10 {
        let due = reconciler.next_at().expect("tried again");
        waits.push((due - now).as_secs());
        now = due;
        let job = reconciler
            .next(0, (now, SystemTime::UNIX_EPOCH), SELF)
            .expect("due");
        reconciler.finished(&job.slot, Finished::Refused, (now, SystemTime::UNIX_EPOCH));
    }
    assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
}

#[test]
fn an_unanswered_telling_is_said_again_with_the_newest_value() {
    let mut reconciler = open(Vec::new());
    want(
        &mut reconciler,
        "PJSIP/a",
        &[(A, value(DeviceState::InUse))],
    );
    record(&mut reconciler);
    let (slot, _) = next(&mut reconciler).expect("said");
    want(&mut reconciler, "PJSIP/a", &[]);
    reconciler.finished(&slot, Finished::Unknown, at(1));
    assert_eq!(
        drain(&mut reconciler),
        ["PJSIP/a 02:00:00:00:00:0a INVALID"],
        "it may have been taken"
    );
}

#[test]
fn changes_that_could_not_be_written_are_written_later() {
    let mut reconciler = open(Vec::new());
    want(
        &mut reconciler,
        "PJSIP/a",
        &[(A, value(DeviceState::InUse))],
    );
    let (changes, _) = reconciler.take_changes();
    want(
        &mut reconciler,
        "PJSIP/a",
        &[(A, value(DeviceState::Ringing))],
    );
    reconciler.not_recorded(changes);
    assert_eq!(
        drain(&mut reconciler),
        ["PJSIP/a 02:00:00:00:00:0a RINGING"]
    );
}

/// The row is withdrawn while its first write is on the way to the disk: the deletion follows it.
#[test]
fn a_row_dropped_during_its_first_write_leaves_the_ledger_again() {
    let mut reconciler = open(Vec::new());
    want(
        &mut reconciler,
        "PJSIP/a",
        &[(A, value(DeviceState::InUse))],
    );
    let (first, _) = reconciler.take_changes();
    want(&mut reconciler, "PJSIP/a", &[]);
    want(&mut reconciler, "PJSIP/a", &[(A, value(DeviceState::Busy))]);
    reconciler.recorded(&first);
    assert_eq!(
        next(&mut reconciler),
        None,
        "the second row is not on disk yet"
    );
    want(&mut reconciler, "PJSIP/a", &[]);
    let (second, _) = reconciler.take_changes();
    assert_eq!(
        second,
        [LedgerChange::Forget(Slot::Device("PJSIP/a".into(), A))]
    );
}

#[test]
fn all_is_taken_back_at_the_end() {
    let mut reconciler = Reconciler::new(vec![ledger_row("PJSIP/old", B, DeviceState::InUse)], 1);
    reconciler.set_open(true);
    want(
        &mut reconciler,
        "PJSIP/a",
        &[(A, value(DeviceState::InUse))],
    );
    drain(&mut reconciler);
    reconciler.withdraw_all();
    let mut said = drain(&mut reconciler);
    said.sort();
    assert_eq!(
        said,
        [
            "PJSIP/a 02:00:00:00:00:0a INVALID",
            "PJSIP/old 02:00:00:00:00:0b INVALID"
        ]
    );
    assert_eq!((reconciler.told_slots(), reconciler.waiting()), (0, 0));
}

#[test]
fn everything_of_one_device_goes_by_one_stream() {
    for streams in 1..8 {
        let one = Slot::Device("PJSIP/100".into(), A).stream(streams);
        assert_eq!(Slot::Device("PJSIP/100".into(), B).stream(streams), one);
        assert!(one < streams);
    }
}
