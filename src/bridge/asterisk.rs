//! The bridge to Asterisk: towards an unmodified Asterisk this node is one more Asterisk.
//!
//! Asterisk publishes what its own phones and mailboxes do as SIP `PUBLISH` and takes the same from others
//! under real device names, keeping each server's states apart by EID. So two config blocks join a PBX to the
//! mesh ([`pjsip_config`] prints them), and no dialplan, hint or phone changes.
//!
//! ```text
//!             PUBLISH                said                      set, clear
//!  Asterisk ───────────► Link ──────────────────► Worker ────────────────────► Space
//!     ▲      200 at once (answerer)                 │  ▲                          │
//!     │                                             │  └── watch_contributions ◄──┘
//!     │  PUBLISH, one outstanding per stream        ▼ wants (desired)
//!     └────────────────────────────── Speaker ◄── Reconciler ──► Ledger (redb)
//! ```
//!
//! | part | what it decides |
//! |---|---|
//! | `message`, `body`, `eid`, `digest` | how things are written |
//! | `transaction`, `answerer`, `publisher` | what a request is answered, what an answer asks for |
//! | `ast_event` | nothing of the bridge: Asterisk's binary events, for those who have them |
//! | `link` | the one socket |
//! | `pbx` | whether the PBX is there, is dumping, has forgotten |
//! | `desired` | what the PBX should know, from what the mesh shows |
//! | `reconcile`, `ledger`, `speaker` | what it was told, and what must be said next |
//! | `worker` | nothing: it carries things from one to the other |
//!
//! **A reconciler, not a relay.** What is injected into Asterisk outlives us and nobody can list it, so it is
//! in the ledger, on disk, before it is told; from there it is taken back when nobody owns it any more.

mod answerer;
mod ast_event;
mod body;
mod checkup;
mod clock;
mod config;
mod desired;
mod digest;
mod eid;
mod ledger;
mod link;
mod message;
mod pbx;
mod publisher;
mod reconcile;
mod speaker;
mod transaction;
#[cfg(test)]
mod transcript;
mod withdraw;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::net::UdpSocket;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

pub use ast_event::{
    AstEvent, AstEventError, AstEventMappingError, InformationElement, MAX_AST_EVENT_BYTES,
    Payload, text_hash,
};
pub use body::{Body, BodyError, Package};
pub use checkup::{PbxCheckup, PbxVerdict, check_pbx};
pub use config::{AsteriskConfig, AsteriskError, AsteriskTiming, Password, pjsip_config};
pub use desired::EID_ATTRIBUTE;
pub use eid::{Eid, ParseEidError};
pub use ledger::LedgerError;
pub use pbx::PbxStanding;
pub use transaction::Retransmit;
pub use withdraw::{Withdrawal, withdraw_from_ledger};

use clock::Clock;
use desired::{Filter, Roster};
use digest::Credentials;
use ledger::{Ledger, Slot, Telling};
use link::{Link, LinkShared};
use pbx::{Dump, Memory, Pulse};
use publisher::Target;
use reconcile::Reconciler;
use speaker::{Speaker, SpeakerParts};
use worker::{Published, Watched, Worker};

use crate::{DeviceState, MailboxName, Mesh, MessageCounts, Source};

/// A running bridge between a mesh and one Asterisk.
///
/// End it with [`Asterisk::shutdown`], which takes back what the PBX was told. Dropped without that it ends as
/// in a crash: the lamps stay as they are until the next start, which finds them in the ledger.
///
/// ```no_run
/// # async fn example(mesh: presence_mesh::Mesh) -> Result<(), presence_mesh::bridge::asterisk::AsteriskError> {
/// use presence_mesh::bridge::asterisk::{Asterisk, AsteriskConfig};
/// let listen = ([127, 0, 0, 1], 5099).into();
/// let config = AsteriskConfig::new(listen, "sip:mesh@127.0.0.1:5060", "/var/lib/presence-mesh/asterisk.ledger");
/// let bridge = Asterisk::start(mesh, config).await?;
/// println!("the PBX publishes to {}", bridge.listen());
/// bridge.ready().await;
/// assert!(bridge.is_ready());
/// let status = bridge.status();
/// println!("{:?}, {} slots told, {} waiting", status.standing, status.told, status.waiting);
/// for told in bridge.told("PJSIP/100") {
///     println!("it was told that {} says {}", told.eid, told.value);
/// }
/// let left = bridge.shutdown().await;
/// println!("{left} slots could not be taken back");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropped without a shutdown, what the PBX was told stays until the next start"]
pub struct Asterisk {
    listen: SocketAddr,
    monitor: AsteriskMonitor,
    stop: Mutex<Option<oneshot::Sender<oneshot::Sender<usize>>>>,
    task: JoinHandle<()>,
}

/// Looks at a bridge. Cheap to clone; when the bridge has ended, shows it as it was last.
///
/// ```
/// use presence_mesh::bridge::asterisk::AsteriskMonitor;
/// fn line(monitor: &AsteriskMonitor, device: &str) -> String {
///     format!("{} slots wait, {device} told {} times", monitor.status().waiting, monitor.told(device).len())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct AsteriskMonitor {
    published: watch::Receiver<Published>,
    link: Arc<LinkShared>,
    reconciler: Arc<Mutex<Reconciler>>,
}

/// How the bridge is doing.
///
/// ```
/// use presence_mesh::bridge::asterisk::{AsteriskStatus, PbxStanding};
/// fn healthy(status: &AsteriskStatus) -> bool {
///     status.standing == Some(PbxStanding::Up) && status.ready && status.last_refusal.is_none()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AsteriskStatus {
    /// Whether the PBX is heard; `None` while it never was.
    pub standing: Option<PbxStanding>,
    /// The EID of the PBX, once it said anything.
    pub eid: Option<Eid>,
    /// Whether its first dump is in the mesh.
    pub ready: bool,
    /// PUBLISHes to the PBX, by result: `taken`, `refused`, `unanswered`; `ledger_failed` while it does.
    pub writes: BTreeMap<&'static str, u64>,
    /// Requests of the PBX that were taken.
    pub taken: u64,
    /// Requests and datagrams that were refused, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Statements of the PBX that the mesh did not take (too many entries, a bad key).
    pub failed_entries: u64,
    /// How many slots (a device under one EID, a mailbox) the PBX knows from us.
    pub told: usize,
    /// How many slots wait for their turn.
    pub waiting: usize,
    /// How many slots the PBX is not told because there are too many.
    pub refused_slots: u64,
    /// EIDs that several live servers have, with the servers' names.
    pub shared_eids: BTreeMap<Eid, Vec<String>>,
    /// Why the PBX refused the last PUBLISH, and what to do; `None` when it took it.
    pub last_refusal: Option<String>,
}

/// What the PBX was told under one EID: a device's state ([`DeviceState`]), or a mailbox's counts
/// ([`MessageCounts`]).
///
/// ```
/// use presence_mesh::bridge::asterisk::Told;
/// fn line<T: std::fmt::Debug>(told: &Told<T>) -> String {
///     format!("{} {:?}{}", told.eid, told.value, if told.pending { ", to be told anew" } else { "" })
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Told<T> {
    /// Whose it is.
    pub eid: Eid,
    /// What it was told.
    pub value: T,
    /// When the PBX took it; what an earlier run of this node told it: when that was sent.
    pub at: SystemTime,
    /// Something else is to be told, or the PBX may have forgotten it.
    pub pending: bool,
}

impl Asterisk {
    /// Starts the bridge. Binds and opens the ledger; never waits for the PBX. Cancel safe: dropped half-way,
    /// nothing is started.
    ///
    /// # Errors
    /// See [`AsteriskError`]; nothing is changed then.
    pub async fn start(mesh: Mesh, config: AsteriskConfig) -> Result<Self, AsteriskError> {
        let Prepared {
            target,
            to,
            socket,
            ledger,
            clock,
            seed,
        } = prepare(&config, config.listen).await?;
        let watched = Watched {
            devices: mesh.devices().watch_contributions("*")?,
            mailboxes: mesh.mailboxes().watch_contributions("*")?,
        };
        let own = mesh.id();
        let endpoints: BTreeSet<String> = [target.user.clone(), config.username.clone()].into();
        let timing = config.timing;
        let listen = target.sent_by;
        let (rows, foreign) = ledger.rows()?;
        if foreign > 0 {
            tracing::warn!(foreign, "the ledger has rows that make no sense");
        }
        tracing::info!(%listen, server = config.server, rows = rows.len(), "asterisk bridge starts");
        let reconciler = Arc::new(Mutex::new(Reconciler::new(rows, timing.streams)));
        let (link, statements) = Link::start(socket, clock, seed, to);
        let link_shared = link.shared();
        let speaker = Speaker::new(SpeakerParts {
            reconciler: reconciler.clone(),
            ledger: Arc::new(ledger),
            link: link.sender(),
            to,
            target,
            own_eid: Roster::new(own).own_synthetic(),
            streams: timing.streams,
            retransmit: timing.retransmit,
            backoff: timing.backoff,
            clock,
            seed,
        });
        let now = clock.now();
        let (published, reader) = watch::channel(Published::default());
        let worker = Worker {
            devices: mesh.devices().with_source(Source::ASTERISK),
            mailboxes: mesh.mailboxes().with_source(Source::ASTERISK),
            mesh,
            timing,
            clock,
            link,
            speaker,
            reconciler: reconciler.clone(),
            export: Filter::new(&config.export, endpoints.clone()),
            import: Filter::new(&config.import, endpoints),
            roster: Roster::new(own),
            pulse: Pulse::new(timing.stale_after, timing.gone_after, now),
            dump: Dump::default(),
            memory: Memory::default(),
            homes: BTreeSet::new(),
            // What an earlier life left is marked, until the PBX has said it again.
            marked: true,
            ask_at: Duration::MAX,
            ask_wait: timing.backoff,
            judge_at: now + timing.judge_after,
            seen: [false, false],
            settled: false,
            failed_entries: 0,
            published,
        };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(worker.run(watched, statements, stopped));
        let stop = Mutex::new(Some(stop));
        Ok(Self {
            listen,
            monitor: AsteriskMonitor {
                published: reader,
                link: link_shared,
                reconciler,
            },
            stop,
            task,
        })
    }

    /// Where the PBX publishes to, with the port it got when 0 was asked.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Whether the PBX's first dump is in the mesh.
    pub fn is_ready(&self) -> bool {
        self.monitor.published.borrow().dumped
    }

    /// Resolves when [`Asterisk::is_ready`]; never, when the PBX never dumps. Cancel safe.
    pub async fn ready(&self) {
        let mut published = self.monitor.published.clone();
        // Ended before it was ready: it never will be.
        if published
            .wait_for(|published| published.dumped)
            .await
            .is_err()
        {
            std::future::pending().await
        }
    }

    /// How it is doing.
    pub fn status(&self) -> AsteriskStatus {
        self.monitor.status()
    }

    /// What the PBX was told of a device, by EID, and when.
    pub fn told(&self, device: &str) -> Vec<Told<DeviceState>> {
        self.monitor.told(device)
    }

    /// For whom only wants to look.
    ///
    /// ```
    /// use presence_mesh::bridge::asterisk::{Asterisk, AsteriskMonitor};
    /// fn for_a_page(bridge: &Asterisk) -> AsteriskMonitor {
    ///     bridge.monitor() // goes wherever the page does; the bridge stays here
    /// }
    /// ```
    pub fn monitor(&self) -> AsteriskMonitor {
        self.monitor.clone()
    }

    /// Takes back everything the PBX was told, for at most [`AsteriskTiming::shutdown`], and ends. Says how
    /// many slots could not be taken back; they stay in the ledger for the next start or
    /// [`withdraw_from_ledger`].
    ///
    /// Dropping the future half-way does not stop the withdrawal.
    pub async fn shutdown(self) -> usize {
        let (done, left) = oneshot::channel();
        let stop = self
            .stop
            .lock()
            .expect("no holder of this lock panics")
            .take();
        match stop.map(|stop| stop.send(done)) {
            Some(Ok(())) => left.await.unwrap_or_default(),
            _ => 0,
        }
    }
}

impl AsteriskMonitor {
    /// How it is doing.
    pub fn status(&self) -> AsteriskStatus {
        let published = self.published.borrow().clone();
        let counters = self.link.counters();
        let reconciler = self
            .reconciler
            .lock()
            .expect("no holder of this lock panics");
        AsteriskStatus {
            standing: published.standing,
            eid: published.eid,
            ready: published.dumped,
            writes: published.writes,
            taken: counters.taken,
            rejected: counters.rejected,
            failed_entries: published.failed_entries,
            told: reconciler.told_slots(),
            waiting: reconciler.waiting(),
            refused_slots: reconciler.refused_slots(),
            shared_eids: published.shared_eids,
            last_refusal: published.last_refusal,
        }
    }

    /// What the PBX was told of a device, by EID, and when.
    pub fn told(&self, device: &str) -> Vec<Told<DeviceState>> {
        let reconciler = self
            .reconciler
            .lock()
            .expect("no holder of this lock panics");
        let told = reconciler.told(device).into_iter();
        told.filter_map(|(eid, row)| match row.telling {
            Telling::State(state) => Some(row.told(eid, state)),
            Telling::Counts(..) => None,
        })
        .collect()
    }

    /// What the PBX was told of a mailbox, under whose EID, and when.
    ///
    /// ```
    /// use presence_mesh::{KeyError, MessageCounts, bridge::asterisk::AsteriskMonitor};
    /// fn told(monitor: &AsteriskMonitor) -> Result<Option<MessageCounts>, KeyError> {
    ///     let told = monitor.told_mailbox(&"100@default".parse()?);
    ///     Ok(told.map(|told| told.value))
    /// }
    /// ```
    pub fn told_mailbox(&self, mailbox: &MailboxName) -> Option<Told<MessageCounts>> {
        let slot = Slot::Mailbox(mailbox.as_str().to_owned());
        let reconciler = self
            .reconciler
            .lock()
            .expect("no holder of this lock panics");
        let row = reconciler.told_of(&slot)?;
        match row.telling {
            Telling::Counts(counts, eid) => Some(row.told(eid, counts)),
            Telling::State(_) => None,
        }
    }
}

impl Drop for Asterisk {
    fn drop(&mut self) {
        // A shutdown that is under way goes on by itself.
        if self.stop.get_mut().is_ok_and(|stop| stop.is_some()) {
            self.task.abort();
        }
    }
}

/// What both the bridge and the withdrawal from the ledger need.
struct Prepared {
    target: Target,
    to: SocketAddr,
    socket: UdpSocket,
    ledger: Ledger,
    clock: Clock,
    seed: u64,
}

async fn prepare(config: &AsteriskConfig, listen: SocketAddr) -> Result<Prepared, AsteriskError> {
    config.timing.check()?;
    let server = config.server()?;
    let to = resolve(server.host_port, listen).await?;
    let bind = |cause| AsteriskError::Bind {
        address: listen,
        cause,
    };
    let socket = UdpSocket::bind(listen).await.map_err(bind)?;
    let sent_by = sent_by(&socket, to).await.map_err(bind)?;
    let ledger = Ledger::open(&config.ledger)?;
    let target = Target {
        // Without parameters: the recorded digest covers the URI as it stands on the request line.
        uri: config.server.clone(),
        user: config.username.clone(),
        credentials: credentials(config),
        sent_by,
        expires_s: u32::try_from(config.timing.expires.as_secs()).unwrap_or(u32::MAX),
    };
    Ok(Prepared {
        target,
        to,
        socket,
        ledger,
        clock: Clock::new(),
        seed: random_seed(),
    })
}

fn credentials(config: &AsteriskConfig) -> Option<Credentials> {
    config.password.as_ref().map(|password| Credentials {
        username: config.username.clone(),
        password: password.reveal().to_owned(),
    })
}

/// What makes Call-IDs and nonces: two starts never share it.
fn random_seed() -> u64 {
    let mut seed = [0; 8];
    // Without randomness from the system there is still the time.
    match getrandom::fill(&mut seed) {
        Ok(()) => u64::from_le_bytes(seed),
        Err(_) => {
            let time = SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default();
            time.as_secs() ^ u64::from(time.subsec_nanos()) << 32
        }
    }
}

/// How we are reached at a socket, as `to` sees us.
async fn sent_by(socket: &UdpSocket, to: SocketAddr) -> std::io::Result<SocketAddr> {
    let mut sent_by = socket.local_addr()?;
    if sent_by.ip().is_unspecified() {
        sent_by.set_ip(source_ip(to).await?);
    }
    Ok(sent_by)
}

async fn resolve(host: String, listen: SocketAddr) -> Result<SocketAddr, AsteriskError> {
    let found = tokio::net::lookup_host(&host)
        .await
        .map(|mut found| found.find(|to| to.is_ipv4() == listen.is_ipv4()));
    match found {
        Ok(Some(to)) => Ok(to),
        Ok(None) => Err(AsteriskError::Resolve { host, cause: None }),
        Err(cause) => Err(AsteriskError::Resolve {
            host,
            cause: Some(cause),
        }),
    }
}

/// Our address as `to` sees it: a socket that is connected knows, and sends nothing for it.
async fn source_ip(to: SocketAddr) -> std::io::Result<IpAddr> {
    let any: IpAddr = if to.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(to).await?;
    Ok(socket.local_addr()?.ip())
}
