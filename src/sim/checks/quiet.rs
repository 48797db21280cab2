//! Liveness never writes.

use super::super::check::{Broken, Checker};
use super::super::world::{Cause, Step, World};
use crate::proto::{Replica, Report};

/// Nothing but a write, a start, or a jump above an earlier life changes what a node itself says: no silence,
/// no return, no round.
#[derive(Debug, Default)]
pub struct Quiet;

impl Checker for Quiet {
    fn name(&self) -> &'static str {
        "liveness-writes-nothing"
    }

    fn step(&mut self, world: &World, step: &Step) -> Result<(), Broken> {
        if matches!(step.cause, Cause::Write(_) | Cause::Started | Cause::Leave) {
            return Ok(());
        }
        let head = world.replica(step.node).map_or(0, Replica::head);
        let jumped = world
            .reports(step.node)
            .iter()
            .any(|(at, report)| *at == step.at_us && matches!(report, Report::Jumped { .. }));
        if head == step.head_before || jumped {
            return Ok(());
        }
        Err(Broken::at(
            step.node,
            format!(
                "its own head went from {} to {head} on {:?}",
                step.head_before, step.cause
            ),
        ))
    }
}
