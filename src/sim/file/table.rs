//! A table of a file, whose keys are all known.

use std::ops::Range;

use toml::de::DeTable;

use super::item::Item;
use super::problem::{Problem, Wrong};

/// Every table and its keys. `overlay`, `regions` and `matrix` have keys that the file chooses.
const TABLES: [(&str, &[&str]); 8] = [
    (
        "",
        &[
            "about",
            "seed",
            "nodes",
            "duration",
            "settle",
            "preset",
            "mailboxes",
            "gossip",
            "timing",
            "limits",
            "network",
            "workload",
            "chaos",
            "fault",
        ],
    ),
    (
        "timing",
        &[
            "beat",
            "stale_after",
            "gone_after",
            "forget_after",
            "sync",
            "retry",
            "tombstone",
            "max_clock_drift",
        ],
    ),
    (
        "limits",
        &[
            "entries_per_origin",
            "origins",
            "pending_ranges",
            "staged_entries",
            "graves",
            "outgoing_frames",
            "watch_queue",
        ],
    ),
    (
        "gossip",
        &[
            "mesh_n",
            "mesh_n_low",
            "mesh_n_high",
            "mesh_outbound_min",
            "gossip_lazy",
            "gossip_factor_percent",
            "history_length",
            "history_gossip",
            "heartbeat",
            "initial_delay",
            "phase",
            "flood_publish",
            "authored",
            "duplicate_cache",
            "prune_backoff",
            "backoff_slack",
            "gossip_retransmission",
            "max_ihave_length",
            "max_ihave_messages",
            "idontwant_threshold_bytes",
            "idontwant_on_publish",
            "topic_bytes",
            "id_bytes",
        ],
    ),
    (
        "network",
        &[
            "latency",
            "loss",
            "burst",
            "duplicate",
            "reorder",
            "bandwidth",
            "dial",
            "notice",
            "redial",
            "regions",
            "matrix",
            "overlay",
        ],
    ),
    (
        "workload",
        &[
            "keys",
            "shared_keys",
            "every",
            "adds",
            "shared",
            "clear",
            "batch",
        ],
    ),
    ("chaos", &["every", "longest", "kinds"]),
    (
        "fault",
        &[
            "at",
            "until",
            "disk",
            "power",
            "offset",
            "set",
            "drift_ppm",
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
        ],
    ),
];

/// A table of a file.
#[derive(Debug, Clone)]
pub(super) struct Table<'a> {
    name: String,
    pub(super) span: Range<usize>,
    table: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    /// A table whose keys the file chooses.
    pub(super) fn open(name: String, span: Range<usize>, table: &'a DeTable<'a>) -> Self {
        Self { name, span, table }
    }

    /// A table that may only have these keys.
    pub(super) fn closed(self, known: &[&str]) -> Result<Self, Wrong> {
        let first = self
            .table
            .iter()
            .filter(|(key, _)| !known.contains(&key.get_ref().as_ref()))
            .min_by_key(|(key, _)| key.span().start);
        let Some((key, _)) = first else {
            return Ok(self);
        };
        Err(Wrong {
            span: key.span(),
            problem: Problem::UnknownKey {
                key: self.full_name(key.get_ref()),
                nearest: nearest(&self.name, known, key.get_ref()),
            },
        })
    }

    /// One of the [`TABLES`], which must know its keys.
    pub(super) fn known(self) -> Result<Self, Wrong> {
        let keys = TABLES
            .iter()
            .find(|(name, _)| *name == self.name)
            .map(|(_, keys)| *keys)
            .expect("only tables that are listed are read so");
        self.closed(keys)
    }

    /// The value of a key, if it is there.
    pub(super) fn get(&self, key: &str) -> Option<Item<'a>> {
        let (_, value) = self.table.get_key_value(key)?;
        Some(Item {
            name: self.full_name(key),
            span: value.span(),
            value: value.get_ref(),
        })
    }

    /// The value of a key that must be there.
    pub(super) fn require(&self, key: &str) -> Result<Item<'a>, Wrong> {
        self.get(key).ok_or_else(|| Wrong {
            span: self.span.clone(),
            problem: Problem::Missing {
                key: self.full_name(key),
            },
        })
    }

    /// Keys and values in the order of the file.
    pub(super) fn entries(&self) -> Vec<(&'a str, Item<'a>)> {
        let mut entries: Vec<_> = self.table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        entries
            .into_iter()
            .map(|(key, value)| {
                let item = Item {
                    name: self.full_name(key.get_ref()),
                    span: key.span(),
                    value: value.get_ref(),
                };
                (key.get_ref().as_ref(), item)
            })
            .collect()
    }

    fn full_name(&self, key: &str) -> String {
        if self.name.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.name)
        }
    }
}

/// The known key nearest to `wanted`, by the least number of letters to change; in this table if one is equally
/// near here.
fn nearest(table: &str, known: &[&str], wanted: &str) -> String {
    let here = known.iter().map(|key| (table, *key));
    let elsewhere = TABLES
        .iter()
        .filter(|(name, _)| *name != table)
        .flat_map(|(name, keys)| keys.iter().map(move |key| (*name, *key)));
    here.chain(elsewhere)
        .min_by_key(|(of, key)| distance(key, wanted) * 2 + usize::from(*of != table))
        .map(|(of, key)| {
            if of.is_empty() {
                key.to_owned()
            } else {
                format!("{of}.{key}")
            }
        })
        .unwrap_or_default()
}

/// Levenshtein's.
fn distance(a: &str, b: &str) -> usize {
    // Longer words are none of ours, and the cost is a product.
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let cost = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
