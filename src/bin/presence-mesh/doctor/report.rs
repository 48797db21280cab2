//! What was found.

use serde::Serialize;

/// What was found, in the order in which it was looked for.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    ok: bool,
    checks: Vec<Check>,
}

#[derive(Debug, Serialize)]
struct Check {
    /// One word with hyphens: `mesh-key`.
    check: &'static str,
    /// Null: could not be looked at.
    ok: Option<bool>,
    detail: String,
    /// Only where something is wrong.
    fix: Option<String>,
}

impl Report {
    pub fn fine(&mut self, check: &'static str, detail: String) {
        self.add(check, Some(true), detail, None);
    }

    pub fn skipped(&mut self, check: &'static str, detail: String) {
        self.add(check, None, detail, None);
    }

    /// `fix` is one line.
    pub fn wrong_with(&mut self, check: &'static str, detail: String, fix: impl Into<String>) {
        self.add(check, Some(false), detail, Some(fix.into()));
    }

    fn add(&mut self, check: &'static str, ok: Option<bool>, detail: String, fix: Option<String>) {
        self.checks.push(Check {
            check,
            ok,
            detail,
            fix,
        });
        self.ok = self.wrong() == 0;
    }

    /// How many things are wrong.
    pub fn wrong(&self) -> usize {
        let wrong = |check: &&Check| check.ok == Some(false);
        self.checks.iter().filter(wrong).count()
    }

    pub fn to_json(&self) -> String {
        let json = serde_json::to_string(self).expect("texts are JSON");
        json + "\n"
    }

    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for check in &self.checks {
            let word = match check.ok {
                Some(true) => "ok   ",
                Some(false) => "WRONG",
                None => "-    ",
            };
            let detail = check.detail.replace('\n', "\n       ");
            text += &format!("{word}  {}: {detail}\n", check.check);
            if let Some(fix) = &check.fix {
                text += &format!("       fix: {fix}\n");
            }
        }
        text
    }

    /// The names of what is wrong, for tests.
    #[cfg(test)]
    pub fn names_wrong(&self) -> Vec<&'static str> {
        let wrong = self.checks.iter().filter(|check| check.ok == Some(false));
        wrong.map(|check| check.check).collect()
    }
}
