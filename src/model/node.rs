//! What a node says of itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::source::Source;

/// The most attributes a node may carry.
pub const MAX_ATTRIBUTES: usize = 16;
/// The longest attribute name or text, in bytes.
pub const MAX_ATTRIBUTE_BYTES: usize = 255;
/// The most addresses a node announces.
pub const MAX_ADDRESSES: usize = 16;

/// A node's own record: an entry of its own map under [`NodeRecord::KEY`], from which others learn where to
/// dial it and what to call it.
///
/// ```
/// use presence_mesh::NodeRecord;
/// let mut record = NodeRecord { name: "berlin".into(), ..NodeRecord::default() };
/// assert!(record.set_attribute("floor", Some("3"))?);
/// assert!(!record.set_attribute("floor", Some("3"))?, "it is so already");
/// assert_eq!(record.attributes["floor"], "3");
/// # Ok::<(), presence_mesh::AttributeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NodeRecord {
    /// What people call it: `berlin`.
    pub name: String,
    /// The program's version.
    pub version: String,
    /// Multiaddrs at which it can be dialled, without `/p2p/…`.
    pub addresses: Vec<String>,
    /// Replicated facts about the node, by name; the bridge's EID is one.
    pub attributes: BTreeMap<String, String>,
    /// Sources whose far end is silent.
    pub down: Vec<SourceDown>,
}

/// A source whose far end (the PBX) is silent: its entries are shown stale.
///
/// ```
/// use presence_mesh::{NodeRecord, Source, SourceDown};
/// let record = NodeRecord { down: vec![SourceDown { source: Source::ASTERISK, since_up_ms: 60_000 }], ..NodeRecord::default() };
/// assert!(record.down.iter().any(|down| down.source == Source::ASTERISK));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceDown {
    /// Which one.
    pub source: Source,
    /// When its far end was last known alive, on the origin's own monotonic clock: ms since its start, the
    /// `up` of its headers.
    pub since_up_ms: u64,
}

impl NodeRecord {
    /// The name of the record's key in the space of nodes.
    pub const KEY: &'static str = "record";

    /// Sets (`Some`) or removes (`None`) an attribute; says whether that changed anything.
    ///
    /// # Errors
    /// When the name is empty, name or text are longer than [`MAX_ATTRIBUTE_BYTES`], or there would be more
    /// than [`MAX_ATTRIBUTES`]. Nothing is changed then.
    pub fn set_attribute(
        &mut self,
        name: &str,
        text: Option<&str>,
    ) -> Result<bool, AttributeError> {
        let Some(text) = text else {
            return Ok(self.attributes.remove(name).is_some());
        };
        if name.is_empty() || name.len() > MAX_ATTRIBUTE_BYTES {
            return Err(AttributeError::Name { bytes: name.len() });
        }
        if text.len() > MAX_ATTRIBUTE_BYTES {
            return Err(AttributeError::Text { bytes: text.len() });
        }
        if !self.attributes.contains_key(name) && self.attributes.len() >= MAX_ATTRIBUTES {
            return Err(AttributeError::TooMany);
        }
        Ok(self
            .attributes
            .insert(name.to_owned(), text.to_owned())
            .as_deref()
            != Some(text))
    }
}

/// The attribute was refused; nothing was changed.
///
/// ```
/// use presence_mesh::{AttributeError, NodeRecord};
/// let refused = NodeRecord::default().set_attribute("", Some("3"));
/// assert_eq!(refused, Err(AttributeError::Name { bytes: 0 }));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AttributeError {
    /// The name is empty or too long.
    #[error("the attribute's name is {bytes} bytes long, it must be 1 to {MAX_ATTRIBUTE_BYTES}")]
    Name {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The text is too long.
    #[error("the attribute's text is {bytes} bytes long, the limit is {MAX_ATTRIBUTE_BYTES}")]
    Text {
        /// Its length in bytes.
        bytes: usize,
    },
    /// Remove one first.
    #[error("a node carries at most {MAX_ATTRIBUTES} attributes")]
    TooMany,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_bounded() {
        let mut record = NodeRecord::default();
        for n in 0..MAX_ATTRIBUTES {
            assert_eq!(record.set_attribute(&n.to_string(), Some("x")), Ok(true));
        }
        assert_eq!(
            record.set_attribute("one more", Some("x")),
            Err(AttributeError::TooMany)
        );
        assert_eq!(record.set_attribute("3", Some("x")), Ok(false));
        assert_eq!(record.set_attribute("3", None), Ok(true));
        assert!(record.set_attribute("3", Some(&"x".repeat(256))).is_err());
    }
}
