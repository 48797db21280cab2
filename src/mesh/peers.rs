//! The other nodes, and what becomes of them.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::Stream;
use tokio::sync::watch;

use crate::model::{Incarnation, ReplicaId};
use crate::net::{FoundBy, Shared};
use crate::proto::Standing;

/// Another node.
///
/// ```
/// # use presence_mesh::{MeshKey, blocking};
/// # let builder = blocking::Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false);
/// # let node = blocking::Mesh::start(builder)?;
/// # let mesh = node.handle();
/// for peer in mesh.peers() {
///     println!("{} {} connected {}, {} entries", peer.node, peer.standing, peer.connected, peer.entries);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// Its replica id.
    pub replica: ReplicaId,
    /// Its life, as far as known; 0 when only its connection is.
    pub incarnation: Incarnation,
    /// What people call it; its replica id until its record has arrived.
    pub node: String,
    /// The version of its program; empty until its record has arrived.
    pub version: String,
    /// Whether there is a connection to it.
    pub connected: bool,
    /// How far it is believed.
    pub standing: Standing,
    /// Whether it is gone because it said so.
    pub left: bool,
    /// How long ago it was last known alive; `None` when never.
    pub age: Option<Duration>,
    /// The round trip to it, when it is connected and measured.
    pub rtt: Option<Duration>,
    /// Its wall clock less ours, in ms.
    pub clock_skew_ms: Option<i64>,
    /// Where it can be dialled.
    pub addresses: Vec<String>,
    /// How it was found first.
    pub found_by: FoundBy,
    /// Facts it says about itself.
    pub attributes: BTreeMap<String, String>,
    /// How many keys it has given a value.
    pub entries: usize,
}

/// What became of another node.
///
/// Told by looking at how things stand: what came and passed between two looks is not told, the outcome is.
///
/// ```
/// use presence_mesh::PeerChange;
/// fn told(change: &PeerChange) -> String {
///     match change {
///         PeerChange::Joined(peer) => format!("{} is there", peer.node),
///         PeerChange::Suspected(peer) => format!("{} is silent", peer.node),
///         PeerChange::Returned(peer) => format!("{} is back", peer.node),
///         PeerChange::Departed { peer, why } => format!("{} is gone: {why:?}", peer.node),
///         other => format!("{other:?}"),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerChange {
    /// It is there. Told first of everyone who is, the silent ones included.
    Joined(Peer),
    /// It has been silent for `stale_after`: what it says is shown stale.
    Suspected(Peer),
    /// It is heard again, or began a new life.
    Returned(Peer),
    /// It is gone.
    Departed {
        /// As it was known last.
        peer: Peer,
        /// Why it is taken as gone.
        why: Departure,
    },
    /// It says other things of itself, or its connection came or went.
    Updated(Peer),
}

/// Why a node is taken as gone.
///
/// ```
/// use presence_mesh::Departure;
/// let alarm = |why: Departure| why != Departure::Left;
/// assert!(alarm(Departure::Silent) && !alarm(Departure::Left));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Departure {
    /// It said goodbye.
    Left,
    /// It has been silent for `gone_after`.
    Silent,
    /// It was gone for `forget_after`: nothing of it is shown any more.
    Forgotten,
}

/// Tells what becomes of the other nodes.
///
/// A slow watcher never slows the node: what waits is at most one change for each peer, as of its last look.
///
/// ```
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// # use presence_mesh::{Mesh, MeshKey};
/// # let mesh = Mesh::builder("acme").key(MeshKey::from_bytes([7; 32])).mdns(false).start().await?;
/// let mut peers = mesh.watch_peers();
/// while peers.changed().await.is_some() { // at once the first time
///     println!("{} others", mesh.peers().len());
/// #   break;
/// }
/// # mesh.leave().await;
/// assert_eq!(peers.next().await, None, "the node has left");
/// # mesh.leave().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "it does nothing unless changes are taken"]
pub struct PeerWatcher {
    changes: watch::Receiver<u64>,
    /// Waits for the next look.
    look: Option<Look>,
    shared: Arc<Shared>,
    told: Told,
    waiting: VecDeque<PeerChange>,
}

/// Resolves with the receiver when something changed, or with none when nothing will any more.
type Look = Pin<Box<dyn Future<Output = Option<watch::Receiver<u64>>> + Send + Sync>>;

impl PeerWatcher {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let mut changes = shared.watch_peers();
        changes.mark_changed();
        Self {
            changes,
            look: None,
            shared,
            told: Told::default(),
            waiting: VecDeque::new(),
        }
    }

    /// The next change; `None` when this node has left. Cancel safe: dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<PeerChange> {
        std::future::poll_fn(|context| self.poll_change(context)).await
    }

    fn poll_change(&mut self, context: &mut Context<'_>) -> Poll<Option<PeerChange>> {
        loop {
            if let Some(change) = self.waiting.pop_front() {
                return Poll::Ready(Some(change));
            }
            let look = self.look.get_or_insert_with(|| {
                let mut changes = self.changes.clone();
                Box::pin(async move { changes.changed().await.ok().map(|()| changes) })
            });
            let Some(changes) = ready!(look.as_mut().poll(context)) else {
                return Poll::Ready(None);
            };
            self.look = None;
            self.changes = changes;
            if self.shared.is_stopped() {
                return Poll::Ready(None);
            }
            self.waiting = self.told.tell(list(&self.shared)).into();
        }
    }

    /// Resolves at once the first time, then whenever anything about the peers may have changed, round trips
    /// included: read [`Mesh::peers`](crate::Mesh::peers) then. `None` when this node has left. Cancel safe.
    ///
    /// For who wants the whole list anew each time. What this takes, [`PeerWatcher::next`] waits for anew.
    pub async fn changed(&mut self) -> Option<()> {
        self.changes.changed().await.ok()?;
        (!self.shared.is_stopped()).then_some(())
    }
}

impl Stream for PeerWatcher {
    type Item = PeerChange;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<PeerChange>> {
        self.poll_change(context)
    }
}

impl fmt::Debug for PeerWatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerWatcher")
            .field("told", &self.told)
            .field("waiting", &self.waiting)
            .finish_non_exhaustive()
    }
}

/// What a watcher has been told.
#[derive(Debug, Default)]
struct Told {
    peers: BTreeMap<ReplicaId, Peer>,
    begun: bool,
}

impl Told {
    /// What is to be told now that these are the peers.
    fn tell(&mut self, peers: Vec<Peer>) -> Vec<PeerChange> {
        let first = !std::mem::replace(&mut self.begun, true);
        let mut before = std::mem::take(&mut self.peers);
        let mut changes = Vec::new();
        for peer in peers {
            let old = before.remove(&peer.replica);
            let (known, change) = step(old, peer, first);
            if let Some(known) = known {
                self.peers.insert(known.replica, known);
            }
            changes.extend(change);
        }
        changes.extend(before.into_values().map(|peer| PeerChange::Departed {
            peer,
            why: Departure::Forgotten,
        }));
        changes
    }
}

/// How a peer is known from now on, and what is to be told of it.
fn step(old: Option<Peer>, new: Peer, first: bool) -> (Option<Peer>, Option<PeerChange>) {
    let alive = new.standing == Standing::Alive;
    let Some(old) = old else {
        // Connected only, or heard of and not proved to be alive: who it is will be known in a moment.
        let here = new.incarnation != Incarnation::default() && (alive || first);
        return if here && new.standing != Standing::Gone {
            (Some(new.clone()), Some(PeerChange::Joined(new)))
        } else {
            (None, None)
        };
    };
    let new_life = new.incarnation > old.incarnation;
    let change = match (old.standing, new.standing) {
        (Standing::Alive, Standing::Alive) if new_life => PeerChange::Returned(new.clone()),
        (Standing::Alive, Standing::Suspect) => PeerChange::Suspected(new.clone()),
        (Standing::Suspect | Standing::Gone, Standing::Alive) => PeerChange::Returned(new.clone()),
        // A new life that is not proved yet.
        (Standing::Gone, Standing::Suspect) => return (Some(old), None),
        (Standing::Alive | Standing::Suspect, Standing::Gone) => PeerChange::Departed {
            peer: new.clone(),
            why: if new.left {
                Departure::Left
            } else {
                Departure::Silent
            },
        },
        _ if differs(&old, &new) => PeerChange::Updated(new.clone()),
        _ => return (Some(new), None),
    };
    (Some(new), Some(change))
}

/// Whether something worth telling differs; ages, skews and round trips always do.
fn differs(old: &Peer, new: &Peer) -> bool {
    let said = |peer: &Peer| {
        (
            peer.incarnation,
            peer.node.clone(),
            peer.version.clone(),
            peer.connected,
            peer.addresses.clone(),
            peer.attributes.clone(),
        )
    };
    said(old) != said(new)
}

/// All other nodes, ordered by name.
pub(super) fn list(shared: &Shared) -> Vec<Peer> {
    let members = shared.read(|replica, now| replica.members(now));
    let mut links = shared.links().clone();
    let mut peers: Vec<Peer> = Vec::with_capacity(members.len());
    for member in members {
        let link = links.remove(&member.replica);
        let record = member.record.unwrap_or_default();
        let mut addresses = record.addresses;
        if addresses.is_empty() {
            addresses = link
                .as_ref()
                .map(|link| link.addresses.clone())
                .unwrap_or_default();
        }
        peers.push(Peer {
            replica: member.replica,
            incarnation: member.incarnation,
            node: if record.name.is_empty() {
                member.replica.to_string()
            } else {
                record.name
            },
            version: record.version,
            connected: link.as_ref().is_some_and(|link| link.connected),
            standing: member.standing,
            left: member.left,
            age: member.age,
            rtt: link.as_ref().and_then(|link| link.rtt),
            clock_skew_ms: member.clock_skew_ms,
            addresses,
            found_by: link.map_or(FoundBy::Member, |link| link.found_by),
            attributes: record.attributes,
            entries: member.entries,
        });
    }
    // Connected, but nothing it wrote has arrived yet.
    peers.extend(
        links
            .into_iter()
            .filter(|(_, link)| link.connected)
            .map(|(replica, link)| Peer {
                replica,
                incarnation: Incarnation::default(),
                node: replica.to_string(),
                version: String::new(),
                connected: true,
                standing: Standing::Alive,
                left: false,
                age: None,
                rtt: link.rtt,
                clock_skew_ms: None,
                addresses: link.addresses,
                found_by: link.found_by,
                attributes: BTreeMap::new(),
                entries: 0,
            }),
    );
    peers.sort_by(|a, b| (&a.node, a.replica).cmp(&(&b.node, b.replica)));
    peers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8, standing: Standing) -> Peer {
        Peer {
            replica: ReplicaId::from_public_key([number; 32]),
            incarnation: Incarnation(1),
            node: format!("n{number}"),
            version: String::new(),
            connected: true,
            standing,
            left: false,
            age: None,
            rtt: None,
            clock_skew_ms: None,
            addresses: Vec::new(),
            found_by: FoundBy::Join,
            attributes: BTreeMap::new(),
            entries: 0,
        }
    }

    fn words(changes: &[PeerChange]) -> Vec<String> {
        let word = |change: &PeerChange| match change {
            PeerChange::Joined(peer) => format!("{} joined", peer.node),
            PeerChange::Suspected(peer) => format!("{} suspected", peer.node),
            PeerChange::Returned(peer) => format!("{} returned", peer.node),
            PeerChange::Departed { peer, why } => format!("{} departed: {why:?}", peer.node),
            PeerChange::Updated(peer) => format!("{} updated", peer.node),
        };
        changes.iter().map(word).collect()
    }

    #[test]
    fn a_peers_story_is_told_in_order() {
        use Standing::{Alive, Gone, Suspect};
        let mut told = Told::default();
        let mut tell = |peers: Vec<Peer>| words(&told.tell(peers)).join(", ");
        let gone = || peer(9, Gone);
        assert_eq!(
            tell(vec![peer(1, Suspect), gone()]),
            "n1 joined",
            "who is gone already is no news"
        );
        assert_eq!(tell(vec![peer(1, Alive), gone()]), "n1 returned");
        assert_eq!(tell(vec![peer(1, Alive), peer(2, Suspect)]), "");
        assert_eq!(
            tell(vec![peer(1, Suspect), peer(2, Alive)]),
            "n1 suspected, n2 joined"
        );
        assert_eq!(
            tell(vec![peer(1, Gone), peer(2, Alive)]),
            "n1 departed: Silent"
        );
        let left = Peer {
            left: true,
            ..peer(2, Gone)
        };
        assert_eq!(tell(vec![peer(1, Gone), left]), "n2 departed: Left");
        let again = |standing| Peer {
            incarnation: Incarnation(2),
            ..peer(2, standing)
        };
        assert_eq!(tell(vec![peer(1, Gone), again(Suspect)]), "");
        assert_eq!(
            tell(vec![again(Alive)]),
            "n2 returned, n1 departed: Forgotten"
        );
        let renamed = Peer {
            node: "berlin".into(),
            rtt: Some(Duration::from_millis(3)),
            ..again(Alive)
        };
        assert_eq!(tell(vec![renamed.clone()]), "berlin updated");
        let measured = Peer {
            rtt: None,
            ..renamed
        };
        assert_eq!(tell(vec![measured]), "");
    }
}
