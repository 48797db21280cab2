//! The task between the mesh and the PBX: what one says becomes the other's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::answerer::Said;
use super::body::{Body, Package};
use super::clock::Clock;
use super::config::AsteriskTiming;
use super::desired::{EID_ATTRIBUTE, Filter, Roster};
use super::eid::Eid;
use super::ledger::Slot;
use super::link::Link;
use super::pbx::{Dump, Memory, PbxStanding, Pulse};
use super::reconcile::{Reconciler, Urgency, Want};
use super::speaker::{Asked, Found, Speaker};
use crate::{
    DeviceState, Key, Mesh, MessageCounts, Pattern, PeerWatcher, Policy, Shown, Source, Space,
    SpaceId, Watch, Watcher, WriteError,
};

/// The longest the task sleeps, so that a pause of our own shows.
const TICK: Duration = Duration::from_millis(500);
/// How many mailboxes are remembered as the PBX's own. Beyond it none is added, and the mesh's value may
/// override the PBX's.
const MAX_HOMES: usize = 500_000;

/// What the handle reads.
#[derive(Debug, Clone, Default)]
pub(super) struct Published {
    pub(super) standing: Option<PbxStanding>,
    pub(super) eid: Option<Eid>,
    pub(super) dumped: bool,
    pub(super) writes: BTreeMap<&'static str, u64>,
    pub(super) failed_entries: u64,
    pub(super) shared_eids: BTreeMap<Eid, Vec<String>>,
    pub(super) last_refusal: Option<String>,
}

/// See the module.
pub(super) struct Worker {
    pub(super) mesh: Mesh,
    pub(super) devices: Space<DeviceState>,
    pub(super) mailboxes: Space<MessageCounts>,
    pub(super) timing: AsteriskTiming,
    pub(super) clock: Clock,
    pub(super) link: Link,
    pub(super) speaker: Speaker,
    pub(super) reconciler: Arc<Mutex<Reconciler>>,
    pub(super) export: Filter,
    pub(super) import: Filter,
    pub(super) roster: Roster,
    pub(super) pulse: Pulse,
    pub(super) dump: Dump,
    pub(super) memory: Memory,
    /// Mailboxes the PBX stated since its last boot.
    pub(super) homes: BTreeSet<String>,
    /// Whether what the PBX said is marked stale.
    pub(super) marked: bool,
    pub(super) ask_at: Duration,
    pub(super) ask_wait: Duration,
    pub(super) judge_at: Duration,
    /// Whether the mesh's devices and mailboxes have been seen once.
    pub(super) seen: [bool; 2],
    /// Whether the mesh knows that the first dump is in.
    pub(super) settled: bool,
    pub(super) failed_entries: u64,
    pub(super) published: watch::Sender<Published>,
}

/// What the mesh says, as it changes.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) devices: Watcher<DeviceState>,
    pub(super) mailboxes: Watcher<MessageCounts>,
}

impl Worker {
    /// Runs until `stop`; then takes back what the PBX was told, and says on it how many slots remain.
    pub(super) async fn run(
        mut self,
        watched: Watched,
        mut statements: mpsc::Receiver<Said>,
        mut stop: oneshot::Receiver<oneshot::Sender<usize>>,
    ) {
        let Watched {
            mut devices,
            mut mailboxes,
        } = watched;
        let mut peers = self.mesh.watch_peers();
        let mut mesh_ended = false;
        let mut last = self.clock.now();
        loop {
            let now = self.clock.now();
            let gap = now.saturating_sub(last);
            last = now;
            if gap > self.timing.pause + TICK {
                self.paused(gap);
            }
            self.tick(now);
            let wake = self.next_at(now);
            tokio::select! {
                done = &mut stop => {
                    // The handle was dropped without a shutdown: end at once, as in a crash.
                    if let Ok(done) = done {
                        let left = self.take_back(statements).await;
                        // Nobody waits any more: fine.
                        let _ = done.send(left);
                    }
                    return;
                }
                Some(said) = statements.recv() => self.said(said),
                found = self.speaker.event() => self.found(found),
                () = self.link.heard() => {}
                item = next_device(&mut devices), if !mesh_ended => match item {
                    Some(item) => self.device_item(item),
                    None => mesh_ended = true,
                },
                item = next_mailbox(&mut mailboxes), if !mesh_ended => match item {
                    Some(item) => self.mailbox_item(item),
                    None => mesh_ended = true,
                },
                change = next_peers(&mut peers), if !mesh_ended => match change {
                    Some(()) => self.peers_changed(),
                    None => mesh_ended = true,
                },
                () = self.clock.sleep_until(Some(wake)) => {}
            }
        }
    }

    /// Everything that depends on time.
    fn tick(&mut self, now: Duration) {
        if let Some(at) = self.link.last_heard()
            && self.pulse.heard(at)
        {
            tracing::info!("pbx heard");
            self.ask_everything(now);
        }
        if self.link.take_missed() {
            tracing::info!("pbx said something that was turned away, asking for everything");
            self.ask_everything(now);
        }
        if let Some(standing) = self.pulse.poll(now) {
            self.silent(standing, now);
        }
        if let Some(restated) = self.dump.poll(self.timing.dump_quiet, now) {
            self.dumped(&restated);
        }
        if now >= self.ask_at && self.pulse.is_up() {
            self.ask_everything(now);
        }
        let idle = self.pulse.silent_for(now) >= self.timing.probe || !self.pulse.is_up();
        if idle && !self.speaker.is_probing() {
            self.speaker
                .probe(self.timing.probe, self.timing.stale_after);
        }
        if now >= self.judge_at && self.seen == [true, true] && self.mesh.is_ready() {
            self.lock(Reconciler::judge);
        }
        self.speaker.pump(self.pulse.is_up());
        self.publish();
    }

    fn next_at(&self, now: Duration) -> Duration {
        let times = [
            self.pulse.next_at(),
            self.dump.ends_at(self.timing.dump_quiet),
            self.speaker.next_at().filter(|_| self.pulse.is_up()),
            Some(now + TICK.min(self.timing.probe)),
        ];
        // A wish that lies in the past and was not granted waits for the next tick, not for none.
        let least = now + Duration::from_millis(1);
        times
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(least)
            .max(least)
    }

    /// The PBX said something.
    fn said(&mut self, said: Said) {
        let now = self.clock.now();
        let Said {
            package,
            body,
            boot,
            new_speaker,
        } = said;
        if new_speaker {
            self.new_eid(body.eid(), now);
        }
        if boot {
            self.booted(package, now);
        }
        match body {
            Body::Device {
                device,
                state,
                cachable,
                ..
            } => {
                if !cachable || !self.export.passes(&device) {
                    return;
                }
                let restated = self.dump.stated(Some(&device), now);
                let written = match state {
                    // The PBX does not know the device: it says nothing of it.
                    DeviceState::Invalid => self.devices.clear(&device).map(drop),
                    state if restated => self.devices.restate(&device, state),
                    state => self.devices.set(&device, state),
                };
                self.written(&device, written);
            }
            Body::Mailbox {
                mailbox, counts, ..
            } => {
                let restated = self.dump.stated(None, now);
                let name = mailbox.as_str();
                if self.homes.len() < MAX_HOMES {
                    self.homes.insert(name.to_owned());
                }
                self.lock(|reconciler| reconciler.disown(&Slot::Mailbox(name.to_owned())));
                let written = match restated {
                    true => self.mailboxes.restate(name, counts),
                    false => self.mailboxes.set(name, counts),
                };
                self.written(name, written);
            }
            Body::Refresh { .. } => {
                self.memory.asked(package, now);
                self.forgot(&[package]);
            }
        }
    }

    /// The PBX has this EID now.
    fn new_eid(&mut self, eid: Eid, now: Duration) {
        let before = self.roster.local();
        tracing::info!(%eid, ?before, "pbx has this eid");
        self.roster.set_local(eid);
        if let Err(error) = self
            .mesh
            .set_attribute(EID_ATTRIBUTE, Some(&eid.to_string()))
        {
            tracing::warn!(%eid, %error, "the mesh is not told the pbx's eid");
        }
        self.lock(|reconciler| {
            reconciler.disown_eid(eid);
            reconciler.set_open(true);
        });
        self.roster_changed();
        if before.is_some() {
            self.ask_everything(now);
        }
    }

    /// The PBX started anew and now says what it has.
    fn booted(&mut self, package: Package, now: Duration) {
        tracing::debug!(?package, "pbx began to publish");
        if package == Package::Mwi {
            self.homes.clear();
        }
        self.lock(|reconciler| reconciler.set_mailboxes_open(false));
        self.dump.restart(now);
        self.ask_everything(now);
    }

    fn forgot(&mut self, packages: &[Package]) {
        if !packages.is_empty() {
            tracing::info!(
                ?packages,
                "pbx asks for everything or forgot it, saying it again"
            );
        }
        self.lock(|reconciler| {
            packages
                .iter()
                .for_each(|package| reconciler.forgot(*package))
        });
    }

    fn found(&mut self, found: Found) {
        let now = self.clock.now();
        if let Some(known_at) = found.forgot {
            self.forgot(&self.memory.unknown(known_at));
        }
        match found.asked {
            None => {}
            Some(Asked::Taken(package)) => self.dump.answered(package, now),
            Some(Asked::Refused) => {
                self.dump.abandon();
                self.ask_at = now + self.ask_wait;
                self.ask_wait = (self.ask_wait * 2).min(self.timing.refresh);
                // What it says of itself still arrives.
                self.unmark();
            }
        }
    }

    /// Asks for everything, and takes what comes as a dump.
    fn ask_everything(&mut self, now: Duration) {
        self.dump.begin(now);
        self.speaker.ask();
        self.ask_at = now + self.timing.refresh;
    }

    /// The dump has ended.
    fn dumped(&mut self, restated: &BTreeSet<String>) {
        let dropped: Vec<String> = self
            .devices
            .own()
            .into_iter()
            .map(|(device, _)| device)
            .filter(|name| !restated.contains(name))
            .collect();
        tracing::info!(
            devices = restated.len(),
            dropped = dropped.len(),
            mailboxes = self.homes.len(),
            "pbx dumped"
        );
        for device in dropped {
            let written = self.devices.clear(&device).map(drop);
            self.written(&device, written);
        }
        self.ask_wait = self.timing.backoff;
        if !std::mem::replace(&mut self.settled, true) {
            self.mesh.settle();
        }
        self.unmark();
        self.lock(|reconciler| reconciler.set_mailboxes_open(true));
    }

    /// The PBX has been silent for long enough to matter.
    fn silent(&mut self, standing: PbxStanding, now: Duration) {
        let silent_for = self.pulse.silent_for(now);
        tracing::warn!(?standing, ?silent_for, "pbx is silent");
        self.mark(silent_for);
        if standing == PbxStanding::Gone {
            self.dump.abandon();
            self.link.speaker_gone();
            if let Err(error) = self.devices.replace_all::<&str>([]) {
                tracing::warn!(%error, "devices of the silent pbx not withdrawn");
            }
        }
    }

    fn paused(&mut self, gap: Duration) {
        tracing::warn!(
            ?gap,
            "this process was paused, asking the pbx for everything"
        );
        self.pulse.forgive(gap);
        self.dump.forgive(gap);
        self.ask_everything(self.clock.now());
    }

    fn mark(&mut self, silent_for: Duration) {
        self.marked = true;
        if let Err(error) = self.mesh.mark_source(Source::ASTERISK, Some(silent_for)) {
            tracing::warn!(%error, "entries of the silent pbx not marked stale");
        }
    }

    fn unmark(&mut self) {
        if std::mem::take(&mut self.marked)
            && let Err(error) = self.mesh.mark_source(Source::ASTERISK, None)
        {
            tracing::warn!(%error, "entries of the pbx stay marked stale");
        }
    }

    fn written(&mut self, key: &str, written: Result<(), WriteError>) {
        if let Err(error) = written {
            self.failed_entries += 1;
            if self.failed_entries.is_power_of_two() {
                tracing::warn!(key, %error, failed = self.failed_entries, "the mesh does not take what the pbx said");
            }
        }
    }

    fn device_item(&mut self, item: Watch<DeviceState>) {
        match item {
            Watch::Resync => {}
            Watch::Changed(change) => {
                self.want_device(&change.key, change.new.as_ref(), Urgency::Live)
            }
            Watch::Snapshot(all) => self.all_devices(&all),
        }
    }

    fn mailbox_item(&mut self, item: Watch<MessageCounts>) {
        match item {
            Watch::Resync => {}
            Watch::Changed(change) => {
                self.want_mailbox(&change.key, change.new.as_ref(), Urgency::Live)
            }
            Watch::Snapshot(all) => self.all_mailboxes(&all),
        }
    }

    fn all_devices(&mut self, all: &[Shown<DeviceState>]) {
        let shown: BTreeSet<&str> = all.iter().map(|shown| &*shown.key).collect();
        for name in self.lock(|reconciler| reconciler.names(Package::DeviceState)) {
            if !shown.contains(name.as_str()) {
                self.want_device(&name, None, Urgency::Withdrawal);
            }
        }
        for shown in all {
            self.want_device(&shown.key, Some(shown), Urgency::Dump);
        }
        self.seen[0] = true;
    }

    fn all_mailboxes(&mut self, all: &[Shown<MessageCounts>]) {
        let shown: BTreeSet<&str> = all.iter().map(|shown| &*shown.key).collect();
        for name in self.lock(|reconciler| reconciler.names(Package::Mwi)) {
            if !shown.contains(name.as_str()) {
                self.want_mailbox(&name, None, Urgency::Withdrawal);
            }
        }
        for shown in all {
            self.want_mailbox(&shown.key, Some(shown), Urgency::Dump);
        }
        self.seen[1] = true;
    }

    fn want_device(&mut self, name: &str, shown: Option<&Shown<DeviceState>>, urgency: Urgency) {
        let wants = match shown.filter(|_| self.import.passes(name)) {
            None => BTreeMap::new(),
            Some(shown) => match Key::new(SpaceId::DEVICES, name).map(|key| key.policy()) {
                Ok(Policy::Aggregate) => self.roster.aggregate(shown),
                _ => self.roster.latest(shown),
            },
        };
        self.lock(|reconciler| reconciler.want_device(name, &wants, urgency));
    }

    fn want_mailbox(&mut self, name: &str, shown: Option<&Shown<MessageCounts>>, urgency: Urgency) {
        // Its own Asterisk knows better.
        if self.homes.contains(name) {
            return;
        }
        let want = shown.map_or(Want::Nothing, |shown| self.roster.mailbox(shown));
        self.lock(|reconciler| reconciler.want_mailbox(name, want, urgency));
    }

    fn peers_changed(&mut self) {
        let shared_before = self.roster.shared().clone();
        if self.roster.update(self.mesh.node(), &self.mesh.peers()) {
            self.roster_changed();
        }
        for (eid, nodes) in self.roster.shared() {
            if shared_before.get(eid) != Some(nodes) {
                tracing::error!(
                    %eid, ?nodes,
                    "several servers have one eid: give each its own entityid in asterisk.conf; synthetic ones are used"
                );
            }
        }
    }

    /// Entries are told under other EIDs now.
    fn roster_changed(&mut self) {
        if self.seen[0] {
            let all = self.devices.list(&Pattern::any());
            self.all_devices(&all);
        }
        if self.seen[1] {
            let all = self.mailboxes.list(&Pattern::any());
            self.all_mailboxes(&all);
        }
    }

    /// Takes back what the PBX was told; says how many slots could not be within the time for it.
    async fn take_back(mut self, mut statements: mpsc::Receiver<Said>) -> usize {
        // Nobody watches the PBX from here on. A mesh that has been left has nothing to be told.
        let _ = self
            .mesh
            .mark_source(Source::ASTERISK, Some(Duration::ZERO));
        self.lock(Reconciler::withdraw_all);
        let ends_at = self.clock.now() + self.timing.shutdown;
        let left = loop {
            // Whether it is up is tried out: it may be back since it was last asked.
            self.speaker.pump(true);
            let now = self.clock.now();
            // Counting costs; while something is under way there is something left.
            if !self.speaker.is_telling() || now >= ends_at {
                let left = self.lock(|reconciler| reconciler.told_slots());
                if left == 0 || now >= ends_at {
                    break left;
                }
            }
            let wake = self
                .speaker
                .next_at()
                .unwrap_or(ends_at)
                .clamp(now + Duration::from_millis(1), ends_at);
            tokio::select! {
                _ = self.speaker.event() => {}
                Some(_) = statements.recv() => {}
                () = self.clock.sleep_until(Some(wake)) => {}
            }
        };
        self.publish();
        self.speaker.close().await;
        left
    }

    fn publish(&self) {
        let standing = if self.pulse.is_up() || self.pulse.standing() != PbxStanding::Up {
            Some(self.pulse.standing())
        } else {
            None
        };
        let published = Published {
            standing,
            eid: self.roster.local(),
            dumped: self.dump.was_done(),
            writes: self.speaker.writes().clone(),
            failed_entries: self.failed_entries,
            shared_eids: self.roster.shared().clone(),
            last_refusal: self.speaker.last_refusal().map(str::to_owned),
        };
        self.published.send_replace(published);
    }

    fn lock<R>(&self, work: impl FnOnce(&mut Reconciler) -> R) -> R {
        work(
            &mut self
                .reconciler
                .lock()
                .expect("no holder of this lock panics"),
        )
    }
}

async fn next_device(watcher: &mut Watcher<DeviceState>) -> Option<Watch<DeviceState>> {
    watcher.next().await
}

async fn next_mailbox(watcher: &mut Watcher<MessageCounts>) -> Option<Watch<MessageCounts>> {
    watcher.next().await
}

async fn next_peers(watcher: &mut PeerWatcher) -> Option<()> {
    watcher.changed().await
}
