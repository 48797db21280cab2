//! The page.

use std::fmt::Write;

use super::bars::{self, Unit};
use super::markup::{Escaped, shortened};
use super::timeline::Timeline;
use super::words::{self, count, counted, seconds};
use super::{cdf, faults, figures, lamp};
use crate::sim::{Outcome, Recording, Scenario, Verdict, Violation};

/// One page with everything in it.
pub(super) fn page(scenario: &Scenario, outcome: &Outcome, recording: &Recording) -> String {
    let timeline = Timeline::new(scenario, outcome, recording);
    let word = match outcome.verdict {
        Verdict::Pass => "PASS",
        Verdict::Fail(_) => "FAIL",
    };
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<meta name=\"color-scheme\" content=\"light dark\"/>\n<title>{word}: {}, seed {}</title>\n<style>\n{}</style>\n</head>\n<body>\n{}<main>\n",
        Escaped(&outcome.scenario),
        outcome.seed,
        include_str!("style.css"),
        lamp::SHAPES,
    );
    html.push_str(&verdict(outcome));
    html.push_str(&tiles(scenario, outcome));
    if scenario.about.is_empty() {
        html.push_str(&setting(scenario));
    } else {
        write!(
            html,
            "<p>{}</p>\n{}",
            Escaped(&scenario.about),
            setting(scenario)
        )
        .expect("text takes all");
    }

    html.push_str("<h2>Over time</h2>\n");
    if recording.steps.is_empty()
        && recording.bands.is_empty()
        && recording.divergence.is_empty()
        && recording.lamps.is_empty()
    {
        html.push_str("<p class=\"none\">Nothing was recorded over time in this run.</p>\n");
    } else {
        html.push_str(&lamp::legend());
        html.push_str(&timeline.section());
    }

    let figures_of = &outcome.figures;
    html.push_str("<h2>How fast</h2>\n<p class=\"note\">Times are counted in steps of at most a sixteenth of their value.</p>\n<div class=\"pair\">\n");
    html.push_str(&cdf::chart(
        "Time to be seen",
        "From a write until another node knows it, cuts and crashes included.",
        "sighting",
        "sightings",
        &figures_of.seen,
    ));
    html.push_str(&cdf::chart(
        "Delivery by gossip",
        "From the publishing of a frame until a node has it; what never arrives is not counted.",
        "delivery",
        "deliveries",
        &figures_of.delivery,
    ));
    html.push_str("</div>\n<h2>How much</h2>\n<div class=\"pair\">\n");
    html.push_str(&bars::chart(
        "Bytes per node",
        Unit::Bytes,
        &figures_of.nodes,
    ));
    html.push_str(&bars::chart(
        "Messages per node",
        Unit::Messages,
        &figures_of.nodes,
    ));
    html.push_str("</div>\n<h2>Faults</h2>\n");
    html.push_str(&faults::list(scenario, &timeline));
    html.push_str("<h2>Figures</h2>\n");
    html.push_str(&figures::table(scenario, outcome, recording));
    html.push_str("<h3>Nodes</h3>\n");
    if figures_of.nodes.len() > MAX_OPEN_ROWS {
        write!(
            html,
            "<details><summary>{}</summary>\n{}</details>\n",
            counted(figures_of.nodes.len() as u64, "node", "nodes"),
            figures::nodes(&figures_of.nodes)
        )
        .expect("text takes all");
    } else {
        html.push_str(&figures::nodes(&figures_of.nodes));
    }
    html.push_str(&footer(outcome, recording));
    html.push_str("</main>\n</body>\n</html>\n");
    html
}

fn verdict(outcome: &Outcome) -> String {
    let (class, word, shape) = match outcome.verdict {
        Verdict::Pass => (
            "pass",
            "PASS",
            r#"<circle cx="24" cy="24" r="22"/><path d="M13 25 21 33 36 16"/>"#,
        ),
        Verdict::Fail(_) => (
            "fail",
            "FAIL",
            r#"<path class="board" d="M15 2H33L46 15V33L33 46H15L2 33V15Z"/><path d="M15 15 33 33M33 15 15 33"/>"#,
        ),
    };
    let mut html = format!(
        "<header class=\"{class}\">\n<svg role=\"img\" aria-label=\"{word}\" width=\"48\" height=\"48\" viewBox=\"0 0 48 48\">{shape}</svg>\n<div>\n<h1>{word} <span>{}</span></h1>\n<p>seed {}</p>\n</div>\n</header>\n",
        Escaped(&outcome.scenario),
        outcome.seed,
    );
    if let Verdict::Fail(violation) = &outcome.verdict {
        html.push_str(&broken(violation));
    }
    writeln!(
        html,
        "<p>Replay: <code class=\"copy\">{}</code></p>",
        Escaped(&replay(&outcome.scenario, outcome.seed))
    )
    .expect("text takes all");
    html
}

/// The line that runs it again.
fn replay(scenario: &str, seed: u64) -> String {
    let file = format!("simulations/{scenario}.toml");
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let file = if file.chars().all(plain) {
        file
    } else {
        format!("'{}'", file.replace('\'', r"'\''"))
    };
    format!("presence-mesh sim replay {file} --seed {seed}")
}

fn broken(violation: &Violation) -> String {
    let node = match &violation.node {
        Some(node) => format!(" at {}", shortened(node, 60)),
        None => String::new(),
    };
    format!(
        "<div class=\"violation\" role=\"group\" aria-label=\"What was broken\">\n<p><strong>{}</strong> at {:.6} s{}</p>\n<p class=\"text\">{}</p>\n</div>\n",
        Escaped(&violation.checker),
        // To the microsecond: that is how the trace tells it.
        violation.at_us as f64 / 1e6,
        Escaped(&node),
        Escaped(&shortened(&violation.text, MAX_TEXT)),
    )
}

/// What one wants to know first.
fn tiles(scenario: &Scenario, outcome: &Outcome) -> String {
    let figures = &outcome.figures;
    let lie = seconds(figures.lamp_lie_us);
    let agreed = figures
        .converged_us
        .map_or("not reached".to_owned(), seconds);
    let seen = figures.seen.percentile(99).map_or("–".to_owned(), seconds);
    let mut html = String::from("<dl class=\"tiles\">\n");
    for (name, value, more) in [
        ("Lamp lie time", lie, "longest beyond a lease"),
        ("All agree after", agreed, "from the mending"),
        ("Seen within, p99", seen, "from write to sight"),
        ("Nodes", count(scenario.nodes.len() as u64), "replicas"),
        ("Writes", count(figures.writes), "by the nodes' users"),
        (
            "Virtual time",
            seconds(figures.virtual_us),
            &*format!("{} events", words::short(figures.events)),
        ),
    ] {
        writeln!(
            html,
            "<div><dt>{name}</dt><dd><b>{value}</b> <small>{more}</small></dd></div>"
        )
        .expect("text takes all");
    }
    html.push_str("</dl>\n");
    html
}

/// The network, in a sentence or two.
fn setting(scenario: &Scenario) -> String {
    let network = &scenario.network;
    let mut text = format!(
        "{}; messages take {}",
        counted(scenario.nodes.len() as u64, "node", "nodes"),
        words::latency(network.latency)
    );
    if let Some(regions) = &network.regions {
        let names: Vec<String> = regions
            .names
            .iter()
            .take(8)
            .map(|name| shortened(name, 30))
            .collect();
        write!(text, " and more between the regions {}", names.join(", ")).expect("text takes all");
    }
    for (chance, what) in [
        (network.loss, "are lost"),
        (network.duplicate, "arrive twice"),
        (network.reorder, "are overtaken"),
    ] {
        if chance.0 > 0 {
            write!(text, "; {} {what}", words::chance(chance)).expect("text takes all");
        }
    }
    if let Some(burst) = network.burst {
        write!(text, "; bursts {}", words::burst(burst)).expect("text takes all");
    }
    if let Some(most) = network.bandwidth {
        write!(
            text,
            "; each node sends at most {} a second",
            words::bytes(most)
        )
        .expect("text takes all");
    }
    text.push_str(match scenario.gossip {
        Some(_) => "; deltas are gossiped.",
        None => "; links carry anti-entropy only.",
    });
    format!("<p class=\"setting\">{}</p>\n", Escaped(&text))
}

fn footer(outcome: &Outcome, recording: &Recording) -> String {
    let left_out = match recording.left_out {
        0 => String::new(),
        left_out => format!(" ({} more left out)", count(left_out)),
    };
    format!(
        "<footer>\n<p>Trace hash <code>{}</code></p>\n<p>Beside this page: <code>result.json</code>, <code>trace.ndjson</code> with {}{left_out}, <code>metrics.csv</code>.</p>\n</footer>\n",
        Escaped(&outcome.trace_hash),
        counted(recording.lines.len() as u64, "line", "lines"),
    )
}

/// A longer table of nodes is folded.
const MAX_OPEN_ROWS: usize = 24;
/// Characters of what a checker says.
const MAX_TEXT: usize = 4_000;
