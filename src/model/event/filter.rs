//! Which events somebody wants to hear of.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Condition, Event, MAX_KIND_BYTES, ParseConditionError, Test};
use crate::model::Pattern;

/// The most values and conditions in one filter, so that matching an event stays quick.
pub const MAX_CONDITIONS: usize = 256;

/// Which events somebody wants to hear of: a glob of kinds, and conditions on fields that must all hold.
///
/// ```
/// use presence_mesh::{Condition, Event, Filter, Test};
/// let filter = Filter::kind("call.*")
///     .and("slot >= 700".parse()?)
///     .any([
///         Condition::new("queue", Test::Eq("support".into())),
///         Condition::new("urgent", Test::Exists),
///     ]);
/// assert!(filter.matches(&Event::new("call.parked").with("slot", 701).with("queue", "support")));
/// assert!(!filter.matches(&Event::new("call.parked").with("slot", 701)));
/// # Ok::<(), presence_mesh::ParseConditionError>(())
/// ```
///
/// As JSON: `{"kind":"call.*","all":[{"field":"slot","ge":700}],"any":[[…],[…]],"remembered":true}`, all but
/// the kind optional.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    kind: Pattern,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    all: Vec<Condition>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    any: Vec<Vec<Condition>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    remembered: bool,
}

impl Filter {
    /// Every event of the kinds that match this glob.
    pub fn kind(glob: impl Into<Pattern>) -> Self {
        Self {
            kind: glob.into(),
            all: Vec::new(),
            any: Vec::new(),
            remembered: false,
        }
    }

    /// Every event.
    ///
    /// ```
    /// use presence_mesh::{Event, Filter};
    /// assert!(Filter::everything().matches(&Event::new("call.parked")));
    /// ```
    pub fn everything() -> Self {
        Self::kind(Pattern::any())
    }

    /// Only those of which this holds, too.
    #[must_use]
    pub fn and(mut self, condition: Condition) -> Self {
        self.all.push(condition);
        self
    }

    /// Only those of which this holds, too.
    ///
    /// ```
    /// use presence_mesh::{Event, Filter, Test};
    /// let parked_by = Filter::kind("call.parked").field("caller", Test::Prefix("PJSIP/".into()));
    /// assert!(parked_by.matches(&Event::new("call.parked").with("caller", "PJSIP/100")));
    /// ```
    #[must_use]
    pub fn field(self, name: impl Into<String>, test: Test) -> Self {
        self.and(Condition::new(name, test))
    }

    /// Only those of which at least one of these holds, too. None at all holds of nothing.
    #[must_use]
    pub fn any(mut self, conditions: impl IntoIterator<Item = Condition>) -> Self {
        self.any.push(conditions.into_iter().collect());
        self
    }

    /// Also those that were published before, as far as they are remembered. Default: only what is published
    /// from now on.
    ///
    /// ```
    /// use presence_mesh::Filter;
    /// let records = Filter::kind("call.ended").remembered();
    /// assert!(records.wants_remembered() && records.kinds().as_str() == "call.ended");
    /// ```
    #[must_use]
    pub fn remembered(mut self) -> Self {
        self.remembered = true;
        self
    }

    /// Only those of which all of these hold, too: conditions as they are written, see [`Condition`].
    ///
    /// # Errors
    /// When one of them is none.
    ///
    /// ```
    /// use presence_mesh::{Event, Filter};
    /// let filter = Filter::kind("call.*").and_all(["slot >= 700", "caller ^= PJSIP/"])?;
    /// assert!(filter.matches(&Event::new("call.parked").with("slot", 701).with("caller", "PJSIP/100")));
    /// # Ok::<(), presence_mesh::ParseConditionError>(())
    /// ```
    pub fn and_all<T: AsRef<str>>(
        self,
        conditions: impl IntoIterator<Item = T>,
    ) -> Result<Self, ParseConditionError> {
        conditions
            .into_iter()
            .try_fold(self, |filter, text| Ok(filter.and(text.as_ref().parse()?)))
    }

    /// The glob of kinds.
    ///
    /// ```
    /// assert_eq!(presence_mesh::Filter::kind("call.*").kinds().as_str(), "call.*");
    /// ```
    pub fn kinds(&self) -> &Pattern {
        &self.kind
    }

    /// Whether what is remembered is wanted, too.
    ///
    /// ```
    /// assert!(!presence_mesh::Filter::everything().wants_remembered());
    /// ```
    pub fn wants_remembered(&self) -> bool {
        self.remembered
    }

    /// Whether an event is wanted.
    pub fn matches(&self, event: &Event) -> bool {
        self.kind.matches(event.kind())
            && self.all.iter().all(|condition| condition.holds(event))
            && self
                .any
                .iter()
                .all(|group| group.iter().any(|condition| condition.holds(event)))
    }

    /// Checks it against its bounds.
    ///
    /// # Errors
    /// When its glob is longer than a kind can be, or it holds more than [`MAX_CONDITIONS`].
    ///
    /// ```
    /// use presence_mesh::Filter;
    /// assert!(Filter::kind("call.*").check().is_ok());
    /// assert!(Filter::kind("x".repeat(200)).check().is_err());
    /// ```
    pub fn check(&self) -> Result<(), FilterError> {
        if self.kind.as_str().len() > MAX_KIND_BYTES {
            return Err(FilterError::Kind(self.kind.as_str().len()));
        }
        let groups = self.any.iter().flatten();
        let conditions = self.all.iter().chain(groups).map(Condition::weight);
        let weight = conditions.sum::<usize>() + self.any.len();
        if weight > MAX_CONDITIONS {
            return Err(FilterError::Conditions(weight));
        }
        Ok(())
    }
}

/// A filter asks too much.
///
/// ```
/// use presence_mesh::{Filter, FilterError};
/// assert_eq!(Filter::kind("x".repeat(200)).check(), Err(FilterError::Kind(200)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FilterError {
    /// The glob of kinds is longer than any kind.
    #[error("the glob of kinds takes {0} bytes, the limit is {MAX_KIND_BYTES}")]
    Kind(usize),
    /// Too many conditions.
    #[error("the filter holds {0} conditions, the limit is {MAX_CONDITIONS}")]
    Conditions(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_and_one_of_each_group_must_hold() {
        let filter = Filter::kind("a.?")
            .field("x", Test::Ge(1.into()))
            .any([
                Condition::new("y", Test::Exists),
                Condition::new("z", Test::Exists),
            ])
            .any([Condition::new("w", Test::Exists)]);
        let event = || Event::new("a.b").with("x", 1).with("w", true);
        assert!(!filter.matches(&event()), "the first group fails");
        assert!(filter.matches(&event().with("z", 1)));
        assert!(!filter.matches(&event().with("z", 1).with("x", 0)));
        assert!(!filter.matches(&Event::new("a.bc").with("x", 1).with("w", 1).with("y", 1)));
        assert!(!Filter::everything().any([]).matches(&event()));
    }

    #[test]
    fn filters_are_bounded() {
        let many = Test::In(vec![1.into(); MAX_CONDITIONS]);
        assert_eq!(
            Filter::everything().field("x", many.clone()).check(),
            Ok(())
        );
        let more = Filter::everything()
            .field("x", many)
            .field("y", Test::Exists);
        assert_eq!(more.check(), Err(FilterError::Conditions(257)));
        let long = Filter::kind("*".repeat(129));
        assert_eq!(long.check(), Err(FilterError::Kind(129)));
    }
}
