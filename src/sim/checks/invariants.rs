//! What every replica says of itself.

use super::super::check::{Broken, Checker};
use super::super::world::{Step, World};

/// What is shown equals what the store makes of it from nothing, and every queue, pending range and transfer is
/// within its bound.
#[derive(Debug, Default)]
pub struct Invariants {
    steps: u64,
}

/// In worlds of at most so many nodes after every step; in larger ones so much more rarely, since a look costs
/// as much as everything stored.
const SMALL: usize = 8;

impl Checker for Invariants {
    fn name(&self) -> &'static str {
        "invariants"
    }

    fn step(&mut self, world: &World, step: &Step) -> Result<(), Broken> {
        self.steps += 1;
        let every = if world.len() <= SMALL {
            1
        } else {
            (world.len() * world.len()) as u64
        };
        if !self.steps.is_multiple_of(every) {
            return Ok(());
        }
        match world
            .replica(step.node)
            .map(crate::proto::Replica::invariants)
        {
            Some(Err(text)) => Err(Broken::at(step.node, text)),
            _ => Ok(()),
        }
    }
}
