//! What came out of a run.

/// Figures, and what was wrong.
#[derive(Debug, Default)]
pub struct Outcome {
    pub figures: Vec<String>,
    pub violations: Vec<String>,
}

/// Violations kept; more of the same say nothing new.
const MAX_VIOLATIONS: usize = 10;

impl Outcome {
    pub fn figure(&mut self, text: String) {
        self.figures.push(text);
    }

    /// Notes a violation unless `holds`.
    pub fn demand(&mut self, holds: bool, text: impl FnOnce() -> String) {
        if !holds && self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(text());
        }
    }

    pub fn held(&self) -> bool {
        self.violations.is_empty()
    }
}
