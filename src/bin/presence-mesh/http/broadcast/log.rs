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

    /// The batch of this number and those after it, as far as they are shorter than this together; one at the least,
    /// if there is any.
    pub fn from(&self, number: u64, bytes: usize) -> Result<Vec<Arc<Batch>>, Dropped> {
        let at = number.checked_sub(self.first).ok_or(Dropped)?;
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let (mut sum, mut found) = (0, Vec::new());
        for batch in self.batches.iter().skip(at) {
            sum += batch.bytes.len();
            if sum > bytes && !found.is_empty() {
                break;
            }
            found.push(batch.clone());
        }
        Ok(found)
    }

    pub fn has(&self, number: u64) -> bool {
        number >= self.first
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
        if pattern.as_str() == "*" || self.parts.iter().all(|(about, _)| wanted(about)) {
            return self.bytes.clone();
        }
        let (mut start, mut found) = (0, Vec::new());
        for (about, end) in &self.parts {
            if wanted(about) {
                found.extend_from_slice(&self.bytes[start..*end]);
            }
            start = *end;
        }
        found.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_batches_are_got_together_and_a_large_one_alone() {
        let mut log = Log::default();
        for length in [10, 20, 30, 100, 10] {
            let mut bytes = vec![b'x'; length];
            log.push(Batch::of(&mut bytes, &mut vec![(None, length)]));
        }
        let lengths = |from: u64| -> Vec<usize> {
            let found = log.from(from, 60).ok().expect("all is kept");
            found.iter().map(|batch| batch.bytes.len()).collect()
        };
        assert_eq!(lengths(0), [10, 20, 30]);
        assert_eq!(lengths(2), [30]);
        assert_eq!(lengths(3), [100]);
        assert_eq!(lengths(5), [0; 0]);
    }
}
