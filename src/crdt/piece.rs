//! What is answered to someone who lacks writes of an origin: rule 6 of [`crate::crdt`].

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::entry::Entry;
use super::heads::Head;
use super::origin_map::OriginMap;
use crate::model::Key;
use crate::zoo::{Fault, planted};

/// One answer's worth of a delta: all of it, or as much as fits a page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Piece {
    /// `Some(watermark)`: a reset; the answerer's watermark when the transfer began.
    pub reset: Option<u64>,
    /// Where the whole delta starts; 0 in a reset.
    pub base: u64,
    /// Where this piece starts: the entries are after this seq.
    pub after: u64,
    /// Set in the last piece: where the whole delta ends, the answerer's head at this moment.
    pub upto: Option<u64>,
    /// In ascending seq, after `after`.
    pub entries: Vec<(Key, Entry)>,
    /// An estimate, from above, of the entries' encoded size.
    pub bytes: usize,
}

/// Where a transfer in parts is to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// The seq of the last entry received.
    pub cursor: u64,
    /// For a reset: the watermark its first part named.
    pub reset: Option<u64>,
}

impl OriginMap {
    /// What to answer to someone who has everything up to `known`, and perhaps the beginning of more:
    /// `None` if it knows of a later life than we do.
    ///
    /// Entries come to at most `budget_bytes`, but for one that is always given.
    pub fn piece(&self, known: Head, resume: Option<Resume>, budget_bytes: usize) -> Option<Piece> {
        let same_life = match known.incarnation.cmp(&self.incarnation()) {
            Ordering::Greater => return None,
            Ordering::Equal => true,
            Ordering::Less => false,
        };
        let known = if same_life { known.seq } else { 0 };
        if known >= self.head() {
            return Some(Piece {
                base: self.head(),
                after: self.head(),
                upto: Some(self.head()),
                ..Piece::default()
            });
        }
        // A transfer goes on only while nothing was collected that it has not sent yet.
        let resume = resume.filter(|resume| {
            same_life
                && resume.cursor >= known
                && self.watermark() <= resume.cursor.max(resume.reset.unwrap_or_default())
                && !(resume.reset.is_some() && planted(Fault::ResetWithoutCursor))
        });
        let (reset, base, after) = match resume {
            Some(resume) if resume.reset.is_some() => (resume.reset, 0, resume.cursor),
            Some(resume) => (None, known, resume.cursor),
            None if known >= self.watermark() => (None, known, known),
            None => (Some(self.watermark()), 0, 0),
        };
        let page = self.page(after, budget_bytes);
        let mut upto = page.last.then_some(self.head());
        if planted(Fault::ReplyCutShort) {
            upto = upto.or(page.entries.last().map(|(_, entry)| entry.seq()));
        }
        Some(Piece {
            reset,
            base,
            after,
            upto,
            entries: page.entries,
            bytes: page.bytes,
        })
    }
}
