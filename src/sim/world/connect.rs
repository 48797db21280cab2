//! Who is connected to whom.

use super::super::prf::{Purpose, prf};
use super::{Event, World};

impl World {
    /// Chooses for every node the others it keeps a connection to.
    pub(super) fn choose_peers(&mut self) {
        let all = self.nodes.len();
        for node in 0..all {
            let wanted: Vec<usize> = match &self.scenario.network.overlay {
                Some(pairs) => pairs
                    .iter()
                    .filter(|(a, _)| *a == node)
                    .map(|(_, b)| *b)
                    .collect(),
                None if self.scenario.network.dial + 1 >= all => (node + 1..all).collect(),
                None => self.some_others(node, self.scenario.network.dial),
            };
            self.nodes[node].wanted = wanted;
        }
    }

    fn some_others(&self, node: usize, count: usize) -> Vec<usize> {
        let mut others: Vec<(u64, usize)> = (0..self.nodes.len())
            .filter(|other| *other != node)
            .map(|other| {
                let rank = prf(self.seed, node as u64, Purpose::Choice, 1 + other as u64);
                (rank, other)
            })
            .collect();
        others.sort_unstable();
        others.truncate(count);
        others.into_iter().map(|(_, other)| other).collect()
    }

    /// Lets every wanted connection that is not there be tried again soon.
    pub(super) fn redial(&mut self, only: Option<usize>) {
        for a in 0..self.nodes.len() {
            for b in self.nodes[a].wanted.clone() {
                let concerned = only.is_none_or(|node| node == a || node == b);
                if concerned && !self.connected(a, b) {
                    let n = self.now_us;
                    let pair = (a as u64) << 32 | b as u64;
                    let wait = prf(self.seed, pair, Purpose::Redial, n)
                        % self.scenario.network.redial_us.max(1);
                    self.queue.put(self.now_us + wait, Event::Dial(a, b));
                }
            }
        }
    }

    /// Whether both ends have the same, living connection.
    fn connected(&self, a: usize, b: usize) -> bool {
        let knows = |a: usize, b: usize| {
            self.nodes[a].peers.life(b) == Some(self.nodes[b].life)
                && self.nodes[a].replica.is_some()
        };
        knows(a, b) && knows(b, a)
    }

    pub(super) fn dial(&mut self, a: usize, b: usize) {
        let up = |node: usize| self.nodes[node].replica.is_some() && self.nodes[node].paused == 0;
        let open = |from, to| self.links.passes(from, to) && !self.links.holds(from, to);
        if !up(a) || !up(b) || !open(a, b) || !open(b, a) || self.connected(a, b) {
            return;
        }
        // One that is still there is that of an earlier process: a second connection ends it.
        self.disconnect(a, b);
        for (node, peer) in [(a, b), (b, a)] {
            let life = self.nodes[peer].life;
            self.nodes[node].peers.insert(peer, life);
            let id = self.id(peer);
            self.queue
                .put(self.now_us, Event::PeerUp(node, id, self.nodes[node].life));
        }
        let mut sends = Vec::new();
        if let Some(gossip) = &mut self.gossip {
            gossip.connect(a, b, self.now_us, &mut sends);
        }
        self.carry(sends);
        self.note("connected", a, &self.nodes[b].name.clone());
    }

    pub(super) fn disconnect(&mut self, a: usize, b: usize) {
        self.lose_peer(a, b);
        self.lose_peer(b, a);
    }

    /// One end gives up its connection.
    pub(super) fn lose_peer(&mut self, node: usize, peer: usize) {
        if !self.nodes[node].peers.remove(peer) {
            return;
        }
        if let Some(gossip) = &mut self.gossip {
            gossip.disconnect(node, peer);
        }
        let id = self.id(peer);
        // A clone under the same name may still be there.
        let twin = self.nodes[node]
            .peers
            .iter()
            .any(|other| self.id(other) == id);
        if !twin {
            let life = self.nodes[node].life;
            self.queue.put(self.now_us, Event::PeerDown(node, id, life));
        }
        self.note("disconnected", node, &self.nodes[peer].name.clone());
    }

    /// Both ends of every connection that has just been cut will notice, if it stays so.
    pub(super) fn notice_cuts(&mut self) {
        for a in 0..self.nodes.len() {
            let cut: Vec<usize> = self.nodes[a]
                .peers
                .iter()
                .filter(|b| *b > a && !self.links.passes(a, *b) && !self.links.passes(*b, a))
                .collect();
            for b in cut {
                let pair = (a as u64) << 32 | b as u64;
                let notice = self.scenario.network.notice_us;
                let jitter =
                    prf(self.seed, pair, Purpose::Notice, self.now_us) % (notice / 4).max(1);
                self.queue
                    .put(self.now_us + notice + jitter, Event::Notice(a, b));
            }
        }
    }
}
