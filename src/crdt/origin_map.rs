//! All that is known of one origin: its map from keys to entries.

use std::collections::BTreeMap;
use std::convert::Infallible;

use crdts::{CmRDT, CvRDT};
use sha2::{Digest as _, Sha256};

use super::delta::Delta;
use super::entry::{Content, Entry};
use super::hlc::Hlc;
use super::key_map::{KeyMap, Slot};
use super::whole::Whole;
use crate::model::{Incarnation, Key};
use crate::zoo::{Fault, planted};

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
    entries: KeyMap<Entry>,
    by_seq: BTreeMap<u64, Slot>,
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
        Self {
            incarnation,
            ..Self::default()
        }
    }

    /// A later life of the origin begins, of which nothing is known yet. Returns the map of the one before.
    pub fn begin_life(&mut self, incarnation: Incarnation) -> Self {
        let mut new = Self::new(incarnation);
        if planted(Fault::LivesMixed) {
            new = Self {
                incarnation,
                ..self.clone()
            };
        }
        std::mem::replace(self, new)
    }

    /// Writes as the origin itself. Returns the seq of the write.
    pub fn write(&mut self, key: Key, hlc: Hlc, content: Content) -> u64 {
        self.head += 1;
        self.put(key, Entry::new(self.head, hlc, content));
        self.head
    }

    /// Accepts a delta from anyone: rules 1, 2, 3 and 5 of [`crate::crdt`] (rule 4 is the caller's, who keeps what
    /// comes back as [`Accepted::Early`]).
    pub fn accept(&mut self, delta: Delta) -> Accepted {
        debug_assert_eq!(
            delta.check(),
            Ok(()),
            "deltas are checked where they are decoded"
        );
        if delta.incarnation < self.incarnation {
            return Accepted::Old;
        }
        if delta.incarnation > self.incarnation {
            self.begin_life(delta.incarnation);
        }
        if delta.upto <= self.head {
            if planted(Fault::CoveredRangeApplied) {
                return Accepted::Applied(self.extend(delta.entries));
            }
            return Accepted::Old;
        }
        if delta.base > self.head && !planted(Fault::CountsByGreatestSeq) {
            if planted(Fault::ShownAboveHead) {
                return Accepted::Applied(self.extend(delta.entries));
            }
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
            if entry.seq() > self.head || planted(Fault::CoveredRangeApplied) {
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
        self.watermark = old.watermark;
        if !planted(Fault::ResetLosesWatermark) {
            self.watermark = self.watermark.max(watermark);
        }
        for (key, entry) in entries {
            self.put(key, entry);
        }
        let differs = |key: &Key, entry: &Entry| self.get(key).map(Entry::seq) != Some(entry.seq());
        let mut changed: Vec<Key> = old
            .live()
            .filter(|(key, entry)| differs(key, entry))
            .map(|(key, _)| key.clone())
            .collect();
        changed.extend(
            self.live()
                .filter(|(key, _)| old.get(key).is_none_or(Entry::is_tombstone))
                .map(|(key, _)| key.clone()),
        );
        changed
    }

    /// Takes a whole map, once it is complete, for our own, unless it is of an earlier life or no larger prefix:
    /// rules 2 and 3 of [`crate::crdt`]. Returns what was known before, if it was taken.
    ///
    /// A map that is whole from its first write on has a tombstone of everything that was withdrawn, so it takes
    /// the place of any smaller prefix, as a reset does.
    pub fn adopt(&mut self, whole: Whole) -> Option<Self> {
        let mut whole = whole.map;
        if (whole.incarnation, whole.head) <= (self.incarnation, self.head) {
            return None;
        }
        if whole.incarnation == self.incarnation {
            whole.watermark = whole.watermark.max(self.watermark);
        }
        Some(std::mem::replace(self, whole))
    }

    /// Forgets those of the writes numbered `seqs` that are still tombstones, and raises the watermark to the
    /// greatest of them. Returns how many were forgotten.
    pub fn collect(&mut self, seqs: impl IntoIterator<Item = u64>) -> usize {
        let mut collected = 0;
        for seq in seqs {
            let Some(slot) = self.by_seq.get(&seq).copied() else {
                continue;
            };
            if self.entries.at(slot).1.is_tombstone() {
                assert!(
                    seq <= self.head,
                    "a tombstone above the head cannot be stored"
                );
                self.uncount(slot);
                self.entries.remove(slot);
                if !planted(Fault::NoWatermark) {
                    self.watermark = self.watermark.max(seq);
                }
                collected += 1;
            }
        }
        collected
    }

    /// The entries after `base`, in ascending seq, as long as they come to at most `budget_bytes` (one entry
    /// is always given). Tombstones included.
    pub fn page(&self, base: u64, budget_bytes: usize) -> Page {
        let mut page = Page {
            entries: Vec::new(),
            bytes: 0,
            last: true,
        };
        let after = self
            .by_seq
            .range((std::ops::Bound::Excluded(base), std::ops::Bound::Unbounded));
        for (_, slot) in after {
            let (key, entry) = self.entries.at(*slot);
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
        self.entries.get(key)
    }

    /// The same, without a search when it is in slot `near`, which then tells where it is.
    pub(crate) fn get_near(&self, key: &Key, near: &mut Slot) -> Option<&Entry> {
        self.entries.get_near(key, near)
    }

    /// All keys with a value, in no particular but a reproducible order.
    pub fn live(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.entries
            .iter()
            .filter(|(_, entry)| !entry.is_tombstone())
    }

    /// The seqs of all tombstones, ascending.
    pub fn tombstones(&self) -> impl Iterator<Item = u64> {
        self.by_seq
            .iter()
            .filter(|(_, slot)| self.entries.at(**slot).1.is_tombstone())
            .map(|(seq, _)| *seq)
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

    /// The key in a slot, which may be that of a tombstone; `Some(None)` where there is none, `None` after the last.
    pub(crate) fn key_at(&self, slot: Slot) -> Option<Option<&Key>> {
        self.entries.key_at(slot)
    }

    /// Slots in use, or free again.
    pub(crate) fn slots(&self) -> usize {
        self.entries.slots()
    }

    pub(super) fn set_watermark(&mut self, watermark: u64) {
        self.watermark = watermark;
    }

    pub(super) fn set_head(&mut self, head: u64) {
        self.head = head;
    }

    pub(super) fn put(&mut self, key: Key, entry: Entry) {
        let slot = match self.entries.find(&key) {
            Some(slot) => {
                self.uncount(slot);
                self.entries.at_mut(slot).1.merge(entry);
                slot
            }
            None => self.entries.insert(key, entry),
        };
        self.count(slot);
    }

    fn count(&mut self, slot: Slot) {
        let (key, entry) = self.entries.at(slot);
        let (seq, bytes, item) = (entry.seq(), entry_cost(key, entry), item_hash(key, entry));
        let tombstone = entry.is_tombstone();
        let before = self.by_seq.insert(seq, slot);
        assert!(
            before.is_none(),
            "one dot has one content, so one seq names one key"
        );
        if tombstone {
            self.tombstone_bytes += bytes;
        } else {
            self.live += 1;
            self.live_bytes += bytes;
            self.hash = self.hash.wrapping_add(item);
        }
    }

    fn uncount(&mut self, slot: Slot) {
        let (key, entry) = self.entries.at(slot);
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
        write!(
            f,
            "{:?} head {} watermark {} ",
            self.incarnation, self.head, self.watermark
        )?;
        f.debug_map()
            .entries(
                self.by_seq
                    .values()
                    .map(|slot| self.entries.at(*slot))
                    .map(|(k, e)| (k, e)),
            )
            .finish()
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

fn item_hash(key: &Key, entry: &Entry) -> u128 {
    let Some(value) = entry.value() else { return 0 };
    let mut hasher = Sha256::new();
    hasher.update([
        key.space().0,
        u8::try_from(key.name().len()).expect("keys are at most 255 bytes"),
    ]);
    hasher.update(key.name());
    hasher.update(entry.seq().to_le_bytes());
    hasher.update(entry.hlc().0.to_le_bytes());
    hasher.update(value.as_bytes());
    let hash: [u8; 32] = hasher.finalize().into();
    u128::from_le_bytes(hash[..16].try_into().expect("half of 32 bytes"))
}

#[cfg(test)]
mod tests;
