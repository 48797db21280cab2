//! How calls from C end.

use std::any::Any;
use std::cell::RefCell;
use std::error::Error;
use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::text::c_string;
use crate::{FollowError, KeyError, PublishError, WriteError};

/// How a call ended.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum pmesh_result {
    /// Done.
    PMESH_OK = 0,
    /// An argument is NULL where it must not be, not UTF-8, or not of the form that is asked for. Nothing was
    /// changed.
    PMESH_BAD_ARGUMENT = 1,
    /// There is no such key.
    PMESH_NOT_FOUND = 2,
    /// Nothing came in time; nothing is lost.
    PMESH_TIMED_OUT = 3,
    /// The node has left the mesh: nothing more comes, nothing can be written.
    PMESH_STOPPED = 4,
    /// The node could not start; nothing is left running.
    PMESH_NOT_STARTED = 5,
    /// The write was refused; nothing was changed.
    PMESH_REFUSED = 6,
    /// The operating system refused a resource: a thread, a file descriptor; or the node has as many watches or
    /// subscriptions as it may.
    PMESH_NO_RESOURCE = 7,
    /// A fault of the library's own. What the call was to do may be half done.
    PMESH_PANIC = 8,
}

pub(super) use pmesh_result::*;

/// Why a call failed, as a code and in words.
#[derive(Debug)]
pub(super) struct Failure {
    code: pmesh_result,
    text: String,
}

impl Failure {
    pub(super) fn new(code: pmesh_result, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { code, text }
    }

    /// With the whole chain of causes.
    pub(super) fn of(code: pmesh_result, error: &dyn Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        Self { code, text }
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        let code = match error {
            WriteError::Stopped => PMESH_STOPPED,
            WriteError::Key(_) | WriteError::Value(_) | WriteError::Counts(_) => PMESH_BAD_ARGUMENT,
            _ => PMESH_REFUSED,
        };
        Self::of(code, &error)
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        let code = match error {
            PublishError::Stopped => PMESH_STOPPED,
            PublishError::Event(_) => PMESH_BAD_ARGUMENT,
            _ => PMESH_REFUSED,
        };
        Self::of(code, &error)
    }
}

impl From<FollowError> for Failure {
    fn from(error: FollowError) -> Self {
        Self::of(PMESH_NO_RESOURCE, &error)
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        WriteError::Key(error).into()
    }
}

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

/// Runs what a call is to do, keeps panics from C, and notes down what went wrong.
pub(super) fn guard(work: impl FnOnce() -> Result<(), Failure>) -> pmesh_result {
    // Whatever a panic leaves half done is behind the library's own locks, which bear it.
    let failure = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => return PMESH_OK,
        Ok(Err(failure)) => failure,
        Err(panic) => Failure::new(PMESH_PANIC, words(panic.as_ref())),
    };
    let text = c_string(&failure.text);
    // A thread that is ending has no last error any more.
    let _ = LAST_ERROR.try_with(|last| *last.borrow_mut() = text);
    failure.code
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a fault of the library: {}", text.unwrap_or("no words"))
}

/// What went wrong in the last call of this thread that failed, in words. Never NULL; empty when none has
/// failed. Valid until the next call of this thread that fails, or its end; not to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn pmesh_last_error() -> *const c_char {
    let text = LAST_ERROR.try_with(|last| last.borrow().as_ptr());
    text.unwrap_or(c"".as_ptr())
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    fn last_error() -> String {
        // SAFETY: never NULL, and nothing of this thread fails until it is copied.
        let text = unsafe { CStr::from_ptr(pmesh_last_error()) };
        text.to_str().expect("it was made of UTF-8").to_owned()
    }

    #[test]
    fn a_panic_comes_back_as_a_code_and_words() {
        assert_eq!(last_error(), "");
        assert_eq!(guard(|| panic!("seven")), PMESH_PANIC);
        assert_eq!(last_error(), "a fault of the library: seven");
    }

    #[test]
    fn a_failure_is_told_with_its_causes_and_outlives_success() {
        let refused = WriteError::from(KeyError::Empty);
        assert_eq!(guard(|| Err(refused.into())), PMESH_BAD_ARGUMENT);
        assert_eq!(guard(|| Ok(())), PMESH_OK);
        assert_eq!(last_error(), "bad key: the key is empty");
        let elsewhere = std::thread::spawn(last_error);
        assert_eq!(
            elsewhere.join().expect("no panic"),
            "",
            "each thread has its own"
        );
    }
}
