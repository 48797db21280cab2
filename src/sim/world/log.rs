//! What every origin really wrote: the truth that copies are held against.

use std::collections::BTreeMap;

use super::{News, World};
use crate::crdt::Entry;
use crate::model::{Key, ReplicaId};
use crate::proto::MapSummary;
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
        let Some(replica) = self.nodes[node].replica.as_ref() else {
            return;
        };
        let logged = (replica.incarnation(), replica.head());
        if self.nodes[node].logged == logged {
            return;
        }
        let id = replica.id();
        let own = replica.map(id).expect("it has a map of its own");
        let log = self.logs.entry((id, own.incarnation)).or_default();
        if own.head <= log.head() {
            return;
        }
        for (key, entry) in replica.entries(id, log.head()) {
            log.entries.push(Logged {
                at_us: self.now_us,
                key,
                entry,
            });
        }
        log.hashes.push((own.head, own.hash));
        self.nodes[node].logged = logged;
    }

    /// What a node knows of some origins that it did not know before; measures how long it was on its way.
    pub(super) fn see(&mut self, node: usize, origins: Vec<ReplicaId>) -> Vec<News> {
        let mut all = Vec::new();
        for origin in origins {
            let number = self.numbers(origin)[0];
            let this = &mut self.nodes[node];
            let Some(replica) = this.replica.as_ref() else {
                continue;
            };
            let map = replica.map(origin);
            let before = std::mem::replace(this.known_of(number), map);
            if map == before {
                continue;
            }
            if let Some(map) = map {
                let same_life = before.filter(|before| before.incarnation == map.incarnation);
                self.measure(origin, &map, same_life.map_or(0, |before| before.head));
            }
            all.push(News {
                origin,
                map,
                before,
            });
        }
        all
    }

    /// Takes down what a node knew of others when it started.
    pub(super) fn see_restored(&mut self, node: usize, maps: Vec<MapSummary>) -> Vec<News> {
        let own = self.id(node);
        let others = maps.into_iter().filter(|map| map.replica != own);
        let others: Vec<MapSummary> = others.collect();
        for map in &others {
            let number = self.numbers(map.replica)[0];
            *self.nodes[node].known_of(number) = Some(*map);
        }
        let news = others.into_iter().map(|map| News {
            origin: map.replica,
            map: Some(map),
            before: None,
        });
        news.collect()
    }

    fn measure(&mut self, origin: ReplicaId, map: &MapSummary, from: u64) {
        let seen = self.logs.get(&(origin, map.incarnation));
        let Some(log) = seen.filter(|_| map.head > from) else {
            return;
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
