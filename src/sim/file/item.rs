//! A value of a file, and its name and place.

use std::ops::Range;

use toml::de::DeValue;

use super::problem::{Problem, Wrong};
use super::table::Table;
use super::units::{self, span_text};
use crate::sim::latency::Latency;
use crate::sim::prf::Chance;
use crate::sim::scenario::Burst;

/// A value of a file.
#[derive(Debug, Clone)]
pub(super) struct Item<'a> {
    /// With its table: `network.loss`.
    pub(super) name: String,
    pub(super) span: Range<usize>,
    pub(super) value: &'a DeValue<'a>,
}

impl<'a> Item<'a> {
    pub(super) fn wrong(&self, problem: Problem) -> Wrong {
        Wrong {
            span: self.span.clone(),
            problem,
        }
    }

    /// It is not what it must be.
    pub(super) fn must_be(&self, bound: impl Into<String>) -> Wrong {
        let found = match self.value {
            DeValue::String(text) => format!("{text:?}"),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.to_string(),
            DeValue::Boolean(value) => value.to_string(),
            DeValue::Datetime(date) => date.to_string(),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        };
        self.wrong(Problem::Value {
            key: self.name.clone(),
            bound: bound.into(),
            found,
        })
    }

    pub(super) fn text(&self) -> Result<&'a str, Wrong> {
        self.text_as("a text")
    }

    fn text_as(&self, wanted: &str) -> Result<&'a str, Wrong> {
        match self.value {
            DeValue::String(text) => Ok(text),
            _ => Err(self.must_be(wanted)),
        }
    }

    pub(super) fn switch(&self) -> Result<bool, Wrong> {
        match self.value {
            DeValue::Boolean(value) => Ok(*value),
            _ => Err(self.must_be("true or false")),
        }
    }

    pub(super) fn is_false(&self) -> bool {
        matches!(self.value, DeValue::Boolean(false))
    }

    pub(super) fn is_true(&self) -> bool {
        matches!(self.value, DeValue::Boolean(true))
    }

    /// A number is greater than another.
    pub(super) fn must_be_at_most(&self, key: &str, found: usize, most: usize) -> Wrong {
        self.wrong(Problem::Value {
            key: key.to_owned(),
            bound: format!("at most {most}"),
            found: found.to_string(),
        })
    }

    /// A whole number within bounds.
    pub(super) fn whole(&self, least: i64, most: i64) -> Result<i64, Wrong> {
        let number = match self.value {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        number
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| self.must_be(format!("a whole number from {least} to {most}")))
    }

    pub(super) fn count(&self, least: i64, most: i64) -> Result<usize, Wrong> {
        let number = self.whole(least.max(0), most)?;
        Ok(usize::try_from(number).expect("it is not negative"))
    }

    pub(super) fn chance(&self) -> Result<Chance, Wrong> {
        match self.value {
            DeValue::Integer(number) => units::chance(number.as_str()),
            DeValue::Float(number) => units::chance(number.as_str()),
            _ => None,
        }
        .ok_or_else(|| self.must_be("a probability from 0 to 1 with at most 6 digits"))
    }

    /// A span of time in µs, which may be 0.
    pub(super) fn moment_us(&self) -> Result<u64, Wrong> {
        units::span(self.text_as(units::SPAN)?).ok_or_else(|| self.must_be(units::SPAN))
    }

    /// A span of time in µs, more than 0.
    pub(super) fn span_us(&self) -> Result<u64, Wrong> {
        let us = self.moment_us()?;
        if us == 0 {
            return Err(self.must_be("more than 0"));
        }
        Ok(us)
    }

    pub(super) fn rate(&self) -> Result<u64, Wrong> {
        units::rate(self.text_as(units::RATE)?).ok_or_else(|| self.must_be(units::RATE))
    }

    /// How far a clock is moved, in ms.
    pub(super) fn offset_ms(&self) -> Result<i64, Wrong> {
        const OFFSET: &str = "a span of whole milliseconds with or without a sign, as in \"-1h\"";
        units::offset(self.text_as(OFFSET)?).ok_or_else(|| self.must_be(OFFSET))
    }

    pub(super) fn date_ms(&self) -> Result<i64, Wrong> {
        const DATE: &str = "a date from 1970 to 9999, as in \"2100-01-01\"";
        units::date(self.text_as(DATE)?).ok_or_else(|| self.must_be(DATE))
    }

    pub(super) fn list(&self, wanted: &str) -> Result<Vec<Self>, Wrong> {
        let DeValue::Array(items) = self.value else {
            return Err(self.must_be(wanted));
        };
        Ok(items
            .iter()
            .map(|item| Item {
                name: self.name.clone(),
                span: item.span(),
                value: item.get_ref(),
            })
            .collect())
    }

    pub(super) fn table(&self, wanted: &str) -> Result<Table<'a>, Wrong> {
        match self.value {
            DeValue::Table(table) => Ok(Table::open(self.name.clone(), self.span.clone(), table)),
            _ => Err(self.must_be(wanted)),
        }
    }

    pub(super) fn section(&self) -> Result<Table<'a>, Wrong> {
        self.table(&format!("a table, [{}]", self.name))
    }

    pub(super) fn burst(&self) -> Result<Burst, Wrong> {
        let keys = ["enter", "leave", "loss"];
        let table = self
            .table("a table, as in { enter = 0.01, leave = 0.2, loss = 0.9 }")?
            .closed(&keys)?;
        let [enter, leave, loss] = keys.map(|key| table.require(key)?.chance());
        Ok(Burst {
            enter: enter?,
            leave: leave?,
            loss: loss?,
        })
    }

    pub(super) fn latency(&self) -> Result<Latency, Wrong> {
        const LATENCY: &str = "a span, or a table with uniform, exponential or pareto";
        if let DeValue::String(_) = self.value {
            return self.span_us().map(Latency::Constant);
        }
        let keys = ["uniform", "exponential", "pareto", "least", "most"];
        let table = self.table(LATENCY)?.closed(&keys)?;
        let kinds: Vec<_> = keys[..3]
            .iter()
            .filter_map(|kind| table.get(kind))
            .collect();
        let [kind] = &kinds[..] else {
            return Err(self.must_be(LATENCY));
        };
        let refuse = |key: &str| match table.get(key) {
            Some(item) => Err(item.wrong(Problem::NotWithout {
                key: item.name.clone(),
                verb: if key == "most" {
                    "pareto"
                } else {
                    "exponential or pareto"
                }
                .to_owned(),
            })),
            None => Ok(()),
        };
        if table.get("uniform").is_some() {
            refuse("least")?;
            refuse("most")?;
            let ends = kind.list("a list of two spans")?;
            let [least, most] = &ends[..] else {
                return Err(kind.must_be("a list of two spans"));
            };
            let (least_us, most_us) = (least.span_us()?, most.span_us()?);
            if most_us < least_us {
                return Err(most.must_be(format!("at least {}", span_text(least_us))));
            }
            return Ok(Latency::Uniform(least_us, most_us));
        }
        let least_us = table.require("least")?.span_us()?;
        if table.get("exponential").is_some() {
            refuse("most")?;
            return Ok(Latency::Exponential {
                least_us,
                mean_us: kind.span_us()?,
            });
        }
        const SHAPE: &str = "a number above 0 with at most 3 digits after the point";
        let shape_milli = match kind.value {
            DeValue::Integer(number) => units::thousandths(number.as_str()),
            DeValue::Float(number) => units::thousandths(number.as_str()),
            _ => None,
        }
        .filter(|shape| *shape > 0)
        .ok_or_else(|| kind.must_be(SHAPE))?;
        let most = table.require("most")?;
        let most_us = most.span_us()?;
        if most_us < least_us {
            return Err(most.must_be(format!("at least {}", span_text(least_us))));
        }
        Ok(Latency::Pareto {
            least_us,
            shape_milli,
            most_us,
        })
    }
}
