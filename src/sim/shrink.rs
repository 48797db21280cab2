//! From a scenario that fails to a small one that fails.

mod smaller;

use super::scenario::Scenario;

/// Makes a scenario that fails with a seed smaller, as long as it is `failing`, in at most `budget` trials:
/// fewer faults, nodes, keys and writes, a shorter run, a quieter network. Chaos is drawn first, so that what
/// comes back is explicit. The same arguments give the same scenario.
///
/// `failing` is to run what it is given with the same seed and to say whether it fails in the same way: by the
/// same checker. It is never asked about `scenario` itself, which is taken to fail.
pub fn shrink(
    scenario: &Scenario,
    seed: u64,
    budget: usize,
    failing: impl FnMut(&Scenario) -> bool,
) -> Scenario {
    let mut best = scenario.with_chaos(seed);
    best.seed = seed;
    let mut shrinker = Shrinker {
        best,
        left: budget,
        failing,
    };
    while shrinker.round() {}
    shrinker.best
}

struct Shrinker<F> {
    /// The smallest scenario known to fail.
    best: Scenario,
    /// Trials.
    left: usize,
    failing: F,
}

impl<F: FnMut(&Scenario) -> bool> Shrinker<F> {
    /// Tries every way once; whether one of them helped.
    fn round(&mut self) -> bool {
        // Cheapest first: what makes runs short makes all later trials quick.
        let mut helped = self.descend(smaller::shorter);
        helped |= self.fewer_faults();
        helped |= self.fewer_nodes();
        for ways in [
            smaller::quieter,
            smaller::fewer_keys,
            smaller::fewer_writes,
            smaller::shorter,
            smaller::shorter_faults,
        ] {
            helped |= self.descend(ways);
        }
        helped && self.left > 0
    }

    /// Takes a candidate if it fails, too.
    fn try_one(&mut self, candidate: Scenario) -> bool {
        if self.left == 0 || candidate == self.best {
            return false;
        }
        self.left -= 1;
        let fails = (self.failing)(&candidate);
        if fails {
            self.best = candidate;
        }
        fails
    }

    /// Takes the first of several candidates that fails, and looks for more from there.
    fn descend(&mut self, candidates: fn(&Scenario) -> Vec<Scenario>) -> bool {
        let mut helped = false;
        while candidates(&self.best)
            .into_iter()
            .any(|candidate| self.try_one(candidate))
        {
            helped = true;
        }
        helped
    }

    /// Zeller and Hildebrandt's ddmin over the faults (2002), by complements only.
    fn fewer_faults(&mut self) -> bool {
        let before = self.best.faults.len();
        let mut parts = 1;
        while !self.best.faults.is_empty() && parts <= self.best.faults.len() {
            let size = self.best.faults.len().div_ceil(parts);
            let starts = (0..self.best.faults.len()).step_by(size);
            let without = |best: &Scenario, start: usize| {
                let mut candidate = best.clone();
                let end = (start + size).min(candidate.faults.len());
                candidate.faults.drain(start..end);
                candidate
            };
            let candidates: Vec<_> = starts.map(|start| without(&self.best, start)).collect();
            let helped = candidates
                .into_iter()
                .any(|candidate| self.try_one(candidate));
            parts = match helped {
                true => parts.saturating_sub(1).max(1),
                false => parts * 2,
            };
            if !helped && size == 1 {
                break;
            }
        }
        self.best.faults.len() < before
    }

    fn fewer_nodes(&mut self) -> bool {
        let mut helped = false;
        for node in (0..self.best.nodes.len()).rev() {
            if self.best.nodes.len() > 1 {
                helped |= self.try_one(smaller::without_node(&self.best, node));
            }
        }
        helped
    }
}

#[cfg(test)]
mod tests;
