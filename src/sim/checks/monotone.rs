//! M: nothing goes back.

use std::collections::BTreeMap;

use super::super::check::{Broken, Checker};
use super::super::world::{Step, World};
use super::moments::name_of;
use crate::model::{Incarnation, Key, ReplicaId, SpaceId};

/// M: of each origin, `(incarnation, head)` never goes back, nor does what a reader is shown of its keys.
#[derive(Debug, Default)]
pub struct Monotone {
    /// By node, life and origin.
    heads: BTreeMap<(usize, u32, ReplicaId), (Incarnation, u64)>,
    /// By node and life: of each key and origin, what was shown.
    shown: BTreeMap<(usize, u32), BTreeMap<(Key, ReplicaId), (Incarnation, u64)>>,
}

/// What is shown is compared in worlds of at most so many nodes; heads in all.
const SMALL: usize = 32;

impl Checker for Monotone {
    fn name(&self) -> &'static str {
        "monotone"
    }

    fn step(&mut self, world: &World, step: &Step) -> Result<(), Broken> {
        let Some(replica) = world.replica(step.node) else {
            return Ok(());
        };
        let life = world.life(step.node);
        for origin in &step.touched {
            let place = (step.node, life, *origin);
            let Some(map) = replica.map(*origin) else {
                self.heads.remove(&place);
                continue;
            };
            let now = (map.incarnation, map.head);
            let before = self.heads.insert(place, now).unwrap_or_default();
            if now < before {
                return Err(Broken::at(
                    step.node,
                    format!(
                        "went back on {}: {before:?} before, {now:?} now",
                        name_of(world, *origin)
                    ),
                ));
            }
        }
        Ok(())
    }

    fn sweep(&mut self, world: &World) -> Result<(), Broken> {
        if world.len() > SMALL {
            return Ok(());
        }
        for node in 0..world.len() {
            let last = self.shown.entry((node, world.life(node))).or_default();
            for space in [SpaceId::DEVICES, SpaceId::MAILBOXES] {
                for shown in world.list(node, space) {
                    let key = Key::new(space, shown.key.clone()).expect("it is shown under it");
                    for one in &shown.contributions {
                        let now = (one.incarnation, one.seq);
                        let before = last.insert((key.clone(), one.replica), now);
                        if before.is_some_and(|before| now < before) {
                            return Err(Broken::at(
                                node,
                                format!(
                                    "showed a newer write of {} under {key} before: {before:?}, now {now:?}",
                                    name_of(world, one.replica)
                                ),
                            ));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
