//! The last of what was told, in batches.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Bytes;
use presence_mesh::Pattern;

use super::About;

/// What a log keeps for readers that are behind: the last 7,000 changes of a lamp or so.
pub const LOG_BYTES: usize = 4 * 1024 * 1024;
/// The last batches.
#[derive(Debug, Default)]
pub struct Log {
    pub(super) batches: VecDeque<Arc<Batch>>,
    /// The number of the first one that is kept.
    first: u64,
    pub(super) bytes: usize,
}

/// A batch that is not kept any more.
pub struct Dropped;

impl Log {
    /// The number of the batch that comes next.
    pub fn head(&self) -> u64 {
        self.first + self.batches.len() as u64
    }

    pub fn get(&self, number: u64) -> Result<Option<Arc<Batch>>, Dropped> {
        let at = number.checked_sub(self.first).ok_or(Dropped)?;
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        Ok(self.batches.get(at).cloned())
    }

    pub fn push(&mut self, batch: Batch) {
        self.bytes += batch.bytes.len();
        self.batches.push_back(Arc::new(batch));
        while self.bytes > LOG_BYTES
            && let Some(oldest) = self.batches.pop_front()
        {
            self.bytes -= oldest.bytes.len();
            self.first += 1;
        }
    }

    /// From now on everybody is behind.
    pub fn forget(&mut self) {
        self.first = self.head() + 1;
        self.batches.clear();
        self.bytes = 0;
    }
}

/// Events that are sent together.
#[derive(Debug)]
pub struct Batch {
    bytes: Bytes,
    /// What each event is about, and where it ends.
    parts: Vec<(Option<About>, usize)>,
}

impl Batch {
    /// Leaves both empty.
    pub fn of(bytes: &mut Vec<u8>, parts: &mut Vec<(Option<About>, usize)>) -> Self {
        Self {
            bytes: std::mem::take(bytes).into(),
            parts: std::mem::take(parts),
        }
    }

    /// Those events that are wanted.
    pub fn wanted(&self, pattern: &Pattern) -> Bytes {
        let wanted = |about: &Option<About>| {
            let name = about.as_ref().map(|(name, _)| name);
            name.is_none_or(|name| pattern.matches(name))
        };
        if self.parts.iter().all(|(about, _)| wanted(about)) {
            return self.bytes.clone();
        }
        let (mut start, mut found) = (0, Vec::new());
        for (about, end) in &self.parts {
            if wanted(about) {
                found.extend(&self.bytes[start..*end]);
            }
            start = *end;
        }
        found.into()
    }
}
