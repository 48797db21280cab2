//! Which adapter of a node wrote an entry.

use serde::{Deserialize, Serialize};

/// Which adapter of a node wrote an entry. The number goes on the wire.
///
/// A source can be marked down in the node's own record; its entries are then shown stale although the node
/// itself is alive.
///
/// ```
/// use presence_mesh::Source;
/// const MY_ADAPTER: Source = Source(64);
/// assert!(MY_ADAPTER != Source::API && MY_ADAPTER != Source::ASTERISK);
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Source(pub u8);

impl Source {
    /// The library's caller, the command line, HTTP.
    pub const API: Source = Source(0);
    /// The Asterisk bridge.
    pub const ASTERISK: Source = Source(1);
}
