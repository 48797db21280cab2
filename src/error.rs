//! Why things asked of a mesh fail, one type for each kind of operation.

use std::io;

use thiserror::Error;

use crate::model::AttributeError;
pub use crate::net::{AddressError, InviteError, RedeemError, StartError};
#[cfg(feature = "persist")]
pub use crate::persist::SaveError;
pub use crate::proto::{ConfigError, FollowError, PublishError, UnknownWord, WriteError};
pub use crate::wire::KeyFileError;

/// A key or identity file cannot be used.
///
/// ```
/// use presence_mesh::{KeyUseError, Mesh};
/// match Mesh::builder("acme").key_file("/nonexistent/mesh.key") {
///     Err(error @ KeyUseError::Io { .. }) => {
///         assert_eq!(error.to_string(), "cannot use the key file /nonexistent/mesh.key");
///     }
///     other => panic!("{other:?}"),
/// }
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyUseError {
    /// It cannot be read or made.
    #[error("cannot use the key file {path}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Others on this machine can read it.
    #[error("the key file {path} can be read by group or others (mode {mode:o}): chmod 600 it")]
    Permissions {
        /// The file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// It does not hold a key.
    #[error("bad key file {path}")]
    Content {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: KeyFileError,
    },
}

/// An attribute was not set; nothing was changed.
///
/// ```
/// # use presence_mesh::{MeshKey, blocking};
/// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
/// # let node = blocking::Mesh::start(builder)?;
/// # let mesh = node.handle();
/// use presence_mesh::SetAttributeError;
/// let refused = mesh.set_attribute("", Some("3"));
/// assert!(matches!(refused, Err(SetAttributeError::Attribute(_))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SetAttributeError {
    /// The attribute itself was refused.
    #[error("bad attribute")]
    Attribute(#[from] AttributeError),
    /// Nothing can be written.
    #[error("cannot write")]
    Write(#[from] WriteError),
}
