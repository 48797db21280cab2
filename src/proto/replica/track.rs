//! Writes that are withdrawn when nobody holds them any more.

use super::super::error::WriteError;
use super::super::io::Now;
use super::super::tracks::{Said, TrackId};
use super::{Replica, Write};
use crate::model::{Key, Source, Value};

impl Replica {
    /// Says `value` of `key` until [`Replica::untrack`]. Several tokens on one key count: the newest living
    /// one's value is said, and the key is withdrawn with the last.
    ///
    /// # Errors
    /// See [`WriteError`]; there is no token then.
    pub fn track(
        &mut self,
        key: Key,
        value: Value,
        source: Source,
        now: Now,
    ) -> Result<TrackId, WriteError> {
        self.write(vec![(key.clone(), Some(value.clone()))], by(source), now)?;
        let id = self.tracks.add(key.clone(), Said { value, source });
        // Said already, it may have been saved as one that is kept.
        self.unsaved_key(self.id(), &key);
        Ok(id)
    }

    /// Changes what a token says; shown at once when it is the newest of its key, and otherwise once it is.
    ///
    /// # Errors
    /// See [`WriteError`]; the token says what it said before then.
    pub fn retrack(&mut self, id: TrackId, value: Value, now: Now) -> Result<(), WriteError> {
        let Some((key, source, newest)) = self.tracks.find(id) else {
            return Ok(());
        };
        if newest {
            self.write(vec![(key, Some(value.clone()))], by(source), now)?;
        }
        self.tracks.say(id, value);
        Ok(())
    }

    /// Ends a token: the key says what the newest of those that remain says, or is withdrawn. Of a token that
    /// has ended, nothing.
    ///
    /// # Errors
    /// See [`WriteError`]; the token has ended all the same.
    pub fn untrack(&mut self, id: TrackId, now: Now) -> Result<(), WriteError> {
        let Some((key, newest)) = self.tracks.remove(id) else {
            return Ok(());
        };
        if let Some(Said { value, source }) = newest {
            let entries = vec![(key.clone(), Some(value))];
            if self.write(entries, by(source), now).is_ok() {
                return Ok(());
            }
            // Better nothing than what is over.
        }
        let source = Source::API;
        self.write(vec![(key, None)], by(source), now).map(drop)
    }

    /// Whether a token keeps `key` set. What is tracked is not to be kept over a restart.
    pub fn is_tracked(&self, key: &Key) -> bool {
        self.tracks.holds(key)
    }

    /// All keys that tokens keep set, in order.
    pub fn tracked(&self) -> impl Iterator<Item = &Key> {
        self.tracks.keys()
    }
}

fn by(source: Source) -> Write {
    Write {
        source,
        restate: false,
    }
}
