//! The C interface; C programs read `include/presence_mesh.h`, which is made of what stands here.
//!
//! Built by `cargo rustc --release --lib --features capi --crate-type cdylib` (or `staticlib`). The only part
//! of the crate with unsafe code: what comes from C is checked here as far as that can be done, and turned
//! into calls of [`blocking`](crate::blocking).
//!
//! The rules that hold everywhere; the header says them, too:
//!
//! - **Results.** What can fail returns a `pmesh_result`. Anything but `PMESH_OK` leaves every `out` as it
//!   was, and [`pmesh_last_error`] says in words what happened.
//! - **NULL.** A handle or text must not be NULL unless its function says so; a NULL is refused as
//!   `PMESH_BAD_ARGUMENT`. Freeing NULL does nothing.
//! - **Texts** are UTF-8 and end with a NUL. Those given in are copied before the call returns. Those given out
//!   belong to what they came with and live as long as that; a NUL inside is given as U+FFFD.
//! - **Ownership.** What a function gives through `out` is the caller's, who frees it once by the one function
//!   for its type: [`pmesh_config_free`], [`pmesh_free`], [`pmesh_watch_free`], [`pmesh_answer_free`],
//!   [`pmesh_tracked_free`]. Answers, watches and tracked keys may outlive the node they came from.
//! - **Threads.** A `pmesh_mesh` may be used by any number of threads at once; a `pmesh_config`, a
//!   `pmesh_watch`, a `pmesh_answer` and a `pmesh_tracked` by one at a time. Nothing may be used while or after it
//!   is freed, nor in a child after `fork`.
//! - **Panics** never cross: a fault of the library's own comes back as `PMESH_PANIC`.
#![allow(unsafe_code)]
#![allow(non_camel_case_types, reason = "the names are those of C")]

mod answer;
mod bell;
mod config;
mod entry;
mod event;
mod events;
mod mesh;
mod result;
mod space;
mod taken;
mod text;
mod value;
mod watch;

pub use answer::*;
pub use config::*;
pub use entry::*;
pub use event::*;
pub use events::*;
pub use mesh::*;
pub use result::{pmesh_last_error, pmesh_result};
pub use space::*;
pub use value::*;
pub use watch::*;
