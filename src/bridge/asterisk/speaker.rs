//! The side that tells the PBX: takes jobs from the reconciler, puts them into the ledger and onto the streams,
//! and brings the answers back.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::task::JoinHandle;

use super::body::Package;
use super::clock::Clock;
use super::eid::Eid;
use super::ledger::{Ledger, LedgerChange, LedgerError, Slot};
use super::link::{Link, LinkSender};
use super::message::Response;
use super::publisher::{Outcome, Outgoing, Publisher, Target, advice, probe};
use super::reconcile::{Finished, Reconciler};
use super::transaction::Retransmit;

/// How long value changes are gathered before they are written to the ledger without a sync.
const GATHER: Duration = Duration::from_millis(200);
/// The wait before a ledger that could not be written is tried again.
const LEDGER_RETRY: Duration = Duration::from_secs(5);
/// The gate's longest wait, as a multiple of the first.
const LONGEST_BACKOFF: u32 = 60;

/// See the module.
#[derive(Debug)]
pub(super) struct Speaker {
    reconciler: Arc<Mutex<Reconciler>>,
    ledger: Arc<Ledger>,
    commit: Option<JoinHandle<Committed>>,
    next_commit_at: Duration,
    link: LinkSender,
    to: SocketAddr,
    target: Target,
    own_eid: Eid,
    /// One per stream of slots, and last the one for questions.
    streams: Vec<Stream>,
    answers: FuturesUnordered<BoxFuture<'static, (Answerable, Option<Response>)>>,
    probing: bool,
    asks: BTreeSet<Package>,
    gate: Gate,
    retransmit: Retransmit,
    clock: Clock,
    random: u64,
    writes: BTreeMap<&'static str, u64>,
    logged: BTreeSet<u16>,
    last_refusal: Option<String>,
}

type Committed = (Vec<LedgerChange>, Result<(), LedgerError>);

#[derive(Debug)]
struct Stream {
    publisher: Publisher,
    doing: Doing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Doing {
    Nothing,
    Telling(Slot),
    Asking(Package),
    Renewing,
}

#[derive(Debug, Clone, Copy)]
enum Answerable {
    Stream(usize),
    Probe,
}

/// What the speaker found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Found {
    /// The PBX did not know our publication any more, which it still knew at that time.
    pub(super) forgot: Option<Duration>,
    /// Whether the PBX took our question for everything of a package.
    pub(super) asked: Option<Asked>,
}

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// It was taken: a dump follows.
    Taken(Package),
    /// It was refused.
    Refused,
}

/// Holds all streams back after a refusal that concerns them all.
#[derive(Debug)]
struct Gate {
    first: Duration,
    wait: Duration,
    until: Duration,
}

/// What a speaker is made of.
pub(super) struct SpeakerParts {
    pub(super) reconciler: Arc<Mutex<Reconciler>>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) link: LinkSender,
    pub(super) to: SocketAddr,
    pub(super) target: Target,
    pub(super) own_eid: Eid,
    pub(super) streams: usize,
    pub(super) retransmit: Retransmit,
    pub(super) backoff: Duration,
    pub(super) clock: Clock,
    pub(super) seed: u64,
}

impl Speaker {
    pub(super) fn new(parts: SpeakerParts) -> Self {
        let SpeakerParts {
            reconciler,
            ledger,
            link,
            to,
            target,
            own_eid,
            streams,
            retransmit,
            backoff,
            clock,
            seed,
        } = parts;
        let stream = |n| Stream {
            publisher: Publisher::new(&format!("{seed:016x}{n}")),
            doing: Doing::Nothing,
        };
        Self {
            reconciler,
            ledger,
            commit: None,
            next_commit_at: Duration::ZERO,
            link,
            to,
            target,
            own_eid,
            streams: (0..=streams).map(stream).collect(),
            answers: FuturesUnordered::new(),
            probing: false,
            asks: BTreeSet::new(),
            gate: Gate {
                first: backoff,
                wait: backoff,
                until: Duration::ZERO,
            },
            retransmit,
            clock,
            random: seed,
            writes: BTreeMap::new(),
            logged: BTreeSet::new(),
            last_refusal: None,
        }
    }

    /// Asks the PBX for everything it has, once it is heard.
    pub(super) fn ask(&mut self) {
        self.asks.extend(Package::ALL);
    }

    /// Asks the PBX for a sign of life, unless a question is out already.
    pub(super) fn probe(&mut self, every: Duration, give_up: Duration) {
        if !std::mem::replace(&mut self.probing, true) {
            let random = self.random();
            let outgoing = probe(&self.target, random);
            let timing = Retransmit {
                first: self.retransmit.first.min(every),
                longest: every,
                give_up,
            };
            self.send(Answerable::Probe, outgoing, timing);
        }
    }

    /// Whether a probe is out.
    pub(super) fn is_probing(&self) -> bool {
        self.probing
    }

    /// Does whatever can be done now: writes to the ledger, sends what waits. `up`: the PBX is heard, so what
    /// is sent has a chance of being answered.
    pub(super) fn pump(&mut self, up: bool) {
        let now = self.clock.now();
        self.start_commit(now);
        if !up || now < self.gate.until {
            return;
        }
        for index in 0..self.streams.len() {
            if self.streams[index].publisher.is_busy() {
                continue;
            }
            let random = self.random();
            let questions = index + 1 == self.streams.len();
            let stream = &mut self.streams[index];
            let next = if questions {
                self.asks.pop_first().map(|package| {
                    stream.doing = Doing::Asking(package);
                    stream
                        .publisher
                        .ask(package, self.own_eid, &self.target, random, now)
                })
            } else {
                let mut reconciler = self
                    .reconciler
                    .lock()
                    .expect("no holder of this lock panics");
                reconciler
                    .next(index, (now, SystemTime::now()), self.own_eid)
                    .map(|job| {
                        stream.doing = Doing::Telling(job.slot);
                        stream.publisher.say(&job.body, &self.target, random, now)
                    })
            };
            let next = next.or_else(|| {
                let renewal = stream.publisher.renew(&self.target, random, now)?;
                stream.doing = Doing::Renewing;
                Some(renewal)
            });
            if let Some(outgoing) = next {
                self.send(Answerable::Stream(index), outgoing, self.retransmit);
            }
        }
    }

    /// Waits for the next answer or the ledger. Cancel safe. Never resolves when nothing is out.
    pub(super) async fn event(&mut self) -> Found {
        let commit = async {
            match &mut self.commit {
                Some(commit) => commit.await,
                None => std::future::pending().await,
            }
        };
        let answer = async {
            match self.answers.next().await {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            committed = commit => {
                self.commit = None;
                // A panic in there is our own mistake and already told; the ledger stays as it was.
                if let Ok(committed) = committed {
                    self.committed(committed);
                }
                Found::default()
            }
            (of, response) = answer => match of {
                Answerable::Probe => {
                    self.probing = false;
                    Found::default()
                }
                Answerable::Stream(index) => self.answered(index, response.as_ref()),
            },
        }
    }

    /// When [`pump`](Self::pump) has something to do by time alone.
    pub(super) fn next_at(&self) -> Option<Duration> {
        let renewals = self
            .streams
            .iter()
            .filter(|stream| !stream.publisher.is_busy());
        let renewal = renewals
            .filter_map(|stream| stream.publisher.next_at())
            .min();
        let later = self.lock().next_at();
        let gathered =
            (self.commit.is_none() && self.lock().has_changes().0).then_some(self.next_commit_at);
        // What is due but held back waits for the gate.
        let work = renewal
            .into_iter()
            .chain(later)
            .min()
            .map(|at| at.max(self.gate.until));
        let gate = (self.gate.until > self.clock.now()).then_some(self.gate.until);
        work.into_iter().chain(gathered).chain(gate).min()
    }

    /// Whether anything is outstanding on a stream of slots.
    pub(super) fn is_telling(&self) -> bool {
        self.streams
            .iter()
            .any(|stream| matches!(stream.doing, Doing::Telling(_)))
    }

    /// What became of PUBLISHes, by result.
    pub(super) fn writes(&self) -> &BTreeMap<&'static str, u64> {
        &self.writes
    }

    /// Why the last refused PUBLISH was refused, and what to do; `None` when the last one was taken.
    pub(super) fn last_refusal(&self) -> Option<&str> {
        self.last_refusal.as_deref()
    }

    /// Whether the PBX refuses whatever is sent.
    pub(super) fn is_held_back(&self) -> bool {
        self.gate.wait > self.gate.first
    }

    /// Writes everything that is not on disk yet, and waits for it.
    pub(super) async fn close(mut self) {
        if let Some(commit) = self.commit.take()
            && let Ok(committed) = commit.await
        {
            self.committed(committed);
        }
        let (changes, _) = self.lock().take_changes();
        let ledger = self.ledger.clone();
        let written = tokio::task::spawn_blocking(move || ledger.write(&changes, true)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "ledger not written at the end"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Reconciler> {
        self.reconciler
            .lock()
            .expect("no holder of this lock panics")
    }

    fn start_commit(&mut self, now: Duration) {
        if self.commit.is_some() {
            return;
        }
        let (changes, sync) = {
            let mut reconciler = self.lock();
            let (any, waits) = reconciler.has_changes();
            // Somebody waits: at once. What comes meanwhile makes the next batch.
            if !any
                || (!waits && now < self.next_commit_at)
                || (self.ledger_failed() && now < self.next_commit_at)
            {
                return;
            }
            reconciler.take_changes()
        };
        let ledger = self.ledger.clone();
        self.next_commit_at = now + GATHER;
        self.commit = Some(tokio::task::spawn_blocking(move || {
            let written = ledger.write(&changes, sync);
            (changes, written)
        }));
    }

    fn committed(&mut self, (changes, written): Committed) {
        match written {
            Ok(()) => {
                self.writes.remove(LEDGER_FAILED);
                self.lock().recorded(&changes);
            }
            Err(error) => {
                if !self.ledger_failed() {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "ledger cannot be written: nothing new is told to the pbx until it can"
                    );
                }
                *self.writes.entry(LEDGER_FAILED).or_default() += 1;
                self.next_commit_at = self.clock.now() + LEDGER_RETRY;
                self.lock().not_recorded(changes);
            }
        }
    }

    fn ledger_failed(&self) -> bool {
        self.writes.contains_key(LEDGER_FAILED)
    }

    fn answered(&mut self, index: usize, response: Option<&Response>) -> Found {
        let now = self.clock.now();
        let random = self.random();
        let stream = &mut self.streams[index];
        let outcome = match response {
            Some(response) => stream
                .publisher
                .answered(response, &self.target, random, now),
            None => {
                stream.publisher.gave_up();
                let doing = std::mem::replace(&mut stream.doing, Doing::Nothing);
                self.count("unanswered");
                return Found {
                    asked: self.conclude(doing, Finished::Unknown, now),
                    forgot: None,
                };
            }
        };
        match outcome {
            Outcome::Again(outgoing) => {
                self.send(Answerable::Stream(index), outgoing, self.retransmit);
                Found::default()
            }
            Outcome::Taken { forgot } => {
                let doing = std::mem::replace(&mut stream.doing, Doing::Nothing);
                self.gate.open();
                self.last_refusal = None;
                self.logged.clear();
                self.count("taken");
                self.forgot(index, forgot);
                Found {
                    asked: self.conclude(doing, Finished::Taken, now),
                    forgot,
                }
            }
            Outcome::Refused { status, forgot } => {
                let doing = std::mem::replace(&mut stream.doing, Doing::Nothing);
                self.count("refused");
                self.refused(
                    status,
                    response.map_or("", |response| &response.reason),
                    &doing,
                );
                // A body that is not taken concerns its slot; everything else would meet all of them alike.
                let finished = match status {
                    400 | 413 | 500 => Finished::Refused,
                    _ => {
                        self.gate.close(now);
                        Finished::Unknown
                    }
                };
                self.forgot(index, forgot);
                Found {
                    asked: self.conclude(doing, finished, now),
                    forgot,
                }
            }
        }
    }

    /// What one stream found the others need not find again.
    fn forgot(&mut self, finder: usize, forgot: Option<Duration>) {
        if forgot.is_some() {
            let others = self
                .streams
                .iter_mut()
                .enumerate()
                .filter(|(index, _)| *index != finder);
            others.for_each(|(_, stream)| stream.publisher.forget());
        }
    }

    fn conclude(&mut self, doing: Doing, finished: Finished, now: Duration) -> Option<Asked> {
        match doing {
            Doing::Telling(slot) => self
                .lock()
                .finished(&slot, finished, (now, SystemTime::now())),
            Doing::Asking(package) => match finished {
                Finished::Taken => return Some(Asked::Taken(package)),
                Finished::Unknown if !self.is_held_back() => drop(self.asks.insert(package)),
                Finished::Unknown | Finished::Refused => return Some(Asked::Refused),
            },
            Doing::Renewing | Doing::Nothing => {}
        }
        None
    }

    fn refused(&mut self, status: u16, reason: &str, doing: &Doing) {
        let advice = advice(status);
        self.last_refusal = Some(format!("{status} {reason}: {advice}"));
        if self.logged.insert(status) {
            tracing::warn!(status, reason, what = ?doing, advice, "pbx refuses what it is told; tried again later");
        }
    }

    fn count(&mut self, result: &'static str) {
        *self.writes.entry(result).or_default() += 1;
    }

    fn send(&self, of: Answerable, outgoing: Outgoing, timing: Retransmit) {
        let request = Link::request(self.link.clone(), self.to, outgoing, timing);
        self.answers
            .push(Box::pin(async move { (of, request.await) }));
    }

    /// SplitMix64: branches and client nonces must differ, not be secret.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Counted beside the results of PUBLISHes while the ledger cannot be written.
const LEDGER_FAILED: &str = "ledger_failed";

impl Gate {
    fn open(&mut self) {
        (self.wait, self.until) = (self.first, Duration::ZERO);
    }

    fn close(&mut self, now: Duration) {
        // Several streams are refused together; that is one refusal.
        if now >= self.until {
            self.until = now + self.wait;
            self.wait = (self.wait * 2).min(self.first * LONGEST_BACKOFF);
        }
    }
}
