//! The nodes of the demonstration: real ones, on the loopback interface.

use std::time::{Duration, Instant, SystemTime};

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
/// The 2 s of the preset are too short to see lamps go stale, and their age count; a cut of the headless demo lasts 8 s.
const GONE_AFTER: Duration = Duration::from_secs(6);
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// All nodes, and the links between them.
#[derive(Debug)]
pub struct Sites {
    sites: Vec<Site>,
    links: Links,
    key: MeshKey,
    latency: Duration,
    /// Share of gossip that is lost.
    loss: f64,
}

/// A place with a node, running or not.
#[derive(Debug)]
struct Site {
    name: &'static str,
    identity: [u8; 32],
    id: ReplicaId,
    mesh: Option<Mesh>,
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
        let mut sites = Self {
            sites: Vec::new(),
            links: Links::new(),
            key: MeshKey::from_bytes(random_bytes()?),
            latency: Duration::ZERO,
            loss: 0.0,
        };
        for &name in NAMES.iter().take(count) {
            let identity = random_bytes()?;
            let mesh = sites.open(name, identity, sites.running().take(1)).await?;
            sites.sites.push(Site {
                name,
                identity,
                id: mesh.id(),
                mesh: Some(mesh),
            });
        }
        Ok(sites)
    }

    /// Starts a node that is told of `known`.
    async fn open<'a>(
        &self,
        name: &str,
        identity: [u8; 32],
        known: impl Iterator<Item = (usize, &'a Mesh)>,
    ) -> anyhow::Result<Mesh> {
        let join: Vec<String> = known
            .flat_map(|(_, mesh)| mesh.addresses().to_vec())
            .collect();
        let mut timing = Preset::Local.timing();
        timing.gone_after = GONE_AFTER;
        let mesh = Mesh::builder("demo")
            .node(name)
            .key(self.key.clone())
            .identity(Identity::from_bytes(identity))
            .listen("127.0.0.1:0")?
            .join(join)?
            .mdns(false)
            .timing(timing)
            .links(self.links.clone())
            .start();
        mesh.await.with_context(|| format!("cannot start {name}"))
    }

    /// The first node that runs. One always does.
    pub fn first(&self) -> &Mesh {
        let (_, first) = self
            .running()
            .next()
            .expect("the last running node is never killed");
        first
    }

    /// Those that run, with the numbers of their sites.
    pub fn running(&self) -> impl Iterator<Item = (usize, &Mesh)> {
        let sites = self.sites.iter().enumerate();
        sites.filter_map(|(number, site)| Some((number, site.mesh.as_ref()?)))
    }

    /// How many sites there are, whether their nodes run or not.
    pub fn count(&self) -> usize {
        self.sites.len()
    }

    /// The node of a site, if it runs.
    pub fn mesh(&self, site: usize) -> Option<&Mesh> {
        self.sites[site].mesh.as_ref()
    }

    pub fn name(&self, site: usize) -> &str {
        self.sites[site].name
    }

    /// The site of this name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.sites.iter().position(|site| site.name == name)
    }

    pub fn names(&self, sites: impl IntoIterator<Item = usize>) -> Vec<String> {
        sites
            .into_iter()
            .map(|site| self.name(site).to_owned())
            .collect()
    }

    /// Ends a node as a power cut would: without a goodbye. Whoever else holds it must let go of it.
    pub fn kill(&mut self, site: usize) {
        self.sites[site].mesh = None;
    }

    /// Starts a node again, with the identity it had; it remembers nothing else.
    pub async fn revive(&mut self, site: usize) -> anyhow::Result<&Mesh> {
        let Site { name, identity, .. } = self.sites[site];
        let mesh = self.open(name, identity, self.running()).await?;
        Ok(self.sites[site].mesh.insert(mesh))
    }

    /// From now on everything takes this much longer each way, and this share of gossip is lost.
    pub fn set_weather(&mut self, latency: Duration, loss: f64) {
        (self.latency, self.loss) = (latency, loss);
        self.blow();
    }

    pub fn weather(&self) -> (Duration, f64) {
        (self.latency, self.loss)
    }

    fn blow(&self) {
        for (number, a) in self.sites.iter().enumerate() {
            for b in &self.sites[number + 1..] {
                self.links.delay(a.id, b.id, self.latency);
                self.links.lose(a.id, b.id, self.loss);
            }
        }
    }

    /// Says at its site what happened.
    pub fn write(&self, act: &Act) -> anyhow::Result<()> {
        let Some(mesh) = self.mesh(act.site) else {
            return Ok(());
        };
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
                .sites
                .iter()
                .zip(sides)
                .filter(|(_, side)| **side == wanted);
            sites.map(|(site, _)| site.id).collect()
        };
        self.links.partition(&[&side(0), &side(1)]);
    }

    pub fn heal(&self) {
        self.links.heal();
        self.blow();
    }

    /// Whether all nodes that run hold the same.
    pub fn agree(&self) -> bool {
        let digest = self.first().digest();
        self.running().all(|(_, mesh)| mesh.digest() == digest)
    }

    /// How many keys that several sites write were written on both sides since `since`.
    pub fn written_on_both(&self, sides: &[u8], since: SystemTime) -> usize {
        let side = |replica: ReplicaId| {
            let site = self.sites.iter().position(|site| site.id == replica)?;
            sides.get(site).copied()
        };
        let shown = self.first().mailboxes().list(&Pattern::any()).into_iter();
        let both = shown.filter(|shown| {
            let writers = shown.contributions.iter();
            let late = writers.filter(|contribution| contribution.written_at >= since);
            let late: Vec<u8> = late
                .filter_map(|contribution| side(contribution.replica))
                .collect();
            late.contains(&0) && late.contains(&1)
        });
        both.count()
    }

    /// Whether all nodes that run show `lamps` lamps that they believe.
    pub fn all_live(&self, lamps: usize) -> bool {
        self.running().all(|(_, mesh)| {
            let shown = mesh.devices().list(&Pattern::any()).into_iter();
            shown
                .filter(|lamp| lamp.freshness == Freshness::Live)
                .count()
                == lamps
        })
    }

    /// Which lamps a node doubts; none when it does not run.
    pub fn doubts(&self, site: usize) -> Doubts {
        let mut doubts = Doubts::default();
        let Some(mesh) = self.mesh(site) else {
            return doubts;
        };
        for lamp in mesh.devices().list(&Pattern::any()) {
            match lamp.freshness {
                Freshness::Live => continue,
                Freshness::Stale => doubts.stale += 1,
                _ => doubts.gone += 1,
            }
            doubts.oldest = doubts.oldest.max(lamp.age);
        }
        doubts
    }

    /// How many entries of others all nodes that run have taken together.
    pub fn entries_taken(&self) -> u64 {
        self.running()
            .map(|(_, mesh)| mesh.counters().entries_applied)
            .sum()
    }

    /// Says all lamps at once, and waits until every node shows them; how long that took.
    pub async fn light(&self, acts: &[Act], bound: Duration) -> anyhow::Result<Duration> {
        let start = Instant::now();
        for (site, mesh) in self.running() {
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
        let all = join_all(self.running().map(|(_, mesh)| mesh.leave()));
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
