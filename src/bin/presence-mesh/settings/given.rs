//! A value as a source gave it.

use std::time::Duration;

use toml::de::DeValue;

use crate::span;

/// A value as a source gave it.
#[derive(Debug, Clone, Copy)]
pub enum Given<'a> {
    /// In the file, where kinds are told apart.
    Toml(&'a DeValue<'a>),
    /// In a variable or a flag.
    Text(&'a str),
    /// In a flag given several times.
    Texts(&'a [String]),
}

impl Given<'_> {
    pub fn text(self) -> Result<String, String> {
        match self {
            Self::Toml(DeValue::String(text)) => Ok(text.to_string()),
            Self::Text(text) => Ok(text.to_owned()),
            other => Err(other.wrong_kind("a text")),
        }
    }

    pub fn list(self) -> Result<Vec<String>, String> {
        match self {
            Self::Toml(DeValue::Array(items)) => items
                .iter()
                .map(|item| item.get_ref().as_str().map(str::to_owned))
                .collect::<Option<_>>(),
            Self::Text(text) => Some(
                text.split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                    .map(str::to_owned)
                    .collect(),
            ),
            Self::Texts(items) => Some(items.to_vec()),
            Self::Toml(_) => None,
        }
        .ok_or_else(|| self.wrong_kind("a list of texts"))
    }

    pub fn switch(self) -> Result<bool, String> {
        match self {
            Self::Toml(DeValue::Boolean(value)) => Ok(*value),
            Self::Text("on" | "true") => Ok(true),
            Self::Text("off" | "false") => Ok(false),
            Self::Text(text) => Err(format!("must be on or off, not {text:?}")),
            other => Err(other.wrong_kind("true or false")),
        }
    }

    pub fn count(self) -> Result<usize, String> {
        let (digits, radix) = match self {
            Self::Toml(DeValue::Integer(number)) => (number.as_str(), number.radix()),
            Self::Text(text) => (text, 10),
            other => return Err(other.wrong_kind("a whole number")),
        };
        usize::from_str_radix(digits, radix)
            .map_err(|_| format!("must be a whole number, 0 or more, not {digits:?}"))
    }

    pub fn span(self) -> Result<Duration, String> {
        match self {
            Self::Toml(DeValue::String(text)) => span::parse(text),
            Self::Text(text) => span::parse(text),
            other => Err(other.wrong_kind("a text such as \"250ms\" or \"3s\"")),
        }
    }

    fn wrong_kind(self, wanted: &str) -> String {
        let found = match self {
            Self::Text(_) => "a text",
            Self::Texts(_) => "several texts",
            Self::Toml(value) => match value {
                DeValue::String(_) => "a text",
                DeValue::Integer(_) => "a whole number",
                DeValue::Float(_) => "a fraction",
                DeValue::Boolean(_) => "true or false",
                DeValue::Datetime(_) => "a date",
                DeValue::Array(_) => "a list",
                DeValue::Table(_) => "a table",
            },
        };
        let found = if found == "a list" && wanted.starts_with("a list") {
            "a list of something else"
        } else {
            found
        };
        format!("must be {wanted}, not {found}")
    }
}
