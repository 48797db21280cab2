//! Watchers: who wants to know of which changes, and what they have not taken yet.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::error::FollowError;
use super::shown::{Change, Shown};
use crate::model::{Key, Pattern, Scope, Value};

/// Names a watcher of one replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(u64);

/// What a watcher is given. At every moment what is listed equals the snapshot plus the changes given since.
#[derive(Debug, Clone, PartialEq)]
pub enum Watched {
    /// All there is, ordered by key. Always first.
    Snapshot(Vec<Shown<Value>>),
    /// One key changed.
    Changed(Arc<Change<Value>>),
    /// The watcher did not keep up and changes were dropped: a fresh snapshot follows.
    Resync,
}

/// All watchers of a replica.
#[derive(Debug, Default)]
pub(super) struct Watches {
    all: BTreeMap<WatchId, Watch>,
    next: u64,
    woken: BTreeSet<WatchId>,
}

#[derive(Debug)]
struct Watch {
    scope: Scope,
    pattern: Pattern,
    /// Whether changes of contributions hidden under an unchanged aggregate count too.
    hidden: bool,
    state: State,
    queue: VecDeque<Arc<Change<Value>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The next item is a snapshot.
    Fresh,
    /// The next item says that changes were dropped.
    Behind,
    /// The next item is the front of the queue.
    Following,
}

/// What a watcher's next item is made of.
pub(super) enum Next {
    Nothing,
    Item(Watched),
    SnapshotOf(Scope, Pattern),
}

impl Watches {
    /// `limit`: how many there may be.
    pub(super) fn add(
        &mut self,
        scope: Scope,
        pattern: Pattern,
        hidden: bool,
        limit: usize,
    ) -> Result<WatchId, FollowError> {
        if self.all.len() >= limit {
            return Err(FollowError::Full {
                what: "watches",
                limit,
            });
        }
        let id = WatchId(self.next);
        self.next += 1;
        self.all.insert(
            id,
            Watch {
                scope,
                pattern,
                hidden,
                state: State::Fresh,
                queue: VecDeque::new(),
            },
        );
        Ok(id)
    }

    pub(super) fn remove(&mut self, id: WatchId) {
        self.all.remove(&id);
        self.woken.remove(&id);
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether anyone wants to know of a change of `key`. `visible`: what is shown changed, not only a
    /// contribution.
    pub(super) fn wanted(&self, key: &Key, visible: bool) -> bool {
        self.all.values().any(|watch| watch.wants(key, visible))
    }

    /// Queues a change for everyone who wants it; nobody holds more than `limit` of them.
    pub(super) fn push(&mut self, key: &Key, visible: bool, change: Change<Value>, limit: usize) {
        let change = Arc::new(change);
        for (id, watch) in &mut self.all {
            if !watch.wants(key, visible) {
                continue;
            }
            match watch.state {
                // The snapshot to come will hold it.
                State::Fresh | State::Behind => {}
                State::Following if watch.queue.len() >= limit => {
                    watch.queue = VecDeque::new();
                    watch.state = State::Behind;
                }
                State::Following => watch.queue.push_back(change.clone()),
            }
            self.woken.insert(*id);
        }
    }

    /// Whether the next item is a snapshot.
    pub(super) fn wants_snapshot(&self, id: WatchId) -> bool {
        self.all
            .get(&id)
            .is_some_and(|watch| watch.state == State::Fresh)
    }

    pub(super) fn next(&mut self, id: WatchId) -> Next {
        let Some(watch) = self.all.get_mut(&id) else {
            return Next::Nothing;
        };
        match watch.state {
            State::Fresh => {
                watch.state = State::Following;
                Next::SnapshotOf(watch.scope.clone(), watch.pattern.clone())
            }
            State::Behind => {
                watch.state = State::Fresh;
                Next::Item(Watched::Resync)
            }
            State::Following => match watch.queue.pop_front() {
                Some(change) => Next::Item(Watched::Changed(change)),
                None => Next::Nothing,
            },
        }
    }

    /// The watchers that got something since this was last asked.
    pub(super) fn take_woken(&mut self) -> BTreeSet<WatchId> {
        std::mem::take(&mut self.woken)
    }
}

impl Watch {
    fn wants(&self, key: &Key, visible: bool) -> bool {
        (visible || self.hidden) && self.scope.matches(key, &self.pattern)
    }
}
