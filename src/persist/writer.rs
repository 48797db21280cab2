//! The thread that writes.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::file::{StateFile, Unusable};
use super::{FLUSH_EVERY, SaveError, SaveStatus, Source, open_or_move};
use crate::model::ReplicaId;
use crate::wire::MeshId;

/// A disk that took nothing is tried again after so long, or when somebody asks.
const RETRY: Duration = Duration::from_secs(5);

/// The handle on the thread that writes. Dropped, the thread writes what there is and ends.
#[derive(Debug)]
pub(crate) struct Keeper {
    control: Arc<Control>,
}

/// Where the thread and its handle meet.
#[derive(Debug, Default)]
struct Control {
    state: Mutex<State>,
    /// There is something to do.
    wake: Condvar,
    /// Something is done.
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Saves asked for so far, and how many of these the thread has begun and ended.
    asked: u64,
    begun: u64,
    ended: u64,
    closing: bool,
    /// The thread is no more.
    over: bool,
    status: SaveStatus,
    /// As many as callers wait.
    waiting: Vec<(u64, oneshot::Sender<Result<(), SaveError>>)>,
}

impl Keeper {
    pub(super) fn start(file: StateFile, source: impl Source) -> io::Result<Self> {
        let control = Arc::new(Control::default());
        let writer = Writer {
            path: file.path.clone(),
            me: file.me,
            mesh: file.mesh,
            file: Some(file),
            source,
            control: control.clone(),
            failed_at: None,
        };
        thread::Builder::new()
            .name("mesh-state".to_owned())
            .spawn(move || writer.run())?;
        Ok(Self { control })
    }

    /// Resolves when everything that was written before is on disk.
    pub(crate) async fn flush(&self) -> Result<(), SaveError> {
        let (sender, saved) = oneshot::channel();
        {
            let mut state = self.control.lock();
            if state.over {
                return Err(SaveError::Stopped);
            }
            state.asked += 1;
            let ticket = state.asked;
            state.waiting.push((ticket, sender));
        }
        self.control.wake.notify_one();
        saved.await.unwrap_or(Err(SaveError::Stopped))
    }

    /// Like [`Keeper::flush`], for callers that may wait in their thread.
    pub(crate) fn flush_blocking(&self) -> Result<(), SaveError> {
        let mut state = self.control.lock();
        state.asked += 1;
        let ticket = state.asked;
        self.control.wake.notify_one();
        state = self
            .control
            .done
            .wait_while(state, |state| state.ended < ticket && !state.over)
            .unwrap_or_else(PoisonError::into_inner);
        match &state.status.problem {
            _ if state.ended < ticket => Err(SaveError::Stopped),
            Some(problem) => Err(SaveError::Disk(problem.clone())),
            None => Ok(()),
        }
    }

    /// Saves for the last time and closes the file. Resolves when that is done; at once when it was.
    pub(crate) async fn close(&self) {
        self.control.lock().closing = true;
        // Whether it worked has been logged.
        let _ = self.flush().await;
        // The answer comes before the file is closed, which another node may be waiting for.
        let control = self.control.clone();
        let closed = move || {
            let state = control.lock();
            let waited = control.done.wait_while(state, |state| !state.over);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        };
        let _ = tokio::task::spawn_blocking(closed).await;
    }

    pub(crate) fn status(&self) -> SaveStatus {
        self.control.lock().status.clone()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.control.lock().closing = true;
        self.control.wake.notify_one();
    }
}

impl Control {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is time to look, or somebody asks. Returns what is asked for, and whether it is the last
    /// time.
    fn wait(&self) -> (u64, bool) {
        let state = self.lock();
        let idle = |state: &mut State| state.asked == state.begun && !state.closing;
        let (mut state, _) = self
            .wake
            .wait_timeout_while(state, FLUSH_EVERY, idle)
            .unwrap_or_else(PoisonError::into_inner);
        state.begun = state.asked;
        (state.begun, state.closing)
    }

    fn end(&self, ticket: u64, result: &Result<bool, String>) {
        let mut state = self.lock();
        state.ended = ticket;
        match result {
            Ok(saved) => {
                state.status.saves += u64::from(*saved);
                state.status.problem = None;
            }
            Err(problem) => {
                state.status.failures += 1;
                state.status.problem = Some(problem.clone());
            }
        }
        let answer = match result {
            Ok(_) => Ok(()),
            Err(problem) => Err(SaveError::Disk(problem.clone())),
        };
        let waiting = std::mem::take(&mut state.waiting);
        let (answered, later) = waiting.into_iter().partition(|(asked, _)| *asked <= ticket);
        state.waiting = later;
        drop(state);
        self.done.notify_all();
        let answered: Vec<(u64, oneshot::Sender<_>)> = answered;
        for (_, sender) in answered {
            // Whoever asked may have gone away meanwhile.
            let _ = sender.send(answer.clone());
        }
    }
}

/// What runs on the thread.
struct Writer<S> {
    path: PathBuf,
    me: ReplicaId,
    mesh: MeshId,
    /// `None` after an error.
    file: Option<StateFile>,
    source: S,
    control: Arc<Control>,
    failed_at: Option<Instant>,
}

impl<S: Source> Writer<S> {
    fn run(mut self) {
        let span = tracing::info_span!("mesh", replica = ?self.me);
        let _entered = span.enter();
        let control = self.control.clone();
        let _over = Over(control.clone());
        loop {
            let asked_before = control.lock().begun;
            let (ticket, closing) = control.wait();
            let last = closing || self.source.has_ended();
            let resting = self.failed_at.is_some_and(|at| at.elapsed() < RETRY);
            if resting && !last && ticket == asked_before {
                continue;
            }
            let result = self.save();
            self.report(&result);
            control.end(ticket, &result);
            if last {
                // Before anybody is told that this is over.
                drop(self);
                return;
            }
        }
    }

    fn save(&mut self) -> Result<bool, String> {
        if self.file.is_none() {
            let opened = open_or_move(&self.path, self.me, self.mesh);
            let (file, _) = opened.map_err(|unusable| match unusable {
                Unusable::InUse => "the file is in use".to_owned(),
                Unusable::Broken(reason) => reason,
                Unusable::Io(error) => error.to_string(),
            })?;
            self.file = Some(file);
            self.source.save_anew();
        }
        let file = self.file.as_mut().expect("it was opened above");
        let source = &mut self.source;
        let saved = file.write(|budget_bytes| source.changes(budget_bytes));
        if saved.is_err() {
            self.file = None;
        }
        saved
    }

    /// Says once that saving fails, and once that it works again.
    fn report(&mut self, result: &Result<bool, String>) {
        let path = self.path.display();
        match (result, self.failed_at) {
            (Err(problem), None) => tracing::warn!(
                %path, problem,
                "the state cannot be saved: trying again; a restart now would begin from what was saved before"
            ),
            (Ok(_), Some(_)) => tracing::info!(%path, "the state is saved again"),
            _ => {}
        }
        self.failed_at = result.is_err().then(Instant::now);
    }
}

/// Tells everybody that the thread has ended, however it did.
struct Over(Arc<Control>);

impl Drop for Over {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.over = true;
        // Dropped, they say that nobody will answer.
        state.waiting.clear();
        drop(state);
        self.0.done.notify_all();
    }
}
