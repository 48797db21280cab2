//! A space: all keys of one kind, and what is known about each.

mod kind;
mod tracked;

use std::fmt;
use std::sync::Arc;

use crate::model::{Pattern, Source, Value};
use crate::net::Shared;
use crate::proto::{Contribution, Explanation, FollowError, Shown, Write, WriteError};
use crate::watch::Watcher;
pub(crate) use kind::Kind;
pub use tracked::Tracked;

/// What a space can hold. Every type that threads may share can be held.
///
/// ```
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Queue { waiting: u32 }
/// fn held<T: presence_mesh::StateValue>() {}
/// held::<Queue>();
/// ```
pub trait StateValue: Send + Sync + 'static {}

impl<T: Send + Sync + 'static> StateValue for T {}

/// All keys of one kind.
///
/// Writes are local and instant: applied and readable when the call returns, sent afterwards. Each node
/// writes its own contribution to a key; [`Space::get`] shows what all contributions together make. Reads
/// never wait for the network.
///
/// A value that this version cannot read, because a newer one or another type wrote it, is left out of what is
/// read; [`Space::count`] counts it.
///
/// Cheap to clone, and all clones are the same space.
///
/// ```no_run
/// # async fn example(mesh: presence_mesh::Mesh) -> Result<(), Box<dyn std::error::Error>> {
/// use presence_mesh::{Presence, PresenceStatus};
/// let presence = mesh.presence();
/// presence.set("alice", Presence::new(PresenceStatus::Dnd).with_message("in a meeting"))?;
/// let alice = presence.get("alice").expect("just set");
/// println!("{} ({}, said by {} nodes)", alice.value, alice.freshness, alice.contributions.len());
/// # Ok(())
/// # }
/// ```
pub struct Space<T> {
    shared: Arc<Shared>,
    source: Source,
    kind: Kind<T>,
}

impl<T: StateValue> Space<T> {
    pub(crate) fn new(shared: Arc<Shared>, kind: Kind<T>) -> Self {
        Self {
            shared,
            source: Source::API,
            kind,
        }
    }

    /// The same space, written as another adapter: [`Space::replace_all`] and [`Space::own`] touch entries of
    /// their own source only, and a source can be marked silent
    /// ([`Mesh::mark_source`](crate::Mesh::mark_source)).
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// use presence_mesh::{DeviceState, Source};
    /// let door = mesh.devices().with_source(Source(64)); // an adapter of your own
    /// door.set("door", DeviceState::InUse)?;
    /// assert_eq!(door.own().len(), 1);
    /// assert_eq!(mesh.devices().own().len(), 0, "of the source `API`");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_source(mut self, source: Source) -> Self {
        self.source = source;
        self
    }

    /// Says what this node knows of `key`. Setting an equal value again succeeds and sends nothing, unless
    /// another's value is shown meanwhile: then the last writer wins anew.
    ///
    /// # Errors
    /// See [`WriteError`]; never because the network is down.
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// use presence_mesh::{DeviceState, WriteError};
    /// mesh.devices().set("PJSIP/100", DeviceState::InUse)?;
    /// assert!(matches!(mesh.devices().set("", DeviceState::InUse), Err(WriteError::Key(_))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set(&self, key: &str, value: T) -> Result<(), WriteError> {
        self.write([(key, Some(value))], false).map(drop)
    }

    /// Sets many keys: others see all of them or none.
    ///
    /// # Errors
    /// As [`Space::set`]; nothing is changed then.
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// use presence_mesh::DeviceState;
    /// mesh.devices().set_many([("PJSIP/100", DeviceState::InUse), ("PJSIP/101", DeviceState::Ringing)])?;
    /// assert_eq!(mesh.devices().count(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// use presence_mesh::DeviceState;
    /// mesh.devices().set("PJSIP/100", DeviceState::InUse)?;
    /// assert!(mesh.devices().clear("PJSIP/100")?);
    /// assert!(!mesh.devices().clear("PJSIP/100")?, "there is nothing left to withdraw");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clear(&self, key: &str) -> Result<bool, WriteError> {
        self.write([(key, None)], false).map(|changed| changed > 0)
    }

    /// Says again what an adapter found, such as a PBX's dump after its boot. Where the latest writer decides,
    /// this never beats what somebody wrote, unless it differs from our own last value.
    ///
    /// # Errors
    /// As [`Space::set`].
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// use presence_mesh::DeviceState;
    /// // A PBX's dump: it says what it said before its reboot, and must not beat who pressed the button since.
    /// mesh.devices().restate("Custom:night", DeviceState::InUse)?;
    /// assert_eq!(mesh.devices().contributions("Custom:night")[0].hlc, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn restate(&self, key: &str, value: T) -> Result<(), WriteError> {
        self.write([(key, Some(value))], true).map(drop)
    }

    /// Makes this node's entries of this source exactly these, changing only what differs: what an adapter
    /// does after reconnecting. Returns how many were written and how many withdrawn.
    ///
    /// # Errors
    /// As [`Space::set`]; nothing is changed then.
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// use presence_mesh::DeviceState::{InUse, NotInUse, Ringing};
    /// mesh.devices().set_many([("PJSIP/100", InUse), ("PJSIP/101", Ringing)])?;
    /// // What the adapter finds when it is connected again.
    /// let changed = mesh.devices().replace_all([("PJSIP/100", InUse), ("PJSIP/102", NotInUse)])?;
    /// assert_eq!(changed, (1, 1), "102 was written, 101 withdrawn, 100 is as it was");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn replace_all<K: AsRef<str>>(
        &self,
        entries: impl IntoIterator<Item = (K, T)>,
    ) -> Result<(usize, usize), WriteError> {
        let entries = entries
            .into_iter()
            .map(|(key, value)| Ok((self.kind.key(key.as_ref())?, self.kind.encode(value)?)));
        let entries = entries.collect::<Result<Vec<_>, WriteError>>()?;
        self.shared.write(|replica, now| {
            replica.replace_all(self.kind.scope.clone(), entries, self.source, now)
        })
    }

    /// Says what this node knows of `key` for as long as the token lives; dropped, it is withdrawn, even by a
    /// panic. Several tokens on one key count: the newest living one's value is said, and the key is withdrawn
    /// with the last. What is tracked does not outlive the process: it is not kept over a restart.
    ///
    /// # Errors
    /// As [`Space::set`].
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// use presence_mesh::DeviceState;
    /// let call = mesh.devices().track("PJSIP/100", DeviceState::Ringing)?;
    /// call.set(DeviceState::InUse)?;
    /// drop(call); // hung up
    /// assert!(mesh.devices().get("PJSIP/100").is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn track(&self, key: &str, value: T) -> Result<Tracked<T>, WriteError> {
        let (name, value) = (self.kind.key(key)?, self.kind.encode(value)?);
        let id = self
            .shared
            .with(|replica, now| replica.track(name, value, self.source, now))?;
        Ok(Tracked::new(self.clone(), key.to_owned(), id))
    }

    /// What is known of `key`. Where each origin's own is shown apart
    /// ([`Mesh::custom_per_origin`](crate::Mesh::custom_per_origin)): what this node itself says of it.
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// use presence_mesh::{DeviceState, Freshness};
    /// mesh.devices().set("PJSIP/100", DeviceState::InUse)?;
    /// let lamp = mesh.devices().get("PJSIP/100").expect("it was just set");
    /// assert_eq!((lamp.value, lamp.freshness), (DeviceState::InUse, Freshness::Live));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get(&self, key: &str) -> Option<Shown<T>> {
        let key = self.kind.key(key).ok()?;
        let shown = self.shared.read(|replica, now| replica.get(&key, now))?;
        self.shown(&shown)
    }

    /// All keys that match, ordered by key; where each origin's own is shown apart, one for each of them,
    /// ordered by key and replica, told apart by [`Shown::origin`].
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// use presence_mesh::DeviceState;
    /// mesh.devices().set_many([("PJSIP/100", DeviceState::InUse), ("SIP/7", DeviceState::Ringing)])?;
    /// for lamp in mesh.devices().list(&"PJSIP/*".into()) {
    ///     println!("{}: {}", lamp.key, lamp.value.label());
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn list(&self, pattern: &Pattern) -> Vec<Shown<T>> {
        let scope = &self.kind.scope;
        let all = self
            .shared
            .read_all(|replica, now| replica.list(scope.clone(), pattern, now));
        all.iter().filter_map(|shown| self.shown(shown)).collect()
    }

    /// How many keys there are: as many as [`Space::list`] gives for any pattern. Costs the same however many.
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// assert_eq!(mesh.mailboxes().count(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn count(&self) -> usize {
        self.shared
            .read_all(|replica, _| replica.count(self.kind.scope.clone()))
    }

    /// What this node itself says, of this source, ordered by key.
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// use presence_mesh::MessageCounts;
    /// mesh.mailboxes().set("100", MessageCounts::new(3, 1))?;
    /// assert_eq!(mesh.mailboxes().own(), [("100@default".to_owned(), MessageCounts::new(3, 1))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn own(&self) -> Vec<(String, T)> {
        let own = self
            .shared
            .read(|replica, _| replica.own(self.kind.scope.clone(), self.source));
        own.iter()
            .filter_map(|(key, value)| {
                let name = self.kind.local(&key.shared_name());
                Some((name.to_string(), self.kind.decode(value)?))
            })
            .collect()
    }

    /// Follows all keys that match: first a snapshot, then every change of what is shown.
    ///
    /// # Errors
    /// When this node has as many watches as it may ([`Limits::watches`](crate::Limits::watches)).
    ///
    /// ```no_run
    /// # async fn example(mesh: presence_mesh::Mesh) -> Result<(), presence_mesh::FollowError> {
    /// use presence_mesh::Watch;
    /// let mut lamps = mesh.devices().watch("PJSIP/*")?;
    /// while let Some(item) = lamps.next().await {
    ///     match item {
    ///         Watch::Snapshot(all) => println!("{} lamps", all.len()),
    ///         Watch::Changed(change) => println!("{} changed", change.key),
    ///         Watch::Resync => println!("fell behind; a fresh snapshot follows"),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn watch(&self, pattern: impl Into<Pattern>) -> Result<Watcher<T>, FollowError> {
        Watcher::new(
            self.shared.clone(),
            self.kind.clone(),
            pattern.into(),
            false,
        )
    }

    /// Like [`Space::watch`], but also told when only a contribution changed and what is shown did not: what
    /// a bridge needs that passes contributions on.
    ///
    /// # Errors
    /// As [`Space::watch`].
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// use presence_mesh::{DeviceState, Watch};
    /// let mut all = mesh.devices().watch_contributions("PJSIP/*")?;
    /// mesh.devices().set("PJSIP/100", DeviceState::InUse)?;
    /// if let Some(Watch::Snapshot(lamps)) = all.try_next() {
    ///     assert_eq!(lamps[0].contributions.len(), 1);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn watch_contributions(
        &self,
        pattern: impl Into<Pattern>,
    ) -> Result<Watcher<T>, FollowError> {
        Watcher::new(self.shared.clone(), self.kind.clone(), pattern.into(), true)
    }

    /// What each origin says of `key`.
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// use presence_mesh::DeviceState;
    /// mesh.devices().set("PJSIP/100", DeviceState::InUse)?;
    /// for said in mesh.devices().contributions("PJSIP/100") {
    ///     println!("{} says {}, {:?} ago", said.node, said.value, said.age);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn contributions(&self, key: &str) -> Vec<Contribution<T>> {
        let Ok(key) = self.kind.key(key) else {
            return Vec::new();
        };
        let all = self
            .shared
            .read(|replica, now| replica.contributions(&key, now));
        all.iter()
            .filter_map(|contribution| contribution.decode(|value| self.kind.decode(value)))
            .collect()
    }

    /// Why `key` shows what it shows. Where each origin's own is shown apart, the value is this node's own, or
    /// without one that of the first who has one, beside what all of them say.
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// use presence_mesh::{DeviceState, Rule};
    /// mesh.devices().set("PJSIP/100", DeviceState::InUse)?;
    /// let why = mesh.devices().explain("PJSIP/100").expect("it was just set");
    /// assert_eq!((why.rule, why.rule.to_string()), (Rule::Single, "one server reports it".to_owned()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn explain(&self, key: &str) -> Option<Explanation<T>> {
        let key = self.kind.key(key).ok()?;
        let explanation = self
            .shared
            .read(|replica, now| replica.explain(&key, now))?;
        let mut explanation = explanation.decode(|value| self.kind.decode(value))?;
        explanation.key = self.kind.local(&explanation.key);
        explanation.shown.key = explanation.key.clone();
        Some(explanation)
    }

    fn write<K: AsRef<str>>(
        &self,
        entries: impl IntoIterator<Item = (K, Option<T>)>,
        restate: bool,
    ) -> Result<usize, WriteError> {
        let entries = entries.into_iter().map(|(key, value)| {
            let value = value.map(|value| self.kind.encode(value)).transpose()?;
            Ok((self.kind.key(key.as_ref())?, value))
        });
        let entries = entries.collect::<Result<Vec<_>, WriteError>>()?;
        let how = Write {
            source: self.source,
            restate,
        };
        self.shared
            .write(|replica, now| replica.write(entries, how, now))
    }

    fn shown(&self, shown: &Shown<Value>) -> Option<Shown<T>> {
        let mut shown = shown.decode(|value| self.kind.decode(value))?;
        shown.key = self.kind.local(&shown.key);
        Some(shown)
    }
}

impl<T> Clone for Space<T> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            source: self.source,
            kind: self.kind.clone(),
        }
    }
}

impl<T> fmt::Debug for Space<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Space")
            .field("kind", &self.kind)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}
