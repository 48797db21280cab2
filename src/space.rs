//! A space: all keys of one kind, and what is known about each.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::model::{
    DeviceState, Key, KeyError, MailboxName, MessageCounts, Pattern, Source, SpaceId, Value,
};
use crate::net::Shared;
use crate::proto::{Contribution, Explanation, Shown, Write, WriteError};
use crate::watch::Watcher;

/// What a space can hold: device states, message counts.
///
/// Sealed: spaces of your own types come as custom spaces.
pub trait StateValue:
    sealed::Sealed + Clone + fmt::Debug + PartialEq + Send + Sync + 'static
{
}

pub(crate) mod sealed {
    use super::*;

    pub trait Sealed: Sized {
        const SPACE: SpaceId;
        fn name(text: &str) -> Result<Arc<str>, KeyError>;
        fn encode(self) -> Result<Value, WriteError>;
        fn decode(value: &Value) -> Option<Self>;
    }
}

impl StateValue for DeviceState {}

impl sealed::Sealed for DeviceState {
    const SPACE: SpaceId = SpaceId::DEVICES;

    fn name(text: &str) -> Result<Arc<str>, KeyError> {
        Ok(text.into())
    }

    fn encode(self) -> Result<Value, WriteError> {
        Ok(self.into())
    }

    fn decode(value: &Value) -> Option<Self> {
        Some(value.device_state())
    }
}

impl StateValue for MessageCounts {}

impl sealed::Sealed for MessageCounts {
    const SPACE: SpaceId = SpaceId::MAILBOXES;

    /// A mailbox without context is in the default one.
    fn name(text: &str) -> Result<Arc<str>, KeyError> {
        Ok(text.parse::<MailboxName>()?.as_str().into())
    }

    fn encode(self) -> Result<Value, WriteError> {
        Ok(self.checked()?.into())
    }

    fn decode(value: &Value) -> Option<Self> {
        value.decode()
    }
}

/// All keys of one kind.
///
/// Writes are local and instant: applied and readable when the call returns, sent afterwards. Each node
/// writes its own contribution to a key; [`Space::get`] shows what all contributions together make. Reads
/// never wait for the network.
///
/// Cheap to clone.
pub struct Space<T> {
    shared: Arc<Shared>,
    source: Source,
    value: PhantomData<fn() -> T>,
}

impl<T: StateValue> Space<T> {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            source: Source::API,
            value: PhantomData,
        }
    }

    /// The same space, written as another adapter: [`Space::replace_all`] and [`Space::own`] touch entries of
    /// their own source only, and a source can be marked silent
    /// ([`Mesh::mark_source`](crate::Mesh::mark_source)).
    #[must_use]
    pub fn with_source(mut self, source: Source) -> Self {
        self.source = source;
        self
    }

    /// Says what this node knows of `key`. Setting an equal value again sends nothing.
    ///
    /// # Errors
    /// See [`WriteError`]; never because the network is down.
    pub fn set(&self, key: &str, value: T) -> Result<(), WriteError> {
        self.write([(key, Some(value))], false).map(drop)
    }

    /// Sets many keys: others see all of them or none.
    ///
    /// # Errors
    /// As [`Space::set`]; nothing is changed then.
    pub fn set_many<K: AsRef<str>>(
        &self,
        entries: impl IntoIterator<Item = (K, T)>,
    ) -> Result<(), WriteError> {
        self.write(
            entries.into_iter().map(|(key, value)| (key, Some(value))),
            false,
        )
        .map(drop)
    }

    /// Withdraws what this node said of `key`; says whether there was anything.
    ///
    /// # Errors
    /// As [`Space::set`].
    pub fn clear(&self, key: &str) -> Result<bool, WriteError> {
        self.write([(key, None)], false).map(|changed| changed > 0)
    }

    /// Says again what an adapter found, such as a PBX's dump after its boot. Where the latest writer decides,
    /// this never beats what somebody wrote, unless it differs from our own last value.
    ///
    /// # Errors
    /// As [`Space::set`].
    pub fn restate(&self, key: &str, value: T) -> Result<(), WriteError> {
        self.write([(key, Some(value))], true).map(drop)
    }

    /// Makes this node's entries of this source exactly these, changing only what differs: what an adapter
    /// does after reconnecting. Returns how many were written and how many withdrawn.
    ///
    /// # Errors
    /// As [`Space::set`]; nothing is changed then.
    pub fn replace_all<K: AsRef<str>>(
        &self,
        entries: impl IntoIterator<Item = (K, T)>,
    ) -> Result<(usize, usize), WriteError> {
        let entries = entries
            .into_iter()
            .map(|(key, value)| Ok((Self::key(key.as_ref())?, value.encode()?)));
        let entries = entries.collect::<Result<Vec<_>, WriteError>>()?;
        self.shared
            .write(|replica, now| replica.replace_all(T::SPACE, entries, self.source, now))
    }

    /// Says what this node knows of `key` for as long as the token lives; dropped, it is withdrawn.
    ///
    /// # Errors
    /// As [`Space::set`].
    pub fn track(&self, key: &str, value: T) -> Result<Tracked<T>, WriteError> {
        // Before it is there: what somebody holds a token for is never saved.
        let name = Self::key(key)?;
        let mark = |tracked| {
            self.shared
                .with(|replica, _| replica.mark_tracked(&name, tracked));
        };
        mark(true);
        self.set(key, value).inspect_err(|_| mark(false))?;
        Ok(Tracked {
            space: self.clone(),
            key: key.to_owned(),
        })
    }

    /// What is known of `key`.
    pub fn get(&self, key: &str) -> Option<Shown<T>> {
        let key = Self::key(key).ok()?;
        self.shared
            .with(|replica, now| replica.get(&key, now))?
            .decode(T::decode)
    }

    /// All keys that match, ordered by key.
    pub fn list(&self, pattern: &Pattern) -> Vec<Shown<T>> {
        let all = self
            .shared
            .with(|replica, now| replica.list(T::SPACE, pattern, now));
        all.iter()
            .filter_map(|shown| shown.decode(T::decode))
            .collect()
    }

    /// How many keys there are.
    pub fn count(&self) -> usize {
        self.shared.with(|replica, _| replica.count(T::SPACE))
    }

    /// What this node itself says, of this source, ordered by key.
    pub fn own(&self) -> Vec<(String, T)> {
        let own = self
            .shared
            .with(|replica, _| replica.own(T::SPACE, self.source));
        own.iter()
            .filter_map(|(key, value)| Some((key.name().to_owned(), T::decode(value)?)))
            .collect()
    }

    /// Follows all keys that match: first a snapshot, then every change of what is shown.
    pub fn watch(&self, pattern: impl Into<Pattern>) -> Watcher<T> {
        Watcher::new(self.shared.clone(), T::SPACE, pattern.into(), false)
    }

    /// Like [`Space::watch`], but also told when only a contribution changed and what is shown did not: what
    /// a bridge needs that passes contributions on.
    pub fn watch_contributions(&self, pattern: impl Into<Pattern>) -> Watcher<T> {
        Watcher::new(self.shared.clone(), T::SPACE, pattern.into(), true)
    }

    /// What each origin says of `key`.
    pub fn contributions(&self, key: &str) -> Vec<Contribution<T>> {
        self.get(key)
            .map(|shown| shown.contributions)
            .unwrap_or_default()
    }

    /// Why `key` shows what it shows.
    pub fn explain(&self, key: &str) -> Option<Explanation<T>> {
        let key = Self::key(key).ok()?;
        let explanation = self
            .shared
            .with(|replica, now| replica.explain(&key, now))?;
        let shown = explanation.shown.decode(T::decode)?;
        Some(Explanation {
            key: explanation.key,
            rule: explanation.rule,
            shown,
        })
    }

    fn write<K: AsRef<str>>(
        &self,
        entries: impl IntoIterator<Item = (K, Option<T>)>,
        restate: bool,
    ) -> Result<usize, WriteError> {
        let entries = entries.into_iter().map(|(key, value)| {
            let value = value.map(sealed::Sealed::encode).transpose()?;
            Ok((Self::key(key.as_ref())?, value))
        });
        let entries = entries.collect::<Result<Vec<_>, WriteError>>()?;
        let how = Write {
            source: self.source,
            restate,
        };
        self.shared
            .write(|replica, now| replica.write(entries, how, now))
    }

    fn key(text: &str) -> Result<Key, KeyError> {
        Key::new(T::SPACE, T::name(text)?)
    }
}

impl<T> Clone for Space<T> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            source: self.source,
            value: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Space<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Space")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// A key that is set for as long as this lives.
#[derive(Debug)]
#[must_use = "dropping it withdraws the key"]
pub struct Tracked<T: StateValue> {
    space: Space<T>,
    key: String,
}

impl<T: StateValue> Tracked<T> {
    /// Changes the value.
    ///
    /// # Errors
    /// As [`Space::set`].
    pub fn set(&self, value: T) -> Result<(), WriteError> {
        self.space.set(&self.key, value)
    }
}

impl<T: StateValue> Drop for Tracked<T> {
    fn drop(&mut self) {
        if let Err(error) = self.space.clear(&self.key) {
            tracing::debug!(key = self.key, %error, "tracked key not withdrawn");
        }
        if let Ok(name) = Space::<T>::key(&self.key) {
            let shared = &self.space.shared;
            shared.with(|replica, _| replica.mark_tracked(&name, false));
        }
    }
}
