//! Which copies of a message will change nothing where they arrive.

use std::collections::VecDeque;

use super::super::gossip::{MessageId, Rpc};
use super::{Cargo, ENVELOPE_BYTES, Event, Packet, World};

/// The messages that were published a moment ago, and which copies of them are on their way.
///
/// Four of five copies reach who has the message already, or will have it by then. Nothing comes of them but that
/// they are counted: they are *spare*. They are counted when they are sent, and kept out of the queue; when the copy
/// they would have come after does not arrive, they are put into it after all.
#[derive(Debug)]
pub(super) struct Spreads {
    /// Messages are looked at for so long, in µs.
    for_us: u64,
    /// By message, from `first` on.
    recent: VecDeque<Spread>,
    first: u32,
    /// Kept for its room.
    used: Vec<Spread>,
}

/// How far one message has come.
#[derive(Debug, Default)]
struct Spread {
    begun_us: u64,
    /// By node: when the first copy to it that is on its way arrives, in µs after the beginning.
    first_us: Vec<u32>,
    spares: Vec<Spare>,
}

/// A copy that is not in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spare {
    from: usize,
    to: usize,
    /// When it arrives, and its turn among all that happens then.
    at_us: u64,
    turn: u64,
}

/// Nothing is on its way.
const NEVER: u32 = u32::MAX;
/// By then all nodes have a message, unless something is wrong.
const SPREAD_US: u64 = 2_000_000;

impl Default for Spreads {
    fn default() -> Self {
        Self {
            for_us: SPREAD_US,
            recent: VecDeque::new(),
            first: 0,
            used: Vec::new(),
        }
    }
}

impl Spreads {
    /// A message is published; ids rise one by one.
    pub(super) fn begin(&mut self, id: MessageId, nodes: usize, now_us: u64) {
        while let Some(spread) = self.recent.front()
            && spread.begun_us + self.for_us < now_us
        {
            self.used.extend(self.recent.pop_front());
            self.first += 1;
        }
        if self.recent.is_empty() {
            self.first = id.0;
        }
        assert_eq!(
            id.0 as usize,
            self.first as usize + self.recent.len(),
            "ids rise one by one"
        );
        let mut spread = self.used.pop().unwrap_or_default();
        spread.begun_us = now_us;
        spread.first_us.clear();
        spread.first_us.resize(nodes, NEVER);
        spread.spares.clear();
        self.recent.push_back(spread);
    }

    /// Whether a copy is spare. `seen`: its receiver has the message. `keep_us`: receivers know a message again for
    /// so long.
    fn is_spare(&mut self, id: MessageId, copy: Spare, seen: bool, keep_us: u64) -> bool {
        let for_us = self.for_us.min(keep_us);
        let Some(spread) = self.of(id) else {
            return false;
        };
        let after_us = copy.at_us - spread.begun_us;
        // Later than that they may have been forgotten: the spares here, and the message by who has it.
        if after_us >= for_us {
            return false;
        }
        if seen {
            return true;
        }
        let first_us = &mut spread.first_us[copy.to];
        let after_us = u32::try_from(after_us).expect("it is below the two seconds");
        if after_us < *first_us {
            *first_us = after_us;
            return false;
        }
        spread.spares.push(copy);
        true
    }

    /// A copy has not arrived: takes out those that were spare because of it.
    fn take(&mut self, id: MessageId, to: usize) -> Vec<Spare> {
        self.of(id).map_or_else(Vec::new, |spread| spread.take(to))
    }

    /// Nothing that is on its way to a node arrives as it would have: takes out all that is spare there.
    fn take_all(&mut self, to: usize) -> Vec<(MessageId, Spare)> {
        let first = self.first;
        let spreads = self.recent.iter_mut().zip(first..);
        let taken = spreads.flat_map(|(spread, number)| {
            let spares = spread.take(to).into_iter();
            spares.map(move |spare| (MessageId(number), spare))
        });
        taken.collect()
    }

    fn of(&mut self, id: MessageId) -> Option<&mut Spread> {
        let place = id.0.checked_sub(self.first)?;
        self.recent.get_mut(place as usize)
    }
}

impl Spread {
    fn take(&mut self, to: usize) -> Vec<Spare> {
        self.first_us[to] = NEVER;
        self.spares.extract_if(.., |spare| spare.to == to).collect()
    }
}

impl World {
    /// Whether a copy will change nothing where it arrives. Then it is counted.
    pub(super) fn is_spare(&mut self, packet: &Packet, at_us: u64) -> bool {
        let (Cargo::Gossip(Rpc::Message(id)), Some(gossip)) = (&packet.cargo, &mut self.gossip)
        else {
            return false;
        };
        let (from, to) = (packet.from, packet.to);
        let receiver = &self.nodes[to];
        if !receiver.lives(packet.life) || receiver.paused > 0 {
            return false;
        }
        let turn = self.queue.turn();
        let copy = Spare {
            from,
            to,
            at_us,
            turn,
        };
        let (seen, keep_us) = (gossip.has_seen(to, *id), gossip.remembers_us());
        let spare = self.spreads.is_spare(*id, copy, seen, keep_us);
        if spare {
            gossip.count_duplicate(to);
            self.figures.copies += 1;
            let receiver = &mut self.figures.nodes[to];
            receiver.copies += 1;
            receiver.received_bytes += u64::from(packet.bytes);
            receiver.received_messages += 1;
        }
        spare
    }

    /// The first copy of a message does not come: whoever would have come after it may be the first.
    pub(super) fn miss(&mut self, to: usize, id: MessageId) {
        let gossip = self.gossip.as_ref();
        if gossip.is_some_and(|gossip| !gossip.has_seen(to, id)) {
            for spare in self.spreads.take(id, to) {
                self.put_back(id, spare);
            }
        }
    }

    /// Something happens to a node, so that nobody knows which copies will be the first there.
    pub(super) fn miss_all(&mut self, to: usize) {
        for (id, spare) in self.spreads.take_all(to) {
            self.put_back(id, spare);
        }
    }

    fn put_back(&mut self, id: MessageId, spare: Spare) {
        let Some(gossip) = &mut self.gossip else {
            return;
        };
        let cargo = Cargo::Gossip(Rpc::Message(id));
        let bytes = gossip.wire_bytes(&Rpc::Message(id));
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX) + ENVELOPE_BYTES;
        let Spare { from, to, .. } = spare;
        let life = self.nodes[to].life;
        gossip.uncount_duplicate(to);
        self.figures.copies -= 1;
        let receiver = &mut self.figures.nodes[to];
        receiver.copies -= 1;
        receiver.received_bytes -= u64::from(bytes);
        receiver.received_messages -= 1;
        let packet = Packet {
            from,
            to,
            life,
            bytes,
            cargo,
        };
        let at_us = spare.at_us.max(self.now_us);
        let event = Event::Arrive(packet);
        self.queue.put_in_turn(at_us, spare.turn, event);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::latency::Latency;
    use super::super::super::outcome::Figures;
    use super::super::super::prf::Chance;
    use super::super::super::scenario::{Disk, Fault, Scenario, Verb};
    use super::*;

    const SECOND: u64 = 1_000_000;

    /// Copies take long here, so that every fault catches some on their way.
    fn scenario() -> Scenario {
        let mut scenario = Scenario::new("spares", 8, 60 * SECOND);
        scenario.network.latency = Latency::Uniform(20_000, 400_000);
        scenario.workload.every_us = Some(SECOND / 4);
        scenario.network.loss = Chance(20_000);
        let verbs = [
            Verb::Isolate(3),
            Verb::Pause(2),
            Verb::OneWay(vec![0, 1], vec![4, 5, 6]),
            Verb::Ring,
            Verb::Crash {
                node: 6,
                disk: Disk::Kept,
                power: false,
            },
            Verb::Partition(vec![vec![0, 2, 4, 6], vec![1, 3, 5, 7]]),
        ];
        let faults = (3..).step_by(2).zip(verbs.iter().cycle().take(24));
        scenario.faults = faults
            .map(|(at, verb)| Fault {
                at_us: at * SECOND,
                until_us: Some(at * SECOND + 1_700_000),
                verb: verb.clone(),
            })
            .collect();
        scenario
    }

    fn played(seed: u64, for_us: u64) -> (String, Figures) {
        let scenario = scenario();
        let mut world = World::new(&scenario, seed);
        world.spreads.for_us = for_us;
        while world.step(scenario.ends_at_us()).is_some() {}
        (world.trace().to_string(), world.figures().clone())
    }

    #[test]
    fn what_happens_is_the_same_as_if_every_copy_arrived() {
        for seed in 0..4 {
            let ((trace, figures), (every, all)) = (played(seed, SPREAD_US), played(seed, 0));
            assert_eq!(trace, every, "seed {seed}");
            assert_eq!(figures.delivery, all.delivery, "seed {seed}");
            assert!(figures.events < all.events * 3 / 4, "few were spare");
        }
    }
}
