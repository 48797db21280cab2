//! What every origin really wrote: the truth that copies are held against.

use std::collections::BTreeMap;

use super::{Cause, Step, World};
use crate::crdt::Entry;
use crate::model::{Incarnation, Key, ReplicaId};
use crate::wire::{Answer, Response};

/// Everything that one life of an origin wrote.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// In ascending seq. A key written twice within one step appears with its last write.
    pub entries: Vec<Logged>,
    /// The hash of the origin's own live map whenever its head rose: `(head, hash)`, ascending.
    pub hashes: Vec<(u64, u128)>,
}

/// One write.
#[derive(Debug, Clone)]
pub struct Logged {
    /// When it was made, in µs of virtual time.
    pub at_us: u64,
    /// What was written, and its seq.
    pub key: Key,
    /// The entry as the origin stored it.
    pub entry: Entry,
}

impl Log {
    /// The origin's live map as it was at `head`.
    pub fn live_at(&self, head: u64) -> BTreeMap<&Key, &Entry> {
        let mut live = BTreeMap::new();
        for logged in &self.entries {
            if logged.entry.seq() > head {
                break;
            }
            if logged.entry.is_tombstone() {
                live.remove(&logged.key);
            } else {
                live.insert(&logged.key, &logged.entry);
            }
        }
        live
    }

    /// The hash of the origin's own map when its head was `head`; `None` when it never stood there.
    pub fn hash_at(&self, head: u64) -> Option<u128> {
        let at = self
            .hashes
            .binary_search_by_key(&head, |(head, _)| *head)
            .ok()?;
        Some(self.hashes[at].1)
    }

    /// The greatest seq written.
    pub fn head(&self) -> u64 {
        self.hashes.last().map_or(0, |(head, _)| *head)
    }
}

/// The origins a response may bring news of.
pub(super) fn origins(response: &Response) -> Vec<ReplicaId> {
    match &response.answer {
        Answer::Parts { parts, .. } => parts
            .iter()
            .map(|part| part.header.header().replica)
            .collect(),
        _ => Vec::new(),
    }
}

impl World {
    /// Notes what a node wrote since it was last looked at.
    pub(super) fn log_own(&mut self, node: usize) {
        let Some(own) = self.nodes[node].own_map() else {
            return;
        };
        let id = own.replica;
        let log = self.logs.entry((id, own.incarnation)).or_default();
        if own.head <= log.head() {
            return;
        }
        let replica = self.nodes[node].replica.as_ref().expect("it has a map");
        for (key, entry) in replica.entries(id, log.head()) {
            log.entries.push(Logged {
                at_us: self.now_us,
                key,
                entry,
            });
        }
        log.hashes.push((own.head, own.hash));
    }

    /// Measures how long what a node has just learnt was on its way.
    pub(super) fn see(&mut self, step: &Step) {
        if step.cause == Cause::Started {
            self.nodes[step.node].heads.clear();
        }
        for origin in &step.touched {
            let this = &self.nodes[step.node];
            let Some(map) = this
                .replica
                .as_ref()
                .and_then(|replica| replica.map(*origin))
            else {
                continue;
            };
            let before = this.heads.get(origin).copied().unwrap_or_default();
            let now = (map.incarnation, map.head);
            if now == before {
                continue;
            }
            self.nodes[step.node].heads.insert(*origin, now);
            let from = if before.0 == map.incarnation {
                before.1
            } else {
                0
            };
            let seen = self.logs.get(&(*origin, map.incarnation));
            let Some(log) = seen.filter(|_| map.head > from) else {
                continue;
            };
            let first = log
                .entries
                .partition_point(|logged| logged.entry.seq() <= from);
            let delays = log.entries[first..]
                .iter()
                .take_while(|logged| logged.entry.seq() <= map.head)
                .map(|logged| self.now_us - logged.at_us);
            delays.for_each(|delay| self.figures.seen.add(delay));
        }
    }

    /// How far a node knew an origin as of its last step: incarnation and head.
    pub fn head(&self, node: usize, origin: ReplicaId) -> (Incarnation, u64) {
        self.nodes[node]
            .heads
            .get(&origin)
            .copied()
            .unwrap_or_default()
    }
}
