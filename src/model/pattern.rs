//! Globs over key names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A glob over names: `*` matches any run of characters, `?` exactly one, everything else itself.
///
/// ```
/// use presence_mesh::Pattern;
/// let pattern = Pattern::new("PJSIP/1?0*");
/// assert!(pattern.matches("PJSIP/100"));
/// assert!(pattern.matches("PJSIP/110-door"));
/// assert!(!pattern.matches("PJSIP/200"));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pattern(String);

impl Pattern {
    /// Any text is a pattern.
    pub fn new(glob: impl Into<String>) -> Self {
        Self(glob.into())
    }

    /// Matches every name.
    ///
    /// ```
    /// use presence_mesh::Pattern;
    /// assert!(Pattern::any().matches("PJSIP/100"));
    /// assert_eq!(Pattern::any(), Pattern::default());
    /// ```
    pub fn any() -> Self {
        Self("*".into())
    }

    /// The glob as it was written.
    ///
    /// ```
    /// assert_eq!(presence_mesh::Pattern::from("PJSIP/*").as_str(), "PJSIP/*");
    /// ```
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole of `name` matches. Takes at most `name.len() × pattern.len()` steps and no memory.
    pub fn matches(&self, name: &str) -> bool {
        let (mut glob, mut text) = (self.0.as_str(), name);
        // Where to go on from when the last `*` must swallow one character more.
        let mut retry: Option<(&str, &str)> = None;
        loop {
            let mut rest = glob.chars();
            match (rest.next(), text.chars().next()) {
                (Some('*'), _) => {
                    glob = rest.as_str();
                    retry = Some((glob, text));
                    continue;
                }
                (None, None) => return true,
                (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {
                    glob = rest.as_str();
                    text = &text[found.len_utf8()..];
                    continue;
                }
                _ => {}
            }
            let Some((after_star, from)) = retry else {
                return false;
            };
            let Some(swallowed) = from.chars().next() else {
                return false;
            };
            text = &from[swallowed.len_utf8()..];
            glob = after_star;
            retry = Some((after_star, text));
        }
    }
}

impl Default for Pattern {
    fn default() -> Self {
        Self::any()
    }
}

impl From<&str> for Pattern {
    fn from(glob: &str) -> Self {
        Self::new(glob)
    }
}

impl From<String> for Pattern {
    fn from(glob: String) -> Self {
        Self::new(glob)
    }
}

impl FromStr for Pattern {
    type Err = std::convert::Infallible;

    fn from_str(glob: &str) -> Result<Self, Self::Err> {
        Ok(Self::new(glob))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_names() {
        let cases = [
            ("*", "", true),
            ("*", "anything", true),
            ("PJSIP/*", "PJSIP/100", true),
            ("PJSIP/*", "SIP/100", false),
            ("PJSIP/", "PJSIP/100", false),
            ("*100", "PJSIP/100100", true),
            ("a*b*c", "a--b--b-c", true),
            ("a*b*c", "a--b--b-d", false),
            ("?", "é", true),
            ("?", "", false),
            ("??", "é", false),
            ("**x", "x", true),
        ];
        for (glob, name, expected) in cases {
            assert_eq!(Pattern::new(glob).matches(name), expected, "{glob} {name}");
        }
    }

    /// A naive backtracking matcher needs minutes for this one.
    #[test]
    fn hostile_globs_cost_no_more_than_a_product() {
        let pattern = Pattern::new("*a".repeat(120));
        assert!(!pattern.matches(&"a".repeat(119)));
        assert!(pattern.matches(&"a".repeat(255)));
    }
}
