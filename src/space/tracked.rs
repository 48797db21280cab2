//! Values that last as long as something does.

use crate::proto::{TrackId, WriteError};
use crate::space::{Space, StateValue};

/// A key that is set for as long as this lives.
///
/// Several tokens on one key count: the newest living one's value is this node's, and the key is withdrawn when
/// the last is gone. What is tracked is not kept over a restart of the program.
///
/// ```no_run
/// # async fn example(mesh: presence_mesh::Mesh) -> Result<(), presence_mesh::WriteError> {
/// use presence_mesh::DeviceState;
/// let call = mesh.devices().track("PJSIP/100", DeviceState::Ringing)?;
/// call.set(DeviceState::InUse)?;
/// drop(call); // hung up, or unwound by a panic: withdrawn everywhere
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropping it withdraws the key"]
pub struct Tracked<T: StateValue> {
    space: Space<T>,
    id: TrackId,
    key: String,
}

impl<T: StateValue> Tracked<T> {
    pub(super) fn new(space: Space<T>, key: String, id: TrackId) -> Self {
        Self { space, id, key }
    }

    /// The key, as it was given.
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// use presence_mesh::DeviceState;
    /// let call = mesh.devices().track("PJSIP/100", DeviceState::Ringing)?;
    /// assert_eq!(call.key(), "PJSIP/100");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Changes the value. While a newer token of the same key lives, that one's is shown, and this one once the
    /// newer ones are gone.
    ///
    /// # Errors
    /// As [`Space::set`].
    pub fn set(&self, value: T) -> Result<(), WriteError> {
        let value = self.space.kind.encode(value)?;
        self.space
            .shared
            .with(|replica, now| replica.retrack(self.id, value, now))
    }
}

impl<T: StateValue> Drop for Tracked<T> {
    fn drop(&mut self) {
        let untracked = self
            .space
            .shared
            .with(|replica, now| replica.untrack(self.id, now));
        if let Err(error) = untracked {
            tracing::debug!(key = self.key, %error, "tracked key not withdrawn");
        }
    }
}
