//! How long a message is on its way.

use super::prf::Draws;

/// How long a message is on its way, in µs. Drawn with whole numbers only, so that a run is the same on every
/// machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Latency {
    /// Always the same.
    Constant(u64),
    /// Anything from the first to the second.
    Uniform(u64, u64),
    /// At least `least_us`, on average `mean_us` more: what independent queues add.
    Exponential {
        /// The propagation delay.
        least_us: u64,
        /// What comes on top on average.
        mean_us: u64,
    },
    /// At least `least_us`, with a heavy tail: the chance of more than `x · least_us` is `x^(−shape)`.
    Pareto {
        /// The propagation delay; above 0.
        least_us: u64,
        /// The shape in thousandths; smaller is wilder. Above 0.
        shape_milli: u64,
        /// Nothing takes longer.
        most_us: u64,
    },
}

/// Of a logarithm to base 2, the bits after the point.
const FRACTION: u32 = 16;
const ONE: u64 = 1 << FRACTION;

impl Latency {
    /// Draws one, in µs.
    pub fn draw(&self, draws: &mut Draws) -> u64 {
        match *self {
            Self::Constant(us) => us,
            Self::Uniform(least, most) => least + draws.below(most - least + 1),
            Self::Exponential { least_us, mean_us } => {
                // −ln u = −log2 u · ln 2, and ln 2 = 45426 / 65536.
                let nats = u128::from(minus_log2(draws.draw())) * 45_426 / u128::from(ONE);
                least_us + ((u128::from(mean_us) * nats) >> FRACTION) as u64
            }
            Self::Pareto {
                least_us,
                shape_milli,
                most_us,
            } => {
                let exponent = minus_log2(draws.draw()) * 1_000 / shape_milli;
                scale_by_exp2(least_us, exponent).min(most_us)
            }
        }
    }

    /// The least it can be.
    pub fn least_us(&self) -> u64 {
        match *self {
            Self::Constant(least_us)
            | Self::Uniform(least_us, _)
            | Self::Exponential { least_us, .. }
            | Self::Pareto { least_us, .. } => least_us,
        }
    }
}

/// `−log2(u / 2^64)` with [`FRACTION`] bits after the point; `u` 0 counts as 1.
fn minus_log2(u: u64) -> u64 {
    let u = u.max(1);
    let zeros = u.leading_zeros();
    // u = 2^(63 − zeros) · m with m in [1, 2), kept with 63 bits after the point.
    let mut m = u << zeros;
    let mut fraction = 0;
    for _ in 0..FRACTION {
        let square = (u128::from(m) * u128::from(m)) >> 63;
        fraction <<= 1;
        if square >> 64 != 0 {
            fraction |= 1;
            m = (square >> 1) as u64;
        } else {
            m = square as u64;
        }
    }
    ((u64::from(zeros) + 1) << FRACTION) - fraction
}

/// `us · 2^exponent`, with [`FRACTION`] bits after the point of the exponent.
fn scale_by_exp2(us: u64, exponent: u64) -> u64 {
    let whole = exponent >> FRACTION;
    if whole >= 40 {
        return u64::MAX;
    }
    // 2^f for f in [0, 1): the product of the roots 2^(1/2), 2^(1/4), … whose bit is set, with 30 bits after
    // the point.
    let mut scale: u64 = 1 << 30;
    for (bit, root) in ROOTS.iter().enumerate() {
        if exponent >> (FRACTION as usize - 1 - bit) & 1 == 1 {
            scale = (scale * root) >> 30;
        }
    }
    let scaled = (u128::from(us) * u128::from(scale)) >> 30;
    u64::try_from(scaled << whole).unwrap_or(u64::MAX)
}

/// 2^(1/2), 2^(1/4), … 2^(1/65536), with 30 bits after the point.
const ROOTS: [u64; FRACTION as usize] = [
    1_518_500_249,
    1_276_901_416,
    1_170_923_761,
    1_121_280_435,
    1_097_253_708,
    1_085_434_105,
    1_079_572_135,
    1_076_653_033,
    1_075_196_443,
    1_074_468_887,
    1_074_105_294,
    1_073_923_543,
    1_073_832_680,
    1_073_787_251,
    1_073_764_537,
    1_073_753_180,
];

#[cfg(test)]
mod tests {
    use super::super::prf::Purpose;
    use super::*;

    fn mean(latency: Latency) -> f64 {
        let mut draws = Draws::new(1, 1, Purpose::Latency);
        let sum: u64 = (0..200_000).map(|_| latency.draw(&mut draws)).sum();
        sum as f64 / 200_000.0
    }

    #[test]
    fn draws_have_the_mean_their_distribution_has() {
        let cases = [
            (Latency::Constant(500), 500.0),
            (Latency::Uniform(100, 300), 200.0),
            (
                Latency::Exponential {
                    least_us: 1_000,
                    mean_us: 4_000,
                },
                5_000.0,
            ),
            // Shape 3: the mean is 3/2 of the least.
            (
                Latency::Pareto {
                    least_us: 10_000,
                    shape_milli: 3_000,
                    most_us: u64::MAX,
                },
                15_000.0,
            ),
        ];
        for (latency, expected) in cases {
            let mean = mean(latency);
            assert!(
                (mean / expected - 1.0).abs() < 0.02,
                "{latency:?}: mean {mean}, expected {expected}"
            );
        }
    }

    /// A tenth of the draws of shape 1.5 are beyond 4.64 times the least.
    #[test]
    fn the_tail_is_as_heavy_as_its_shape_says() {
        let latency = Latency::Pareto {
            least_us: 1_000,
            shape_milli: 1_500,
            most_us: 60_000_000,
        };
        let mut draws = Draws::new(2, 1, Purpose::Latency);
        let beyond = (0..100_000)
            .filter(|_| latency.draw(&mut draws) > 4_642)
            .count();
        assert!((9_700..10_300).contains(&beyond), "{beyond} of 100,000");
    }

    #[test]
    fn logarithms_are_right_to_four_digits() {
        for u in [1, 3, 1 << 20, u64::MAX / 3, u64::MAX] {
            let expected = 64.0 - (u as f64).log2();
            let got = minus_log2(u) as f64 / ONE as f64;
            assert!((got - expected).abs() < 1e-4, "{u}: {got} {expected}");
        }
    }
}
