//! How long it takes until a change is seen on every node.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use presence_mesh::{
    Change, DeviceState, Freshness, Mesh, MessageCounts, Shown, StateValue, Watch, Watcher,
};
use tokio::sync::mpsc;

use super::phones::{Act, Reading};

/// Sightings waiting for us; when full, the watchers wait, and resynchronise at worst.
const QUEUE: usize = 4_096;
/// The latest spans from which the median is made.
const SAMPLES: usize = 10_000;
/// A change not seen everywhere by now is told as such.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// A node shows a reading.
#[derive(Debug)]
pub struct Sighting {
    site: usize,
    key: String,
    reading: Reading,
    at: Instant,
}

/// Watches every node; counts who has seen which change.
#[derive(Debug)]
pub struct Sightings {
    sender: mpsc::Sender<Sighting>,
    sightings: mpsc::Receiver<Sighting>,
    pending: BTreeMap<String, Pending>,
    last: BTreeMap<String, Reading>,
    samples: VecDeque<Duration>,
    /// Changes seen by everyone who could.
    pub complete: u64,
    /// Changes that somebody had not seen in time.
    pub late: u64,
}

/// A change that not everyone has seen yet.
#[derive(Debug)]
struct Pending {
    act: Act,
    before: Option<Reading>,
    at: Instant,
    latest: Instant,
    missing: BTreeSet<usize>,
    by: usize,
}

/// A change, and how long it took until all could see it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub act: Act,
    pub before: Option<Reading>,
    /// `None`: not by everyone in time.
    pub took: Option<Duration>,
    /// By how many nodes.
    pub by: usize,
}

impl Sightings {
    /// `known`: what all of them show already.
    pub fn new<'a>(meshes: impl IntoIterator<Item = (usize, &'a Mesh)>, known: &[Act]) -> Self {
        let (sender, sightings) = mpsc::channel(QUEUE);
        let new = Self {
            sender,
            sightings,
            pending: BTreeMap::new(),
            last: known
                .iter()
                .map(|act| (act.key.clone(), act.reading))
                .collect(),
            samples: VecDeque::new(),
            complete: 0,
            late: 0,
        };
        for (site, mesh) in meshes {
            new.watch(site, mesh);
        }
        new
    }

    /// Watches one more node, until it ends.
    pub fn watch(&self, site: usize, mesh: &Mesh) {
        let room = "a node of the demo has few watches";
        let lamps = mesh.devices().watch("*").expect(room);
        tokio::spawn(watch(site, lamps, Reading::from, self.sender.clone()));
        let boxes = mesh.mailboxes().watch("*").expect(room);
        tokio::spawn(watch(site, boxes, Reading::from, self.sender.clone()));
    }

    /// A change is about to be written, for these sites to see. One that is overwritten before everyone saw
    /// it is not counted.
    pub fn expect(&mut self, act: Act, sites: BTreeSet<usize>) {
        let before = self.last.insert(act.key.clone(), act.reading);
        let at = Instant::now();
        let pending = Pending {
            by: sites.len(),
            missing: sites,
            before,
            at,
            latest: at,
            act,
        };
        self.pending.insert(pending.act.key.clone(), pending);
    }

    /// The network is cut: sites that `reach` denies cannot see a site's changes any more.
    pub fn cut(&mut self, reach: impl Fn(usize, usize) -> bool) {
        for pending in self.pending.values_mut() {
            pending
                .missing
                .retain(|site| reach(pending.act.site, *site));
        }
        self.pending
            .retain(|_, pending| !pending.missing.is_empty());
    }

    /// The next sighting. Cancel safe.
    pub async fn next(&mut self) -> Option<Sighting> {
        self.sightings.recv().await
    }

    /// Counts a sighting; the change it completes.
    pub fn count(&mut self, sighting: &Sighting) -> Option<Seen> {
        let pending = self.pending.get_mut(&sighting.key)?;
        if pending.act.reading != sighting.reading || sighting.at < pending.at {
            return None;
        }
        pending.missing.remove(&sighting.site);
        pending.latest = pending.latest.max(sighting.at);
        if !pending.missing.is_empty() {
            return None;
        }
        let pending = self.pending.remove(&sighting.key)?;
        let took = pending.latest - pending.at;
        if self.samples.len() >= SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(took);
        self.complete += 1;
        Some(Seen {
            act: pending.act,
            before: pending.before,
            took: Some(took),
            by: pending.by,
        })
    }

    /// Changes that somebody has still not seen.
    pub fn overdue(&mut self) -> Vec<Seen> {
        let late: Vec<String> = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.at.elapsed() > PATIENCE)
            .map(|(key, _)| key.clone())
            .collect();
        self.late += late.len() as u64;
        let late = late.into_iter().filter_map(|key| self.pending.remove(&key));
        late.map(|pending| Seen {
            by: pending.by - pending.missing.len(),
            act: pending.act,
            before: pending.before,
            took: None,
        })
        .collect()
    }

    /// The span that this share of the latest changes took at most; `None` before the first.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let mut samples: Vec<Duration> = self.samples.iter().copied().collect();
        samples.sort_unstable();
        let last = samples.len().checked_sub(1)?;
        Some(samples[(last as f64 * share).round() as usize])
    }
}

impl From<DeviceState> for Reading {
    fn from(state: DeviceState) -> Self {
        Self::Lamp(state)
    }
}

impl From<MessageCounts> for Reading {
    fn from(counts: MessageCounts) -> Self {
        Self::Messages(counts)
    }
}

async fn watch<T: StateValue>(
    site: usize,
    mut watcher: Watcher<T>,
    reading: impl Fn(T) -> Reading,
    sightings: mpsc::Sender<Sighting>,
) {
    while let Some(item) = watcher.next().await {
        let at = Instant::now();
        let shown: Vec<Shown<T>> = match item {
            Watch::Snapshot(all) => all,
            Watch::Changed(Change { new: Some(new), .. }) => vec![new],
            _ => Vec::new(),
        };
        for shown in shown
            .into_iter()
            .filter(|shown| shown.freshness == Freshness::Live)
        {
            let sighting = Sighting {
                site,
                key: shown.key.to_string(),
                reading: reading(shown.value),
                at,
            };
            if sightings.send(sighting).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sightings() -> Sightings {
        Sightings::new([], &[])
    }

    fn act(reading: Reading) -> Act {
        Act {
            site: 0,
            key: "a".into(),
            reading,
        }
    }

    fn sighting(site: usize, reading: Reading) -> Sighting {
        Sighting {
            site,
            key: "a".into(),
            reading,
            at: Instant::now(),
        }
    }

    const RINGING: Reading = Reading::Lamp(DeviceState::Ringing);
    const IN_USE: Reading = Reading::Lamp(DeviceState::InUse);

    #[test]
    fn a_change_is_complete_when_the_last_node_shows_it() {
        let mut sightings = sightings();
        sightings.expect(act(RINGING), BTreeSet::from([0, 1]));
        assert!(sightings.count(&sighting(0, RINGING)).is_none());
        assert!(sightings.count(&sighting(0, RINGING)).is_none());
        assert!(sightings.count(&sighting(1, IN_USE)).is_none());
        let seen = sightings.count(&sighting(1, RINGING)).unwrap();
        assert!(seen.took.is_some());
        assert_eq!((seen.by, seen.before, sightings.complete), (2, None, 1));
        assert!(sightings.quantile(0.5).is_some());
    }

    /// What was shown before the write cannot be the sight of it.
    #[test]
    fn an_older_sighting_of_the_same_value_does_not_count() {
        let mut sightings = sightings();
        let old = sighting(0, RINGING);
        sightings.expect(act(RINGING), BTreeSet::from([0]));
        assert!(sightings.count(&old).is_none());
        assert!(sightings.count(&sighting(0, RINGING)).is_some());
    }

    #[test]
    fn nobody_waits_for_the_other_side_of_a_cut() {
        let mut sightings = sightings();
        sightings.expect(act(RINGING), BTreeSet::from([0, 1]));
        sightings.cut(|a, b| a == b);
        assert!(sightings.count(&sighting(0, RINGING)).is_some());
    }
}
