//! J and A: every copy is a true moment of the original.

use std::collections::BTreeMap;

use super::super::check::{Broken, Checker};
use super::super::world::{Step, World};
use crate::crdt::Entry;
use crate::model::{Key, ReplicaId};
use crate::proto::MapSummary;

/// J: a replica's copy of an origin's map equals the original as it was when its seq was the copy's head. Hence
/// A: equal heads mean equal maps.
///
/// After every step by the maps' hashes; at every sweep, for some copies, by their contents.
#[derive(Debug, Default)]
pub struct Moments {
    sweeps: usize,
    /// By node, life and origin: the copy that was compared last, which need not be compared again.
    compared: BTreeMap<(usize, u32, ReplicaId), MapSummary>,
}

/// Copies compared by content at one sweep.
const COMPARED: usize = 64;

impl Checker for Moments {
    fn name(&self) -> &'static str {
        "moment"
    }

    fn step(&mut self, world: &World, step: &Step) -> Result<(), Broken> {
        for map in step.news.iter().filter_map(|news| news.map) {
            same_hash(world, step.node, &map)?;
        }
        Ok(())
    }

    fn sweep(&mut self, world: &World) -> Result<(), Broken> {
        let nodes = world.len();
        self.sweeps += 1;
        for n in 0..COMPARED.min(nodes * nodes) {
            let pair = (self.sweeps * COMPARED + n) % (nodes * nodes);
            let (node, origin) = (pair / nodes, world.id(pair % nodes));
            let Some(map) = world.replica(node).and_then(|replica| replica.map(origin)) else {
                continue;
            };
            let place = (node, world.life(node), origin);
            if self.compared.insert(place, map) != Some(map) {
                same_content(world, node, origin)?;
            }
        }
        Ok(())
    }
}

fn same_hash(world: &World, node: usize, map: &MapSummary) -> Result<(), Broken> {
    if map.head == 0 {
        return Ok(());
    }
    let origin = map.replica;
    let truth = world
        .log(origin, map.incarnation)
        .and_then(|log| log.hash_at(map.head));
    if truth == Some(map.hash) {
        return Ok(());
    }
    let why = if truth.is_none() {
        "its own head never stood there"
    } else {
        "its own map was another then"
    };
    Err(Broken::at(
        node,
        format!(
            "its copy of {} at {:?} head {} is no moment of the original: {why}",
            name_of(world, origin),
            map.incarnation,
            map.head
        ),
    ))
}

fn same_content(world: &World, node: usize, origin: ReplicaId) -> Result<(), Broken> {
    let Some(replica) = world.replica(node) else {
        return Ok(());
    };
    let Some(map) = replica.map(origin).filter(|map| map.head > 0) else {
        return Ok(());
    };
    same_hash(world, node, &map)?;
    let Some(log) = world.log(origin, map.incarnation) else {
        return Ok(());
    };
    let entries = replica.entries(origin, 0);
    let live: BTreeMap<&Key, &Entry> = entries
        .iter()
        .filter(|(_, entry)| !entry.is_tombstone())
        .map(|(key, entry)| (key, entry))
        .collect();
    let truth = log.live_at(map.head);
    let differs = live
        .iter()
        .find(|(key, entry)| truth.get(*key) != Some(entry))
        .or_else(|| truth.iter().find(|(key, _)| !live.contains_key(*key)));
    match differs {
        None => Ok(()),
        Some((key, _)) => Err(Broken::at(
            node,
            format!(
                "its copy of {} at head {} has {:?} under {key}, the original had {:?}",
                name_of(world, origin),
                map.head,
                live.get(*key),
                truth.get(*key)
            ),
        )),
    }
}

/// What the node with this id is called.
pub(super) fn name_of(world: &World, origin: ReplicaId) -> String {
    match world.numbers(origin).first() {
        Some(number) => world.name(*number).to_owned(),
        None => origin.to_string(),
    }
}
