//! What a node does every heartbeat: keep its mesh, offer what it has, grow older.

use super::chance::{Purpose, choose};
use super::network::Gossip;
use super::rpc::Send;

impl Gossip {
    /// The heartbeat of `node`. The world calls it when [`next_heartbeat`](Self::next_heartbeat) has come; does
    /// nothing if the node is down.
    pub fn heartbeat(&mut self, node: usize, now_us: u64, out: &mut Vec<Send>) {
        self.messages.expire(now_us);
        let this = &mut self.nodes[node];
        if !this.up {
            return;
        }
        this.beats += 1;
        this.next_heartbeat_us = now_us + self.params.heartbeat_us;
        this.backoffs.heartbeat(now_us, &self.params);
        for link in &mut this.links {
            link.ihaves = 0;
            link.asked = 0;
        }

        let mut grafted = self.fill_mesh(node);
        let pruned = self.shrink_mesh(node);
        grafted.extend(self.fill_outbound(node));
        self.offer(node, out);
        for peer in grafted {
            self.send_graft(node, peer, out);
        }
        for peer in pruned {
            self.send_prune(node, peer, now_us, out);
        }

        self.shift_history(node);
        self.nodes[node].forget_unwanted(now_us);
    }

    /// Too few in the mesh: adds some. Returns whom.
    fn fill_mesh(&mut self, node: usize) -> Vec<u32> {
        let have = self.nodes[node].mesh.len();
        if have >= self.params.mesh_n_low {
            return Vec::new();
        }
        self.graft_some(node, self.params.mesh_n - have, Purpose::Graft, |_| true)
    }

    /// Too few in the mesh that we dialled: adds some. Returns whom.
    ///
    /// They keep a node connected to the rest that others have crowded round.
    fn fill_outbound(&mut self, node: usize) -> Vec<u32> {
        let this = &self.nodes[node];
        if this.mesh.len() < self.params.mesh_n_low {
            return Vec::new();
        }
        let needed = self
            .params
            .mesh_outbound_min
            .saturating_sub(self.outbound(node));
        self.graft_some(node, needed, Purpose::GraftOutbound, |outbound| outbound)
    }

    /// Adds `count` peers to the mesh, chosen from those `fit` accepts by whether we dialled them.
    fn graft_some(
        &mut self,
        node: usize,
        count: usize,
        purpose: Purpose,
        fit: impl Fn(bool) -> bool,
    ) -> Vec<u32> {
        if count == 0 {
            return Vec::new();
        }
        let this = &self.nodes[node];
        let mut chosen: Vec<u32> = this
            .links
            .iter()
            .filter(|link| link.subscribed && fit(link.outbound))
            .map(|link| link.peer)
            .filter(|&peer| !this.in_mesh(peer) && !this.backoffs.holds(peer))
            .collect();
        choose(&mut chosen, count, |peer| {
            self.draw_for(node, purpose, this.beats, peer)
        });
        for &peer in &chosen {
            self.nodes[node].add_to_mesh(peer);
        }
        chosen
    }

    /// Too many in the mesh: removes some, but not the last we dialled. Returns whom.
    fn shrink_mesh(&mut self, node: usize) -> Vec<u32> {
        let this = &self.nodes[node];
        if this.mesh.len() < self.params.mesh_n_high {
            return Vec::new();
        }
        let excess = this.mesh.len() - self.params.mesh_n;
        let mut shuffled = this.mesh.clone();
        shuffled.sort_by_key(|&peer| self.draw_for(node, Purpose::Prune, this.beats, peer));
        let mut outbound = self.outbound(node);
        let mut removed = Vec::with_capacity(excess);
        for peer in shuffled {
            if removed.len() == excess {
                break;
            }
            if self.nodes[node].dialled(peer) {
                if outbound <= self.params.mesh_outbound_min {
                    continue;
                }
                outbound -= 1;
            }
            self.nodes[node].remove_from_mesh(peer);
            removed.push(peer);
        }
        removed.sort_unstable();
        removed
    }

    /// How many of the mesh `node` has dialled.
    fn outbound(&self, node: usize) -> usize {
        let this = &self.nodes[node];
        this.mesh.iter().filter(|&&peer| this.dialled(peer)).count()
    }
}
