//! What a node counts, as OpenMetrics text: for Prometheus and what reads the same.
//!
//! | family | type | labels |
//! |---|---|---|
//! | `presence_mesh_build` | info | `version` |
//! | `presence_mesh_ready` | gauge | |
//! | `presence_mesh_peers` | gauge | `standing`: alive, suspect, gone |
//! | `presence_mesh_peers_connected`, `presence_mesh_peers_left` | gauge | |
//! | `presence_mesh_entries` | gauge | `space`, `freshness`: live, stale, gone |
//! | `presence_mesh_local_writes` | counter | `space` |
//! | `presence_mesh_remote_writes` | counter | `space`, `outcome`: applied, old, rejected |
//! | `presence_mesh_propagation_seconds` | histogram | |
//! | `presence_mesh_sync_rounds` | counter | `result`: equal, unequal, failed |
//! | `presence_mesh_sync_bytes` | counter | `direction`: in, out |
//! | `presence_mesh_pending_ranges` | gauge | |
//! | `presence_mesh_clock_skew_seconds` | gauge | |
//! | `presence_mesh_events_published` | counter | |
//! | `presence_mesh_events_dropped` | counter | `reason` |
//! | `presence_mesh_bridge_up` | gauge | `bridge` |
//! | `presence_mesh_bridge_writes`, `presence_mesh_bridge_rejected` | counter | `bridge`, `result` or `reason` |
//! | `presence_mesh_queue_length` | gauge | `queue` |
//! | `presence_mesh_rejected` | counter | `reason` |
//! | `presence_mesh_saves` | counter | `result`: ok, failed |
//!
//! Counters end in `_total` in the text. libp2p's own, `libp2p_*`, stand beside them. No label ever holds a name that
//! a peer or a user chose, so the number of series has a bound that does not grow with the mesh.

mod page;

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::{Registry, Unit};

use crate::{Freshness, Mesh, Propagation, SpaceCounts, SpaceId, Statistics};
use page::Page;

/// What the text is to be called in HTTP.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How a bridge is doing.
///
/// ```
/// use presence_mesh::metrics::BridgeFigures;
/// use std::collections::BTreeMap;
/// let figures = BridgeFigures {
///     bridge: "asterisk",
///     up: true,
///     writes: BTreeMap::from([("taken", 7)]),
///     rejected: BTreeMap::new(),
///     waiting: 0,
/// };
/// assert_eq!(figures.writes["taken"], 7);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeFigures {
    /// Which one: `asterisk`.
    pub bridge: &'static str,
    /// Whether the other system answers.
    pub up: bool,
    /// What it was told, by result.
    pub writes: BTreeMap<&'static str, u64>,
    /// What it said and was refused, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// How much waits to be told.
    pub waiting: usize,
}

/// Everything a node counts, as OpenMetrics text.
///
/// Cheap, and never waits for the network: its cost is one look at each other node, and none at keys.
///
/// ```no_run
/// # fn example(mesh: presence_mesh::Mesh) {
/// let text = presence_mesh::metrics::encode(&mesh, &[]);
/// assert!(text.contains("presence_mesh_peers{standing=\"alive\"}"));
/// # }
/// ```
pub fn encode(mesh: &Mesh, bridges: &[BridgeFigures]) -> String {
    let mut registry = Registry::with_prefix("presence_mesh");
    registry.register_collector(Box::new(Snapshot {
        statistics: mesh.statistics(),
        bridges: bridges.to_vec(),
    }));
    let mut text = String::new();
    encode_registry(&mut text, &registry)
        .and_then(|()| mesh.encode_libp2p(&mut text))
        .and_then(|()| encode_eof(&mut text))
        .expect("a string takes everything");
    text
}

#[derive(Debug)]
struct Snapshot {
    statistics: Statistics,
    bridges: Vec<BridgeFigures>,
}

/// The spaces as they are called here, with what belongs to them.
const SPACES: [(&str, &[SpaceId]); 4] = [
    ("device", &[SpaceId::DEVICES]),
    ("mailbox", &[SpaceId::MAILBOXES]),
    ("presence", &[SpaceId::PRESENCE]),
    ("custom", &[SpaceId::CUSTOM, SpaceId::CUSTOM_PER_ORIGIN]),
];

/// Reasons that are there from the start, so that a first drop is seen to rise from 0.
const DROP_REASONS: [&str; 5] = ["outgoing", "expired", "old", "life", "lost"];

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page::new(encoder);
        self.node(&mut page)?;
        self.state(&mut page)?;
        self.sync(&mut page)?;
        self.events(&mut page)?;
        self.bridges(&mut page)?;
        self.trouble(&mut page)
    }
}

impl Snapshot {
    fn node(&self, page: &mut Page<'_>) -> fmt::Result {
        let Statistics { replica, ready, .. } = &self.statistics;
        page.info(
            "build",
            "The program",
            &[("version", env!("CARGO_PKG_VERSION"))],
        )?;
        page.gauge(
            "ready",
            "Whether the first exchange with a peer is done",
            u64::from(*ready),
        )?;
        let peers = replica.peers.iter();
        page.gauges(
            "peers",
            "Other nodes, by how they stand here",
            "standing",
            peers.map(|(standing, count)| (standing.to_string(), *count as u64)),
        )?;
        page.gauge(
            "peers_connected",
            "Other nodes to which there is a connection",
            self.statistics.peers_connected as u64,
        )?;
        page.gauge(
            "peers_left",
            "Of the nodes that are gone, those that said goodbye",
            replica.peers_left as u64,
        )
    }

    fn state(&self, page: &mut Page<'_>) -> fmt::Result {
        let replica = &self.statistics.replica;
        let freshnesses = [Freshness::Live, Freshness::Stale, Freshness::Gone];
        let mut entries = Vec::new();
        for (name, spaces) in SPACES {
            for freshness in freshnesses {
                let counts = spaces
                    .iter()
                    .map(|&space| replica.entries.get(&(space, freshness)));
                let count: usize = counts.flatten().sum();
                let labels = [
                    ("space", name.to_owned()),
                    ("freshness", freshness.to_string()),
                ];
                entries.push((labels, count as u64));
            }
        }
        page.gauge_family("entries", "Keys that are shown", entries)?;
        let counters = &replica.counters;
        let local = by_space(&counters.local_writes_in);
        page.counters(
            "local_writes",
            "Keys written or withdrawn here",
            None,
            "space",
            local,
        )?;
        let outcomes = [
            ("applied", &counters.remote_applied),
            ("old", &counters.remote_old),
            ("rejected", &counters.remote_rejected),
        ];
        let remote = outcomes.into_iter().flat_map(|(outcome, counts)| {
            by_space(counts).map(move |(space, count)| {
                (
                    [("space", space.to_owned()), ("outcome", outcome.to_owned())],
                    count,
                )
            })
        });
        page.counter_family(
            "remote_writes",
            "Keys others wrote, as they came here",
            None,
            remote,
        )?;
        page.histogram(
            "propagation",
            "How long writes of others took until they were shown here, by both clocks less their measured skew",
            buckets(&counters.propagation),
            counters.propagation.sum().as_secs_f64(),
        )
    }

    fn sync(&self, page: &mut Page<'_>) -> fmt::Result {
        let Statistics { replica, net, .. } = &self.statistics;
        let rounds = [
            ("equal", replica.counters.rounds_equal),
            ("unequal", replica.counters.rounds_unequal),
            ("failed", replica.counters.requests_failed),
        ];
        page.counters(
            "sync_rounds",
            "Comparisons with a peer, by what they found",
            None,
            "result",
            rounds,
        )?;
        let bytes = [
            ("in", net.sync_bytes_received),
            ("out", net.sync_bytes_sent),
        ];
        page.counters(
            "sync",
            "Bytes of questions and answers between nodes",
            Some(Unit::Bytes),
            "direction",
            bytes,
        )?;
        page.gauge(
            "pending_ranges",
            "Deltas that wait for something before them",
            replica.pending_ranges as u64,
        )?;
        page.seconds(
            "clock_skew",
            "How far the clock of a connected peer is off this one at the most",
            replica.clock_skew.as_secs_f64(),
        )
    }

    fn events(&self, page: &mut Page<'_>) -> fmt::Result {
        let counters = &self.statistics.replica.counters;
        page.counter(
            "events_published",
            "Events published here",
            counters.events_published,
        )?;
        let mut dropped: BTreeMap<&str, u64> = DROP_REASONS.map(|reason| (reason, 0)).into();
        dropped.extend(&counters.events_dropped);
        dropped.insert("lost", counters.events_lost);
        page.counters(
            "events_dropped",
            "Events that were not delivered",
            None,
            "reason",
            dropped,
        )
    }

    fn bridges(&self, page: &mut Page<'_>) -> fmt::Result {
        let up = self.bridges.iter();
        page.gauges(
            "bridge_up",
            "Whether the system behind a bridge answers",
            "bridge",
            up.map(|figures| (figures.bridge, u64::from(figures.up))),
        )?;
        let rows = |figures: &BridgeFigures, label, counts: &BTreeMap<&'static str, u64>| {
            let bridge = figures.bridge;
            let row = |(name, count): (&&str, &u64)| {
                (
                    [("bridge", bridge.to_owned()), (label, (*name).to_owned())],
                    *count,
                )
            };
            counts.iter().map(row).collect::<Vec<_>>()
        };
        let written = self.bridges.iter();
        let written = written.flat_map(|figures| rows(figures, "result", &figures.writes));
        page.counter_family(
            "bridge_writes",
            "What the system behind a bridge was told",
            None,
            written,
        )?;
        let refused = self.bridges.iter();
        let refused = refused.flat_map(|figures| rows(figures, "reason", &figures.rejected));
        page.counter_family(
            "bridge_rejected",
            "What it said and was refused",
            None,
            refused,
        )
    }

    fn trouble(&self, page: &mut Page<'_>) -> fmt::Result {
        let Statistics {
            replica,
            net,
            queues,
            saves,
            ..
        } = &self.statistics;
        let waiting = self
            .bridges
            .iter()
            .map(|figures| (figures.bridge, figures.waiting));
        let queues = queues.iter().map(|(queue, length)| (*queue, *length));
        page.gauges(
            "queue_length",
            "What waits, by queue; each has a bound",
            "queue",
            queues
                .chain(waiting)
                .map(|(queue, length)| (queue, length as u64)),
        )?;
        let own = replica.counters.rejected.iter();
        let own = own.map(|(reason, count)| ((*reason).to_owned(), *count));
        let unread = net.rejected.iter();
        let unread = unread.map(|((what, why), count)| (format!("{what}_{why}"), *count));
        let turned_away = [
            ("handshake".to_owned(), net.handshakes_failed),
            ("connection".to_owned(), net.connections_refused),
            ("peer".to_owned(), net.peers_ignored),
        ];
        page.counters(
            "rejected",
            "What was refused or left out",
            None,
            "reason",
            own.chain(unread).chain(turned_away),
        )?;
        let (saved, failed) = saves.unwrap_or_default();
        let saves = [("ok", saved), ("failed", failed)];
        page.counters(
            "saves",
            "Attempts to save the state to disk",
            None,
            "result",
            saves,
        )
    }
}

fn by_space(counts: &SpaceCounts) -> impl Iterator<Item = (&'static str, u64)> + use<> {
    let sum = |spaces: &[SpaceId]| spaces.iter().map(|&space| counts.get(space)).sum();
    SPACES.map(|(name, spaces)| (name, sum(spaces))).into_iter()
}

fn buckets(propagation: &Propagation) -> Vec<(f64, u64)> {
    let seconds = |(end, count): (Option<std::time::Duration>, u64)| {
        (end.map_or(f64::INFINITY, |end| end.as_secs_f64()), count)
    };
    propagation.buckets().map(seconds).collect()
}
