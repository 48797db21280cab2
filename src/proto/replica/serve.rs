//! Answering what others ask.

use super::super::io::{Output, RequestId};
use super::super::store::{OriginIndex, Store};
use super::super::view::mono_ms;
use super::{Replica, ms};
use crate::crdt::Piece;
use crate::model::ReplicaId;
use crate::wire::{
    About, Answer, Frame, HeadInfo, Kind, MAX_HEADS_PER_MESSAGE, PART_BUDGET_BYTES, Part, Request,
    Response, SignedHeader, Want,
};
use crate::zoo::{Fault, planted};

/// What a part takes besides its entries: a signed header and some numbers.
const PART_OVERHEAD_BYTES: usize = 320;

impl Replica {
    pub(super) fn on_request(&mut self, from: ReplicaId, id: RequestId, request: Request) {
        self.store.keep_root();
        let answer = match request {
            Request::Root(root) if root == self.digest() => Answer::Equal,
            Request::Root(_) => self.heads(None),
            Request::Heads(after) => self.heads(after),
            Request::Have(heads) => {
                self.note_heads(from, &heads, None);
                Answer::Noted
            }
            Request::Pull(wants) => self.parts(from, &wants),
            Request::Events(wanted) => self.answer_events(from, &wanted),
        };
        let now = self.time();
        let about = About {
            incarnation: self.incarnation(),
            up_ms: u64::try_from(mono_ms(now)).unwrap_or_default(),
            wall_ms: now.wall_ms,
        };
        self.outbox.push_back(Output::Respond {
            to: from,
            id,
            response: Response { about, answer },
        });
    }

    /// What we have of one origin, as we tell it.
    pub(super) fn head_info(&self, index: OriginIndex) -> HeadInfo {
        let info = self.store.get(index).head_info(mono_ms(self.now));
        if index != Store::OWN {
            return info;
        }
        let (left, settled) = self.own_standing();
        HeadInfo {
            alive: None,
            left,
            settled,
            ..info
        }
    }

    /// Who has been silent for `forget_after` is not told of, so that it is forgotten everywhere.
    fn heads(&self, after: Option<ReplicaId>) -> Answer {
        let mono = mono_ms(self.now);
        let forget = ms(self.config.timing.forget_after);
        let mut heads = Vec::new();
        for (_, index) in self.store.after(after) {
            if index != Store::OWN && self.store.get(index).lease.age(mono) >= forget {
                continue;
            }
            if heads.len() == MAX_HEADS_PER_MESSAGE {
                return Answer::Heads { heads, more: true };
            }
            heads.push(self.head_info(index));
        }
        Answer::Heads { heads, more: false }
    }

    fn parts(&mut self, from: ReplicaId, wants: &[Want]) -> Answer {
        let mut parts = Vec::new();
        let mut budget = self.config.limits.part_bytes.min(PART_BUDGET_BYTES);
        for want in wants {
            if budget < 2 * PART_OVERHEAD_BYTES && !parts.is_empty() {
                return Answer::Parts { parts, more: true };
            }
            let for_entries = budget.saturating_sub(PART_OVERHEAD_BYTES);
            let Some((part, bytes)) = self.part(from, want, for_entries) else {
                continue;
            };
            let complete = part.upto.is_some() || want.replica == from;
            budget = budget.saturating_sub(PART_OVERHEAD_BYTES + bytes);
            self.counters.entries_served += part.entries.len() as u64;
            let begins = part.after == part.base;
            self.counters.resets_served += u64::from(part.reset.is_some() && begins);
            parts.push(part);
            if !complete {
                return Answer::Parts { parts, more: true };
            }
        }
        Answer::Parts { parts, more: false }
    }

    /// The next piece of what is wanted of one origin, if we have more of it, or newer word from it; and how
    /// many bytes its entries take at most.
    fn part(&mut self, from: ReplicaId, want: &Want, budget: usize) -> Option<(Part, usize)> {
        let index = self.store.find(want.replica).filter(|_| want.shard == 0)?;
        let header = self.header(index)?;
        let origin = self.store.get(index);
        let mono = mono_ms(self.now);
        let (alive, silent_ms) = if index == Store::OWN {
            (None, 0)
        } else {
            let silent = u64::try_from(origin.lease.age(mono)).expect("ages are not negative");
            (origin.lease.alive(mono), silent)
        };
        let signed = header.header().head;
        let mut piece = if want.replica == from && !planted(Fault::ReplyEchoes) {
            // Its own entries are never sent back to it; that there is a later life of it, it must know.
            Piece::default()
        } else {
            origin.map.piece(want.head, want.resume, budget)?
        };
        if planted(Fault::UptoAboveOwnHead) {
            piece.upto = piece.upto.map(|upto| upto.max(signed));
        }
        let part = Part {
            header,
            shard: 0,
            reset: piece.reset,
            base: piece.base,
            after: piece.after,
            upto: piece.upto,
            alive,
            silent_ms,
            entries: piece.entries,
        };
        Some((part, piece.bytes))
    }

    /// The latest header of an origin; for our own, one signed now.
    fn header(&mut self, index: OriginIndex) -> Option<SignedHeader> {
        if index == Store::OWN {
            let header = self.next_header(Kind::Beat);
            let (frame, _) = Frame::sign(&self.identity, self.config.mesh, header, None);
            return Some(frame.into_parts().0);
        }
        self.store.get(index).header.clone()
    }
}
