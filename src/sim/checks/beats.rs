//! Nobody is silent for longer than it said it would be.

use std::collections::BTreeMap;

use super::super::check::{Broken, Checker};
use super::super::world::{Sent, Step, World};
use crate::wire::Kind;

/// Whoever is up, awake and speaks sends a frame within the interval that its last frame promised: leases are given
/// by that. All times are those of its own clock.
#[derive(Debug, Default)]
pub struct Beats {
    /// By node.
    promises: BTreeMap<usize, Promise>,
}

/// What a frame promised.
#[derive(Debug, Clone, Copy)]
struct Promise {
    life: u32,
    /// When the frame was made, in ms since the start of its clock.
    made_ms: u64,
    beat_ms: u64,
}

/// Clocks are read in whole ms, and a drifting one is converted twice.
const SLACK_MS: u64 = 3;

impl Checker for Beats {
    fn name(&self) -> &'static str {
        "beat"
    }

    fn step(&mut self, world: &World, step: &Step) -> Result<(), Broken> {
        for sent in &step.sent {
            let Sent::Frame(frame) = sent else { continue };
            let header = frame.header();
            self.kept(world, step.node, header.up_ms)?;
            let promise = Promise {
                life: world.life(step.node),
                made_ms: header.up_ms,
                beat_ms: header.beat_ms.into(),
            };
            if header.kind == Kind::Leave {
                self.promises.remove(&step.node);
            } else {
                self.promises.insert(step.node, promise);
            }
        }
        Ok(())
    }

    fn sweep(&mut self, world: &World) -> Result<(), Broken> {
        for node in 0..world.len() {
            let silent = world.replica(node).is_none() || world.is_fenced(node);
            if silent || world.is_paused(node) {
                self.promises.remove(&node);
                continue;
            }
            let now_ms = u64::try_from(world.clock(node).mono.as_millis()).unwrap_or(u64::MAX);
            self.kept(world, node, now_ms)?;
        }
        Ok(())
    }
}

impl Beats {
    fn kept(&self, world: &World, node: usize, now_ms: u64) -> Result<(), Broken> {
        let promise = self.promises.get(&node);
        let Some(promise) = promise.filter(|promise| promise.life == world.life(node)) else {
            return Ok(());
        };
        let silent_ms = now_ms.saturating_sub(promise.made_ms);
        if silent_ms <= promise.beat_ms + SLACK_MS {
            return Ok(());
        }
        let text = format!(
            "was silent for {silent_ms} ms, though its last frame promised the next within {} ms",
            promise.beat_ms
        );
        Err(Broken::at(node, text))
    }
}
