//! How long something took: which share of all took at most how long.

use std::fmt::Write;

use super::markup::{Escaped, Short};
use super::scale::LogScale;
use super::words::{bare_seconds, counted, seconds};
use crate::sim::Histogram;

/// The chart: a logarithmic axis of times, and the share from 0 to 100 %.
pub(super) fn chart(heading: &str, about: &str, one: &str, many: &str, of: &Histogram) -> String {
    let mut html = format!(
        "<figure>\n<figcaption><h3>{}</h3><p>{} {}.</p></figcaption>\n",
        Escaped(heading),
        Escaped(about),
        counted(of.count(), one, many),
    );
    let Some((least_us, _)) = of.buckets().next() else {
        html.push_str("<p class=\"none\">There was nothing to measure.</p>\n</figure>\n");
        return html;
    };
    let scale = LogScale::holding(least_us, of.greatest());
    let marks: Vec<(u64, u64)> = [50, 90, 99]
        .into_iter()
        .filter_map(|percent| Some((percent, of.percentile(percent)?)))
        .collect();
    let read: Vec<String> = marks
        .iter()
        .map(|(percent, us)| format!("{percent} % within {}", seconds(*us)))
        .collect();
    write!(
        html,
        "<div class=\"plot\"><svg role=\"img\" aria-label=\"{}: {}, all within {}.\" height=\"{}\">",
        Escaped(heading),
        read.join(", "),
        seconds(of.greatest()),
        HEIGHT + 40,
    )
    .expect("text takes all");
    grid(&mut html, scale);
    let line = path(scale, of);
    write!(
        html,
        r#"<svg class="steps" width="100%" height="{HEIGHT}" viewBox="0 0 10000 1000" preserveAspectRatio="none"><path class="line" d="{line}"/></svg>"#
    )
    .expect("text takes all");
    for (percent, us) in marks {
        mark(&mut html, scale.percent(us), percent, us);
    }
    html.push_str("</svg></div>\n</figure>\n");
    html
}

fn grid(svg: &mut String, scale: LogScale) {
    for share in [0, 25, 50, 75, 100] {
        let y = y(share);
        write!(
            svg,
            r#"<line class="grid" x1="0" x2="100%" y1="{0}" y2="{0}"/><text class="tick" x="0" dx="-8" y="{1}" text-anchor="end">{share} %</text>"#,
            Short(y),
            Short(y + 4.0),
        )
        .expect("text takes all");
    }
    for tick in scale.ticks() {
        let x = Short(scale.percent(tick.us));
        let top = if tick.decade { 0 } else { HEIGHT - 4 };
        write!(
            svg,
            r#"<line class="grid" x1="{x}%" x2="{x}%" y1="{top}" y2="{HEIGHT}"/>"#
        )
        .expect("text takes all");
        if tick.written {
            write!(
                svg,
                r#"<text class="tick" x="{x}%" y="{}" text-anchor="middle">{}</text>"#,
                HEIGHT + 16,
                bare_seconds(tick.us)
            )
            .expect("text takes all");
        }
    }
    write!(
        svg,
        r#"<text class="tick" x="50%" y="{}" text-anchor="middle">seconds, each line ten times the one before</text>"#,
        HEIGHT + 34
    )
    .expect("text takes all");
}

/// A step up at each bucket, drawn at its least value, which is also what percentiles give.
fn path(scale: LogScale, of: &Histogram) -> String {
    let x = |us: u64| Short(scale.percent(us) * 100.0);
    let mut path = String::from("M0,1000");
    let mut sum = 0_u64;
    for (us, count) in of.buckets() {
        sum += count;
        let share = sum as f64 / of.count() as f64;
        write!(path, "H{}V{}", x(us), Short(1_000.0 - share * 1_000.0)).expect("text takes all");
    }
    write!(path, "H{}", x(of.greatest())).expect("text takes all");
    path
}

fn mark(svg: &mut String, percent: f64, share: u64, us: u64) {
    let (x, y) = (Short(percent), y(share));
    // Below the curve there is room on its right, above it on its left.
    let (anchor, dx, dy) = if percent > 55.0 {
        ("end", -7, -4.0)
    } else {
        ("start", 7, 13.0)
    };
    write!(
        svg,
        r#"<line class="mark" x1="{x}%" x2="{x}%" y1="{y}" y2="{HEIGHT}"/><circle class="mark" cx="{x}%" cy="{y}" r="3.5"/><text class="mark-text" x="{x}%" dx="{dx}" y="{}" text-anchor="{anchor}">p{share} {}</text>"#,
        Short(y + dy),
        seconds(us),
        y = Short(y),
    )
    .expect("text takes all");
}

fn y(share: u64) -> f64 {
    f64::from(HEIGHT) * (100 - share) as f64 / 100.0
}

/// In pixels: 99 % and 90 % lie a line of text apart.
const HEIGHT: u32 = 190;
