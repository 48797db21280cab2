//! What goes wrong, and how it ends.

use super::super::prf::{Purpose, prf};
use super::super::scenario::{Disk, Fault, Verb};
use super::{Cause, Event, Step, World};
use crate::model::{Source, SpaceId};
use crate::proto::{Config, Replica, Saved};

/// A node that says goodbye stops this long after.
const GOODBYE_US: u64 = 300_000;
/// A process that dies on a machine that lives is noticed by its peers after this long: its connections are
/// reset.
const RESET_US: u64 = 5_000;

impl World {
    /// Starts a node's process, unless it runs.
    pub(super) fn start(&mut self, node: usize) -> Option<Step> {
        let now_us = self.now_us;
        let this = &mut self.nodes[node];
        if this.replica.is_some() || this.paused > 0 {
            return None;
        }
        let disk = match this.finds {
            Disk::Kept => this.disks.last().cloned().unwrap_or_default(),
            Disk::Lost => Saved::default(),
            Disk::Old => this.disks.iter().rev().nth(1).cloned().unwrap_or_default(),
        };
        this.life += 1;
        this.clock.start(now_us);
        this.down_since_us = None;
        this.said.clear();
        this.known.clear();
        this.timer_us = u64::MAX;
        this.sending_until_us = 0;
        let life = this.life;
        let config = Config {
            mesh: self.mesh,
            node: this.name.clone(),
            version: "sim".to_owned(),
            timing: self.scenario.timing.clone(),
            limits: self.scenario.limits.clone(),
            mailboxes: self.scenario.mailboxes,
            incarnation_floor: disk.incarnation,
            hlc_floor: disk.hlc,
            seed: prf(
                self.seed,
                node as u64,
                Purpose::ReplicaSeed,
                u64::from(life),
            ),
        };
        let now = this.clock.now(now_us);
        let mut replica = Replica::new(config, this.identity.clone(), now);
        if this.saves {
            this.disk = disk.clone();
            let back_ms = this.saved_off_ms - this.clock.off_ms(now_us);
            this.younger_ms = u64::try_from(back_ms).unwrap_or_default();
            replica.restore(disk, now);
            let spaces = [SpaceId::DEVICES, SpaceId::MAILBOXES];
            let own = spaces.map(|space| replica.own(space, Source::API));
            this.said = own.into_iter().flatten().collect();
        }
        let restored = replica.maps();
        this.replica = Some(Box::new(replica));
        this.save(now_us);
        if let Some(gossip) = &mut self.gossip {
            gossip.start(node, now_us);
            if let Some(at) = gossip.next_heartbeat(node) {
                self.queue.put(at.max(now_us), Event::Heartbeat(node, life));
            }
        }
        self.queue.put(now_us, Event::Populate(node, life));
        self.redial(Some(node));
        self.note("started", node, "");
        self.trace_step(node, &Cause::Started);
        let mut step = self.settle(node, Cause::Started, Vec::new(), 0);
        step.news = self.see_restored(node, restored);
        Some(step)
    }

    /// Ends a node's process. `power`: with its machine, so that its peers are not told.
    pub(super) fn stop(&mut self, node: usize, power: bool) {
        let Some(replica) = self.nodes[node].replica.as_ref() else {
            return;
        };
        let (incarnation, hlc) = (replica.incarnation(), replica.last_hlc());
        self.log_own(node);
        self.miss_all(node);
        let now_us = self.now_us;
        let this = &mut self.nodes[node];
        if this.saves {
            this.disks.push(this.disk.clone());
        } else {
            this.disks.push(Saved {
                incarnation,
                hlc,
                ..Saved::default()
            });
        }
        this.replica = None;
        this.down_since_us = Some(now_us);
        this.waiting.clear();
        this.said.clear();
        let life = this.life;
        let peers = std::mem::take(&mut this.peers);
        let notice = self.scenario.network.notice_us;
        for peer in peers.iter() {
            let at = now_us + if power { notice } else { RESET_US };
            self.queue.put(at, Event::Reset(peer, node, life));
        }
        self.held.retain(|packet| packet.to != node);
        if let Some(gossip) = &mut self.gossip {
            gossip.stop(node);
        }
        self.note("stopped", node, if power { "power lost" } else { "" });
        if self.recorder.is_some() {
            self.record_lamps(node);
        }
    }

    /// A fault begins.
    pub(super) fn begin(&mut self, number: usize) -> Option<Step> {
        let fault = self.scenario.faults[number].clone();
        if let Some(until) = fault.until_us {
            self.queue.put(until, Event::FaultEnds(number));
        }
        self.active.push((number, fault.clone()));
        self.weather_changed();
        self.note_fault("begins", &fault);
        match fault.verb {
            Verb::Crash { node, power, .. } => self.stop(node, power),
            Verb::Leave(node) => return self.leave(node),
            Verb::Pause(node) => {
                self.miss_all(node);
                self.nodes[node].paused += 1;
            }
            Verb::Clock {
                node,
                offset_ms,
                drift_ppm,
            } => {
                self.nodes[node]
                    .clock
                    .disturb(self.now_us, offset_ms, drift_ppm);
                self.set_timer(node);
            }
            Verb::Clone(original) => {
                let clone = self.clone_number(number);
                self.nodes[clone].disks = self.nodes[original].disks.clone();
                return self.start(clone);
            }
            Verb::Hold(from, to) => {
                for (from, to) in pairs(&from, &to) {
                    self.links.hold(from, to, true);
                }
            }
            verb => {
                for (from, to) in self.blocked_by(&verb) {
                    self.links.block(from, to, true);
                }
                self.notice_cuts();
            }
        }
        None
    }

    /// A fault ends.
    pub(super) fn end(&mut self, number: usize) {
        let Some(at) = self.active.iter().position(|(active, _)| *active == number) else {
            return;
        };
        let (_, fault) = self.active.remove(at);
        self.weather_changed();
        self.note_fault("ends", &fault);
        match fault.verb {
            Verb::Crash { node, disk, .. } => {
                self.nodes[node].finds = disk;
                self.queue.put(self.now_us, Event::Start(node));
            }
            Verb::Leave(node) => {
                self.nodes[node].finds = Disk::Kept;
                // Who is still saying goodbye ends first.
                let wait_us = match &self.nodes[node].replica {
                    Some(_) => GOODBYE_US,
                    None => 0,
                };
                self.queue.put(self.now_us + wait_us, Event::Start(node));
            }
            Verb::Pause(node) => {
                self.nodes[node].paused -= 1;
                if self.nodes[node].paused == 0 {
                    for event in std::mem::take(&mut self.nodes[node].waiting) {
                        self.queue.put(self.now_us, event);
                    }
                    self.queue.put(self.now_us, Event::Start(node));
                    self.redial(Some(node));
                }
            }
            Verb::Clock { node, .. } => {
                self.nodes[node].clock.mend(self.now_us);
                self.set_timer(node);
            }
            Verb::Clone(_) => self.stop(self.clone_number(number), false),
            Verb::Hold(from, to) => {
                for (from, to) in pairs(&from, &to) {
                    self.links.hold(from, to, false);
                }
                let held = std::mem::take(&mut self.held);
                for packet in held {
                    if self.links.holds(packet.from, packet.to) {
                        self.held.push(packet);
                    } else if self.links.passes(packet.from, packet.to) {
                        self.transmit(packet);
                    } else {
                        self.figures.lost += 1;
                    }
                }
                self.redial(None);
            }
            verb => {
                for (from, to) in self.blocked_by(&verb) {
                    self.links.block(from, to, false);
                }
                self.redial(None);
            }
        }
    }

    /// Ends every fault, and starts every node that is down.
    pub(super) fn mend(&mut self) {
        self.mended = true;
        for (number, _) in self.active.clone() {
            self.end(number);
        }
        for node in 0..self.scenario.nodes.len() {
            // Whoever had an identity of its own taken away gets it back with a new life.
            if self.nodes[node].fenced() {
                self.stop(node, false);
            }
            self.queue.put(self.now_us, Event::Start(node));
        }
        self.redial(None);
    }

    fn leave(&mut self, node: usize) -> Option<Step> {
        self.nodes[node].replica.as_ref()?;
        if self.nodes[node].paused > 0 {
            return None;
        }
        let (now, life) = (self.now_of(node), self.nodes[node].life);
        let head_before = self.own_head(node);
        self.trace_step(node, &Cause::Leave);
        self.nodes[node].up_mut().leave(now);
        self.nodes[node].save(self.now_us);
        self.queue
            .put(self.now_us + GOODBYE_US, Event::Stop(node, life));
        Some(self.settle(node, Cause::Leave, Vec::new(), head_before))
    }

    fn weather_changed(&mut self) {
        let faults: Vec<Fault> = self.active.iter().map(|(_, fault)| fault.clone()).collect();
        self.links.set_faults(&faults);
    }

    /// The node that plays the clone of a fault.
    fn clone_number(&self, number: usize) -> usize {
        let earlier = self.scenario.faults[..number]
            .iter()
            .filter(|fault| matches!(fault.verb, Verb::Clone(_)));
        self.scenario.nodes.len() + earlier.count()
    }

    /// The ways that a verb blocks.
    fn blocked_by(&self, verb: &Verb) -> Vec<(usize, usize)> {
        let all = self.nodes.len();
        let original = |node: usize| self.nodes[node].original;
        let apart: Box<dyn Fn(usize, usize) -> bool> = match verb {
            Verb::Partition(groups) => {
                let group = |node: usize| groups.iter().position(|group| group.contains(&node));
                Box::new(move |a, b| group(a) != group(b))
            }
            Verb::OneWay(from, to) => Box::new(|a, b| from.contains(&a) && to.contains(&b)),
            Verb::Bridge(bridge) => {
                let named = self.scenario.nodes.len();
                let half = move |node: usize| node * 2 < named;
                Box::new(move |a, b| a != *bridge && b != *bridge && half(a) != half(b))
            }
            Verb::Ring => {
                let named = self.scenario.nodes.len();
                Box::new(move |a, b| (a + 1) % named != b && (b + 1) % named != a)
            }
            Verb::Isolate(node) => Box::new(|a, b| (a == *node) != (b == *node)),
            _ => Box::new(|_, _| false),
        };
        (0..all)
            .flat_map(|a| (0..all).map(move |b| (a, b)))
            .filter(|(a, b)| a != b && apart(original(*a), original(*b)))
            .collect()
    }
}

fn pairs(from: &[usize], to: &[usize]) -> Vec<(usize, usize)> {
    from.iter()
        .flat_map(|from| to.iter().map(|to| (*from, *to)))
        .filter(|(from, to)| from != to)
        .collect()
}
