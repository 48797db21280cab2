//! Describing a node before it starts.

#[cfg(feature = "persist")]
mod keep;

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::KeyUseError;
use crate::mesh::Mesh;
use crate::model::{Incarnation, ReplicaId};
use crate::net::{self, AddressError, Clock, Invites, NetConfig, Shared, StartError};
use crate::proto::{self, Limits, Merge, Preset, Replica, Timing};
use crate::wire::{Identity, KeyFileError, MeshId, MeshKey};

/// Describes a node. Made by [`Mesh::builder`], ended by [`MeshBuilder::start`].
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use presence_mesh::{Merge, Mesh, Preset};
/// let mesh = Mesh::builder("acme") // meshes with other names never mix
///     .node("berlin") // shown to people
///     .key_file("mesh.key")? // the secret that all nodes share
///     .data_dir("/var/lib/presence-mesh")? // who this node is, over restarts
///     .listen("0.0.0.0:4747")?
///     .join(["paris.example.net:4747"])? // any one live node is enough
///     .preset(Preset::Wan)
///     .mailboxes(Merge::Sum)
///     .start()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a node runs only once it is started"]
pub struct MeshBuilder {
    mesh: String,
    node: Option<String>,
    key: Option<MeshKey>,
    identity: Option<Identity>,
    data_dir: Option<PathBuf>,
    #[cfg(feature = "persist")]
    persist: Option<PathBuf>,
    #[cfg(feature = "persist")]
    durable: bool,
    listen: Vec<String>,
    join: Vec<String>,
    mdns: bool,
    kad: bool,
    dial_members: bool,
    timing: Timing,
    limits: Limits,
    mailboxes: Merge,
    remember: Option<Duration>,
    allow: Vec<ReplicaId>,
    ban: Vec<ReplicaId>,
    #[cfg(feature = "faults")]
    links: Option<crate::net::Links>,
    #[cfg(feature = "faults")]
    clock: Option<crate::net::Substitute>,
}

impl MeshBuilder {
    pub(crate) fn new(mesh: String) -> Self {
        Self {
            mesh,
            node: None,
            key: None,
            identity: None,
            data_dir: None,
            #[cfg(feature = "persist")]
            persist: None,
            #[cfg(feature = "persist")]
            durable: false,
            listen: Vec::new(),
            join: Vec::new(),
            mdns: cfg!(feature = "mdns"),
            kad: false,
            dial_members: true,
            timing: Timing::default(),
            limits: Limits::default(),
            mailboxes: Merge::Latest,
            remember: None,
            allow: Vec::new(),
            ban: Vec::new(),
            #[cfg(feature = "faults")]
            links: None,
            #[cfg(feature = "faults")]
            clock: None,
        }
    }

    /// What people call this node. Default: the first characters of its replica id.
    pub fn node(mut self, name: impl Into<String>) -> Self {
        self.node = Some(name.into());
        self
    }

    /// The mesh's shared secret. Required, here or by [`MeshBuilder::key_file`].
    pub fn key(mut self, key: MeshKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Reads the mesh's shared secret from a file (see [`MeshKey::parse`]).
    ///
    /// # Errors
    /// When the file cannot be read, can be read by group or others, or holds no key.
    pub fn key_file(self, path: impl AsRef<Path>) -> Result<Self, KeyUseError> {
        let key = read_secret(path.as_ref(), MeshKey::parse)?;
        Ok(self.key(key))
    }

    /// Who this node is. Default: the identity in the data directory, or a new one for this life only.
    ///
    /// ```
    /// use presence_mesh::{Identity, Mesh};
    /// let identity = Identity::from_bytes([9; 32]); // of your own store of secrets
    /// let builder = Mesh::builder("acme").identity(identity);
    /// ```
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Reads this node's identity from a file; makes one, readable by the owner alone, when there is none.
    ///
    /// # Errors
    /// When the file cannot be read or made, can be read by group or others, or holds no identity.
    ///
    /// ```
    /// let folder = std::env::temp_dir().join(format!("presence-mesh-doc-{}", std::process::id()));
    /// std::fs::create_dir_all(&folder)?;
    /// let builder = presence_mesh::Mesh::builder("acme").identity_file(folder.join("identity.key"))?;
    /// assert!(folder.join("identity.key").exists());
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn identity_file(self, path: impl AsRef<Path>) -> Result<Self, KeyUseError> {
        let path = path.as_ref();
        let identity = match read_secret(path, Identity::parse) {
            Err(KeyUseError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let identity = new_identity();
                write_secret(path, &identity.to_text())?;
                identity
            }
            other => other?,
        };
        Ok(self.identity(identity))
    }

    /// Where this node keeps what must survive a restart for others to know it again: `identity.key` and the number
    /// of its last life. The folder is made when it is not there. What it knows is kept by `persist` alone.
    ///
    /// # Errors
    /// As [`MeshBuilder::identity_file`], unless an identity was given before.
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Result<Self, KeyUseError> {
        let path = path.into();
        let refused = |source| KeyUseError::Io {
            path: path.display().to_string(),
            source,
        };
        fs::create_dir_all(&path).map_err(refused)?;
        if self.identity.is_none() {
            self = self.identity_file(path.join("identity.key"))?;
        }
        self.data_dir = Some(path);
        Ok(self)
    }

    /// Keeps what this node says, and what it knows of others, in this file: after a restart its values are back
    /// under a new life, and those of others are shown at their age until they are heard. Default: nothing is kept.
    ///
    /// A process that dies loses at most its writes of the last second; see [`MeshBuilder::durable`] and
    /// [`Mesh::flush`]. A file that cannot be used is moved aside, and the node starts from its peers.
    ///
    /// ```no_run
    /// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
    /// let mesh = presence_mesh::Mesh::builder("acme")
    ///     .key_file("mesh.key")?
    ///     .data_dir("/var/lib/acme")?
    ///     .persist("/var/lib/acme/state.redb")
    ///     .start()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "persist")]
    pub fn persist(mut self, file: impl Into<PathBuf>) -> Self {
        self.persist = Some(file.into());
        self
    }

    /// Whether a write returns only when it is on disk, synced: some milliseconds each, spent in the caller's
    /// thread. While the disk takes nothing, a write returns when that is certain; [`Mesh::save_status`] tells.
    /// Default: no. Without [`MeshBuilder::persist`] it means nothing.
    ///
    /// ```no_run
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let builder = presence_mesh::Mesh::builder("acme")
    ///     .data_dir("/var/lib/acme")?
    ///     .persist("/var/lib/acme/state.redb")
    ///     .durable(true);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "persist")]
    pub fn durable(mut self, on: bool) -> Self {
        self.durable = on;
        self
    }

    /// Listens here too: `host:port`, or a multiaddr. Port 0 takes a free one. Without any, others cannot
    /// dial this node, but it can join them.
    ///
    /// # Errors
    /// When the text is no address.
    pub fn listen(mut self, address: impl AsRef<str>) -> Result<Self, AddressError> {
        self.listen
            .push(net::parse_listen_address(address.as_ref())?);
        Ok(self)
    }

    /// Joins at these addresses: `host:port`, or multiaddrs. Any one live node is enough; all are tried for
    /// ever.
    ///
    /// # Errors
    /// When a text is no address.
    pub fn join<A: AsRef<str>>(
        mut self,
        addresses: impl IntoIterator<Item = A>,
    ) -> Result<Self, AddressError> {
        for address in addresses {
            self.join.push(net::parse_join_address(address.as_ref())?);
        }
        Ok(self)
    }

    /// Whether to find others on the LAN by multicast DNS. Default: yes, with feature `mdns`.
    ///
    /// ```
    /// let builder = presence_mesh::Mesh::builder("acme").mdns(false);
    /// ```
    pub fn mdns(mut self, on: bool) -> Self {
        self.mdns = on;
        self
    }

    /// Whether to find others by a Kademlia DHT made of the nodes themselves. Default: no.
    ///
    /// ```
    /// let builder = presence_mesh::Mesh::builder("acme").kad(true);
    /// ```
    pub fn kad(mut self, on: bool) -> Self {
        self.kad = on;
        self
    }

    /// Whether to connect to nodes learnt from the mesh's state. Default: yes.
    ///
    /// ```
    /// let builder = presence_mesh::Mesh::builder("acme").dial_members(false); // the addresses to join are all
    /// ```
    pub fn dial_members(mut self, on: bool) -> Self {
        self.dial_members = on;
        self
    }

    /// Takes the timings of a preset. Default: [`Preset::Lan`].
    pub fn preset(self, preset: Preset) -> Self {
        self.timing(preset.timing())
    }

    /// Sets all timings.
    ///
    /// ```
    /// use presence_mesh::{Mesh, Preset};
    /// use std::time::Duration;
    /// let mut timing = Preset::Wan.timing();
    /// timing.gone_after = Duration::from_secs(60);
    /// let builder = Mesh::builder("acme").timing(timing);
    /// ```
    pub fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Sets all limits.
    ///
    /// ```
    /// use presence_mesh::{Limits, Mesh};
    /// let mut limits = Limits::default();
    /// limits.entries_per_origin = 10_000;
    /// let builder = Mesh::builder("acme").limits(limits);
    /// ```
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How several writers of one mailbox combine. Default: the latest writer decides.
    pub fn mailboxes(mut self, merge: Merge) -> Self {
        self.mailboxes = merge;
        self
    }

    /// Remembers events for so long, for those who join late or were cut off meanwhile; 0: not at all, which is
    /// the default. What is remembered is bounded by [`Limits::remembered_events`] and
    /// [`Limits::remembered_bytes`] too. Overrides [`Timing::remember`].
    ///
    /// ```
    /// use std::time::Duration;
    /// let builder = presence_mesh::Mesh::builder("acme").remember(Duration::from_secs(60));
    /// ```
    pub fn remember(mut self, span: Duration) -> Self {
        self.remember = Some(span);
        self
    }

    /// Lets only these replicas connect. Default: everyone who holds the key.
    ///
    /// ```
    /// let paris = presence_mesh::ReplicaId::from_public_key([9; 32]); // read from your configuration
    /// let builder = presence_mesh::Mesh::builder("acme").allow([paris]);
    /// ```
    pub fn allow(mut self, replicas: impl IntoIterator<Item = ReplicaId>) -> Self {
        self.allow.extend(replicas);
        self
    }

    /// Never lets these replicas connect.
    ///
    /// ```
    /// let stolen = presence_mesh::ReplicaId::from_public_key([9; 32]);
    /// let builder = presence_mesh::Mesh::builder("acme").ban([stolen]);
    /// ```
    pub fn ban(mut self, replicas: impl IntoIterator<Item = ReplicaId>) -> Self {
        self.ban.extend(replicas);
        self
    }

    /// Runs all connections of this node through `links`, which can cut, stall and delay them.
    ///
    /// ```
    /// let links = presence_mesh::Links::new();
    /// let builder = presence_mesh::Mesh::builder("acme").links(links.clone());
    /// ```
    #[cfg(feature = "faults")]
    pub fn links(mut self, links: crate::net::Links) -> Self {
        self.links = Some(links);
        self
    }

    /// Reads the time from `clock` instead of the machine's clocks: for virtual time, and for clocks that are
    /// wrong. `mono` may begin anywhere and must never go back.
    ///
    /// ```
    /// use presence_mesh::{Mesh, proto::Now};
    /// use std::time::{Duration, Instant};
    /// let start = Instant::now();
    /// // An hour ahead.
    /// let ahead = move || Now { mono: start.elapsed(), wall_ms: 1_767_225_600_000 + 3_600_000 };
    /// let builder = Mesh::builder("acme").clock(ahead);
    /// ```
    #[cfg(feature = "faults")]
    pub fn clock(mut self, clock: impl Fn() -> proto::Now + Send + Sync + 'static) -> Self {
        self.clock = Some(crate::net::Substitute::new(clock));
        self
    }

    /// Starts the node. Resolves when it listens; never waits for a join and never fails because of one.
    ///
    /// Must be called within a tokio runtime. Dropping the future half-way starts nothing.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left running then.
    pub async fn start(self) -> Result<Mesh, StartError> {
        let key = self.key.ok_or(StartError::NoKey)?;
        self.timing.check()?;
        check_name("mesh", &self.mesh)?;
        let identity = self.identity.unwrap_or_else(new_identity);
        let node = self
            .node
            .unwrap_or_else(|| format!("{:?}", identity.replica()));
        check_name("node", &node)?;

        #[cfg(feature = "faults")]
        let clock = self.clock.map_or_else(Clock::start, Clock::start_on);
        #[cfg(not(feature = "faults"))]
        let clock = Clock::start();
        let mesh_id = MeshId::derive(&key, &self.mesh);
        let mut incarnations = IncarnationFile::open(self.data_dir.as_deref())?;
        #[cfg(feature = "persist")]
        let kept = keep::open(self.persist, identity.replica(), mesh_id).await?;
        #[cfg(feature = "persist")]
        let (incarnation_floor, hlc_floor) =
            (kept.incarnation().max(incarnations.floor), kept.hlc());
        #[cfg(not(feature = "persist"))]
        let (incarnation_floor, hlc_floor) = (incarnations.floor, crate::crdt::Hlc::ZERO);
        let config = proto::Config {
            mesh: mesh_id,
            node: node.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            timing: Timing {
                remember: self.remember.unwrap_or(self.timing.remember),
                ..self.timing
            },
            limits: self.limits,
            mailboxes: self.mailboxes,
            incarnation_floor,
            hlc_floor,
            seed: u64::from_le_bytes(random_bytes()),
        };
        #[cfg_attr(not(feature = "persist"), allow(unused_mut))]
        let mut replica = Replica::new(config, identity.clone(), clock.now());
        incarnations.save(replica.incarnation())?;
        #[cfg(feature = "persist")]
        let kept = kept.restore(&mut replica, clock.now());
        let (shared, commands) = Shared::new(replica, clock);
        #[cfg(feature = "persist")]
        let keeper = kept.keep(&shared, self.durable).await?;
        let invites = Invites::new(key.clone(), identity.clone());
        let config = NetConfig {
            key,
            mesh: self.mesh.clone(),
            identity,
            listen: self.listen,
            join: self.join,
            mdns: self.mdns,
            kad: self.kad,
            dial_members: self.dial_members,
            allow: self.allow,
            ban: self.ban,
            invites: invites.clone(),
            seed: u64::from_le_bytes(random_bytes()),
            #[cfg(feature = "faults")]
            links: self.links,
        };
        let (addresses, driver) = net::start(config, shared.clone(), commands).await?;
        let mesh = Mesh::new(shared, (self.mesh, node), addresses, driver, invites);
        #[cfg(feature = "persist")]
        let mesh = mesh.kept_by(keeper);
        Ok(mesh)
    }
}

/// Names are shown in tables, logs and pages, and must fit there.
fn check_name(what: &'static str, name: &str) -> Result<(), StartError> {
    let fits = !name.is_empty() && name.len() <= 63 && !name.chars().any(char::is_control);
    if fits {
        Ok(())
    } else {
        Err(StartError::Name {
            what,
            bytes: name.len(),
        })
    }
}

/// The last incarnation, kept in the data directory so that the next life is above it even if the clock was
/// set back meanwhile. Beside the saved state, and not only in it: this one is there without feature `persist`,
/// and when that file had to be moved aside.
struct IncarnationFile {
    path: Option<PathBuf>,
    floor: Incarnation,
}

impl IncarnationFile {
    fn open(data_dir: Option<&Path>) -> Result<Self, StartError> {
        let Some(path) = data_dir.map(|dir| dir.join("incarnation")) else {
            return Ok(Self {
                path: None,
                floor: Incarnation::default(),
            });
        };
        let floor = match fs::read_to_string(&path) {
            // A torn file is no reason not to start: the clock alone nearly always suffices, and peers that
            // remember a greater incarnation make us jump above it.
            Ok(text) => Incarnation(text.trim().parse().unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Incarnation::default(),
            Err(source) => {
                return Err(StartError::File {
                    path: path.display().to_string(),
                    source,
                });
            }
        };
        Ok(Self {
            path: Some(path),
            floor,
        })
    }

    fn save(&mut self, incarnation: Incarnation) -> Result<(), StartError> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        let refused = |source| StartError::File {
            path: path.display().to_string(),
            source,
        };
        let new = path.with_extension("new");
        fs::write(&new, format!("{incarnation}\n")).map_err(refused)?;
        fs::rename(&new, path).map_err(refused)
    }
}

fn new_identity() -> Identity {
    Identity::from_bytes(random_bytes())
}

pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has random numbers");
    bytes
}

fn read_secret<T>(
    path: &Path,
    parse: impl Fn(&str) -> Result<T, KeyFileError>,
) -> Result<T, KeyUseError> {
    let name = || path.display().to_string();
    let refused = |source| KeyUseError::Io {
        path: name(),
        source,
    };
    let mode = fs::metadata(path).map_err(refused)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyUseError::Permissions { path: name(), mode });
    }
    let text = fs::read_to_string(path).map_err(refused)?;
    parse(&text).map_err(|source| KeyUseError::Content {
        path: name(),
        source,
    })
}

/// Writes a file that only its owner can read; fails when it exists.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<(), KeyUseError> {
    let refused = |source| KeyUseError::Io {
        path: path.display().to_string(),
        source,
    };
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(refused)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(refused)
}
