//! The same node for programs without tokio: calls that wait instead of futures.
//!
//! [`Mesh::start`] runs the node on one thread of its own; whoever calls is never run on it. Everything that
//! waits says so and parks the calling thread. All of it may be called inside a tokio runtime, too: it works,
//! and holds up the thread it is called on, as any call that waits does.
//!
//! ```no_run
//! use presence_mesh::{DeviceState, Watch, blocking};
//!
//! let builder = blocking::Mesh::builder("acme").key_file("mesh.key")?.join(["paris.example.net:4747"])?;
//! let mesh = blocking::Mesh::start(builder)?;
//! mesh.devices().set("PJSIP/100", DeviceState::InUse)?;
//! for item in mesh.devices().watch("PJSIP/*")? { // ends when the node leaves
//!     if let Watch::Changed(change) = item {
//!         println!("{} changed", change.key);
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod events;
mod follow;
mod mesh;
mod park;
mod space;

pub use events::{EventStream, Events};
pub use follow::{Follow, TimedOut, TryIter};
pub use mesh::{Mesh, PeerWatcher};
pub use space::{Space, Watcher};

#[cfg(feature = "capi")]
pub(crate) use park::{wait, wait_until};
