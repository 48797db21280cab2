//! What must hold of one field.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Event, FieldValue, is_field_name};

/// What must hold of one field of an event.
///
/// Numbers are compared by value whatever their type, and with a text that spells a number as that number.
/// On a field that is not there only [`Test::Ne`] holds.
///
/// Written as text it is `NAME OP VALUE`, where OP is `=`, `!=`, `>=`, `<=` or `^=` (begins with), spaces
/// around it are optional, and VALUE is an integer when it spells one, else a text:
///
/// ```
/// use presence_mesh::{Condition, Event};
/// let parked_far: Condition = "slot >= 710".parse()?;
/// assert!(parked_far.holds(&Event::new("call.parked").with("slot", 712)));
/// assert!(!parked_far.holds(&Event::new("call.parked")));
/// # Ok::<(), presence_mesh::ParseConditionError>(())
/// ```
///
/// As JSON it names the field and the test: `{"field":"slot","ge":710}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Condition {
    /// The field's name.
    pub field: String,
    /// What must hold of it.
    #[serde(flatten)]
    pub test: Test,
}

/// What must hold of a field.
///
/// ```
/// use presence_mesh::{Condition, Event, Test};
/// let call = Event::new("call.ended").with("queue", "sales").with("flags", 0b101);
/// let holds = |field: &str, test| Condition::new(field, test).holds(&call);
/// assert!(holds("queue", Test::In(vec!["sales".into(), "support".into()])));
/// assert!(holds("flags", Test::HasFlags(0b100)));
/// assert!(holds("agent", Test::Ne("alice".into())), "there is none");
/// assert!(!holds("agent", Test::Exists));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Test {
    /// It has this value.
    Eq(FieldValue),
    /// It has another value, or is not there.
    Ne(FieldValue),
    /// It has one of these values.
    In(Vec<FieldValue>),
    /// It begins with this text.
    Prefix(String),
    /// It is at least this.
    Ge(FieldValue),
    /// It is at most this.
    Le(FieldValue),
    /// All of these bits are set in it.
    HasFlags(u64),
    /// It is there.
    Exists,
}

impl Condition {
    /// A condition on a field.
    pub fn new(field: impl Into<String>, test: Test) -> Self {
        Self {
            field: field.into(),
            test,
        }
    }

    /// Whether it holds of an event.
    pub fn holds(&self, event: &Event) -> bool {
        let Some(value) = event.get(&self.field) else {
            return matches!(self.test, Test::Ne(_));
        };
        match &self.test {
            Test::Eq(wanted) => value.same(wanted),
            Test::Ne(wanted) => !value.same(wanted),
            Test::In(wanted) => wanted.iter().any(|wanted| value.same(wanted)),
            Test::Prefix(prefix) => value.begins_with(prefix),
            Test::Ge(least) => value.order(least).is_some_and(Ordering::is_ge),
            Test::Le(most) => value.order(most).is_some_and(Ordering::is_le),
            Test::HasFlags(flags) => value.bits().is_some_and(|bits| bits & flags == *flags),
            Test::Exists => true,
        }
    }

    /// How much memory and time it takes, in values.
    pub(super) fn weight(&self) -> usize {
        match &self.test {
            Test::In(wanted) => wanted.len().max(1),
            _ => 1,
        }
    }
}

impl FromStr for Condition {
    type Err = ParseConditionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let at = text
            .find(['=', '!', '<', '>', '^'])
            .ok_or(ParseConditionError::Operator)?;
        let (field, rest) = (text[..at].trim(), &text[at..]);
        if !is_field_name(field) {
            return Err(ParseConditionError::Field);
        }
        type Operator = (&'static str, fn(&str) -> Test);
        let operators: [Operator; 5] = [
            ("!=", |value| Test::Ne(FieldValue::from_text(value))),
            (">=", |value| Test::Ge(FieldValue::from_text(value))),
            ("<=", |value| Test::Le(FieldValue::from_text(value))),
            ("^=", |value| Test::Prefix(value.to_owned())),
            ("=", |value| Test::Eq(FieldValue::from_text(value))),
        ];
        let test = operators
            .iter()
            .find_map(|(sign, test)| Some(test(rest.strip_prefix(sign)?.trim())));
        Ok(Self::new(field, test.ok_or(ParseConditionError::Operator)?))
    }
}

/// As it is written as text; what has no written form, with the name of its test.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = &self.field;
        match &self.test {
            Test::Eq(value) => write!(f, "{field} = {value}"),
            Test::Ne(value) => write!(f, "{field} != {value}"),
            Test::Ge(value) => write!(f, "{field} >= {value}"),
            Test::Le(value) => write!(f, "{field} <= {value}"),
            Test::Prefix(prefix) => write!(f, "{field} ^= {prefix}"),
            Test::HasFlags(flags) => write!(f, "{field} has flags {flags:#x}"),
            Test::Exists => write!(f, "{field} exists"),
            Test::In(values) => {
                write!(f, "{field} in")?;
                values.iter().try_for_each(|value| write!(f, " {value}"))
            }
        }
    }
}

/// A text is no condition.
///
/// ```
/// use presence_mesh::{Condition, ParseConditionError};
/// assert_eq!("slot > 7".parse::<Condition>(), Err(ParseConditionError::Operator));
/// assert_eq!("a b = 7".parse::<Condition>(), Err(ParseConditionError::Field));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseConditionError {
    /// No operator in it.
    #[error("a condition is NAME OP VALUE, where OP is one of = != >= <= ^=")]
    Operator,
    /// What stands before the operator is no name of a field.
    #[error("what stands before the operator is no name of a field")]
    Field,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, Test) {
        let condition: Condition = text.parse().expect("a condition");
        (condition.field, condition.test)
    }

    #[test]
    fn every_operator_is_read() {
        let slot = |test| ("slot".to_owned(), test);
        assert_eq!(parsed("slot=701"), slot(Test::Eq(FieldValue::U64(701))));
        assert_eq!(parsed("slot != a b"), slot(Test::Ne("a b".into())));
        assert_eq!(parsed(" slot >=-1 "), slot(Test::Ge(FieldValue::I64(-1))));
        assert_eq!(parsed("slot<= 7"), slot(Test::Le(FieldValue::U64(7))));
        assert_eq!(parsed("slot ^= 70"), slot(Test::Prefix("70".into())));
        assert_eq!(parsed("slot="), slot(Test::Eq("".into())));
        // The first operator counts; the rest is the value.
        assert_eq!(parsed("slot=a>=b"), slot(Test::Eq("a>=b".into())));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "slot",
            "slot > 7",
            "slot ! 7",
            "= 7",
            "a b = 7",
            "slot <> 7",
        ] {
            assert!(text.parse::<Condition>().is_err(), "{text}");
        }
    }

    #[test]
    fn tests_hold_as_their_names_say() {
        let event = Event::new("x")
            .with("n", 7)
            .with("name", "PJSIP/100")
            .with("flags", FieldValue::Flags(0b101))
            .with("there", FieldValue::Exists);
        let cases = [
            ("n", Test::In(vec![3.into(), 7.into()]), true),
            ("n", Test::In(vec![3.into()]), false),
            ("n", Test::Ge(7.into()), true),
            ("n", Test::Le(6.into()), false),
            ("n", Test::Ne(7.into()), false),
            ("absent", Test::Ne(7.into()), true),
            ("absent", Test::Exists, false),
            ("there", Test::Exists, true),
            ("name", Test::Prefix("PJSIP/".into()), true),
            ("name", Test::Ge(7.into()), false),
            ("flags", Test::HasFlags(0b100), true),
            ("flags", Test::HasFlags(0b110), false),
            ("name", Test::HasFlags(0), false),
        ];
        for (field, test, expected) in cases {
            let condition = Condition::new(field, test);
            assert_eq!(condition.holds(&event), expected, "{condition}");
        }
    }
}
