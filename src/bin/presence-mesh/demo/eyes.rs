//! Whose eyes the panel sees with: one of the demonstration's nodes.

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use presence_mesh::{
    DeviceState, Mesh, MessageCounts, Presence, Space as MeshSpace, Standing, StateValue, Watch,
};

use super::engine::Engine;
use crate::api::{DeviceFields, Explained, NodeStatus, Object};
use crate::panel::{Item, Link, Node, Space, Told, Why, item};

/// Follows what one node shows. Holds no node, so that it can be killed.
pub struct Eyes {
    pub site: usize,
    told: BoxStream<'static, Told>,
}

impl Eyes {
    pub fn of(site: usize, mesh: &Mesh) -> Self {
        let all = stream::select_all([
            follow::<DeviceState, DeviceFields>(Space::Device, mesh.devices()),
            follow::<Presence, Presence>(Space::Presence, mesh.presence()),
            follow::<MessageCounts, MessageCounts>(Space::Mailbox, mesh.mailboxes()),
        ]);
        // Of a node that has ended nothing more is told.
        let told = all.chain(stream::pending()).boxed();
        Self { site, told }
    }

    /// What it shows next. Cancel safe.
    pub async fn next(&mut self) -> Told {
        self.told.next().await.expect("it never ends")
    }
}

fn follow<T, V>(space: Space, values: MeshSpace<T>) -> BoxStream<'static, Told>
where
    T: StateValue + Into<V> + Send + 'static,
    V: Into<Item> + 'static,
{
    let told = move |watch: Watch<T>| match watch {
        Watch::Snapshot(all) => {
            let all = all.into_iter().map(|shown| item(Object::<V>::new(shown)));
            Some(Told::All(space, all.collect()))
        }
        Watch::Changed(change) => {
            let new = change.new.map(|shown| item(Object::<V>::new(shown)));
            Some(Told::Change(space, change.key.to_string(), new))
        }
        // A snapshot follows.
        _ => None,
    };
    values
        .watch("*")
        .expect("the demo's watches are far fewer than the limit")
        .filter_map(move |watch| std::future::ready(told(watch)))
        .boxed()
}

/// How the node of `site` does, and what it thinks of the others.
pub fn nodes(engine: &Engine, site: usize) -> Option<(NodeStatus, Vec<Node>)> {
    let sites = engine.sites();
    let mesh = sites.mesh(site)?;
    let (sides, peers) = (engine.reachable(), mesh.peers());
    let node = |other: usize| {
        let name = sites.name(other);
        if other == site {
            return Node::own(name);
        }
        let peer = peers.iter().find(|peer| peer.node == name);
        let link = match peer {
            _ if sites.mesh(other).is_none() => Link::Killed,
            _ if sides[other] != sides[site] => Link::Cut,
            Some(peer) if peer.connected => Link::Up,
            _ => Link::Down,
        };
        Node {
            name: name.to_owned(),
            link,
            standing: peer.map_or(Standing::Gone, |peer| peer.standing),
            left: peer.is_some_and(|peer| peer.left),
            age: peer.and_then(|peer| peer.age),
            rtt: peer.and_then(|peer| peer.rtt),
        }
    };
    let nodes = (0..sites.count()).map(node).collect();
    Some((NodeStatus::new(mesh.status()), nodes))
}

/// Why a key shows what it shows there.
pub fn explain(mesh: &Mesh, space: Space, key: &str) -> Why {
    let why = match space {
        Space::Device => mesh.devices().explain(key).map(|why| {
            Why::new(
                space,
                Explained::<DeviceFields>::new(space.name(), why, None),
            )
        }),
        Space::Presence => mesh
            .presence()
            .explain(key)
            .map(|why| Why::new(space, Explained::<Presence>::new(space.name(), why, None))),
        Space::Mailbox => mesh.mailboxes().explain(key).map(|why| {
            Why::new(
                space,
                Explained::<MessageCounts>::new(space.name(), why, None),
            )
        }),
    };
    why.unwrap_or_else(|| Why::nothing(space, key, "no node says anything of it"))
}
