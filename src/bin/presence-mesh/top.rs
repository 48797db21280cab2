//! `top`: a running node on the screen. [`feed`] asks it; the panel shows what it says.

mod feed;
mod plain;

use std::time::Instant;

use anyhow::Context as _;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::api::PREFIX;
use crate::cli::TopArgs;
use crate::client::Connection;
use crate::panel::{self, Board, FRAME, Keys, Press, Scope, Screen, Space, Theme, Told, Why, Wish};
use crate::run::Stop;
use feed::Feed;

/// Shows a node until somebody has seen enough.
///
/// # Errors
/// With exit code 3 when no node answers at first. One that is lost later is looked for.
pub fn run(args: &TopArgs) -> anyhow::Result<()> {
    let address = &args.target.address;
    Connection::new(address).get(&format!("{PREFIX}/status"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(async {
        let mut stop = Stop::listen()?;
        let feed = Feed::start(address);
        if panel::is_wanted(args.looks.plain) {
            let top = Top::begin(address, Theme::detect(args.looks.ascii))?;
            top.run(feed, &mut stop).await
        } else {
            plain::run(address, feed, &mut stop).await
        }
    });
    runtime.shutdown_background();
    result
}

struct Top {
    address: String,
    screen: Screen,
    keys: Keys,
    board: Board,
    /// An explanation that was asked for.
    asked: Option<JoinHandle<Vec<Why>>>,
}

impl Top {
    fn begin(address: &str, theme: Theme) -> anyhow::Result<Self> {
        Ok(Self {
            address: address.to_owned(),
            screen: Screen::take(theme)?,
            keys: Keys::listen(),
            board: Board::new(Scope::Node(address.to_owned()), Instant::now()),
            asked: None,
        })
    }

    async fn run(mut self, mut feed: Feed, stop: &mut Stop) -> anyhow::Result<()> {
        let mut frames = tokio::time::interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // Ends and keys come first, however much the node tells.
                biased;
                _ = stop.next() => return Ok(()),
                press = self.keys.next() => match press {
                    Some(Press::Key(key)) => {
                        match self.board.press(key, Instant::now()) {
                            Some(Wish::Quit) => return Ok(()),
                            Some(wish) => self.obey(wish),
                            None => {}
                        }
                        self.paint()?;
                    }
                    Some(Press::Resized) => self.paint()?,
                    None => return Ok(()),
                },
                whys = answer(&mut self.asked) => {
                    self.asked = None;
                    self.board.tell(Told::Why(whys), Instant::now());
                }
                _ = frames.tick() => self.paint()?,
                told = feed.next() => {
                    let lost = matches!(told, Told::Lost { .. });
                    self.board.tell(told, Instant::now());
                    if lost {
                        self.paint()?;
                    }
                }
            }
        }
    }

    fn paint(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        if let Some(wish) = self.board.tick(now) {
            self.obey(wish);
        }
        self.screen.paint(&mut self.board, now)
    }

    /// The board knows which wishes there are without a demonstration.
    fn obey(&mut self, wish: Wish) {
        match wish {
            // One question at a time: a node that does not answer is not asked ever more.
            Wish::Explain(keys) if self.asked.is_none() => {
                let address = self.address.clone();
                let ask = move || -> Vec<Why> {
                    let connection = Connection::new(&address);
                    let keys = keys.iter();
                    keys.map(|(space, key): &(Space, String)| {
                        feed::explain(&connection, *space, key)
                    })
                    .collect()
                };
                self.asked = Some(tokio::task::spawn_blocking(ask));
            }
            Wish::Report => panel::report(&mut self.board, Instant::now()),
            _ => {}
        }
    }
}

/// The answer, when one is awaited. Cancel safe.
async fn answer(asked: &mut Option<JoinHandle<Vec<Why>>>) -> Vec<Why> {
    match asked {
        Some(handle) => handle.await.unwrap_or_default(),
        None => std::future::pending().await,
    }
}
