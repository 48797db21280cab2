//! The messages that are under way, and who has them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use super::rpc::MessageId;

/// The messages some node still remembers. The sets of all nodes are kept per message, which takes a bit where a
/// set per node would take a dozen bytes.
#[derive(Debug)]
pub(super) struct Messages {
    /// By id, from `first` on: ids rise one by one, so that every copy finds its message without a search.
    live: VecDeque<Option<Message>>,
    first: u32,
    /// How many of them are there.
    count: usize,
    /// When to look whether a message can be forgotten.
    checks: BinaryHeap<Reverse<(u64, MessageId)>>,
    keep_us: u64,
}

/// A message and who has it.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// The length of its data.
    pub(super) bytes: usize,
    /// Who published it.
    pub(super) author: Option<u32>,
    /// The nodes that take another copy for a duplicate.
    pub(super) seen: NodeSet,
    /// Of those, the ones that keep it in their history.
    pub(super) kept: NodeSet,
    /// Of those, the ones that have judged it good: only they offer it and send it when asked.
    pub(super) accepted: NodeSet,
    /// Nodes that have asked for it and not got it, and whom they asked.
    pub(super) promises: BTreeMap<u32, u32>,
    /// How often a node (first) was asked by a peer (second).
    pub(super) asked: BTreeMap<(u32, u32), u32>,
    /// Peers that sent a copy while a node (the key) had not judged the first.
    pub(super) early: BTreeMap<u32, Vec<u32>>,
    /// When a node last saw it for the first time.
    touched_at_us: u64,
}

/// A set of nodes, a bit each.
#[derive(Debug, Default)]
pub(super) struct NodeSet(Vec<u64>);

impl Messages {
    pub(super) fn new(keep_us: u64) -> Self {
        Self {
            live: VecDeque::new(),
            first: 0,
            count: 0,
            checks: BinaryHeap::new(),
            keep_us,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn get(&self, id: MessageId) -> Option<&Message> {
        self.live.get(self.place(id)?)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: MessageId) -> Option<&mut Message> {
        let place = self.place(id)?;
        self.live.get_mut(place)?.as_mut()
    }

    /// Where `id` lies, or would; `None` when everything up to it is forgotten.
    fn place(&self, id: MessageId) -> Option<usize> {
        id.0.checked_sub(self.first).map(|place| place as usize)
    }

    /// Makes room for `id`, which may be earlier than all that is there: a late copy of what was forgotten.
    fn make(&mut self, id: MessageId) -> &mut Message {
        if self.live.is_empty() {
            self.first = id.0;
        }
        while id.0 < self.first {
            self.live.push_front(None);
            self.first -= 1;
        }
        let place = (id.0 - self.first) as usize;
        if place >= self.live.len() {
            self.live.resize_with(place + 1, || None);
        }
        self.count += usize::from(self.live[place].is_none());
        self.live[place].get_or_insert_default()
    }

    /// Marks `id` as seen by `node`, making it if it is unknown; false if `node` had seen it.
    ///
    /// A copy that arrives after every node has forgotten its message is new, and counts as small.
    pub(super) fn see(&mut self, id: MessageId, node: u32, now_us: u64) -> bool {
        if self.get(id).is_none() {
            self.checks.push(Reverse((now_us + self.keep_us, id)));
            self.make(id);
        }
        let message = self.get_mut(id).expect("it is there, or was just made");
        let new = message.seen.insert(node);
        if new {
            message.touched_at_us = now_us;
        }
        new
    }

    /// Forgets the messages nobody has seen for the first time for long enough.
    ///
    /// The crate forgets per node, this for all nodes at once: they differ by the time a message takes through
    /// the network.
    pub(super) fn expire(&mut self, now_us: u64) {
        while let Some(&Reverse((check_at_us, id))) = self.checks.peek() {
            if check_at_us > now_us {
                return;
            }
            self.checks.pop();
            let message = self.get(id).expect("each has one check, and goes at one");
            let touched_at_us = message.touched_at_us;
            if touched_at_us + self.keep_us > now_us {
                self.checks
                    .push(Reverse((touched_at_us + self.keep_us, id)));
            } else {
                self.forget(id);
            }
        }
    }

    fn forget(&mut self, id: MessageId) {
        let place = self.place(id).expect("what is forgotten is there");
        self.live[place] = None;
        self.count -= 1;
        while let Some(None) = self.live.front() {
            self.live.pop_front();
            self.first += 1;
        }
    }

    /// `node` has lost its memory.
    pub(super) fn forget_node(&mut self, node: u32) {
        for message in self.live.iter_mut().flatten() {
            message.seen.remove(node);
            message.promises.remove(&node);
            message.drop_from(node);
        }
    }
}

impl Message {
    /// `node` does not keep it any more.
    pub(super) fn drop_from(&mut self, node: u32) {
        self.kept.remove(node);
        self.accepted.remove(node);
        self.early.remove(&node);
        while let Some((&key, _)) = self.asked.range((node, 0)..=(node, u32::MAX)).next() {
            self.asked.remove(&key);
        }
    }
}

impl NodeSet {
    pub(super) fn contains(&self, node: u32) -> bool {
        self.0
            .get(node as usize / 64)
            .is_some_and(|word| word & bit(node) != 0)
    }

    /// Adds `node`; false if it was in.
    pub(super) fn insert(&mut self, node: u32) -> bool {
        let at = node as usize / 64;
        if at >= self.0.len() {
            self.0.resize(at + 1, 0);
        }
        let new = self.0[at] & bit(node) == 0;
        self.0[at] |= bit(node);
        new
    }

    pub(super) fn remove(&mut self, node: u32) {
        if let Some(word) = self.0.get_mut(node as usize / 64) {
            *word &= !bit(node);
        }
    }
}

fn bit(node: u32) -> u64 {
    1 << (node % 64)
}
