//! Other systems that the mesh is joined to.
//!
//! A bridge is one more user of the public API: it watches spaces and writes into them under a
//! [`Source`](crate::model::Source) of its own, and knows nothing of what lies below.

pub mod asterisk;
