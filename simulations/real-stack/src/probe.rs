//! How fast virtual time runs: gossipsub alone, a message a second, for an hour.

use std::time::Duration;

use tokio::time::sleep;

use crate::gossip_net::{GossipNet, Variant};
use crate::outcome::Outcome;
use crate::random::Random;

const NODES: usize = 20;
/// Others each node dials.
const DIALS: usize = 2;
const LATENCY: Duration = Duration::from_millis(20);
const SECONDS: u64 = 3_600;
/// No message may take longer: more hops than any two nodes are apart, or a lost first copy.
const LATEST: Duration = Duration::from_millis(200);

/// Twenty nodes, an hour.
pub async fn run(seed: u64) -> Outcome {
    let mut random = Random::new(seed);
    let mut net = GossipNet::new(Variant {
        flood_publish: true,
    });
    for _ in 0..NODES {
        net.add(LATENCY);
    }
    for node in 0..NODES {
        for step in 1..=DIALS {
            net.dial(node, (node + step) % NODES).await;
        }
    }
    sleep(Duration::from_secs(5)).await;
    let before = net.copies();
    for number in 0..SECONDS {
        net.publish(random.index(NODES), number, 200).await;
        sleep(Duration::from_secs(1)).await;
    }
    let latencies = net.latencies();
    let at = |share: usize| latencies[(latencies.len() - 1) * share / 100];
    let wanted = usize::try_from(SECONDS).expect("small") * (NODES - 1);
    let mut outcome = Outcome::default();
    outcome.figure(format!(
        "{NODES} nodes, {} connections: {} of {wanted} delivered, latency p50 {:?} p99 {:?} max {:?}, {:.2} copies per node and message",
        net.peers().await / 2,
        latencies.len(),
        at(50),
        at(99),
        at(100),
        (net.copies() - before) as f64 / (SECONDS * NODES as u64) as f64,
    ));
    outcome.demand(latencies.len() == wanted, || {
        format!("{} of {wanted} messages arrived", latencies.len())
    });
    outcome.demand(at(100) <= LATEST, || {
        format!("a message took {:?}", at(100))
    });
    outcome
}
