//! Questions and answers between two replicas.

use std::time::Duration;

use libp2p::request_response::{Event, InboundFailure, Message, ResponseChannel};

use super::super::address::{peer_id, replica_id};
use super::super::sync_codec::Refused;
use super::Driver;
use crate::model::ReplicaId;
use crate::proto::{Input, RequestId};
use crate::wire::{Request, Response};

type Received = Event<Result<Request, Refused>, Result<Response, Refused>>;

/// Questions of others answered at the same time. The replica answers at once, so more than one waits only
/// while it is being handled; further ones get no answer, and are asked again.
const MAX_ANSWERING: usize = 256;

impl Driver {
    pub(super) fn ask(&mut self, to: ReplicaId, id: RequestId, request: Request) {
        let peer = peer_id(to);
        // Otherwise libp2p would dial: whom to dial is decided elsewhere.
        if !self.swarm.is_connected(&peer) {
            self.failed(to, id);
            return;
        }
        let asked = self
            .swarm
            .behaviour_mut()
            .sync
            .send_request(&peer, Ok(request));
        self.asked.insert(asked, id);
    }

    pub(super) fn answer(&mut self, to: ReplicaId, id: RequestId, response: Response) {
        let Some(channel) = self.answering.remove(&id) else {
            return;
        };
        match self
            .swarm
            .behaviour_mut()
            .sync
            .send_response(channel, Ok(response))
        {
            Ok(()) => self.shared.count(|counters| counters.requests_served += 1),
            Err(_) => tracing::debug!(peer = %to, "a peer went away before it was answered"),
        }
    }

    pub(super) fn on_sync(&mut self, event: Received, now: Duration) {
        match event {
            Event::Message { peer, message, .. } => {
                let Some(from) = replica_id(&peer) else {
                    return;
                };
                match message {
                    Message::Request {
                        request, channel, ..
                    } => self.on_request(from, request, channel, now),
                    Message::Response {
                        request_id,
                        response,
                    } => {
                        if self.pinged(request_id, response.is_ok().then_some(now)) {
                            return;
                        }
                        let Some(id) = self.asked.remove(&request_id) else {
                            return;
                        };
                        self.on_response(from, id, response, now);
                    }
                }
            }
            Event::OutboundFailure {
                peer,
                request_id,
                error,
                ..
            } => {
                tracing::debug!(%peer, %error, "a question was not answered");
                if self.pinged(request_id, None) {
                    return;
                }
                if let (Some(id), Some(to)) = (self.asked.remove(&request_id), replica_id(&peer)) {
                    self.failed(to, id);
                }
            }
            // Refused questions are left unanswered on purpose, and were counted.
            Event::InboundFailure {
                error: InboundFailure::ResponseOmission,
                ..
            }
            | Event::ResponseSent { .. } => {}
            Event::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "an answer was not sent")
            }
        }
    }

    fn on_request(
        &mut self,
        from: ReplicaId,
        request: Result<Request, Refused>,
        channel: ResponseChannel<Result<Response, Refused>>,
        now: Duration,
    ) {
        let request = match request {
            Ok(_) if self.answering.len() >= MAX_ANSWERING => Err("busy"),
            other => other,
        };
        match request {
            Ok(request) => {
                self.care.heard(from, None, now);
                self.next_question += 1;
                let id = RequestId(self.next_question);
                self.answering.insert(id, channel);
                self.shared.with_turns(|replica, now| {
                    replica.begin(Input::Request { from, id, request }, now)
                });
            }
            Err(why) => {
                tracing::debug!(peer = %from, why, "a question was refused");
                self.shared
                    .count(|counters| counters.reject("request", why));
            }
        }
    }

    fn on_response(
        &mut self,
        from: ReplicaId,
        id: RequestId,
        response: Result<Response, Refused>,
        now: Duration,
    ) {
        match response {
            Ok(response) => {
                self.care.heard(from, None, now);
                self.shared.with_turns(|replica, now| {
                    replica.begin(Input::Response { from, id, response }, now)
                });
            }
            Err(why) => {
                tracing::debug!(peer = %from, why, "an answer was refused");
                self.shared
                    .count(|counters| counters.reject("response", why));
                self.failed(from, id);
            }
        }
    }

    fn failed(&mut self, to: ReplicaId, id: RequestId) {
        self.shared.count(|counters| counters.requests_failed += 1);
        self.shared
            .with_turns(|replica, now| replica.begin(Input::RequestFailed { to, id }, now));
    }
}
