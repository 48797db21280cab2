//! The nodes of the demonstration: real ones, on the loopback interface.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::future::join_all;
use presence_mesh::{
    DeviceState, Freshness, Identity, Links, Mesh, MeshKey, Pattern, Preset, ReplicaId,
};

use super::phones::{Act, Reading};
use crate::init::random_bytes;

const NAMES: [&str; 16] = [
    "berlin", "paris", "london", "madrid", "oslo", "rome", "vienna", "lisbon", "dublin", "prague",
    "warsaw", "athens", "zurich", "lyon", "porto", "riga",
];
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// All nodes, and the links between them.
#[derive(Debug)]
pub struct Sites {
    meshes: Vec<Mesh>,
    links: Links,
}

/// What a node shows of lamps that it does not believe fully.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Doubts {
    pub stale: usize,
    pub gone: usize,
    pub oldest: Duration,
}

impl Sites {
    /// Starts `count` nodes, at most 16; each is told of the first alone.
    pub async fn start(count: usize) -> anyhow::Result<Self> {
        let key = MeshKey::from_bytes(random_bytes()?);
        let links = Links::new();
        let mut meshes: Vec<Mesh> = Vec::new();
        for name in NAMES.iter().take(count) {
            let join = meshes
                .first()
                .map(|first| first.addresses().to_vec())
                .unwrap_or_default();
            let mesh = Mesh::builder("demo")
                .node(*name)
                .key(key.clone())
                .identity(Identity::from_bytes(random_bytes()?))
                .listen("127.0.0.1:0")?
                .join(join)?
                .mdns(false)
                .preset(Preset::Local)
                .links(links.clone())
                .start();
            meshes.push(mesh.await.with_context(|| format!("cannot start {name}"))?);
        }
        Ok(Self { meshes, links })
    }

    /// The node whose view HTTP shows.
    pub fn first(&self) -> &Mesh {
        &self.meshes[0]
    }

    pub fn all(&self) -> &[Mesh] {
        &self.meshes
    }

    pub fn name(&self, site: usize) -> &str {
        self.meshes[site].node()
    }

    pub fn names(&self, sites: impl IntoIterator<Item = usize>) -> Vec<String> {
        sites
            .into_iter()
            .map(|site| self.name(site).to_owned())
            .collect()
    }

    /// Says at its site what happened.
    pub fn write(&self, act: &Act) -> anyhow::Result<()> {
        let mesh = &self.meshes[act.site];
        match act.reading {
            Reading::Lamp(state) => mesh.devices().set(&act.key, state)?,
            Reading::Messages(counts) => mesh.mailboxes().set(&act.key, counts)?,
        }
        Ok(())
    }

    /// Cuts every link between sites of different sides.
    pub fn cut(&self, sides: &[u8]) {
        let side = |wanted: u8| -> Vec<ReplicaId> {
            let sites = self
                .meshes
                .iter()
                .zip(sides)
                .filter(|(_, side)| **side == wanted);
            sites.map(|(mesh, _)| mesh.id()).collect()
        };
        self.links.partition(&[&side(0), &side(1)]);
    }

    pub fn heal(&self) {
        self.links.heal();
    }

    /// Whether all nodes hold the same.
    pub fn agree(&self) -> bool {
        let digest = self.first().digest();
        self.meshes.iter().all(|mesh| mesh.digest() == digest)
    }

    /// Whether all nodes show `lamps` lamps, and believe all of them.
    pub fn all_live(&self, lamps: usize) -> bool {
        self.meshes.iter().all(|mesh| {
            let shown = mesh.devices().list(&Pattern::any());
            shown.len() == lamps && shown.iter().all(|lamp| lamp.freshness == Freshness::Live)
        })
    }

    /// Which lamps a node doubts.
    pub fn doubts(&self, site: usize) -> Doubts {
        let mut doubts = Doubts::default();
        for lamp in self.meshes[site].devices().list(&Pattern::any()) {
            match lamp.freshness {
                Freshness::Live => continue,
                Freshness::Stale => doubts.stale += 1,
                _ => doubts.gone += 1,
            }
            doubts.oldest = doubts.oldest.max(lamp.age);
        }
        doubts
    }

    /// How many entries of others all nodes together have taken.
    pub fn entries_taken(&self) -> u64 {
        self.meshes
            .iter()
            .map(|mesh| mesh.counters().entries_applied)
            .sum()
    }

    /// Says all lamps at once, and waits until every node shows them; how long that took.
    pub async fn light(&self, acts: &[Act], bound: Duration) -> anyhow::Result<Duration> {
        let start = Instant::now();
        for (site, mesh) in self.meshes.iter().enumerate() {
            let mine = || acts.iter().filter(|act| act.site == site);
            let lamps = mine().filter_map(|act| match act.reading {
                Reading::Lamp(state) => Some((&act.key, state)),
                Reading::Messages(_) => None,
            });
            mesh.devices().set_many(lamps)?;
            let boxes = mine().filter_map(|act| match act.reading {
                Reading::Messages(counts) => Some((&act.key, counts)),
                Reading::Lamp(_) => None,
            });
            mesh.mailboxes().set_many(boxes)?;
        }
        let lamps = acts
            .iter()
            .filter(|act| matches!(act.reading, Reading::Lamp(_)))
            .count();
        // There is no event for "all nodes show the same": it is nobody's knowledge but ours.
        while !(self.all_live(lamps) && self.agree()) {
            anyhow::ensure!(
                start.elapsed() < bound,
                "the nodes do not find each other within {bound:?}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(start.elapsed())
    }

    /// All nodes say goodbye.
    pub async fn leave(&self) {
        let all = join_all(self.meshes.iter().map(Mesh::leave));
        // What is not said by now, the end of the process says.
        let _ = tokio::time::timeout(LEAVE_TIMEOUT, all).await;
    }
}

/// How a reading looks in a line.
pub fn text(reading: Reading) -> String {
    match reading {
        Reading::Lamp(state) => lamp(state),
        Reading::Messages(counts) => counts.to_string(),
    }
}

fn lamp(state: DeviceState) -> String {
    format!("{} {}", crate::lamp::shape(state), state.label())
}
