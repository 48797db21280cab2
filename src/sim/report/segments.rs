//! What one node showed of one lamp, as stretches of time.

use crate::model::DeviceState;
use crate::proto::Freshness;
use crate::sim::LampStep;

/// What was shown for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    /// From when.
    pub from_us: u64,
    /// Until when.
    pub until_us: u64,
    /// What.
    pub look: Look,
}

/// What a lane shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// The lamp is not known, or the node is down.
    Nothing,
    /// A state, and how far it may be trusted.
    Shown(DeviceState, Freshness),
    /// So many different things, each for too short a time to be drawn.
    Many(usize),
}

impl Segment {
    /// How long.
    pub fn length_us(&self) -> u64 {
        self.until_us - self.from_us
    }
}

/// The stretches of one lane, which cover all the time until `end_us`. Steps are in order of time.
pub(super) fn exact<'a>(
    steps: impl IntoIterator<Item = &'a LampStep>,
    end_us: u64,
) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut begin = |at_us: u64, look: Look| {
        if let Some(last) = segments.last_mut() {
            last.until_us = at_us;
            // What was shown for no time at all was not shown.
            if last.length_us() == 0 {
                segments.pop();
            }
        }
        if segments.last().is_none_or(|last| last.look != look) {
            segments.push(Segment {
                from_us: at_us,
                until_us: end_us,
                look,
            });
        } else if let Some(last) = segments.last_mut() {
            last.until_us = end_us;
        }
    };
    begin(0, Look::Nothing);
    for step in steps {
        let look = match step.shown {
            None => Look::Nothing,
            Some((state, freshness)) => Look::Shown(state, freshness),
        };
        begin(step.at_us.min(end_us), look);
    }
    segments.retain(|segment| segment.length_us() > 0);
    segments
}

/// The same, where several stretches shorter than `cell_us` that follow each other become one of
/// [`Look::Many`]. A short one between long ones stays: it may be the one that matters.
pub(super) fn merged(exact: &[Segment], cell_us: u64) -> Vec<Segment> {
    let mut merged: Vec<Segment> = Vec::new();
    let mut short: &[Segment] = &[];
    for (at, segment) in exact.iter().enumerate() {
        if segment.length_us() < cell_us {
            short = &exact[at - short.len()..=at];
        } else {
            merged.extend(joined(short));
            merged.push(segment.clone());
            short = &[];
        }
    }
    merged.extend(joined(short));
    merged
}

fn joined(short: &[Segment]) -> Option<Segment> {
    match short {
        [] => None,
        [one] => Some(one.clone()),
        [first, .., last] => Some(Segment {
            from_us: first.from_us,
            until_us: last.until_us,
            look: Look::Many(short.len()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(at_us: u64, state: Option<DeviceState>) -> LampStep {
        LampStep {
            at_us,
            node: 0,
            lamp: 0,
            shown: state.map(|state| (state, Freshness::Live)),
        }
    }

    #[test]
    fn stretches_cover_the_run_and_skip_what_lasted_no_time() {
        use DeviceState::{InUse, NotInUse, Ringing};
        let steps = [
            step(10, Some(NotInUse)),
            step(20, Some(Ringing)),
            step(20, Some(NotInUse)),
            step(30, Some(InUse)),
            step(90, None),
        ];
        let segments = exact(&steps, 100);
        let shape: Vec<_> = segments
            .iter()
            .map(|segment| (segment.from_us, segment.until_us, segment.look))
            .collect();
        assert_eq!(
            shape,
            [
                (0, 10, Look::Nothing),
                (10, 30, Look::Shown(NotInUse, Freshness::Live)),
                (30, 90, Look::Shown(InUse, Freshness::Live)),
                (90, 100, Look::Nothing),
            ]
        );
    }

    #[test]
    fn a_crowd_is_merged_and_a_lonely_flash_is_not() {
        use DeviceState::{InUse, NotInUse};
        let flash = [
            step(0, Some(InUse)),
            step(500, Some(NotInUse)),
            step(501, Some(InUse)),
        ];
        let segments = exact(&flash, 1_000);
        assert_eq!(merged(&segments, 100), segments);

        let crowd: Vec<LampStep> = (0..100)
            .map(|n| step(500 + n, Some(if n % 2 == 0 { InUse } else { NotInUse })))
            .collect();
        let segments = merged(&exact(&crowd, 1_000), 100);
        let looks: Vec<_> = segments.iter().map(|segment| segment.look).collect();
        assert_eq!(
            looks,
            [
                Look::Nothing,
                Look::Many(99),
                Look::Shown(NotInUse, Freshness::Live)
            ]
        );
        assert_eq!((segments[1].from_us, segments[1].until_us), (500, 599));
    }
}
