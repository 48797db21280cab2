//! The terminal panel: a mesh on one screen, for `demo` and `top`.
//!
//! A [`Board`] is all that is on show: [`lamps`], [`node`]s, a [`log`], and what somebody who sits before it is
//! looking at. Sources tell it things ([`Told`]); keys change what is looked at, or come to a [`Wish`] that the
//! source grants. Nothing of that knows a terminal: [`draw`] paints a board into a buffer of cells, [`screen`]
//! owns the terminal and gives it back, [`keys`] reads what is pressed.

mod arrivals;
mod board;
mod cards;
mod draw;
mod keys;
mod lamps;
mod log;
mod look;
mod node;
mod pulse;
mod report;
mod screen;
mod spread;
mod theme;
mod told;
mod why;

pub use board::{Board, Network, Scope, Wish};
pub use keys::{Keys, Press};
pub use log::Weight;
pub use node::{Link, Node};
pub use report::report;
pub use screen::{Screen, is_wanted};
pub use theme::Theme;
pub use told::{Item, Space, Told, item};
pub use why::Why;

/// How often the screen is painted at most, when something changed.
pub const FRAME: std::time::Duration = std::time::Duration::from_millis(100);
