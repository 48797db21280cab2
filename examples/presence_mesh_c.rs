//! The C interface as a shared library, so that `cargo test` has one: all of it is in `presence_mesh::capi`.
//!
//! What programs link is built by `cargo rustc --release --lib --features capi --crate-type cdylib`.

use presence_mesh as _;
