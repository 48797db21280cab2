//! What happens in a run: nodes, network, workload, faults.

use super::gossip;
use super::latency::Latency;
use super::prf::Chance;
use crate::proto::{Limits, Merge, Timing};

/// One run's description, checked: every node named exists, every time lies within the run.
///
/// All times are µs of virtual time since the start, all nodes are numbers from 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// The file's name without its ending: words with hyphens.
    pub name: String,
    /// One line for `sim list`: what it shows.
    pub about: String,
    /// The seed when none is given.
    pub seed: u64,
    /// The nodes' names, in order.
    pub nodes: Vec<String>,
    /// How long there are writes and faults. Then everything is mended.
    pub duration_us: u64,
    /// How long after the mending everyone must agree.
    pub settle_us: u64,
    /// What every replica runs by.
    pub timing: Timing,
    /// What every replica runs by.
    pub limits: Limits,
    /// How several writers of one mailbox combine.
    pub mailboxes: Merge,
    /// What messages travel on.
    pub network: Network,
    /// How deltas spread; `None`: links carry anti-entropy only.
    pub gossip: Option<gossip::Params>,
    /// What the nodes write.
    pub workload: Workload,
    /// What goes wrong, in order of `at_us`.
    pub faults: Vec<Fault>,
    /// Faults drawn anew for every seed, beside those above.
    pub chaos: Option<Chaos>,
}

/// What messages travel on when nothing is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// From any node to any other, unless a region says otherwise.
    pub latency: Latency,
    /// Groups of nodes with latencies of their own between them.
    pub regions: Option<Regions>,
    /// Of each message, independently.
    pub loss: Chance,
    /// Losses that come together.
    pub burst: Option<Burst>,
    /// Of each message: it arrives once more, later.
    pub duplicate: Chance,
    /// Of each message: it is overtaken. Otherwise the messages of a connection arrive in order.
    pub reorder: Chance,
    /// What each node can send, in bytes a second; `None`: any amount.
    pub bandwidth: Option<u64>,
    /// How many others each node keeps a connection to; more may come from those who chose it.
    pub dial: usize,
    /// The only pairs that may connect; `None`: all.
    pub overlay: Option<Vec<(usize, usize)>>,
    /// How long after a cut both ends notice that a connection is dead.
    pub notice_us: u64,
    /// How long after it becomes possible a connection is there again, at most.
    pub redial_us: u64,
}

/// Latencies between groups of nodes.
#[derive(Debug, Clone, PartialEq)]
pub struct Regions {
    /// Their names, in order.
    pub names: Vec<String>,
    /// The region of each node.
    pub of: Vec<usize>,
    /// From region to region; `[a][b]` and `[b][a]` may differ. What a message needs on top is drawn from
    /// [`Network::latency`].
    pub one_way_us: Vec<Vec<u64>>,
}

/// Losses that come together (Gilbert and Elliott): in the good state nothing is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burst {
    /// For each message in the good state: the bad one begins.
    pub enter: Chance,
    /// For each message in the bad state: it ends.
    pub leave: Chance,
    /// For each message in the bad state: it is lost.
    pub loss: Chance,
}

/// What the nodes write, until the end of the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// Devices of each node, all written at its start, as a PBX does.
    pub keys: usize,
    /// Mailboxes that all nodes write.
    pub shared_keys: usize,
    /// The mean time between two writes of one node; `None`: nothing is written after the start.
    pub every_us: Option<u64>,
    /// Whether writes come exactly `every_us` apart, all nodes at once, each on a key of its own never written
    /// before: the workload of the published experiments.
    pub adds: Option<u64>,
    /// Of the writes, those to a shared key.
    pub shared: Chance,
    /// Of the writes, those that withdraw.
    pub clear: Chance,
    /// How many keys one write touches, all at once.
    pub batch: usize,
}

/// Something goes wrong, for a time or (where it says so) for good.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// When it begins.
    pub at_us: u64,
    /// When it ends. What has no end lasts until everything is mended.
    pub until_us: Option<u64>,
    /// What.
    pub verb: Verb,
}

/// What goes wrong. With each: how it ends.
#[derive(Debug, Clone, PartialEq)]
pub enum Verb {
    /// Nothing passes between these groups (`partition`); nodes in none are a group of their own. Repaired.
    Partition(Vec<Vec<usize>>),
    /// Nothing passes from the first to the second (`one_way`); the other way all is well. Repaired.
    OneWay(Vec<usize>, Vec<usize>),
    /// Two halves, and one node that sees both (`bridge`). Repaired.
    Bridge(usize),
    /// Each node sees only its neighbours in the order of their numbers (`ring`). Repaired.
    Ring,
    /// This node sees nobody (`isolate`). Repaired.
    Isolate(usize),
    /// What is sent from the first to the second waits (`hold`), and is released all at once at the end.
    Hold(Vec<usize>, Vec<usize>),
    /// The process dies (`crash`), and starts again at the end.
    Crash {
        /// Who.
        node: usize,
        /// What it finds when it starts again.
        disk: Disk,
        /// Whether the machine loses power: nobody is told that its connections are dead.
        power: bool,
    },
    /// Says goodbye and stops (`leave`), and joins again at the end.
    Leave(usize),
    /// Stands still (`pause`), and goes on at the end as if nothing had been.
    Pause(usize),
    /// Messages are lost (`loss`).
    Loss(Chance),
    /// Messages are lost in bursts (`burst`).
    Burst(Burst),
    /// Messages arrive twice (`duplicate`).
    Duplicate(Chance),
    /// Messages overtake each other (`reorder`).
    Reorder(Chance),
    /// Messages take this long (`latency`), instead of what the network says.
    Latency(Latency),
    /// Every node can send only so many bytes a second (`bandwidth`).
    Bandwidth(u64),
    /// A wall clock is off (`clock`). At the end it is right again, at once.
    Clock {
        /// Whose.
        node: usize,
        /// By how much it jumps at the beginning.
        offset_ms: i64,
        /// How much faster it runs, in millionths; the process' monotonic clock with it.
        drift_ppm: i64,
    },
    /// A second process starts with this node's identity and an old copy of its disk (`clone`); ends.
    Clone(usize),
    /// Messages are followed by damaged copies of themselves and by noise (`garbage`).
    Garbage(Chance),
    /// Gossiped frames arrive again long after (`replay`).
    Replay(Chance),
}

impl Verb {
    /// Its word in a scenario file.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Partition(_) => "partition",
            Self::OneWay(..) => "one_way",
            Self::Bridge(_) => "bridge",
            Self::Ring => "ring",
            Self::Isolate(_) => "isolate",
            Self::Hold(..) => "hold",
            Self::Crash { .. } => "crash",
            Self::Leave(_) => "leave",
            Self::Pause(_) => "pause",
            Self::Loss(_) => "loss",
            Self::Burst(_) => "burst",
            Self::Duplicate(_) => "duplicate",
            Self::Reorder(_) => "reorder",
            Self::Latency(_) => "latency",
            Self::Bandwidth(_) => "bandwidth",
            Self::Clock { .. } => "clock",
            Self::Clone(_) => "clone",
            Self::Garbage(_) => "garbage",
            Self::Replay(_) => "replay",
        }
    }
}

/// The words of all verbs.
pub const VERBS: [&str; 19] = [
    "partition",
    "one_way",
    "bridge",
    "ring",
    "isolate",
    "hold",
    "crash",
    "leave",
    "pause",
    "loss",
    "burst",
    "duplicate",
    "reorder",
    "latency",
    "bandwidth",
    "clock",
    "clone",
    "garbage",
    "replay",
];

/// What a process finds when it starts again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Disk {
    /// What it had written.
    #[default]
    Kept,
    /// Nothing but its identity.
    Lost,
    /// What it had written two lives ago.
    Old,
}

/// Faults drawn for each seed: of each kind with probability one half, so that every subset is tried
/// (Groce et al., "Swarm testing", 2012).
#[derive(Debug, Clone, PartialEq)]
pub struct Chaos {
    /// A fault begins once in this time, on average.
    pub every_us: u64,
    /// It lasts at most this long.
    pub longest_us: u64,
    /// The kinds to draw from, by their word in the file; all when empty.
    pub kinds: Vec<String>,
}

impl Scenario {
    /// A scenario in which nothing goes wrong, to build others from.
    pub fn new(name: &str, nodes: usize, duration_us: u64) -> Self {
        Self {
            name: name.to_owned(),
            about: String::new(),
            seed: 1,
            nodes: (0..nodes).map(|node| format!("n{node}")).collect(),
            duration_us,
            settle_us: 30_000_000,
            timing: Timing::default(),
            limits: Limits::default(),
            mailboxes: Merge::Latest,
            network: Network::new(nodes),
            gossip: Some(gossip::Params::default()),
            workload: Workload::default(),
            faults: Vec::new(),
            chaos: None,
        }
    }

    /// When the last fault has ended and the last write was made, and everything is mended.
    pub fn mended_at_us(&self) -> u64 {
        self.duration_us
    }

    /// When agreement is demanded.
    pub fn ends_at_us(&self) -> u64 {
        self.duration_us + self.settle_us
    }
}

impl Network {
    /// A quiet LAN.
    pub fn new(nodes: usize) -> Self {
        Self {
            latency: Latency::Uniform(200, 2_000),
            regions: None,
            loss: Chance::NEVER,
            burst: None,
            duplicate: Chance::NEVER,
            reorder: Chance::NEVER,
            bandwidth: None,
            dial: if nodes <= MAX_FULL_MESH {
                nodes
            } else {
                DIALLED
            },
            overlay: None,
            notice_us: 6_000_000,
            redial_us: 1_000_000,
        }
    }
}

/// Up to so many nodes everybody connects to everybody, as the network layer does.
pub const MAX_FULL_MESH: usize = 50;
/// Beyond it each node chooses this many.
pub const DIALLED: usize = 12;

impl Default for Workload {
    fn default() -> Self {
        Self {
            keys: 4,
            shared_keys: 2,
            every_us: Some(1_000_000),
            adds: None,
            shared: Chance(150_000),
            clear: Chance(100_000),
            batch: 1,
        }
    }
}
