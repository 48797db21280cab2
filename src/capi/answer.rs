//! The one structure that C is given and frees.

use std::ffi::c_char;
use std::ptr;

use super::entry::{Storage, ToValue, pmesh_entry, pointer};
use super::event::{Event, pmesh_event};
use super::result::guard;
use crate::{PublishedEvent, Shown};

/// What an answer holds.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum pmesh_kind {
    /// `entries`: what was asked for, or, in a watch, all there is. The first item of every watch, and again
    /// after a resync.
    PMESH_ENTRIES = 0,
    /// `key`, `old_entry`, `new_entry`: one key changed, its value, its freshness, or whether it is there.
    PMESH_CHANGE = 1,
    /// Changes were dropped because they were not taken in time; all entries follow.
    PMESH_RESYNC = 2,
    /// `event`: an event.
    PMESH_EVENT = 3,
    /// `missed`: so many events are missing here; whether they were wanted cannot always be known.
    PMESH_GAP = 4,
}

/// An answer: freed by pmesh_answer_free, together with all that it points to. Fields that its kind does not
/// name are 0 or NULL.
#[repr(C)]
#[derive(Debug)]
pub struct pmesh_answer {
    /// What it holds.
    pub kind: pmesh_kind,
    /// Entries, ordered by key.
    pub entries: *const pmesh_entry,
    /// How many.
    pub entry_count: usize,
    /// The key that changed.
    pub key: *const c_char,
    /// What was shown before, without contributions; NULL when nothing was.
    pub old_entry: *const pmesh_entry,
    /// What is shown now; NULL when the key was withdrawn.
    pub new_entry: *const pmesh_entry,
    /// The event.
    pub event: *const pmesh_event,
    /// How many events are missing.
    pub missed: u64,
}

/// An answer and what it points into.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Answer {
    // First: C is given its address, and that of the whole is the same.
    answer: pmesh_answer,
    entries: Vec<pmesh_entry>,
    storage: Storage,
    event: Option<Box<Event>>,
}

impl Answer {
    fn new(kind: pmesh_kind) -> Self {
        Self {
            answer: pmesh_answer {
                kind,
                entries: ptr::null(),
                entry_count: 0,
                key: ptr::null(),
                old_entry: ptr::null(),
                new_entry: ptr::null(),
                event: ptr::null(),
                missed: 0,
            },
            entries: Vec::new(),
            storage: Storage::default(),
            event: None,
        }
    }

    pub(super) fn entries<T: ToValue>(all: &[Shown<T>]) -> Self {
        let mut new = Self::new(pmesh_kind::PMESH_ENTRIES);
        new.entries = all.iter().map(|shown| new.storage.entry(shown)).collect();
        new.answer.entries = pointer(&new.entries);
        new.answer.entry_count = new.entries.len();
        new
    }

    pub(super) fn change<T: ToValue>(
        key: &str,
        before: Option<&Shown<T>>,
        after: Option<&Shown<T>>,
    ) -> Self {
        let mut new = Self::new(pmesh_kind::PMESH_CHANGE);
        new.answer.key = new.storage.texts.keep(key);
        let both = [before, after].into_iter().flatten();
        new.entries = both.map(|shown| new.storage.entry(shown)).collect();
        let mut entries = new.entries.iter();
        let mut next = |is: bool| is.then(|| entries.next()).flatten();
        let (before, after) = (next(before.is_some()), next(after.is_some()));
        new.answer.old_entry = before.map_or(ptr::null(), ptr::from_ref);
        new.answer.new_entry = after.map_or(ptr::null(), ptr::from_ref);
        new
    }

    pub(super) fn resync() -> Self {
        Self::new(pmesh_kind::PMESH_RESYNC)
    }

    pub(super) fn event(event: &PublishedEvent) -> Self {
        let mut new = Self::new(pmesh_kind::PMESH_EVENT);
        let event = new.event.insert(Box::new(Event::new(event)));
        new.answer.event = event.as_c();
        new
    }

    pub(super) fn gap(missed: u64) -> Self {
        let mut new = Self::new(pmesh_kind::PMESH_GAP);
        new.answer.missed = missed;
        new
    }

    /// Hands it to C, which frees it by [`pmesh_answer_free`].
    pub(super) fn into_raw(self) -> *mut pmesh_answer {
        Box::into_raw(Box::new(self)).cast()
    }

    /// Lends it to C.
    pub(super) fn as_c(&self) -> *const pmesh_answer {
        ptr::from_ref(self).cast()
    }
}

/// Frees an answer and all that it points to. Never one that a callback was given.
///
/// # Safety
/// `answer`: an answer that is not used any more, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_answer_free(answer: *mut pmesh_answer) {
    guard(|| {
        if !answer.is_null() {
            // SAFETY: made of a whole `Answer` by `Answer::into_raw`, and the caller gives it back.
            drop(unsafe { Box::from_raw(answer.cast::<Answer>()) });
        }
        Ok(())
    });
}
