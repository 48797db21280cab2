//! Numbers and faults in words.

use super::markup::shortened;
use crate::sim::{Burst, Chance, Disk, Latency, Scenario, Verb};

/// A length of time with three digits that count: `0.0124 s`, `3.21 s`, `1,204 s`.
pub(super) fn seconds(us: u64) -> String {
    format!("{} s", bare_seconds(us))
}

/// The same without its unit, for axes that name it.
pub(super) fn bare_seconds(us: u64) -> String {
    let digits: usize = match us {
        0..1_000 => 6,
        1_000..10_000 => 5,
        10_000..100_000 => 4,
        100_000..1_000_000 => 3,
        1_000_000..10_000_000 => 2,
        10_000_000..100_000_000 => 1,
        _ => return count((us + 500_000) / 1_000_000),
    };
    let text = format!("{:.digits$}", us as f64 / 1e6);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A number with its thousands apart: `12,345`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 node`, `2 nodes`.
pub(super) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// A large number in short: `950`, `12.3 k`, `4.56 M`.
pub(super) fn short(number: u64) -> String {
    let (divisor, unit) = match number {
        0..1_000 => return number.to_string(),
        1_000..999_500 => (1e3, "k"),
        999_500..999_500_000 => (1e6, "M"),
        999_500_000..999_500_000_000 => (1e9, "G"),
        _ => (1e12, "T"),
    };
    let value = number as f64 / divisor;
    let digits: usize = match value {
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let text = if digits > 0 {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text} {unit}")
}

/// Bytes in short: `950 B`, `12.3 kB`.
pub(super) fn bytes(number: u64) -> String {
    if number < 1_000 {
        format!("{number} B")
    } else {
        format!("{}B", short(number))
    }
}

/// A probability: `30 %`, `0.05 %`.
pub(super) fn chance(chance: Chance) -> String {
    format!("{} %", f64::from(chance.0) / 10_000.0)
}

/// How long messages take.
pub(super) fn latency(latency: Latency) -> String {
    match latency {
        Latency::Constant(us) => seconds(us),
        Latency::Uniform(least, most) => format!("{} to {}", seconds(least), seconds(most)),
        Latency::Exponential { least_us, mean_us } => {
            format!(
                "{} and exponentially more, {} on average",
                seconds(least_us),
                seconds(mean_us)
            )
        }
        Latency::Pareto {
            least_us,
            shape_milli,
            most_us,
        } => format!(
            "{} or more with a heavy tail (Pareto, shape {}), at most {}",
            seconds(least_us),
            shape_milli as f64 / 1e3,
            seconds(most_us)
        ),
    }
}

/// Nodes by name, the first eight.
pub(super) fn nodes(scenario: &Scenario, nodes: &[usize]) -> String {
    let mut text = String::new();
    for (at, node) in nodes.iter().take(MAX_NAMES).enumerate() {
        if at > 0 {
            text.push_str(", ");
        }
        text.push_str(&name(scenario, *node));
    }
    if nodes.len() > MAX_NAMES {
        text.push_str(&format!(
            " and {} more",
            count((nodes.len() - MAX_NAMES) as u64)
        ));
    }
    text
}

/// A node's name, of a length that fits.
pub(super) fn name(scenario: &Scenario, node: usize) -> String {
    match scenario.nodes.get(node) {
        Some(name) => shortened(name, MAX_NAME),
        None => format!("node {node}"),
    }
}

/// What a fault does, as a sentence without its end.
pub(super) fn verb(scenario: &Scenario, verb: &Verb) -> String {
    let list = |some: &[usize]| nodes(scenario, some);
    match verb {
        Verb::Partition(sides) => {
            let groups: Vec<String> = sides.iter().map(|group| list(group)).collect();
            let named: usize = sides.iter().map(Vec::len).sum();
            let others = if named < scenario.nodes.len() {
                " | the others"
            } else {
                ""
            };
            format!("Partition: {}{others}", groups.join(" | "))
        }
        Verb::OneWay(from, to) => {
            format!(
                "One way: nothing passes from {} to {}",
                list(from),
                list(to)
            )
        }
        Verb::Bridge(node) => format!("Two halves that only {} sees both of", list(&[*node])),
        Verb::Ring => "Ring: each node sees only its two neighbours".to_owned(),
        Verb::Isolate(node) => format!("{} is isolated", list(&[*node])),
        Verb::Hold(from, to) => format!(
            "What {} sends to {} is held, and released all at once",
            list(from),
            list(to)
        ),
        Verb::Crash { node, disk, power } => format!(
            "{} {}, and starts again with {}",
            list(&[*node]),
            if *power { "loses power" } else { "crashes" },
            match disk {
                Disk::Kept => "its disk",
                Disk::Lost => "an empty disk",
                Disk::Old => "an old copy of its disk",
            }
        ),
        Verb::Leave(node) => format!("{} leaves, and joins again", list(&[*node])),
        Verb::Pause(node) => format!("{} stands still", list(&[*node])),
        Verb::Loss(of) => format!("{} of messages are lost", chance(*of)),
        Verb::Burst(of) => format!("Messages are lost in bursts ({})", burst(*of)),
        Verb::Duplicate(of) => format!("{} of messages arrive twice", chance(*of)),
        Verb::Reorder(of) => format!("{} of messages are overtaken", chance(*of)),
        Verb::Latency(takes) => format!("Messages take {}", latency(*takes)),
        Verb::Bandwidth(most) => format!("Each node sends at most {} a second", bytes(*most)),
        Verb::Clock {
            node,
            offset_ms,
            drift_ppm,
        } => format!(
            "The clock of {} jumps by {} s and drifts by {drift_ppm} millionths",
            list(&[*node]),
            *offset_ms as f64 / 1e3
        ),
        Verb::Clone(node) => format!(
            "A second process starts with the identity of {}",
            list(&[*node])
        ),
        Verb::Garbage(of) => format!("{} of messages are followed by damaged bytes", chance(*of)),
        Verb::Replay(of) => format!("{} of gossiped frames arrive again long after", chance(*of)),
    }
}

/// Losses that come together.
pub(super) fn burst(burst: Burst) -> String {
    format!(
        "begin with {} of messages, end with {}, lose {}",
        chance(burst.enter),
        chance(burst.leave),
        chance(burst.loss)
    )
}

/// At most so many names in a list.
const MAX_NAMES: usize = 8;
/// At most so many characters of a name.
const MAX_NAME: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let cases = [0, 1, 12_400, 100_000, 3_214_000, 59_960_000, 1_204_400_000];
        let texts = [
            "0 s",
            "0.000001 s",
            "0.0124 s",
            "0.1 s",
            "3.21 s",
            "60 s",
            "1,204 s",
        ];
        assert_eq!(cases.map(seconds), texts.map(str::to_owned));
        let cases = [0, 999, 1_000, 12_345, 999_499, 999_500, 100_000_000];
        let texts = ["0", "999", "1 k", "12.3 k", "999 k", "1 M", "100 M"];
        assert_eq!(cases.map(short), texts.map(str::to_owned));
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(chance(Chance(300_000)), "30 %");
    }
}
