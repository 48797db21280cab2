//! All figures as tables.

use std::fmt::Write;

use super::data::total;
use super::markup::{Escaped, shortened};
use super::words::{count, seconds};
use crate::sim::{Figures, Histogram, NodeFigures, Outcome, Recording, Scenario};

/// A figure: its name in `result.json`, what it says, and how much it is.
struct Row {
    field: &'static str,
    text: &'static str,
    value: String,
}

/// Every figure of the run.
pub(super) fn table(scenario: &Scenario, outcome: &Outcome, recording: &Recording) -> String {
    let mut html = String::from(
        "<div class=\"scroll\"><table class=\"figures\">\n<thead><tr><th>What</th><th class=\"n\">How much</th><th>In result.json</th></tr></thead>\n<tbody>\n",
    );
    let mut row = |text: &str, value: &str, field: &str| {
        let code = if field.is_empty() {
            String::new()
        } else {
            format!("<code>{field}</code>")
        };
        writeln!(
            html,
            "<tr><td>{text}</td><td class=\"n\">{value}</td><td>{code}</td></tr>"
        )
        .expect("text takes all");
    };
    row("Nodes", &count(scenario.nodes.len() as u64), "");
    for Row { field, text, value } in rows(&outcome.figures) {
        row(text, &value, field);
    }
    if let Some(greatest) = recording.divergence.iter().map(|sample| sample.1).max() {
        row(
            "Nodes that differed at the same time, at most (sampled)",
            &count(greatest as u64),
            "",
        );
    }
    if let Some(ratio) = per(outcome.figures.copies, outcome.figures.deliveries) {
        row("Copies of a frame that a node received", &ratio, "");
    }
    html.push_str("</tbody></table></div>\n");
    html
}

/// How many of `all` there are for one of `each`.
fn per(all: u64, each: u64) -> Option<String> {
    (each > 0).then(|| format!("{:.2}", all as f64 / each as f64))
}

fn rows(figures: &Figures) -> Vec<Row> {
    let row = |field, text, value| Row { field, text, value };
    // Taken apart, so that a figure that is added cannot be forgotten here.
    let Figures {
        virtual_us,
        events,
        writes,
        seen,
        converged_us,
        lamp_lie_us,
        frames,
        copies,
        deliveries,
        delivery,
        payload_elements,
        metadata_units,
        lost,
        queue_drops,
        resets,
        garbage_refused,
        nodes: _,
    } = figures;
    let converged = match converged_us {
        Some(us) => seconds(*us),
        None => "not reached".to_owned(),
    };
    vec![
        row(
            "virtual_us",
            "Length of the run, in virtual time",
            seconds(*virtual_us),
        ),
        row("events", "Things that happened", count(*events)),
        row("writes", "Writes by the nodes' users", count(*writes)),
        row(
            "seen",
            "Time until another node has seen a write",
            spread(seen),
        ),
        row(
            "converged_us",
            "From the mending until all stores were equal",
            converged,
        ),
        row(
            "lamp_lie_us",
            "Longest a lamp was shown beyond its lease (0 when the promise is kept)",
            seconds(*lamp_lie_us),
        ),
        row("frames", "Frames handed to gossip", count(*frames)),
        row("copies", "Copies of frames that arrived", count(*copies)),
        row(
            "deliveries",
            "Frames that reached a node for the first time",
            count(*deliveries),
        ),
        row(
            "delivery",
            "Time until a node has a frame",
            spread(delivery),
        ),
        row(
            "payload_elements",
            "Entries sent in deltas",
            count(*payload_elements),
        ),
        row(
            "metadata_units",
            "Heads, wants and roots sent",
            count(*metadata_units),
        ),
        row("lost", "Messages lost, by cuts or chance", count(*lost)),
        row(
            "queue_drops",
            "Frames dropped because a queue was full",
            count(*queue_drops),
        ),
        row(
            "resets",
            "Whole maps sent because the asker had been away too long",
            count(*resets),
        ),
        row(
            "garbage_refused",
            "Damaged messages that were refused",
            count(*garbage_refused),
        ),
    ]
}

fn spread(of: &Histogram) -> String {
    let mut text = format!("{} measured", count(of.count()));
    for percent in [50, 90, 99] {
        if let Some(us) = of.percentile(percent) {
            write!(text, "<br/>p{percent} {}", seconds(us)).expect("text takes all");
        }
    }
    if of.count() > 0 {
        write!(text, "<br/>max {}", seconds(of.greatest())).expect("text takes all");
    }
    text
}

/// A row per node, and their sum.
pub(super) fn nodes(nodes: &[NodeFigures]) -> String {
    let mut html = String::from(
        "<div class=\"scroll\"><table>\n<thead><tr><th>Node</th><th class=\"n\">Sent (bytes)</th><th class=\"n\">Sent (messages)</th><th class=\"n\">Received (bytes)</th><th class=\"n\">Received (messages)</th><th class=\"n\">Copies of frames</th><th class=\"n\">Entries at the end</th></tr></thead>\n<tbody>\n",
    );
    for node in nodes.iter().take(MAX_ROWS) {
        row(&mut html, &shortened(&node.name, 60), node);
    }
    html.push_str("</tbody>\n<tfoot>\n");
    row(&mut html, "All", &total(nodes));
    html.push_str("</tfoot></table></div>\n");
    if nodes.len() > MAX_ROWS {
        writeln!(
            html,
            "<p>{} more nodes are in <code>metrics.csv</code>.</p>",
            count((nodes.len() - MAX_ROWS) as u64)
        )
        .expect("text takes all");
    }
    html
}

fn row(html: &mut String, name: &str, node: &NodeFigures) {
    write!(html, "<tr><td>{}</td>", Escaped(name)).expect("text takes all");
    for number in [
        node.sent_bytes,
        node.sent_messages,
        node.received_bytes,
        node.received_messages,
        node.copies,
        node.entries,
    ] {
        write!(html, "<td class=\"n\">{}</td>", count(number)).expect("text takes all");
    }
    html.push_str("</tr>\n");
}

/// Of the table of nodes; some 200 bytes of the page each.
const MAX_ROWS: usize = 1_000;
