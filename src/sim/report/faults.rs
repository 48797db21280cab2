//! What went wrong: over time, and in words.

use std::fmt::Write;

use super::markup::{Escaped, Short, shortened};
use super::timeline::Timeline;
use super::words::{self, counted, seconds};
use crate::sim::Scenario;

/// A row per kind of fault, with a bar for each time.
pub(super) fn chart(timeline: &Timeline) -> String {
    let rows = timeline.labels.len().min(MAX_ROWS);
    let mut svg = String::new();
    top_labels(timeline, &mut svg);
    let mut left = format!("<ol class=\"names\" style=\"padding-top:{TOP}px\">");
    for (at, label) in timeline.labels.iter().take(rows).enumerate() {
        let top = TOP + at as u32 * ROW;
        let bands = || {
            let all = timeline.bands.iter().copied();
            all.filter(|band| band.label == *label)
        };
        let cut = bands().any(|band| band.cut);
        let shades = timeline.shades(bands());
        for shade in &shades {
            let class = if cut { "fault cut" } else { "fault" };
            timeline.stretch(&mut svg, class, shade, top + 16, 9);
        }
        let begin = shades.first().map_or(0, |shade| shade.from_us);
        let end = shades.last().map_or(0, |shade| shade.until_us);
        // The words begin where the first bar does, or end where the last one does.
        let (us, anchor) = if timeline.scale.percent(begin) <= 50.0 {
            (begin, "start")
        } else {
            (end, "end")
        };
        write!(
            svg,
            r#"<text class="fault-text" x="{}%" y="{}" text-anchor="{anchor}">{}<title>{}</title></text>"#,
            Short(timeline.scale.percent(us)),
            top + 12,
            Escaped(&shortened(label, MAX_TEXT)),
            Escaped(&shortened(label, 400)),
        )
        .expect("text takes all");
        write!(left, "<li style=\"height:{ROW}px\">{}</li>", at + 1).expect("text takes all");
    }
    left.push_str("</ol>");
    let heading = match timeline.labels.len() {
        0 => "What went wrong: nothing".to_owned(),
        all if all > rows => {
            format!("What went wrong (the first {rows} of {all} kinds)")
        }
        _ => "What went wrong".to_owned(),
    };
    let label = format!(
        "Faults over time: {}. The list of faults below says the same in words.",
        counted(timeline.labels.len() as u64, "kind", "kinds")
    );
    let height = TOP + (rows as u32 * ROW).max(4);
    timeline.row(&heading, &left, &label, height, &svg)
}

/// The words above the vertical lines.
fn top_labels(timeline: &Timeline, svg: &mut String) {
    let mut label = |us: u64, class: &str, text: &str| {
        let percent = timeline.scale.percent(us);
        let (anchor, dx) = if percent > 70.0 {
            ("end", -5)
        } else {
            ("start", 5)
        };
        write!(
            svg,
            r#"<text class="{class}" x="{}%" dx="{dx}" y="12" text-anchor="{anchor}">{text} {}</text>"#,
            Short(percent),
            seconds(us)
        )
        .expect("text takes all");
    };
    if let Some(us) = timeline.broken_at_us {
        // Both lines would bear their words at the same height.
        return label(us, "broken-text", "✖ broken at");
    }
    let mended_at_us = timeline.scenario.mended_at_us();
    if mended_at_us < timeline.scale.end_us {
        label(mended_at_us, "mark-text", "everything mended at");
    }
}

/// What the scenario says goes wrong, and what did.
pub(super) fn list(scenario: &Scenario, timeline: &Timeline) -> String {
    let mut html = String::new();
    if scenario.faults.is_empty() {
        html.push_str("<p>The scenario names no fault.</p>\n");
    } else {
        html.push_str("<ul class=\"faults\">\n");
        for fault in scenario.faults.iter().take(MAX_LISTED) {
            let until = match fault.until_us {
                Some(us) => format!("until {}", seconds(us)),
                None => "until everything is mended".to_owned(),
            };
            writeln!(
                html,
                "<li><span class=\"when\">From {} {until}:</span> {}.</li>",
                seconds(fault.at_us),
                Escaped(&words::verb(scenario, &fault.verb)),
            )
            .expect("text takes all");
        }
        html.push_str("</ul>\n");
        left_out(&mut html, scenario.faults.len(), "faults");
    }
    if let Some(chaos) = &scenario.chaos {
        let kinds = if chaos.kinds.is_empty() {
            "of all kinds".to_owned()
        } else {
            format!("of these kinds: {}", chaos.kinds.join(", "))
        };
        writeln!(
            html,
            "<p>Chaos: a fault begins every {} on average and lasts at most {}, {}, each kind with probability one half.</p>",
            seconds(chaos.every_us),
            seconds(chaos.longest_us),
            Escaped(&kinds),
        )
        .expect("text takes all");
    }
    writeln!(
        html,
        "<p>Everything is mended at {}; agreement is demanded within {}.</p>",
        seconds(scenario.mended_at_us()),
        seconds(scenario.settle_us),
    )
    .expect("text takes all");
    if !timeline.bands.is_empty() {
        html.push_str(&bands(scenario, timeline));
    }
    html
}

fn bands(scenario: &Scenario, timeline: &Timeline) -> String {
    let mut html = String::from(
        "<details><summary>As they happened</summary>\n<div class=\"scroll\"><table>\n<thead><tr><th class=\"n\">Fault</th><th class=\"n\">From</th><th class=\"n\">Until</th><th>What</th><th>Nodes</th></tr></thead>\n<tbody>\n",
    );
    for band in timeline.bands.iter().take(MAX_LISTED) {
        let nodes = if band.nodes.is_empty() {
            "all".to_owned()
        } else {
            words::nodes(scenario, &band.nodes)
        };
        writeln!(
            html,
            "<tr><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td><td>{}</td></tr>",
            timeline.number(band),
            seconds(band.from_us),
            seconds(band.until_us),
            Escaped(&shortened(&band.label, 400)),
            Escaped(&nodes),
        )
        .expect("text takes all");
    }
    html.push_str("</tbody></table></div>\n");
    left_out(&mut html, timeline.bands.len(), "rows");
    html.push_str("</details>\n");
    html
}

fn left_out(html: &mut String, all: usize, what: &str) {
    if all > MAX_LISTED {
        writeln!(
            html,
            "<p>{} more {what} are left out here.</p>",
            words::count((all - MAX_LISTED) as u64)
        )
        .expect("text takes all");
    }
}

/// For the words above the vertical lines.
const TOP: u32 = 20;
/// For one kind of fault: its words, and the bars below them.
const ROW: u32 = 28;
/// Kinds of faults drawn.
const MAX_ROWS: usize = 16;
/// Characters of a fault's label in the chart: half of the least width.
const MAX_TEXT: usize = 48;
/// Rows of a list.
const MAX_LISTED: usize = 200;
