//! The handle on a node that runs on a thread of its own.

use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::events::Events;
use super::follow::Follow;
use super::park;
use super::space::Space;
use crate::config::MeshBuilder;
use crate::error::{SetAttributeError, StartError};
use crate::mesh::{Peer, Pong, Status};
use crate::model::{DeviceState, KeyError, MessageCounts, Presence, ReplicaId};
use crate::space::StateValue;
use crate::wire::Digest;

/// Tells what becomes of the other nodes; see [`crate::PeerWatcher`].
///
/// An iterator whose `next` waits; also [`next_timeout`](Follow::next_timeout),
/// [`try_next`](Follow::try_next) and [`try_iter`](Follow::try_iter).
///
/// ```
/// # use presence_mesh::{MeshKey, blocking::{Mesh, PeerWatcher}};
/// # let mesh = Mesh::start(Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false))?;
/// let mut peers: PeerWatcher = mesh.watch_peers();
/// assert!(peers.try_next().is_none(), "nobody else is there");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type PeerWatcher = Follow<crate::PeerWatcher>;

/// A node of a mesh, for programs without tokio.
///
/// Cheap to clone; all clones are the same node. When the last one is dropped without [`Mesh::leave`], the
/// node ends and the others find out by its silence.
///
/// ```
/// use presence_mesh::blocking::Mesh;
/// use presence_mesh::{DeviceState, Event, MeshKey, MessageCounts, Presence, PresenceStatus, ReplicaId};
/// use std::time::Duration;
///
/// let builder = Mesh::builder("acme").node("berlin").key(MeshKey::from_bytes([7; 32])).mdns(false);
/// let mesh = Mesh::start(builder)?;
/// mesh.devices().set("PJSIP/100", DeviceState::InUse)?;
/// mesh.mailboxes().set("100", MessageCounts::new(3, 1))?;
/// mesh.presence().set("alice", Presence::new(PresenceStatus::Dnd))?;
/// mesh.custom::<u32>("queues")?.set("sales", 3)?;
/// mesh.custom_per_origin::<u32>("load")?.set("now", 12)?;
/// mesh.set_attribute("floor", Some("3"))?;
/// mesh.events().publish(Event::new("call.parked").with("slot", 701))?;
/// println!("{} at {:?}, {}", mesh.id(), mesh.addresses(), mesh.digest());
/// assert_eq!(mesh.status().peers_connected, mesh.peers().len());
/// if !mesh.ready(Duration::ZERO) {
///     println!("what others know may be missing still");
/// }
/// mesh.ban(ReplicaId::from_public_key([9; 32]));
/// assert!(mesh.handle().counters().local_writes >= 5);
/// mesh.leave();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "the node ends with its last handle"]
pub struct Mesh {
    // Dropped before the thread that it runs on.
    mesh: crate::Mesh,
    node: Arc<Node>,
}

/// The thread that runs the node.
#[derive(Debug)]
struct Node {
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Mesh {
    /// Begins to describe a node of the mesh called `name`: the same as [`crate::Mesh::builder`].
    pub fn builder(name: impl Into<String>) -> MeshBuilder {
        crate::Mesh::builder(name)
    }

    /// Starts the node on a thread of its own. Returns when it listens; never waits for a join and never fails
    /// because of one.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left running then.
    pub fn start(builder: MeshBuilder) -> Result<Self, StartError> {
        let (report, started) = mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("presence-mesh".into())
            .spawn(move || run(builder, &report, stopped))
            .map_err(|error| StartError::Network(format!("no thread for it: {error}")))?;
        let (mesh, runtime) = started
            .recv()
            .unwrap_or_else(|_| Err(StartError::Network("its thread has ended".into())))?;
        let node = Arc::new(Node {
            runtime,
            stop: Some(stop),
            thread: Some(thread),
        });
        Ok(Self { mesh, node })
    }

    /// The states of devices.
    pub fn devices(&self) -> Space<DeviceState> {
        Space::new(self.mesh.devices())
    }

    /// The message counts of mailboxes.
    pub fn mailboxes(&self) -> Space<MessageCounts> {
        Space::new(self.mesh.mailboxes())
    }

    /// What people say of being reachable.
    pub fn presence(&self) -> Space<Presence> {
        Space::new(self.mesh.presence())
    }

    /// Values of a type of your own, the latest writer's; see [`crate::Mesh::custom`].
    ///
    /// # Errors
    /// When `namespace` is not a [`Namespace`](crate::Namespace).
    pub fn custom<T>(&self, namespace: &str) -> Result<Space<T>, KeyError>
    where
        T: StateValue + Serialize + DeserializeOwned,
    {
        Ok(Space::new(self.mesh.custom(namespace)?))
    }

    /// Values of a type of your own, each node's apart; see [`crate::Mesh::custom_per_origin`].
    ///
    /// # Errors
    /// As [`Mesh::custom`].
    pub fn custom_per_origin<T>(&self, namespace: &str) -> Result<Space<T>, KeyError>
    where
        T: StateValue + Serialize + DeserializeOwned,
    {
        Ok(Space::new(self.mesh.custom_per_origin(namespace)?))
    }

    /// Passing events: publishing them, and hearing of those of others.
    pub fn events(&self) -> Events {
        Events::new(self.mesh.events())
    }

    /// This node's replica id.
    pub fn id(&self) -> ReplicaId {
        self.mesh.id()
    }

    /// Where this node listens, each address good for another's `join`.
    pub fn addresses(&self) -> &[String] {
        self.mesh.addresses()
    }

    /// How this node is doing.
    pub fn status(&self) -> Status {
        self.mesh.status()
    }

    /// The other nodes; see [`crate::Mesh::peers`].
    pub fn peers(&self) -> Vec<Peer> {
        self.mesh.peers()
    }

    /// Asks every node to answer, and waits for that, 2 s at most; see [`crate::Mesh::ping`].
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking::Mesh};
    /// # let mesh = Mesh::start(Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false))?;
    /// for pong in mesh.ping() {
    ///     println!("{}: {:?}", pong.node, pong.rtt);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ping(&self) -> Vec<Pong> {
        self.wait(self.mesh.ping())
    }

    /// Tells who comes, falls silent, returns and goes: first of everyone who is there now; see
    /// [`crate::Mesh::watch_peers`].
    ///
    /// ```no_run
    /// # fn example(mesh: presence_mesh::blocking::Mesh) {
    /// for change in mesh.watch_peers() { // ends when this node leaves
    ///     println!("{change:?}");
    /// }
    /// # }
    /// ```
    pub fn watch_peers(&self) -> PeerWatcher {
        Follow::new(self.mesh.watch_peers())
    }

    /// Sets (`Some`) or removes (`None`) a fact about this node that all others see in [`Mesh::peers`].
    ///
    /// # Errors
    /// As [`crate::Mesh::set_attribute`].
    pub fn set_attribute(&self, name: &str, text: Option<&str>) -> Result<(), SetAttributeError> {
        self.mesh.set_attribute(name, text)
    }

    /// The root of the store: equal digests mean equal stores.
    pub fn digest(&self) -> Digest {
        self.mesh.digest()
    }

    /// Waits until the first exchange with a peer is done, or there was no peer for 5 s; at most `within`.
    /// Says whether it is so.
    pub fn ready(&self, within: Duration) -> bool {
        match Instant::now().checked_add(within) {
            Some(deadline) => park::wait_until(self.mesh.ready(), deadline).is_some(),
            None => {
                park::wait(self.mesh.ready());
                true
            }
        }
    }

    /// Closes the connections of a replica and refuses it from now on, until this node restarts.
    pub fn ban(&self, replica: ReplicaId) {
        self.wait(self.mesh.ban(replica));
    }

    /// Leaves the mesh: the others see this node gone at once. Returns when the goodbye is sent and all
    /// connections are closed; calling it again returns at once. Writes are refused afterwards.
    pub fn leave(&self) {
        self.wait(self.mesh.leave());
    }

    /// Waits until everything this node has written and learnt is on disk; see [`crate::Mesh::flush`].
    ///
    /// # Errors
    /// As [`crate::Mesh::flush`].
    ///
    /// ```no_run
    /// # fn example(mesh: presence_mesh::blocking::Mesh) -> Result<(), presence_mesh::SaveError> {
    /// mesh.flush()?; // on disk, synced
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "persist")]
    pub fn flush(&self) -> Result<(), crate::SaveError> {
        self.wait(self.mesh.flush())
    }

    /// How saving is going; `None` when the node keeps nothing.
    ///
    /// ```
    /// # use presence_mesh::{MeshKey, blocking::Mesh};
    /// # let mesh = Mesh::start(Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false))?;
    /// assert_eq!(mesh.save_status(), None, "it was built without `persist`");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "persist")]
    pub fn save_status(&self) -> Option<crate::SaveStatus> {
        self.mesh.save_status()
    }

    /// The node's asynchronous handle, for what this one lacks. Its futures need no runtime of the caller's.
    pub fn handle(&self) -> &crate::Mesh {
        &self.mesh
    }

    fn wait<F: Future>(&self, future: F) -> F::Output {
        // Timers of the future are those of the node's own runtime.
        let _context = self.node.runtime.enter();
        park::wait(future)
    }
}

/// What the node's thread does: start it, report, and run it until told to stop.
fn run(
    builder: MeshBuilder,
    report: &mpsc::SyncSender<Result<(crate::Mesh, Handle), StartError>>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = StartError::Network(format!("no runtime for it: {error}"));
            // Whoever starts it waits for this.
            let _ = report.send(Err(error));
            return;
        }
    };
    let started = runtime.block_on(builder.start());
    let failed = started.is_err();
    let _ = report.send(started.map(|mesh| (mesh, runtime.handle().clone())));
    if !failed {
        // Ends by the sender's being dropped, too.
        let _ = runtime.block_on(stopped);
    }
    // A name that is being looked up must not hold up the program.
    runtime.shutdown_background();
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            // It panicked if this is an error, and said so.
            let _ = thread.join();
        }
    }
}
