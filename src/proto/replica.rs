//! The state machine.
#![allow(clippy::todo, unused_variables, missing_docs)]

use std::collections::BTreeSet;
use std::time::Duration;

use super::config::Config;
use super::counters::Counters;
use super::error::WriteError;
use super::io::{Input, Now, Output};
use super::member::Member;
use super::shown::{Explanation, Shown};
use super::watches::{WatchId, Watched};
use crate::crdt::Hlc;
use crate::model::{AttributeError, Incarnation, Key, NodeRecord, Pattern, ReplicaId, Source, SpaceId, Value};
use crate::wire::{Digest, Identity};

/// How a local write is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// The adapter that writes.
    pub source: Source,
    /// Whether it merely restates what the adapter found: stored with hlc 0 in keys with a latest writer,
    /// unless it differs from our own last value.
    pub restate: bool,
}

/// A running participant, without its sockets and its clock.
#[derive(Debug)]
pub struct Replica {}

impl Replica {
    /// A new life, begun now.
    pub fn new(config: Config, identity: Identity, now: Now) -> Self {
        todo!()
    }
    pub fn handle(&mut self, input: Input, now: Now) {
        todo!()
    }
    pub fn poll_output(&mut self) -> Option<Output> {
        todo!()
    }
    /// Whether [`Replica::poll_output`] would return something.
    pub fn has_output(&self) -> bool {
        todo!()
    }
    /// When (in `Now::mono`) [`Input::Timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Duration> {
        todo!()
    }
    /// Writes (`Some`) and withdraws (`None`) keys, all of them or none. Returns how many changed.
    pub fn write(&mut self, entries: Vec<(Key, Option<Value>)>, how: Write, now: Now) -> Result<usize, WriteError> {
        todo!()
    }
    /// Makes own entries of `source` in `space` exactly these. Restates. Returns (written, withdrawn).
    pub fn replace_all(
        &mut self,
        space: SpaceId,
        entries: Vec<(Key, Value)>,
        source: Source,
        now: Now,
    ) -> Result<(usize, usize), WriteError> {
        todo!()
    }
    /// Own entries of `source` in `space`, ordered by key.
    pub fn own(&self, space: SpaceId, source: Source) -> Vec<(Key, Value)> {
        todo!()
    }
    pub fn set_attribute(
        &mut self,
        name: &str,
        text: Option<&str>,
        now: Now,
    ) -> Result<Result<bool, AttributeError>, WriteError> {
        todo!()
    }
    /// Replaces the announced addresses (at most `MAX_ADDRESSES` are kept).
    pub fn set_addresses(&mut self, addresses: Vec<String>, now: Now) {
        todo!()
    }
    pub fn mark_source(&mut self, source: Source, silent_for: Option<Duration>, now: Now) -> Result<(), WriteError> {
        todo!()
    }
    pub fn settle(&mut self, now: Now) {
        todo!()
    }
    /// Says goodbye: afterwards every write is refused.
    pub fn leave(&mut self, now: Now) {
        todo!()
    }
    pub fn get(&self, key: &Key, now: Now) -> Option<Shown<Value>> {
        todo!()
    }
    pub fn list(&self, space: SpaceId, pattern: &Pattern, now: Now) -> Vec<Shown<Value>> {
        todo!()
    }
    pub fn count(&self, space: SpaceId) -> usize {
        todo!()
    }
    pub fn explain(&self, key: &Key, now: Now) -> Option<Explanation<Value>> {
        todo!()
    }
    pub fn watch(&mut self, space: SpaceId, pattern: Pattern, hidden: bool) -> WatchId {
        todo!()
    }
    pub fn unwatch(&mut self, id: WatchId) {
        todo!()
    }
    pub fn poll_watch(&mut self, id: WatchId, now: Now) -> Option<Watched> {
        todo!()
    }
    pub fn take_woken(&mut self) -> BTreeSet<WatchId> {
        todo!()
    }
    pub fn members(&self, now: Now) -> Vec<Member> {
        todo!()
    }
    /// What this node says of itself.
    pub fn record(&self) -> &NodeRecord {
        todo!()
    }
    pub fn digest(&self) -> Digest {
        todo!()
    }
    pub fn is_ready(&self) -> bool {
        todo!()
    }
    pub fn id(&self) -> ReplicaId {
        todo!()
    }
    pub fn incarnation(&self) -> Incarnation {
        todo!()
    }
    /// Every stamp handed out or observed is at most this.
    pub fn last_hlc(&self) -> Hlc {
        todo!()
    }
    pub fn counters(&self) -> &Counters {
        todo!()
    }
    pub fn config(&self) -> &Config {
        todo!()
    }
}
