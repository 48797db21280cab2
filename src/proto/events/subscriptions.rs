//! Subscribers: who wants which events, and what they have not taken yet.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::model::{EventItem, Filter, Gap, PublishedEvent};

/// Names a subscription of one replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(u64);

/// Times of publication are estimates. An event that may be a little older than a subscription is delivered.
const SINCE_SLACK_MS: i64 = 100;

/// All subscriptions of a replica, indexed by the part of their glob of kinds before its first `*` or `?`.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    all: BTreeMap<SubscriptionId, Subscription>,
    /// By whole kind: globs without `*` and `?`.
    exact: BTreeMap<String, BTreeSet<SubscriptionId>>,
    /// By what every kind they match begins with.
    beginning: BTreeMap<String, BTreeSet<SubscriptionId>>,
    next: u64,
    woken: BTreeSet<SubscriptionId>,
    evaluations: u64,
}

#[derive(Debug)]
struct Subscription {
    filter: Filter,
    since: i64,
    queue: VecDeque<EventItem>,
    /// Dropped from the front of the queue and not yet told.
    dropped: u64,
}

impl Subscriptions {
    pub(super) fn add(&mut self, filter: Filter, now: i64) -> SubscriptionId {
        let id = SubscriptionId(self.next);
        self.next += 1;
        let (index, key) = self.index_of(&filter);
        index.entry(key).or_default().insert(id);
        let subscription = Subscription {
            filter,
            since: now,
            queue: VecDeque::new(),
            dropped: 0,
        };
        self.all.insert(id, subscription);
        id
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn remove(&mut self, id: SubscriptionId) {
        self.woken.remove(&id);
        let Some(subscription) = self.all.remove(&id) else {
            return;
        };
        let (index, key) = self.index_of(&subscription.filter);
        if let Some(ids) = index.get_mut(&key) {
            ids.remove(&id);
            if ids.is_empty() {
                index.remove(&key);
            }
        }
    }

    fn index_of(
        &mut self,
        filter: &Filter,
    ) -> (&mut BTreeMap<String, BTreeSet<SubscriptionId>>, String) {
        let glob = filter.kinds().as_str();
        match glob.find(['*', '?']) {
            None => (&mut self.exact, glob.to_owned()),
            Some(at) => (&mut self.beginning, glob[..at].to_owned()),
        }
    }

    /// Queues an event for everyone who wants it; nobody holds more than `limit` items. `published_at`: when
    /// it was published, if that may have been before somebody subscribed.
    pub(super) fn deliver(
        &mut self,
        event: &Arc<PublishedEvent>,
        published_at: Option<i64>,
        limit: usize,
    ) {
        let kind = event.kind();
        let begins = (0..=kind.len()).filter_map(|end| self.beginning.get(kind.get(..end)?));
        let candidates = self.exact.get(kind).into_iter().chain(begins).flatten();
        for id in candidates {
            let subscription = self.all.get_mut(id).expect("the index holds live ones");
            let before = published_at.is_some_and(|at| at < subscription.since - SINCE_SLACK_MS);
            if before && !subscription.filter.wants_remembered() {
                continue;
            }
            self.evaluations += 1;
            if subscription.filter.matches(&event.event) {
                subscription.push(EventItem::Event(event.clone()), limit);
                self.woken.insert(*id);
            }
        }
    }

    /// Queues an event for one subscription, if it wants it.
    pub(super) fn deliver_to(&mut self, id: SubscriptionId, event: PublishedEvent, limit: usize) {
        let Some(subscription) = self.all.get_mut(&id) else {
            return;
        };
        self.evaluations += 1;
        if subscription.filter.matches(&event.event) {
            subscription.push(EventItem::Event(Arc::new(event)), limit);
            self.woken.insert(id);
        }
    }

    /// Tells everyone that events are missing: whether they were wanted cannot be known.
    pub(super) fn report(&mut self, gap: &Gap, limit: usize) {
        for (id, subscription) in &mut self.all {
            subscription.push(EventItem::Gap(gap.clone()), limit);
            self.woken.insert(*id);
        }
    }

    pub(super) fn next(&mut self, id: SubscriptionId) -> Option<EventItem> {
        let subscription = self.all.get_mut(&id)?;
        match std::mem::take(&mut subscription.dropped) {
            0 => subscription.queue.pop_front(),
            dropped => Some(EventItem::Gap(Gap::Slow { dropped })),
        }
    }

    pub(super) fn take_woken(&mut self) -> BTreeSet<SubscriptionId> {
        std::mem::take(&mut self.woken)
    }

    /// How often a filter was held against an event.
    pub(super) fn evaluations(&self) -> u64 {
        self.evaluations
    }

    /// The longest queue.
    pub(super) fn longest(&self) -> usize {
        let lengths = self.all.values().map(|one| one.queue.len());
        lengths.max().unwrap_or_default()
    }
}

impl Subscription {
    fn push(&mut self, item: EventItem, limit: usize) {
        if self.queue.len() >= limit.max(1) {
            self.queue.pop_front();
            self.dropped += 1;
        }
        self.queue.push_back(item);
    }
}
