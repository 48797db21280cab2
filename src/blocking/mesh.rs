//! The handle on a node that runs on a thread of its own.

use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::events::Events;
use super::park;
use super::space::Space;
use crate::config::MeshBuilder;
use crate::error::{SetAttributeError, StartError};
use crate::mesh::{Peer, Status};
use crate::model::{DeviceState, KeyError, MessageCounts, Presence, ReplicaId};
use crate::space::StateValue;
use crate::wire::Digest;

/// A node of a mesh, for programs without tokio.
///
/// Cheap to clone; all clones are the same node. When the last one is dropped without [`Mesh::leave`], the
/// node ends and the others find out by its silence.
#[derive(Debug, Clone)]
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
