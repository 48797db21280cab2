//! Messages on their way.

use std::sync::Arc;

use bytes::Bytes;

use super::super::gossip::{MessageId, Received, Rpc, Send};
use super::super::prf::{Purpose, prf};
use super::{
    Cargo, Cause, DECODING_NODES, Damaged, ENVELOPE_BYTES, Event, KEEP_MESSAGES_US, Message,
    Packet, Sent, Step, World,
};
use crate::model::ReplicaId;
use crate::proto::{Input, RequestId};
use crate::wire::{Answer, Body, Draft, Frame, Request, Response};

/// A node's requests carry its number in the upper bits, so that the answer finds it among its clones.
const ASKER_SHIFT: u32 = 40;
/// The asker of a request that was made of noise: nobody waits for the answer.
const NOBODY: u64 = (1 << (64 - ASKER_SHIFT)) - 1;
/// Frames that would wait longer than this to be sent are dropped, as gossipsub does (`forward_queue_duration`).
const QUEUE_US: u64 = 5_000_000;
/// Asking someone who is not there fails after this long.
const REFUSED_US: u64 = 1_000;

impl World {
    /// Takes a frame from a replica and gossips it.
    pub(super) fn publish(&mut self, node: usize, draft: Draft) -> Sent {
        let (frame, bytes) = draft.sign_frame();
        self.trace.bytes(&bytes);
        self.figures.frames += 1;
        let frame = frame.unwrap_or_else(|| {
            Frame::decode(&bytes, &self.mesh).expect("what a replica signs is genuine")
        });
        let entries = match frame.body() {
            Body::Delta(delta) => delta.entries.len() as u64,
            Body::Empty => 0,
            Body::Events(batch) => batch.events().len() as u64,
        };
        let frame = Arc::new(frame);
        let length = bytes.len();
        while let Some(first) = self.messages.front()
            && first.at_us + KEEP_MESSAGES_US < self.now_us
        {
            self.messages.pop_front();
            self.first_message += 1;
        }
        let number = u32::try_from(self.messages.len()).expect("messages are forgotten in time");
        let id = MessageId(self.first_message + number);
        self.messages.push_back(Message {
            bytes,
            frame: frame.clone(),
            entries,
            at_us: self.now_us,
        });
        self.spreads.begin(id, self.nodes.len(), self.now_us);
        let mut sends = std::mem::take(&mut self.sends);
        if let Some(gossip) = &mut self.gossip {
            gossip.publish(node, id, length, self.now_us, &mut sends);
        }
        self.carry(sends);
        Sent::Frame(frame)
    }

    fn message(&self, id: MessageId) -> Option<&Message> {
        let number = id.0.checked_sub(self.first_message)?;
        self.messages.get(number as usize)
    }

    /// Sends what gossip wants sent.
    pub(super) fn carry(&mut self, mut sends: Vec<Send>) {
        for Send { from, to, rpc } in sends.drain(..) {
            let gossip = self.gossip.as_ref().expect("it has something to send");
            let bytes = u32::try_from(gossip.wire_bytes(&rpc)).unwrap_or(u32::MAX);
            if let Rpc::Message(id) = &rpc {
                self.figures.payload_elements += self.message(*id).map_or(0, |sent| sent.entries);
            }
            self.post(from, to, bytes + ENVELOPE_BYTES, Cargo::Gossip(rpc));
        }
        self.sends = sends;
    }

    /// Sends a request.
    pub(super) fn ask(&mut self, node: usize, to: ReplicaId, id: RequestId, request: Arc<Request>) {
        let bytes = request.encode();
        self.trace.bytes(&bytes);
        self.figures.metadata_units += match &*request {
            Request::Have(heads) => heads.len() as u64,
            Request::Pull(wants) => wants.len() as u64,
            _ => 1,
        };
        let peer = self.peer_of(node, to);
        let Some(peer) = peer else {
            let life = self.nodes[node].life;
            let packet = Packet {
                from: node,
                to: node,
                life,
                bytes: 0,
                cargo: Cargo::Refused(id),
            };
            self.refused(packet, to);
            return;
        };
        assert!(id.0 >> ASKER_SHIFT == 0, "requests are numbered from 1");
        let marked = RequestId(id.0 | (node as u64) << ASKER_SHIFT);
        self.post(
            node,
            peer,
            bytes.len() as u32 + ENVELOPE_BYTES,
            Cargo::Request(marked, request),
        );
    }

    fn refused(&mut self, mut packet: Packet, asked: ReplicaId) {
        packet.from = self.numbers(asked)[0];
        self.queue
            .put(self.now_us + REFUSED_US, Event::Arrive(packet));
    }

    /// The connected node of that id; of clones, the one with the greatest number.
    fn peer_of(&self, node: usize, id: ReplicaId) -> Option<usize> {
        self.numbers(id)
            .iter()
            .rev()
            .copied()
            .find(|number| self.nodes[node].peers.contains(*number))
    }

    /// Sends the answer to a request.
    pub(super) fn answer(
        &mut self,
        node: usize,
        to: ReplicaId,
        id: RequestId,
        response: Arc<Response>,
    ) {
        let bytes = response.encode();
        self.trace.bytes(&bytes);
        match &response.answer {
            Answer::Heads { heads, .. } => self.figures.metadata_units += heads.len() as u64,
            Answer::Parts { parts, .. } => {
                self.figures.metadata_units += parts.len() as u64;
                for part in parts {
                    self.figures.payload_elements += part.entries.len() as u64;
                    self.figures.resets += u64::from(part.reset.is_some());
                }
            }
            _ => self.figures.metadata_units += 1,
        }
        let asker = id.0 >> ASKER_SHIFT;
        if asker == NOBODY {
            return;
        }
        let asker = usize::try_from(asker).expect("a node's number");
        debug_assert_eq!(self.id(asker), to, "answers go to who asked");
        let id = RequestId(id.0 & ((1 << ASKER_SHIFT) - 1));
        self.post(
            node,
            asker,
            bytes.len() as u32 + ENVELOPE_BYTES,
            Cargo::Response(id, response),
        );
    }

    /// Puts a message on its way, if there is one.
    fn post(&mut self, from: usize, to: usize, bytes: u32, cargo: Cargo) {
        let packet = Packet {
            from,
            to,
            life: self.nodes[to].life,
            bytes,
            cargo,
        };
        let sender = &mut self.figures.nodes[from];
        sender.sent_bytes += u64::from(bytes);
        sender.sent_messages += 1;
        if self.links.holds(from, to) {
            self.held.push(packet);
        } else if self.links.passes(from, to) {
            self.transmit(packet);
        } else {
            self.figures.lost += 1;
        }
    }

    /// Lets a message go that nothing blocks.
    pub(super) fn transmit(&mut self, packet: Packet) {
        let (from, to) = (packet.from, packet.to);
        let mut start_us = self.now_us;
        if let Some(rate) = self.links.bandwidth() {
            let sending = &mut self.nodes[from].sending_until_us;
            start_us = start_us.max(*sending);
            let gossiped = matches!(packet.cargo, Cargo::Gossip(_));
            if gossiped && start_us - self.now_us > QUEUE_US {
                self.figures.queue_drops += 1;
                return;
            }
            *sending = start_us + u64::from(packet.bytes) * 1_000_000 / rate.max(1);
            start_us = *sending;
        }
        let fate = self.links.send(from, to, start_us);
        if fate.arrives_us.is_none() {
            self.figures.lost += 1;
        }
        if let Some(at) = fate.arrives_us
            && matches!(packet.cargo, Cargo::Gossip(Rpc::Message(_)))
        {
            self.slowest_hop_us = self.slowest_hop_us.max(at - self.now_us);
        }
        if let Some(at) = fate.damaged_us
            && let Some((kind, bytes)) = self.damaged(&packet, at)
        {
            let cargo = Cargo::Damaged(kind, bytes);
            let packet = Packet {
                cargo,
                ..packet.clone()
            };
            self.queue.put(at, Event::Arrive(packet));
        }
        if let (Some(at), Cargo::Gossip(Rpc::Message(id))) = (fate.replayed_us, &packet.cargo) {
            let cargo = Cargo::Replay(*id);
            let packet = Packet {
                cargo,
                ..packet.clone()
            };
            self.queue.put(at, Event::Arrive(packet));
        }
        if let Some(at) = fate.again_us {
            self.queue.put(at, Event::Arrive(packet.clone()));
        }
        if let Some(at) = fate.arrives_us
            && !self.is_spare(&packet, at)
        {
            self.queue.put(at, Event::Arrive(packet));
        }
    }

    /// A copy of a message with some of its bytes changed, or noise in its place.
    fn damaged(&self, packet: &Packet, n: u64) -> Option<(Damaged, Bytes)> {
        let (kind, mut bytes) = match &packet.cargo {
            Cargo::Gossip(Rpc::Message(id)) => (Damaged::Frame, self.message(*id)?.bytes.to_vec()),
            Cargo::Request(_, request) => (Damaged::Request, request.encode()),
            Cargo::Response(_, response) => (Damaged::Response, response.encode()),
            _ => return None,
        };
        let pair = (packet.from as u64) << 32 | packet.to as u64;
        let draw = |i: u64| prf(self.seed, pair, Purpose::Garbage, n.wrapping_mul(64) + i);
        let genuine = bytes.clone();
        match draw(0) % 4 {
            0 => {
                for i in 0..1 + draw(1) % 3 {
                    let at = draw(2 + i) as usize % bytes.len();
                    bytes[at] ^= 1 << (draw(8 + i) % 8);
                }
            }
            1 => bytes.truncate(draw(1) as usize % bytes.len()),
            2 => bytes.extend((0..1 + draw(1) % 16).map(|i| draw(16 + i) as u8)),
            _ => bytes = (0..draw(1) % 512).map(|i| draw(100 + i) as u8).collect(),
        }
        // Bits flipped twice are as they were.
        (bytes != genuine).then(|| (kind, bytes.into()))
    }

    /// Something arrives.
    pub(super) fn arrive(&mut self, packet: Packet) -> Option<Step> {
        let (from, to) = (packet.from, packet.to);
        if let Cargo::Refused(id) = packet.cargo {
            let input = Input::RequestFailed {
                to: self.id(from),
                id,
            };
            return self.nodes[to]
                .lives(packet.life)
                .then(|| self.handle(to, input, Cause::Failed));
        }
        let connected = self.nodes[to].peers.contains(from);
        if !self.nodes[to].lives(packet.life) || !connected || !self.links.passes(from, to) {
            self.figures.lost += 1;
            if let Cargo::Gossip(Rpc::Message(id)) = packet.cargo {
                self.miss(to, id);
            }
            return None;
        }
        let receiver = &mut self.figures.nodes[to];
        receiver.received_bytes += u64::from(packet.bytes);
        receiver.received_messages += 1;
        let sender = self.id(from);
        match packet.cargo {
            Cargo::Gossip(rpc) => self.arrive_gossip(from, to, &rpc),
            Cargo::Replay(id) => {
                let frame = self.message(id)?.frame.as_ref().clone();
                let input = Input::Frame {
                    from: sender,
                    frame,
                };
                Some(self.handle(to, input, Cause::Frame))
            }
            Cargo::Request(id, request) => {
                let request = self.decoded_request(&request);
                let input = Input::Request {
                    from: sender,
                    id,
                    request,
                };
                Some(self.handle(to, input, Cause::Request))
            }
            Cargo::Response(id, response) => {
                let response = self.decoded_response(&response);
                let input = Input::Response {
                    from: sender,
                    id,
                    response,
                };
                Some(self.handle(to, input, Cause::Response))
            }
            Cargo::Damaged(kind, bytes) => self.arrive_damaged(from, to, kind, &bytes),
            Cargo::Refused(_) => None,
        }
    }

    fn arrive_gossip(&mut self, from: usize, to: usize, rpc: &Rpc) -> Option<Step> {
        let gossip = self.gossip.as_mut()?;
        let mut sends = std::mem::take(&mut self.sends);
        let received = gossip.receive(to, from, rpc, self.now_us, &mut sends);
        self.carry(sends);
        let Rpc::Message(id) = rpc else { return None };
        self.figures.copies += 1;
        self.figures.nodes[to].copies += 1;
        if received != Received::New {
            if received == Received::Dropped {
                self.miss(to, *id);
            }
            return None;
        }
        self.trace.word(self.now_us ^ u64::from(id.0) << 32);
        self.trace.word((from as u64) << 32 | to as u64);
        let Some(message) = self.message(*id).cloned() else {
            self.gossip.as_mut()?.reject(to, *id);
            return None;
        };
        self.figures.deliveries += 1;
        self.figures.delivery.add(self.now_us - message.at_us);
        let mut sends = std::mem::take(&mut self.sends);
        self.gossip
            .as_mut()?
            .forward(to, from, *id, self.now_us, &mut sends);
        self.carry(sends);
        let frame = if self.nodes.len() <= DECODING_NODES {
            Frame::decode(&message.bytes, &self.mesh).expect("it was genuine when it was sent")
        } else {
            message.frame.as_ref().clone()
        };
        let from = self.id(from);
        Some(self.handle(to, Input::Frame { from, frame }, Cause::Frame))
    }

    fn decoded_request(&self, request: &Arc<Request>) -> Request {
        if self.nodes.len() <= DECODING_NODES {
            Request::decode(&request.encode()).expect("what a replica asks decodes")
        } else {
            request.as_ref().clone()
        }
    }

    fn decoded_response(&self, response: &Arc<Response>) -> Response {
        if self.nodes.len() <= DECODING_NODES {
            Response::decode(&response.encode(), &self.mesh)
                .expect("what a replica answers decodes")
        } else {
            response.as_ref().clone()
        }
    }

    /// Damaged bytes must be refused; requests and answers that still make sense are handed over as what a
    /// confused member might send.
    fn arrive_damaged(
        &mut self,
        from: usize,
        to: usize,
        kind: Damaged,
        bytes: &[u8],
    ) -> Option<Step> {
        let sender = self.id(from);
        let noise = prf(self.seed, to as u64, Purpose::Garbage, self.now_us);
        match kind {
            Damaged::Frame => {
                if Frame::decode(bytes, &self.mesh).is_ok() {
                    self.forged += 1;
                } else {
                    self.figures.garbage_refused += 1;
                }
                None
            }
            Damaged::Request => match Request::decode(bytes) {
                Ok(request) => {
                    let id = RequestId(NOBODY << ASKER_SHIFT | noise & 0xffff);
                    let input = Input::Request {
                        from: sender,
                        id,
                        request,
                    };
                    Some(self.handle(to, input, Cause::Request))
                }
                Err(_) => {
                    self.figures.garbage_refused += 1;
                    None
                }
            },
            Damaged::Response => match Response::decode(bytes, &self.mesh) {
                Ok(response) => {
                    let id = RequestId(noise | 1 << 63);
                    let input = Input::Response {
                        from: sender,
                        id,
                        response,
                    };
                    Some(self.handle(to, input, Cause::Response))
                }
                Err(_) => {
                    self.figures.garbage_refused += 1;
                    None
                }
            },
        }
    }

    pub(super) fn on_heartbeat(&mut self, node: usize, life: u32) {
        if !self.nodes[node].lives(life) {
            return;
        }
        let Some(gossip) = &mut self.gossip else {
            return;
        };
        let mut sends = std::mem::take(&mut self.sends);
        gossip.heartbeat(node, self.now_us, &mut sends);
        let next = gossip.next_heartbeat(node);
        self.carry(sends);
        if let Some(next) = next {
            let next = next.max(self.now_us + 1);
            self.queue.put(next, Event::Heartbeat(node, life));
        }
    }
}
