//! `demo`: a mesh on this machine, with phones that ring, and a network that is cut.
//!
//! [`engine`] makes things happen and tells them as [`Happening`]s; [`lines`] prints them. [`sites`] are the
//! nodes, [`phones`] decide who calls whom, [`sightings`] measures how long a change takes to be seen.

mod dice;
mod engine;
mod lines;
mod phones;
mod sightings;
mod sites;

use anyhow::{Context as _, bail};

use crate::cli::DemoArgs;
use crate::http::{App, Limits, Server};
use crate::logs;
use crate::run::Stop;
use engine::{Engine, Happening};
use lines::Lines;

/// Runs the demonstration until Ctrl-C, or for as long as asked.
pub fn run(args: &DemoArgs) -> anyhow::Result<()> {
    logs::start(logs::DEMO);
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let result = runtime.block_on(show(args));
    runtime.shutdown_background();
    result
}

async fn show(args: &DemoArgs) -> anyhow::Result<()> {
    let mut stop = Stop::listen()?;
    let server = Server::bind(&args.http)
        .await
        .context("--http names another address")?;
    let address = server.address();
    let mut engine = tokio::select! {
        engine = Engine::start(usize::from(args.nodes), usize::from(args.phones), args.seed) => engine?,
        _ = stop.next() => return Ok(()),
    };
    let server = server.serve(App::new(
        engine.sites().first().clone(),
        None,
        Limits::default(),
    ));

    let mut lines = Lines::new(args.headless);
    lines.up(&engine, address)?;
    let over = sleep_or_for_ever(args.duration);
    tokio::pin!(over);
    loop {
        tokio::select! {
            _ = stop.next() => break,
            () = &mut over => break,
            happening = engine.next() => lines.show(&happening?)?,
        }
    }
    // Whatever was cut is healed, so that the last word is whether the nodes agree.
    let verdict = tokio::select! {
        verdict = engine.finish() => verdict?,
        _ = stop.next() => bail!("stopped before the nodes had time to agree"),
    };
    lines.show(&Happening::Finished(verdict.clone()))?;
    server.abort();
    engine.leave().await;
    if verdict.agree {
        Ok(())
    } else {
        bail!("the nodes do not agree")
    }
}

async fn sleep_or_for_ever(duration: Option<std::time::Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}
