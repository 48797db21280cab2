//! What happens in the demonstration, whoever shows it; [`faults`] are those that somebody wishes for.

mod faults;

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

use presence_mesh::{Mesh, MessageCounts};

use super::phones::{Act, Phones, Reading};
use super::sightings::{Seen, Sightings};
use super::sites::{Doubts, Sites};
use crate::http::View;
use crate::people::Person;

/// The first cut comes when a viewer has seen how it is without.
const FIRST_CUT: Duration = Duration::from_secs(10);
const CUT_LASTS: Duration = Duration::from_secs(8);
const CUT_EVERY: Duration = Duration::from_secs(60);
/// The nodes must agree this long after a heal.
const AGREE_BOUND: Duration = Duration::from_secs(10);
/// How often it is looked whether they do.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How often it is looked what nodes doubt during a cut.
const DOUBT_EVERY: Duration = Duration::from_millis(250);
/// A mailbox that every site writes: what happens to it during a cut is a conflict.
const SHARED_BOX: &str = "600@default";

/// Something worth telling.
#[derive(Debug, Clone)]
pub enum Happening {
    /// A lamp or a mailbox changed, and everyone who could has seen it (or has not, in time).
    Seen { site: String, seen: Seen },
    /// The network is cut in two.
    Cut { sides: [Vec<String>; 2] },
    /// What these nodes doubt has changed.
    Doubts { sites: Vec<String>, doubts: Doubts },
    /// The network is whole again.
    Healing { after: Duration },
    /// All nodes hold the same again, and believe all lamps.
    Healed(Healed),
    /// They do not, in time.
    Apart { bound: Duration },
    /// A node has ended, as in a power cut.
    Killed { site: String },
    /// It runs again.
    Revived { site: String },
    /// What everything takes longer, and what share of gossip is lost.
    Weather { latency: Duration, loss: f64 },
    /// Somebody was made to call somebody, by key.
    Called { caller: String, callee: String },
    /// The end.
    Finished(Verdict),
}

/// How a heal went.
#[derive(Debug, Clone)]
pub struct Healed {
    /// Until all digests were equal.
    pub agreed_in: Duration,
    /// Until every lamp was live on every node.
    pub live_in: Duration,
    /// Entries that nodes took from each other meanwhile.
    pub entries: u64,
    /// Keys that both sides had written during the cut.
    pub conflicts: usize,
    pub digest: String,
    /// What the mailbox shows that both sides wrote.
    pub shared_box: Option<(String, MessageCounts, String)>,
}

/// How it all went.
#[derive(Debug, Clone)]
pub struct Verdict {
    pub nodes: usize,
    pub changes: u64,
    pub late: u64,
    pub median: Option<Duration>,
    pub p99: Option<Duration>,
    pub cuts: u32,
    /// The longest time until the nodes agreed after a heal.
    pub longest_heal: Option<Duration>,
    /// Whether they agreed in time after every heal, and do now.
    pub agree: bool,
}

/// Makes things happen.
pub struct Engine {
    sites: Sites,
    phones: Phones,
    view: View,
    /// Cuts come by themselves, until somebody provokes a fault.
    automatic: bool,
    lamps: usize,
    sightings: Sightings,
    start: Instant,
    converged_in: Duration,
    phase: Phase,
    /// Told, one by one, before anything new happens.
    told: VecDeque<Happening>,
    cuts: u32,
    /// When the last cut was, by the clock that stamps writes.
    cut_at: SystemTime,
    longest_heal: Option<Duration>,
    failed: bool,
}

#[derive(Debug)]
enum Phase {
    Whole {
        until: Instant,
    },
    Cut {
        since: Instant,
        next_look: Instant,
        doubts: Vec<Doubts>,
        conflict: bool,
    },
    Healing {
        since: Instant,
        next_look: Instant,
        entries: u64,
        agreed_in: Option<Duration>,
    },
}

impl Engine {
    /// Starts the nodes and lights the lamps; returns when every node shows them all.
    pub async fn start(nodes: usize, phones: usize, seed: u64) -> anyhow::Result<Self> {
        let sites = Sites::start(nodes).await?;
        let phones = Phones::new(nodes, phones, seed);
        let acts = phones.all();
        let converged_in = sites.light(&acts, AGREE_BOUND).await?;
        let start = Instant::now();
        Ok(Self {
            sightings: Sightings::new(sites.running(), &acts),
            lamps: acts.len() / 2,
            view: View::of(sites.first().clone()),
            automatic: true,
            sites,
            phones,
            start,
            converged_in,
            phase: Phase::Whole {
                until: start + FIRST_CUT,
            },
            told: VecDeque::new(),
            cuts: 0,
            cut_at: SystemTime::now(),
            longest_heal: None,
            failed: false,
        })
    }

    /// From now on cuts come only when somebody wishes for one.
    pub fn by_hand(&mut self) {
        self.automatic = false;
    }

    pub fn sites(&self) -> &Sites {
        &self.sites
    }

    /// How long the nodes took to find each other and show all lamps.
    pub fn converged_in(&self) -> Duration {
        self.converged_in
    }

    pub fn lamps(&self) -> usize {
        self.lamps
    }

    /// The node that HTTP shows: the first, until that is killed.
    pub fn view(&self) -> View {
        self.view.clone()
    }

    /// Who the phones belong to.
    pub fn people(&self) -> Vec<Person> {
        self.phones.people()
    }

    /// Nobody calls, or waits for the sight of, what cannot be reached.
    fn divide(&mut self) {
        let sides = self.reachable();
        let runs = |site| self.sites.mesh(site).is_some();
        self.sightings.cut(|a, b| sides[a] == sides[b] && runs(a));
        self.phones.divide(sides);
    }

    /// Makes the next thing happen. Cancel safe.
    pub async fn next(&mut self) -> anyhow::Result<Happening> {
        loop {
            if let Some(happening) = self.told.pop_front() {
                return Ok(happening);
            }
            let calls = tokio::time::Instant::from_std(self.start + self.phones.next_at());
            let phase = tokio::time::Instant::from_std(self.phase.due(self.automatic));
            tokio::select! {
                sighting = self.sightings.next() => {
                    let sighting = sighting.ok_or_else(|| anyhow::anyhow!("all nodes have ended"))?;
                    let seen = self.sightings.count(&sighting);
                    self.tell(seen);
                }
                () = tokio::time::sleep_until(calls) => {
                    for act in self.phones.happen(self.start.elapsed()) {
                        self.write(act)?;
                    }
                    let late = self.sightings.overdue();
                    self.tell(late);
                }
                () = tokio::time::sleep_until(phase) => self.turn()?,
            }
        }
    }

    /// No more calls and no more cuts; waits, within a bound, until all nodes agree.
    pub async fn finish(&mut self) -> anyhow::Result<Verdict> {
        if !matches!(self.phase, Phase::Whole { .. }) {
            self.sites.heal();
        }
        let start = Instant::now();
        self.sites.set_weather(Duration::ZERO, 0.0);
        let lamps = self.lamps_running();
        let agree = || self.sites.agree() && self.sites.all_live(lamps);
        while !agree() && start.elapsed() < AGREE_BOUND {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(Verdict {
            nodes: self.sites.running().count(),
            changes: self.sightings.complete,
            late: self.sightings.late,
            median: self.sightings.quantile(0.5),
            p99: self.sightings.quantile(0.99),
            cuts: self.cuts,
            longest_heal: self.longest_heal,
            agree: agree() && !self.failed,
        })
    }

    pub async fn leave(&self) {
        self.sites.leave().await;
    }

    fn tell(&mut self, seen: impl IntoIterator<Item = Seen>) {
        for seen in seen {
            let site = self.sites.name(seen.act.site).to_owned();
            self.told.push_back(Happening::Seen { site, seen });
        }
    }

    fn write(&mut self, act: Act) -> anyhow::Result<()> {
        if self.sites.mesh(act.site).is_none() {
            return Ok(());
        }
        let reach = (0..self.sites.count())
            .filter(|site| self.reach(act.site, *site))
            .collect();
        self.sightings.expect(act.clone(), reach);
        self.sites.write(&act)
    }

    /// Whether two sites can see each other.
    fn reach(&self, a: usize, b: usize) -> bool {
        let sides = self.reachable();
        sides[a] == sides[b]
    }

    /// Sites of one number can reach each other now.
    pub fn reachable(&self) -> Vec<u8> {
        let cut = matches!(self.phase, Phase::Cut { .. });
        let sides = self.sides().into_iter().enumerate();
        // There are at most 16 sites: those that do not run get numbers of their own.
        let side = |(site, side)| match self.sites.mesh(site) {
            None => u8::try_from(site).unwrap_or(u8::MAX - 2) + 2,
            Some(_) if cut => side,
            Some(_) => 0,
        };
        sides.map(side).collect()
    }

    /// How many lamps the sites that run have.
    fn lamps_running(&self) -> usize {
        self.sites
            .running()
            .map(|(site, _)| self.phones.count(site))
            .sum()
    }

    /// Which side of a cut each site is on: the smaller half is 0.
    fn sides(&self) -> Vec<u8> {
        let count = self.sites.count();
        (0..count).map(|site| u8::from(site >= count / 2)).collect()
    }

    /// Whatever the phase has come to.
    fn turn(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        match &self.phase {
            Phase::Whole { .. } if !self.automatic => {
                self.phase = Phase::Whole {
                    until: now + CUT_EVERY,
                }
            }
            Phase::Whole { .. } => self.cut(now),
            Phase::Cut { since, .. } if self.automatic && now >= *since + CUT_LASTS => {
                self.heal(now)
            }
            Phase::Cut { .. } => self.look_at_doubts(now)?,
            Phase::Healing { .. } => self.look_at_agreement(now),
        }
        Ok(())
    }

    fn cut(&mut self, now: Instant) {
        let sides = self.sides();
        self.sites.cut(&sides);
        self.cuts += 1;
        self.cut_at = SystemTime::now();
        let doubts = vec![Doubts::default(); sides.len()];
        self.phase = Phase::Cut {
            since: now,
            next_look: now + DOUBT_EVERY,
            doubts,
            conflict: false,
        };
        self.divide();
        let side = |wanted: u8| {
            self.sites
                .names((0..sides.len()).filter(|site| sides[*site] == wanted))
        };
        self.told.push_back(Happening::Cut {
            sides: [side(0), side(1)],
        });
    }

    /// Tells what nodes doubt when the number of lamps changed; once, writes the shared mailbox on both sides.
    fn look_at_doubts(&mut self, now: Instant) -> anyhow::Result<()> {
        let Phase::Cut {
            since,
            next_look,
            doubts,
            conflict,
        } = &mut self.phase
        else {
            return Ok(());
        };
        *next_look = now + DOUBT_EVERY;
        let write_shared = !*conflict && now >= *since + CUT_LASTS / 2;
        *conflict |= write_shared;
        let new: Vec<Doubts> = (0..doubts.len())
            .map(|site| self.sites.doubts(site))
            .collect();
        let old = std::mem::replace(doubts, new.clone());
        let sides = self.sides();
        let number =
            |doubts: &[Doubts], site: usize| (sides[site], doubts[site].stale, doubts[site].gone);
        // Nodes of one side mostly doubt the same: one line for all that do.
        let mut sites: Vec<usize> = (0..new.len())
            .filter(|site| number(&new, *site) != number(&old, *site))
            .collect();
        while let Some(first) = sites.first().copied() {
            let (same, others): (Vec<usize>, Vec<usize>) = sites
                .into_iter()
                .partition(|site| number(&new, *site) == number(&new, first));
            let doubts = Doubts {
                oldest: same
                    .iter()
                    .map(|site| new[*site].oldest)
                    .max()
                    .unwrap_or_default(),
                ..new[first]
            };
            self.told.push_back(Happening::Doubts {
                sites: self.sites.names(same),
                doubts,
            });
            sites = others;
        }
        if write_shared {
            self.write_shared_box()?;
        }
        Ok(())
    }

    /// Each side takes a message for everybody.
    fn write_shared_box(&mut self) -> anyhow::Result<()> {
        let last = self.sites.count() - 1;
        for (site, messages) in [(0, 1), (last, 2)] {
            let Some(mailboxes) = self.sites.mesh(site).map(Mesh::mailboxes) else {
                continue;
            };
            let mut counts = mailboxes
                .get(SHARED_BOX)
                .map(|shown| shown.value)
                .unwrap_or_default();
            counts.new += messages;
            self.write(Act {
                site,
                key: SHARED_BOX.to_owned(),
                reading: Reading::Messages(counts),
            })?;
        }
        Ok(())
    }

    fn heal(&mut self, now: Instant) {
        let after = match &self.phase {
            Phase::Cut { since, .. } => now - *since,
            _ => Duration::ZERO,
        };
        let entries = self.sites.entries_taken();
        self.sites.heal();
        self.phase = Phase::Healing {
            since: now,
            next_look: now + LOOK_EVERY,
            entries,
            agreed_in: None,
        };
        self.divide();
        self.told.push_back(Happening::Healing { after });
    }

    fn look_at_agreement(&mut self, now: Instant) {
        let sides = self.sides();
        let Phase::Healing {
            since,
            next_look,
            entries,
            agreed_in,
        } = &mut self.phase
        else {
            return;
        };
        let lamps = self
            .sites
            .running()
            .map(|(site, _)| self.phones.count(site))
            .sum();
        *next_look = now + LOOK_EVERY;
        let passed = now - *since;
        if agreed_in.is_none() && self.sites.agree() {
            *agreed_in = Some(passed);
        }
        let happening = match *agreed_in {
            Some(agreed_in) if self.sites.all_live(lamps) => {
                self.longest_heal = self.longest_heal.max(Some(agreed_in));
                let conflicts = self.sites.written_on_both(&sides, self.cut_at);
                let shared_box = (conflicts > 0).then(|| self.sites.first().mailboxes());
                let shared_box = shared_box
                    .and_then(|mailboxes| mailboxes.get(SHARED_BOX))
                    .and_then(|shown| {
                        let winner = shown
                            .contributions
                            .iter()
                            .find(|contribution| contribution.wins)?;
                        Some((shown.key.to_string(), shown.value, winner.node.to_string()))
                    });
                Happening::Healed(Healed {
                    agreed_in,
                    live_in: passed,
                    // A node killed meanwhile takes its count with it.
                    entries: self.sites.entries_taken().saturating_sub(*entries),
                    conflicts,
                    digest: self.sites.first().digest().to_string(),
                    shared_box,
                })
            }
            _ if passed > AGREE_BOUND => {
                // In a storm somebody made it may take longer.
                self.failed |= self.automatic;
                Happening::Apart { bound: AGREE_BOUND }
            }
            _ => return,
        };
        self.phase = Phase::Whole {
            until: now + CUT_EVERY - CUT_LASTS,
        };
        self.told.push_back(happening);
    }
}

impl Phase {
    /// When something is to be done; a cut that somebody wished for does not end by itself.
    fn due(&self, automatic: bool) -> Instant {
        match self {
            Self::Whole { until } => *until,
            Self::Cut {
                next_look, since, ..
            } if automatic => (*next_look).min(*since + CUT_LASTS),
            Self::Cut { next_look, .. } => *next_look,
            Self::Healing { next_look, .. } => *next_look,
        }
    }
}
