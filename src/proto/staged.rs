//! Parts of a delta that are here, until all of them are.

use std::collections::VecDeque;

use super::building::Building;
use super::statistics::SpaceCounts;
use crate::crdt::{Delta, Entry, Whole};
use crate::model::{Incarnation, Key, ReplicaId};
use crate::wire::Part;

/// The parts of a delta that have arrived so far.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) from: ReplicaId,
    pub(super) incarnation: Incarnation,
    pub(super) base: u64,
    pub(super) reset: Option<u64>,
    pub(super) cursor: u64,
    /// Tells this transfer from all others.
    number: u64,
    /// As they came, less what has gone into the map that is being built.
    pages: VecDeque<std::vec::IntoIter<(Key, Entry)>>,
    /// If the entries are to take the place of the map, and it is not lent.
    building: Option<Building>,
    /// That came.
    pub(super) entries: usize,
    /// Where the delta ends; once it is known, nothing more comes.
    pub(super) upto: Option<u64>,
}

/// A map that is here as a whole.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) origin: ReplicaId,
    pub(super) whole: Whole,
    pub(super) upto: u64,
    pub(super) is_reset: bool,
    pub(super) entries: usize,
    pub(super) spaces: SpaceCounts,
}

impl Staged {
    /// The transfer that `part` is the first of.
    pub(super) fn begin(from: ReplicaId, part: &Part, number: u64) -> Self {
        let header = part.header.header();
        let (origin, incarnation) = (header.replica, header.incarnation);
        let build = || Building::new(origin, number, Whole::new(incarnation, part.reset));
        Self {
            from,
            incarnation,
            base: part.base,
            reset: part.reset,
            cursor: part.base,
            number,
            pages: VecDeque::new(),
            building: (part.base == 0).then(build),
            entries: 0,
            upto: None,
        }
    }

    /// Whether the entries are to take the place of the map.
    pub(super) fn is_whole(&self) -> bool {
        self.base == 0
    }

    /// Whether `part`, sent by `from`, is the next one.
    pub(super) fn is_continued_by(&self, from: ReplicaId, part: &Part) -> bool {
        self.from == from
            && self.incarnation == part.header.header().incarnation
            && (self.base, self.reset, self.cursor) == (part.base, part.reset, part.after)
    }

    /// Takes in the next part, unless its entries do not come in ascending seq after those that are here.
    pub(super) fn add(&mut self, part: Part) -> bool {
        let mut last = self.cursor;
        let ascends = |(_, entry): &(Key, Entry)| std::mem::replace(&mut last, entry.seq()) < last;
        if !part.entries.iter().all(ascends) {
            return false;
        }
        self.cursor = last;
        self.upto = part.upto;
        self.entries += part.entries.len();
        self.pages.push_back(part.entries.into_iter());
        true
    }

    /// Whether nothing more comes.
    pub(super) fn is_here(&self) -> bool {
        self.upto.is_some()
    }

    /// The map that is being built, with all that has arrived; `None` where there is none, or it is lent.
    pub(super) fn lend(&mut self) -> Option<Building> {
        let mut building = self.building.take()?;
        building.pages.append(&mut self.pages);
        Some(building)
    }

    /// Takes back what was lent, unless that is of another transfer. Says whether nothing that has arrived is
    /// outside of the map.
    pub(super) fn take_back(&mut self, building: Building) -> bool {
        if building.number != self.number {
            return false;
        }
        let done = building.pages.is_empty() && self.pages.is_empty();
        self.building = Some(building);
        done
    }

    /// Whether there is something to put into a map that is not lent.
    pub(super) fn has_arrived(&self) -> bool {
        let waits = |building: &Building| !building.pages.is_empty() || !self.pages.is_empty();
        self.building.as_ref().is_some_and(waits)
    }

    /// All of it, where it does not take the place of the map, once it is here.
    pub(super) fn into_delta(self, upto: u64) -> Delta {
        Delta {
            incarnation: self.incarnation,
            base: self.base,
            upto,
            reset: self.reset,
            entries: self.pages.into_iter().flatten().collect(),
        }
    }

    /// The map, once it is here as a whole.
    pub(super) fn into_built(self) -> Option<Built> {
        let building = self.building?;
        Some(Built {
            origin: building.origin,
            whole: building.whole,
            upto: self.upto?,
            is_reset: self.reset.is_some(),
            entries: self.entries,
            spaces: building.spaces,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crdt::{Content, Hlc, OriginMap};
    use crate::model::{DeviceState, Source, SpaceId};
    use crate::wire::{Frame, Header, Identity, Kind, MeshId, MeshKey};

    /// The only part of a delta with one key, in the life `incarnation` of its origin.
    fn part(incarnation: u64, name: &str) -> Part {
        let identity = Identity::from_bytes([1; 32]);
        let header = Header {
            replica: identity.replica(),
            incarnation: Incarnation(incarnation),
            head: 1,
            events: 0,
            frame: 1,
            up_ms: 0,
            beat_ms: 1_000,
            settled: None,
            kind: Kind::Beat,
        };
        let mesh = MeshId::derive(&MeshKey::from_bytes([7; 32]), "acme");
        let content = Content {
            value: Some(DeviceState::Busy.into()),
            source: Source::API,
            over: None,
        };
        let key = Key::new(SpaceId::DEVICES, name).unwrap();
        Part {
            header: Frame::sign(&identity, mesh, header, None).0.into_parts().0,
            shard: 0,
            reset: None,
            base: 0,
            after: 0,
            upto: Some(1),
            alive: None,
            silent_ms: 0,
            entries: vec![(key, Entry::new(1, Hlc::ZERO, content))],
        }
    }

    fn staged(part: Part, number: u64) -> Staged {
        let mut staged = Staged::begin(part.header.header().replica, &part, number);
        assert!(staged.add(part));
        staged
    }

    #[test]
    fn what_was_lent_of_an_earlier_transfer_is_not_taken_back() {
        let mut earlier = staged(part(1, "PJSIP/old"), 1);
        let mut old = earlier.lend().unwrap();
        let mut now = staged(part(2, "PJSIP/new"), 2);
        old.build(usize::MAX);
        assert!(!now.take_back(old));

        let mut new = now.lend().expect("it was not touched");
        assert!(!now.has_arrived(), "nothing is here that is not lent");
        new.build(usize::MAX);
        assert!(now.take_back(new));
        let built = now.into_built().unwrap();
        let mut map = OriginMap::new(Incarnation(1));
        assert!(
            map.adopt(built.whole.complete(built.upto).unwrap())
                .is_some()
        );
        let keys: Vec<_> = map.live().map(|(key, _)| key.to_string()).collect();
        assert_eq!(
            (map.incarnation(), keys.len()),
            (Incarnation(2), 1),
            "{keys:?}"
        );
        assert!(keys[0].contains("PJSIP/new"), "{keys:?}");
    }
}
