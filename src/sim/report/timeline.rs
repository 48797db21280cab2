//! Everything that is drawn over time: one box, one axis.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::lanes::Lanes;
use super::markup::{Escaped, Short};
use super::scale::{TimeScale, ticks};
use super::words::{bare_seconds, seconds};
use super::{divergence, faults};
use crate::sim::{Band, Outcome, Recording, Scenario, Verdict};

/// What the charts over time have in common.
pub(super) struct Timeline<'a> {
    /// What was to happen.
    pub scenario: &'a Scenario,
    /// What happened.
    pub recording: &'a Recording,
    /// The axis.
    pub scale: TimeScale,
    /// What was wrong, as far as it began before the run ended.
    pub bands: Vec<&'a Band>,
    /// The different labels of bands, in the order of their first. A fault's number is its place here, from 1.
    pub labels: Vec<&'a str>,
    numbers: BTreeMap<&'a str, usize>,
    /// When a promise was broken.
    pub broken_at_us: Option<u64>,
    /// At which node.
    pub broken_node: Option<usize>,
}

/// A stretch of time in which something was wrong.
pub(super) struct Shade {
    /// From when.
    pub from_us: u64,
    /// Until when.
    pub until_us: u64,
    /// The numbers of the faults in it.
    pub numbers: BTreeSet<usize>,
}

impl<'a> Timeline<'a> {
    /// The axis covers all that was recorded.
    pub fn new(scenario: &'a Scenario, outcome: &Outcome, recording: &'a Recording) -> Self {
        let violation = match &outcome.verdict {
            Verdict::Pass => None,
            Verdict::Fail(violation) => Some(violation),
        };
        let broken_at_us = violation.map(|violation| violation.at_us);
        let broken_node = violation.and_then(|violation| {
            let name = violation.node.as_ref()?;
            scenario.nodes.iter().position(|node| node == name)
        });
        let recorded = [
            outcome.figures.virtual_us,
            broken_at_us.unwrap_or(0),
            recording.steps.last().map_or(0, |step| step.at_us),
            recording.divergence.last().map_or(0, |sample| sample.0),
        ];
        let end_us = match recorded.into_iter().max() {
            None | Some(0) => scenario.ends_at_us().max(1),
            Some(end_us) => end_us,
        };
        let bands: Vec<&Band> = (recording.bands.iter())
            .filter(|band| band.from_us < end_us)
            .collect();
        let mut labels = Vec::new();
        let mut numbers = BTreeMap::new();
        for band in &bands {
            numbers.entry(band.label.as_str()).or_insert_with(|| {
                labels.push(band.label.as_str());
                labels.len()
            });
        }
        Self {
            scenario,
            recording,
            scale: TimeScale { end_us },
            bands,
            labels,
            numbers,
            broken_at_us,
            broken_node,
        }
    }

    /// The whole box.
    pub fn section(&self) -> String {
        let mut html = String::from(
            "<div class=\"timeline\" role=\"group\" aria-label=\"Charts over time\" tabindex=\"0\">\n<div class=\"wide\">\n",
        );
        html.push_str(&faults::chart(self));
        let lanes = Lanes::of(self);
        html.push_str(&lanes.charts());
        html.push_str(&divergence::chart(self));
        html.push_str("</div>\n</div>\n");
        html.push_str(&lanes.notes());
        html
    }

    /// A heading, what stands left of the chart, and the chart; `inner` is drawn between the grid and the marks.
    pub fn row(&self, heading: &str, left: &str, label: &str, height: u32, inner: &str) -> String {
        let mut html = format!(
            "<h3>{}</h3>\n<div class=\"row\">\n{left}\n<svg role=\"img\" aria-label=\"{}\" height=\"{}\">",
            Escaped(heading),
            Escaped(label),
            height + AXIS
        );
        self.grid(&mut html, height);
        html.push_str(inner);
        self.marks(&mut html, height);
        html.push_str("</svg>\n</div>\n");
        html
    }

    /// The number of a band's fault. The band is one of [`Self::bands`].
    pub fn number(&self, band: &Band) -> usize {
        self.numbers[band.label.as_str()]
    }

    /// Those in which links were cut or held, or a node was down.
    pub fn cuts(&self) -> impl Iterator<Item = &'a Band> {
        self.bands.iter().copied().filter(|band| band.cut)
    }

    /// Some bands as stretches that do not touch: what is less than two pixels apart is one.
    pub fn shades(&self, bands: impl IntoIterator<Item = &'a Band>) -> Vec<Shade> {
        let gap_us = self.scale.end_us / 480;
        let mut bands: Vec<(u64, u64, usize)> = (bands.into_iter())
            .map(|band| {
                let until_us = band.until_us.min(self.scale.end_us);
                (band.from_us, until_us.max(band.from_us), self.number(band))
            })
            .collect();
        bands.sort_unstable();
        let mut shades: Vec<Shade> = Vec::new();
        for (from_us, until_us, number) in bands {
            match shades.last_mut() {
                Some(last) if from_us <= last.until_us + gap_us => {
                    last.until_us = last.until_us.max(until_us);
                    last.numbers.insert(number);
                }
                _ => shades.push(Shade {
                    from_us,
                    until_us,
                    numbers: BTreeSet::from([number]),
                }),
            }
        }
        shades
    }

    /// A rectangle over a stretch of time.
    pub fn stretch(&self, svg: &mut String, class: &str, shade: &Shade, top: u32, height: u32) {
        let left = self.scale.percent(shade.from_us);
        let width = (self.scale.percent(shade.until_us) - left).max(0.15);
        write!(
            svg,
            r#"<rect class="{class}" x="{}%" y="{top}" width="{}%" height="{height}"><title>{}</title></rect>"#,
            Short(left),
            Short(width),
            Escaped(&self.describe(shade)),
        )
        .expect("text takes all");
    }

    fn describe(&self, shade: &Shade) -> String {
        let mut text = format!("{} to {}", seconds(shade.from_us), seconds(shade.until_us));
        for number in shade.numbers.iter().take(4) {
            write!(text, "; {number}: {}", self.labels[number - 1]).expect("text takes all");
        }
        super::markup::shortened(&text, 240)
    }

    fn grid(&self, svg: &mut String, height: u32) {
        let all = ticks(self.scale.end_us, 10);
        let last = all.len() - 1;
        for (at, us) in all.into_iter().enumerate() {
            let percent = self.scale.percent(us);
            let x = Short(percent);
            let anchor = match percent {
                _ if at == 0 => "start",
                p if p > 97.0 && at == last => "end",
                _ => "middle",
            };
            write!(
                svg,
                r#"<line class="grid" x1="{x}%" x2="{x}%" y1="0" y2="{height}"/><text class="tick" x="{x}%" y="{}" text-anchor="{anchor}">{} s</text>"#,
                height + 14,
                bare_seconds(us),
            )
            .expect("text takes all");
        }
    }

    fn marks(&self, svg: &mut String, height: u32) {
        let mut mark = |us: u64, class: &str, title: &str| {
            let x = Short(self.scale.percent(us));
            write!(
                svg,
                r#"<line class="{class}" x1="{x}%" x2="{x}%" y1="0" y2="{height}"><title>{title}: {}</title></line>"#,
                seconds(us)
            )
            .expect("text takes all");
        };
        let mended_at_us = self.scenario.mended_at_us();
        if mended_at_us < self.scale.end_us {
            mark(mended_at_us, "mended", "Everything is mended");
        }
        if let Some(us) = self.broken_at_us {
            mark(us, "broken", "A promise is broken");
        }
    }
}

/// Below a chart, for the times.
const AXIS: u32 = 20;
