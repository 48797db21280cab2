//! How long writes of others took until the node showed them, as it counts them itself.

use std::time::Duration;

/// Buckets taken; the node has fewer.
const MOST_BUCKETS: usize = 64;

/// Writes by how long they took, from when we began to look.
#[derive(Debug, Default)]
pub struct Arrivals {
    first: Vec<(f64, u64)>,
    last: Vec<(f64, u64)>,
}

impl Arrivals {
    /// Takes in what the node has counted since its start: how many took at most so many seconds, ascending.
    pub fn take(&mut self, mut buckets: Vec<(f64, u64)>) {
        buckets.truncate(MOST_BUCKETS);
        // A node that was started again counts anew.
        let fewer = |((_, new), (_, old)): (&(f64, u64), &(f64, u64))| new < old;
        let anew = buckets.len() != self.first.len() || buckets.iter().zip(&self.last).any(fewer);
        if anew {
            self.first.clone_from(&buckets);
        }
        self.last = buckets;
    }

    /// What this share took at most, as far as the node counts: `<=5 ms`. `None` while nothing came.
    pub fn quantile(&self, share: f64) -> Option<String> {
        let counts: Vec<(f64, u64)> = self
            .last
            .iter()
            .zip(&self.first)
            .map(|((end, last), (_, first))| (*end, last - first))
            .collect();
        let (_, all) = counts.last().filter(|(_, all)| *all > 0)?;
        let wanted = (*all as f64 * share).ceil() as u64;
        let at = counts.iter().position(|(_, count)| *count >= wanted)?;
        let text = |seconds: f64| match Duration::try_from_secs_f64(seconds) {
            Ok(span) if span < Duration::from_secs(1) => format!("{} ms", span.as_millis()),
            Ok(span) => format!("{} s", span.as_secs()),
            Err(_) => String::new(),
        };
        match (counts[at].0, at.checked_sub(1)) {
            (end, _) if end.is_finite() => Some(format!("<={}", text(end))),
            (_, Some(before)) => Some(format!(">{}", text(counts[before].0))),
            (_, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_came_since_we_look_counts() {
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.quantile(0.5), None);
        let told = |counts: [u64; 3]| {
            vec![
                (0.005, counts[0]),
                (2.0, counts[1]),
                (f64::INFINITY, counts[2]),
            ]
        };
        arrivals.take(told([90, 100, 100]));
        assert_eq!(arrivals.quantile(0.5), None);
        arrivals.take(told([90, 102, 103]));
        assert_eq!(arrivals.quantile(0.5).as_deref(), Some("<=2 s"));
        assert_eq!(arrivals.quantile(0.99).as_deref(), Some(">2 s"));
        arrivals.take(told([99, 111, 112]));
        assert_eq!(arrivals.quantile(0.5).as_deref(), Some("<=5 ms"));
        // It was started again.
        arrivals.take(told([1, 1, 1]));
        arrivals.take(told([3, 3, 3]));
        assert_eq!(arrivals.quantile(0.99).as_deref(), Some("<=5 ms"));
    }
}
