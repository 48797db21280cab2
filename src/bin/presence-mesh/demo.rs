//! `demo`: a mesh on this machine, with phones that ring, and a network that is cut.
//!
//! [`engine`] makes things happen and tells them as [`Happening`]s; [`lines`] prints them, and [`show`] paints
//! them where somebody sits before a terminal, through the [`eyes`] of one node. [`sites`] are the nodes,
//! [`phones`] decide who calls whom, [`sightings`] measures how long a change takes to be seen. Others steer it
//! through the [`Stage`].

mod dice;
mod engine;
mod eyes;
mod lines;
mod phones;
mod show;
mod sightings;
mod sites;
mod stage;

use anyhow::{Context as _, bail};
use tokio::sync::mpsc;

use crate::cli::DemoArgs;
use crate::http::{App, Server};
use crate::logs;
use crate::panel::{self, Theme};
use crate::run::Stop;
use engine::{Engine, Happening};
use lines::Lines;
use show::Show;
pub use stage::{Fault, Stage};
use stage::{Scene, Wish};

/// Runs the demonstration until Ctrl-C, or for as long as asked.
pub fn run(args: &DemoArgs) -> anyhow::Result<()> {
    // Where a panel is painted, logs would garble it: they go into its own log.
    let painted = panel::is_wanted(args.looks.plain || args.headless);
    let logs = painted.then(|| logs::start_into_queue(logs::DEMO));
    if logs.is_none() {
        logs::start(logs::DEMO);
    }
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let result = runtime.block_on(show(args, logs));
    runtime.shutdown_background();
    result
}

/// Painted where there is a queue for the logs, else told in lines.
async fn show(args: &DemoArgs, logs: Option<mpsc::Receiver<String>>) -> anyhow::Result<()> {
    let mut stop = Stop::listen()?;
    let server = Server::bind(&args.http)
        .await
        .context("--http names another address")?;
    let address = server.address();
    let mut engine = tokio::select! {
        engine = Engine::start(usize::from(args.nodes), usize::from(args.phones), args.seed) => engine?,
        _ = stop.next() => return Ok(()),
    };
    let (stage, mut wishes) = Stage::new();
    let app = App::new(engine.view())
        .with_people(engine.people())
        .with_stage(stage);
    let server = server.serve(app)?;

    let mut lines = Lines::new(args.headless, engine.sites().count());
    let over = sleep_or_for_ever(args.duration);
    if let Some(mut logs) = logs {
        // Whoever has the keys decides when something fails.
        engine.by_hand();
        let show = Show::begin(&engine, address, Theme::detect(args.looks.ascii))?;
        show.run(
            &mut engine,
            &mut lines,
            &mut wishes,
            &mut logs,
            over,
            &mut stop,
        )
        .await?;
    } else {
        lines.up(&engine, address)?;
        tokio::pin!(over);
        loop {
            tokio::select! {
                _ = stop.next() => break,
                () = &mut over => break,
                happening = engine.next() => lines.show(&happening?)?,
                Some(wish) = wishes.recv() => grant(wish, &mut engine, &lines).await,
            }
        }
    }
    drop(wishes);
    // Whatever was cut is healed, so that the last word is whether the nodes agree.
    let verdict = tokio::select! {
        verdict = engine.finish() => verdict?,
        _ = stop.next() => bail!("stopped before the nodes had time to agree"),
    };
    lines.show(&Happening::Finished(verdict.clone()))?;
    drop(server);
    engine.leave().await;
    if verdict.agree {
        Ok(())
    } else {
        bail!("the nodes do not agree")
    }
}

/// Whoever no longer waits for the answer needs none.
async fn grant(wish: Wish, engine: &mut Engine, lines: &Lines) {
    match wish {
        Wish::Provoke(fault, answer) => {
            let _ = answer.send(engine.provoke(fault).await);
        }
        Wish::Look(answer) => {
            let (log, last) = lines.recent();
            let _ = answer.send(Scene {
                log,
                last,
                ..engine.scene()
            });
        }
    }
}

async fn sleep_or_for_ever(duration: Option<std::time::Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}
