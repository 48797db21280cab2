//! What each node sent and received, as bars that start at 0.

use std::fmt::Write;

use super::data::total;
use super::markup::{Escaped, Short, middle_out, shortened};
use super::scale::ticks;
use super::words;
use crate::sim::NodeFigures;

/// What the bars count.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Unit {
    /// Bytes.
    Bytes,
    /// Messages.
    Messages,
}

/// Two bars for each node; of many nodes, the ones that moved most bytes, and the mean of the others.
pub(super) fn chart(heading: &str, unit: Unit, nodes: &[NodeFigures]) -> String {
    let rows = rows(unit, nodes);
    let mut html = format!(
        "<figure>\n<figcaption><h3>{heading}</h3>{}</figcaption>\n",
        if nodes.len() > MAX_ROWS {
            format!(
                "<p>The {MAX_ROWS} of {} nodes that moved most bytes.</p>",
                words::count(nodes.len() as u64)
            )
        } else {
            String::new()
        }
    );
    let most = rows.iter().map(|row| row.sent.max(row.received)).max();
    let Some(most) = most.filter(|most| *most > 0) else {
        html.push_str("<p class=\"none\">Nothing was sent.</p>\n</figure>\n");
        return html;
    };
    let height = rows.len() as u32 * ROW + 4;
    let x = |value: u64| Short(value as f64 * WIDEST / most as f64);
    write!(
        html,
        "<p class=\"key\"><span><svg role=\"img\" aria-label=\"filled\" width=\"22\" height=\"11\"><rect class=\"sent\" width=\"22\" height=\"11\"/></svg> sent</span> <span><svg role=\"img\" aria-label=\"dotted\" width=\"22\" height=\"11\"><rect class=\"dotted\" x=\".5\" y=\".5\" width=\"21\" height=\"10\"/></svg> received</span></p>\n<div class=\"plot named\"><svg role=\"img\" aria-label=\"{heading}, sent and received. The table of nodes says the same.\" height=\"{}\">",
        height + 20,
    )
    .expect("text takes all");
    for tick in ticks(most, 4) {
        write!(
            html,
            r#"<line class="grid" x1="{0}%" x2="{0}%" y1="0" y2="{height}"/><text class="tick" x="{0}%" y="{1}" text-anchor="middle">{2}</text>"#,
            x(tick),
            height + 15,
            unit.short(tick),
        )
        .expect("text takes all");
    }
    for (at, row) in rows.iter().enumerate() {
        let top = at as u32 * ROW + 4;
        write!(
            html,
            r#"<text class="name" x="0" dx="-8" y="{}" text-anchor="end">{}<title>{}</title></text>"#,
            top + 17,
            Escaped(&middle_out(&row.name, MAX_NAME)),
            Escaped(&shortened(&row.name, 200)),
        )
        .expect("text takes all");
        for (class, top, value, what) in [
            ("sent", top, row.sent, "sent"),
            ("dotted", top + 14, row.received, "received"),
        ] {
            write!(
                html,
                r#"<rect class="{class}" x="0" y="{top}" width="{}%" height="11"><title>{what}: {} {}</title></rect><text class="value" x="{}%" dx="5" y="{}">{}</text>"#,
                x(value),
                words::count(value),
                unit.word(),
                x(value),
                top + 9,
                unit.short(value),
            )
            .expect("text takes all");
        }
    }
    html.push_str("</svg></div>\n</figure>\n");
    html
}

impl Unit {
    fn of(self, node: &NodeFigures) -> (u64, u64) {
        match self {
            Self::Bytes => (node.sent_bytes, node.received_bytes),
            Self::Messages => (node.sent_messages, node.received_messages),
        }
    }

    fn short(self, value: u64) -> String {
        match self {
            Self::Bytes => words::bytes(value),
            Self::Messages => words::short(value),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Messages => "messages",
        }
    }
}

struct Row {
    name: String,
    sent: u64,
    received: u64,
}

fn rows(unit: Unit, nodes: &[NodeFigures]) -> Vec<Row> {
    let mut chosen: Vec<usize> = (0..nodes.len()).collect();
    if nodes.len() > MAX_ROWS {
        chosen.sort_by_key(|at| {
            let node = &nodes[*at];
            (
                u64::MAX - node.sent_bytes.saturating_add(node.received_bytes),
                *at,
            )
        });
    }
    let others = chosen.split_off(chosen.len().min(MAX_ROWS));
    chosen.sort_unstable();
    let mut rows: Vec<Row> = chosen
        .into_iter()
        .map(|at| {
            let (sent, received) = unit.of(&nodes[at]);
            Row {
                name: nodes[at].name.clone(),
                sent,
                received,
            }
        })
        .collect();
    if !others.is_empty() {
        let (sent, received) = unit.of(&total(others.iter().map(|at| &nodes[*at])));
        let count = others.len() as u64;
        rows.push(Row {
            name: format!("mean of {}", words::short(count)),
            sent: sent / count,
            received: received / count,
        });
    }
    rows
}

/// Nodes drawn.
const MAX_ROWS: usize = 20;
/// The height of a node's two bars and the gap below them.
const ROW: u32 = 34;
/// The longest bar, in percent of the width: the number stands behind it.
const WIDEST: f64 = 78.0;
/// Characters of a node's name.
const MAX_NAME: usize = 13;
