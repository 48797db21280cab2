//! All that is known of one origin: its map from keys to entries.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use crdts::{CmRDT, CvRDT};
use hashbrown::HashTable;
use sha2::{Digest as _, Sha256};

use super::delta::Delta;
use super::entry::{Content, Entry};
use super::hlc::Hlc;
use crate::model::{Incarnation, Key};

/// One origin's map as known here, and how far: a true moment of the original, never a mixture.
///
/// Only the origin writes; everyone else applies [`Delta`]s. Joins are lexicographic: a later incarnation
/// replaces all, within one incarnation the larger prefix wins. Writing, reading and applying one entry cost
/// the same however many others there are (but for one ordered index, whose cost grows with the logarithm).
#[derive(Clone, Default)]
pub struct OriginMap {
    incarnation: Incarnation,
    head: u64,
    watermark: u64,
    slots: Vec<Option<(Key, Entry)>>,
    free: Vec<u32>,
    by_key: HashTable<u32>,
    by_seq: BTreeMap<u64, u32>,
    live: usize,
    live_bytes: usize,
    tombstone_bytes: usize,
    /// Sum modulo 2^128 of the hashes of all live entries: adding and removing one costs one hash.
    hash: u128,
}

/// What became of a delta.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// All of it was known already, or belongs to an earlier life. Nothing changed.
    Old,
    /// Applied; these keys were written or withdrawn. Empty when only the head rose.
    Applied(Vec<Key>),
    /// Something before it is missing: `(head, base]`. Nothing changed; keep it and ask.
    Early(Delta),
}

/// A piece of a delta that is too large for one page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// In ascending seq.
    pub entries: Vec<(Key, Entry)>,
    /// An estimate, from above, of their encoded size.
    pub bytes: usize,
    /// Whether nothing of the map comes after it.
    pub last: bool,
}

impl OriginMap {
    /// An empty map of one life.
    pub fn new(incarnation: Incarnation) -> Self {
        Self { incarnation, ..Self::default() }
    }

    /// Writes as the origin itself. Returns the seq of the write.
    pub fn write(&mut self, key: Key, hlc: Hlc, content: Content) -> u64 {
        self.head += 1;
        self.put(key, Entry::new(self.head, hlc, content));
        self.head
    }

    /// Accepts a delta from anyone: rules 1, 2, 3 and 5 of DESIGN §4 (rule 4 is the caller's, who keeps what
    /// comes back as [`Accepted::Early`]).
    pub fn accept(&mut self, delta: Delta) -> Accepted {
        debug_assert_eq!(delta.check(), Ok(()), "deltas are checked where they are decoded");
        if delta.incarnation < self.incarnation {
            return Accepted::Old;
        }
        if delta.incarnation > self.incarnation {
            *self = Self::new(delta.incarnation);
        }
        if delta.upto <= self.head {
            return Accepted::Old;
        }
        if delta.base > self.head {
            return Accepted::Early(delta);
        }
        let before = self.head;
        let changed = match delta.reset {
            Some(watermark) => self.replace(watermark, delta.entries),
            None => self.extend(delta.entries),
        };
        self.head = delta.upto;
        assert!(self.head > before, "an accepted delta raises the head");
        Accepted::Applied(changed)
    }

    fn extend(&mut self, entries: Vec<(Key, Entry)>) -> Vec<Key> {
        let mut changed = Vec::with_capacity(entries.len());
        for (key, entry) in entries {
            if entry.seq() > self.head {
                changed.push(key.clone());
                self.put(key, entry);
            }
        }
        changed
    }

    /// Takes another's whole map for our own, with whatever neither holds withdrawn.
    fn replace(&mut self, watermark: u64, entries: Vec<(Key, Entry)>) -> Vec<Key> {
        let old = std::mem::take(self);
        self.incarnation = old.incarnation;
        self.watermark = old.watermark.max(watermark);
        for (key, entry) in entries {
            self.put(key, entry);
        }
        let differs = |key: &Key, entry: &Entry| self.get(key).map(Entry::seq) != Some(entry.seq());
        let mut changed: Vec<Key> =
            old.live().filter(|(key, entry)| differs(key, entry)).map(|(key, _)| key.clone()).collect();
        changed.extend(
            self.live().filter(|(key, _)| old.get(key).is_none_or(Entry::is_tombstone)).map(|(key, _)| key.clone()),
        );
        changed
    }

    /// Forgets those of the writes numbered `seqs` that are still tombstones, and raises the watermark to the
    /// greatest of them. Returns how many were forgotten.
    pub fn collect(&mut self, seqs: impl IntoIterator<Item = u64>) -> usize {
        let mut collected = 0;
        for seq in seqs {
            let Some(slot) = self.by_seq.get(&seq).copied() else { continue };
            if self.at(slot).1.is_tombstone() {
                assert!(seq <= self.head, "a tombstone above the head cannot be stored");
                self.remove(slot);
                self.watermark = self.watermark.max(seq);
                collected += 1;
            }
        }
        collected
    }

    /// The entries after `base`, in ascending seq, as long as they come to at most `budget_bytes` (one entry
    /// is always given). Tombstones included.
    pub fn page(&self, base: u64, budget_bytes: usize) -> Page {
        let mut page = Page { entries: Vec::new(), bytes: 0, last: true };
        let after = self.by_seq.range((std::ops::Bound::Excluded(base), std::ops::Bound::Unbounded));
        for (_, slot) in after {
            let (key, entry) = self.at(*slot);
            let bytes = entry_cost(key, entry);
            if page.bytes + bytes > budget_bytes && !page.entries.is_empty() {
                page.last = false;
                break;
            }
            page.bytes += bytes;
            page.entries.push((key.clone(), entry.clone()));
        }
        page
    }

    /// The entry of `key`, tombstones included.
    pub fn get(&self, key: &Key) -> Option<&Entry> {
        self.find(key).map(|slot| &self.at(slot).1)
    }

    /// All keys with a value, in no particular but a reproducible order.
    pub fn live(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.slots.iter().flatten().filter(|(_, entry)| !entry.is_tombstone()).map(|(key, entry)| (key, entry))
    }

    /// The seqs of all tombstones, ascending.
    pub fn tombstones(&self) -> impl Iterator<Item = u64> {
        self.by_seq.iter().filter(|(_, slot)| self.at(**slot).1.is_tombstone()).map(|(seq, _)| *seq)
    }

    /// The origin's life.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// The highest seq below which nothing is missing.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Below this seq tombstones have been forgotten here.
    pub fn watermark(&self) -> u64 {
        self.watermark
    }

    /// How many keys have a value.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether no key has a value.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// About how many bytes the live entries take on the wire.
    pub fn live_bytes(&self) -> usize {
        self.live_bytes
    }

    /// About how many bytes the tombstones take on the wire.
    pub fn tombstone_bytes(&self) -> usize {
        self.tombstone_bytes
    }

    /// The hash of all live `(key, seq, hlc, value)`: equal maps have equal hashes.
    pub fn hash(&self) -> u128 {
        self.hash
    }

    fn put(&mut self, key: Key, entry: Entry) {
        let slot = match self.find(&key) {
            Some(slot) => {
                self.uncount(slot);
                let (_, held) = self.slots[slot as usize].as_mut().expect("an indexed slot is filled");
                held.merge(entry);
                slot
            }
            None => self.insert(key, entry),
        };
        self.count(slot);
    }

    fn insert(&mut self, key: Key, entry: Entry) -> u32 {
        let hash = hash_key(&key);
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                u32::try_from(self.slots.len() - 1).expect("entries per origin are limited far below 2^32")
            }
        };
        self.slots[slot as usize] = Some((key, entry));
        let slots = &self.slots;
        let rehash = |other: &u32| {
            let (key, _) = slots[*other as usize].as_ref().expect("an indexed slot is filled");
            hash_key(key)
        };
        self.by_key.insert_unique(hash, slot, rehash);
        slot
    }

    fn remove(&mut self, slot: u32) {
        self.uncount(slot);
        let (key, _) = self.slots[slot as usize].take().expect("an indexed slot is filled");
        if let Ok(found) = self.by_key.find_entry(hash_key(&key), |other| *other == slot) {
            found.remove();
        }
        self.free.push(slot);
    }

    fn count(&mut self, slot: u32) {
        let (key, entry) = self.at(slot);
        let (seq, bytes, item) = (entry.seq(), entry_cost(key, entry), item_hash(key, entry));
        let tombstone = entry.is_tombstone();
        let before = self.by_seq.insert(seq, slot);
        assert!(before.is_none(), "one dot has one content, so one seq names one key");
        if tombstone {
            self.tombstone_bytes += bytes;
        } else {
            self.live += 1;
            self.live_bytes += bytes;
            self.hash = self.hash.wrapping_add(item);
        }
    }

    fn uncount(&mut self, slot: u32) {
        let (key, entry) = self.at(slot);
        let (seq, bytes, item) = (entry.seq(), entry_cost(key, entry), item_hash(key, entry));
        let tombstone = entry.is_tombstone();
        self.by_seq.remove(&seq);
        if tombstone {
            self.tombstone_bytes -= bytes;
        } else {
            self.live -= 1;
            self.live_bytes -= bytes;
            self.hash = self.hash.wrapping_sub(item);
        }
    }

    fn find(&self, key: &Key) -> Option<u32> {
        self.by_key.find(hash_key(key), |slot| self.at(*slot).0 == *key).copied()
    }

    fn at(&self, slot: u32) -> &(Key, Entry) {
        self.slots[slot as usize].as_ref().expect("an indexed slot is filled")
    }
}

impl CvRDT for OriginMap {
    type Validation = Infallible;

    fn validate_merge(&self, _: &Self) -> Result<(), Infallible> {
        Ok(())
    }

    /// The later life, or within one life the larger prefix; the watermark is the greater of both.
    fn merge(&mut self, other: Self) {
        let watermark = self.watermark.max(other.watermark);
        let same_life = self.incarnation == other.incarnation;
        if (other.incarnation, other.head) > (self.incarnation, self.head) {
            *self = other;
        }
        if same_life {
            self.watermark = watermark;
        }
    }
}

impl CmRDT for OriginMap {
    type Op = Delta;
    type Validation = Infallible;

    fn validate_op(&self, _: &Delta) -> Result<(), Infallible> {
        Ok(())
    }

    /// Like [`OriginMap::accept`]; a delta that comes too early changes nothing.
    fn apply(&mut self, delta: Delta) {
        self.accept(delta);
    }
}

impl std::fmt::Debug for OriginMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} head {} watermark {} ", self.incarnation, self.head, self.watermark)?;
        f.debug_map().entries(self.by_seq.values().map(|slot| self.at(*slot)).map(|(k, e)| (k, e))).finish()
    }
}

/// The greatest number of bytes that `entry` takes on the wire besides key and value: three varints, lengths,
/// tags.
const ENTRY_OVERHEAD_BYTES: usize = 32;
const DOT_BYTES: usize = 52;

/// The greatest number of bytes that an entry takes on the wire.
fn entry_cost(key: &Key, entry: &Entry) -> usize {
    let value = entry.value().map_or(0, |value| value.as_bytes().len());
    ENTRY_OVERHEAD_BYTES + key.name().len() + value + entry.over().len() * DOT_BYTES
}

/// SipHash with fixed keys: iteration order and timing are the same on every machine.
fn hash_key(key: &Key) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(key)
}

fn item_hash(key: &Key, entry: &Entry) -> u128 {
    let Some(value) = entry.value() else { return 0 };
    let mut hasher = Sha256::new();
    hasher.update([key.space().0, u8::try_from(key.name().len()).expect("keys are at most 255 bytes")]);
    hasher.update(key.name());
    hasher.update(entry.seq().to_le_bytes());
    hasher.update(entry.hlc().0.to_le_bytes());
    hasher.update(value.as_bytes());
    let hash: [u8; 32] = hasher.finalize().into();
    u128::from_le_bytes(hash[..16].try_into().expect("half of 32 bytes"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{DeviceState, Source, SpaceId};

    const LIFE: Incarnation = Incarnation(7);

    fn key(name: &str) -> Key {
        Key::new(SpaceId::DEVICES, name).expect("a key")
    }

    fn content(state: Option<DeviceState>) -> Content {
        Content { value: state.map(Into::into), source: Source::API, over: None }
    }

    impl OriginMap {
        fn set(&mut self, name: &str, state: DeviceState) -> u64 {
            self.write(key(name), Hlc(self.head + 1), content(Some(state)))
        }

        fn clear(&mut self, name: &str) -> u64 {
            self.write(key(name), Hlc(self.head + 1), content(None))
        }

        /// The delta this replica would send to one that has everything up to `base` (rule 6).
        fn since(&self, base: u64) -> Delta {
            let reset = (base < self.watermark).then_some(self.watermark);
            let base = if reset.is_some() { 0 } else { base };
            let entries = self.page(base, usize::MAX).entries;
            Delta { incarnation: self.incarnation, base, upto: self.head, reset, entries }
        }

        fn shows(&self, name: &str) -> Option<DeviceState> {
            self.get(&key(name))?.value().map(crate::model::Value::device_state)
        }
    }

    fn origin() -> OriginMap {
        OriginMap::new(LIFE)
    }

    /// Rule 1. Left out, a late message of an earlier life would bring its lamps back.
    #[test]
    fn an_earlier_life_is_dropped_and_a_later_one_starts_afresh() {
        let mut old = origin();
        old.set("old", DeviceState::InUse);
        let mut copy = origin();
        copy.accept(old.since(0));
        let mut new = OriginMap::new(Incarnation(8));
        new.set("new", DeviceState::InUse);
        copy.accept(new.since(0));
        assert_eq!((copy.shows("old"), copy.shows("new")), (None, Some(DeviceState::InUse)));
        old.set("old", DeviceState::Busy);
        assert_eq!(copy.accept(old.since(0)), Accepted::Old);
        assert_eq!(copy.shows("old"), None);
    }

    /// Rule 2, "drop all of it". Left out, an old copy of a covered range resurrects what was deleted and
    /// collected meanwhile.
    #[test]
    fn a_covered_range_resurrects_nothing() {
        let mut origin = origin();
        origin.set("x", DeviceState::InUse);
        let early = origin.since(0);
        let deleted = origin.clear("x");
        origin.collect([deleted]);
        let mut copy = OriginMap::new(LIFE);
        copy.accept(origin.since(0));
        assert_eq!(copy.accept(early), Accepted::Old);
        assert_eq!(copy.shows("x"), None);
    }

    /// Rule 3. Counting by the greatest seq instead of contiguously would lose `x` for ever.
    #[test]
    fn a_range_that_does_not_follow_the_head_does_not_count() {
        let mut origin = origin();
        origin.set("x", DeviceState::InUse);
        origin.set("y", DeviceState::InUse);
        let later = Delta { base: 1, entries: origin.page(1, usize::MAX).entries, ..origin.since(0) };
        let mut copy = OriginMap::new(LIFE);
        assert_eq!(copy.accept(later.clone()), Accepted::Early(later));
        assert_eq!((copy.head(), copy.shows("y")), (0, None), "rule 4: not shown before what precedes it");
        copy.accept(origin.since(0));
        assert_eq!(copy.shows("x"), Some(DeviceState::InUse));
    }

    /// Rule 3, "entries with seq > head". Left out, a delta from an old base would undo later writes.
    #[test]
    fn of_an_overlapping_range_only_the_new_part_is_applied() {
        let mut origin = origin();
        origin.set("x", DeviceState::Ringing);
        let mut copy = OriginMap::new(LIFE);
        copy.accept(origin.since(0));
        origin.set("y", DeviceState::InUse);
        origin.set("x", DeviceState::InUse);
        assert_eq!(copy.accept(origin.since(0)), Accepted::Applied(vec![key("y"), key("x")]));
        assert_eq!(copy.hash(), origin.hash());
    }

    /// Rule 5. Without the sender's watermark, a copy reset by it would later serve a range from before the
    /// collected tombstones, and `x` would live on at a third replica.
    #[test]
    fn a_reset_carries_its_watermark() {
        let mut origin = origin();
        origin.set("x", DeviceState::InUse);
        let mut third = OriginMap::new(LIFE);
        third.accept(origin.since(0));
        let deleted = origin.clear("x");
        origin.set("y", DeviceState::InUse);
        origin.collect([deleted]);
        let mut copy = OriginMap::new(LIFE);
        copy.accept(origin.since(0));
        assert_eq!(copy.watermark(), deleted);
        third.accept(copy.since(third.head()));
        assert_eq!((third.shows("x"), third.hash()), (None, origin.hash()));
    }

    /// Rule 5, "only if upto > head". Left out, an old reset would take a copy back.
    #[test]
    fn an_old_reset_changes_nothing() {
        let mut origin = origin();
        origin.set("x", DeviceState::InUse);
        let old = Delta { reset: Some(0), ..origin.since(0) };
        origin.set("x", DeviceState::Busy);
        let mut copy = OriginMap::new(LIFE);
        copy.accept(origin.since(0));
        assert_eq!(copy.accept(old), Accepted::Old);
        assert_eq!(copy.shows("x"), Some(DeviceState::Busy));
    }

    /// Rule 6, "else it is a reset". Left out, a delta from below the watermark lacks the collected tombstone.
    #[test]
    fn below_the_watermark_only_a_reset_will_do() {
        let mut origin = origin();
        origin.set("x", DeviceState::InUse);
        let mut copy = OriginMap::new(LIFE);
        copy.accept(origin.since(0));
        let deleted = origin.clear("x");
        origin.collect([deleted]);
        let wrong = Delta { reset: None, base: 1, ..origin.since(1) };
        let mut zombie = copy.clone();
        zombie.accept(wrong);
        assert_eq!(zombie.shows("x"), Some(DeviceState::InUse), "this is what the reset prevents");
        assert!(origin.since(1).reset.is_some());
        copy.accept(origin.since(1));
        assert_eq!(copy.shows("x"), None);
    }

    /// Rule 6, "upto is always the sender's own head". A reply cut below it, applied by one copy and not by
    /// another, would leave both with one head and different maps.
    #[test]
    fn a_page_says_whether_it_reaches_the_head() {
        let mut origin = origin();
        (0..100).for_each(|n| {
            origin.set(&format!("d{n:02}"), DeviceState::InUse);
        });
        let first = origin.page(0, 1_000);
        assert!(!first.last && first.entries.len() > 1 && first.entries.len() < 100);
        let cursor = first.entries.last().expect("not empty").1.seq();
        origin.set("d00", DeviceState::Busy);
        let rest = origin.page(cursor, usize::MAX);
        assert!(rest.last);
        let entries = [first.entries, rest.entries].concat();
        let whole = Delta { entries, ..origin.since(0) };
        assert_eq!(whole.check(), Ok(()));
        let mut copy = OriginMap::new(LIFE);
        copy.accept(whole);
        assert_eq!((copy.hash(), copy.len()), (origin.hash(), 100));
    }

    #[test]
    fn a_reset_names_every_key_that_changed() {
        let mut origin = origin();
        for name in ["same", "gone", "changed"] {
            origin.set(name, DeviceState::InUse);
        }
        let mut copy = OriginMap::new(LIFE);
        copy.accept(origin.since(0));
        let deleted = origin.clear("gone");
        origin.set("changed", DeviceState::Busy);
        origin.set("new", DeviceState::Ringing);
        origin.collect([deleted]);
        let Accepted::Applied(mut changed) = copy.accept(origin.since(3)) else { panic!("it was not applied") };
        changed.sort();
        assert_eq!(changed, ["changed", "gone", "new"].map(key));
        assert_eq!(copy.hash(), origin.hash());
    }

    #[test]
    fn equal_maps_have_equal_hashes_whatever_led_there() {
        let mut origin = origin();
        origin.set("x", DeviceState::InUse);
        let empty = OriginMap::new(LIFE).hash();
        let before = origin.hash();
        origin.clear("x");
        assert_eq!(origin.hash(), empty);
        assert_ne!(before, empty);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Set(u8, u8),
        Clear(u8),
        Collect(u64),
        Send { from: usize, to: usize, base: u64 },
        Repeat(usize, usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0u8..4, 0u8..9).prop_map(|(key, state)| Step::Set(key, state)),
            3 => (0u8..4).prop_map(Step::Clear),
            2 => (0u64..40).prop_map(Step::Collect),
            6 => (0usize..3, 0usize..3, 0u64..40).prop_map(|(from, to, base)| Step::Send { from, to, base }),
            3 => (0usize..40, 0usize..3).prop_map(|(old, to)| Step::Repeat(old, to)),
        ];
        proptest::collection::vec(step, 1..60)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// J and M in one: whatever is sent, by whom, from which base, collected when, and repeated when,
        /// every copy is what the origin was when its seq was that head, and heads never go back.
        #[test]
        fn every_copy_is_a_true_moment_of_the_origin(steps in steps()) {
            let mut maps = [origin(), origin(), origin()];
            let mut truth = vec![0u128];
            let mut sent = Vec::new();
            for step in steps {
                let heads = [maps[0].head(), maps[1].head(), maps[2].head()];
                match step {
                    Step::Set(key, state) => {
                        let state = DeviceState::from_number(state).expect("nine states");
                        maps[0].set(&key.to_string(), state);
                        truth.push(maps[0].hash());
                    }
                    Step::Clear(key) => {
                        maps[0].clear(&key.to_string());
                        truth.push(maps[0].hash());
                    }
                    Step::Collect(upto) => {
                        let which = usize::try_from(upto % 3).expect("small");
                        let seqs: Vec<u64> = maps[which].tombstones().filter(|seq| *seq <= upto).collect();
                        maps[which].collect(seqs);
                    }
                    Step::Send { from, to, base } if to != 0 => {
                        let delta = maps[from].since(base.min(maps[from].head()));
                        prop_assert_eq!(delta.check(), Ok(()));
                        sent.push(delta.clone());
                        maps[to].accept(delta);
                    }
                    Step::Repeat(old, to) if to != 0 => {
                        if let Some(delta) = sent.get(old) {
                            maps[to].accept(delta.clone());
                        }
                    }
                    Step::Send { .. } | Step::Repeat(..) => {}
                }
                for (map, head) in maps.iter().zip(heads) {
                    prop_assert!(map.head() >= head);
                    let moment = usize::try_from(map.head()).expect("small");
                    prop_assert_eq!(map.hash(), truth[moment]);
                    prop_assert!(map.watermark() <= map.head());
                }
            }
            let last = maps[0].since(maps[1].head());
            maps[1].accept(last);
            prop_assert_eq!(maps[1].hash(), maps[0].hash());
        }

        /// The join of whole maps, as a state-based CRDT. The inputs are copies of one origin, as they are in
        /// a mesh.
        #[test]
        fn merging_maps_is_a_join(a in 0u64..6, b in 0u64..6, c in 0u64..6, lives in 0u64..8) {
            let copy = |head: u64, life: u64| {
                let mut map = OriginMap::new(Incarnation(life));
                (0..head).for_each(|n| {
                    map.set(&(n % 3).to_string(), DeviceState::InUse);
                });
                map
            };
            let merged = |mut a: OriginMap, b: OriginMap| {
                a.merge(b);
                (a.incarnation(), a.head(), a.hash(), a.watermark())
            };
            let (a, b, c) = (copy(a, lives & 1), copy(b, lives >> 1 & 1), copy(c, lives >> 2 & 1));
            prop_assert_eq!(merged(a.clone(), b.clone()), merged(b.clone(), a.clone()));
            prop_assert_eq!(merged(a.clone(), a.clone()), (a.incarnation(), a.head(), a.hash(), a.watermark()));
            let (mut ab, mut bc) = (a.clone(), b.clone());
            ab.merge(b);
            bc.merge(c.clone());
            prop_assert_eq!(merged(ab, c), merged(a, bc));
        }
    }
}
