//! Takes down what a report draws.

use serde_json::json;

use super::outcome::{Band, LampStep, MAX_LINES, Recording};
use crate::model::{DeviceState, Key};
use crate::proto::Freshness;

/// Takes down what a report draws. What exceeds [`MAX_LINES`] is counted and left out.
#[derive(Debug, Clone)]
pub struct Recorder {
    keys: Vec<Key>,
    recording: Recording,
    /// What each node showed last, by lamp.
    last: std::collections::BTreeMap<(usize, usize), Option<(DeviceState, Freshness)>>,
}

impl Recorder {
    /// Follows the lamps of these devices.
    pub fn new(keys: Vec<Key>) -> Self {
        let recording = Recording {
            lamps: keys.iter().map(|key| key.name().to_owned()).collect(),
            ..Recording::default()
        };
        Self {
            keys,
            recording,
            last: std::collections::BTreeMap::new(),
        }
    }

    /// The devices followed.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Something noteworthy happened at a node.
    pub fn line(&mut self, at_us: u64, what: &str, node: &str, text: &str) {
        if self.recording.lines.len() >= MAX_LINES {
            self.recording.left_out += 1;
            return;
        }
        self.recording
            .lines
            .push(json!({"at_us": at_us, "what": what, "node": node, "text": text}));
    }

    /// A node shows this of a lamp now.
    pub fn lamp(
        &mut self,
        at_us: u64,
        node: usize,
        lamp: usize,
        shown: Option<(DeviceState, Freshness)>,
    ) {
        let last = self.last.entry((node, lamp)).or_default();
        if *last == shown {
            return;
        }
        *last = shown;
        if self.recording.steps.len() >= MAX_LINES {
            self.recording.left_out += 1;
            return;
        }
        self.recording.steps.push(LampStep {
            at_us,
            node,
            lamp,
            shown,
        });
    }

    /// So many nodes differ from the most common store.
    pub fn divergence(&mut self, at_us: u64, nodes: usize) {
        if self.recording.divergence.last().map(|(_, last)| *last) != Some(nodes) {
            self.recording.divergence.push((at_us, nodes));
        }
    }

    /// What was wrong.
    pub fn bands(&mut self, bands: Vec<Band>) {
        self.recording.bands = bands;
    }

    /// What was taken down.
    pub fn finish(self) -> Recording {
        self.recording
    }
}
