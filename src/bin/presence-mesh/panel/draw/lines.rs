//! The lines around the lamps: the first, the one on quickness, the log, the keys.

use std::time::Instant;

use super::pen::Pen;
use crate::output::counted;
use crate::panel::board::{Board, Network, Scope};
use crate::panel::log::Weight;
use crate::panel::look::width;
use crate::panel::theme::{Theme, Tone};
use crate::span;

/// What is most worth knowing now; at the right what it is that is looked at.
pub fn first(pen: &mut Pen, board: &Board, now: Instant) {
    let (text, style) = headline(board, &pen.theme, now);
    let all = pen.width();
    let loud = style != pen.theme.strong();
    if loud {
        let blank = " ".repeat(all);
        pen.text(0, 0, all, &blank, style);
    }
    let end = pen.text(1, 0, all - 1, &text, style);
    let right = place(board, now);
    if end + width(&right) + 3 < all {
        let style = if loud { style } else { pen.theme.quiet() };
        pen.right(all - 1, 0, all, &right, style);
    }
}

fn headline(board: &Board, theme: &Theme, now: Instant) -> (String, ratatui::style::Style) {
    let bad = theme.alarm(Tone::Call);
    if let Some(since) = board.lost() {
        let sign = theme.pick("╳", "!!");
        let since = span::age(now.saturating_duration_since(since));
        return (
            format!("{sign} NO CONNECTION for {since}: every lamp shows its last known state"),
            bad,
        );
    }
    if let Some((text, weight)) = board.banner() {
        let style = match weight {
            Weight::Good => theme.alarm(Tone::Free),
            Weight::Bad => bad,
            Weight::Plain => theme.strong(),
        };
        return (text.to_owned(), style);
    }
    let (lamps, old) = board.lamps.count(None);
    let trust = match old {
        0 => "all live".to_owned(),
        old => format!("{old} old"),
    };
    match &board.network {
        Network::Cut {
            sides: [left, right],
        } => {
            let sign = theme.pick("╳", "!!");
            let text = format!(
                "{sign} CUT: {} | {}, {old} of {lamps} lamps old, h heals",
                left.join(" "),
                right.join(" ")
            );
            (text, theme.alarm(Tone::Ringing))
        }
        Network::Healing => (
            "healing: the nodes tell each other what they missed".to_owned(),
            theme.strong(),
        ),
        Network::Whole { agree } => {
            let nodes = counted(board.nodes().len(), "node");
            let lamps = counted(lamps, "lamp");
            let digests = match (board.is_demo(), agree) {
                (false, _) => "",
                (_, true) => ", digests equal",
                (_, false) => ", digests differ",
            };
            let name = board
                .status
                .as_ref()
                .map_or("presence-mesh", |status| &status.mesh);
            let ready = match &board.status {
                Some(status) if !status.ready => ", not ready yet",
                _ => "",
            };
            let left_out = match board.lamps.left_out {
                0 => String::new(),
                more => format!(" ({more} more keys are not shown)"),
            };
            (
                format!("{name}: {nodes}, {lamps}, {trust}{left_out}{digests}{ready}"),
                theme.strong(),
            )
        }
    }
}

fn place(board: &Board, now: Instant) -> String {
    let own = board.own().map_or("", |node| &node.name);
    match &board.scope {
        Scope::Demo => format!("seen from {own}  {}", board.clock(now)),
        Scope::Node(address) => format!("{own} at {address}  {} UTC", board.clock(now)),
    }
}

/// Seconds that the bars show at most.
const MOST_BARS: usize = 60;

/// How quick things are, over a rule; at its right what is hidden below it.
pub fn quickness(pen: &mut Pen, board: &Board, y: usize, hidden: usize, now: Instant) {
    pen.rule(y);
    let mut end = pen.width() - 1;
    if hidden > 0 {
        let text = format!(" {hidden} more {} ", pen.theme.pick("↓", "below"));
        let style = pen.theme.strong();
        end = pen.right(end, y, 30, &text, style).saturating_sub(1);
    }
    let text = match &board.spread {
        Some(spread) => match spread.quantiles() {
            Some((p50, p99)) => {
                let (p50, p99) = (span::took(p50), span::took(p99));
                format!(" seen everywhere in p50 {p50}, p99 {p99} ")
            }
            None => " no change yet ".to_owned(),
        },
        None if board.lost().is_some() => " nothing comes in ".to_owned(),
        None => {
            let quantile = |share| board.arrivals.quantile(share);
            let arrivals = match (quantile(0.5), quantile(0.99)) {
                (Some(p50), Some(p99)) => format!("others' seen in p50 {p50}, p99 {p99} "),
                _ => String::new(),
            };
            format!(" {:.0} changes/s {arrivals}", board.changes.last(now))
        }
    };
    let room = end.saturating_sub(width(&text) + 4).min(MOST_BARS);
    let bars = match &board.spread {
        Some(spread) => spread.bars(now, room, pen.theme.ascii),
        None => board.changes.bars(now, room, pen.theme.ascii),
    };
    // Seconds before the first are no part of it.
    let bars = bars.trim_start();
    let bars = if bars.is_empty() {
        String::new()
    } else {
        format!("{bars} ")
    };
    let (quiet, free) = (pen.theme.quiet(), pen.theme.style(Tone::Free));
    pen.parts(2, y, end.saturating_sub(2), &[(text, quiet), (bars, free)]);
}

pub fn log(pen: &mut Pen, board: &Board, y: usize, lines: usize) {
    let all = pen.width();
    for (number, line) in board.log.latest(lines).enumerate() {
        let style = match line.weight {
            Weight::Bad => pen.theme.style(Tone::Call),
            Weight::Good => pen.theme.style(Tone::Free),
            Weight::Plain => ratatui::style::Style::new(),
        };
        let quiet = pen.theme.quiet();
        let parts = [
            (line.at.as_str(), quiet),
            ("  ", quiet),
            (line.text.as_str(), style),
        ];
        pen.parts(1, y + number, all - 2, &parts);
    }
}

pub fn keys(pen: &mut Pen, board: &Board, y: usize, now: Instant) {
    let all = pen.width();
    let (strong, quiet) = (pen.theme.strong(), pen.theme.quiet());
    let mut x = 1;
    if board.focus.typing || !board.focus.filter.is_empty() {
        let found = board.cards(now).places().count();
        let caret = if board.focus.typing { "_" } else { "" };
        let parts = [
            (format!("/{}{caret}", board.focus.filter), strong),
            (format!("  {found} found  "), quiet),
        ];
        x = pen.parts(x, y, all / 2, &parts);
    }
    if let Some((why, at)) = board.trouble() {
        let again = at.saturating_duration_since(now).as_secs();
        let text = match again {
            0 => format!("{why}; trying again  "),
            seconds => format!("{why}; trying again in {seconds} s  "),
        };
        let style = pen.theme.style(Tone::Call);
        x = pen.text(x, y, all.saturating_sub(x + 20), &text, style);
    }
    let keys = board.keys();
    let length = |keys: &[(&str, String)]| -> usize {
        keys.iter()
            .map(|(key, what)| key.len() + width(what) + 3)
            .sum()
    };
    // What does not fit is in the help.
    let mut shown = keys.clone();
    for left_out in ["r", "/", "e", "c"] {
        if x + length(&shown) <= all + 1 {
            break;
        }
        shown.retain(|(key, _)| *key != left_out);
    }
    for (key, what) in shown {
        x = pen.parts(
            x,
            y,
            all.saturating_sub(x),
            &[(key, strong), (" ", quiet), (&what, quiet), ("  ", quiet)],
        );
    }
}
