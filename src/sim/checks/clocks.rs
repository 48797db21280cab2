//! Hybrid clocks.

use super::super::check::{Broken, Checker};
use super::super::world::{Cause, Step, World};
use crate::crdt::Hlc;

/// A node's hybrid clock never goes back, and never follows a stamp that lies far in the future: it is ahead of
/// every wall clock that it showed by `max_clock_drift` at most.
#[derive(Debug, Default)]
pub struct Clocks {
    /// By node: its life, the clock's last reading, and the greatest wall time it was fed.
    last: Vec<(u32, Hlc, u64)>,
}

/// Counter overflows within one ms are allowed to push a clock so far.
const COUNTED_MS: u64 = 1_000;

impl Checker for Clocks {
    fn name(&self) -> &'static str {
        "clock"
    }

    fn step(&mut self, world: &World, step: &Step) -> Result<(), Broken> {
        let Some(replica) = world.replica(step.node) else {
            return Ok(());
        };
        let wall_ms = world.clock(step.node).wall_ms;
        let now = replica.last_hlc();
        if self.last.len() <= step.node {
            self.last.resize(world.len(), (0, Hlc::ZERO, 0));
        }
        let life = world.life(step.node);
        let (before, most) = match self.last[step.node] {
            (last, before, most) if last == life => (before, most),
            _ => (Hlc::ZERO, wall_ms),
        };
        // What was on the disk may be ahead of the clock: the next life goes on from there.
        let inherited = if step.cause == Cause::Started {
            now.wall_ms()
        } else {
            0
        };
        let most = most.max(wall_ms).max(inherited);
        self.last[step.node] = (life, now, most);
        if now < before {
            return Err(Broken::at(
                step.node,
                format!("its hybrid clock went back from {before:?} to {now:?}"),
            ));
        }
        let drift_ms = replica.config().timing.max_clock_drift.as_millis() as u64;
        if now.wall_ms() > most + drift_ms + COUNTED_MS {
            return Err(Broken::at(
                step.node,
                format!(
                    "its hybrid clock followed a far-future stamp: {} ms ahead of its wall clock",
                    now.wall_ms() - most
                ),
            ));
        }
        Ok(())
    }
}
