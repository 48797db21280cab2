//! How many nodes differ, over time.

use std::fmt::Write;

use super::markup::Short;
use super::scale::ticks;
use super::timeline::Timeline;
use super::words::count;

/// The chart, in steps.
pub(super) fn chart(timeline: &Timeline) -> String {
    let samples = &timeline.recording.divergence;
    let heading = "Divergence: how many nodes differ from the most common store";
    if samples.is_empty() {
        return format!("<h3>{heading}</h3>\n<p class=\"none\">No sample was recorded.</p>\n");
    }
    let most = samples
        .iter()
        .map(|sample| sample.1)
        .max()
        .unwrap_or(0)
        .max(1) as u64;
    let mut left = format!(
        "<svg class=\"names\" aria-hidden=\"true\" height=\"{}\">",
        HEIGHT + 8
    );
    let mut svg = String::new();
    for shade in timeline.shades(timeline.cuts()) {
        timeline.stretch(&mut svg, "shade", &shade, 0, HEIGHT);
    }
    for tick in ticks(most, 4) {
        let y = f64::from(HEIGHT) - tick as f64 * f64::from(ROOM) / most as f64;
        write!(
            svg,
            r#"<line class="grid" x1="0" x2="100%" y1="{0}" y2="{0}"/>"#,
            Short(y)
        )
        .expect("text takes all");
        write!(
            left,
            r#"<text class="tick" x="100%" dx="-8" y="{}" text-anchor="end">{}</text>"#,
            Short(y + 4.0),
            count(tick)
        )
        .expect("text takes all");
    }
    left.push_str("</svg>");
    let line = path(samples, most, timeline.scale.end_us);
    write!(
        svg,
        r#"<svg class="steps" x="0" y="{}" width="100%" height="{ROOM}" viewBox="0 0 {COLUMNS} 1000" preserveAspectRatio="none"><path class="area" d="{line}V1000H0Z"/><path class="line" d="{line}"/></svg>"#,
        HEIGHT - ROOM
    )
    .expect("text takes all");
    let label = format!("{heading}, over time; at most {most}. The table of figures sums it up.");
    timeline.row(heading, &left, &label, HEIGHT, &svg)
}

/// One step for the greatest and one for the last sample of each column: no peak is lost.
fn path(samples: &[(u64, usize)], most: u64, end_us: u64) -> String {
    let column =
        |us: u64| (u128::from(us.min(end_us)) * COLUMNS as u128 / u128::from(end_us)) as u64;
    let y = |nodes: usize| 1_000 - nodes as u64 * 1_000 / most;
    let mut path = String::from("M0,1000");
    let mut drawn = 1_000;
    let mut rest = samples;
    while let Some((first, _)) = rest.first() {
        let x = column(*first);
        let here = rest.partition_point(|sample| column(sample.0) == x);
        let (samples, later) = rest.split_at(here);
        rest = later;
        let greatest = samples.iter().map(|sample| sample.1).max().unwrap_or(0);
        let last = samples.last().map_or(0, |sample| sample.1);
        for (x, y) in [(x, y(greatest)), (x + 1, y(last))] {
            if y != drawn {
                write!(path, "H{}V{y}", x.min(COLUMNS)).expect("text takes all");
                drawn = y;
            }
        }
    }
    write!(path, "H{COLUMNS}").expect("text takes all");
    path
}

/// Of the chart, in pixels.
const HEIGHT: u32 = 104;
/// Of the greatest value.
const ROOM: u32 = 96;
/// What is closer together is one step.
const COLUMNS: u64 = 1_920;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_between_two_columns_is_drawn() {
        let mut samples: Vec<(u64, usize)> = (0..100_000).map(|us| (us, 0)).collect();
        samples[50_000].1 = 7;
        let path = path(&samples, 7, 100_000);
        assert!(path.contains("V0"), "{path}");
        assert!(path.ends_with("V1000H1920"), "{path}");
        assert!(path.len() < 60, "{path}");
    }
}
