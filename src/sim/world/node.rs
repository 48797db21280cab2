//! One machine: its process, its clock, its disk, its phones.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::super::scenario::Disk;
use super::{Clock, Event};
use crate::crdt::Hlc;
use crate::model::{Incarnation, Key, ReplicaId, SpaceId, Value};
use crate::proto::{MapSummary, Replica, Report, WatchId};
use crate::wire::Identity;

/// One machine: its process, its clock, its disk, its phones.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) identity: Identity,
    /// For a clone, whose.
    pub(super) original: usize,
    /// The process, while it runs.
    pub(super) replica: Option<Replica>,
    /// Counts its starts.
    pub(super) life: u32,
    pub(super) clock: Clock,
    /// What was on the disk at the end of each life.
    pub(super) disks: Vec<DiskState>,
    pub(super) down_since_us: Option<u64>,
    /// What the next process finds.
    pub(super) finds: Disk,
    /// The nodes it has a connection to, as it believes, and the life of the process at the other end.
    pub(super) peers: BTreeMap<usize, u32>,
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
    /// How much of each origin is known here, as of the last look, in this life.
    pub(super) known: FxHashMap<ReplicaId, MapSummary>,
    /// Its own writes up to here are in the log.
    pub(super) logged: (Incarnation, u64),
}

/// What a process finds on its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiskState {
    /// Its latest incarnation.
    pub incarnation: Incarnation,
    /// A bound above every stamp it handed out.
    pub hlc: Hlc,
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
            disks: vec![DiskState::default()],
            down_since_us: Some(0),
            finds: Disk::Kept,
            peers: BTreeMap::new(),
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
            known: FxHashMap::default(),
            logged: (Incarnation::default(), 0),
        }
    }

    /// Whether it is up, in this life.
    pub(super) fn lives(&self, life: u32) -> bool {
        self.replica.is_some() && self.life == life
    }

    pub(super) fn up_mut(&mut self) -> &mut Replica {
        self.replica.as_mut().expect("only who is up is handled")
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

    /// What would be found on the disk now.
    pub(super) fn disk_now(&self) -> Option<DiskState> {
        let replica = self.replica.as_ref()?;
        Some(DiskState {
            incarnation: replica.incarnation(),
            hlc: replica.last_hlc(),
        })
    }

    /// When the process wants to be woken, in world time.
    pub(super) fn due_us(&self) -> Option<u64> {
        let due = self.replica.as_ref()?.poll_timeout()?;
        Some(self.clock.due_us(due))
    }
}
