//! The handle on a running node.

mod invite;
mod peers;
mod ping;
mod statistics;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::config::MeshBuilder;
use crate::error::SetAttributeError;
use crate::events::Events;
use crate::model::{
    DeviceState, Incarnation, KeyError, MessageCounts, Presence, ReplicaId, Source, SpaceId,
};
use crate::net::{Command, Invites, NetCounters, Shared};
use crate::proto::{Counters, WriteError};
use crate::space::{Kind, Space, StateValue};
use crate::wire::Digest;

pub use peers::{Departure, Peer, PeerChange, PeerWatcher};
pub use ping::Pong;
pub use statistics::Statistics;

/// A node of a mesh: a running participant.
///
/// Made by [`Mesh::builder`]. Cheap to clone; all clones are the same node. When the last one is dropped
/// without [`Mesh::leave`], the node ends and the others find out by its silence.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use presence_mesh::{DeviceState, Mesh};
/// let mesh = Mesh::builder("acme").node("berlin").key_file("mesh.key")?.start().await?;
/// mesh.devices().set("PJSIP/100", DeviceState::InUse)?;
/// for peer in mesh.peers() {
///     println!("{} is {:?}, last heard of {:?} ago", peer.node, peer.standing, peer.age);
/// }
/// mesh.leave().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "the node ends with its last handle"]
pub struct Mesh {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    mesh: String,
    node: String,
    addresses: Vec<String>,
    /// Ends the driver when the last handle is dropped.
    driver: tokio::task::AbortHandle,
    /// What is open to who was invited.
    invites: Arc<Invites>,
    /// Saves what there is when the last handle is dropped.
    #[cfg(feature = "persist")]
    keeper: Option<Arc<crate::persist::Keeper>>,
}

/// How a node is doing.
///
/// ```
/// # use presence_mesh::{MeshKey, blocking};
/// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
/// # let node = blocking::Mesh::start(builder)?;
/// # let mesh = node.handle();
/// let status = mesh.status();
/// assert_eq!((status.mesh.as_str(), status.peers_connected), ("acme", 0));
/// assert_eq!(status.entries.values().sum::<usize>(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The mesh's name.
    pub mesh: String,
    /// The node's name.
    pub node: String,
    /// The node's replica id.
    pub replica: ReplicaId,
    /// Its life.
    pub incarnation: Incarnation,
    /// The program's version.
    pub version: &'static str,
    /// Whether the first exchange with a peer is done, or there was no peer for 5 s.
    pub ready: bool,
    /// To how many peers there is a connection.
    pub peers_connected: usize,
    /// How many keys are shown, by space.
    pub entries: BTreeMap<SpaceId, usize>,
    /// The root of the store: equal digests mean equal stores.
    pub digest: Digest,
}

impl Mesh {
    /// Begins to describe a node of the mesh called `name`. Meshes with other names never mix.
    pub fn builder(name: impl Into<String>) -> MeshBuilder {
        MeshBuilder::new(name.into())
    }

    pub(crate) fn new(
        shared: Arc<Shared>,
        (mesh, node): (String, String),
        addresses: Vec<String>,
        driver: tokio::task::AbortHandle,
        invites: Arc<Invites>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                shared,
                mesh,
                node,
                addresses,
                driver,
                invites,
                #[cfg(feature = "persist")]
                keeper: None,
            }),
        }
    }

    #[cfg(feature = "persist")]
    pub(crate) fn kept_by(mut self, keeper: Option<Arc<crate::persist::Keeper>>) -> Self {
        let inner = Arc::get_mut(&mut self.inner).expect("it was just made");
        inner.keeper = keeper;
        self
    }

    /// The states of devices.
    pub fn devices(&self) -> Space<DeviceState> {
        Space::new(self.inner.shared.clone(), Kind::devices())
    }

    /// The message counts of mailboxes.
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// use presence_mesh::MessageCounts;
    /// mesh.mailboxes().set("100", MessageCounts::new(3, 1))?; // in the context `default`
    /// assert!(mesh.mailboxes().get("100@default").is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn mailboxes(&self) -> Space<MessageCounts> {
        Space::new(self.inner.shared.clone(), Kind::mailboxes())
    }

    /// What people say of being reachable. Of several writers the latest is shown.
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// use presence_mesh::{Presence, PresenceStatus};
    /// mesh.presence().set("alice", Presence::new(PresenceStatus::Away).with_message("back at two"))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn presence(&self) -> Space<Presence> {
        Space::new(self.inner.shared.clone(), Kind::presence())
    }

    /// Values of a type of your own. Of several writers the latest is shown.
    ///
    /// Values are stored as JSON of at most [`MAX_VALUE_BYTES`](crate::MAX_VALUE_BYTES), so that HTTP, the command
    /// line and programs with another type for the same thing can read them; who reads a value that its type
    /// does not fit sees nothing. Namespace and key together take at most 254 bytes.
    ///
    /// # Errors
    /// When `namespace` is not a [`Namespace`](crate::Namespace): 1 to 64 bytes, no slash, no control character.
    ///
    /// ```no_run
    /// # async fn example(mesh: presence_mesh::Mesh) -> Result<(), Box<dyn std::error::Error>> {
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Queue { waiting: u32, open: bool }
    ///
    /// let queues = mesh.custom::<Queue>("queues")?;
    /// queues.set("sales", Queue { waiting: 3, open: true })?;
    /// for shown in queues.list(&"s*".into()) {
    ///     println!("{}: {} waiting", shown.key, shown.value.waiting);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn custom<T>(&self, namespace: &str) -> Result<Space<T>, KeyError>
    where
        T: StateValue + Serialize + DeserializeOwned,
    {
        let kind = Kind::custom(SpaceId::CUSTOM, &namespace.parse()?);
        Ok(Space::new(self.inner.shared.clone(), kind))
    }

    /// Values of a type of your own, where each node's is its own and none is ever combined with another's: the
    /// load of each server, say. Other than that as [`Mesh::custom`]; the same name in both is two namespaces.
    ///
    /// What all nodes say of a key is in [`Space::contributions`]; [`Space::list`] and [`Space::watch`] show one
    /// line for each node, named by [`Shown::origin`](crate::Shown::origin); [`Space::get`] shows this node's own.
    /// The value of a node that is gone stays, shown as gone, until the node is forgotten.
    ///
    /// # Errors
    /// As [`Mesh::custom`].
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Load { calls: u32 }
    ///
    /// let loads = mesh.custom_per_origin::<Load>("load")?;
    /// loads.set("now", Load { calls: 12 })?;
    /// for said in loads.contributions("now") {
    ///     println!("{}: {} calls", said.node, said.value.calls);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn custom_per_origin<T>(&self, namespace: &str) -> Result<Space<T>, KeyError>
    where
        T: StateValue + Serialize + DeserializeOwned,
    {
        let kind = Kind::custom(SpaceId::CUSTOM_PER_ORIGIN, &namespace.parse()?);
        Ok(Space::new(self.inner.shared.clone(), kind))
    }

    /// Passing events: publishing them, and hearing of those of others.
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// use presence_mesh::Event;
    /// mesh.events().publish(Event::new("call.parked").with("slot", 701))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn events(&self) -> Events {
        Events::new(self.inner.shared.clone())
    }

    /// This node's replica id.
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// assert!(mesh.id().to_string().starts_with("12D3KooW"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn id(&self) -> ReplicaId {
        self.inner.shared.read(|replica, _| replica.id())
    }

    /// This node's life. Changes once at most, when an earlier life turns out to have a greater one.
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// assert!(mesh.incarnation() > presence_mesh::Incarnation::default());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn incarnation(&self) -> Incarnation {
        self.inner.shared.read(|replica, _| replica.incarnation())
    }

    /// The mesh's name.
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// assert_eq!(mesh.mesh_name(), "acme");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn mesh_name(&self) -> &str {
        &self.inner.mesh
    }

    /// This node's name.
    pub fn node(&self) -> &str {
        &self.inner.node
    }

    /// Where this node listens, each address good for another's `join`.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// # use presence_mesh::{Mesh, MeshKey};
    /// # let mesh = Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false).start().await?;
    /// let builder = || Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// let berlin = builder().listen("127.0.0.1:0")?.start().await?;
    /// let paris = builder().join(berlin.addresses())?.start().await?;
    /// paris.ready().await;
    /// # paris.leave().await;
    /// # berlin.leave().await;
    /// # mesh.leave().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn addresses(&self) -> &[String] {
        &self.inner.addresses
    }

    /// How this node is doing.
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// let status = mesh.status();
    /// println!("{} of {}: ready {}, {} peers", status.node, status.mesh, status.ready, status.peers_connected);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn status(&self) -> Status {
        let peers_connected = self
            .inner
            .shared
            .links()
            .values()
            .filter(|link| link.connected)
            .count();
        self.inner.shared.read_all(|replica, _| Status {
            mesh: self.inner.mesh.clone(),
            node: self.inner.node.clone(),
            replica: replica.id(),
            incarnation: replica.incarnation(),
            version: env!("CARGO_PKG_VERSION"),
            ready: replica.is_ready(),
            peers_connected,
            entries: SpaceId::VISIBLE
                .map(|space| (space, replica.count(space)))
                .into(),
            digest: replica.digest(),
        })
    }

    /// The other nodes, ordered by name: those of the mesh's state, gone ones included until they are
    /// forgotten, and those only connected so far.
    pub fn peers(&self) -> Vec<Peer> {
        peers::list(&self.inner.shared)
    }

    /// Tells who comes, falls silent, returns and goes: first of everyone who is there now.
    ///
    /// ```no_run
    /// # async fn example(mesh: presence_mesh::Mesh) {
    /// use presence_mesh::PeerChange;
    /// let mut peers = mesh.watch_peers();
    /// while let Some(change) = peers.next().await { // ends when this node leaves
    ///     match change {
    ///         PeerChange::Joined(peer) => println!("{} is there", peer.node),
    ///         PeerChange::Departed { peer, why } => println!("{} is gone: {why:?}", peer.node),
    ///         _ => {}
    ///     }
    /// }
    /// # }
    /// ```
    pub fn watch_peers(&self) -> PeerWatcher {
        PeerWatcher::new(self.inner.shared.clone())
    }

    /// Asks every node to answer, and tells who did and how quickly. Whoever answers was alive when it was asked:
    /// the node itself answers, not only its machine.
    ///
    /// Takes 2 s at most, and as long as that only when somebody who is connected does not answer. Nodes that have
    /// left are not asked. Cancel safe: dropped half-way, nothing was changed.
    ///
    /// ```no_run
    /// # async fn example(mesh: presence_mesh::Mesh) {
    /// for pong in mesh.ping().await {
    ///     match pong.rtt {
    ///         Some(rtt) => println!("{} answered in {rtt:?}", pong.node),
    ///         None => println!("{} is silent", pong.node),
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn ping(&self) -> Vec<Pong> {
        ping::ping(&self.inner.shared).await
    }

    /// Sets (`Some`) or removes (`None`) a fact about this node that all others see in [`Mesh::peers`].
    ///
    /// # Errors
    /// When the attribute is too long, there are too many, or nothing can be written. Nothing is changed then.
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// mesh.set_attribute("floor", Some("3"))?;
    /// mesh.set_attribute("floor", None)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_attribute(&self, name: &str, text: Option<&str>) -> Result<(), SetAttributeError> {
        self.inner
            .shared
            .with(|replica, now| replica.set_attribute(name, text, now))??;
        Ok(())
    }

    /// Says that the far end of `source` has been silent for that long (`Some`): its entries are shown stale
    /// everywhere, with their age; or that it answers again (`None`).
    ///
    /// # Errors
    /// When nothing can be written.
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// use presence_mesh::{DeviceState, Freshness, Source};
    /// use std::time::Duration;
    /// let doors = mesh.devices().with_source(Source(64));
    /// doors.set("door", DeviceState::InUse)?;
    /// mesh.mark_source(Source(64), Some(Duration::from_secs(4)))?; // the far end does not answer
    /// assert_eq!(doors.get("door").map(|door| door.freshness), Some(Freshness::Stale));
    /// mesh.mark_source(Source(64), None)?;
    /// assert_eq!(doors.get("door").map(|door| door.freshness), Some(Freshness::Live));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn mark_source(
        &self,
        source: Source,
        silent_for: Option<Duration>,
    ) -> Result<(), WriteError> {
        self.inner
            .shared
            .with(|replica, now| replica.mark_source(source, silent_for, now))
    }

    /// Says that all this node had to say at its start is said: what is left of its earlier life is dropped
    /// everywhere. Happens by itself 2 s after the start.
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// use presence_mesh::DeviceState;
    /// mesh.devices().replace_all([("PJSIP/100", DeviceState::InUse)])?; // all that there is
    /// mesh.settle();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn settle(&self) {
        self.inner.shared.with(|replica, now| replica.settle(now));
    }

    /// The root of the store: equal digests mean equal stores.
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// let before = mesh.digest();
    /// mesh.devices().set("PJSIP/100", presence_mesh::DeviceState::InUse)?;
    /// assert_ne!(mesh.digest(), before);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn digest(&self) -> Digest {
        self.inner.shared.read(|replica, _| replica.digest())
    }

    /// Whether the first exchange with a peer is done, or there was no peer for 5 s.
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// if !mesh.is_ready() {
    ///     println!("what others know may be missing still");
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_ready(&self) -> bool {
        self.inner.shared.read(|replica, _| replica.is_ready())
    }

    /// Resolves when [`Mesh::is_ready`]. Cancel safe.
    ///
    /// ```no_run
    /// # async fn example(mesh: presence_mesh::Mesh) {
    /// mesh.ready().await; // 5 s for the first node of all
    /// println!("{} lamps", mesh.devices().count());
    /// # }
    /// ```
    pub async fn ready(&self) {
        let mut ready = self.inner.shared.watch_ready();
        // The sender lives in `shared`, which we hold: it cannot be closed.
        let _ = ready.wait_for(|ready| *ready).await;
    }

    /// What this node has done since its start.
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// mesh.devices().set("PJSIP/100", presence_mesh::DeviceState::InUse)?;
    /// assert_eq!(mesh.counters().local_writes, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn counters(&self) -> Counters {
        self.inner
            .shared
            .read(|replica, _| replica.counters().clone())
    }

    /// How this node is doing, in numbers. Cheap: it looks at each origin, and at no key.
    ///
    /// ```no_run
    /// # fn example(mesh: presence_mesh::Mesh) {
    /// use presence_mesh::{Freshness, SpaceId};
    /// let statistics = mesh.statistics();
    /// let stale = statistics.replica.entries[&(SpaceId::DEVICES, Freshness::Stale)];
    /// println!("{stale} lamps are stale, {} connections", statistics.peers_connected);
    /// # }
    /// ```
    pub fn statistics(&self) -> Statistics {
        statistics::of(self)
    }

    /// Appends what libp2p counts, as OpenMetrics text without its end.
    #[cfg(feature = "metrics")]
    pub(crate) fn encode_libp2p(&self, text: &mut String) -> std::fmt::Result {
        match self.inner.shared.registry() {
            Some(registry) => prometheus_client::encoding::text::encode_registry(text, registry),
            None => Ok(()),
        }
    }

    /// What this node's network layer has done since its start.
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// assert_eq!(mesh.net_counters().connections, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn net_counters(&self) -> NetCounters {
        self.inner.shared.net_counters()
    }

    /// Looks at the state machine itself, as the simulator's checkers do. The node waits meanwhile.
    ///
    /// For `simulations/real-stack`: no part of the API.
    #[cfg(feature = "faults")]
    #[doc(hidden)]
    pub fn inspect<R>(&self, look: impl FnOnce(&crate::proto::Replica) -> R) -> R {
        self.inner.shared.with(|replica, _| {
            replica.catch_up();
            look(replica)
        })
    }

    /// Resolves once the network's task has taken a turn: `false` when it has ended. A watchdog asks this: a task
    /// that is stuck never answers. Cancel safe.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// # use presence_mesh::{Mesh, MeshKey};
    /// # let mesh = Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false).start().await?;
    /// assert!(mesh.responds().await);
    /// # mesh.leave().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn responds(&self) -> bool {
        let (done, answered) = oneshot::channel();
        let commands = self.inner.shared.commands();
        commands.send(Command::Respond(done)).await.is_ok() && answered.await.is_ok()
    }

    /// Closes the connections of a replica and refuses it from now on, until this node restarts.
    ///
    /// Not cancel safe: dropped half-way, it may not have happened.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// # use presence_mesh::{Mesh, MeshKey};
    /// # let mesh = Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false).start().await?;
    /// let stranger = presence_mesh::ReplicaId::from_public_key([9; 32]);
    /// mesh.ban(stranger).await;
    /// # mesh.leave().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn ban(&self, replica: ReplicaId) {
        // A driver that has ended has no connections left.
        let _ = self
            .inner
            .shared
            .commands()
            .send(Command::Ban(replica))
            .await;
    }

    /// Leaves the mesh: the others see this node gone at once. Returns when the goodbye is sent, all connections
    /// are closed and everything is saved; calling it again returns at once. Writes are refused afterwards.
    ///
    /// Dropping the future half-way does not stop the node from leaving.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// # use presence_mesh::{Mesh, MeshKey};
    /// # let mesh = Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false).start().await?;
    /// mesh.leave().await;
    /// assert!(mesh.devices().set("PJSIP/100", presence_mesh::DeviceState::InUse).is_err());
    /// # mesh.leave().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn leave(&self) {
        self.inner.invites.close();
        let (done, left) = oneshot::channel();
        if self
            .inner
            .shared
            .commands()
            .send(Command::Leave(done))
            .await
            .is_ok()
        {
            // The driver drops the sender when it ends, which is just as good an answer.
            let _ = left.await;
        }
        #[cfg(feature = "persist")]
        if let Some(keeper) = &self.inner.keeper {
            keeper.close().await;
        }
    }

    /// Resolves when everything this node has written and learnt is on disk. Without this call that is so within
    /// a second. Cancel safe.
    ///
    /// # Errors
    /// When the node keeps nothing ([`MeshBuilder::persist`](crate::MeshBuilder::persist)), has left, or the disk
    /// does not take it; the attempts go on then.
    ///
    /// ```no_run
    /// # async fn example(mesh: presence_mesh::Mesh) -> Result<(), Box<dyn std::error::Error>> {
    /// mesh.mailboxes().set("100", presence_mesh::MessageCounts::new(3, 1))?;
    /// mesh.flush().await?; // on disk, synced
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "persist")]
    pub async fn flush(&self) -> Result<(), crate::SaveError> {
        match &self.inner.keeper {
            Some(keeper) => keeper.flush().await,
            None => Err(crate::SaveError::NotKept),
        }
    }

    /// How saving is going; `None` when the node keeps nothing.
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking};
    /// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
    /// # let node = blocking::Mesh::start(builder)?;
    /// # let mesh = node.handle();
    /// assert_eq!(mesh.save_status(), None, "it was built without `persist`");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "persist")]
    pub fn save_status(&self) -> Option<crate::SaveStatus> {
        self.inner.keeper.as_ref().map(|keeper| keeper.status())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.driver.abort();
        self.invites.close();
        self.shared.stop();
    }
}
