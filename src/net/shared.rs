//! Where the driver task and the users' handles meet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::clock::Clock;
use super::counters::NetCounters;
use super::links_table::LinkTable;
use super::sync_codec::SyncBytes;
use crate::model::{EventItem, Filter, Pattern, ReplicaId, Scope};
use crate::proto::{FollowError, Input, Now, Replica, SubscriptionId, WatchId, Watched};

/// Something a handle wants of the driver.
#[derive(Debug)]
pub(crate) enum Command {
    /// Say goodbye, see it sent, close everything, answer, and end.
    Leave(oneshot::Sender<()>),
    /// Close all connections of this replica and refuse it from now on.
    Ban(ReplicaId),
    /// Ask every connected peer to answer, and say who did, and how long that took.
    Ping(mpsc::Sender<(ReplicaId, Duration)>),
    /// Answer, which only a driver that takes its turns does.
    Respond(oneshot::Sender<()>),
}

/// The replica behind one short lock, and what hangs on it.
///
/// No lock here is held across an `await`, handed out, or held while user code runs.
pub(crate) struct Shared {
    replica: RwLock<Replica>,
    /// Who spins for it: the driver lets them go first.
    spinning: AtomicUsize,
    clock: Clock,
    /// Wakes the driver: output is queued, or an earlier timeout is due.
    driver: Notify,
    watchers: Mutex<BTreeMap<WatchId, Option<Waker>>>,
    subscribers: Mutex<BTreeMap<SubscriptionId, Option<Waker>>>,
    /// Counts changes of what [`Shared::links`] and the replica say of peers.
    peers: watch::Sender<u64>,
    ready: watch::Sender<bool>,
    links: Mutex<LinkTable>,
    counters: Mutex<NetCounters>,
    sync_bytes: Arc<SyncBytes>,
    /// What libp2p counts.
    #[cfg(feature = "metrics")]
    registry: OnceLock<super::metrics::Registry>,
    commands: mpsc::Sender<Command>,
    stopped: AtomicBool,
    /// What a write waits for, if anything.
    barrier: OnceLock<Barrier>,
}

/// Returns when all that was written is where it must be.
pub(crate) type Barrier = Box<dyn Fn() + Send + Sync>;

/// Commands waiting for the driver. It takes them between two events, so more than a few never wait; when it
/// is full, a handle waits.
pub(crate) const COMMAND_QUEUE: usize = 16;

/// How long a user's thread tries to lock the replica before it sleeps: a thread that sleeps may be woken only when
/// the one that runs has used up its turn of the processor, which is milliseconds.
const SPIN: Duration = Duration::from_millis(1);
/// Attempts before the processor is given up to whoever else wants it.
const SPINS: usize = 32;
/// Keys shown while nobody can write, for who wants to know of all of them: tens of microseconds.
const KEYS_AT_ONCE: usize = 32;
/// How often the processor is given up to those who wait for the replica.
const YIELDS: usize = 16;

impl Shared {
    pub(crate) fn new(replica: Replica, clock: Clock) -> (Arc<Self>, mpsc::Receiver<Command>) {
        let (commands, receiver) = mpsc::channel(COMMAND_QUEUE);
        let shared = Self {
            replica: RwLock::new(replica),
            spinning: AtomicUsize::new(0),
            clock,
            driver: Notify::new(),
            watchers: Mutex::default(),
            subscribers: Mutex::default(),
            peers: watch::Sender::new(0),
            ready: watch::Sender::new(false),
            links: Mutex::default(),
            counters: Mutex::default(),
            sync_bytes: Arc::default(),
            #[cfg(feature = "metrics")]
            registry: OnceLock::new(),
            commands,
            stopped: AtomicBool::new(false),
            barrier: OnceLock::new(),
        };
        (Arc::new(shared), receiver)
    }

    /// Locks the replica, fires what is due, and runs `work`; afterwards wakes the watchers that got
    /// something, and the driver when there is something to send.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut Replica, Now) -> R) -> R {
        let replica = self.spin(|| self.replica.try_write(), || self.replica.write());
        self.with_locked(replica, work, |replica| drop(replica))
    }

    /// Looks at the replica, beside others who look, and beside the driver while it shows keys.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&Replica, Now) -> R) -> R {
        let replica = self.spin(|| self.replica.try_read(), || self.replica.read());
        let now = self.clock.now();
        // A process that was paused must not show as live what ran out meanwhile.
        if replica.poll_timeout().is_some_and(|due| due <= now.mono) {
            drop(replica);
            return self.with(|replica, now| look(replica, now));
        }
        look(&replica, now)
    }

    /// Like [`Shared::read`], at what is known of all keys together.
    pub(crate) fn read_all<R>(&self, look: impl Fn(&Replica, Now) -> R) -> R {
        let behind = |replica: &Replica, now| (!replica.is_behind()).then(|| look(replica, now));
        self.read(behind).unwrap_or_else(|| {
            self.catch_up();
            self.with(|replica, now| {
                replica.catch_up();
                look(replica, now)
            })
        })
    }

    /// Shows all that waits for it, beside others who read.
    fn catch_up(&self) {
        while self.read(|replica, _| replica.is_behind()) && self.show_some(KEYS_AT_ONCE) {}
    }

    /// Like [`Shared::with`], for the driver, which locks the replica again and again: whoever waits for it
    /// meanwhile has it first.
    pub(super) fn with_turns<R>(&self, work: impl FnOnce(&mut Replica, Now) -> R) -> R {
        self.let_others_go();
        let replica = self.replica.write();
        self.with_locked(replica, work, |replica| {
            RwLockWriteGuard::unlock_fair(replica)
        })
    }

    /// Shows at most `keys` keys: others read meanwhile. Says whether there may be more.
    pub(super) fn show_some(&self, keys: usize) -> bool {
        self.let_others_go();
        let replica = self.replica.read();
        let more = replica.show_some(keys);
        let woken = replica.take_woken();
        RwLockReadGuard::unlock_fair(replica);
        self.let_others_go();
        wake(&self.watchers, &woken);
        more
    }

    /// Gives up the processor to those who wait for the replica. One of them may have taken it from whoever had the
    /// replica, and would wait until that one's turn is over, whatever it does in it.
    fn let_others_go(&self) {
        let mut yields = 0..YIELDS;
        while self.spinning.load(Ordering::Relaxed) > 0 && yields.next().is_some() {
            std::thread::yield_now();
        }
    }

    /// Waits for the replica. The driver's turns are short, and on a busy machine a thread that went to sleep may
    /// wait for milliseconds until it is woken.
    fn spin<G>(&self, try_lock: impl Fn() -> Option<G>, lock: impl FnOnce() -> G) -> G {
        if let Some(replica) = try_lock() {
            return replica;
        }
        self.spinning.fetch_add(1, Ordering::Relaxed);
        let end = Instant::now() + SPIN;
        let replica = loop {
            let tried = (0..SPINS).find_map(|_| {
                std::hint::spin_loop();
                try_lock()
            });
            match tried {
                Some(replica) => break replica,
                None if Instant::now() < end => std::thread::yield_now(),
                None => break lock(),
            }
        };
        self.spinning.fetch_sub(1, Ordering::Relaxed);
        replica
    }

    fn with_locked<R>(
        &self,
        mut replica: RwLockWriteGuard<'_, Replica>,
        work: impl FnOnce(&mut Replica, Now) -> R,
        unlock: impl FnOnce(RwLockWriteGuard<'_, Replica>),
    ) -> R {
        let now = self.clock.now();
        let behind = replica.has_work();
        // A process that was paused must not show as live what ran out meanwhile.
        if replica.poll_timeout().is_some_and(|due| due <= now.mono) {
            replica.begin(Input::Timeout, now);
        }
        let result = work(&mut replica, now);
        let woken = replica.take_woken();
        let woken_subscribers = replica.take_woken_subscribers();
        let begun = replica.has_work() && !behind;
        let (ready, pending) = (replica.is_ready(), replica.has_output() || begun);
        unlock(replica);
        self.let_others_go();
        wake(&self.watchers, &woken);
        wake(&self.subscribers, &woken_subscribers);
        if pending {
            self.driver.notify_one();
        }
        if ready {
            self.ready
                .send_if_modified(|known| !std::mem::replace(known, true));
        }
        result
    }

    /// Like [`Shared::with`], for what users write: afterwards waits for the barrier, if there is one. Never
    /// called by the driver.
    pub(crate) fn write<R>(&self, work: impl FnOnce(&mut Replica, Now) -> R) -> R {
        let result = self.with(work);
        if let Some(barrier) = self.barrier.get() {
            barrier();
        }
        result
    }

    /// From now on [`Shared::write`] waits for this. Set once, before anybody writes.
    #[cfg(feature = "persist")]
    pub(crate) fn set_barrier(&self, barrier: Barrier) {
        // There is one place that sets it.
        let _ = self.barrier.set(barrier);
    }

    /// Resolves when [`Shared::with`] left output behind since the last call.
    pub(crate) async fn work_for_driver(&self) {
        self.driver.notified().await;
    }

    pub(crate) fn watch(
        &self,
        scope: Scope,
        pattern: Pattern,
        hidden: bool,
    ) -> Result<WatchId, FollowError> {
        // It begins with all there is.
        self.catch_up();
        let id = self.with(|replica, _| replica.watch(scope, pattern, hidden))?;
        lock(&self.watchers).insert(id, None);
        Ok(id)
    }

    pub(crate) fn unwatch(&self, id: WatchId) {
        self.with(|replica, _| replica.unwatch(id));
        lock(&self.watchers).remove(&id);
    }

    /// The watcher's next item; when there is none yet, `waker` is called once there is.
    pub(crate) fn poll_watch(&self, id: WatchId, waker: Option<&Waker>) -> Option<Watched> {
        if let Some(item) = self.with(|replica, now| replica.poll_watch(id, now)) {
            return Some(item);
        }
        let waker = waker?;
        lock(&self.watchers).insert(id, Some(waker.clone()));
        // What came between the first look and the waker being in place would wake nobody.
        self.with(|replica, now| replica.poll_watch(id, now))
    }

    pub(crate) fn subscribe(&self, filter: Filter) -> Result<SubscriptionId, FollowError> {
        let id = self.with(|replica, now| replica.subscribe(filter, now))?;
        lock(&self.subscribers).insert(id, None);
        Ok(id)
    }

    pub(crate) fn unsubscribe(&self, id: SubscriptionId) {
        self.with(|replica, _| replica.unsubscribe(id));
        lock(&self.subscribers).remove(&id);
    }

    /// The subscriber's next item; when there is none yet, `waker` is called once there is.
    pub(crate) fn poll_event(
        &self,
        id: SubscriptionId,
        waker: Option<&Waker>,
    ) -> Option<EventItem> {
        if let Some(item) = self.with(|replica, _| replica.poll_event(id)) {
            return Some(item);
        }
        let waker = waker?;
        lock(&self.subscribers).insert(id, Some(waker.clone()));
        // As with watchers: what came in between would wake nobody.
        self.with(|replica, _| replica.poll_event(id))
    }

    pub(crate) fn links(&self) -> std::sync::MutexGuard<'_, LinkTable> {
        lock(&self.links)
    }

    /// The time, as the replica is told it.
    pub(super) fn now(&self) -> Now {
        self.clock.now()
    }

    /// Counts something. Held for an instant only.
    pub(super) fn count(&self, count: impl FnOnce(&mut NetCounters)) {
        count(&mut lock(&self.counters));
    }

    pub(crate) fn net_counters(&self) -> NetCounters {
        let mut counters = lock(&self.counters).clone();
        (counters.sync_bytes_received, counters.sync_bytes_sent) = self.sync_bytes.get();
        counters
    }

    pub(super) fn sync_bytes(&self) -> Arc<SyncBytes> {
        self.sync_bytes.clone()
    }

    /// Commands that wait for the driver.
    pub(crate) fn waiting_commands(&self) -> usize {
        COMMAND_QUEUE - self.commands.capacity()
    }

    /// What libp2p counts from now on. Set once, when the driver is made.
    #[cfg(feature = "metrics")]
    pub(super) fn set_registry(&self, registry: super::metrics::Registry) {
        // There is one place that sets it.
        let _ = self.registry.set(registry);
    }

    /// What libp2p has counted, once there is a driver.
    #[cfg(feature = "metrics")]
    pub(crate) fn registry(&self) -> Option<&super::metrics::Registry> {
        self.registry.get()
    }

    /// Tells those who watch peers that something about them changed.
    pub(crate) fn peers_changed(&self) {
        self.peers.send_modify(|version| *version += 1);
    }

    pub(crate) fn watch_peers(&self) -> watch::Receiver<u64> {
        self.peers.subscribe()
    }

    pub(crate) fn watch_ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    pub(crate) fn commands(&self) -> &mpsc::Sender<Command> {
        &self.commands
    }

    /// The driver has ended: watchers end too.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        let watchers = std::mem::take(&mut *lock(&self.watchers));
        watchers.into_values().flatten().for_each(Waker::wake);
        let subscribers = std::mem::take(&mut *lock(&self.subscribers));
        subscribers.into_values().flatten().for_each(Waker::wake);
        self.peers_changed();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }
}

/// Wakes whoever waits under one of these ids.
fn wake<Id: Ord>(waiting: &Mutex<BTreeMap<Id, Option<Waker>>>, woken: &BTreeSet<Id>) {
    if woken.is_empty() {
        return;
    }
    let mut waiting = lock(waiting);
    let wakers: Vec<Waker> = woken
        .iter()
        .filter_map(|id| waiting.get_mut(id).and_then(Option::take))
        .collect();
    drop(waiting);
    wakers.into_iter().for_each(Waker::wake);
}

/// A panic while holding the lock is our own bug; going on with what the lock protects is still better for a
/// phone server than going down.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
