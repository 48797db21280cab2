//! What the model of gossipsub says about copies, and how quickly it says it.
//!
//! `cargo bench --bench gossip --features sim`

use std::time::Instant;

use presence_mesh::sim::gossip::{Params, Trial, measure};

fn main() {
    for flood_publish in [true, false] {
        println!("flood_publish = {flood_publish}");
        for (nodes, dial_count) in [(5, 4), (10, 9), (20, 19), (50, 49), (50, 5), (200, 10)] {
            let params = Params {
                flood_publish,
                ..Params::default()
            };
            println!("  {}", measure(&Trial::new(params, nodes, dial_count, 1)));
        }
    }
    println!("1,000 nodes, 100 messages a second for 10 s");
    for dial_count in [5, 10] {
        let trial = Trial {
            messages: 1_000,
            publish_every_us: 10_000,
            ..Trial::new(Params::default(), 1_000, dial_count, 1)
        };
        let start = Instant::now();
        let figures = measure(&trial);
        println!("  {figures}\n  in {:?}", start.elapsed());
    }
}
