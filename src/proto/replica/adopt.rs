//! Whole maps of others: built while they come, known at once.

use super::super::io::Report;
use super::super::staged::Built;
use super::super::view::mono_ms;
use super::{Replica, ms};

impl Replica {
    /// Takes in at most `budget` entries of whole maps, takes their number off, and stops at the first map that is
    /// whole.
    pub(super) fn build(&mut self, budget: &mut usize) -> Option<Built> {
        if !self.sync.has_arrived() {
            return None;
        }
        let drift = u64::try_from(ms(self.config.timing.max_clock_drift)).unwrap_or_default();
        let (clock, wall_ms) = (&mut self.own.clock, self.now.wall_ms);
        self.sync.build(budget, |entry| {
            clock.observe(entry.hlc(), wall_ms, drift);
        })
    }

    /// Takes a whole map for what is known of its origin.
    pub(super) fn adopt(&mut self, built: Built) {
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
                self.backlog.add_all(index, Some(before));
                self.view.late = self.backlog.origins().collect();
            }
            None => {
                self.counters.deltas_old += 1;
                self.counters.remote_old.add_all(built.spaces);
            }
        }
        self.follow(index);
        self.ready |= self.sync.is_complete();
    }
}
