//! The reconciler: what the PBX should know against what it was told.
//!
//! A pure state machine. It is told what is wanted per slot and what became of each PUBLISH; it says what must
//! be written to the ledger and what each stream should say next. One dirty mark per slot, newest value only:
//! however long the PBX is silent, the work that waits is bounded by the number of slots.
//!
//! ```text
//!  want(slot, value)                        next(stream)             finished(slot, Taken)
//!  ───────────────► row ──► ledger, synced ──► queue ───► PUBLISH ──────────────────────► told
//!                   new                        ▲  live before withdrawals before dumps
//!  forgot() ───────────────────────────────────┘
//! ```

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::Told;
use super::body::{Body, Package};
use super::eid::Eid;
use super::ledger::{LedgerChange, LedgerRow, Slot, Telling};

/// How many slots may be told. A further one is refused and counted: its lamp stays dark on this PBX.
pub(super) const MAX_SLOTS: usize = 500_000;
/// The first wait after a slot was refused; doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// The longest wait of a refused slot.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// What should be known of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// This.
    Value(Telling),
    /// Its owner is stale. Whatever was told stays; this replaces another value that was told, and is not told
    /// anew: a lamp cannot say how old it is.
    Stale(Telling),
    /// Whatever was told stays.
    Leave,
    /// Nothing; what was told is taken back.
    Nothing,
}

/// What goes first on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// Something just changed.
    Live,
    /// Something must be taken back.
    Withdrawal,
    /// Everything is said again.
    Dump,
}

/// What became of a PUBLISH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finished {
    /// The PBX took it.
    Taken,
    /// No answer: perhaps it did.
    Unknown,
    /// It did not.
    Refused,
}

/// Something to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) slot: Slot,
    pub(super) body: Body,
}

/// What the PBX was told of one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ToldRow {
    pub(super) telling: Telling,
    pub(super) at: SystemTime,
    /// Something else is wanted, or the PBX may have forgotten it.
    pub(super) pending: bool,
}

impl ToldRow {
    pub(super) fn told<T>(self, eid: Eid, value: T) -> Told<T> {
        Told {
            eid,
            value,
            at: self.at,
            pending: self.pending,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Reconciler {
    rows: BTreeMap<Slot, Row>,
    queues: Vec<BTreeMap<(Urgency, u64), Slot>>,
    /// Refused slots, by when they are tried again.
    later: BTreeMap<(Duration, u64), Slot>,
    /// Ledger changes not yet handed out; the newest per slot.
    changes: BTreeMap<Slot, LedgerChange>,
    order: u64,
    /// Rises, by package, when the PBX forgot, so that the answer to what was said before counts for nothing.
    forgettings: [u64; 2],
    /// Whether rows of an earlier life that nobody wants are taken back.
    judging: bool,
    /// Whether anything may be said at all: the PBX's EID is known.
    open: bool,
    /// Whether mailboxes may be told: the PBX has said which are its own.
    mailboxes_open: bool,
    refused_slots: u64,
}

#[derive(Debug)]
struct Row {
    want: Want,
    done: Done,
    /// The last value told, and when.
    told: Option<(Telling, SystemTime)>,
    /// Wanted at some time in this life of ours: no need to wait before it is taken back.
    claimed: bool,
    /// Its existence is on disk.
    recorded: bool,
    queued: Option<(Urgency, u64)>,
    postponed: Option<(Duration, u64)>,
    urgency: Urgency,
    in_flight: Option<InFlight>,
    failures: u32,
}

#[derive(Debug, Clone, Copy)]
struct InFlight {
    telling: Option<Telling>,
    forgettings: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    /// The PBX knows nothing of it.
    Never,
    /// It may know something.
    Unknown,
    /// It knows exactly this.
    Told(Telling),
}

impl Row {
    /// What has to be said; `None` for nothing, `Some(None)` to take it back.
    fn needs(&self, judging: bool) -> Option<Option<Telling>> {
        match self.want {
            Want::Value(value) => (self.done != Done::Told(value)).then_some(Some(value)),
            Want::Stale(value) => {
                matches!(self.done, Done::Told(told) if told != value).then_some(Some(value))
            }
            Want::Leave => None,
            Want::Nothing => {
                (self.done != Done::Never && (self.claimed || judging)).then_some(None)
            }
        }
    }
}

impl Reconciler {
    /// Begins with what an earlier life left in the ledger.
    pub(super) fn new(rows: Vec<LedgerRow>, streams: usize) -> Self {
        let mut reconciler = Self {
            rows: BTreeMap::new(),
            queues: vec![BTreeMap::new(); streams],
            later: BTreeMap::new(),
            changes: BTreeMap::new(),
            order: 0,
            forgettings: [0; 2],
            judging: false,
            open: false,
            mailboxes_open: false,
            refused_slots: 0,
        };
        for LedgerRow { slot, telling, at } in rows {
            let row = Row {
                done: Done::Unknown,
                told: telling.map(|telling| (telling, at)),
                recorded: true,
                ..Row::new(Want::Nothing, Urgency::Withdrawal)
            };
            reconciler.rows.insert(slot, row);
        }
        reconciler
    }

    /// What should be known of one device: all EIDs under which it should be, and nothing under others.
    pub(super) fn want_device(
        &mut self,
        device: &str,
        wants: &BTreeMap<Eid, Want>,
        urgency: Urgency,
    ) {
        for eid in self.eids(device) {
            if !wants.contains_key(&eid) {
                self.want(
                    Slot::Device(device.to_owned(), eid),
                    Want::Nothing,
                    Urgency::Withdrawal,
                );
            }
        }
        for (eid, want) in wants {
            self.want(Slot::Device(device.to_owned(), *eid), *want, urgency);
        }
    }

    /// What should be known of one mailbox.
    pub(super) fn want_mailbox(&mut self, mailbox: &str, want: Want, urgency: Urgency) {
        self.want(Slot::Mailbox(mailbox.to_owned()), want, urgency);
    }

    /// The PBX states this slot itself now: whatever was told is overwritten there, nothing is taken back.
    pub(super) fn disown(&mut self, slot: &Slot) {
        if let Some(row) = self.rows.remove(slot) {
            self.unqueue(slot, &row);
            // Also when it is not recorded yet: its row may be on the way to the disk.
            self.changes
                .insert(slot.clone(), LedgerChange::Forget(slot.clone()));
        }
    }

    /// `eid` is the PBX's own: nothing may be told under it, not even that it is taken back.
    pub(super) fn disown_eid(&mut self, eid: Eid) {
        let own: Vec<Slot> = self
            .rows
            .keys()
            .filter(|slot| matches!(slot, Slot::Device(_, of) if *of == eid))
            .cloned()
            .collect();
        for slot in own {
            self.disown(&slot);
        }
    }

    /// Names of which rows exist, to find those that are no longer shown at all.
    pub(super) fn names(&self, package: Package) -> Vec<String> {
        let mut names: Vec<String> = self
            .rows
            .keys()
            .filter_map(|slot| match (slot, package) {
                (Slot::Device(device, _), Package::DeviceState) => Some(device.clone()),
                (Slot::Mailbox(name), Package::Mwi) => Some(name.clone()),
                _ => None,
            })
            .collect();
        names.dedup();
        names
    }

    /// The PBX may have forgotten what it was told in this package: everything is dirty, once.
    pub(super) fn forgot(&mut self, package: Package) {
        self.forgettings[package as usize] += 1;
        let slots: Vec<Slot> = self
            .rows
            .keys()
            .filter(|slot| slot.package() == package)
            .cloned()
            .collect();
        for slot in slots {
            let row = self.rows.get_mut(&slot).expect("its key was just read");
            if row.done != Done::Never {
                row.done = Done::Unknown;
            }
            self.enqueue(&slot, Urgency::Dump);
        }
    }

    /// From now on rows that an earlier life left and nobody wants are taken back: all origins had their time
    /// to say so.
    pub(super) fn judge(&mut self) {
        if !std::mem::replace(&mut self.judging, true) {
            self.enqueue_all(|_| true, Urgency::Withdrawal);
        }
    }

    /// Whether anything may be said: the PBX's own EID is known.
    pub(super) fn set_open(&mut self, open: bool) {
        self.open = open;
    }

    /// Whether mailboxes may be told: the PBX has said which ones are its own.
    pub(super) fn set_mailboxes_open(&mut self, open: bool) {
        if !std::mem::replace(&mut self.mailboxes_open, open) && open {
            self.enqueue_all(|slot| matches!(slot, Slot::Mailbox(_)), Urgency::Dump);
        }
    }

    /// Nothing is wanted any more.
    pub(super) fn withdraw_all(&mut self) {
        (self.open, self.mailboxes_open) = (true, true);
        let slots: Vec<Slot> = self.rows.keys().cloned().collect();
        for slot in slots {
            if let Some(row) = self.rows.get_mut(&slot) {
                row.claimed = true;
            }
            self.want(slot, Want::Nothing, Urgency::Withdrawal);
        }
    }

    /// Takes what has to be written to the ledger, and whether it must be on disk before anything else.
    pub(super) fn take_changes(&mut self) -> (Vec<LedgerChange>, bool) {
        let rows = &self.rows;
        let sync = self
            .changes
            .keys()
            .any(|slot| rows.get(slot).is_some_and(|row| !row.recorded));
        (
            std::mem::take(&mut self.changes).into_values().collect(),
            sync,
        )
    }

    /// Whether something has to be written, and whether somebody waits for it.
    pub(super) fn has_changes(&self) -> (bool, bool) {
        let waits = self
            .changes
            .keys()
            .any(|slot| self.rows.get(slot).is_some_and(|row| !row.recorded));
        (!self.changes.is_empty(), waits)
    }

    /// Those changes are on disk.
    pub(super) fn recorded(&mut self, changes: &[LedgerChange]) {
        for change in changes {
            let LedgerChange::Tell(slot, ..) = change else {
                continue;
            };
            // A later change of the slot is still to be written: that one will tell.
            if self.changes.contains_key(slot) {
                continue;
            }
            let Some(row) = self.rows.get_mut(slot) else {
                continue;
            };
            row.recorded = true;
            let urgency = row.urgency;
            self.enqueue(slot, urgency);
        }
    }

    /// Those changes could not be written; they are tried again with the next ones.
    pub(super) fn not_recorded(&mut self, changes: Vec<LedgerChange>) {
        for change in changes {
            let slot = match &change {
                LedgerChange::Tell(slot, ..) | LedgerChange::Forget(slot) => slot.clone(),
            };
            self.changes.entry(slot).or_insert(change);
        }
    }

    /// The next thing to say on a stream that has nothing outstanding.
    pub(super) fn next(
        &mut self,
        stream: usize,
        now: (Duration, SystemTime),
        fallback: Eid,
    ) -> Option<Job> {
        while let Some(entry) = self
            .later
            .first_entry()
            .filter(|entry| entry.key().0 <= now.0)
        {
            let slot = entry.remove();
            if let Some(row) = self.rows.get_mut(&slot) {
                row.postponed = None;
                let urgency = row.urgency;
                self.enqueue(&slot, urgency);
            }
        }
        if !self.open {
            return None;
        }
        while let Some(entry) = self.queues[stream].first_entry() {
            let slot = entry.remove();
            let row = self
                .rows
                .get_mut(&slot)
                .expect("only slots with a row are queued");
            row.queued = None;
            // Closed since it was queued; opening queues it again.
            let closed = matches!(slot, Slot::Mailbox(_)) && !self.mailboxes_open;
            let Some(telling) = row.needs(self.judging).filter(|_| !closed) else {
                continue;
            };
            if let Some(telling) = telling {
                assert!(row.recorded, "a slot is in the ledger before it is told");
                self.changes.insert(
                    slot.clone(),
                    LedgerChange::Tell(slot.clone(), telling, now.1),
                );
            }
            let last = row.told.map(|(telling, _)| telling);
            let body = slot.body(telling, last, fallback);
            row.in_flight = Some(InFlight {
                telling,
                forgettings: self.forgettings[slot.package() as usize],
            });
            row.done = Done::Unknown;
            return Some(Job { slot, body });
        }
        None
    }

    /// What became of a job.
    pub(super) fn finished(
        &mut self,
        slot: &Slot,
        finished: Finished,
        now: (Duration, SystemTime),
    ) {
        // Disowned meanwhile: the PBX states it itself.
        let Some(row) = self.rows.get_mut(slot) else {
            return;
        };
        let Some(sent) = row.in_flight.take() else {
            return;
        };
        match finished {
            Finished::Taken => {
                row.failures = 0;
                if let Some(telling) = sent.telling {
                    row.told = Some((telling, now.1));
                }
                row.done = match sent.telling {
                    _ if sent.forgettings != self.forgettings[slot.package() as usize] => {
                        Done::Unknown
                    }
                    Some(telling) => Done::Told(telling),
                    None => Done::Never,
                };
            }
            Finished::Unknown => row.done = Done::Unknown,
            Finished::Refused => {
                row.done = Done::Unknown;
                let wait = FIRST_WAIT
                    .saturating_mul(1 << row.failures.min(10))
                    .min(LONGEST_WAIT);
                row.failures += 1;
                self.order += 1;
                let at = (now.0 + wait, self.order);
                row.postponed = Some(at);
                self.later.insert(at, slot.clone());
                return;
            }
        }
        let urgency = if row.want == Want::Nothing {
            Urgency::Withdrawal
        } else {
            Urgency::Live
        };
        self.enqueue(slot, urgency);
        self.forget_if_done(slot);
    }

    /// When a refused slot is due again.
    pub(super) fn next_at(&self) -> Option<Duration> {
        self.later.keys().next().map(|(at, _)| *at)
    }

    /// What was told of a device, by EID.
    pub(super) fn told(&self, device: &str) -> Vec<(Eid, ToldRow)> {
        let eids = self.eids(device).into_iter();
        eids.filter_map(|eid| Some((eid, self.told_of(&Slot::Device(device.to_owned(), eid))?)))
            .collect()
    }

    /// What was told of a slot; `None` when nothing was, or nothing is known of it any more.
    pub(super) fn told_of(&self, slot: &Slot) -> Option<ToldRow> {
        let row = self.rows.get(slot)?;
        let (telling, at) = row.told?;
        let pending = row.needs(self.judging).is_some() || row.done != Done::Told(telling);
        Some(ToldRow {
            telling,
            at,
            pending,
        })
    }

    /// How many slots the PBX knows or may know.
    pub(super) fn told_slots(&self) -> usize {
        self.rows
            .values()
            .filter(|row| row.done != Done::Never)
            .count()
    }

    /// How many slots wait for their turn, for the ledger, or for another try.
    pub(super) fn waiting(&self) -> usize {
        let queued: usize = self.queues.iter().map(BTreeMap::len).sum();
        let unrecorded = self.rows.values().filter(|row| !row.recorded).count();
        queued + self.later.len() + unrecorded
    }

    /// How many slots were refused because there are too many.
    pub(super) fn refused_slots(&self) -> u64 {
        self.refused_slots
    }

    fn want(&mut self, slot: Slot, want: Want, urgency: Urgency) {
        if !self.rows.contains_key(&slot) {
            if !matches!(want, Want::Value(_)) {
                return;
            }
            if self.rows.len() >= MAX_SLOTS {
                self.refused_slots += 1;
                return;
            }
            self.rows.insert(slot.clone(), Row::new(want, urgency));
        }
        let row = self.rows.get_mut(&slot).expect("just made");
        let changed = row.want != want;
        row.want = want;
        row.claimed |= want != Want::Nothing;
        if let (Want::Value(value), false) = (want, row.recorded) {
            row.urgency = row.urgency.min(urgency);
            let change = LedgerChange::Tell(slot.clone(), value, SystemTime::UNIX_EPOCH);
            self.changes.insert(slot, change);
            return;
        }
        // A refused slot keeps its place in the waiting list unless it has something new to say.
        if changed || row.postponed.is_none() {
            self.enqueue(&slot, urgency);
        }
        self.forget_if_done(&slot);
    }

    /// Puts a slot into its queue, or further ahead, if it has anything to say.
    fn enqueue(&mut self, slot: &Slot, urgency: Urgency) {
        if matches!(slot, Slot::Mailbox(_)) && !self.mailboxes_open {
            return;
        }
        let stream = slot.stream(self.queues.len());
        let Some(row) = self.rows.get_mut(slot) else {
            return;
        };
        row.urgency = urgency;
        if !row.recorded || row.in_flight.is_some() || row.needs(self.judging).is_none() {
            return;
        }
        if let Some(at) = row.postponed.take() {
            self.later.remove(&at);
        }
        match row.queued {
            Some((earlier, _)) if earlier <= urgency => return,
            Some(place) => drop(self.queues[stream].remove(&place)),
            None => {}
        }
        self.order += 1;
        let place = (urgency, self.order);
        row.queued = Some(place);
        self.queues[stream].insert(place, slot.clone());
    }

    fn enqueue_all(&mut self, which: impl Fn(&Slot) -> bool, urgency: Urgency) {
        let slots: Vec<Slot> = self
            .rows
            .keys()
            .filter(|slot| which(slot))
            .cloned()
            .collect();
        for slot in slots {
            self.enqueue(&slot, urgency);
        }
    }

    /// Drops the row of a slot that is neither wanted nor known to the PBX.
    fn forget_if_done(&mut self, slot: &Slot) {
        let done = self.rows.get(slot).is_some_and(|row| {
            row.want == Want::Nothing && row.done == Done::Never && row.in_flight.is_none()
        });
        if done {
            self.disown(slot);
        }
    }

    fn unqueue(&mut self, slot: &Slot, row: &Row) {
        if let Some(place) = row.queued {
            let stream = slot.stream(self.queues.len());
            self.queues[stream].remove(&place);
        }
        if let Some(at) = row.postponed {
            self.later.remove(&at);
        }
    }

    fn eids(&self, device: &str) -> Vec<Eid> {
        let range =
            Slot::Device(device.to_owned(), Eid::MIN)..=Slot::Device(device.to_owned(), Eid::MAX);
        self.rows
            .range(range)
            .filter_map(|(slot, _)| match slot {
                Slot::Device(_, eid) => Some(*eid),
                Slot::Mailbox(_) => None,
            })
            .collect()
    }
}

impl Row {
    fn new(want: Want, urgency: Urgency) -> Self {
        Self {
            want,
            done: Done::Never,
            told: None,
            claimed: false,
            recorded: false,
            queued: None,
            postponed: None,
            urgency,
            in_flight: None,
            failures: 0,
        }
    }
}

impl Slot {
    pub(super) fn package(&self) -> Package {
        match self {
            Self::Device(..) => Package::DeviceState,
            Self::Mailbox(_) => Package::Mwi,
        }
    }

    /// The stream of a slot: by name alone, so that all that is said of a device is said in order. FNV-1a.
    fn stream(&self, streams: usize) -> usize {
        let name = match self {
            Self::Device(name, _) | Self::Mailbox(name) => name,
        };
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        usize::try_from(hash % streams as u64).expect("below the number of streams")
    }
}

#[cfg(test)]
mod tests;
