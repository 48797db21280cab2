//! What must hold, one file each.

mod agreement;
mod beats;
mod clocks;
mod deleted;
mod emitted;
mod garbage;
mod invariants;
mod lamps;
mod moments;
mod monotone;
mod own;
mod quiet;
mod registers;
mod steady;
mod watch_sum;

pub use agreement::Agreement;
pub(super) use agreement::settled_nodes;
pub use beats::Beats;
pub use clocks::Clocks;
pub use deleted::Deleted;
pub use emitted::Emitted;
pub use garbage::Garbage;
pub use invariants::Invariants;
pub use lamps::Lamps;
pub use moments::Moments;
pub use monotone::Monotone;
pub use own::Own;
pub use quiet::Quiet;
pub use registers::Registers;
pub use steady::Steady;
pub use watch_sum::WatchSum;
