//! Following changes: by asking, by a file descriptor, by a callback.

use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use tokio::sync::Notify;

use super::answer::pmesh_answer;
use super::bell::Bell;
use super::mesh::{pmesh_mesh, stopped};
use super::result::{
    Failure, PMESH_BAD_ARGUMENT, PMESH_NO_RESOURCE, PMESH_TIMED_OUT, guard, pmesh_result,
};
use super::taken::{Items, SpaceName, Taken};
use super::text::{Out, reference, text};
use crate::Pattern;
use crate::blocking;

/// Follows something: freed by pmesh_watch_free.
#[derive(Debug)]
pub struct pmesh_watch {
    mode: Mode,
}

#[derive(Debug)]
enum Mode {
    /// C asks for the items.
    Asked(Asked),
    /// A thread hands them to C, until this is dropped.
    Calling { _calls: Calling },
}

/// Is given each item in turn, and NULL once when the node has left. See pmesh_watch_call.
pub type pmesh_callback =
    Option<unsafe extern "C" fn(answer: *const pmesh_answer, user_data: *mut c_void)>;

/// Follows all keys of `space` that match `pattern`: first all entries, then every change of what is shown. The
/// items are taken by pmesh_watch_next. One who does not take them in time never slows the node: when more
/// than 4096 changes wait, they are dropped, and PMESH_RESYNC and all entries are given instead.
///
/// # Safety
/// `mesh`: a node. `space`, `pattern`: texts, see pmesh_list. `out`: where to put the watch, which
/// pmesh_watch_free frees. It may outlive the node.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_watch_new(
    mesh: *const pmesh_mesh,
    space: *const c_char,
    pattern: *const c_char,
    out: *mut *mut pmesh_watch,
) -> pmesh_result {
    guard(|| {
        // SAFETY: as asked of the caller.
        let (items, out) = unsafe { (items(mesh, space, pattern)?, Out::new(out)?) };
        out.give(asked(items));
        Ok(())
    })
}

/// Like pmesh_watch_new, but hands each item to `callback`, on a thread of the watch's own, one at a time; the
/// first perhaps before this has returned.
///
/// The answer is lent: valid until the callback returns, never to be freed. NULL is handed over once, when the
/// node has left; nothing comes after it, and nothing at all comes once the watch is freed: who wants the NULL
/// frees the watch only then. A callback may call anything, pmesh_watch_free of its own watch
/// included; it must return, and not by `longjmp` or a C++ exception. While it runs no other item is handed
/// over; what comes meanwhile waits as with pmesh_watch_new.
///
/// # Safety
/// As pmesh_watch_new. `callback`: a function, called until pmesh_watch_free has returned (if that is called
/// from within the callback: until the callback has). `user_data`: handed to each call as it is, never looked
/// at; it must bear to be used by another thread for as long.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_watch_call(
    mesh: *const pmesh_mesh,
    space: *const c_char,
    pattern: *const c_char,
    callback: pmesh_callback,
    user_data: *mut c_void,
    out: *mut *mut pmesh_watch,
) -> pmesh_result {
    guard(|| {
        // SAFETY: as asked of the caller.
        let (items, out) = unsafe { (items(mesh, space, pattern)?, Out::new(out)?) };
        // SAFETY: as asked of the caller.
        out.give(unsafe { calling(items, callback, user_data) }?);
        Ok(())
    })
}

/// Takes the next item. `timeout_ms`: how long to wait for one at most; 0 does not wait, negative waits as long
/// as it takes. PMESH_TIMED_OUT when none came, PMESH_STOPPED when the node has left and all items are taken,
/// PMESH_BAD_ARGUMENT when the watch has a callback.
///
/// # Safety
/// `watch`: a watch, used by no other thread meanwhile. `out`: where to put the answer, which
/// pmesh_answer_free frees.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_watch_next(
    watch: *mut pmesh_watch,
    timeout_ms: i64,
    out: *mut *mut pmesh_answer,
) -> pmesh_result {
    guard(|| {
        // SAFETY: as asked of the caller, who lets nobody else use the watch now.
        let (asked, out) = unsafe { (asked_of(watch)?, Out::new(out)?) };
        match asked.next(timeout_ms) {
            Poll::Ready(Some(item)) => {
                out.give(item.answer().into_raw());
                Ok(())
            }
            Poll::Ready(None) => Err(stopped()),
            Poll::Pending => Err(Failure::new(PMESH_TIMED_OUT, "nothing came in time")),
        }
    })
}

/// A file descriptor for `poll`, `select` or an event loop: readable while there may be an item. When it is,
/// call pmesh_watch_next with timeout 0 until it does not return PMESH_OK. It belongs to the watch: never read
/// or close it; pmesh_watch_free closes it.
///
/// # Safety
/// `watch`: a watch without a callback, used by no other thread meanwhile. `out`: where to put the descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_watch_fd(watch: *mut pmesh_watch, out: *mut c_int) -> pmesh_result {
    guard(|| {
        // SAFETY: as asked of the caller, who lets nobody else use the watch now.
        let (asked, out) = unsafe { (asked_of(watch)?, Out::new(out)?) };
        let bell = match &asked.bell {
            Some(bell) => bell,
            None => {
                let refused = |error: std::io::Error| Failure::of(PMESH_NO_RESOURCE, &error);
                let bell = asked.bell.insert(Bell::new().map_err(refused)?);
                // Something may have come before anybody listened.
                bell.ring();
                bell
            }
        };
        out.give(bell.fd());
        Ok(())
    })
}

/// Ends a watch and frees it. Waits for a callback that is running, unless called from within it.
///
/// # Safety
/// `watch`: a watch that is not used any more, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_watch_free(watch: *mut pmesh_watch) {
    guard(|| {
        if !watch.is_null() {
            // SAFETY: made by `Box::into_raw` in `asked` or `calling`, and the caller gives it back.
            drop(unsafe { Box::from_raw(watch) });
        }
        Ok(())
    });
}

/// # Safety
/// As `pmesh_watch_new`.
unsafe fn items(
    mesh: *const pmesh_mesh,
    space: *const c_char,
    pattern: *const c_char,
) -> Result<Items, Failure> {
    // SAFETY: as asked of the caller.
    let (mesh, pattern) = unsafe { (reference("mesh", mesh)?, text("pattern", pattern)?) };
    // SAFETY: as asked of the caller.
    let space = SpaceName::parse(unsafe { text("space", space) }?)?;
    space.watch(&mesh.mesh, Pattern::new(pattern))
}

/// Items that C asks for.
struct Asked {
    items: Items,
    bell: Option<Arc<Bell>>,
}

/// A watch whose items C asks for.
pub(super) fn asked(items: Items) -> *mut pmesh_watch {
    let mode = Mode::Asked(Asked { items, bell: None });
    Box::into_raw(Box::new(pmesh_watch { mode }))
}

/// # Safety
/// `watch` is NULL, or a watch that nobody else uses for `'a`.
unsafe fn asked_of<'a>(watch: *mut pmesh_watch) -> Result<&'a mut Asked, Failure> {
    // SAFETY: as asked of the caller.
    match unsafe { watch.as_mut() }.map(|watch| &mut watch.mode) {
        None => Err(Failure::new(PMESH_BAD_ARGUMENT, "watch is NULL")),
        Some(Mode::Asked(asked)) => Ok(asked),
        Some(Mode::Calling { .. }) => Err(Failure::new(
            PMESH_BAD_ARGUMENT,
            "the watch hands its items to a callback",
        )),
    }
}

impl Asked {
    fn next(&mut self, timeout_ms: i64) -> Poll<Option<Taken>> {
        let waited = match u64::try_from(timeout_ms) {
            Ok(0) => Poll::Pending,
            Ok(ms) => {
                let deadline = Instant::now().checked_add(Duration::from_millis(ms));
                let next = self.items.next();
                match deadline {
                    Some(deadline) => {
                        blocking::wait_until(next, deadline).map_or(Poll::Pending, Poll::Ready)
                    }
                    // Beyond what a clock can show.
                    None => Poll::Ready(blocking::wait(next)),
                }
            }
            Err(_) => Poll::Ready(blocking::wait(self.items.next())),
        };
        // Looked at last with the bell's waker, so that it rings for what comes after.
        let bell = self.bell.clone();
        let item = match (waited, &bell) {
            (Poll::Pending, None) => self.look(Waker::noop()),
            (Poll::Pending, Some(bell)) => {
                bell.silence();
                self.look(&Waker::from(bell.clone()))
            }
            (ready, _) => ready,
        };
        // More may be there, and the end stays there.
        if let (Poll::Ready(_), Some(bell)) = (&item, &bell) {
            bell.ring();
        }
        item
    }

    fn look(&mut self, waker: &Waker) -> Poll<Option<Taken>> {
        self.items.poll_next_unpin(&mut Context::from_waker(waker))
    }
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asked").finish_non_exhaustive()
    }
}

/// A thread that hands items to C.
#[derive(Debug)]
struct Calling {
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

/// The function that C gave, and what it wants to be given.
struct Receiver {
    callback: unsafe extern "C" fn(*const pmesh_answer, *mut c_void),
    user_data: *mut c_void,
}

// SAFETY: C was told that both are used by another thread.
unsafe impl Send for Receiver {}

impl Receiver {
    fn hand_over(&self, item: Option<&Taken>) {
        let answer = item.map(Taken::answer);
        let lent = answer
            .as_ref()
            .map_or(std::ptr::null(), |answer| answer.as_c());
        // SAFETY: C vouches for its function; the answer lives until it returns.
        unsafe { (self.callback)(lent, self.user_data) };
    }
}

/// A watch that hands its items to C.
///
/// # Safety
/// As `pmesh_watch_call`.
pub(super) unsafe fn calling(
    mut items: Items,
    callback: pmesh_callback,
    user_data: *mut c_void,
) -> Result<*mut pmesh_watch, Failure> {
    let callback = callback.ok_or_else(|| Failure::new(PMESH_BAD_ARGUMENT, "callback is NULL"))?;
    let receiver = Receiver {
        callback,
        user_data,
    };
    let stop = Arc::new(Notify::new());
    let stopping = stop.clone();
    let run = move || {
        let receiver = receiver;
        loop {
            let item = blocking::wait(async {
                tokio::select! {
                    biased;
                    () = stopping.notified() => Err(()),
                    item = items.next() => Ok(item),
                }
            });
            let Ok(item) = item else { return };
            receiver.hand_over(item.as_ref());
            if item.is_none() {
                return;
            }
        }
    };
    let thread = thread::Builder::new()
        .name("pmesh-watch".into())
        .spawn(run)
        .map_err(|error| Failure::of(PMESH_NO_RESOURCE, &error))?;
    let calls = Calling {
        stop,
        thread: Some(thread),
    };
    let mode = Mode::Calling { _calls: calls };
    Ok(Box::into_raw(Box::new(pmesh_watch { mode })))
}

impl Drop for Calling {
    fn drop(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            // It panicked if this is an error, and said so.
            let _ = thread.join();
        }
    }
}
