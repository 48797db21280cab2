//! Randomness by counter.

/// What a number is drawn for. Every purpose of every entity has a sequence of its own, so that taking one
/// fault out of a scenario does not shift the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u64)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Purpose {
    Identity = 1,
    ReplicaSeed,
    Loss,
    Burst,
    Duplicate,
    Reorder,
    Latency,
    Garbage,
    Replay,
    Redial,
    Notice,
    Choice,
    Write,
    Chaos,
    Gossip,
}

/// The `n`-th number that `entity` draws for `purpose` in the run of `seed`: a counter hashed by three rounds
/// of SplitMix64's finaliser (Steele, Lea and Flood 2014).
pub fn prf(seed: u64, entity: u64, purpose: Purpose, n: u64) -> u64 {
    let mut z = mix(seed ^ 0x9e37_79b9_7f4a_7c15);
    z = mix(z ^ entity.wrapping_mul(0xd6e8_feb8_6659_fd93) ^ ((purpose as u64) << 56));
    mix(z.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

/// SplitMix64's finaliser.
pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A sequence of draws of one entity for one purpose.
#[derive(Debug, Clone)]
pub struct Draws {
    seed: u64,
    entity: u64,
    purpose: Purpose,
    n: u64,
}

impl Draws {
    /// The sequence from its beginning.
    pub fn new(seed: u64, entity: u64, purpose: Purpose) -> Self {
        Self {
            seed,
            entity,
            purpose,
            n: 0,
        }
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.n += 1;
        prf(self.seed, self.entity, self.purpose, self.n - 1)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        assert!(end > 0, "nothing is below 0");
        // The high half of a 128-bit product: no modulo bias worth speaking of.
        ((u128::from(self.draw()) * u128::from(end)) >> 64) as u64
    }

    /// Whether something of this probability happens.
    pub fn happens(&mut self, chance: Chance) -> bool {
        chance.0 > 0 && self.below(u64::from(Chance::CERTAIN.0)) < u64::from(chance.0)
    }
}

/// A probability in millionths: whole numbers are the same on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Chance(pub u32);

impl Chance {
    /// 0.
    pub const NEVER: Self = Self(0);
    /// 1.
    pub const CERTAIN: Self = Self(1_000_000);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_do_not_shift_each_other() {
        let mut a = Draws::new(7, 1, Purpose::Loss);
        let alone: Vec<u64> = (0..8).map(|_| a.draw()).collect();
        let (mut a, mut b) = (
            Draws::new(7, 1, Purpose::Loss),
            Draws::new(7, 2, Purpose::Loss),
        );
        let beside: Vec<u64> = (0..8)
            .map(|_| {
                b.draw();
                a.draw()
            })
            .collect();
        assert_eq!(alone, beside);
        assert_ne!(alone[0], Draws::new(7, 2, Purpose::Loss).draw());
        assert_ne!(alone[0], Draws::new(8, 1, Purpose::Loss).draw());
        assert_ne!(alone[0], Draws::new(7, 1, Purpose::Burst).draw());
    }

    #[test]
    fn chances_come_out_as_often_as_they_say() {
        let mut draws = Draws::new(3, 0, Purpose::Loss);
        let hits = (0..100_000)
            .filter(|_| draws.happens(Chance(300_000)))
            .count();
        assert!((29_000..31_000).contains(&hits), "{hits} of 100,000");
        assert!(!(0..1_000).any(|_| draws.happens(Chance::NEVER)));
        assert!((0..1_000).all(|_| draws.happens(Chance::CERTAIN)));
    }
}
