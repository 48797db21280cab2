//! What a node keeps on disk, so that its restart, or that of the whole mesh, loses nothing.
//!
//! One `redb` file holds the node's own entries with their stamps, its latest life, the bound of its hybrid clock,
//! and what it last knew of every other origin: its map as it was at one head, its latest signed header, and when
//! it was last known alive. Devices of an adapter and tracked keys are not kept: they return when their PBX or
//! their owner says so.
//!
//! **When.** A thread of its own looks every [`FLUSH_EVERY`] and writes what has changed in one transaction, synced
//! before it counts; neither a caller nor the network ever waits for the disk. **The window of loss:** a process or
//! a machine that dies loses its own writes of the last second at most, which the others know of only until
//! the new life has settled. Who cannot lose them calls [`Mesh::flush`](crate::Mesh::flush) or builds the node
//! [`durable`](crate::MeshBuilder::durable). Signs of life alone are saved every 10 s: after a restart an origin
//! may seem that much older than it is.
//!
//! **Whatever happens to the file.** A transaction is there whole or not at all, so a kill at any moment leaves a
//! file that opens, and what it holds of each origin is a true moment of it. A file that is torn, foreign, of a
//! newer version, or of another identity or mesh is moved aside (`.broken-1` to `.broken-3`, 1 the latest), and the
//! node starts from its peers. A disk that takes nothing is reported once and tried again; the node goes on.

mod aside;
mod file;
mod rows;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::model::ReplicaId;
use crate::proto::{Changes, Saved};
use crate::wire::MeshId;
use file::{StateFile, Unusable};
pub(crate) use writer::Keeper;

/// How often what has changed is written: so that, with the writing, it is on disk within a second.
const FLUSH_EVERY: Duration = Duration::from_millis(500);
/// How long a file that is in use is waited for: a node of ours that is just ending.
const IN_USE_PATIENCE: Duration = Duration::from_secs(2);
const IN_USE_LOOK: Duration = Duration::from_millis(50);

/// Where the writer gets what to write. Called from its own thread.
pub(crate) trait Source: Send + 'static {
    /// [`Replica::save_changes`](crate::proto::Replica::save_changes).
    fn changes(&mut self, budget_bytes: usize) -> Option<Changes>;
    /// [`Replica::save_anew`](crate::proto::Replica::save_anew).
    fn save_anew(&mut self);
    /// Whether the node has ended: nothing will change any more.
    fn has_ended(&self) -> bool;
}

/// A file that is open, and that nobody writes to yet.
#[derive(Debug)]
pub(crate) struct Opened {
    file: StateFile,
}

/// Opens the file, or makes it, and reads what is in it. Blocks: for the disk, and for [`IN_USE_PATIENCE`] when the
/// file is in use.
pub(crate) fn open(path: &Path, me: ReplicaId, mesh: MeshId) -> Result<(Opened, Saved), OpenError> {
    let mut waited = Duration::ZERO;
    loop {
        match open_or_move(path, me, mesh) {
            Err(Unusable::InUse) if waited < IN_USE_PATIENCE => {
                std::thread::sleep(IN_USE_LOOK);
                waited += IN_USE_LOOK;
            }
            Err(unusable) => return Err(OpenError::new(path, unusable)),
            Ok((file, saved)) => return Ok((Opened { file }, saved)),
        }
    }
}

impl Opened {
    /// From now on writes what changes, on a thread of its own.
    pub(crate) fn keep(self, source: impl Source) -> io::Result<Keeper> {
        Keeper::start(self.file, source)
    }
}

/// Opens the file; one that makes no sense is moved aside first.
fn open_or_move(path: &Path, me: ReplicaId, mesh: MeshId) -> Result<(StateFile, Saved), Unusable> {
    let reason = match StateFile::open(path, me, mesh) {
        Err(Unusable::Broken(reason)) => reason,
        other => return other,
    };
    let moved = aside::move_aside(path).map_err(Unusable::Io)?;
    tracing::warn!(
        path = %path.display(), moved_to = %moved.display(), reason,
        "the saved state cannot be used: moved it aside, starting from the peers"
    );
    StateFile::open(path, me, mesh)
}

/// Why the file cannot be used at all. Nothing was changed.
#[derive(Debug)]
pub(crate) enum OpenError {
    InUse(PathBuf),
    Io(PathBuf, io::Error),
}

impl OpenError {
    fn new(path: &Path, unusable: Unusable) -> Self {
        match unusable {
            Unusable::InUse => Self::InUse(path.to_owned()),
            Unusable::Io(error) => Self::Io(path.to_owned(), error),
            Unusable::Broken(reason) => Self::Io(path.to_owned(), io::Error::other(reason)),
        }
    }
}

/// What was written may not be on disk. The node goes on, and so do the attempts to save it.
///
/// ```
/// use presence_mesh::{SaveError, blocking::Mesh};
/// # let builder = Mesh::builder("acme").key(presence_mesh::MeshKey::from_bytes([7; 32])).mdns(false);
/// let mesh = Mesh::start(builder)?;
/// assert_eq!(mesh.flush(), Err(SaveError::NotKept));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SaveError {
    /// The node was built without [`persist`](crate::MeshBuilder::persist).
    #[error("this node keeps nothing on disk")]
    NotKept,
    /// The disk does not take it; nothing of this attempt is there, all of the last one that worked is.
    #[error("cannot save: {0}")]
    Disk(String),
    /// The node has ended.
    #[error("the node has stopped")]
    Stopped,
}

/// How saving is going.
///
/// ```
/// use presence_mesh::SaveStatus;
/// fn alarm(status: &SaveStatus) -> Option<String> {
///     let problem = status.problem.as_ref()?;
///     Some(format!("not saved, {} attempts: {problem}", status.failures))
/// }
/// assert_eq!(alarm(&SaveStatus::default()), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SaveStatus {
    /// Transactions written.
    pub saves: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// What the last attempt failed of; `None` when it worked.
    pub problem: Option<String>,
}
