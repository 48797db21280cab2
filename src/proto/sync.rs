//! Whom to ask for what: the bookkeeping of anti-entropy.
//!
//! Decides nothing about data. Knows the peers that can be asked, what is missing and who has it, what is
//! being transferred in parts, and which question is out to whom: at most one to each peer.

use std::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;

use super::building::Building;
use super::config::Limits;
use super::events::Events;
use super::io::RequestId;
use super::staged::{Built, Staged};
use super::store::Store;
use crate::crdt::{Delta, Head};
use crate::model::ReplicaId;
use crate::wire::{Digest, MAX_HEADS_PER_MESSAGE, Part, Request, Resume, Want};

/// Wants in one pull. More would only make the answer longer than one message.
const MAX_WANTS: usize = 512;
/// Peers remembered as having what is missing; further ones add nothing.
const MAX_TELLERS: usize = 4;
/// An unanswered question is given up after this many ms at most; the network layer usually says so earlier.
const GIVE_UP_MS: i64 = 10_000;

/// The bookkeeping of anti-entropy.
#[derive(Debug)]
pub(super) struct Sync {
    peers: BTreeMap<ReplicaId, Peer>,
    /// The question that is out to a peer.
    out: BTreeMap<ReplicaId, Asking>,
    /// No peer that is free has anything to be asked or told.
    idle: bool,
    /// Whom to ask for events, of origins after which.
    events: BTreeMap<ReplicaId, Option<ReplicaId>>,
    /// Who was asked for events last: then state has its turn.
    events_asked: BTreeSet<ReplicaId>,
    gaps: BTreeMap<ReplicaId, Gap>,
    staged_entries: usize,
    /// In parts, that were begun.
    transfers: u64,
    staged_limit: usize,
    /// Of whom something has come that has not been lent. No more than gaps, and those that were.
    arrived: BTreeSet<ReplicaId>,
    /// Gaps at once: one for each origin there may be. What is beyond waits for the next round.
    gap_limit: usize,
    next_id: u64,
    retry_ms: i64,
}

/// A peer that can be asked.
#[derive(Debug, Default)]
struct Peer {
    /// How long a question to it may stay unanswered, in ms: twice what its last answer took, and twice as long
    /// again after every one that did not come (as RFC 6298 has it), from `retry` to [`GIVE_UP_MS`]. While one
    /// is out, nothing else is asked of it: a lost one must not keep a lossy path idle, nor a slow path be
    /// asked the same again and again.
    patience_ms: i64,
    /// Ask whether it has the same.
    root: bool,
    /// Ask for its heads after this replica.
    heads: Option<Option<ReplicaId>>,
    /// Tell it that we are ahead in these.
    offers: BTreeSet<ReplicaId>,
    /// Its wall clock less ours, in ms.
    skew_ms: Option<i64>,
}

impl Peer {
    fn patience(&self, retry_ms: i64) -> i64 {
        self.patience_ms.max(retry_ms).min(GIVE_UP_MS)
    }
}

/// A question that is out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asking {
    pub(super) id: RequestId,
    pub(super) sent_at: i64,
    pub(super) what: Asked,
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    Root(Digest),
    Heads(Option<ReplicaId>),
    Have,
    Pull(Vec<ReplicaId>),
    /// Events of origins after the first and up to the second.
    Events(Option<ReplicaId>, Option<ReplicaId>),
}

/// Something of an origin that others have and we lack.
#[derive(Debug)]
struct Gap {
    /// Closed once this is known here.
    wanted: Head,
    tellers: SmallVec<[ReplicaId; MAX_TELLERS]>,
    asked: Option<(ReplicaId, i64)>,
    staged: Option<Staged>,
}

/// What became of a part.
#[derive(Debug, PartialEq)]
pub(super) enum Progress {
    /// It was the last one: apply this.
    Complete(Delta),
    /// Kept; the next is to be asked for.
    Staged,
    /// It does not continue what is staged; dropped, and the transfer starts over.
    Broken,
    /// No room to keep it; dropped.
    Full,
}

impl Sync {
    pub(super) fn new(retry_ms: i64, limits: &Limits) -> Self {
        Self {
            peers: BTreeMap::new(),
            out: BTreeMap::new(),
            idle: true,
            events: BTreeMap::new(),
            events_asked: BTreeSet::new(),
            gaps: BTreeMap::new(),
            staged_entries: 0,
            transfers: 0,
            staged_limit: limits.staged_entries,
            arrived: BTreeSet::new(),
            gap_limit: limits.origins,
            next_id: 1,
            retry_ms,
        }
    }

    /// A peer can be asked, and is: does it have the same? Says whether it is new.
    pub(super) fn peer_up(&mut self, peer: ReplicaId) -> bool {
        let new = !self.peers.contains_key(&peer);
        self.peers.entry(peer).or_default().root |= new;
        self.idle &= !new;
        new
    }

    pub(super) fn peer_down(&mut self, peer: ReplicaId) {
        self.peers.remove(&peer);
        self.out.remove(&peer);
        self.events.remove(&peer);
        self.events_asked.remove(&peer);
        for gap in self.gaps.values_mut() {
            gap.tellers.retain(|teller| *teller != peer);
            if gap.asked.is_some_and(|(asked, _)| asked == peer) {
                gap.asked = None;
            }
        }
        self.drop_hopeless();
    }

    /// A gap nobody has the missing part of is left to the next round; what was staged of it may not fit what
    /// the next teller has.
    fn drop_hopeless(&mut self) {
        self.gaps.retain(|_, gap| {
            let here = gap.staged.as_ref().is_some_and(Staged::is_here);
            let hopeless = gap.tellers.is_empty() && !here;
            if hopeless {
                self.staged_entries -= gap.staged.as_ref().map_or(0, |staged| staged.entries);
            }
            !hopeless
        });
    }

    pub(super) fn is_up(&self, peer: ReplicaId) -> bool {
        self.peers.contains_key(&peer)
    }

    pub(super) fn peers(&self) -> impl ExactSizeIterator<Item = ReplicaId> {
        self.peers.keys().copied()
    }

    /// Asks `peer` whether it has the same, when it is free.
    pub(super) fn compare_with(&mut self, peer: ReplicaId) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.root = true;
            self.idle = false;
        }
    }

    /// Asks `peer` for all its heads, and so for the age of its news, or for those after `after`.
    pub(super) fn ask_heads(&mut self, peer: ReplicaId, after: Option<ReplicaId>) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.heads.get_or_insert(after);
            self.idle = false;
        }
    }

    /// Asks `peer` for remembered events of all origins, or of those after `after`.
    pub(super) fn ask_events(&mut self, peer: ReplicaId, after: Option<ReplicaId>) {
        if self.peers.contains_key(&peer) {
            self.events.entry(peer).or_insert(after);
        }
    }

    /// Tells `peer` that we have more of `origin`, when it is free.
    pub(super) fn offer(&mut self, peer: ReplicaId, origin: ReplicaId) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.offers.insert(origin);
            self.idle = false;
        }
    }

    /// `teller` has `wanted` of `origin`, and we do not.
    pub(super) fn want(&mut self, origin: ReplicaId, wanted: Head, teller: ReplicaId) {
        let room = self.gaps.len() < self.gap_limit || self.gaps.contains_key(&origin);
        if !self.peers.contains_key(&teller) || !room {
            return;
        }
        let gap = self.gaps.entry(origin).or_insert_with(|| Gap {
            wanted,
            tellers: SmallVec::new(),
            asked: None,
            staged: None,
        });
        gap.wanted = gap.wanted.max(wanted);
        if !gap.tellers.contains(&teller) {
            if gap.tellers.len() == MAX_TELLERS {
                gap.tellers.remove(0);
            }
            gap.tellers.push(teller);
        }
    }

    /// Closes the gap of `origin` when `head` covers it.
    pub(super) fn got(&mut self, origin: ReplicaId, head: Head) {
        if self.gaps.get(&origin).is_some_and(|gap| gap.wanted <= head) {
            self.give_up(origin);
        }
    }

    /// Closes the gap of `origin` whatever is missing.
    pub(super) fn give_up(&mut self, origin: ReplicaId) {
        if let Some(gap) = self.gaps.remove(&origin) {
            self.staged_entries -= gap.staged.as_ref().map_or(0, |staged| staged.entries);
        }
    }

    /// `teller` has answered all it could about `origins`. Where something is still missing, and it is not in
    /// the middle of a transfer, it does not have it: it is not asked for it again.
    pub(super) fn exhausted(&mut self, origins: &[ReplicaId], teller: ReplicaId) {
        for origin in origins {
            if let Some(gap) = self.gaps.get_mut(origin)
                && gap
                    .staged
                    .as_ref()
                    .is_none_or(|staged| staged.from != teller)
            {
                gap.tellers.retain(|known| *known != teller);
            }
        }
        self.drop_hopeless();
    }

    pub(super) fn is_complete(&self) -> bool {
        self.gaps.is_empty()
    }

    /// The answer to question `id` has come from `peer`, which is free from now on.
    pub(super) fn answered(&mut self, peer: ReplicaId, id: RequestId, now: i64) -> Option<Asking> {
        let asking = self.over(peer, id)?;
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.patience_ms = (now - asking.sent_at) * 2;
        }
        Some(asking)
    }

    /// The question `id` that is out to `peer`, which is free from now on.
    fn over(&mut self, peer: ReplicaId, id: RequestId) -> Option<Asking> {
        let asking = self.out.remove(&peer)?;
        if asking.id != id {
            self.out.insert(peer, asking);
            return None;
        }
        self.idle = false;
        if let Asked::Pull(origins) = &asking.what {
            for origin in origins {
                if let Some(gap) = self.gaps.get_mut(origin) {
                    gap.asked.take_if(|(asked, _)| *asked == peer);
                }
            }
        }
        Some(asking)
    }

    /// The question failed, and is returned. What it asked for is asked of others first.
    pub(super) fn failed(&mut self, peer: ReplicaId, id: RequestId) -> Option<Asked> {
        let asked = self.over(peer, id)?.what;
        if let Asked::Pull(origins) = &asked {
            for origin in origins {
                if let Some(gap) = self.gaps.get_mut(origin)
                    && gap.tellers.len() > 1
                    && let Some(at) = gap.tellers.iter().position(|teller| *teller == peer)
                {
                    let last = gap.tellers.remove(at);
                    gap.tellers.insert(0, last);
                }
            }
        }
        Some(asked)
    }

    pub(super) fn set_skew(&mut self, peer: ReplicaId, skew_ms: i64) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.skew_ms = Some(skew_ms);
        }
    }

    pub(super) fn skew(&self, peer: ReplicaId) -> Option<i64> {
        self.peers.get(&peer)?.skew_ms
    }

    /// The median of all clocks less ours, ours among them, in ms; of two middle ones the nearer. One peer alone
    /// says nothing about who is wrong, and one wrong clock among three convicts nobody but itself.
    pub(super) fn median_skew(&self) -> Option<i64> {
        let peers = self.peers.values().filter_map(|peer| peer.skew_ms);
        let mut skews: Vec<i64> = peers.chain([0]).collect();
        if skews.len() < 3 {
            return None;
        }
        skews.sort_unstable();
        let middle = [skews[(skews.len() - 1) / 2], skews[skews.len() / 2]];
        middle.into_iter().min_by_key(|skew| skew.abs())
    }

    /// Takes in a part that `from` sent on our asking.
    pub(super) fn stage(&mut self, from: ReplicaId, part: Part) -> Progress {
        let header = part.header.header();
        let (origin, incarnation) = (header.replica, header.incarnation);
        let Some(gap) = self.gaps.get_mut(&origin) else {
            // Not missing any more; a whole delta is as good as a gossiped one.
            return match part.upto {
                Some(upto) if part.after == part.base => Progress::Complete(Delta {
                    incarnation,
                    base: part.base,
                    upto,
                    reset: part.reset,
                    entries: part.entries,
                }),
                _ => Progress::Broken,
            };
        };
        let mut staged = match gap.staged.take() {
            Some(staged) if staged.is_continued_by(from, &part) => staged,
            other => {
                self.staged_entries -= other.map_or(0, |staged| staged.entries);
                if part.after != part.base {
                    return Progress::Broken;
                }
                self.transfers += 1;
                Staged::begin(from, &part, self.transfers)
            }
        };
        let (before, more, upto) = (staged.entries, part.entries.len(), part.upto);
        if self.staged_entries + more > self.staged_limit {
            self.staged_entries -= before;
            return Progress::Full;
        }
        if !staged.add(part) {
            self.staged_entries -= before;
            return Progress::Broken;
        }
        self.staged_entries += more;
        match upto {
            Some(upto) if !staged.is_whole() => {
                self.staged_entries -= staged.entries;
                Progress::Complete(staged.into_delta(upto))
            }
            _ => {
                if staged.is_whole() {
                    self.arrived.insert(origin);
                }
                gap.staged = Some(staged);
                Progress::Staged
            }
        }
    }

    /// Whether [`Sync::lend`] has something to hand out.
    pub(super) fn has_arrived(&self) -> bool {
        !self.arrived.is_empty()
    }

    /// Hands out a map for which something has arrived.
    pub(super) fn lend(&mut self) -> Option<Building> {
        while let Some(origin) = self.arrived.pop_first() {
            let gap = self.gaps.get_mut(&origin);
            let staged = gap.and_then(|gap| gap.staged.as_mut());
            if let Some(building) = staged.and_then(Staged::lend) {
                return Some(building);
            }
        }
        None
    }

    /// Takes back what was lent, unless its transfer was given up meanwhile. Returns the map when it is whole.
    pub(super) fn take_back(&mut self, building: Building) -> Option<Built> {
        let origin = building.origin;
        let gap = self.gaps.get_mut(&origin)?;
        let staged = gap.staged.as_mut()?;
        let done = staged.take_back(building);
        if staged.has_arrived() {
            self.arrived.insert(origin);
        }
        let whole = gap.staged.take_if(|staged| done && staged.is_here())?;
        self.staged_entries -= whole.entries;
        // Its tellers may have gone meanwhile.
        self.drop_hopeless();
        whole.into_built()
    }

    /// The next question, if a peer is free for one.
    pub(super) fn next_request(
        &mut self,
        store: &Store,
        events: &Events,
        now: i64,
    ) -> Option<(ReplicaId, RequestId, Request)> {
        let (peer, what, request) = self
            .next_events(events, true)
            .or_else(|| self.next_pull(store, now))
            .or_else(|| self.next_round(store, now))
            .or_else(|| self.next_events(events, false))?;
        let id = RequestId(self.next_id);
        self.next_id += 1;
        if let Asked::Pull(origins) = &what {
            for origin in origins {
                let gap = self.gaps.get_mut(origin).expect("only gaps are pulled");
                gap.asked = Some((peer, now));
            }
        }
        if matches!(what, Asked::Events(..)) {
            self.events_asked.insert(peer);
        } else {
            self.events_asked.remove(&peer);
        }
        let asking = Asking {
            id,
            sent_at: now,
            what,
        };
        let before = self.out.insert(peer, asking);
        assert!(before.is_none(), "at most one question is out to a peer");
        Some((peer, id, request))
    }

    /// The next question for events, to a peer that is free. `in_turn`: only to one that was asked for something
    /// else before, so that neither events nor state wait for each other.
    fn next_events(
        &mut self,
        events: &Events,
        in_turn: bool,
    ) -> Option<(ReplicaId, Asked, Request)> {
        let mut peers = self.events.keys().copied();
        let peer = peers.find(|peer| {
            let turn = !in_turn || !self.events_asked.contains(peer);
            turn && !self.out.contains_key(peer)
        })?;
        let wanted = events.wanted(self.events.remove(&peer)?);
        let asked = Asked::Events(wanted.after, wanted.upto);
        Some((peer, asked, Request::Events(wanted)))
    }

    fn next_pull(&self, store: &Store, now: i64) -> Option<(ReplicaId, Asked, Request)> {
        if self.gaps.is_empty() {
            return None;
        }
        let free = |peer: &ReplicaId| self.peers.contains_key(peer) && !self.out.contains_key(peer);
        let open = |gap: &Gap| {
            let here = gap.staged.as_ref().is_some_and(Staged::is_here);
            !here && gap.asked.is_none_or(|(_, at)| now - at >= self.retry_ms)
        };
        // The one asked last comes last, unless a transfer from it is half done.
        let choose = |gap: &Gap| {
            let half_done = gap
                .staged
                .as_ref()
                .map(|staged| staged.from)
                .filter(|_| gap.asked.is_none());
            half_done
                .filter(free)
                .or_else(|| gap.tellers.iter().rev().copied().find(free))
        };
        let peer = self
            .gaps
            .values()
            .filter(|gap| open(gap))
            .find_map(choose)?;
        let mine = self
            .gaps
            .iter()
            .filter(|(_, gap)| open(gap) && choose(gap) == Some(peer));
        let wants: Vec<Want> = mine
            .take(MAX_WANTS)
            .map(|(origin, gap)| want(store, *origin, gap, peer))
            .collect();
        let origins = wants.iter().map(|want| want.replica).collect();
        Some((peer, Asked::Pull(origins), Request::Pull(wants)))
    }

    fn next_round(&mut self, store: &Store, now: i64) -> Option<(ReplicaId, Asked, Request)> {
        if self.idle {
            return None;
        }
        let out = &self.out;
        let free = |(id, _): &(&ReplicaId, &mut Peer)| !out.contains_key(id);
        for (id, peer) in self.peers.iter_mut().filter(free) {
            if std::mem::take(&mut peer.root) {
                let root = store.digest();
                return Some((*id, Asked::Root(root), Request::Root(root)));
            }
            if let Some(after) = peer.heads.take() {
                return Some((*id, Asked::Heads(after), Request::Heads(after)));
            }
            if !peer.offers.is_empty() {
                let rest = peer.offers.iter().nth(MAX_HEADS_PER_MESSAGE).copied();
                let offers = match rest {
                    Some(rest) => {
                        let rest = peer.offers.split_off(&rest);
                        std::mem::replace(&mut peer.offers, rest)
                    }
                    None => std::mem::take(&mut peer.offers),
                };
                let heads = offers.into_iter().filter_map(|origin| store.find(origin));
                let heads = heads.map(|index| store.get(index).head_info(now)).collect();
                return Some((*id, Asked::Have, Request::Have(heads)));
            }
        }
        self.idle = true;
        None
    }

    /// Gives up the questions that have been out for too long, to put them again; says how many.
    pub(super) fn give_up_overdue(&mut self, now: i64) -> u64 {
        let overdue: Vec<_> = self
            .out
            .iter()
            .filter(|(peer, asking)| self.due(**peer, asking) <= now)
            .map(|(peer, asking)| (*peer, asking.id))
            .collect();
        for (id, request) in &overdue {
            let asked = self.failed(*id, *request);
            let Some(peer) = self.peers.get_mut(id) else {
                continue;
            };
            peer.patience_ms = peer.patience(self.retry_ms) * 2;
            match asked {
                Some(Asked::Root(_)) => peer.root = true,
                Some(Asked::Heads(after)) => peer.heads = Some(after),
                Some(Asked::Events(after, _)) => drop(self.events.insert(*id, after)),
                // What is missing is still known to be; what it may lack it is told with the next round.
                Some(Asked::Pull(_) | Asked::Have) | None => {}
            }
        }
        overdue.len() as u64
    }

    /// When a question that is out is given up.
    fn due(&self, peer: ReplicaId, asking: &Asking) -> i64 {
        let peer = self.peers.get(&peer).expect("only peers are asked");
        asking.sent_at + peer.patience(self.retry_ms)
    }

    /// When something here is due although nothing happens.
    pub(super) fn next_timeout(&self, now: i64) -> Option<i64> {
        let retries = self
            .gaps
            .values()
            .filter_map(|gap| gap.asked.map(|(_, at)| at + self.retry_ms));
        // A retry that is due and was not taken waits for a peer to be free, not for the time.
        let retries = retries.filter(|at| *at > now);
        let unanswered = self.out.iter();
        let unanswered = unanswered.map(|(peer, asking)| self.due(*peer, asking));
        retries.chain(unanswered).min()
    }

    /// How far the clock of a peer is off ours at the most, ahead or behind; 0 while none is known.
    pub(super) fn greatest_skew_ms(&self) -> u64 {
        let skews = self.peers.values().filter_map(|peer| peer.skew_ms);
        skews.map(i64::unsigned_abs).max().unwrap_or_default()
    }

    /// Whether everything that is missing has somebody to ask, or is here: an invariant, for tests and the simulator.
    pub(super) fn is_hopeful(&self) -> bool {
        let here = |gap: &Gap| gap.staged.as_ref().is_some_and(Staged::is_here);
        self.gaps
            .values()
            .all(|gap| !gap.tellers.is_empty() || here(gap))
    }

    /// Whether what is staged adds up to what is counted against the limit: an invariant, for tests and the simulator.
    pub(super) fn is_counted(&self) -> bool {
        let staged = self.gaps.values().filter_map(|gap| gap.staged.as_ref());
        staged.map(|staged| staged.entries).sum::<usize>() == self.staged_entries
    }

    /// How many entries of deltas in parts are here, for tests and metrics.
    pub(super) fn staged_entries(&self) -> usize {
        self.staged_entries
    }
}

fn want(store: &Store, origin: ReplicaId, gap: &Gap, peer: ReplicaId) -> Want {
    let head = store
        .find(origin)
        .map(|index| store.get(index).head())
        .unwrap_or_default();
    let staged = gap
        .staged
        .as_ref()
        .filter(|staged| staged.from == peer && staged.incarnation == head.incarnation);
    let resume = staged.map(|staged| Resume {
        cursor: staged.cursor,
        reset: staged.reset,
    });
    // A transfer goes on from the base it began with, though gossip may have moved the head meanwhile.
    let head = staged.map_or(head, |staged| Head {
        seq: staged.base,
        ..head
    });
    Want {
        replica: origin,
        shard: 0,
        head,
        resume,
    }
}
