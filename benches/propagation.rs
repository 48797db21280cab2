//! How long a change takes from one process to the others: PUT on the first node until its event arrives at
//! clients of the second and third.
//!
//! `cargo bench --features daemon --bench propagation` prints median and 99th percentile.

#[path = "../tests/support/process.rs"]
mod process;

use std::thread;
use std::time::{Duration, Instant};

use process::{PATIENCE, World};

/// Changes made, at this pace.
const CHANGES: u32 = 300;
const PACE: Duration = Duration::from_millis(100);
/// Changes at the start that are not measured.
const WARM_UP: u32 = 10;

fn main() {
    let world = World::new();
    let first = world.start("berlin", &[], &[]);
    let second = world.start("paris", &[&first], &[]);
    let third = world.start("oslo", &[&first], &[]);
    for node in [&first, &second, &third] {
        node.await_peers(2);
    }
    let streams = [&second, &third].map(|node| node.stream("space=device"));

    let start = Instant::now();
    let mut spans: [Vec<Duration>; 2] = Default::default();
    for n in 0..CHANGES + WARM_UP {
        // A pace, not a synchronisation.
        thread::sleep((start + PACE * n).saturating_duration_since(Instant::now()));
        let wanted = if n % 2 == 0 { "INUSE" } else { "NOT_INUSE" };
        let put = Instant::now();
        first.put(
            "/api/v1/devices/PJSIP%2F100",
            &format!("{{\"state\":\"{wanted}\"}}"),
        );
        for (stream, spans) in streams.iter().zip(&mut spans) {
            stream.await_change("PJSIP/100", PATIENCE, |new| new["state"] == wanted);
            if n >= WARM_UP {
                spans.push(put.elapsed());
            }
        }
    }
    for (name, mut spans) in ["second node", "third node"].into_iter().zip(spans) {
        spans.sort_unstable();
        let at = |share: f64| {
            spans[((spans.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1_000.0
        };
        println!(
            "PUT until seen on the {name}: median {:.2} ms, p99 {:.2} ms, most {:.2} ms ({} changes, 10 a second)",
            at(0.5),
            at(0.99),
            at(1.0),
            spans.len()
        );
    }
}
