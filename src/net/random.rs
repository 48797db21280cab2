//! Random numbers for jitter and choice. Not for secrets.

/// splitmix64 (Steele, Lea, Flood 2014): small, quick, and the same numbers for the same seed.
#[derive(Debug, Clone, Default)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Evenly from 0 up to 1.
    pub(super) fn share(&mut self) -> f64 {
        let high = u32::try_from(self.next() >> 32).expect("half of 64 bits");
        f64::from(high) / (f64::from(u32::MAX) + 1.0)
    }

    /// An index below `count`, which is not 0.
    pub(super) fn index(&mut self, count: usize) -> usize {
        let count = u64::try_from(count).expect("a length fits 64 bits");
        usize::try_from(self.next() % count).expect("it is below a length")
    }
}
