//! What is laid over the lamps: the help, and why a lamp is what it is.

use presence_mesh::{DeviceState, Presence, PresenceStatus};
use ratatui::layout::Rect;

use super::pen::Pen;
use crate::panel::board::Board;
use crate::panel::look::{Look, width};
use crate::panel::theme::Tone;
use crate::panel::told::Item;
use crate::panel::why::Why;

const DEMO_KEYS: [(&str, &str); 5] = [
    ("x", "cut the network in two"),
    ("h", "heal it"),
    ("k", "kill a node, or start it again"),
    ("c", "call somebody: the lamp rings"),
    ("Tab", "look from the next node"),
];
const KEYS: [(&str, &str); 7] = [
    ("e", "explain a lamp: who says so"),
    ("/", "find names, states, sites"),
    ("arrows", "choose a lamp"),
    ("Esc", "close; show all"),
    ("r", "write a report file here"),
    ("?", "this help"),
    ("q", "quit"),
];

pub fn help(pen: &mut Pen, board: &Board, area: Rect) {
    let own: &[(&str, &str)] = if board.is_demo() { &DEMO_KEYS } else { &[] };
    let lamps = legend();
    let lines = (own.len() + KEYS.len()).max(lamps.len() + 1) + 5;
    let inside = pen.window(centred(area, 78, lines), "help");
    let (strong, quiet) = (pen.theme.strong(), pen.theme.quiet());
    let (x, y) = (usize::from(inside.x), usize::from(inside.y));
    let half = usize::from(inside.width) / 2 + 2;
    for (line, (key, what)) in own.iter().chain(&KEYS).enumerate() {
        pen.text(x, y + line, 7, key, strong);
        pen.text(x + 7, y + line, half - 8, what, Default::default());
    }
    for (line, look) in lamps.iter().enumerate() {
        let style = pen.theme.style(look.tone);
        let shape = look.shape(&pen.theme);
        pen.text(x + half, y + line, 3, shape, style);
        pen.text(
            x + half + 4,
            y + line,
            half - 8,
            &look.label,
            Default::default(),
        );
    }
    let old = pen.theme.pick("░■░ ~42s", "~[#]~ ~42s");
    let parts = [(old, quiet), ("  old, and how old", Default::default())];
    pen.parts(x + half, y + lamps.len(), half - 4, &parts);
    let last = y + usize::from(inside.height).saturating_sub(2);
    let what = if board.is_demo() {
        [
            "Each column is a site, with its node as this one knows it, and its lamps.",
            "p50, p99: from a write until every node that can be reached shows it.",
        ]
    } else {
        [
            "Each column is a site, with its node as this one knows it, and its lamps.",
            "p50, p99: how long others' writes took to be seen, as this node counts.",
        ]
    };
    for (line, text) in what.into_iter().enumerate() {
        pen.text(x, last + line, inside.width.into(), text, quiet);
    }
}

/// The lamp language.
fn legend() -> Vec<Look> {
    use DeviceState::{Busy, InUse, NotInUse, OnHold, RingInUse, Ringing, Unavailable, Unknown};
    let states = [
        NotInUse,
        Ringing,
        InUse,
        Busy,
        OnHold,
        RingInUse,
        Unavailable,
        Unknown,
    ];
    let mut looks: Vec<Look> = states.map(|state| Look::of(&Item::Device(state))).into();
    let away = Presence {
        status: PresenceStatus::Away,
        ..Presence::default()
    };
    let mut away = Look::of(&Item::Presence(away));
    away.label.push_str(", do not disturb");
    looks.push(away);
    let mut mail = Look::of(&Item::Mailbox(Default::default()));
    mail.ascii_shape = "m";
    mail.label = "new messages".to_owned();
    looks.push(mail);
    looks
}

pub fn why(pen: &mut Pen, asked: &crate::panel::board::Asked, area: Rect) {
    let lines: usize = asked
        .whys
        .iter()
        .map(|why| why.says.len() + why.pbx.len() + 3)
        .sum();
    let inside = pen.window(
        centred(area, 92, lines.max(3) + 1),
        &format!("why {}", asked.name),
    );
    let (mut y, bottom) = (usize::from(inside.y), usize::from(inside.bottom()));
    if asked.whys.is_empty() {
        let quiet = pen.theme.quiet();
        pen.text(inside.x.into(), y, inside.width.into(), "asking...", quiet);
    }
    for (number, why) in asked.whys.iter().enumerate() {
        y = one(
            pen,
            why,
            usize::from(inside.x),
            y,
            usize::from(inside.width),
            bottom,
        );
        if number + 1 < asked.whys.len() {
            y += 1;
        }
    }
}

/// The reasons of one key; the line after them.
fn one(pen: &mut Pen, why: &Why, x: usize, mut y: usize, most: usize, bottom: usize) -> usize {
    let theme = pen.theme;
    let (strong, quiet) = (theme.strong(), theme.quiet());
    let mut line = |pen: &mut Pen, parts: &[(String, ratatui::style::Style)]| {
        if y < bottom {
            pen.parts(x, y, most, parts);
        }
        y += 1;
    };
    let name = format!("{} {}", why.space.name(), why.key);
    match &why.look {
        None => line(pen, &[(name, strong)]),
        Some(look) => {
            let tone = if look.age.is_some() {
                theme.faded(look.tone)
            } else {
                theme.style(look.tone)
            };
            let since = format!(", {}, since {}", why.trust, why.changed_at);
            let shape = format!("  {} {}", look.shape(&theme).trim(), look.label);
            line(pen, &[(name, strong), (shape, tone), (since, quiet)]);
        }
    }
    let sign = theme.pick("▸", ">");
    let names = why
        .says
        .iter()
        .map(|says| width(&says.node))
        .max()
        .unwrap_or(0);
    let said = why
        .says
        .iter()
        .map(|says| width(&says.words))
        .max()
        .unwrap_or(0);
    let trust = why
        .says
        .iter()
        .map(|says| width(&says.trust))
        .max()
        .unwrap_or(0);
    let pad =
        |text: &str, to: usize| format!("{text}{}", " ".repeat(to.saturating_sub(width(text))));
    for says in &why.says {
        let style = if says.wins {
            strong
        } else {
            Default::default()
        };
        let parts = [
            (
                format!("{} ", if says.wins { sign } else { " " }),
                theme.style(Tone::Free),
            ),
            (
                format!("{}  {}  ", pad(&says.node, names), pad(&says.words, said)),
                style,
            ),
            (
                format!(
                    "{}  {}  {}",
                    pad(&says.trust, trust),
                    says.written_at,
                    says.note
                ),
                quiet,
            ),
        ];
        line(pen, &parts);
    }
    line(
        pen,
        &[
            (format!("{sign} "), theme.style(Tone::Free)),
            (format!("decides: {}", why.rule), Default::default()),
        ],
    );
    for told in &why.pbx {
        line(pen, &[(format!("  {told}"), quiet)]);
    }
    y
}

/// A box in the middle of `area`, as large as wanted, if that fits.
fn centred(area: Rect, width: u16, lines: usize) -> Rect {
    let width = width.min(area.width.saturating_sub(2));
    let height = u16::try_from(lines).unwrap_or(u16::MAX).min(area.height);
    Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    }
}
