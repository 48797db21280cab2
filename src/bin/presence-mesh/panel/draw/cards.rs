//! The cards: each site with its node above its lamps.

use std::time::Instant;

use presence_mesh::Standing;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::pen::Pen;
use crate::panel::board::Board;
use crate::panel::cards::{Band, Card, Cards, Place};
use crate::panel::look::{Look, width};
use crate::panel::node::{Link, Node};
use crate::panel::theme::Tone;

/// A lamp's shape with what surrounds it.
const SHAPE: usize = 3;
/// The same in ASCII, where shapes are wider.
const ASCII_SHAPE: usize = 5;

/// Paints the cards from line `top` of the screen on; how many lamps are hidden below.
pub fn all(pen: &mut Pen, board: &Board, cards: &Cards, top: usize, now: Instant) -> usize {
    let (scroll, room) = (board.focus.scroll, board.focus.room.1);
    if cards.bands.is_empty() {
        let text = match board.focus.filter.is_empty() {
            true => "no lamps yet",
            false => "nobody matches",
        };
        let style = pen.theme.quiet();
        pen.text(1, top, 40, text, style);
    }
    let chosen = board.place(cards);
    let mut hidden = 0;
    for band in &cards.bands {
        let Some(head) = head_line(band, scroll, room) else {
            let below = band.top >= scroll + room;
            hidden += if below { lamps_of(band) } else { 0 };
            continue;
        };
        for card in &band.cards {
            site(pen, board, card, top + head);
            for place in &card.places {
                let from = scroll + head + band.head;
                if place.y < from {
                    continue;
                }
                if place.y + place.lines > scroll + room {
                    hidden += 1;
                    continue;
                }
                let y = top + place.y - scroll;
                lamp(pen, board, place, y, now);
                if chosen == Some(*place) {
                    mark(pen, place, y);
                }
            }
        }
    }
    hidden
}

fn lamps_of(band: &Band) -> usize {
    band.cards.iter().map(|card| card.places.len()).sum()
}

/// Where on the screen the head of a band stands: at its top as long as that is seen, else above what is seen.
fn head_line(band: &Band, scroll: usize, room: usize) -> Option<usize> {
    let seen = band.top < scroll + room && band.top + band.height > scroll;
    let line = band.top.saturating_sub(scroll);
    (seen && line + band.head <= room).then_some(line)
}

fn site(pen: &mut Pen, board: &Board, card: &Card, y: usize) {
    let name = &board.lamps.sites()[card.site].name;
    let strong = pen.theme.strong();
    let Some(node) = board.node(name) else {
        pen.text(card.x + 1, y, card.width - 1, name, strong);
        return;
    };
    // What the node that is lost thought of others is known no more.
    let lost = board.lost().is_some();
    let way = if lost { String::new() } else { way(pen, node) };
    let style = match node.link {
        Link::Up => pen.theme.quiet(),
        _ => pen.theme.style(Tone::Call),
    };
    let end = card.x + card.width;
    let begin = pen.right(end, y, card.width / 2, &way, style);
    let room = begin.saturating_sub(card.x + 2);
    pen.text(card.x + 1, y, room, name, strong);
    let (shape, tone, words) = match (lost, node.link) {
        (false, _) => standing(pen, node),
        (true, Link::Own) => (pen.theme.pick("✕", "x"), Tone::Call, "lost".to_owned()),
        (true, _) => (pen.theme.pick("◌", "~"), Tone::Grey, "not known".to_owned()),
    };
    let style = pen.theme.style(tone);
    let text = format!("{shape} {words}");
    pen.text(card.x + 1, y + 1, card.width - 1, &text, style);
}

fn way(pen: &Pen, node: &Node) -> String {
    let sign = match node.link {
        Link::Own | Link::Killed => return String::new(),
        Link::Up => pen.theme.pick("═", "="),
        Link::Down | Link::Cut => pen.theme.pick("╳", "/"),
    };
    format!("{sign} {}", node.way())
}

fn standing(pen: &Pen, node: &Node) -> (&'static str, Tone, String) {
    let (shape, tone) = match (node.link, node.standing) {
        (Link::Killed, _) => (pen.theme.pick("✕", "x"), Tone::Call),
        (Link::Own, _) | (_, Standing::Alive) => (pen.theme.pick("●", "*"), Tone::Free),
        (_, Standing::Suspect) => (pen.theme.pick("◌", "~"), Tone::Ringing),
        _ => (pen.theme.pick("✕", "x"), Tone::Call),
    };
    (shape, tone, node.trust())
}

/// ```text
///  ○ Anna Berger ✉3      ░■░Luc Martin
///    Free                   On a call ~4s
/// ```
fn lamp(pen: &mut Pen, board: &Board, place: &Place, y: usize, now: Instant) {
    let row = board.row(place);
    let look = board.lamps.look(row, board.lost(), now);
    let theme = pen.theme;
    let tone = match look.age {
        Some(_) => theme.faded(look.tone),
        None => theme.style(look.tone),
    };
    let words = match look.age {
        Some(_) => theme.quiet(),
        None if look.tone == Tone::Free => theme.quiet(),
        None => tone,
    };
    let name = if look.age.is_some() {
        theme.quiet()
    } else {
        Style::new()
    };
    let shape_width = if theme.ascii { ASCII_SHAPE } else { SHAPE };
    pen.text(place.x, y, shape_width, &shape(&theme, &look), tone);
    let (x, mut end) = (place.x + shape_width, place.x + place.width);
    if place.lines == 1 {
        let text = look.text(24);
        end = pen.right(end, y, 24, &text, words).min(end - 10);
        end = end.saturating_sub(1);
    }
    if let Some((new, old)) = look.mail {
        let sign = theme.pick("✉", "m");
        let text = format!("{sign}{new}{}", if old { "~" } else { "" });
        let style = if old {
            theme.quiet()
        } else {
            theme.style(Tone::Hold)
        };
        end = pen.right(end, y, 6, &text, style).saturating_sub(1);
    }
    let room = end.saturating_sub(x);
    let named = pen.text(x, y, room, &row.name, name);
    if !row.extension.is_empty() && named + 1 + width(&row.extension) <= end {
        pen.text(
            named + 1,
            y,
            width(&row.extension),
            &row.extension,
            theme.quiet(),
        );
    }
    if place.lines == 2 {
        // A narrow card has no cell to spare for an indent.
        let indent = if place.width < 20 { 1 } else { shape_width };
        let room = place.width - indent;
        pen.text(place.x + indent, y + 1, room, &look.text(room), words);
    }
}

/// ` ○ `, and what is old hatched: `░○░`.
fn shape(theme: &crate::panel::theme::Theme, look: &Look) -> String {
    let shape = look.shape(theme);
    match (theme.ascii, look.age.is_some()) {
        (false, false) => format!(" {shape}"),
        (false, true) => format!("░{shape}░"),
        (true, false) => format!(" {shape:^3}"),
        (true, true) => format!("~{shape:^3}~"),
    }
}

fn mark(pen: &mut Pen, place: &Place, y: usize) {
    let clip = |value: usize| u16::try_from(value).unwrap_or(u16::MAX);
    let area = Rect {
        x: clip(place.x),
        y: clip(y),
        width: clip(place.width),
        height: 1,
    };
    pen.style(area, Style::reset().add_modifier(Modifier::REVERSED));
}
