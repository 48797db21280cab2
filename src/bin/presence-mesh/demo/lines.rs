//! The demonstration as plain lines.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::engine::{Engine, Happening, Healed, Verdict};
use super::sightings::{PATIENCE, Seen};
use super::sites::{Doubts, text};
use super::stage::Line;
use crate::{output, span};

/// Prints what happens.
pub struct Lines {
    start: Instant,
    /// Changes of lamps are not worth a line each.
    headless: bool,
    nodes: usize,
    /// What was told, changes of lamps left out; the latest of them.
    recent: VecDeque<Line>,
    told: u64,
    /// The latest change.
    last: String,
}

/// More than anybody scrolls back.
const RECENT: usize = 100;

impl Lines {
    pub fn new(headless: bool, nodes: usize) -> Self {
        Self {
            start: Instant::now(),
            headless,
            nodes,
            recent: VecDeque::new(),
            told: 0,
            last: String::new(),
        }
    }

    /// The first lines.
    pub fn up(&self, engine: &Engine, http: SocketAddr) -> anyhow::Result<()> {
        let (nodes, phones) = (self.nodes, engine.lamps());
        let took = engine.converged_in().as_secs_f64();
        output::line(format_args!(
            "demo mesh up: {nodes} nodes, {phones} phones, converged in {took:.2} s"
        ))?;
        let name = engine.sites().first().node();
        output::line(format_args!("http: http://{http} shows what {name} sees"))
    }

    /// Prints what happened, and remembers it.
    pub fn show(&mut self, happening: &Happening) -> anyhow::Result<()> {
        let small = matches!(happening, Happening::Seen { .. });
        let time = clock(self.start.elapsed());
        for line in self.take(happening) {
            if !(self.headless && small) {
                output::line(format_args!("{time}  {line}"))?;
            }
        }
        Ok(())
    }

    /// Remembers what happened; the lines that tell it.
    pub fn take(&mut self, happening: &Happening) -> Vec<String> {
        let time = clock(self.start.elapsed());
        let lines = self.lines(happening);
        for line in &lines {
            if matches!(happening, Happening::Seen { .. }) {
                self.last = words(line);
            } else {
                self.remember(&time, line);
            }
        }
        lines
    }

    fn remember(&mut self, time: &str, line: &str) {
        self.told += 1;
        self.recent.push_back(Line {
            number: self.told,
            at: time.to_owned(),
            text: words(line),
        });
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    /// What was told lately, the oldest first, and the latest change of a lamp.
    pub fn recent(&self) -> (Vec<Line>, String) {
        (self.recent.iter().cloned().collect(), self.last.clone())
    }

    fn lines(&self, happening: &Happening) -> Vec<String> {
        match happening {
            Happening::Seen { site, seen } => vec![self.seen(site, seen)],
            Happening::Cut {
                sides: [left, right],
            } => {
                vec![format!("CUT     {} | {}", left.join(" "), right.join(" "))]
            }
            Happening::Doubts { sites, doubts } => vec![doubted(sites, *doubts)],
            Happening::Healing { after } => vec![format!("HEAL    after {}", span::age(*after))],
            Happening::Healed(healed) => healed_lines(healed, self.nodes),
            Happening::Apart { bound } => {
                vec![format!(
                    "FAILED  the nodes do not agree {} after the heal",
                    span::age(*bound)
                )]
            }
            Happening::Killed { site } => vec![format!("KILL    {site}, without a goodbye")],
            Happening::Revived { site } => vec![format!("REVIVE  {site}")],
            Happening::Weather { latency, loss } => vec![format!(
                "WEATHER {} ms more each way, {:.0} % of gossip lost",
                latency.as_millis(),
                loss * 100.0
            )],
            Happening::Called { caller, callee } => {
                vec![format!("CALL    {caller} calls {callee}")]
            }
            Happening::Finished(verdict) => vec![summary(verdict)],
        }
    }

    fn seen(&self, site: &str, seen: &Seen) -> String {
        let before = seen.before.map_or_else(|| "-".to_owned(), text);
        let change = format!("{before} -> {}", text(seen.act.reading));
        let by = if seen.by == self.nodes {
            format!("all {}", seen.by)
        } else {
            format!("{} of {}", seen.by, self.nodes)
        };
        let how = match seen.took {
            Some(took) => format!("seen on {by} in {}", span::took(took)),
            None => format!(
                "NOT SEEN by all after {}, only on {by}",
                span::age(PATIENCE)
            ),
        };
        format!("{site:<7} {:<11} {change:<43} {how}", seen.act.key)
    }
}

/// A line without what aligns it in a terminal.
pub fn words(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn doubted(sites: &[String], doubts: Doubts) -> String {
    let who = format!(
        "{} {}",
        sites.join(" "),
        if sites.len() == 1 { "shows" } else { "show" }
    );
    let oldest = span::age(doubts.oldest);
    match (doubts.stale, doubts.gone) {
        (0, 0) => format!("        {who} every lamp live"),
        (stale, 0) => format!("STALE   {who} {stale} lamps stale, up to {oldest} old"),
        (0, gone) => format!("GONE    {who} {gone} lamps gone, up to {oldest} old"),
        (stale, gone) => {
            format!("STALE   {who} {stale} lamps stale and {gone} gone, up to {oldest} old")
        }
    }
}

fn healed_lines(healed: &Healed, nodes: usize) -> Vec<String> {
    let Healed {
        agreed_in,
        live_in,
        entries,
        conflicts,
        digest,
        shared_box,
    } = healed;
    let mut lines = vec![format!(
        "HEALED  digests equal on all {nodes} after {}, {entries} entries exchanged, {}, every lamp live after {} (digest {digest:.8})",
        span::took(*agreed_in),
        output::counted(*conflicts, "conflict"),
        span::took(*live_in),
    )];
    if let Some((key, counts, winner)) = shared_box {
        lines.push(format!("        {key} was written on both sides: the later write, by {winner}, stands: {counts}"));
    }
    lines
}

fn summary(verdict: &Verdict) -> String {
    let span = |span: Option<Duration>| span.map_or_else(|| "-".to_owned(), span::took);
    format!(
        "demo over: {} changes seen in {} (median), {} (p99), {} late; cuts: {}, agreed at most {} after a heal; the {} nodes {}",
        verdict.changes,
        span(verdict.median),
        span(verdict.p99),
        verdict.late,
        verdict.cuts,
        span(verdict.longest_heal),
        verdict.nodes,
        if verdict.agree {
            "agree"
        } else {
            "DO NOT AGREE"
        },
    )
}

/// `00:42.1`
fn clock(elapsed: Duration) -> String {
    let tenths = elapsed.as_millis() / 100;
    format!(
        "{:02}:{:02}.{}",
        tenths / 600,
        tenths / 10 % 60,
        tenths % 10
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_counts_from_the_start() {
        assert_eq!(clock(Duration::from_millis(0)), "00:00.0");
        assert_eq!(clock(Duration::from_millis(62_150)), "01:02.1");
    }

    #[test]
    fn an_old_lamp_is_told_with_its_age() {
        let doubts = Doubts {
            stale: 16,
            gone: 0,
            oldest: Duration::from_millis(700),
        };
        let line = doubted(&["berlin".into(), "paris".into()], doubts);
        assert_eq!(
            line,
            "STALE   berlin paris show 16 lamps stale, up to 0.7 s old"
        );
    }
}
