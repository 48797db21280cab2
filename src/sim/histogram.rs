//! How often which length of time.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer, ser::SerializeStruct};

/// Counts of µs in buckets of at most 1/16 of their value: small, exact in number, and the same on every
/// machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Histogram {
    buckets: BTreeMap<u64, u64>,
    count: u64,
    greatest: u64,
}

impl Histogram {
    /// Counts one.
    pub fn add(&mut self, us: u64) {
        *self.buckets.entry(floor(us)).or_default() += 1;
        self.count += 1;
        self.greatest = self.greatest.max(us);
    }

    /// Counts all of another.
    pub fn merge(&mut self, other: &Self) {
        for (us, count) in &other.buckets {
            *self.buckets.entry(*us).or_default() += count;
        }
        self.count += other.count;
        self.greatest = self.greatest.max(other.greatest);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The greatest, exactly; 0 when there is none.
    pub fn greatest(&self) -> u64 {
        self.greatest
    }

    /// The value that `percent` of all are at most, but for the width of a bucket; `None` when there is none.
    pub fn percentile(&self, percent: u64) -> Option<u64> {
        let wanted = (self.count * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (us, count) in &self.buckets {
            seen += count;
            if seen >= wanted {
                return Some(*us);
            }
        }
        None
    }

    /// The buckets, ascending: the least value in each, and how many.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        self.buckets.iter().map(|(us, count)| (*us, *count))
    }
}

/// The five leading bits of a number.
fn floor(us: u64) -> u64 {
    let bits = 64 - us.leading_zeros();
    let drop = bits.saturating_sub(5);
    us >> drop << drop
}

impl Serialize for Histogram {
    /// As its summary: count, p50, p90, p99 and max, in µs.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Histogram", 5)?;
        fields.serialize_field("count", &self.count)?;
        for (name, percent) in [("p50_us", 50), ("p90_us", 90), ("p99_us", 99)] {
            fields.serialize_field(name, &self.percentile(percent))?;
        }
        fields.serialize_field("max_us", &self.greatest)?;
        fields.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_to_a_sixteenth() {
        let mut histogram = Histogram::default();
        (1..=1_000).rev().for_each(|us| histogram.add(us * 10));
        assert_eq!(histogram.count(), 1_000);
        assert_eq!(histogram.greatest(), 10_000);
        for (percent, expected) in [(1, 100), (50, 5_000), (99, 9_900), (100, 10_000)] {
            let got = histogram.percentile(percent).expect("not empty");
            assert!(
                got <= expected && got * 17 >= expected * 16,
                "p{percent}: {got}, expected {expected}"
            );
        }
        assert_eq!(Histogram::default().percentile(50), None);
    }
}
