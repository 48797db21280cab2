//! Nothing goes out without a reason.

use std::collections::BTreeMap;

use super::super::check::{Broken, Checker};
use super::super::world::{Sent, Step, World};
use super::moments::name_of;
use crate::model::{Incarnation, Key, ReplicaId, SpaceId};
use crate::wire::{Answer, Header};

/// What a reader is shown that an origin says of a key stays shown until the origin withdraws it, or a later life
/// of the origin has settled without saying it again, or the origin is forgotten. So a restart does not blink.
#[derive(Debug, Default)]
pub struct Steady {
    /// Every life that ever signed anything, and by which seq it said that it has settled.
    lives: BTreeMap<(ReplicaId, Incarnation), Option<u64>>,
    /// By node and life: the writes it was shown last.
    shown: BTreeMap<(usize, u32), BTreeMap<(Key, ReplicaId), Seen>>,
}

/// One contribution that was shown.
#[derive(Debug, Clone, Copy)]
struct Seen {
    incarnation: Incarnation,
    seq: u64,
    /// Said by an earlier life than the one that is known: its seq means nothing.
    previous: bool,
}

/// In worlds of at most so many nodes.
const SMALL: usize = 24;

impl Checker for Steady {
    fn name(&self) -> &'static str {
        "steady"
    }

    fn step(&mut self, world: &World, step: &Step) -> Result<(), Broken> {
        if world.len() > SMALL {
            return Ok(());
        }
        for sent in &step.sent {
            match sent {
                Sent::Frame(frame) => self.note(frame.header()),
                Sent::Response { response, .. } => {
                    if let Answer::Parts { parts, .. } = &response.answer {
                        parts
                            .iter()
                            .for_each(|part| self.note(part.header.header()));
                    }
                }
                Sent::Request { .. } => {}
            }
        }
        Ok(())
    }

    fn sweep(&mut self, world: &World) -> Result<(), Broken> {
        if world.len() > SMALL {
            return Ok(());
        }
        for node in (0..world.len()).filter(|node| world.replica(*node).is_some()) {
            let mut shown = BTreeMap::new();
            for space in [SpaceId::DEVICES, SpaceId::MAILBOXES] {
                for row in world.list(node, space).iter() {
                    let key = Key::new(space, row.key.clone()).expect("it is shown under it");
                    shown.extend(row.contributions.iter().map(|one| {
                        let seen = Seen {
                            incarnation: one.incarnation,
                            seq: one.seq,
                            previous: one.previous,
                        };
                        ((key.clone(), one.replica), seen)
                    }));
                }
            }
            let place = (node, world.life(node));
            let before = self.shown.remove(&place).unwrap_or_default();
            let lost = before.iter().find(|(place, seen)| {
                !shown.contains_key(place) && !self.ended(world, node, place, seen)
            });
            if let Some(((key, origin), _)) = lost {
                let of = name_of(world, *origin);
                let text = format!("{key} of {of} went out, and {of} never withdrew it");
                return Err(Broken::at(node, text));
            }
            self.shown.insert(place, shown);
        }
        Ok(())
    }
}

impl Steady {
    fn note(&mut self, header: &Header) {
        let settled = self
            .lives
            .entry((header.replica, header.incarnation))
            .or_default();
        *settled = settled.or(header.settled);
    }

    /// Whether there is a reason, as far as the node knows the origin, to show this no longer.
    fn ended(&self, world: &World, node: usize, place: &(Key, ReplicaId), seen: &Seen) -> bool {
        let (key, origin) = place;
        let map = world.replica(node).and_then(|replica| replica.map(*origin));
        let Some(map) = map else { return true };
        self.lives
            .range((*origin, seen.incarnation)..=(*origin, map.incarnation))
            .any(|((_, life), settled)| {
                let first = *life == seen.incarnation;
                let after = if first && !seen.previous { seen.seq } else { 0 };
                let upto = if *life == map.incarnation {
                    map.head
                } else {
                    u64::MAX
                };
                let withdrawn = world.log(*origin, *life).is_some_and(|log| {
                    log.entries.iter().any(|logged| {
                        let seq = logged.entry.seq();
                        logged.key == *key
                            && logged.entry.is_tombstone()
                            && after < seq
                            && seq <= upto
                    })
                });
                let replaced = !first || seen.previous;
                withdrawn || (replaced && settled.is_some_and(|seq| seq <= upto))
            })
    }
}
