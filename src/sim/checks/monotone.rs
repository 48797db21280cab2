//! M: nothing goes back.

use std::collections::BTreeMap;

use super::super::check::{Broken, Checker};
use super::super::world::{Step, World};
use super::moments::name_of;
use crate::model::{Incarnation, Key, ReplicaId, SpaceId};

/// M: of each origin, `(incarnation, head)` never goes back, nor does what a reader is shown of its keys.
#[derive(Debug, Default)]
pub struct Monotone {
    /// By node and life: of each key and origin, what was shown.
    shown: BTreeMap<(usize, u32), Shown>,
}

/// The write of each origin that was shown last under a key.
type Shown = BTreeMap<(Key, ReplicaId), (Incarnation, u64)>;

/// What is shown is compared in worlds of at most so many nodes; heads in all.
const SMALL: usize = 32;

impl Checker for Monotone {
    fn name(&self) -> &'static str {
        "monotone"
    }

    fn step(&mut self, world: &World, step: &Step) -> Result<(), Broken> {
        for news in &step.news {
            let (Some(before), Some(now)) = (news.before, news.map) else {
                continue;
            };
            if (now.incarnation, now.head) < (before.incarnation, before.head) {
                return Err(Broken::at(
                    step.node,
                    format!(
                        "went back on {}: {before:?} before, {now:?} now",
                        name_of(world, news.origin)
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
                for shown in world.list(node, space).iter() {
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
