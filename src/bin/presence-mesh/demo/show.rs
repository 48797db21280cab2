//! The demonstration as a panel: what happens is painted, and keys make it happen.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use presence_mesh::DeviceState;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::engine::{Engine, Happening};
use super::eyes::{self, Eyes};
use super::lines::{Lines, words};
use super::phones::Reading;
use super::sightings::Seen;
use super::stage::{Fault, Wish as StageWish};
use crate::panel::{
    Board, FRAME, Keys, Network, Press, Scope, Screen, Theme, Told, Weight, Wish, report,
};
use crate::run::Stop;
use crate::{output, span};

/// How often it is looked how the nodes stand to each other.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A change on its way makes digests differ for some milliseconds: no news.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// The panel of the demonstration.
pub struct Show {
    screen: Screen,
    keys: Keys,
    board: Board,
    eyes: Eyes,
    looked_at: Option<Instant>,
    /// When all digests were equal last.
    agreed_at: Instant,
    /// Somebody was made to ring this phone; how long that takes to be seen is told.
    called: Option<String>,
}

impl Show {
    /// Takes the terminal.
    pub fn begin(engine: &Engine, http: SocketAddr, theme: Theme) -> anyhow::Result<Self> {
        let now = Instant::now();
        let mut board = Board::new(Scope::Demo, now);
        board.tell(Told::People(engine.people()), now);
        let (nodes, phones) = (engine.sites().count(), engine.lamps());
        let took = span::took(engine.converged_in());
        for text in [
            format!("{nodes} nodes and {phones} phones are up, converged in {took}"),
            format!("http://{http} shows the same to a browser"),
            "press x to cut the network in two, ? for help".to_owned(),
        ] {
            board.note(now, &text, Weight::Plain);
        }
        let (site, mesh) = engine
            .sites()
            .running()
            .next()
            .expect("one node always runs");
        Ok(Self {
            screen: Screen::take(theme)?,
            keys: Keys::listen(),
            board,
            eyes: Eyes::of(site, mesh),
            looked_at: None,
            agreed_at: now,
            called: None,
        })
    }

    /// Shows what happens until somebody has seen enough.
    pub async fn run(
        mut self,
        engine: &mut Engine,
        lines: &mut Lines,
        wishes: &mut mpsc::Receiver<StageWish>,
        logs: &mut mpsc::Receiver<String>,
        over: impl Future<Output = ()>,
        stop: &mut Stop,
    ) -> anyhow::Result<()> {
        let mut frames = tokio::time::interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(over);
        loop {
            tokio::select! {
                _ = stop.next() => return Ok(()),
                () = &mut over => return Ok(()),
                happening = engine.next() => self.take(&happening?, engine, lines),
                Some(wish) = wishes.recv() => {
                    super::grant(wish, engine, lines).await;
                    self.looked_at = None;
                }
                Some(line) = logs.recv() => self.board.note(Instant::now(), &line, Weight::Bad),
                told = self.eyes.next() => self.board.tell(told, Instant::now()),
                press = self.keys.next() => match press {
                    Some(Press::Key(key)) => {
                        match self.board.press(key, Instant::now()) {
                            Some(Wish::Quit) => return Ok(()),
                            Some(wish) => self.obey(wish, engine).await,
                            None => {}
                        }
                        self.paint(engine)?;
                    }
                    Some(Press::Resized) => self.paint(engine)?,
                    None => return Ok(()),
                },
                _ = frames.tick() => {
                    self.look(engine);
                    self.paint(engine)?;
                }
            }
        }
    }

    fn paint(&mut self, engine: &Engine) -> anyhow::Result<()> {
        let now = Instant::now();
        if let Some(Wish::Explain(keys)) = self.board.tick(now) {
            self.explain(&keys, engine);
        }
        self.screen.paint(&mut self.board, now)
    }

    /// How the nodes stand to each other.
    fn look(&mut self, engine: &Engine) {
        let now = Instant::now();
        if self.looked_at.is_some_and(|at| now - at < LOOK_EVERY) {
            return;
        }
        self.looked_at = Some(now);
        if engine.sites().mesh(self.eyes.site).is_none() {
            self.see_with(engine, None);
        }
        if let Some((status, nodes)) = eyes::nodes(engine, self.eyes.site) {
            self.board.status = Some(status);
            self.board.set_nodes(nodes);
        }
        self.board.network = match (engine.phase(), &self.board.network) {
            ("healing", _) => Network::Healing,
            ("cut", Network::Cut { sides }) => Network::Cut {
                sides: sides.clone(),
            },
            ("cut", _) => return,
            _ => {
                if engine.sites().agree() {
                    self.agreed_at = now;
                }
                Network::Whole {
                    agree: now - self.agreed_at < ON_ITS_WAY,
                }
            }
        };
    }

    /// Looks with the eyes of the next node after `after`, or of the first.
    fn see_with(&mut self, engine: &Engine, after: Option<usize>) {
        let running: Vec<_> = engine.sites().running().collect();
        let next = running.iter().find(|(site, _)| Some(*site) > after);
        if let Some((site, mesh)) = next.or(running.first()) {
            self.eyes = Eyes::of(*site, mesh);
        }
    }

    fn take(&mut self, happening: &Happening, engine: &Engine, lines: &mut Lines) {
        let (now, told) = (Instant::now(), lines.take(happening));
        self.looked_at = None;
        let weight = match happening {
            Happening::Seen { seen, .. } => return self.seen(seen, &told, engine, now),
            Happening::Called { caller, callee } => {
                let who = |key: &str| self.board.lamps.who(key);
                let text = format!("{} calls {}", who(caller), who(callee));
                self.called = Some(callee.clone());
                return self.board.note(now, &text, Weight::Plain);
            }
            Happening::Cut { sides } => {
                self.board.forget_banner();
                self.board.network = Network::Cut {
                    sides: sides.clone(),
                };
                Weight::Bad
            }
            Happening::Healed(healed) => {
                let text = format!(
                    "converged in {}, {} entries exchanged, {}",
                    span::took(healed.live_in),
                    healed.entries,
                    output::counted(healed.conflicts, "conflict"),
                );
                self.board.announce(now, &text, Weight::Good);
                self.board
                    .note(now, &format!("HEALED {text}"), Weight::Good);
                if let Some((key, counts, winner)) = &healed.shared_box {
                    let text =
                        format!("both sides wrote {key}: the later, {winner}'s, stands: {counts}");
                    self.board.note(now, &text, Weight::Plain);
                }
                return;
            }
            Happening::Apart { .. } | Happening::Killed { .. } => Weight::Bad,
            Happening::Revived { .. } => Weight::Good,
            _ => Weight::Plain,
        };
        for line in &told {
            self.board.note(now, &words(line), weight);
        }
    }

    fn seen(&mut self, seen: &Seen, told: &[String], engine: &Engine, now: Instant) {
        let key = &seen.act.key;
        let Some(took) = seen.took else {
            return told
                .iter()
                .for_each(|line| self.board.note(now, &words(line), Weight::Bad));
        };
        if let Some(spread) = &mut self.board.spread {
            spread.add(now, took);
        }
        let rings = seen.act.reading == Reading::Lamp(DeviceState::Ringing);
        if rings && self.called.as_ref() == Some(key) {
            self.called = None;
            let sites = match engine.sites().count() {
                all if all == seen.by => format!("all {all} sites"),
                all => format!("{} of {all} sites", seen.by),
            };
            let text = format!(
                "{} rings on {sites} after {}",
                self.board.lamps.who(key),
                span::took(took)
            );
            self.board.announce(now, &text, Weight::Plain);
            self.board.note(now, &text, Weight::Good);
        }
    }

    /// Does what a key asked for; what cannot be done is told.
    async fn obey(&mut self, wish: Wish, engine: &mut Engine) {
        let fault = match wish {
            Wish::Cut => Fault::Cut,
            Wish::Heal => Fault::Heal,
            Wish::Kill(name) => Fault::Kill(name),
            Wish::Revive(name) => Fault::Revive(name),
            Wish::Call(key) => Fault::Call(key),
            Wish::Explain(keys) => return self.explain(&keys, engine),
            Wish::Eyes => {
                self.see_with(engine, Some(self.eyes.site));
                self.looked_at = None;
                return self.look(engine);
            }
            Wish::Report => return report(&mut self.board, Instant::now()),
            Wish::Quit => return,
        };
        if let Err(reason) = engine.provoke(fault).await {
            self.board.note(Instant::now(), &reason, Weight::Plain);
        }
        self.looked_at = None;
    }

    fn explain(&mut self, keys: &[(crate::panel::Space, String)], engine: &Engine) {
        let Some(mesh) = engine.sites().mesh(self.eyes.site) else {
            return;
        };
        let whys = keys
            .iter()
            .map(|(space, key)| eyes::explain(mesh, *space, key));
        self.board.tell(Told::Why(whys.collect()), Instant::now());
    }
}
