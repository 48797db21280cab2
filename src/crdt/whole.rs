//! The whole of an origin's map on its way here.

use super::delta::{DeltaError, MAX_SEQ};
use super::entry::Entry;
use super::origin_map::OriginMap;
use crate::model::{Incarnation, Key};
use crate::zoo::{Fault, planted};

/// The whole map of one origin's life, as its entries come: nothing of it is known before all of it is here, when
/// it takes the place of what was known, in one step however large it is.
///
/// ```
/// use presence_mesh::crdt::{Content, Hlc, OriginMap, Whole};
/// use presence_mesh::{DeviceState, Incarnation, Key, Source, SpaceId};
///
/// let mut original = OriginMap::new(Incarnation(7));
/// let busy = Content { value: Some(DeviceState::Busy.into()), source: Source::API, over: None };
/// original.write(Key::new(SpaceId::DEVICES, "PJSIP/100")?, Hlc::ZERO, busy);
///
/// let mut whole = Whole::new(original.incarnation(), None);
/// for (key, entry) in original.page(0, usize::MAX).entries {
///     whole.add(key, entry);
/// }
/// let mut copy = OriginMap::new(original.incarnation());
/// assert!(copy.adopt(whole.complete(original.head())?).is_some());
/// assert_eq!((copy.head(), copy.hash()), (original.head(), original.hash()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Whole {
    pub(super) map: OriginMap,
    tombstones: Vec<u64>,
    last: u64,
}

impl Whole {
    /// The beginning of one. `reset`: below this seq the sender has collected tombstones; `None` where it has
    /// collected none.
    pub fn new(incarnation: Incarnation, reset: Option<u64>) -> Self {
        let mut map = OriginMap::new(incarnation);
        if !planted(Fault::ResetLosesWatermark) {
            map.set_watermark(reset.unwrap_or_default());
        }
        Self {
            map,
            tombstones: Vec::new(),
            last: 0,
        }
    }

    /// Adds the next entry.
    ///
    /// # Panics
    /// When its seq is not above that of the one before.
    pub fn add(&mut self, key: Key, entry: Entry) {
        assert!(self.last < entry.seq(), "entries come in ascending seq");
        self.last = entry.seq();
        if entry.is_tombstone() {
            self.tombstones.push(entry.seq());
        }
        self.map.put(key, entry);
    }

    /// The seqs of all tombstones that were added, ascending; the keys of some may have been written again since.
    pub fn tombstones(&self) -> impl Iterator<Item = u64> {
        self.tombstones.iter().copied()
    }

    /// Says that this was all, as it was when `upto` was its head.
    ///
    /// # Errors
    /// When it contradicts itself: an entry or the watermark lies beyond `upto`, or `upto` beyond [`MAX_SEQ`].
    pub fn complete(mut self, upto: u64) -> Result<Self, DeltaError> {
        if upto > MAX_SEQ {
            return Err(DeltaError::SeqTooGreat(upto));
        }
        if self.map.watermark() > upto {
            return Err(DeltaError::Watermark { upto });
        }
        if self.last > upto {
            let (seq, after) = (self.last, 0);
            return Err(DeltaError::Entry { seq, after, upto });
        }
        self.map.set_head(upto);
        Ok(self)
    }
}
