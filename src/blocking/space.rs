//! A space, for programs without tokio.

use super::follow::Follow;
use crate::model::{Pattern, Source};
use crate::proto::{Contribution, Explanation, FollowError, Shown, WriteError};
use crate::space::{StateValue, Tracked};

/// Follows changes of a space: first a snapshot, then every change; see [`crate::Watcher`].
///
/// An iterator whose `next` waits; also [`next_timeout`](Follow::next_timeout),
/// [`try_next`](Follow::try_next) and [`try_iter`](Follow::try_iter).
///
/// ```
/// use presence_mesh::{DeviceState, Watch, blocking};
/// # use presence_mesh::MeshKey;
/// # let mesh = blocking::Mesh::start(blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false))?;
/// let mut lamps: blocking::Watcher<DeviceState> = mesh.devices().watch("PJSIP/*")?;
/// assert!(matches!(lamps.next(), Some(Watch::Snapshot(_))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type Watcher<T> = Follow<crate::Watcher<T>>;

/// All keys of one kind; see [`crate::Space`]. Only taking items of its watchers waits.
///
/// ```
/// use presence_mesh::{DeviceState, Source, blocking};
/// # use presence_mesh::MeshKey;
/// # let mesh = blocking::Mesh::start(blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false))?;
/// let devices: blocking::Space<DeviceState> = mesh.devices();
/// devices.set("PJSIP/100", DeviceState::InUse)?;
/// devices.set_many([("PJSIP/101", DeviceState::Ringing), ("PJSIP/102", DeviceState::Busy)])?;
/// assert_eq!(devices.get("PJSIP/100").map(|lamp| lamp.value), Some(DeviceState::InUse));
/// assert_eq!((devices.count(), devices.list(&"*101".into()).len(), devices.own().len()), (3, 1, 3));
/// assert_eq!(devices.contributions("PJSIP/100").len(), 1);
/// println!("{}", devices.explain("PJSIP/100").expect("it was just set").rule);
/// assert!(devices.clear("PJSIP/102")?);
///
/// let call = devices.track("PJSIP/103", DeviceState::Ringing)?;
/// drop(call); // hung up: withdrawn
///
/// let door = devices.clone().with_source(Source(64)); // an adapter of your own
/// door.restate("door", DeviceState::NotInUse)?;
/// door.replace_all([("door", DeviceState::InUse)])?;
///
/// let mut lamps = devices.watch("PJSIP/*")?;
/// let mut all = devices.watch_contributions("PJSIP/*")?;
/// assert!(lamps.next().is_some() && all.next().is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Space<T> {
    space: crate::Space<T>,
}

impl<T: StateValue> Space<T> {
    pub(super) fn new(space: crate::Space<T>) -> Self {
        Self { space }
    }

    /// As [`crate::Space::with_source`].
    #[must_use]
    pub fn with_source(self, source: Source) -> Self {
        Self::new(self.space.with_source(source))
    }

    /// As [`crate::Space::set`].
    ///
    /// # Errors
    /// See [`WriteError`]; never because the network is down.
    pub fn set(&self, key: &str, value: T) -> Result<(), WriteError> {
        self.space.set(key, value)
    }

    /// As [`crate::Space::set_many`].
    ///
    /// # Errors
    /// As [`Space::set`]; nothing is changed then.
    pub fn set_many<K: AsRef<str>>(
        &self,
        entries: impl IntoIterator<Item = (K, T)>,
    ) -> Result<(), WriteError> {
        self.space.set_many(entries)
    }

    /// As [`crate::Space::clear`].
    ///
    /// # Errors
    /// As [`Space::set`].
    pub fn clear(&self, key: &str) -> Result<bool, WriteError> {
        self.space.clear(key)
    }

    /// As [`crate::Space::restate`].
    ///
    /// # Errors
    /// As [`Space::set`].
    pub fn restate(&self, key: &str, value: T) -> Result<(), WriteError> {
        self.space.restate(key, value)
    }

    /// As [`crate::Space::replace_all`].
    ///
    /// # Errors
    /// As [`Space::set`]; nothing is changed then.
    pub fn replace_all<K: AsRef<str>>(
        &self,
        entries: impl IntoIterator<Item = (K, T)>,
    ) -> Result<(usize, usize), WriteError> {
        self.space.replace_all(entries)
    }

    /// As [`crate::Space::track`].
    ///
    /// # Errors
    /// As [`Space::set`].
    pub fn track(&self, key: &str, value: T) -> Result<Tracked<T>, WriteError> {
        self.space.track(key, value)
    }

    /// As [`crate::Space::get`].
    pub fn get(&self, key: &str) -> Option<Shown<T>> {
        self.space.get(key)
    }

    /// As [`crate::Space::list`].
    pub fn list(&self, pattern: &Pattern) -> Vec<Shown<T>> {
        self.space.list(pattern)
    }

    /// As [`crate::Space::count`].
    pub fn count(&self) -> usize {
        self.space.count()
    }

    /// As [`crate::Space::own`].
    pub fn own(&self) -> Vec<(String, T)> {
        self.space.own()
    }

    /// As [`crate::Space::contributions`].
    pub fn contributions(&self, key: &str) -> Vec<Contribution<T>> {
        self.space.contributions(key)
    }

    /// As [`crate::Space::explain`].
    pub fn explain(&self, key: &str) -> Option<Explanation<T>> {
        self.space.explain(key)
    }

    /// As [`crate::Space::watch`].
    ///
    /// # Errors
    /// See [`FollowError`].
    pub fn watch(&self, pattern: impl Into<Pattern>) -> Result<Watcher<T>, FollowError> {
        self.space.watch(pattern).map(Follow::new)
    }

    /// As [`crate::Space::watch_contributions`].
    ///
    /// # Errors
    /// See [`FollowError`].
    pub fn watch_contributions(
        &self,
        pattern: impl Into<Pattern>,
    ) -> Result<Watcher<T>, FollowError> {
        self.space.watch_contributions(pattern).map(Follow::new)
    }
}

impl<T> Clone for Space<T> {
    fn clone(&self) -> Self {
        Self {
            space: self.space.clone(),
        }
    }
}
