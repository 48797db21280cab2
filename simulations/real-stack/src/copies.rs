//! The gossip model against the real crate: how many copies of a message a node receives.
//!
//! The real side is `libp2p-gossipsub` itself with production's settings and production's connections, in
//! memory, one latency everywhere. The model's side is [`presence_mesh::sim::gossip::measure`] with the same
//! trial. Both choose meshes at random, so both are means over several networks.

use std::time::Duration;

use presence_mesh::sim::gossip::{Params, Trial, measure};
use tokio::time::{Instant, sleep, sleep_until};

use crate::gossip_net::{GossipNet, Variant};
use crate::outcome::Outcome;
use crate::random::Random;

/// Networks built of real nodes for each line; of modelled ones, which cost nothing, more.
const REAL_RUNS: u64 = 4;
const MODEL_RUNS: u64 = 100;
/// How far the two may differ.
const TOLERANCE: f64 = 0.05;
const LATENCY: Duration = Duration::from_millis(20);

/// One line of the table.
#[derive(Debug, Clone, Copy)]
struct Case {
    nodes: usize,
    /// How many others each node dials; `None`: every pair is connected once.
    dials: Option<usize>,
    flood_publish: bool,
    bytes: usize,
}

/// What one run, or the mean of several, has shown.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// Copies received for each first one.
    copies: f64,
    /// Peers a node forwards to.
    degree: f64,
    /// The longest delivery, in hops.
    hops: f64,
    /// Share of deliveries that happened.
    delivered: f64,
}

/// Prints the table.
pub async fn run(seed: u64) -> Outcome {
    let mut outcome = Outcome::default();
    println!(
        "| nodes | dials | flood | bytes | degree, model | real | hops, model | real | copies, model | real | difference |\n\
         |--:|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    );
    for case in cases() {
        let model = mean((0..MODEL_RUNS).map(|run| model(case, seed + run)));
        let mut runs = Vec::new();
        for run in 0..REAL_RUNS {
            runs.push(real(case, seed + run).await);
        }
        let real = mean(runs.into_iter());
        let difference = model.copies / real.copies - 1.0;
        let dials = case
            .dials
            .map_or_else(|| "all".to_owned(), |count| count.to_string());
        let flood = if case.flood_publish { "on" } else { "off" };
        println!(
            "| {} | {dials} | {flood} | {} | {:.2} | {:.2} | {:.1} | {:.1} | {:.2} | {:.2} | {:+.1} % |",
            case.nodes,
            case.bytes,
            model.degree,
            real.degree,
            model.hops,
            real.hops,
            model.copies,
            real.copies,
            100.0 * difference,
        );
        outcome.demand(difference.abs() <= TOLERANCE, || {
            format!(
                "{case:?}: model {:.2}, real {:.2}",
                model.copies, real.copies
            )
        });
        outcome.demand(real.delivered == 1.0 && model.delivered == 1.0, || {
            format!("{case:?}: not everything was delivered")
        });
    }
    outcome
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    // Large messages are announced before they are forwarded, which spares copies.
    for (nodes, bytes) in [(10, 200), (20, 200), (50, 200), (20, 4_000)] {
        for dials in [None, Some(4)] {
            for flood_publish in [true, false] {
                cases.push(Case {
                    nodes,
                    dials,
                    flood_publish,
                    bytes,
                });
            }
        }
    }
    cases
}

fn trial(case: Case, seed: u64) -> Trial {
    let params = Params {
        flood_publish: case.flood_publish,
        ..Params::default()
    };
    let dials = case.dials.unwrap_or(case.nodes - 1);
    Trial {
        latency_us: u64::try_from(LATENCY.as_micros()).expect("short"),
        message_bytes: case.bytes,
        ..Trial::new(params, case.nodes, dials, seed)
    }
}

fn model(case: Case, seed: u64) -> Seen {
    let trial = trial(case, seed);
    let figures = measure(&trial);
    Seen {
        copies: figures.copies as f64 / figures.deliveries as f64,
        degree: figures.degree_percent() as f64 / 100.0,
        hops: figures.latency_us(100) as f64 / trial.latency_us as f64,
        delivered: figures.deliveries as f64 / figures.expected as f64,
    }
}

async fn real(case: Case, seed: u64) -> Seen {
    let trial = trial(case, seed);
    let mut random = Random::new(seed);
    let mut net = GossipNet::new(Variant {
        flood_publish: case.flood_publish,
    });
    // The heartbeats of nodes that start in one instant would coincide for ever.
    let mut starts: Vec<u64> = (0..case.nodes).map(|_| random.below(1_000)).collect();
    starts.sort_unstable();
    let began = Instant::now();
    for at in starts {
        sleep_until(began + Duration::from_millis(at)).await;
        net.add(LATENCY);
    }
    sleep_until(began + Duration::from_secs(1)).await;
    for (at, from, to) in dials(case, &mut random) {
        sleep_until(began + Duration::from_millis(1_000 + at)).await;
        net.dial(from, to).await;
    }
    sleep(Duration::from_micros(trial.settle_us)).await;

    let degree = net.mesh_peers().await as f64 / case.nodes as f64;
    let before = net.copies();
    for number in 0..trial.messages {
        net.publish(random.index(case.nodes), number.into(), case.bytes)
            .await;
        sleep(Duration::from_micros(trial.publish_every_us)).await;
    }
    sleep(Duration::from_secs(7)).await;
    let latencies = net.latencies();
    let longest = latencies.last().copied().unwrap_or_default();
    Seen {
        copies: (net.copies() - before) as f64 / latencies.len() as f64,
        degree,
        hops: longest.as_secs_f64() / LATENCY.as_secs_f64(),
        delivered: latencies.len() as f64 / f64::from(trial.messages) / (case.nodes - 1) as f64,
    }
}

/// Who dials whom and when, in ms: at random moments of one second.
fn dials(case: Case, random: &mut Random) -> Vec<(u64, usize, usize)> {
    let mut dials = Vec::new();
    for a in 0..case.nodes {
        if let Some(count) = case.dials {
            let mut others: Vec<usize> = (0..case.nodes).filter(|&b| b != a).collect();
            for _ in 0..count.min(others.len()) {
                let b = others.swap_remove(random.index(others.len()));
                dials.push((random.below(1_000), a, b));
            }
        } else {
            for b in a + 1..case.nodes {
                let (from, to) = if random.below(2) == 0 { (a, b) } else { (b, a) };
                dials.push((random.below(1_000), from, to));
            }
        }
    }
    dials.sort_unstable();
    dials
}

fn mean(runs: impl Iterator<Item = Seen>) -> Seen {
    let mut sum = Seen::default();
    let mut count = 0.0;
    for run in runs {
        sum.copies += run.copies;
        sum.degree += run.degree;
        sum.hops += run.hops;
        sum.delivered += run.delivered;
        count += 1.0;
    }
    Seen {
        copies: sum.copies / count,
        degree: sum.degree / count,
        hops: sum.hops / count,
        delivered: sum.delivered / count,
    }
}
