//! What came of runs, for people.

use std::fmt::Write as _;
use std::time::Duration;

use presence_mesh::sim::{Figures, Histogram, Outcome, Verdict};

use crate::span::took;

/// One line: whether every promise was kept.
pub fn verdict(outcome: &Outcome) -> String {
    let run = format!("{} seed {}", outcome.scenario, outcome.seed);
    match &outcome.verdict {
        Verdict::Pass => format!("{run}: pass"),
        Verdict::Fail(violation) => {
            let node = violation.node.as_ref();
            let node = node.map(|node| format!(", {node}")).unwrap_or_default();
            format!(
                "{run}: FAIL, {} at {}{node}: {}",
                violation.checker,
                span(violation.at_us),
                violation.text
            )
        }
    }
}

/// What was counted in one run, or in many together.
pub fn figures(figures: &Figures, real: Duration) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<9} {value}");
    };
    row(
        "time",
        format!(
            "{} of virtual time in {}, {} events",
            span(figures.virtual_us),
            took(real),
            grouped(figures.events)
        ),
    );
    row("writes", grouped(figures.writes));
    row("seen", percentiles(&figures.seen));
    row(
        "agreed",
        match figures.converged_us {
            Some(us) => format!("{} after everything was mended", span(us)),
            None => "never".to_owned(),
        },
    );
    row(
        "lamps",
        match figures.lamp_lie_us {
            0 => "none lied".to_owned(),
            us => format!("lied for {}", span(us)),
        },
    );
    if figures.deliveries > 0 {
        row(
            "copies",
            format!(
                "{} per delivery of a frame",
                ratio(figures.copies, figures.deliveries)
            ),
        );
        row("delivery", percentiles(&figures.delivery));
        for line in bars(&figures.delivery) {
            row("", line);
        }
    }
    let sent_bytes: u64 = figures.nodes.iter().map(|node| node.sent_bytes).sum();
    let sent_messages: u64 = figures.nodes.iter().map(|node| node.sent_messages).sum();
    row(
        "sent",
        format!(
            "{} in {} messages",
            bytes(sent_bytes),
            grouped(sent_messages)
        ),
    );
    row(
        "payload",
        format!(
            "{} elements, {} heads, wants and roots",
            grouped(figures.payload_elements),
            grouped(figures.metadata_units)
        ),
    );
    row(
        "trouble",
        format!(
            "{} messages lost, {} frames dropped by full queues, {} resets, {} damaged messages refused",
            grouped(figures.lost),
            grouped(figures.queue_drops),
            grouped(figures.resets),
            grouped(figures.garbage_refused)
        ),
    );
    text.trim_end().to_owned()
}

fn percentiles(histogram: &Histogram) -> String {
    let Some(median) = histogram.percentile(50) else {
        return "nothing".to_owned();
    };
    let ninety_nine = histogram.percentile(99).unwrap_or(median);
    format!(
        "p50 {}, p99 {}, at most {} ({} times)",
        span(median),
        span(ninety_nine),
        span(histogram.greatest()),
        grouped(histogram.count())
    )
}

/// Where the bars of a histogram end, in µs.
const EDGES: [u64; 12] = [
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    10_000_000,
    u64::MAX,
];
const BAR: u64 = 40;

/// A histogram in a few lines, from its first bar to its last.
fn bars(histogram: &Histogram) -> Vec<String> {
    let mut counts = [0; EDGES.len()];
    for (us, count) in histogram.buckets() {
        let bar = EDGES.iter().position(|edge| us < *edge);
        counts[bar.unwrap_or(EDGES.len() - 1)] += count;
    }
    let most = counts.iter().copied().max().unwrap_or_default().max(1);
    let first = counts.iter().position(|count| *count > 0).unwrap_or(0);
    let last = counts.iter().rposition(|count| *count > 0).unwrap_or(0);
    (first..=last)
        .map(|bar| {
            let name = match EDGES[bar] {
                u64::MAX => format!("≥ {}", span(EDGES[bar - 1])),
                edge => format!("< {}", span(edge)),
            };
            let length = (counts[bar] * BAR).div_ceil(most) as usize;
            format!(
                "{name:<9} {:<40} {}",
                "#".repeat(length),
                grouped(counts[bar])
            )
            .trim_end()
            .to_owned()
        })
        .collect()
}

/// A span of virtual time: `850 µs`, `12.3 ms`, `4.20 s`, `60 s`.
pub fn span(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{} ms", decimals(us, 1_000, 1)),
        _ if us.is_multiple_of(1_000_000) => format!("{} s", us / 1_000_000),
        _ => format!("{} s", decimals(us, 1_000_000, 2)),
    }
}

/// A fraction with so many digits after the point, rounded down; none when it is whole.
fn decimals(number: u64, one: u64, digits: usize) -> String {
    let scaled = number % one * 10u64.pow(digits as u32) / one;
    if number.is_multiple_of(one) {
        (number / one).to_string()
    } else {
        format!("{}.{scaled:0digits$}", number / one)
    }
}

pub fn ratio(number: u64, of: u64) -> String {
    format!("{:.2}", number as f64 / of as f64)
}

fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{} kB", decimals(bytes, 1_000, 1)),
        1_000_000..1_000_000_000 => format!("{} MB", decimals(bytes, 1_000_000, 1)),
        _ => format!("{} GB", decimals(bytes, 1_000_000_000, 1)),
    }
}

/// `12,345`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!((grouped(0), grouped(999)), ("0".into(), "999".into()));
        let spans = [850, 12_345, 3_000, 4_208_000, 60_000_000];
        assert_eq!(
            spans.map(span),
            ["850 µs", "12.3 ms", "3 ms", "4.20 s", "60 s"]
        );
        assert_eq!(bytes(1_250), "1.2 kB");
    }

    #[test]
    fn bars_go_from_the_first_to_the_last() {
        let mut histogram = Histogram::default();
        (0..30).for_each(|_| histogram.add(1_500));
        histogram.add(8_000);
        let bars = bars(&histogram);
        assert_eq!(bars.len(), 3);
        assert!(bars[0].starts_with("< 2 ms") && bars[0].ends_with(" 30"));
        assert!(bars[1].ends_with(" 0"), "{}", bars[1]);
        assert!(bars[2].contains("# ") && bars[2].ends_with(" 1"));
    }
}
