//! Registers stand still unless there is a reason.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::check::{Broken, Checker};
use super::super::world::{World, mailbox};
use super::moments::name_of;
use crate::model::{Incarnation, ReplicaId, SpaceId, Value};
use crate::proto::{Contribution, Shown};

/// What is shown of a key with a latest writer never changes without a write, a clear, a departure or a held
/// stamp's time: as long as the set of contributions is the same, so is the winner; and the winner is the
/// greatest stamp among those that may win. And as long as anybody's value is held, the key is shown: a clear
/// withdraws its own writer's value alone.
#[derive(Debug, Default)]
pub struct Registers {
    last: BTreeMap<(usize, Arc<str>), Seen>,
}

/// The writes that contributed, whether each was held back, and the one that won.
type Seen = (Vec<(Dot, bool)>, Option<Dot>, Value);
type Dot = (ReplicaId, Incarnation, u64);

/// Compared in worlds of at most so many nodes.
const SMALL: usize = 32;

impl Checker for Registers {
    fn name(&self) -> &'static str {
        "register"
    }

    fn sweep(&mut self, world: &World) -> Result<(), Broken> {
        if world.len() > SMALL || world.scenario().mailboxes != crate::proto::Merge::Latest {
            return Ok(());
        }
        for node in 0..world.len() {
            for shown in world.list(node, SpaceId::MAILBOXES).iter() {
                self.look(world, node, shown)?;
            }
            held_is_shown(world, node)?;
        }
        Ok(())
    }
}

impl Registers {
    fn look(&mut self, world: &World, node: usize, shown: &Shown<Value>) -> Result<(), Broken> {
        let mut dots: Vec<(Dot, bool)> = shown
            .contributions
            .iter()
            .map(|one| (dot(one), one.held))
            .collect();
        dots.sort_unstable();
        let winner = shown.contributions.iter().find(|one| one.wins);
        let place = (node, shown.key.clone());
        let seen = (dots, winner.map(dot), shown.value.clone());
        if let Some(before) = self.last.get(&place)
            && before.0 == seen.0
            && before != &seen
        {
            return Err(Broken::at(
                node,
                format!(
                    "{} changed without any write: {before:?} before, {seen:?} now",
                    shown.key
                ),
            ));
        }
        self.last.insert(place, seen);
        let stamp = |one: &Contribution<Value>| (one.hlc, one.replica, one.incarnation, one.seq);
        // One that may win and lies above the winner must have been named by a later write.
        let beaten = winner.and_then(|winner| {
            let above = |one: &&Contribution<Value>| stamp(one) > stamp(winner) && !one.held;
            shown.contributions.iter().find(above)
        });
        match beaten {
            Some(one) if !named(world, node, shown, one) => Err(Broken::at(
                node,
                format!(
                    "{} shows a write below that of {}, which is greater",
                    shown.key,
                    name_of(world, one.replica)
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// Whether every mailbox for which a value is held is shown.
fn held_is_shown(world: &World, node: usize) -> Result<(), Broken> {
    let Some(replica) = world.replica(node) else {
        return Ok(());
    };
    let listed = world.list(node, SpaceId::MAILBOXES);
    for key in (0..world.scenario().workload.shared_keys as u64).map(mailbox) {
        let shown = listed.iter().any(|shown| *shown.key == *key.name());
        let holder = (0..world.len())
            .map(|origin| world.id(origin))
            .find(|origin| {
                let entry = replica.entry(*origin, &key);
                entry.is_some_and(|entry| !entry.is_tombstone())
            });
        if let (false, Some(origin)) = (shown, holder) {
            let text = format!("{key} is not shown, {} has a value", name_of(world, origin));
            return Err(Broken::at(node, text));
        }
    }
    Ok(())
}

fn dot(one: &Contribution<Value>) -> Dot {
    (one.replica, one.incarnation, one.seq)
}

/// Whether a contribution was made over this one when it was held back.
fn named(world: &World, _node: usize, shown: &Shown<Value>, over: &Contribution<Value>) -> bool {
    shown.contributions.iter().any(|one| {
        let log = world.log(one.replica, one.incarnation);
        let entry = log.and_then(|log| {
            let at = log
                .entries
                .binary_search_by_key(&one.seq, |logged| logged.entry.seq())
                .ok()?;
            Some(&log.entries[at].entry)
        });
        entry.is_some_and(|entry| {
            entry
                .over()
                .iter()
                .any(|named| (named.replica, named.incarnation, named.seq) == dot(over))
        })
    })
}
