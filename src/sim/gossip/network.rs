//! The gossip state of all nodes.

use std::collections::VecDeque;
use std::sync::Arc;

use super::chance::{Purpose, below, choose, draw};
use super::counters::GossipCounters;
use super::messages::Messages;
use super::node::Node;
use super::params::Params;
use super::rpc::{MessageId, Received, Rpc, Send};

/// The gossip state of all nodes of a network. Nodes are numbered from 0, times are µs.
///
/// Every method that makes nodes send appends to `out`, in the order of sending. Time never goes back from one
/// call to the next.
#[derive(Debug)]
pub struct Gossip {
    pub(super) params: Params,
    pub(super) seed: u64,
    pub(super) nodes: Vec<Node>,
    pub(super) messages: Messages,
}

impl Gossip {
    /// A network without nodes.
    pub fn new(params: Params, seed: u64) -> Self {
        assert!(params.heartbeat_us > 0, "heartbeats take time");
        assert!(
            params.history_length > 0 && params.history_gossip <= params.history_length,
            "what is forwarded or offered must be kept"
        );
        assert!(
            params.mesh_outbound_min <= params.mesh_n_low
                && params.mesh_n_low <= params.mesh_n
                && params.mesh_n <= params.mesh_n_high
                && 2 * params.mesh_outbound_min <= params.mesh_n,
            "gossipsub refuses these mesh degrees"
        );
        Self {
            messages: Messages::new(params.duplicate_cache_us),
            params,
            seed,
            nodes: Vec::new(),
        }
    }

    /// Makes it `nodes` nodes; new ones are down.
    pub fn grow(&mut self, nodes: usize) {
        assert!(
            u32::try_from(nodes).is_ok(),
            "nodes are numbered in 32 bits"
        );
        if nodes > self.nodes.len() {
            self.nodes.resize_with(nodes, Node::default);
        }
    }

    /// Starts a node, with no memory of an earlier life.
    pub fn start(&mut self, node: usize, now_us: u64) {
        self.forget(node);
        let phase = draw(
            self.seed,
            node as u64,
            Purpose::Phase,
            self.nodes[node].beats,
        );
        let this = &mut self.nodes[node];
        this.up = true;
        this.next_heartbeat_us = now_us
            + self.params.initial_delay_us
            + self.params.heartbeat_us
            + below(phase, self.params.phase_us);
        this.history = VecDeque::from(vec![Vec::new(); self.params.history_length]);
    }

    /// Stops a node without a word to anybody: the others believe in their connections to it until
    /// [`disconnect`](Self::disconnect).
    pub fn stop(&mut self, node: usize) {
        self.forget(node);
    }

    fn forget(&mut self, node: usize) {
        self.messages.forget_node(node as u32);
        let this = &mut self.nodes[node];
        *this = Node {
            beats: this.beats,
            counters: this.counters,
            ..Node::default()
        };
    }

    /// Connects two nodes that are up, `a` having dialled. Both learn at once that the other is subscribed; if
    /// they need peers, their grafts are in `out`.
    ///
    /// A side that is connected to the other already takes this for a second connection and says nothing, as
    /// the crate does. So if `a` restarted and `b` has not been disconnected from it, `a` does not learn that
    /// `b` is subscribed and publishes nothing to it.
    pub fn connect(&mut self, a: usize, b: usize, now_us: u64, out: &mut Vec<Send>) {
        assert!(
            a != b && self.nodes[a].up && self.nodes[b].up,
            "{a} and {b} are two nodes that are up"
        );
        let a_is_new = self.nodes[a].add_link(b as u32, true);
        let b_is_new = self.nodes[b].add_link(a as u32, false);
        if b_is_new {
            self.subscribed(a, b as u32, out);
        }
        if a_is_new {
            self.subscribed(b, a as u32, out);
        }
        self.messages.expire(now_us);
    }

    /// `peer` has told `node` that it is subscribed.
    fn subscribed(&mut self, node: usize, peer: u32, out: &mut Vec<Send>) {
        let mesh_n_low = self.params.mesh_n_low;
        let this = &mut self.nodes[node];
        this.link_mut(peer)
            .expect("both sides of a new connection have a link")
            .subscribed = true;
        if !this.backoffs.holds(peer) && this.mesh.len() < mesh_n_low && !this.in_mesh(peer) {
            this.add_to_mesh(peer);
            self.send_graft(node, peer, out);
        }
    }

    /// Ends the connection between two nodes, on both sides. Backoffs stay.
    pub fn disconnect(&mut self, a: usize, b: usize) {
        self.nodes[a].remove_link(b as u32);
        self.nodes[b].remove_link(a as u32);
    }

    /// `node` publishes a message of `bytes` bytes. Returns to how many peers it is sent; 0 if there are none, in
    /// which case nobody will ever have the message, or if the node has it already.
    pub fn publish(
        &mut self,
        node: usize,
        id: MessageId,
        bytes: usize,
        now_us: u64,
        out: &mut Vec<Send>,
    ) -> usize {
        self.messages.expire(now_us);
        assert!(self.nodes[node].up, "node {node} is up");
        let me = node as u32;
        if self
            .messages
            .get(id)
            .is_some_and(|message| message.seen.contains(me))
        {
            return 0;
        }
        let recipients = self.recipients(node, id);
        let this = &mut self.nodes[node];
        if recipients.is_empty() {
            this.counters.publish_failures += 1;
            return 0;
        }

        this.remember(id);
        this.counters.published += 1;
        self.messages.see(id, me, now_us);
        let message = self.messages.get_mut(id).expect("it was just seen");
        message.bytes = bytes;
        message.author = Some(me);
        message.kept.insert(me);
        message.accepted.insert(me);
        message.promises.remove(&me);
        let announce = self.params.idontwant_on_publish && self.is_large(bytes);
        let ids: Arc<[MessageId]> = Arc::new([id]);
        for &peer in &recipients {
            if announce {
                self.nodes[node].counters.idontwant_sent += 1;
                push(out, node, peer, Rpc::IDontWant(ids.clone()));
            }
            self.send_copy(node, peer, id, out);
        }
        recipients.len()
    }

    /// To whom `node` sends its own message `id`.
    fn recipients(&self, node: usize, id: MessageId) -> Vec<u32> {
        let this = &self.nodes[node];
        let subscribed = this.links.iter().filter(|link| link.subscribed);
        if self.params.flood_publish {
            return subscribed.map(|link| link.peer).collect();
        }
        let mut extra: Vec<u32> = subscribed
            .map(|link| link.peer)
            .filter(|&peer| !this.in_mesh(peer))
            .collect();
        let needed = self.params.mesh_n.saturating_sub(this.mesh.len());
        choose(&mut extra, needed, |peer| {
            self.draw_for(node, Purpose::Extra, u64::from(id.0), peer)
        });
        extra.extend(&this.mesh);
        extra.sort_unstable();
        extra
    }

    /// `node` receives from `from`. After [`Received::New`] the world judges the message and calls
    /// [`forward`](Self::forward) or [`reject`](Self::reject).
    pub fn receive(
        &mut self,
        node: usize,
        from: usize,
        rpc: &Rpc,
        now_us: u64,
        out: &mut Vec<Send>,
    ) -> Received {
        self.messages.expire(now_us);
        let peer = from as u32;
        if self.nodes[node].link(peer).is_none() {
            return Received::Dropped;
        }
        match rpc {
            Rpc::Message(id) => return self.handle_message(node, peer, *id, now_us, out),
            Rpc::IHave(ids) => self.handle_ihave(node, peer, ids, out),
            Rpc::IWant(ids) => self.handle_iwant(node, peer, ids, out),
            Rpc::Graft => self.handle_graft(node, peer, now_us, out),
            Rpc::Prune => self.handle_prune(node, peer, now_us),
            Rpc::IDontWant(ids) => {
                for &id in ids.iter() {
                    self.nodes[node].set_unwanted(peer, id, now_us);
                }
            }
        }
        Received::Control
    }

    fn handle_message(
        &mut self,
        node: usize,
        peer: u32,
        id: MessageId,
        now_us: u64,
        out: &mut Vec<Send>,
    ) -> Received {
        let me = node as u32;
        self.nodes[node].counters.copies_received += 1;
        if !self.messages.see(id, me, now_us) {
            self.nodes[node].counters.duplicates += 1;
            let message = self.messages.get_mut(id).expect("it was seen");
            if message.kept.contains(me) && !message.accepted.contains(me) {
                message.early.entry(me).or_default().push(peer);
            }
            return Received::Duplicate;
        }
        let message = self.messages.get_mut(id).expect("it was just seen");
        message.kept.insert(me);
        let asked = message.promises.remove(&me);
        let bytes = message.bytes;
        self.nodes[node].remember(id);
        if self.is_large(bytes) {
            self.announce(node, peer, id, asked, out);
        }
        Received::New
    }

    /// Tells the mesh, and the peer that was `asked` for it, that a large message is here.
    fn announce(
        &mut self,
        node: usize,
        from: u32,
        id: MessageId,
        asked: Option<u32>,
        out: &mut Vec<Send>,
    ) {
        let this = &mut self.nodes[node];
        let ids: Arc<[MessageId]> = Arc::new([id]);
        let asked = asked
            .filter(|&peer| this.mesh.binary_search(&peer).is_err() && this.link(peer).is_some());
        for &peer in this.mesh.iter().chain(&asked).filter(|&&p| p != from) {
            this.counters.idontwant_sent += 1;
            push(out, node, peer, Rpc::IDontWant(ids.clone()));
        }
    }

    /// `node` has judged the message it first had from `from` good, and sends it to its mesh. Does nothing when
    /// the message has left the history in the meantime.
    pub fn forward(
        &mut self,
        node: usize,
        from: usize,
        id: MessageId,
        now_us: u64,
        out: &mut Vec<Send>,
    ) {
        self.messages.expire(now_us);
        let me = node as u32;
        let Some(message) = self.messages.get_mut(id) else {
            return;
        };
        if !message.kept.contains(me) {
            return;
        }
        message.accepted.insert(me);
        let early = message.early.remove(&me).unwrap_or_default();
        let author = message.author.filter(|_| self.params.authored);
        for at in 0..self.nodes[node].mesh.len() {
            let peer = self.nodes[node].mesh[at];
            if peer == from as u32 || Some(peer) == author || early.contains(&peer) {
                continue;
            }
            if self.nodes[node].is_unwanted(peer, id) {
                self.nodes[node].counters.copies_spared += 1;
            } else {
                self.send_copy(node, peer, id, out);
            }
        }
    }

    /// `node` has judged a message bad: it stays known as a duplicate, but is neither sent nor offered.
    pub fn reject(&mut self, node: usize, id: MessageId) {
        if let Some(message) = self.messages.get_mut(id) {
            message.drop_from(node as u32);
        }
    }

    fn handle_graft(&mut self, node: usize, peer: u32, now_us: u64, out: &mut Vec<Send>) {
        let this = &mut self.nodes[node];
        if this.in_mesh(peer) {
            return;
        }
        let link = this.link(peer).expect("the sender is connected");
        if this.backoffs.refuses(peer, now_us) {
            self.send_prune(node, peer, now_us, out);
        } else if !link.subscribed {
            // Dropped without an answer.
        } else if this.mesh.len() >= self.params.mesh_n_high && !link.outbound {
            self.send_prune(node, peer, now_us, out);
        } else {
            this.add_to_mesh(peer);
        }
    }

    fn handle_prune(&mut self, node: usize, peer: u32, now_us: u64) {
        // The backoff travels in whole seconds.
        let backoff_us = self.params.prune_backoff_us / 1_000_000 * 1_000_000;
        let this = &mut self.nodes[node];
        this.remove_from_mesh(peer);
        this.backoffs.extend(peer, backoff_us, now_us, &self.params);
    }

    /// When the next heartbeat of `node` is due; none if it is down.
    pub fn next_heartbeat(&self, node: usize) -> Option<u64> {
        let this = &self.nodes[node];
        this.up.then_some(this.next_heartbeat_us)
    }

    /// The nodes that `node` knows to be subscribed, in order.
    pub fn peers(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        let links = self.nodes[node].links.iter();
        links
            .filter(|link| link.subscribed)
            .map(|link| link.peer as usize)
    }

    /// The mesh of `node`, in order.
    pub fn mesh(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        self.nodes[node].mesh.iter().map(|&peer| peer as usize)
    }

    /// Whether `to` has told `from` that it does not want `id`: a copy still in a send queue can be dropped, as
    /// the crate drops it.
    pub fn is_unwanted(&self, from: usize, to: usize, id: MessageId) -> bool {
        self.nodes[from].is_unwanted(to as u32, id)
    }

    /// Whether `node` takes another copy of `id` for a duplicate.
    pub fn has_seen(&self, node: usize, id: MessageId) -> bool {
        let message = self.messages.get(id);
        message.is_some_and(|message| message.seen.contains(node as u32))
    }

    /// How long after it was last new to somebody a message is known again at least, in µs.
    pub fn remembers_us(&self) -> u64 {
        self.params.duplicate_cache_us
    }

    /// `node` receives a copy that the world knows to be a duplicate.
    pub fn count_duplicate(&mut self, node: usize) {
        let counters = &mut self.nodes[node].counters;
        counters.copies_received += 1;
        counters.duplicates += 1;
    }

    /// It does not, after all.
    pub fn uncount_duplicate(&mut self, node: usize) {
        let counters = &mut self.nodes[node].counters;
        counters.copies_received -= 1;
        counters.duplicates -= 1;
    }

    /// What `node` has sent and received.
    pub fn counters(&self, node: usize) -> &GossipCounters {
        &self.nodes[node].counters
    }

    /// Bytes of `rpc` on the wire.
    pub fn wire_bytes(&self, rpc: &Rpc) -> usize {
        let bytes = match rpc {
            Rpc::Message(id) => self.messages.get(*id).map_or(0, |message| message.bytes),
            _ => 0,
        };
        rpc.wire_bytes(&self.params, bytes)
    }

    /// Messages somebody still remembers.
    pub fn live_messages(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn send_copy(&mut self, node: usize, peer: u32, id: MessageId, out: &mut Vec<Send>) {
        self.nodes[node].counters.copies_sent += 1;
        push(out, node, peer, Rpc::Message(id));
    }

    pub(super) fn send_graft(&mut self, node: usize, peer: u32, out: &mut Vec<Send>) {
        self.nodes[node].counters.grafts += 1;
        push(out, node, peer, Rpc::Graft);
    }

    pub(super) fn send_prune(&mut self, node: usize, peer: u32, now_us: u64, out: &mut Vec<Send>) {
        let this = &mut self.nodes[node];
        this.counters.prunes += 1;
        this.backoffs
            .extend(peer, self.params.prune_backoff_us, now_us, &self.params);
        push(out, node, peer, Rpc::Prune);
    }

    /// A draw of `node` about `peer` on one occasion.
    pub(super) fn draw_for(&self, node: usize, purpose: Purpose, occasion: u64, peer: u32) -> u64 {
        let n = (occasion << 32) | u64::from(peer);
        draw(self.seed, node as u64, purpose, n)
    }

    fn is_large(&self, bytes: usize) -> bool {
        self.params.message_bytes(bytes) > self.params.idontwant_threshold_bytes
    }
}

pub(super) fn push(out: &mut Vec<Send>, from: usize, to: u32, rpc: Rpc) {
    out.push(Send {
        from,
        to: to as usize,
        rpc,
    });
}
