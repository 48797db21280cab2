//! What others say: frames, heads, parts.

use super::super::io::{Now, Output, Report, RequestId};
use super::super::store::{HeaderNews, OriginIndex, Store};
use super::super::sync::{Asked, Progress};
use super::super::view::mono_ms;
use super::statistics::count_spaces;
use super::{Replica, ms};
use crate::crdt::Delta;
use crate::model::ReplicaId;
use crate::wire::{
    About, Answer, Body, Digest, Frame, HeadInfo, Kind, Part, Response, SignedHeader,
};
use crate::zoo::{Fault, planted};

/// Answers that took longer than this many ms say too little about the other's wall clock.
const MAX_SKEW_ROUND_TRIP_MS: i64 = 2_000;

impl Replica {
    pub(super) fn on_frame(&mut self, from: ReplicaId, frame: Frame) {
        self.counters.frames_received += 1;
        let header = frame.header().clone();
        let Some((index, later)) = self.note_header(frame.signed().clone()) else {
            return;
        };
        let mono = mono_ms(self.now);
        let origin = self.store.get_mut(index);
        if later && header.kind != Kind::Leave {
            let up = i64::try_from(header.up_ms).unwrap_or(i64::MAX / 4);
            origin.lease.renew(mono, up, header.head);
            if origin.lease.wants_anchor(mono, &self.spans) {
                self.seek_anchor(from, header.replica);
            }
            self.restand(index);
        }
        self.hear_of_events(from, index, &header);
        if header.kind == Kind::Events {
            self.on_event_frame(from, index, frame);
        } else if let (_, Body::Delta(delta)) = frame.into_parts() {
            self.apply(index, delta, true);
        }
        let head = self.store.get(index).head();
        if header.head() > head {
            // Whoever handed it over may lack the same; the origin itself has it, so it is asked first.
            self.sync.want(header.replica, header.head(), from);
            self.sync
                .want(header.replica, header.head(), header.replica);
        }
    }

    /// Asks how old the news of `origin` is: itself, or whoever hands on its frames.
    fn seek_anchor(&mut self, from: ReplicaId, origin: ReplicaId) {
        if self.sync.is_up(origin) {
            self.sync.compare_with(origin);
        } else {
            self.sync.ask_heads(from, None);
        }
    }

    /// Takes in a signed header, whoever relayed it. Returns the origin, and whether the header is later than
    /// all known before; `None` when it is our own or is not taken.
    pub(super) fn note_header(&mut self, signed: SignedHeader) -> Option<(OriginIndex, bool)> {
        let header = signed.header().clone();
        if header.replica == self.id() {
            self.on_own_header(header.incarnation, header.frame);
            return None;
        }
        let known = self.store.find(header.replica);
        if known.is_none() {
            if self.store.len() >= self.config.limits.origins {
                self.counters.reject("origins");
                self.report_rarely("origins", Report::Full { limit: "origins" });
                return None;
            }
            if !self
                .graves
                .lift(header.replica, header.incarnation, header.frame)
            {
                self.counters.reject("grave");
                return None;
            }
            self.unsaved_grave(header.replica);
        }
        let mono = mono_ms(self.now);
        let index = known.unwrap_or_else(|| {
            let store = &mut self.store;
            store.add(header.replica, header.incarnation, mono)
        });
        let before = self.store.get(index).left();
        let news = self.store.get_mut(index).note(signed, mono);
        match &news {
            HeaderNews::Nothing => {}
            HeaderNews::Later => {
                self.unsaved_sign_of_life(header.replica);
                self.drop_settled(index);
            }
            HeaderNews::NewLife(keys) => {
                self.unsaved_whole(header.replica);
                self.sync.give_up(header.replica);
                self.store.get_mut(index).record = None;
                self.begin_events(index);
                self.refresh(index, keys);
                self.drop_settled(index);
                self.outbox.push_back(Output::MembersChanged);
            }
        }
        if self.store.get(index).left() != before {
            self.unsaved_keys(header.replica, &[]);
            self.refresh_all(index);
            self.outbox.push_back(Output::MembersChanged);
        }
        self.restand(index);
        Some((index, news != HeaderNews::Nothing))
    }

    fn drop_settled(&mut self, index: OriginIndex) {
        let keys = self.store.get_mut(index).drop_settled();
        self.refresh(index, &keys);
    }

    /// Applies a delta of another origin, which was gossiped or asked for.
    fn apply(&mut self, index: OriginIndex, delta: Delta, gossiped: bool) {
        assert_ne!(
            index,
            Store::OWN,
            "a delta of our own origin is never applied"
        );
        if planted(Fault::AcceptedByClock) {
            let limit_ms = self.now.wall_ms + ms(self.config.timing.max_clock_drift).unsigned_abs();
            let stamps = delta.entries.iter().map(|(_, entry)| entry.hlc());
            if stamps.max().is_some_and(|hlc| hlc.wall_ms() > limit_ms) {
                return;
            }
        }
        let limit = self.config.limits.entries_per_origin;
        let origin = self.store.get_mut(index);
        if origin.map.len().max(delta.entries.len()) > limit {
            self.counters.reject("entries");
            self.counters.remote_rejected.add_all(count_spaces(&delta));
            self.report_rarely(
                "entries_per_origin",
                Report::Full {
                    limit: "entries_per_origin",
                },
            );
            return;
        }
        // A newcomer is told of the past, which is no news.
        let news = gossiped || origin.map.head() > 0;
        let set_aside = self.count_delta(index, &delta);
        let origin = self.store.get_mut(index);
        let outcome = origin.accept(delta, self.config.limits.pending_ranges, mono_ms(self.now));
        self.counters.deltas_old += u64::from(outcome.old);
        self.counters.deltas_early += u64::from(outcome.early);
        if outcome.full {
            self.counters.reject("pending");
            self.counters.remote_rejected.add_all(set_aside);
        }
        self.counters.resets_applied += u64::from(outcome.reset && !outcome.old);
        if !outcome.old {
            self.applied(index, &outcome.changed, news);
        }
        self.follow(index);
    }

    /// Applies what waited for what is known now.
    pub(super) fn follow(&mut self, index: OriginIndex) {
        // One by one: what was said last before a withdrawal is to be seen, though both waited together.
        while let Some(outcome) = self.store.get_mut(index).follow(mono_ms(self.now)) {
            self.applied(index, &outcome.changed, true);
        }
        self.drop_settled(index);
        let origin = self.store.get(index);
        self.sync.got(origin.replica, origin.head());
        self.restand(index);
    }

    fn applied(&mut self, index: OriginIndex, changed: &[crate::model::Key], news: bool) {
        self.count_applied(index, changed, news);
        self.observe(index, changed);
        let replica = self.store.get(index).replica;
        self.unsaved_keys(replica, changed);
        self.refresh(index, changed);
    }

    /// Learns the stamps of what was written, so that later writes here are above them.
    pub(super) fn observe(&mut self, index: OriginIndex, changed: &[crate::model::Key]) {
        let drift = u64::try_from(ms(self.config.timing.max_clock_drift)).unwrap_or_default();
        let map = &self.store.get(index).map;
        for entry in changed.iter().filter_map(|key| map.get(key)) {
            self.own.clock.observe(entry.hlc(), self.now.wall_ms, drift);
        }
    }

    pub(super) fn on_response(&mut self, from: ReplicaId, id: RequestId, response: Response) {
        let Some(asking) = self.sync.answered(from, id, mono_ms(self.now)) else {
            self.counters.reject("late");
            return;
        };
        match (asking.what, response.answer) {
            (Asked::Root(_), Answer::Equal) => {
                self.counters.rounds_equal += 1;
                self.ready = true;
                if let Some(index) = self.store.find(from) {
                    // Its own head was ours when we asked, and ours never goes back.
                    let origin = self.store.get_mut(index);
                    origin.lease.claim(asking.sent_at, origin.map.head());
                }
            }
            (Asked::Root(root), Answer::Heads { heads, more }) => {
                self.counters.rounds_unequal += 1;
                self.compare(from, heads, None, more, asking.sent_at, Some(root));
            }
            (Asked::Heads(after), Answer::Heads { heads, more }) => {
                self.compare(from, heads, after, more, asking.sent_at, None);
            }
            (Asked::Have, Answer::Noted) => {}
            (Asked::Pull(origins), Answer::Parts { parts, more }) => {
                for part in parts {
                    self.on_part(from, part, asking.sent_at);
                }
                if !more {
                    self.sync.exhausted(&origins, from);
                }
                self.ready |= self.sync.is_complete();
            }
            (Asked::Events(after, upto), Answer::Events { frames, more }) => {
                self.on_remembered(from, (after, upto), frames, more);
            }
            _ => self.counters.reject("answer"),
        }
        self.note_about(from, response.about, asking.sent_at);
    }

    /// The answerer itself was alive after we asked.
    fn note_about(&mut self, from: ReplicaId, about: About, sent_at: i64) {
        let mono = mono_ms(self.now);
        let round_trip = mono - sent_at;
        if round_trip <= MAX_SKEW_ROUND_TRIP_MS {
            let wall = |wall_ms: u64| i64::try_from(wall_ms).unwrap_or(i64::MAX / 4);
            self.sync.set_skew(
                from,
                wall(about.wall_ms) - (wall(self.now.wall_ms) - round_trip / 2),
            );
            self.check_clock();
        }
        let Some(index) = self.store.find(from).filter(|index| *index != Store::OWN) else {
            return;
        };
        let origin = self.store.get_mut(index);
        if origin.map.incarnation() == about.incarnation && !origin.left() {
            let up = i64::try_from(about.up_ms).unwrap_or(i64::MAX / 4);
            origin.lease.anchor(mono, sent_at, 0, up, true);
            self.restand(index);
        }
    }

    /// Holds a peer's heads against ours: what it has more of we want, what we have more of we offer.
    fn compare(
        &mut self,
        from: ReplicaId,
        heads: Vec<HeadInfo>,
        after: Option<ReplicaId>,
        more: bool,
        sent_at: i64,
        root: Option<Digest>,
    ) {
        let last = heads.last().map(|info| info.replica);
        let mut differs = self.note_heads(from, &heads, Some(sent_at));
        let mut listed: Vec<ReplicaId> = heads.iter().map(|info| info.replica).collect();
        // They come in order, unless somebody is confused.
        listed.sort_unstable();
        let unlisted = self.store.after(after).map(|(replica, _)| replica);
        let unlisted = unlisted.take_while(|replica| !more || Some(*replica) <= last);
        let unlisted: Vec<ReplicaId> = unlisted
            .filter(|replica| listed.binary_search(replica).is_err())
            .collect();
        for origin in unlisted {
            differs = true;
            self.sync.offer(from, origin);
        }
        if more && last.is_some() {
            self.sync.ask_heads(from, last);
        } else {
            self.ready |= self.sync.is_complete();
        }
        if after.is_none() && !more && !differs && root == Some(self.digest()) {
            self.counters.reject("diverged");
            self.report_rarely("diverged", Report::Diverged { peer: from });
        }
    }

    /// Wants what the heads show that we lack, and offers what they show that the peer lacks. `answered`:
    /// when the question was sent that they answer. Says whether there was any difference.
    pub(super) fn note_heads(
        &mut self,
        from: ReplicaId,
        heads: &[HeadInfo],
        answered: Option<i64>,
    ) -> bool {
        let mono = mono_ms(self.now);
        let forget = ms(self.config.timing.forget_after);
        let mut differs = false;
        for info in heads {
            if info.shard != 0 {
                self.counters.reject("shard");
                continue;
            }
            let age = info
                .alive
                .map(|alive| i64::try_from(alive.age_ms).unwrap_or(i64::MAX / 4));
            if age.is_some_and(|age| age >= forget)
                || self.graves.holds(info.replica, info.head.incarnation)
            {
                continue;
            }
            let Some(index) = self.store.find(info.replica) else {
                differs = true;
                self.sync.want(info.replica, info.head, from);
                continue;
            };
            let ours = self.head_info(index);
            if is_ahead(info, &ours) {
                differs = true;
                self.sync.want(info.replica, info.head, from);
            }
            let same_life = ours.head.incarnation == info.head.incarnation;
            if let (Some(sent_at), true) = (answered, same_life && index != Store::OWN) {
                let age = if info.replica == from { Some(0) } else { age };
                if let Some(age) = age {
                    let lease = &mut self.store.get_mut(index).lease;
                    lease.claim(sent_at.saturating_sub(age), info.head.seq);
                }
            }
            if let (Some(sent_at), Some(alive), true) =
                (answered, info.alive, same_life && index != Store::OWN)
            {
                let up = i64::try_from(alive.up_ms).unwrap_or(i64::MAX / 4);
                let age = age.unwrap_or_default();
                self.store.get_mut(index).lease.anchor(
                    mono,
                    sent_at,
                    age,
                    up,
                    info.replica == from,
                );
                self.restand(index);
            }
            if is_ahead(&ours, info) {
                differs = true;
                self.sync.offer(from, info.replica);
            }
        }
        differs
    }

    fn on_part(&mut self, from: ReplicaId, part: Part, sent_at: i64) {
        if part.shard != 0 {
            self.counters.reject("shard");
            return;
        }
        let header = part.header.header().clone();
        let Some((index, _)) = self.note_header(part.header.clone()) else {
            return;
        };
        let mono = mono_ms(self.now);
        let origin = self.store.get_mut(index);
        if origin.map.incarnation() != header.incarnation {
            return;
        }
        if header.replica == from {
            origin.lease.claim(sent_at, header.head);
        }
        let bounded = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX / 4);
        let silent_since = sent_at.saturating_sub(bounded(part.silent_ms));
        origin.lease.known_since(silent_since);
        if let Some(alive) = part.alive.filter(|_| !origin.left()) {
            if let Some(upto) = part.upto {
                let complete = sent_at.saturating_sub(bounded(alive.age_ms));
                origin.lease.claim(complete, upto);
            }
            origin.lease.anchor(
                mono,
                sent_at,
                bounded(alive.age_ms),
                bounded(alive.up_ms),
                false,
            );
        }
        self.restand(index);
        if planted(Fault::RelayRenews) {
            let up = i64::try_from(header.up_ms).unwrap_or(i64::MAX / 4);
            let lease = &mut self.store.get_mut(index).lease;
            lease.anchor(mono, mono, 0, up, true);
            lease.claim(mono, 0);
            self.restand(index);
        }
        match self.sync.stage(from, part) {
            Progress::Complete(delta) if delta.check().is_ok() => self.apply(index, delta, false),
            Progress::Complete(delta) => {
                self.counters.reject("part");
                self.counters.remote_rejected.add_all(count_spaces(&delta));
            }
            Progress::Broken => self.counters.reject("part"),
            Progress::Staged => {}
            Progress::Full => {
                self.counters.reject("staged");
                self.report_rarely(
                    "staged_entries",
                    Report::Full {
                        limit: "staged_entries",
                    },
                );
            }
        }
        let head = self.store.get(index).head();
        self.sync.got(header.replica, head);
    }

    /// Checks nothing, changes nothing: the time of the last input, for what needs one.
    pub(super) fn time(&self) -> Now {
        self.now
    }
}

/// Whether `a` knows something of the same origin that `b` does not: more of its writes, or that it left or
/// settled.
fn is_ahead(a: &HeadInfo, b: &HeadInfo) -> bool {
    a.head > b.head || (a.head == b.head && ((a.left && !b.left) || (a.settled && !b.settled)))
}
