//! What the people and PBXs beside the nodes do.

use super::super::prf::{Draws, Purpose};
use super::{Cause, Event, Step, World};
use crate::model::{DeviceState, Key, MessageCounts, Source, SpaceId, Value};
use crate::proto::Write;

/// What a phone can be in.
const STATES: [DeviceState; 7] = [
    DeviceState::NotInUse,
    DeviceState::InUse,
    DeviceState::Ringing,
    DeviceState::Busy,
    DeviceState::OnHold,
    DeviceState::RingInUse,
    DeviceState::Unavailable,
];

/// A device of a node.
pub(in crate::sim) fn device(node: usize, number: u64) -> Key {
    Key::new(SpaceId::DEVICES, format!("PJSIP/{node}-{number}")).expect("a short name")
}

/// A mailbox that all nodes write.
pub(in crate::sim) fn mailbox(number: u64) -> Key {
    Key::new(SpaceId::MAILBOXES, format!("{number}@default")).expect("a short name")
}

impl World {
    /// The PBX tells a process that has just started how its phones are.
    pub(super) fn populate(&mut self, node: usize, life: u32) -> Option<Step> {
        if !self.nodes[node].lives(life) {
            return None;
        }
        let original = self.nodes[node].original;
        if life == 1 {
            let keys = self.scenario.workload.keys as u64;
            let phones = (0..keys).map(|n| (device(original, n), DeviceState::NotInUse.into()));
            self.nodes[node].phones = phones.collect();
            self.next_write(node);
        }
        let phones = self.nodes[node].phones.clone();
        let entries = phones
            .iter()
            .map(|(key, value)| (key.clone(), Some(value.clone())));
        let entries: Vec<_> = entries.collect();
        let step = self.write(node, entries, true);
        let now = self.now_of(node);
        // What it says next is that this is all.
        self.nodes[node].up_mut().settle(now);
        let settled = self.settle(node, Cause::Timeout, Vec::new(), self.own_head(node));
        step.map(|mut step| {
            step.sent.extend(settled.sent);
            step
        })
    }

    /// A user writes, if the process is there.
    pub(super) fn on_write(&mut self, node: usize) -> Option<Step> {
        if self.now_us >= self.scenario.duration_us {
            return None;
        }
        let n = self.nodes[node].writes;
        self.nodes[node].writes += 1;
        self.next_write(node);
        self.nodes[node].replica.as_ref()?;
        let workload = self.scenario.workload.clone();
        let original = self.nodes[node].original;
        if let Some(adds) = workload.adds {
            if n >= adds {
                return None;
            }
            let key = Key::new(SpaceId::DEVICES, format!("add/{original}-{n}"));
            let value = STATES[0].into();
            return self.write(node, vec![(key.expect("a short name"), Some(value))], false);
        }
        let mut draws = Draws::new(
            super::super::prf::prf(self.seed, node as u64, Purpose::Write, n),
            node as u64,
            Purpose::Write,
        );
        let shared = workload.shared_keys > 0 && draws.happens(workload.shared);
        if !shared && workload.keys == 0 {
            return None;
        }
        let mut entries = std::collections::BTreeMap::new();
        for _ in 0..workload.batch.max(1) {
            let clears = draws.happens(workload.clear);
            let (key, value) = if shared {
                let counts = MessageCounts::new(draws.below(100) as u32, 0);
                let number = draws.below(workload.shared_keys as u64);
                (mailbox(number), Value::from(counts))
            } else {
                let state = STATES[draws.below(STATES.len() as u64) as usize];
                let number = draws.below(workload.keys as u64);
                (device(original, number), Value::from(state))
            };
            entries.insert(key, (!clears).then_some(value));
        }
        self.write(node, entries.into_iter().collect(), false)
    }

    fn next_write(&mut self, node: usize) {
        let Some(every) = self.scenario.workload.every_us else {
            return;
        };
        let n = self.nodes[node].writes;
        let wait = if self.scenario.workload.adds.is_some() {
            every - self.now_us % every
        } else {
            let mut draws = Draws::new(self.seed ^ n, node as u64, Purpose::Write);
            every / 2 + draws.below(every + 1)
        };
        self.queue.put(self.now_us + wait, Event::Write(node));
    }

    /// Writes at a node that is up, as its users or (`restate`) its PBX.
    pub(in super::super) fn write(
        &mut self,
        node: usize,
        entries: Vec<(Key, Option<Value>)>,
        restate: bool,
    ) -> Option<Step> {
        let keys: Vec<Key> = entries.iter().map(|(key, _)| key.clone()).collect();
        let cause = Cause::Write(keys);
        self.trace_step(node, &cause);
        let head_before = self.own_head(node);
        let now = self.now_of(node);
        let how = Write {
            source: Source::API,
            restate,
        };
        let result = self.nodes[node].up_mut().write(entries.clone(), how, now);
        if result.is_ok() {
            let this = &mut self.nodes[node];
            for (key, value) in &entries {
                for map in [&mut this.said, &mut this.phones] {
                    match value {
                        Some(value) => map.insert(key.clone(), value.clone()),
                        None => map.remove(key),
                    };
                }
            }
            self.figures.writes += entries.len() as u64;
        }
        if self.recorder.is_some() {
            for (key, value) in &entries {
                let what = match (&result, value) {
                    (Err(error), _) => format!("{key}: {error}"),
                    (Ok(_), None) => format!("{key} cleared"),
                    (Ok(_), Some(value)) if key.space() == SpaceId::DEVICES => {
                        format!("{key} {}", value.device_state())
                    }
                    (Ok(_), Some(value)) => format!("{key} {value:?}"),
                };
                self.note("write", node, &what);
            }
        }
        Some(self.settle(node, cause, Vec::new(), head_before))
    }
}
