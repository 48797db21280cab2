//! presence-mesh over unmodified libp2p, on virtual time.
//!
//! ```text
//! cargo run --release --manifest-path simulations/real-stack/Cargo.toml            everything
//! cargo run --release --manifest-path simulations/real-stack/Cargo.toml -- stall   one of them
//! ```
//!
//! The simulator (`presence_mesh::sim`) runs the production `Replica` in a world of its own, where gossipsub
//! and the connections are models. This is the bridge from there to reality: the same libp2p that ships,
//! compiled from its unmodified sources, with nothing replaced but the clock. All timers of libp2p go through
//! two tiny crates, `futures-timer` and `web-time`; `[patch.crates-io]` in `Cargo.toml` puts those in `shims/` in
//! their place, which ask tokio for the time. Tokio's clock is paused: whenever nothing can be done, it jumps to
//! the next timer. So an hour takes seconds, and a heartbeat, a ping and a lease each take exactly as long as
//! they should. A patch holds for a whole workspace; therefore this one is apart from the program that ships.
//!
//! - The nodes meet in memory (`presence_mesh::Links::in_memory`, feature `faults`): real sockets would bring real
//!   time back. All above is production's: the mesh key's proof, noise, yamux, gossipsub, the sync protocol, the
//!   care for connections. QUIC and mDNS cannot run here.
//! - Each node is given tokio's clock (`MeshBuilder::clock`), or its leases would not pass.
//! - It need not be deterministic, and is not: libp2p draws from the operating system. `--seed N` repeats what
//!   was done to the nodes, not what they did. What must hold must hold every time.
//!
//! `copies` compares the simulator's model of gossipsub with the real one; `probe` says how fast time passes; all
//! others do something to the whole stack and judge what users are shown (see [`judge`]). Prints one line for
//! each with verdict, virtual and real time, then figures and violations. Ends with 1 when a rule was broken, with
//! 2 when there is nothing of the name that was asked for. The first build takes some minutes.

mod copies;
mod gossip_net;
mod judge;
mod outcome;
mod probe;
mod random;
mod scenarios;
mod stores;
mod world;

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Instant;

use outcome::Outcome;

type Run = fn(u64) -> Pin<Box<dyn Future<Output = Outcome>>>;

/// Everything that can be asked for, in the order in which it runs.
const RUNS: [(&str, Run); 9] = [
    ("probe", |seed| Box::pin(probe::run(seed))),
    ("split-heal", |seed| Box::pin(scenarios::split_heal(seed))),
    ("stall", |seed| Box::pin(scenarios::stall(seed))),
    ("one-way", |seed| Box::pin(scenarios::one_way(seed))),
    ("late-frames", |seed| Box::pin(scenarios::late_frames(seed))),
    ("restart", |seed| Box::pin(scenarios::restart(seed))),
    ("flapping", |seed| Box::pin(scenarios::flapping(seed))),
    ("hour", |seed| Box::pin(scenarios::hour(seed))),
    ("copies", |seed| Box::pin(copies::run(seed))),
];

fn main() -> ExitCode {
    let Some((names, seed)) = arguments() else {
        let known: Vec<&str> = RUNS.iter().map(|(name, _)| *name).collect();
        eprintln!("usage: real-stack [--seed N] [{}]...", known.join(" | "));
        return ExitCode::from(2);
    };
    let mut held = true;
    for (name, run) in RUNS {
        if names.is_empty() || names.iter().any(|asked| asked == name) {
            held &= play(name, run, seed);
        }
    }
    if held {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What was asked for, all of it known, and the seed.
fn arguments() -> Option<(Vec<String>, u64)> {
    let mut names = Vec::new();
    let mut seed = 1;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        if word == "--seed" {
            seed = words.next()?.parse().ok()?;
        } else if RUNS.iter().any(|(name, _)| *name == word) {
            names.push(word);
        } else {
            return None;
        }
    }
    Some((names, seed))
}

/// Runs one in a time of its own.
fn play(name: &str, run: Run, seed: u64) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let started = Instant::now();
    let (outcome, took) = runtime.block_on(async {
        let started = tokio::time::Instant::now();
        (run(seed).await, started.elapsed())
    });
    println!(
        "{:<11} {}  seed {seed}  virtual {:>7.1} s  real {:>5.1} s",
        name,
        if outcome.held() { "held  " } else { "BROKEN" },
        took.as_secs_f64(),
        started.elapsed().as_secs_f64(),
    );
    for figure in &outcome.figures {
        println!("            {figure}");
    }
    for violation in &outcome.violations {
        println!("            broken: {violation}");
    }
    outcome.held()
}
