//! Swim lanes: what each node showed of a lamp, over time.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::lamp::{self, LANE};
use super::markup::{Escaped, Short, middle_out, shortened};
use super::segments::{Look, Segment, exact, merged};
use super::timeline::Timeline;
use super::words::{self, bare_seconds, counted, seconds};
use crate::proto::Freshness;
use crate::sim::{Band, LampStep, MAX_LINES};

/// The stretches of every lane that is drawn, lamp by lamp.
pub(super) struct Lanes<'a> {
    timeline: &'a Timeline<'a>,
    nodes: Vec<usize>,
    exact: Vec<Vec<Segment>>,
    drawn: Vec<Vec<Segment>>,
    /// What is shorter is drawn together.
    cell_us: u64,
    /// Where the recording ends before the run does.
    cut_off_us: Option<u64>,
}

impl<'a> Lanes<'a> {
    /// The lanes there is room for.
    pub fn of(timeline: &'a Timeline<'a>) -> Self {
        let nodes = drawn_nodes(timeline);
        let recording = timeline.recording;
        let lamps = recording.lamps.len().min(MAX_LAMPS);
        let mut steps: Vec<Vec<&LampStep>> = vec![Vec::new(); lamps * nodes.len()];
        for step in &recording.steps {
            if let (true, Ok(at)) = (step.lamp < lamps, nodes.binary_search(&step.node)) {
                steps[step.lamp * nodes.len() + at].push(step);
            }
        }
        let last_us = recording.steps.last().map_or(0, |step| step.at_us);
        let cut_off_us = (recording.steps.len() >= MAX_LINES).then_some(last_us);
        let end_us = cut_off_us.unwrap_or(timeline.scale.end_us);
        let exact: Vec<Vec<Segment>> = steps
            .into_iter()
            .map(|steps| exact(steps, end_us))
            .collect();
        let mut cell_us = timeline.scale.end_us / COLUMNS + 1;
        let drawn = loop {
            let drawn: Vec<Vec<Segment>> = exact.iter().map(|lane| merged(lane, cell_us)).collect();
            if drawn.iter().map(Vec::len).sum::<usize>() <= MAX_SEGMENTS {
                break drawn;
            }
            cell_us *= 2;
        };
        Self {
            timeline,
            nodes,
            exact,
            drawn,
            cell_us,
            cut_off_us,
        }
    }

    /// A group of lanes for each lamp.
    pub fn charts(&self) -> String {
        let (timeline, nodes) = (self.timeline, &self.nodes);
        let recording = timeline.recording;
        if recording.lamps.is_empty() {
            return "<h3>Lamps</h3>\n<p class=\"none\">No lamp was recorded.</p>\n".to_owned();
        }
        let mut html = String::new();
        for (lamp, name) in recording.lamps.iter().enumerate().take(MAX_LAMPS) {
            let left = names(timeline, nodes);
            let mut svg = String::new();
            for (at, node) in nodes.iter().enumerate() {
                write!(
                    svg,
                    r#"<svg y="{}" width="100%" height="{LANE}">"#,
                    at as u32 * LANE
                )
                .expect("text takes all");
                shades(
                    timeline,
                    *node,
                    at.checked_sub(1).map(|before| nodes[before]),
                    &mut svg,
                );
                for segment in &self.drawn[lamp * nodes.len() + at] {
                    draw(timeline, segment, &mut svg);
                }
                svg.push_str(r#"<line class="lane" x1="0" x2="100%" y1="31.5" y2="31.5"/></svg>"#);
            }
            let heading = format!("Lamp {}", shortened(name, 60));
            let label = format!(
                "{heading} as {} showed it over time. The table of lamps sums it up.",
                counted(nodes.len() as u64, "node", "nodes"),
            );
            html.push_str(&timeline.row(&heading, &left, &label, nodes.len() as u32 * LANE, &svg));
        }
        html
    }

    /// What the lanes leave out, and their sums as a table.
    pub fn notes(&self) -> String {
        let (timeline, nodes) = (self.timeline, &self.nodes);
        let recording = timeline.recording;
        if recording.lamps.is_empty() {
            return String::new();
        }
        let mut html = String::new();
        let mut note = |text: String| {
            writeln!(html, "<p class=\"note\">{text}</p>").expect("text takes all");
        };
        let all = timeline.scenario.nodes.len();
        if nodes.len() < all {
            note(format!(
                "{} of {} nodes are drawn: those with faults of their own, then the first.",
                nodes.len(),
                words::count(all as u64)
            ));
        }
        if recording.lamps.len() > MAX_LAMPS {
            let rest: Vec<String> = recording.lamps[MAX_LAMPS..]
                .iter()
                .take(8)
                .map(|name| shortened(name, 60))
                .collect();
            let more = recording.lamps.len() - MAX_LAMPS - rest.len();
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            note(format!(
                "Recorded but not drawn: {}{more}.",
                Escaped(&rest.join(", "))
            ));
        }
        if let Some(us) = self.cut_off_us {
            note(format!(
                "The lanes end at {}: only {} changes are recorded.",
                seconds(us),
                words::count(MAX_LINES as u64)
            ));
        }
        if self.cell_us > timeline.scale.end_us / COLUMNS + 1 {
            note(format!(
                "There are many changes: what lasted less than {} is drawn together.",
                seconds(self.cell_us)
            ));
        }
        html.push_str(&self.table());
        html
    }

    /// How long each node showed a lamp how.
    fn table(&self) -> String {
        let (timeline, nodes) = (self.timeline, &self.nodes);
        let mut html = String::from(
            "<details><summary>The lamps as a table</summary>\n<div class=\"scroll\"><table>\n<thead><tr><th>Lamp</th><th>Node</th><th class=\"n\">Live (s)</th><th class=\"n\">Stale (s)</th><th class=\"n\">Gone (s)</th><th class=\"n\">Nothing (s)</th><th class=\"n\">Changes</th><th>At the end</th></tr></thead>\n<tbody>\n",
        );
        for (lamp, name) in timeline.recording.lamps.iter().enumerate().take(MAX_LAMPS) {
            for (at, node) in nodes.iter().enumerate() {
                let segments = &self.exact[lamp * nodes.len() + at];
                let sum = |wanted: &dyn Fn(Look) -> bool| {
                    let all = segments.iter().filter(|segment| wanted(segment.look));
                    bare_seconds(all.map(Segment::length_us).sum())
                };
                let fresh =
                    |freshness| move |look| matches!(look, Look::Shown(_, f) if f == freshness);
                let last = segments
                    .last()
                    .map_or(Look::Nothing, |segment| segment.look);
                writeln!(
                html,
                "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>",
                Escaped(&shortened(name, 60)),
                Escaped(&words::name(timeline.scenario, *node)),
                sum(&fresh(Freshness::Live)),
                sum(&fresh(Freshness::Stale)),
                sum(&fresh(Freshness::Gone)),
                sum(&|look| look == Look::Nothing),
                words::count(segments.len().saturating_sub(1) as u64),
                lamp::words(last),
            )
            .expect("text takes all");
            }
        }
        html.push_str("</tbody></table></div>\n</details>\n");
        html
    }
}

/// In order: those that a violation or a fault names, then the first, as many as there is room for.
fn drawn_nodes(timeline: &Timeline) -> Vec<usize> {
    let all = timeline.scenario.nodes.len();
    let mut nodes = BTreeSet::new();
    nodes.extend(timeline.broken_node);
    // A cut of half the mesh says nothing about any single node.
    for band in (timeline.cuts()).filter(|band| band.nodes.len() <= MAX_NODES / 3) {
        for node in &band.nodes {
            if nodes.len() < MAX_NODES * 2 / 3 && *node < all {
                nodes.insert(*node);
            }
        }
    }
    for node in 0..all {
        if nodes.len() < MAX_NODES {
            nodes.insert(node);
        }
    }
    nodes.into_iter().collect()
}

fn names(timeline: &Timeline, nodes: &[usize]) -> String {
    let mut html = String::from("<ol class=\"names\">");
    for node in nodes {
        let name = words::name(timeline.scenario, *node);
        write!(
            html,
            "<li style=\"height:{LANE}px\" title=\"{}\">{}</li>",
            Escaped(&name),
            Escaped(&middle_out(&name, MAX_NAME)),
        )
        .expect("text takes all");
    }
    html.push_str("</ol>");
    html
}

/// Where this node was cut off or down. Faults are numbered where the lane above does not say the same.
fn shades(timeline: &Timeline, node: usize, above: Option<usize>, svg: &mut String) {
    let concerning = |node: usize| {
        let concerns = move |band: &&Band| band.nodes.is_empty() || band.nodes.contains(&node);
        timeline.shades(timeline.cuts().filter(concerns))
    };
    let above: BTreeSet<(u64, BTreeSet<usize>)> = above
        .map(concerning)
        .into_iter()
        .flatten()
        .map(|shade| (shade.from_us, shade.numbers))
        .collect();
    for shade in concerning(node) {
        timeline.stretch(svg, "shade", &shade, 0, LANE);
        let left = timeline.scale.percent(shade.from_us);
        let room = timeline.scale.percent(shade.until_us) - left;
        if room >= LEAST_ROOM && !above.contains(&(shade.from_us, shade.numbers.clone())) {
            let mut numbers: Vec<String> =
                shade.numbers.iter().take(4).map(usize::to_string).collect();
            if shade.numbers.len() > 4 {
                numbers.push("…".to_owned());
            }
            write!(
                svg,
                r#"<text class="tag" x="{}%" dx="3" y="9">{}</text>"#,
                Short(left),
                numbers.join(" ")
            )
            .expect("text takes all");
        }
    }
}

fn draw(timeline: &Timeline, segment: &Segment, svg: &mut String) {
    let left = timeline.scale.percent(segment.from_us);
    let width = timeline.scale.percent(segment.until_us) - left;
    let title = format!(
        "{}: {} to {}",
        lamp::words(segment.look),
        seconds(segment.from_us),
        seconds(segment.until_us)
    );
    let room = width * NOMINAL_WIDTH / 100.0;
    lamp::draw(svg, segment.look, left, width, room, &title);
}

/// Lamps drawn.
const MAX_LAMPS: usize = 3;
/// Lanes of each lamp.
const MAX_NODES: usize = 12;
/// Stretches drawn over all lanes; each is at most some 250 bytes of the page.
const MAX_SEGMENTS: usize = 5_000;
/// What is shorter than one of so many parts of the run is narrower than a pixel.
const COLUMNS: u64 = 960;
/// The width of a chart in pixels on a phone, where it is scrolled: what has room there has room anywhere.
const NOMINAL_WIDTH: f64 = 640.0;
/// Characters of a node's name beside its lane.
const MAX_NAME: usize = 14;
/// For a number, in percent of the width.
const LEAST_ROOM: f64 = 2.0;
