//! Damaged bytes are refused.

use super::super::check::{Broken, Checker};
use super::super::world::World;

/// No frame whose bytes were changed on the way is ever taken for genuine.
#[derive(Debug, Default)]
pub struct Garbage;

impl Checker for Garbage {
    fn name(&self) -> &'static str {
        "garbage"
    }

    fn sweep(&mut self, world: &World) -> Result<(), Broken> {
        match world.forged() {
            0 => Ok(()),
            forged => Err(Broken {
                node: None,
                text: format!("{forged} damaged frames were taken for genuine"),
            }),
        }
    }
}
