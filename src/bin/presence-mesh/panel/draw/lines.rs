//! The lines around the lamps: the first, the one on quickness, the log, the keys.

use std::time::Instant;

use super::pen::Pen;
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
    let counted = match old {
        0 => format!("{lamps} lamps, all live"),
        old => format!("{lamps} lamps, {old} old"),
    };
    match &board.network {
        Network::Cut {
            sides: [left, right],
        } => {
            let sign = theme.pick("╳", "!!");
            let text = format!(
                "{sign} CUT: {} | {}, {old} of {lamps} lamps old",
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
            let nodes = match board.nodes().len() {
                1 => "1 node".to_owned(),
                count => format!("{count} nodes"),
            };
            let digests = match (board.is_demo(), agree) {
                (false, _) => "",
                (_, true) => ", digests equal",
                (_, false) => ", digests differ",
            };
            let name = board
                .status
                .as_ref()
                .map_or("presence-mesh", |status| &status.mesh);
            let left_out = match board.lamps.left_out {
                0 => String::new(),
                more => format!(" ({more} more keys are not shown)"),
            };
            (
                format!("{name}: {nodes}, {counted}{left_out}{digests}"),
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

/// How quick things are, over a rule; at its right what is hidden below it.
pub fn quickness(pen: &mut Pen, board: &Board, y: usize, hidden: usize, now: Instant) {
    pen.rule(y);
    let mut end = pen.width() - 1;
    if hidden > 0 {
        let text = format!(" {hidden} more {} ", pen.theme.pick("↓", "below"));
        let style = pen.theme.strong();
        end = pen.right(end, y, 30, &text, style).saturating_sub(1);
    }
    let style = pen.theme.quiet();
    let room = end.saturating_sub(46).min(60);
    let (text, bars) = match &board.spread {
        Some(spread) => {
            let bars = spread.bars(now, room, pen.theme.ascii);
            match spread.quantiles() {
                Some((p50, p99)) => (
                    format!(
                        " seen everywhere in p50 {}, p99 {} ",
                        span::took(p50),
                        span::took(p99)
                    ),
                    bars,
                ),
                None => (" no change yet ".to_owned(), String::new()),
            }
        }
        None if board.lost().is_some() => (" nothing comes in ".to_owned(), String::new()),
        None => (
            format!(" {:.0} changes/s seen here ", board.changes.last(now)),
            board.changes.bars(now, room, pen.theme.ascii),
        ),
    };
    let free = pen.theme.style(Tone::Free);
    let bars = if bars.is_empty() {
        bars
    } else {
        format!("{bars} ")
    };
    pen.parts(2, y, end.saturating_sub(2), &[(text, style), (bars, free)]);
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
