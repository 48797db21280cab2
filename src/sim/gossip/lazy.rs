//! Offering messages to peers outside the mesh, and asking for what was offered.

use std::sync::Arc;

use super::chance::{Purpose, choose, draw};
use super::network::{Gossip, push};
use super::rpc::{MessageId, Rpc, Send};

impl Gossip {
    /// Sends IHAVE about the messages of the last heartbeats to some peers outside the mesh.
    pub(super) fn offer(&mut self, node: usize, out: &mut Vec<Send>) {
        let ids = self.offered(node);
        if ids.is_empty() {
            return;
        }
        let this = &self.nodes[node];
        let mut peers: Vec<u32> = this
            .links
            .iter()
            .filter(|link| link.subscribed)
            .map(|link| link.peer)
            .filter(|&peer| !this.in_mesh(peer))
            .collect();
        let share = peers.len() * self.params.gossip_factor_percent as usize / 100;
        let beat = this.beats;
        choose(&mut peers, share.max(self.params.gossip_lazy), |peer| {
            self.draw_for(node, Purpose::Offer, beat, peer)
        });

        let all: Arc<[MessageId]> = ids.into();
        for peer in peers {
            let ids = if all.len() > self.params.max_ihave_length {
                // Different ones for each peer, so that together they offer all.
                let occasion = self.draw_for(node, Purpose::Shorten, beat, peer);
                shorten(&all, self.params.max_ihave_length, occasion)
            } else {
                all.clone()
            };
            let counters = &mut self.nodes[node].counters;
            counters.ihave_sent += 1;
            counters.ihave_ids += ids.len() as u64;
            push(out, node, peer, Rpc::IHave(ids));
        }
    }

    /// The messages `node` offers: good ones of the last heartbeats.
    fn offered(&self, node: usize) -> Vec<MessageId> {
        let recent = self.nodes[node].history.iter();
        recent
            .take(self.params.history_gossip)
            .flatten()
            .copied()
            .filter(|&id| {
                let message = self.messages.get(id);
                message.is_some_and(|message| message.accepted.contains(node as u32))
            })
            .collect()
    }

    /// Asks `peer` for those it offers that `node` neither has nor has asked for.
    ///
    /// Once asked for, a message is asked of nobody else until it arrives, even if the answer is lost: while
    /// scores are off, the crate never gives up a promise.
    pub(super) fn handle_ihave(
        &mut self,
        node: usize,
        peer: u32,
        offered: &[MessageId],
        out: &mut Vec<Send>,
    ) {
        let me = node as u32;
        let max = self.params.max_ihave_length;
        let link = self.nodes[node]
            .link_mut(peer)
            .expect("the sender is connected");
        link.ihaves += 1;
        if link.ihaves > self.params.max_ihave_messages || link.asked as usize >= max {
            return;
        }
        let mut wanted: Vec<MessageId> = offered
            .iter()
            .copied()
            .filter(|&id| {
                let message = self.messages.get(id);
                !message.is_some_and(|message| {
                    message.seen.contains(me) || message.promises.contains_key(&me)
                })
            })
            .collect();
        if wanted.is_empty() {
            return;
        }

        let room = max - link.asked as usize;
        if wanted.len() > room {
            let this = &self.nodes[node];
            let asked = u64::from(this.counters.iwant_ids as u32);
            let occasion = self.draw_for(node, Purpose::Ask, asked, peer);
            wanted = shorten(&wanted, room, occasion).to_vec();
        }
        for &id in &wanted {
            if let Some(message) = self.messages.get_mut(id) {
                message.promises.insert(me, peer);
            }
        }
        let this = &mut self.nodes[node];
        this.counters.iwant_ids += wanted.len() as u64;
        this.link_mut(peer).expect("the sender is connected").asked += wanted.len() as u32;
        push(out, node, peer, Rpc::IWant(wanted.into()));
    }

    /// Sends `peer` what it asks for, if `node` still has it.
    pub(super) fn handle_iwant(
        &mut self,
        node: usize,
        peer: u32,
        wanted: &[MessageId],
        out: &mut Vec<Send>,
    ) {
        let me = node as u32;
        for &id in wanted {
            let times = self
                .messages
                .get_mut(id)
                .filter(|message| message.accepted.contains(me))
                .map(|message| {
                    let times = message.asked.entry((me, peer)).or_insert(0);
                    *times += 1;
                    *times
                });
            let this = &mut self.nodes[node];
            if times.is_none_or(|times| times > self.params.gossip_retransmission) {
                this.counters.iwant_refused += 1;
            } else if this.is_unwanted(peer, id) {
                this.counters.copies_spared += 1;
            } else {
                this.counters.iwant_served += 1;
                self.send_copy(node, peer, id, out);
            }
        }
    }

    /// A heartbeat has passed: the oldest messages can no longer be asked for.
    pub(super) fn shift_history(&mut self, node: usize) {
        let history = &mut self.nodes[node].history;
        let mut oldest = history.pop_back().expect("histories have a length");
        for &id in &oldest {
            if let Some(message) = self.messages.get_mut(id) {
                message.drop_from(node as u32);
            }
        }
        oldest.clear();
        history.push_front(oldest);
    }
}

/// `count` of `ids`, in their order of rising.
fn shorten(ids: &[MessageId], count: usize, occasion: u64) -> Arc<[MessageId]> {
    let mut ids = ids.to_vec();
    choose(&mut ids, count, |id| {
        draw(occasion, 0, Purpose::Shorten, u64::from(id.0))
    });
    ids.into()
}
