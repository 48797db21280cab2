//! Texts and pointers, in and out.

use std::ffi::{CStr, CString, c_char};

use super::result::{Failure, PMESH_BAD_ARGUMENT};

/// A text from C, called `what` when it is refused.
///
/// # Safety
/// `text` is NULL, or ends with a NUL and stays as it is for `'a`.
pub(super) unsafe fn text<'a>(what: &str, text: *const c_char) -> Result<&'a str, Failure> {
    if text.is_null() {
        return Err(null(what));
    }
    // SAFETY: not NULL; the caller vouches for the rest.
    let bytes = unsafe { CStr::from_ptr(text) };
    let refused = |_| Failure::new(PMESH_BAD_ARGUMENT, format!("{what} is not UTF-8"));
    bytes.to_str().map_err(refused)
}

/// What `pointer` points to.
///
/// # Safety
/// `pointer` is NULL, or points to a `T` that nobody changes or frees for `'a`.
pub(super) unsafe fn reference<'a, T>(what: &str, pointer: *const T) -> Result<&'a T, Failure> {
    // SAFETY: the caller vouches for it.
    unsafe { pointer.as_ref() }.ok_or_else(|| null(what))
}

/// Where a caller wants something put.
#[derive(Debug)]
pub(super) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// # Safety
    /// `out` is NULL, or may be written for as long as this lives.
    pub(super) unsafe fn new(out: *mut T) -> Result<Self, Failure> {
        if out.is_null() {
            return Err(null("out"));
        }
        Ok(Self(out))
    }

    pub(super) fn give(self, value: T) {
        // SAFETY: not NULL, and whoever made this vouches for the rest. What is there is not read: it may be
        // anything.
        unsafe { self.0.write(value) };
    }
}

fn null(what: &str) -> Failure {
    Failure::new(PMESH_BAD_ARGUMENT, format!("{what} is NULL"))
}

/// As C takes it. A NUL inside, which would end it there, becomes U+FFFD.
pub(super) fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', "\u{fffd}")).expect("no NUL is left in it")
}

/// Texts that an answer points into. They stay where they are when this is moved.
#[derive(Debug, Default)]
pub(super) struct Texts(Vec<CString>);

impl Texts {
    pub(super) fn keep(&mut self, text: &str) -> *const c_char {
        let text = c_string(text);
        let pointer = text.as_ptr();
        self.0.push(text);
        pointer
    }
}
