//! O: a dot has one content for ever, made by its origin alone.

use super::super::check::{Broken, Checker};
use super::super::world::{Sent, Step, World};
use super::moments::name_of;
use crate::crdt::Entry;
use crate::model::{Incarnation, Key, ReplicaId};
use crate::wire::{Answer, Body};

/// O: whatever is sent under a dot is what its origin wrote there, and a node's own map is written by its own
/// writes alone.
#[derive(Debug, Default)]
pub struct Own;

impl Checker for Own {
    fn name(&self) -> &'static str {
        "own"
    }

    fn step(&mut self, world: &World, step: &Step) -> Result<(), Broken> {
        for sent in &step.sent {
            match sent {
                Sent::Frame(frame) => {
                    if let Body::Delta(delta) = frame.body() {
                        let origin = frame.header().replica;
                        if origin != world.id(step.node) {
                            return Err(Broken::at(step.node, "published in another's name"));
                        }
                        known(world, step.node, origin, delta.incarnation, &delta.entries)?;
                    }
                }
                Sent::Response { response, .. } => {
                    if let Answer::Parts { parts, .. } = &response.answer {
                        for part in parts {
                            let header = part.header.header();
                            known(
                                world,
                                step.node,
                                header.replica,
                                header.incarnation,
                                &part.entries,
                            )?;
                        }
                    }
                }
                Sent::Request { .. } => {}
            }
        }
        Ok(())
    }
}

fn known(
    world: &World,
    node: usize,
    origin: ReplicaId,
    incarnation: Incarnation,
    entries: &[(Key, Entry)],
) -> Result<(), Broken> {
    let Some(log) = world.log(origin, incarnation) else {
        return match entries.first() {
            None => Ok(()),
            Some(_) => Err(Broken::at(
                node,
                format!(
                    "sent entries of a life of {} that never was",
                    name_of(world, origin)
                ),
            )),
        };
    };
    for (key, entry) in entries {
        let at = log
            .entries
            .binary_search_by_key(&entry.seq(), |logged| logged.entry.seq());
        let same = at.is_ok_and(|at| {
            let logged = &log.entries[at];
            logged.key == *key && logged.entry == *entry
        });
        if !same {
            return Err(Broken::at(
                node,
                format!(
                    "sent {key} {entry:?} of {}, who never wrote that",
                    name_of(world, origin)
                ),
            ));
        }
    }
    Ok(())
}
