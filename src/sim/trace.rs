//! A hash of everything that happened.

use std::fmt;

use super::prf::mix;

/// A hash of everything that happened, in order: equal traces mean equal runs. Not for adversaries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trace {
    high: u64,
    low: u64,
    words: u64,
}

impl Trace {
    /// Takes in a number.
    pub fn word(&mut self, word: u64) {
        self.words += 1;
        self.high = mix(self.high ^ word);
        self.low = mix(self.low.wrapping_add(word ^ self.words.rotate_left(32)));
    }

    /// Takes in bytes and their number.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.high, self.low)
    }
}
