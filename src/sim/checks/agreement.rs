//! Equal roots mean equal maps, and in the end all are equal and right.

use std::collections::BTreeMap;

use super::super::check::{Broken, Checker};
use super::super::world::World;
use crate::crdt::Entry;
use crate::model::{DeviceState, Incarnation, Key, Policy, ReplicaId, SpaceId, Value};
use crate::proto::Freshness;

/// Roots are equal exactly when maps are, compared by content; and in the end everybody shows the same, live,
/// and what all users together said.
#[derive(Debug, Default)]
pub struct Agreement {
    sweeps: u64,
}

/// Compared in worlds of at most so many nodes, at each so many sweeps.
const SMALL: usize = 16;
const EVERY: u64 = 10;
/// Views compared in the end, evenly spread over the nodes: they follow from stores, which are all compared.
const VIEWS: usize = 24;

/// All that a node holds, as the root is defined over it.
type Holding = BTreeMap<ReplicaId, (Incarnation, u64, Vec<(Key, Entry)>)>;
type View = BTreeMap<Key, (Value, Freshness)>;

impl Checker for Agreement {
    fn name(&self) -> &'static str {
        "agreement"
    }

    fn sweep(&mut self, world: &World) -> Result<(), Broken> {
        self.sweeps += 1;
        if world.len() > SMALL || !self.sweeps.is_multiple_of(EVERY) {
            return Ok(());
        }
        roots_are_maps(world)
    }

    fn settled(&mut self, world: &World) -> Result<(), Broken> {
        if world.len() <= SMALL {
            roots_are_maps(world)?;
        }
        let up = settled_nodes(world);
        let Some((first, others)) = up.split_first() else {
            return Ok(());
        };
        let stride = others.len().div_ceil(VIEWS).max(1);
        let expected = view(world, *first);
        for node in others.iter().step_by(stride) {
            if let Some((key, mine, theirs)) = difference(&view(world, *node), &expected) {
                return Err(Broken::at(
                    *node,
                    format!(
                        "shows {mine:?} for {key}, {} shows {theirs:?}",
                        world.name(*first)
                    ),
                ));
            }
        }
        if let Some((key, shown, said)) = difference(&devices(&expected), &truth(world)) {
            return Err(Broken::at(
                *first,
                format!("shows {shown:?} for {key}, all users together said {said:?}"),
            ));
        }
        Ok(())
    }
}

/// The nodes that must agree: all that are up and speak for themselves.
pub(in super::super) fn settled_nodes(world: &World) -> Vec<usize> {
    (0..world.len())
        .filter(|node| world.replica(*node).is_some() && !world.is_fenced(*node))
        .collect()
}

fn roots_are_maps(world: &World) -> Result<(), Broken> {
    let up: Vec<usize> = (0..world.len())
        .filter(|node| world.replica(*node).is_some())
        .collect();
    let holdings: Vec<_> = up.iter().map(|node| holding(world, *node)).collect();
    for (a, one) in up.iter().zip(&holdings) {
        for (b, other) in up.iter().zip(&holdings) {
            let root = |node: usize| world.replica(node).map(|replica| replica.digest());
            if (root(*a) == root(*b)) != (one == other) {
                let text = if one == other {
                    "holds the same under another root"
                } else {
                    "holds something else under the same root"
                };
                return Err(Broken::at(*a, format!("{text} as {}", world.name(*b))));
            }
        }
    }
    Ok(())
}

fn holding(world: &World, node: usize) -> Holding {
    let replica = world.replica(node).expect("only who is up is asked");
    // An origin that was only heard of is no different from one that was not.
    let maps = replica.maps().into_iter().filter(|map| map.head > 0);
    maps.map(|map| {
        let mut entries = replica.entries(map.replica, 0);
        entries.retain(|(_, entry)| !entry.is_tombstone());
        (map.replica, (map.incarnation, map.head, entries))
    })
    .collect()
}

fn view(world: &World, node: usize) -> View {
    let mut view = View::new();
    for space in [SpaceId::DEVICES, SpaceId::MAILBOXES] {
        for shown in world.list(node, space).iter() {
            let key = Key::new(space, shown.key.clone()).expect("it is shown under it");
            view.insert(key, (shown.value.clone(), shown.freshness));
        }
    }
    view
}

fn devices(view: &View) -> View {
    view.iter()
        .filter(|(key, _)| key.policy() == Policy::Aggregate)
        .map(|(key, shown)| (key.clone(), shown.clone()))
        .collect()
}

/// What all users together said of devices.
fn truth(world: &World) -> View {
    let mut states: BTreeMap<Key, DeviceState> = BTreeMap::new();
    for node in settled_nodes(world) {
        for (key, value) in world.said(node) {
            if key.policy() == Policy::Aggregate {
                let state = states.entry(key.clone()).or_insert(DeviceState::Invalid);
                *state = state.join(value.device_state());
            }
        }
    }
    states
        .into_iter()
        .map(|(key, state)| (key, (state.into(), Freshness::Live)))
        .collect()
}

type Difference<'a> = (
    &'a Key,
    Option<&'a (Value, Freshness)>,
    Option<&'a (Value, Freshness)>,
);

fn difference<'a>(one: &'a View, other: &'a View) -> Option<Difference<'a>> {
    one.keys()
        .chain(other.keys())
        .find(|key| one.get(*key) != other.get(*key))
        .map(|key| (key, one.get(key), other.get(key)))
}
