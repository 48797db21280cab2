//! One machine: its process, its clock, its disk, its phones.

use std::collections::BTreeMap;

use super::super::scenario::Disk;
use super::peers::Peers;
use super::{Clock, Event};
use crate::model::{Incarnation, Key, SpaceId, Value};
use crate::proto::{MapSummary, Replica, Report, Saved, WatchId};
use crate::wire::Identity;

/// One machine: its process, its clock, its disk, its phones.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) identity: Identity,
    /// For a clone, whose.
    pub(super) original: usize,
    /// The process, while it runs. Boxed, so that what every copy of a message looks at lies close together.
    pub(super) replica: Option<Box<Replica>>,
    /// Counts its starts.
    pub(super) life: u32,
    pub(super) clock: Clock,
    /// Whether it saves what it knows: only who starts again needs it, and in large worlds it costs.
    pub(super) saves: bool,
    /// What is on the disk: what was saved last.
    pub(super) disk: Saved,
    /// When that was, and how far ahead the wall clock ever was at such a time.
    pub(super) saved_us: u64,
    pub(super) saved_off_ms: i64,
    /// By how much the wall clock went back, at most, between a save and this life: who reads only it takes what
    /// was saved for that much younger than it is.
    pub(super) younger_ms: u64,
    /// What was on the disk at the end of each life.
    pub(super) disks: Vec<Saved>,
    pub(super) down_since_us: Option<u64>,
    /// What the next process finds.
    pub(super) finds: Disk,
    /// The nodes it has a connection to, as it believes, and the life of the process at the other end.
    pub(super) peers: Peers,
    /// The nodes it wants one to.
    pub(super) wanted: Vec<usize>,
    /// When the next [`Event::Timer`] is due.
    pub(super) timer_us: u64,
    /// Faults that make it stand still, and what waits meanwhile.
    pub(super) paused: u16,
    pub(super) waiting: Vec<Event>,
    /// When everything sent so far has left.
    pub(super) sending_until_us: u64,
    /// What the PBX beside it knows; survives the process.
    pub(super) phones: BTreeMap<Key, Value>,
    /// What this life wrote and has not withdrawn.
    pub(super) said: BTreeMap<Key, Value>,
    /// Writes tried, in all lives: the counter of the users' draws.
    pub(super) writes: u64,
    pub(super) reports: Vec<(u64, Report)>,
    /// The watchers of a life.
    pub(super) watching: u32,
    pub(super) watches: Vec<(SpaceId, WatchId)>,
    /// How much of each origin is known here, as of the last look, in this life; by the number of its first node, as
    /// far as the greatest that was ever known.
    pub(super) known: Vec<Option<MapSummary>>,
    /// Its own writes up to here are in the log.
    pub(super) logged: (Incarnation, u64),
}

impl Node {
    pub(super) fn new(name: String, identity: Identity, original: usize) -> Self {
        Self {
            name,
            identity,
            original,
            replica: None,
            life: 0,
            clock: Clock::right(0),
            saves: false,
            disk: Saved::default(),
            saved_us: 0,
            saved_off_ms: i64::MIN / 2,
            younger_ms: 0,
            disks: vec![Saved::default()],
            down_since_us: Some(0),
            finds: Disk::Kept,
            peers: Peers::default(),
            wanted: Vec::new(),
            timer_us: u64::MAX,
            paused: 0,
            waiting: Vec::new(),
            sending_until_us: 0,
            phones: BTreeMap::new(),
            said: BTreeMap::new(),
            writes: 0,
            reports: Vec::new(),
            watching: 0,
            watches: Vec::new(),
            known: Vec::new(),
            logged: (Incarnation::default(), 0),
        }
    }

    /// Whether it is up, in this life.
    pub(super) fn lives(&self, life: u32) -> bool {
        self.replica.is_some() && self.life == life
    }

    pub(super) fn up_mut(&mut self) -> &mut Replica {
        self.replica
            .as_deref_mut()
            .expect("only who is up is handled")
    }

    pub(super) fn fenced(&self) -> bool {
        self.replica.is_some()
            && self
                .reports
                .iter()
                .rev()
                .take_while(|(at, _)| *at >= self.clock.started_us())
                .any(|(_, report)| matches!(report, Report::Fenced { .. }))
    }

    /// Where it is noted how much of an origin is known here.
    pub(super) fn known_of(&mut self, origin: usize) -> &mut Option<MapSummary> {
        if self.known.len() <= origin {
            self.known.resize(origin + 1, None);
        }
        &mut self.known[origin]
    }

    /// Writes to the disk what is not there yet.
    pub(super) fn save(&mut self, now_us: u64) {
        let now = self.clock.now(now_us);
        self.saved_us = now_us;
        self.saved_off_ms = self.saved_off_ms.max(self.clock.off_ms(now_us));
        let Some(replica) = self.replica.as_mut() else {
            return;
        };
        while let Some(changes) = replica.save_changes(SLICE_BYTES, now) {
            let complete = changes.complete;
            self.disk.apply(replica.id(), changes);
            if complete {
                break;
            }
        }
    }

    /// When the process wants to be woken, in world time.
    pub(super) fn due_us(&self) -> Option<u64> {
        let due = self.replica.as_ref()?.poll_timeout()?;
        Some(self.clock.due_us(due))
    }
}

/// What is written at once, in bytes: little, so that there are often several pieces.
const SLICE_BYTES: usize = 1_000;
