//! The lamp language as drawings: every state has a colour, a shape and a silhouette of its own.

use std::fmt::Write;

use super::markup::Short;
use super::segments::Look;
use crate::model::DeviceState;
use crate::proto::Freshness;

/// The height of a lane. Its upper strip is for the numbers of faults, the rest for the lamp.
pub(super) const LANE: u32 = 32;

/// Shapes and patterns, to be named by the drawings of the page.
pub(super) const SHAPES: &str = r##"<svg class="shapes" width="0" height="0" aria-hidden="true"><defs>
<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="hatching" width="1.6" height="6"/></pattern>
<pattern id="many" width="4" height="4" patternUnits="userSpaceOnUse"><rect class="hatching" width="2" height="4"/></pattern>
<pattern id="dots" width="5" height="5" patternUnits="userSpaceOnUse"><rect class="received" width="5" height="5" fill-opacity=".28"/><circle class="received" cx="2.5" cy="2.5" r="1.2"/></pattern>
<g id="g-free"><circle class="free hollow" cx="10" cy="0" r="5"/></g>
<g id="g-ring"><path class="ring edge" d="M10-6 16.5 5.5H3.5Z"/></g>
<g id="g-call"><rect class="call edge" x="5" y="-5" width="10" height="10"/></g>
<g id="g-busy"><rect class="call edge" x="5" y="-5" width="10" height="10"/><path class="stroke" d="M5 0H15"/></g>
<g id="g-hold"><path class="hold edge" d="M5-5.5h4v11h-4ZM11-5.5h4v11h-4Z"/></g>
<g id="g-both"><rect class="call edge" x="4" y="-5" width="10" height="10"/><path class="ring edge" d="M14-7 19 2H9Z"/></g>
<g id="g-off"><path class="off cross" d="M5.5-4.5 14.5 4.5M14.5-4.5 5.5 4.5"/></g>
<g id="g-unk"><text class="off-text" x="10" y="5" text-anchor="middle">?</text></g>
<g id="g-clock"><circle class="paper edge" cx="26" cy="0" r="5.5"/><path class="stroke" d="M26-3.5V0L28.5 1.5"/></g>
</defs></svg>
"##;

/// How a state is drawn: its class, its shape, and the parts of its silhouette as (class, top, height).
struct Drawing {
    shape: &'static str,
    parts: &'static [(&'static str, u32, u32)],
}

fn drawing(state: DeviceState) -> Drawing {
    let (shape, parts): (_, &[_]) = match state {
        DeviceState::NotInUse => ("free", &[("free", 18, 4)]),
        DeviceState::Ringing => ("ring", &[("ring", 15, 10)]),
        DeviceState::InUse => ("call", &[("call", 11, 18)]),
        DeviceState::Busy => ("busy", &[("call", 11, 8), ("call", 21, 8)]),
        DeviceState::OnHold => ("hold", &[("hold", 12, 5), ("hold", 23, 5)]),
        DeviceState::RingInUse => ("both", &[("ring", 11, 5), ("call", 17, 12)]),
        DeviceState::Unavailable => ("off", &[("off", 19, 2)]),
        _ => ("unk", &[("dashed", 15, 10)]),
    };
    Drawing { shape, parts }
}

/// How what a lane shows is called.
pub(super) fn words(look: Look) -> String {
    match look {
        Look::Nothing => "nothing shown".to_owned(),
        Look::Shown(state, Freshness::Live) => state.label().to_owned(),
        Look::Shown(state, freshness) => format!("{}, {freshness}", state.label()),
        Look::Many(changes) => format!("{changes} brief states"),
    }
}

/// Draws a stretch of a lane from `left` over `width`, in percent. `room` is about how many pixels that is.
pub(super) fn draw(svg: &mut String, look: Look, left: f64, width: f64, room: f64, title: &str) {
    let (x, w) = (Short(left), Short(width.max(LEAST_WIDTH)));
    let part = |svg: &mut String, class: &str, top: u32, height: u32| {
        write!(
            svg,
            r#"<rect class="{class}" x="{x}%" y="{top}" width="{w}%" height="{height}"/>"#
        )
        .expect("text takes all");
    };
    let (state, freshness) = match look {
        Look::Nothing => return,
        Look::Many(_) => {
            svg.push_str("<g>");
            part(svg, "many", 11, 18);
            write!(svg, "<title>{title}</title></g>").expect("text takes all");
            return;
        }
        // Nobody is left to speak for it.
        Look::Shown(_, Freshness::Gone) => (DeviceState::Unavailable, Freshness::Gone),
        Look::Shown(state, freshness) => (state, freshness),
    };
    let drawing = drawing(state);
    let stale = freshness == Freshness::Stale;
    svg.push_str(if stale { r#"<g class="old">"# } else { "<g>" });
    for (class, top, height) in drawing.parts {
        part(svg, class, *top, *height);
    }
    if stale {
        part(svg, "hatched", 11, 18);
    }
    let mut shape = |name: &str| {
        write!(svg, r##"<use href="#g-{name}" x="{x}%" y="20"/>"##).expect("text takes all");
    };
    if room >= ROOM_FOR_SHAPE {
        shape(drawing.shape);
    }
    if stale && room >= ROOM_FOR_CLOCK {
        shape("clock");
    }
    if !title.is_empty() {
        write!(svg, "<title>{title}</title>").expect("text takes all");
    }
    svg.push_str("</g>");
}

/// What every mark in the lanes means.
pub(super) fn legend() -> String {
    use DeviceState::{Busy, InUse, NotInUse, OnHold, RingInUse, Ringing, Unavailable, Unknown};
    let mut html = String::from("<ul class=\"legend\" aria-label=\"What the lanes show\">\n");
    let mut entry = |text: &str, inner: &str| {
        write!(
            html,
            r#"<li><svg role="img" aria-label="{text}" width="56" height="24" viewBox="0 8 56 24">{inner}</svg><span>{text}</span></li>"#
        )
        .expect("text takes all");
        html.push('\n');
    };
    for state in [
        NotInUse,
        Ringing,
        InUse,
        Busy,
        OnHold,
        RingInUse,
        Unavailable,
        Unknown,
    ] {
        let text = match state {
            Unavailable => "Offline, or everyone who knew is gone",
            state => state.label(),
        };
        entry(text, &sample(Look::Shown(state, Freshness::Live)));
    }
    entry(
        "Stale: the last state, pale, hatched, with a clock",
        &sample(Look::Shown(InUse, Freshness::Stale)),
    );
    entry(
        "Several states, each too brief to draw",
        &sample(Look::Many(2)),
    );
    entry(
        "Nothing shown: not known here, or the node is down",
        r#"<line class="lane" x1="0" x2="100%" y1="31.5" y2="31.5"/>"#,
    );
    entry(
        "Cut off, held or down; the number is the fault's",
        r#"<rect class="shade" y="8" width="100%" height="24"/><text class="tag" x="3" y="18">1</text>"#,
    );
    entry(
        "Everything is mended",
        r#"<line class="mended" x1="50%" x2="50%" y1="0" y2="32"/>"#,
    );
    html.push_str("</ul>\n");
    html
}

fn sample(look: Look) -> String {
    let mut svg = String::new();
    draw(&mut svg, look, 0.0, 100.0, 56.0, "");
    svg.replace("<title></title>", "")
}

/// Nothing is drawn narrower, in percent: about a pixel.
const LEAST_WIDTH: f64 = 0.12;
/// In pixels.
const ROOM_FOR_SHAPE: f64 = 20.0;
/// In pixels.
const ROOM_FOR_CLOCK: f64 = 36.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_states_that_differ_for_people_share_a_shape_or_a_silhouette() {
        for a in DeviceState::ALL {
            for b in DeviceState::ALL {
                let same = a.label() == b.label();
                let (one, other) = (drawing(a), drawing(b));
                assert_eq!(one.shape == other.shape, same, "{a} {b}");
                let heights = |parts: &[(&str, u32, u32)]| -> Vec<(u32, u32)> {
                    parts.iter().map(|part| (part.1, part.2)).collect()
                };
                // Unknown and ringing are as high as each other, but unknown is an outline.
                let alike = heights(one.parts) == heights(other.parts)
                    && (one.shape == "unk") == (other.shape == "unk");
                assert_eq!(alike, same, "{a} {b}");
            }
        }
    }

    #[test]
    fn every_shape_and_class_is_defined() {
        let style = include_str!("style.css");
        for state in DeviceState::ALL {
            let drawing = drawing(state);
            assert!(SHAPES.contains(&format!(r#"id="g-{}""#, drawing.shape)));
            for (class, ..) in drawing.parts {
                assert!(style.contains(&format!(".{class}")), "{class}");
            }
        }
    }
}
