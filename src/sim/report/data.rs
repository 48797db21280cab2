//! The files for scripts.

use serde_json::json;

use crate::sim::{NodeFigures, Outcome, Recording};

/// `result.json`.
pub(super) fn result(outcome: &Outcome) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(outcome).expect("names and numbers are JSON");
    bytes.push(b'\n');
    bytes
}

/// `trace.ndjson`.
pub(super) fn trace(recording: &Recording) -> Vec<u8> {
    let mut bytes = Vec::new();
    let last = (recording.left_out > 0).then(|| json!({ "left_out": recording.left_out }));
    for line in recording.lines.iter().chain(&last) {
        serde_json::to_writer(&mut bytes, line).expect("a JSON value is JSON");
        bytes.push(b'\n');
    }
    bytes
}

/// `metrics.csv`.
pub(super) fn metrics(outcome: &Outcome) -> String {
    let mut text = String::from(
        "node,sent_bytes,sent_messages,received_bytes,received_messages,copies_of_frames,entries_at_end\n",
    );
    for node in &outcome.figures.nodes {
        row(&mut text, &node.name, node);
    }
    row(&mut text, "(total)", &total(&outcome.figures.nodes));
    text
}

/// The sum over some nodes.
pub(super) fn total<'a>(nodes: impl IntoIterator<Item = &'a NodeFigures>) -> NodeFigures {
    let mut total = NodeFigures::default();
    for node in nodes {
        total.sent_bytes += node.sent_bytes;
        total.sent_messages += node.sent_messages;
        total.received_bytes += node.received_bytes;
        total.received_messages += node.received_messages;
        total.copies += node.copies;
        total.entries += node.entries;
    }
    total
}

fn row(text: &mut String, name: &str, node: &NodeFigures) {
    if name.contains([',', '"', '\n', '\r']) {
        text.push('"');
        text.push_str(&name.replace('"', "\"\""));
        text.push('"');
    } else {
        text.push_str(name);
    }
    for number in [
        node.sent_bytes,
        node.sent_messages,
        node.received_bytes,
        node.received_messages,
        node.copies,
        node.entries,
    ] {
        text.push(',');
        text.push_str(&number.to_string());
    }
    text.push('\n');
}
