//! From the builder to the file, and from the file to the replica.

use std::path::PathBuf;
use std::sync::Arc;

use crate::crdt::Hlc;
use crate::model::{Incarnation, ReplicaId};
use crate::net::{Shared, StartError};
use crate::persist::{self, Keeper, OpenError, Opened, SaveError};
use crate::proto::{Changes, Now, Replica, Saved};
use crate::wire::MeshId;

/// What earlier lives left behind, and the file it lay in; both nothing when nothing is kept.
pub(super) struct Kept {
    saved: Saved,
    opened: Option<(PathBuf, Opened)>,
}

/// Opens the file. Dropped half-way, the file is closed again.
pub(super) async fn open(
    file: Option<PathBuf>,
    me: ReplicaId,
    mesh: MeshId,
) -> Result<Kept, StartError> {
    let Some(path) = file else {
        return Ok(Kept {
            saved: Saved::default(),
            opened: None,
        });
    };
    let name = path.display().to_string();
    let open = move || persist::open(&path, me, mesh).map(|opened| (path, opened));
    match tokio::task::spawn_blocking(open).await {
        Ok(Ok((path, (opened, saved)))) => Ok(Kept {
            saved,
            opened: Some((path, opened)),
        }),
        Ok(Err(error)) => Err(error.into()),
        Err(error) => Err(StartError::File {
            path: name,
            source: std::io::Error::other(error),
        }),
    }
}

impl Kept {
    /// Every earlier life is at most this one.
    pub(super) fn incarnation(&self) -> Incarnation {
        self.saved.incarnation
    }

    /// Every stamp handed out by a life that saved it is at most this one.
    pub(super) fn hlc(&self) -> Hlc {
        self.saved.hlc
    }

    /// Gives the replica what there is.
    pub(super) fn restore(mut self, replica: &mut Replica, now: Now) -> Self {
        if self.opened.is_some() {
            let restored = replica.restore(std::mem::take(&mut self.saved), now);
            tracing::info!(
                own = restored.own,
                origins = restored.origins,
                entries = restored.entries,
                forgotten = restored.forgotten,
                refused = restored.refused,
                "state restored"
            );
        }
        self
    }

    /// From now on saves what changes; this life's number is on disk when it resolves.
    pub(super) async fn keep(
        self,
        shared: &Arc<Shared>,
        durable: bool,
    ) -> Result<Option<Arc<Keeper>>, StartError> {
        let Some((path, opened)) = self.opened else {
            return Ok(None);
        };
        let refused = |source| StartError::File {
            path: path.display().to_string(),
            source,
        };
        let keeper = Arc::new(opened.keep(Written(shared.clone())).map_err(refused)?);
        let saved = keeper.flush().await;
        saved.map_err(|error: SaveError| refused(std::io::Error::other(error)))?;
        if durable {
            let keeper = Arc::downgrade(&keeper);
            shared.set_barrier(Box::new(move || {
                if let Some(keeper) = keeper.upgrade() {
                    // A disk that takes nothing is reported where that is found; the write itself stands.
                    let _ = keeper.flush_blocking();
                }
            }));
        }
        Ok(Some(keeper))
    }
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::InUse(path) => Self::StateInUse {
                path: path.display().to_string(),
            },
            OpenError::Io(path, source) => Self::File {
                path: path.display().to_string(),
                source,
            },
        }
    }
}

/// What the replica has to save.
struct Written(Arc<Shared>);

impl persist::Source for Written {
    fn changes(&mut self, budget_bytes: usize) -> Option<Changes> {
        self.0
            .with(|replica, now| replica.save_changes(budget_bytes, now))
    }

    fn save_anew(&mut self) {
        self.0.with(|replica, _| replica.save_anew());
    }

    fn has_ended(&self) -> bool {
        self.0.is_stopped()
    }
}
