//! Whole maps of others: built while they come, known at once.

use super::super::backlog::AT_ONCE;
use super::super::building::Building;
use super::super::io::Report;
use super::super::staged::Built;
use super::super::store::OriginIndex;
use super::super::view::mono_ms;
use super::{Replica, ms};
use crate::crdt::{Entry, OriginMap};
use crate::model::Key;

impl Replica {
    /// Hands out a whole map of which something has arrived that is not in it: let it be built
    /// ([`Building::build`]), and give it back soon ([`Replica::take_back`]), whatever happens meanwhile. `None`: none
    /// waits for that.
    pub fn lend(&mut self) -> Option<Building> {
        let mut building = self.sync.lend()?;
        building.wall_ms = self.now.wall_ms;
        building.drift_ms = ms(self.config.timing.max_clock_drift).unsigned_abs();
        Some(building)
    }

    /// Takes back what was lent; when it is whole, all of it is known in this one step. What was given up meanwhile
    /// is dropped.
    pub fn take_back(&mut self, building: Building) {
        if self.accept_back(building) {
            self.ask();
        }
    }

    /// Like [`Replica::take_back`], without asking for what is missing; says whether more is known now.
    pub(super) fn accept_back(&mut self, building: Building) -> bool {
        let (last, drift_ms) = (building.stamps.last(), building.drift_ms);
        self.own.clock.observe(last, self.now.wall_ms, drift_ms);
        let Some(built) = self.sync.take_back(building) else {
            return false;
        };
        self.adopt(built);
        true
    }

    /// Takes a whole map for what is known of its origin.
    fn adopt(&mut self, built: Built) {
        let Some(index) = self.store.find(built.origin) else {
            return;
        };
        let limit = self.config.limits.entries_per_origin;
        if built.entries > limit {
            let limit = "entries_per_origin";
            self.counters.reject("entries");
            self.counters.remote_rejected.add_all(built.spaces);
            self.report_rarely(limit, Report::Full { limit });
            return;
        }
        let Ok(whole) = built.whole.complete(built.upto) else {
            self.counters.reject("part");
            self.counters.remote_rejected.add_all(built.spaces);
            return;
        };
        let now = mono_ms(self.now);
        let origin = self.store.get_mut(index);
        match origin.adopt(whole, now) {
            Some(before) => {
                self.counters.resets_applied += u64::from(built.is_reset);
                self.counters.entries_applied += built.entries as u64;
                self.counters.remote_applied.add_all(built.spaces);
                self.unsaved_whole(built.origin);
                self.read_record(index);
                self.show_adopted(index, before);
            }
            None => {
                self.counters.deltas_old += 1;
                self.counters.remote_old.add_all(built.spaces);
            }
        }
        self.follow(index);
        self.ready |= self.sync.is_complete();
    }

    /// Shows a map that took the place of `before`: at once when it is small, since whoever joins a large mesh
    /// adopts hundreds in a row, and while an origin waits to be shown, every key has to be looked up in its map, too.
    fn show_adopted(&mut self, index: OriginIndex, before: OriginMap) {
        if before.slots() + self.store.get(index).map.slots() >= AT_ONCE {
            self.backlog().add_all(index, Some(before));
            self.note_late();
            return;
        }
        // Often it is known to be alive from now on: then all it says is shown by that.
        if !self.restand(index) {
            self.refresh_all(index);
        }
        let map = &self.store.get(index).map;
        let live = before.live();
        let ended = live.filter(|(key, _)| map.get(key).is_none_or(Entry::is_tombstone));
        let dropped: Vec<Key> = ended.map(|(key, _)| key.clone()).collect();
        self.refresh(index, &dropped);
    }
}
