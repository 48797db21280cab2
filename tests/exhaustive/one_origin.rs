//! One origin, copies of its map, two keys.
//!
//! Copies are interchangeable and messages are addressed to nobody: whatever is in flight may reach any copy,
//! any number of times, in any order, or none. A copy answers any question, also one that nobody here would
//! ask any more. All of that is more than a real network does.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use presence_mesh::crdt::{Content, Delta, Entry, Head, Hlc, OriginMap};
use presence_mesh::model::{Incarnation, Key, Source, SpaceId, Value};
use stateright::{Model, Property};

use crate::canonical::{Canonical, Copy};

/// How large the world is, and what its senders do.
#[derive(Debug, Clone)]
pub struct OneOrigin {
    /// Besides the origin's own map.
    pub copies: usize,
    /// In all lives together.
    pub writes: usize,
    pub lives: usize,
    /// Different messages at once; what is sent when so many are in flight is lost.
    pub in_flight: usize,
    /// Pending ranges that a copy keeps.
    pub pending: usize,
    pub senders: Senders,
}

/// The sender's rule, or one of the wrong ones that are known to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Senders {
    /// What is shipped.
    Right,
    /// An answer says that it leads to the origin's head, though the answerer's own is lower.
    ClaimMore,
    /// An answer that does not fit a page is cut, and claims to be all up to its last entry.
    CutShort,
    /// Below the watermark, an ordinary delta is sent.
    NeverReset,
    /// A reset says that nothing was collected.
    ResetWithoutWatermark,
    /// A delta says that it can be applied by everyone: copies count by the greatest seq.
    BaseTooLow,
    /// The origin collects tombstones that it has not gossiped yet.
    CollectUnpublished,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// All that the origin ever wrote, by life: the truth.
    history: Arc<Vec<Vec<Write>>>,
    /// The origin's own map.
    origin: Arc<Canonical<Copy>>,
    /// The origin has gossiped its writes up to here.
    published: u64,
    /// Sorted, for they are interchangeable.
    copies: Vec<Arc<Canonical<Copy>>>,
    /// Sorted, each once.
    in_flight: Vec<Arc<Canonical<Delta>>>,
    broken: Option<Broken>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Write {
    key: u8,
    set: bool,
}

/// What a step did that no step may do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Broken {
    WentBack,
    Panicked,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Write(Write),
    /// Gossips what was written since the last time.
    Publish {
        lost: bool,
    },
    /// The origin (0) or a copy answers someone who has everything up to `known`.
    Answer {
        from: usize,
        known: u64,
    },
    Deliver {
        message: usize,
        to: usize,
    },
    Lose {
        message: usize,
    },
    /// The origin (0) or a copy forgets a tombstone.
    Collect {
        at: usize,
        seq: u64,
    },
    /// The origin dies and starts again with nothing.
    Restart,
}

/// A copy's live map equals the origin's as it was when its seq was the copy's head.
pub const J: &str = "J: a copy is a true moment of its origin";
/// Though the origin will never speak again.
pub const DEAD_CONVERGES: &str = "healing converges without the origin";

const KEYS: [&str; 2] = ["x", "y"];

impl Model for OneOrigin {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let nothing = Arc::new(Canonical::from(Copy::new(life(0))));
        vec![State {
            history: Arc::new(vec![Vec::new()]),
            origin: nothing.clone(),
            published: 0,
            copies: vec![nothing; self.copies],
            in_flight: Vec::new(),
            broken: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let own = &state.origin.value.map;
        let written: usize = state.history.iter().map(Vec::len).sum();
        if written < self.writes {
            // Keys are interchangeable, so the first write of all may as well be to the first of them.
            for index in if written == 0 { 0..1 } else { 0..2 } {
                let set = |set| Action::Write(Write { key: index, set });
                actions.push(set(true));
                let held = own.get(&key(index)).filter(|entry| !entry.is_tombstone());
                actions.extend(held.map(|_| set(false)));
            }
        }
        if own.head() > state.published {
            actions.push(Action::Publish { lost: true });
        }
        if state.in_flight.len() < self.in_flight {
            if own.head() > state.published {
                actions.push(Action::Publish { lost: false });
            }
            for from in 0..=self.copies {
                let map = &state.replica(from).value.map;
                let begins = map.head() == 0 && number(map.incarnation()) > 0;
                let known = 0..map.head().max(u64::from(begins));
                actions.extend(known.map(|known| Action::Answer { from, known }));
            }
        }
        for message in 0..state.in_flight.len() {
            actions.push(Action::Lose { message });
            actions.extend((1..=self.copies).map(|to| Action::Deliver { message, to }));
        }
        for at in 0..=self.copies {
            let published = at > 0 || self.senders == Senders::CollectUnpublished;
            let upto = if published { u64::MAX } else { state.published };
            let ripe = state.replica(at).value.map.tombstones();
            let ripe = ripe.filter(|seq| *seq <= upto);
            actions.extend(ripe.map(|seq| Action::Collect { at, seq }));
        }
        if state.history.len() < self.lives {
            actions.push(Action::Restart);
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
            Property::always(J, |_, state: &State| {
                state
                    .all()
                    .all(|copy| state.is_true_moment(&copy.value.map))
            }),
            Property::always("M: heads never go back", |_, state: &State| {
                state.broken != Some(Broken::WentBack)
            }),
            Property::always("A: equal heads, equal maps", |_, state: &State| {
                let alike = |a: &Copy, b: &Copy| {
                    a.head() != b.head()
                        || (live(&a.map) == live(&b.map) && a.map.hash() == b.map.hash())
                };
                state
                    .all()
                    .all(|a| state.all().all(|b| alike(&a.value, &b.value)))
            }),
            Property::always("O: one dot, one content", |_, state: &State| {
                let held = state.all().flat_map(|copy| copy.value.entries());
                let sent = state.in_flight.iter().flat_map(|message| {
                    let delta = &message.value;
                    let entries = delta.entries.iter().cloned();
                    entries.map(|(key, entry)| (delta.incarnation, key, entry))
                });
                held.chain(sent)
                    .all(|(life, key, entry)| state.wrote(life, &key, &entry))
            }),
            Property::always("the watermark is at most the head", |_, state: &State| {
                state
                    .all()
                    .all(|copy| copy.value.map.watermark() <= copy.value.map.head())
            }),
            Property::always("no assertion of the core fails", |_, state: &State| {
                state.broken != Some(Broken::Panicked)
            }),
            Property::always("healing converges", |model: &Self, state: &State| {
                model.heals(state, true)
            }),
            Property::always(DEAD_CONVERGES, |model: &Self, state: &State| {
                model.heals(state, false)
            }),
            Property::sometimes(
                "a range waits for what precedes it",
                |model: &Self, state: &State| {
                    model.pending == 0
                        || state
                            .copies
                            .iter()
                            .any(|copy| !copy.value.pending.is_empty())
                },
            ),
            Property::sometimes(
                "a copy is behind another's watermark",
                |_, state: &State| {
                    let behind = |a: &Copy, b: &Copy| {
                        a.head().incarnation == b.head().incarnation
                            && a.head().seq < b.map.watermark()
                    };
                    state
                        .copies
                        .iter()
                        .any(|a| state.copies.iter().any(|b| behind(&a.value, &b.value)))
                },
            ),
            Property::sometimes(
                "a copy holds an earlier life",
                |model: &Self, state: &State| {
                    let earlier = |copy: &Copy| {
                        copy.head().incarnation < state.origin.value.head().incarnation
                            && !copy.map.is_empty()
                    };
                    model.lives == 1 || state.copies.iter().any(|copy| earlier(&copy.value))
                },
            ),
        ]
    }
}

impl OneOrigin {
    fn step(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Write(write) => {
                let history = Arc::make_mut(&mut state.history);
                let written = history.last_mut().expect("there is a life");
                written.push(write);
                let content = content(
                    history.len() - 1,
                    history[history.len() - 1].len() as u64,
                    write,
                );
                let mut own = state.origin.value.clone();
                let hlc = Hlc(own.map.head() + 1);
                own.map.write(key(write.key), hlc, content);
                state.origin = Arc::new(own.into());
            }
            Action::Publish { lost } => {
                let batch = batch(&state.origin.value.map, state.published);
                state.published = state.origin.value.map.head();
                if !lost {
                    state.send(batch);
                }
            }
            Action::Answer { from, known } => {
                let answerer = &state.replica(from).value;
                let known = Head {
                    incarnation: answerer.map.incarnation(),
                    seq: known,
                };
                let delta = self.answer(&answerer.map, known, last)?;
                if !state.send(delta) {
                    return None;
                }
            }
            Action::Deliver { message, to } => {
                let before = &last.copies[to - 1];
                let mut copy = before.value.clone();
                copy.accept(last.in_flight[message].value.clone(), self.pending);
                let went_back = copy.head() < before.value.head();
                let copy = Canonical::from(copy);
                if copy == **before {
                    return None;
                }
                state.copies[to - 1] = Arc::new(copy);
                state.copies.sort_unstable();
                state.broken = went_back.then_some(Broken::WentBack);
            }
            Action::Lose { message } => {
                state.in_flight.remove(message);
            }
            Action::Collect { at, seq } => {
                let mut copy = state.replica(at).value.clone();
                copy.map.collect([seq]);
                let copy = Arc::new(copy.into());
                match at {
                    0 => state.origin = copy,
                    _ => {
                        state.copies[at - 1] = copy;
                        state.copies.sort_unstable();
                    }
                }
            }
            Action::Restart => {
                let history = Arc::make_mut(&mut state.history);
                history.push(Vec::new());
                let next = life(history.len() - 1);
                state.origin = Arc::new(Copy::new(next).into());
                state.published = 0;
            }
        }
        Some(state)
    }

    /// What a replica with this map answers to someone who knows that much; `None` when that is nothing.
    fn answer(&self, map: &OriginMap, known: Head, state: &State) -> Option<Delta> {
        let budget = if self.senders == Senders::CutShort {
            1
        } else {
            usize::MAX
        };
        let piece = map.piece(known, None, budget)?;
        let last = piece.entries.last().map(|(_, entry)| entry.seq());
        let delta = Delta {
            incarnation: map.incarnation(),
            base: piece.base,
            upto: piece
                .upto
                .or(last)
                .expect("a piece that is not the last holds entries"),
            reset: piece.reset,
            entries: piece.entries,
        };
        let delta = match self.senders {
            Senders::ClaimMore => Delta {
                upto: state.history[number(map.incarnation())].len() as u64,
                ..delta
            },
            Senders::NeverReset if delta.reset.is_some() => batch(map, known.seq),
            Senders::ResetWithoutWatermark => Delta {
                reset: delta.reset.map(|_| 0),
                ..delta
            },
            Senders::BaseTooLow => Delta { base: 0, ..delta },
            _ => delta,
        };
        // With nothing to say yet, the header alone still tells that a later life has begun.
        let begins = map.head() == 0 && number(map.incarnation()) > 0;
        (delta.base < delta.upto || begins).then_some(delta)
    }

    /// The closed healing schedule: everything in flight is lost (that it arrives instead is another state, and
    /// is healed too), then every replica asks every other, until nothing changes. `with_origin`: whether the
    /// origin is still there to be asked.
    fn heals(&self, state: &State, with_origin: bool) -> bool {
        let healed = catch_unwind(AssertUnwindSafe(|| {
            let mut replicas: Vec<Copy> = state.all().map(|copy| copy.value.clone()).collect();
            if !with_origin {
                replicas.remove(0);
            }
            let asks = usize::from(with_origin)..replicas.len();
            for _ in 0..ROUNDS {
                for asker in asks.clone() {
                    for from in (0..replicas.len()).filter(|from| *from != asker) {
                        let known = replicas[asker].head();
                        if let Some(delta) = self.answer(&replicas[from].map, known, state) {
                            replicas[asker].accept(delta, self.pending);
                        }
                    }
                }
            }
            let first = &replicas[0];
            replicas.iter().all(|copy| {
                copy.head() == first.head()
                    && live(&copy.map) == live(&first.map)
                    && copy.map.hash() == first.map.hash()
                    && (copy.pending.is_empty() || !with_origin)
            })
        }));
        healed.unwrap_or(false)
    }
}

/// The first round brings the furthest to everyone, directly or, for whoever asked too early, in the second.
const ROUNDS: usize = 2;

impl State {
    /// The origin's own map, then the copies.
    fn all(&self) -> impl Iterator<Item = &Canonical<Copy>> {
        std::iter::once(&*self.origin).chain(self.copies.iter().map(|copy| &**copy))
    }

    fn replica(&self, index: usize) -> &Canonical<Copy> {
        match index {
            0 => &self.origin,
            _ => &self.copies[index - 1],
        }
    }

    /// Says whether it was not in flight already.
    fn send(&mut self, delta: Delta) -> bool {
        let message = Canonical::from(delta);
        match self
            .in_flight
            .binary_search_by(|other| (**other).cmp(&message))
        {
            Ok(_) => false,
            Err(place) => {
                self.in_flight.insert(place, Arc::new(message));
                true
            }
        }
    }

    /// Whether the live map is what the origin's was when its seq was this head.
    fn is_true_moment(&self, map: &OriginMap) -> bool {
        let written = &self.history[number(map.incarnation())];
        let Ok(head) = usize::try_from(map.head()) else {
            return false;
        };
        if head > written.len() {
            return false;
        }
        let mut moment = [0; 2];
        for (write, seq) in written[..head].iter().zip(1..) {
            moment[usize::from(write.key)] = if write.set { seq } else { 0 };
        }
        live(map) == moment && map.len() == moment.iter().filter(|seq| **seq > 0).count()
    }

    /// Whether the origin wrote this, word for word.
    fn wrote(&self, life: Incarnation, held: &Key, entry: &Entry) -> bool {
        let index = number(life);
        let write = usize::try_from(entry.seq() - 1).ok();
        let write = write.and_then(|seq| self.history.get(index)?.get(seq).copied());
        write.is_some_and(|write| {
            *held == key(write.key)
                && entry.hlc() == Hlc(entry.seq())
                && *entry.content() == content(index, entry.seq(), write)
        })
    }
}

/// A frame's delta, as the origin makes it: everything since the last frame, never a reset.
fn batch(own: &OriginMap, published: u64) -> Delta {
    Delta {
        incarnation: own.incarnation(),
        base: published,
        upto: own.head(),
        reset: None,
        entries: own.page(published, usize::MAX).entries,
    }
}

/// For each key the seq of its value, or 0.
fn live(map: &OriginMap) -> [u64; 2] {
    [0, 1].map(|index| {
        let held = map.get(&key(index)).filter(|entry| !entry.is_tombstone());
        held.map_or(0, Entry::seq)
    })
}

/// Every write says something that no other says.
fn content(life: usize, seq: u64, write: Write) -> Content {
    let value = [
        u8::try_from(life).expect("few lives"),
        u8::try_from(seq).expect("few writes"),
    ];
    Content {
        value: write.set.then(|| Value::from_bytes(&value).expect("short")),
        source: Source::API,
        over: None,
    }
}

fn key(index: u8) -> Key {
    thread_local! {
        static MADE: [Key; 2] = KEYS.map(|name| Key::new(SpaceId::DEVICES, name).expect("a key"));
    }
    MADE.with(|keys| keys[usize::from(index)].clone())
}

fn life(index: usize) -> Incarnation {
    Incarnation(index as u64 + 1)
}

fn number(life: Incarnation) -> usize {
    usize::try_from(life.0 - 1).expect("few lives")
}
