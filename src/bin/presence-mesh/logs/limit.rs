//! What repeats is cut short: a thousand nodes that come and go must not bury the one line that matters.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{Event, Level, Metadata};
use tracing_subscriber::layer::{Context, Filter};

/// Messages of one kind that are told in [`SPAN`]; further ones are counted, and their number is told afterwards.
const BURST: u32 = 30;
/// How long a burst may last.
const SPAN: Duration = Duration::from_secs(10);

/// The one that all logs go through.
pub static LIMIT: Limit = Limit(Mutex::new(BTreeMap::new()));

/// How often each message was told lately. One row for each place in the program that tells something.
#[derive(Debug)]
pub struct Limit(Mutex<BTreeMap<Place, Row>>);

/// The file and line of the message.
type Place = (&'static str, u32);

#[derive(Debug)]
struct Row {
    began: Instant,
    told: u32,
    left_out: u64,
}

impl Limit {
    /// Whether one more may be told.
    fn admits(&self, place: Place, now: Instant) -> bool {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let row = rows.entry(place).or_insert(Row {
            began: now,
            told: 0,
            left_out: 0,
        });
        if now.saturating_duration_since(row.began) >= SPAN {
            row.began = now;
            row.told = 0;
        }
        if row.told >= BURST {
            row.left_out += 1;
            return false;
        }
        row.told += 1;
        true
    }

    /// Where something was left out since the last call, and how often.
    fn take_left_out(&self) -> Vec<(Place, u64)> {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left_out = rows
            .iter_mut()
            .map(|(place, row)| (*place, std::mem::take(&mut row.left_out)));
        left_out.filter(|(_, count)| *count > 0).collect()
    }
}

impl<S> Filter<S> for &'static Limit {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    /// Who asks for debug messages wants them all.
    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        let place = metadata.file().zip(metadata.line());
        *metadata.level() > Level::INFO
            || place.is_none_or(|place| self.admits(place, Instant::now()))
    }
}

/// Says every [`SPAN`] what was left out. Never ends.
pub async fn tell_left_out() {
    loop {
        tokio::time::sleep(SPAN).await;
        for ((file, line), count) in LIMIT.take_left_out() {
            tracing::warn!(
                count,
                from = format!("{file}:{line}"),
                "a message was repeated more often than is shown"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_told_the_rest_counted_and_the_next_burst_told_again() {
        let limit = Limit(Mutex::default());
        let start = Instant::now();
        let told = |place, at| (0..100).filter(|_| limit.admits(place, at)).count();
        assert_eq!(told(("a.rs", 1), start), BURST as usize);
        assert_eq!(told(("a.rs", 2), start), BURST as usize, "another message");
        assert_eq!(told(("a.rs", 1), start + SPAN / 2), 0);
        let left_out = limit.take_left_out();
        assert_eq!(left_out, [(("a.rs", 1), 170), (("a.rs", 2), 70)]);
        assert_eq!(limit.take_left_out(), []);
        assert_eq!(told(("a.rs", 1), start + SPAN), BURST as usize);
    }
}
