//! Two origins that write one shared key, and readers.
//!
//! Messages are addressed to nobody, as in `one_origin`. The second origin's clock may be ahead.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use presence_mesh::crdt::{
    Claim, Content, Delta, Dot, Entry, Head, Hlc, HybridClock, OriginMap, Stamp, latest_writer,
    write_over,
};
use presence_mesh::model::{Incarnation, Key, ReplicaId, Source, SpaceId, Value};
use stateright::{Model, Property};

use crate::canonical::{Canonical, Copy};

/// How large the world is, and how its readers decide.
#[derive(Debug, Clone)]
pub struct SharedKey {
    /// By each of the two origins.
    pub writes: usize,
    /// Replicas besides the two origins.
    pub readers: usize,
    /// Different messages at once.
    pub in_flight: usize,
    /// The second origin's wall clock, less the others'.
    pub ahead_ms: u64,
    /// How often time moves on, by [`TICK_MS`].
    pub ticks: u64,
    pub readings: Readings,
}

/// What readers make of two origins' entries, or a wrong way that is known to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readings {
    /// What is shipped.
    Right,
    /// A stamp is only a time, and of equal ones the first that is met stays: a bare last-writer-wins register.
    StampWithoutReplica,
    /// The later of two entries hides the other, also when it is a tombstone.
    TombstonesCompete,
    /// A write over a stamp from the future does not name it.
    NeverNamed,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// All that each origin ever wrote: the truth.
    history: Arc<[Vec<Written>; 2]>,
    /// The two origins, then the readers.
    nodes: Vec<Node>,
    /// Sorted, each once: the origin and a delta of it.
    in_flight: Vec<(usize, Arc<Canonical<Delta>>)>,
    ticks: u64,
    broken: Option<Broken>,
}

/// A replica: what it knows of the two origins, and its clock.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Node {
    maps: [Arc<Canonical<Copy>>; 2],
    clock: Hlc,
}

/// A write as it was meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Written {
    how: How,
    hlc: Hlc,
    over: Vec<Dot>,
    /// How much its writer knew of the other origin.
    seen: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum How {
    Set,
    Clear,
    /// What an adapter merely found there.
    Restate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Broken {
    WentBack,
    /// A writer does not see what it has just written.
    NotShown,
    Panicked,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Write {
        by: usize,
        how: How,
    },
    Answer {
        from: usize,
        origin: usize,
        known: u64,
    },
    Deliver {
        message: usize,
        to: usize,
    },
    Lose {
        message: usize,
    },
    Collect {
        at: usize,
        origin: usize,
        seq: u64,
    },
    Tick,
}

/// Whoever knows the same shows the same, in whatever order it looks.
pub const ONE_WINNER: &str = "equal heads show one winner, in any order";
/// The last writer who saw the value wins.
pub const LAST_WRITER: &str = "what a writer saw never beats what it wrote";

const LIFE: Incarnation = Incarnation(1);
const DRIFT_MS: u64 = 5;
/// Less than the drift, so that there is a time when a stamp from the future is believed and not yet past.
const TICK_MS: u64 = 4;

impl Model for SharedKey {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let nothing = Arc::new(Canonical::from(Copy::new(LIFE)));
        let node = Node {
            maps: [nothing.clone(), nothing],
            clock: Hlc::ZERO,
        };
        vec![State {
            history: Arc::default(),
            nodes: vec![node; 2 + self.readers],
            in_flight: Vec::new(),
            ticks: 0,
            broken: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for by in 0..2 {
            if state.history[by].len() < self.writes {
                let own = state.nodes[by].maps[by].value.map.get(&key());
                actions.push(Action::Write { by, how: How::Set });
                if own.is_some_and(|entry| !entry.is_tombstone()) {
                    actions.push(Action::Write {
                        by,
                        how: How::Clear,
                    });
                } else if own.is_none() {
                    actions.push(Action::Write {
                        by,
                        how: How::Restate,
                    });
                }
            }
        }
        for (at, node) in state.nodes.iter().enumerate() {
            for (origin, copy) in node.maps.iter().enumerate() {
                let map = &copy.value.map;
                if state.in_flight.len() < self.in_flight {
                    let answer = |known| Action::Answer {
                        from: at,
                        origin,
                        known,
                    };
                    actions.extend((0..map.head()).map(answer));
                }
                actions.extend(
                    map.tombstones()
                        .map(|seq| Action::Collect { at, origin, seq }),
                );
            }
        }
        for (message, (origin, _)) in state.in_flight.iter().enumerate() {
            actions.push(Action::Lose { message });
            let others = (0..state.nodes.len()).filter(|to| to != origin);
            actions.extend(others.map(|to| Action::Deliver { message, to }));
        }
        if state.ticks < self.ticks {
            actions.push(Action::Tick);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let stepped = catch_unwind(AssertUnwindSafe(|| self.step(last, action)));
        stepped.unwrap_or_else(|_| {
            Some(State {
                broken: Some(Broken::Panicked),
                ..last.clone()
            })
        })
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "J: a copy is a true moment of its origin",
                |_, state: &State| {
                    let true_moments =
                        |node: &Node| (0..2).all(|origin| state.is_true_moment(node, origin));
                    state.nodes.iter().all(true_moments)
                },
            ),
            Property::always("M: heads never go back", |_, state: &State| {
                state.broken != Some(Broken::WentBack)
            }),
            Property::always("A: equal heads, equal maps", |_, state: &State| {
                let alike = |a: &OriginMap, b: &OriginMap| {
                    a.head() != b.head() || (live(a) == live(b) && a.hash() == b.hash())
                };
                let both =
                    |a: &Node, b: &Node| (0..2).all(|origin| alike(a.map(origin), b.map(origin)));
                state
                    .nodes
                    .iter()
                    .all(|a| state.nodes.iter().all(|b| both(a, b)))
            }),
            Property::always("O: one dot, one content", |_, state: &State| {
                let held = state.nodes.iter().flat_map(|node| {
                    (0..2).flat_map(|origin| {
                        let entries = node.maps[origin].value.entries();
                        entries
                            .into_iter()
                            .map(move |(_, _, entry)| (origin, entry))
                    })
                });
                let sent = state.in_flight.iter().flat_map(|(origin, message)| {
                    message
                        .value
                        .entries
                        .iter()
                        .map(|(_, entry)| (*origin, entry.clone()))
                });
                held.chain(sent)
                    .all(|(origin, entry)| state.wrote(origin, &entry))
            }),
            Property::always(ONE_WINNER, |model: &Self, state: &State| {
                state.limits(model).iter().all(|limit| {
                    let winner = |node: &Node, reverse| {
                        model.winner(node, *limit, reverse).map(|stamp| stamp.dot())
                    };
                    state.nodes.iter().all(|a| {
                        let winner_here = winner(a, false);
                        let alike = |b: &Node| {
                            a.heads() != b.heads()
                                || (winner(b, false) == winner_here
                                    && winner(b, true) == winner_here)
                        };
                        state.nodes.iter().all(alike)
                    })
                })
            }),
            Property::always(LAST_WRITER, |model: &Self, state: &State| {
                state.limits(model).iter().all(|limit| {
                    state.nodes.iter().all(|node| {
                        let winner = model.winner(node, *limit, false);
                        winner
                            .is_none_or(|winner| !state.was_overwritten(node, winner.dot(), *limit))
                    })
                })
            }),
            Property::always("a writer sees what it wrote", |_, state: &State| {
                state.broken != Some(Broken::NotShown)
            }),
            Property::always("no assertion of the core fails", |_, state: &State| {
                state.broken != Some(Broken::Panicked)
            }),
            Property::always("healing converges", |model: &Self, state: &State| {
                model.heals(state)
            }),
            Property::sometimes("a held-back stamp loses", |model: &Self, state: &State| {
                let held = |claim: &Claim<'_>| claim.held;
                let loses = |node: &Node| {
                    let limit = state.now() + DRIFT_MS;
                    let claims = claims(node, limit);
                    claims.len() == 2 && claims.iter().filter(|claim| held(claim)).count() == 1
                };
                model.ahead_ms <= DRIFT_MS || state.nodes.iter().any(loses)
            }),
            Property::sometimes(
                "a tombstone is forgotten where the other's value is shown",
                |model: &Self, state: &State| {
                    let forgotten =
                        |node: &Node| node.map(0).watermark() > 0 && !node.map(1).is_empty();
                    model.writes == 1 || state.nodes.iter().any(forgotten)
                },
            ),
        ]
    }
}

impl SharedKey {
    fn step(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Write { by, how } => {
                let node = &last.nodes[by];
                let wall_ms = self.wall_ms(last, by);
                let written = self.stamp(node, by, how, wall_ms);
                let mut own = node.maps[by].value.clone();
                let seq =
                    own.map
                        .write(key(), written.hlc, written.content(by, own.map.head() + 1));
                let clock = node.clock.max(written.hlc);
                Arc::make_mut(&mut state.history)[by].push(written);
                state.nodes[by].maps[by] = Arc::new(own.into());
                state.nodes[by].clock = clock;
                let winner = self.winner(&state.nodes[by], wall_ms + DRIFT_MS, false);
                let shown = winner.is_some_and(|stamp| stamp.dot() == dot(by, seq));
                state.broken = (how == How::Set && !shown).then_some(Broken::NotShown);
            }
            Action::Answer {
                from,
                origin,
                known,
            } => {
                let delta = answer(last.nodes[from].map(origin), known)?;
                let message = (origin, Arc::new(Canonical::from(delta)));
                let place = state.in_flight.binary_search(&message).err()?;
                state.in_flight.insert(place, message);
            }
            Action::Deliver { message, to } => {
                let (origin, delta) = &last.in_flight[message];
                let before = &last.nodes[to].maps[*origin];
                let mut copy = before.value.clone();
                let changed = copy.accept(delta.value.clone(), 0);
                let went_back = copy.head() < before.value.head();
                let copy = Canonical::from(copy);
                if copy == **before {
                    return None;
                }
                let mut clock = HybridClock::above(last.nodes[to].clock);
                for entry in changed.iter().filter_map(|key| copy.value.map.get(key)) {
                    clock.observe(entry.hlc(), self.wall_ms(last, to), DRIFT_MS);
                }
                state.nodes[to].clock = clock.last();
                state.nodes[to].maps[*origin] = Arc::new(copy);
                state.broken = went_back.then_some(Broken::WentBack);
            }
            Action::Lose { message } => {
                state.in_flight.remove(message);
            }
            Action::Collect { at, origin, seq } => {
                let mut copy = last.nodes[at].maps[origin].value.clone();
                copy.map.collect([seq]);
                state.nodes[at].maps[origin] = Arc::new(copy.into());
            }
            Action::Tick => state.ticks += 1,
        }
        Some(state)
    }

    /// How the replica stamps a write to a shared key.
    fn stamp(&self, node: &Node, by: usize, how: How, wall_ms: u64) -> Written {
        let claims = claims(node, wall_ms + DRIFT_MS);
        let (floor, held) = write_over(claims.iter().copied());
        let own = node.map(by).get(&key());
        let over = match how {
            How::Clear => own.map_or(Vec::new(), |entry| entry.over().to_vec()),
            _ if self.readings == Readings::NeverNamed => Vec::new(),
            _ => held,
        };
        let hlc = match how {
            How::Restate => Hlc::ZERO,
            _ => HybridClock::above(node.clock).tick(wall_ms, floor),
        };
        Written {
            how,
            hlc,
            over,
            seen: node.map(1 - by).head(),
        }
    }

    /// What a reader shows; `reverse`: it looks at the origins in the other order.
    fn winner(&self, node: &Node, limit_ms: u64, reverse: bool) -> Option<Stamp> {
        let mut claims = claims(node, limit_ms);
        if reverse {
            claims.reverse();
        }
        match self.readings {
            Readings::Right | Readings::NeverNamed => {
                latest_writer(claims.iter().copied()).map(|register| register.marker)
            }
            Readings::StampWithoutReplica => {
                let stamps = claims.iter().map(|claim| claim.stamp);
                stamps.reduce(|a, b| if b.hlc > a.hlc { b } else { a })
            }
            Readings::TombstonesCompete => {
                let latest =
                    (0..2).filter_map(|origin| Some((origin, node.map(origin).get(&key())?)));
                let latest = latest.max_by_key(|(origin, entry)| stamp(*origin, entry));
                latest
                    .filter(|(_, entry)| !entry.is_tombstone())
                    .map(|(origin, entry)| stamp(origin, entry))
            }
        }
    }

    /// The closed healing schedule: what is in flight is lost, then all ask all, about both origins.
    fn heals(&self, state: &State) -> bool {
        let healed = catch_unwind(AssertUnwindSafe(|| {
            let mut nodes = state.nodes.clone();
            for _ in 0..2 {
                for asker in 0..nodes.len() {
                    for from in (0..nodes.len()).filter(|from| *from != asker) {
                        for origin in (0..2).filter(|origin| *origin != asker) {
                            let known = nodes[asker].map(origin).head();
                            if let Some(delta) = answer(nodes[from].map(origin), known) {
                                let mut copy = nodes[asker].maps[origin].value.clone();
                                copy.accept(delta, 0);
                                nodes[asker].maps[origin] = Arc::new(copy.into());
                            }
                        }
                    }
                }
            }
            let shows = |node: &Node| {
                let limits = state.limits(self);
                limits.map(|limit| self.winner(node, limit, false).map(|stamp| stamp.dot()))
            };
            let (heads, shown) = (nodes[0].heads(), shows(&nodes[0]));
            nodes
                .iter()
                .all(|node| node.heads() == heads && shows(node) == shown)
        }));
        healed.unwrap_or(false)
    }

    fn wall_ms(&self, state: &State, node: usize) -> u64 {
        state.now() + if node == 1 { self.ahead_ms } else { 0 }
    }
}

impl State {
    /// True time, in ms.
    fn now(&self) -> u64 {
        1 + self.ticks * TICK_MS
    }

    /// The greatest stamps believed: by right clocks, by the second origin's, and at the end of time.
    fn limits(&self, model: &SharedKey) -> [u64; 3] {
        let now = self.now();
        [
            now + DRIFT_MS,
            now + model.ahead_ms + DRIFT_MS,
            u64::MAX >> 16,
        ]
    }

    fn is_true_moment(&self, node: &Node, origin: usize) -> bool {
        let map = node.map(origin);
        let head = usize::try_from(map.head()).unwrap_or(usize::MAX);
        head <= self.history[origin].len() && live(map) == self.live_at(origin, map.head())
    }

    /// The seq of the origin's value when that was its head; 0 when it had none.
    fn live_at(&self, origin: usize, head: u64) -> u64 {
        let write = usize::try_from(head)
            .ok()
            .and_then(|head| self.history[origin].get(head.checked_sub(1)?));
        write
            .filter(|write| write.how != How::Clear)
            .map_or(0, |_| head)
    }

    fn wrote(&self, origin: usize, entry: &Entry) -> bool {
        let index = usize::try_from(entry.seq() - 1).unwrap_or(usize::MAX);
        self.history[origin].get(index).is_some_and(|written| {
            entry.hlc() == written.hlc && *entry.content() == written.content(origin, entry.seq())
        })
    }

    /// Whether this node knows of a value, not held back, whose writer saw that dot as its origin's value.
    fn was_overwritten(&self, node: &Node, winner: Dot, limit_ms: u64) -> bool {
        let origin = usize::from(winner.replica.public_key()[0]);
        let by = 1 - origin;
        let seq = live(node.map(by));
        let index = usize::try_from(seq).ok().and_then(|seq| seq.checked_sub(1));
        let written = index.map(|index| &self.history[by][index]);
        written.is_some_and(|written| {
            written.how == How::Set
                && written.hlc.wall_ms() <= limit_ms
                && self.live_at(origin, written.seen) == winner.seq
        })
    }
}

impl Node {
    fn map(&self, origin: usize) -> &OriginMap {
        &self.maps[origin].value.map
    }

    fn heads(&self) -> [u64; 2] {
        [self.map(0).head(), self.map(1).head()]
    }
}

impl Written {
    /// Every write says something that no other says.
    fn content(&self, origin: usize, seq: u64) -> Content {
        let value = [
            u8::try_from(origin).expect("two"),
            u8::try_from(seq).expect("few writes"),
        ];
        Content {
            value: (self.how != How::Clear).then(|| Value::from_bytes(&value).expect("short")),
            source: Source::API,
            over: (!self.over.is_empty()).then(|| Box::new(self.over.clone())),
        }
    }
}

/// What a replica with this map of an origin answers to someone who has everything up to `known`.
fn answer(map: &OriginMap, known: u64) -> Option<Delta> {
    let known = Head {
        incarnation: LIFE,
        seq: known,
    };
    let piece = map.piece(known, None, usize::MAX)?;
    let delta = Delta {
        incarnation: LIFE,
        base: piece.base,
        upto: piece.upto.expect("without a budget all fits"),
        reset: piece.reset,
        entries: piece.entries,
    };
    (delta.base < delta.upto).then_some(delta)
}

fn claims(node: &Node, limit_ms: u64) -> Vec<Claim<'_>> {
    let entries = (0..2).filter_map(|origin| Some((origin, node.map(origin).get(&key())?)));
    let claims = entries.filter_map(|(origin, entry)| {
        Some(Claim {
            stamp: stamp(origin, entry),
            value: entry.value()?,
            over: entry.over(),
            held: entry.hlc().wall_ms() > limit_ms,
        })
    });
    claims.collect()
}

fn stamp(origin: usize, entry: &Entry) -> Stamp {
    Stamp {
        hlc: entry.hlc(),
        replica: replica(origin),
        incarnation: LIFE,
        seq: entry.seq(),
    }
}

fn dot(origin: usize, seq: u64) -> Dot {
    Dot {
        replica: replica(origin),
        incarnation: LIFE,
        seq,
    }
}

/// The seq of the value, or 0.
fn live(map: &OriginMap) -> u64 {
    let held = map.get(&key()).filter(|entry| !entry.is_tombstone());
    held.map_or(0, Entry::seq)
}

fn replica(origin: usize) -> ReplicaId {
    ReplicaId::from_public_key([u8::try_from(origin).expect("two"); 32])
}

fn key() -> Key {
    thread_local! {
        static MADE: Key = Key::new(SpaceId::MAILBOXES, "100@default").expect("a key");
    }
    MADE.with(Clone::clone)
}
