//! What keys do.

use std::time::Instant;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::Board;
use crate::panel::cards::{Cards, Place, Step, step};
use crate::panel::lamps::Row;
use crate::panel::node::Link;
use crate::panel::theme::Tone;
use crate::panel::told::Space;

/// A longer filter finds nobody.
const MOST_LETTERS: usize = 60;

/// What somebody wants that the board cannot do by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    Cut,
    Heal,
    Kill(String),
    Revive(String),
    /// This phone shall ring, or any.
    Call(Option<String>),
    /// To look through the eyes of the next node.
    Eyes,
    Explain(Vec<(Space, String)>),
    Report,
    Quit,
}

impl Board {
    /// Somebody pressed a key.
    pub fn press(&mut self, key: KeyEvent, now: Instant) -> Option<Wish> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return (key.code == KeyCode::Char('c')).then_some(Wish::Quit);
        }
        match key.code {
            KeyCode::Up => self.walk(Step::Up, 1, now),
            KeyCode::Down => self.walk(Step::Down, 1, now),
            KeyCode::Left => self.walk(Step::Left, 1, now),
            KeyCode::Right => self.walk(Step::Right, 1, now),
            KeyCode::PageUp => self.walk(Step::Up, self.page(), now),
            KeyCode::PageDown => self.walk(Step::Down, self.page(), now),
            KeyCode::Home => self.walk(Step::Up, usize::MAX, now),
            KeyCode::End => self.walk(Step::Down, usize::MAX, now),
            KeyCode::Esc => self.escape(),
            _ if self.focus.typing => self.type_filter(key.code),
            KeyCode::Char(letter) => return self.letter(letter, now),
            KeyCode::Enter => return self.explain(now),
            KeyCode::Tab if self.is_demo() => return Some(Wish::Eyes),
            _ => {}
        }
        None
    }

    fn letter(&mut self, letter: char, now: Instant) -> Option<Wish> {
        match letter {
            'q' => Some(Wish::Quit),
            '?' => {
                self.focus.help = !self.focus.help;
                self.focus.asked = None;
                None
            }
            '/' => {
                (self.focus.typing, self.focus.help, self.focus.asked) = (true, false, None);
                None
            }
            'e' if self.focus.asked.is_some() => {
                self.focus.asked = None;
                None
            }
            'e' => self.explain(now),
            'r' => Some(Wish::Report),
            'x' if self.is_demo() => Some(Wish::Cut),
            'h' if self.is_demo() => Some(Wish::Heal),
            'k' if self.is_demo() => self.kill_or_revive(),
            'c' if self.is_demo() => Some(Wish::Call(self.phone())),
            _ => None,
        }
    }

    fn type_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.focus.typing = false,
            KeyCode::Backspace => drop(self.focus.filter.pop()),
            KeyCode::Char(letter) if self.focus.filter.chars().count() < MOST_LETTERS => {
                self.focus.filter.push(letter);
            }
            _ => {}
        }
        self.focus.scroll = 0;
    }

    /// Closes what was opened last.
    fn escape(&mut self) {
        let focus = &mut self.focus;
        if focus.help {
            focus.help = false;
        } else if focus.asked.take().is_some() {
        } else if focus.typing || !focus.filter.is_empty() {
            focus.typing = false;
            focus.filter.clear();
        } else {
            (focus.lamp, focus.scroll) = (None, 0);
        }
    }

    /// The cards of what is looked for.
    pub fn cards(&self, now: Instant) -> Cards {
        let words = self.focus.words();
        Cards::new(self.lamps.sites(), self.focus.room.0, |site| {
            let rows = site.rows.iter().enumerate();
            let rows = rows.filter(|(_, row)| {
                words.is_empty() || self.lamps.matches(row, &words, self.lost(), now)
            });
            let rows: Vec<usize> = rows.map(|(number, _)| number).collect();
            (words.is_empty() || !rows.is_empty()).then_some(rows)
        })
    }

    /// The row at a place.
    pub fn row(&self, place: &Place) -> &Row {
        &self.lamps.sites()[place.site].rows[place.row]
    }

    /// Where the lamp stands that keys act on.
    pub fn place(&self, cards: &Cards) -> Option<Place> {
        let (space, key) = self.focus.lamp.as_ref()?;
        let mut places = cards.places();
        places
            .find(|place| self.row(place).key() == Some((*space, key)))
            .copied()
    }

    fn page(&self) -> usize {
        (self.focus.room.1 / 2).max(1)
    }

    fn walk(&mut self, way: Step, steps: usize, now: Instant) {
        let cards = self.cards(now);
        let Some(mut place) = self.place(&cards) else {
            let first = cards.places().next().copied();
            return self.look_at(first);
        };
        for _ in 0..steps {
            match step(&cards, place, way) {
                Some(next) => place = next,
                None => break,
            }
        }
        self.look_at(Some(place));
    }

    fn look_at(&mut self, place: Option<Place>) {
        let Some(place) = place else { return };
        let key = self
            .row(&place)
            .key()
            .map(|(space, key)| (space, key.to_owned()));
        self.focus.lamp = key;
        let (top, room) = (&mut self.focus.scroll, self.focus.room.1);
        // The head of its card stays above it.
        *top = (*top).min(place.y.saturating_sub(crate::panel::cards::HEAD));
        *top = (*top).max((place.y + place.lines).saturating_sub(room));
    }

    /// Of the lamp that is looked at; of none, the one there is most to say of.
    fn explain(&mut self, now: Instant) -> Option<Wish> {
        let cards = self.cards(now);
        let telling = |place: &Place| {
            let look = self.lamps.look(self.row(place), self.lost(), now);
            match look.tone {
                _ if look.age.is_some() => 0,
                Tone::Ringing | Tone::Call | Tone::Hold => 1,
                _ => 2,
            }
        };
        let place = self.place(&cards);
        let place = place.or_else(|| cards.places().min_by_key(|place| telling(place)).copied())?;
        self.look_at(Some(place));
        let row = self.row(&place);
        let keys = row.all_keys().map(|(space, key)| (space, key.to_owned()));
        let (name, keys) = (row.name.clone(), keys.collect());
        Some(self.focus.ask(name, keys, now))
    }

    /// The phone that is looked at.
    fn phone(&self) -> Option<String> {
        let (space, key) = self.focus.lamp.as_ref()?;
        (*space == Space::Device).then(|| key.clone())
    }

    /// Whom `k` ends or starts again: the node of the lamp that is looked at; of none, one that does not run,
    /// or else the last.
    pub fn victim(&self) -> Option<(&str, bool)> {
        let site = self.focus.lamp.as_ref().and_then(|(space, key)| {
            let sites = self.lamps.sites().iter();
            sites.into_iter().find(|site| {
                let mut rows = site.rows.iter();
                rows.any(|row| row.key() == Some((*space, key)))
            })
        });
        let node = site.and_then(|site| self.node(&site.name));
        let killed = || self.nodes().iter().find(|node| node.link == Link::Killed);
        let last = || self.nodes().iter().rfind(|node| node.link != Link::Own);
        let node = node.or_else(killed).or_else(last)?;
        Some((&node.name, node.link != Link::Killed))
    }

    fn kill_or_revive(&self) -> Option<Wish> {
        let (name, runs) = self.victim()?;
        let name = name.to_owned();
        Some(if runs {
            Wish::Kill(name)
        } else {
            Wish::Revive(name)
        })
    }

    /// The keys that do something now, with what they do.
    pub fn keys(&self) -> Vec<(&'static str, String)> {
        if self.focus.typing {
            return vec![("Enter", "keep".into()), ("Esc", "show all".into())];
        }
        let mut keys = Vec::new();
        if self.is_demo() {
            keys.push(("x", "cut".into()));
            keys.push(("h", "heal".into()));
            if let Some((name, runs)) = self.victim() {
                let verb = if runs { "kill" } else { "revive" };
                keys.push(("k", format!("{verb} {name}")));
            }
            keys.push(("c", "call".into()));
        }
        for (key, what) in [
            ("e", "explain"),
            ("/", "filter"),
            ("r", "report"),
            ("?", "help"),
            ("q", "quit"),
        ] {
            keys.push((key, what.into()));
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::panel::board::tests::top;

    fn press(board: &mut Board, keys: &str) -> Option<Wish> {
        let now = Instant::now();
        let mut last = None;
        for letter in keys.chars() {
            let code = match letter {
                '\n' => KeyCode::Enter,
                '\u{1b}' => KeyCode::Esc,
                '↓' => KeyCode::Down,
                '→' => KeyCode::Right,
                letter => KeyCode::Char(letter),
            };
            last = board.press(KeyEvent::from(code), now);
        }
        last
    }

    fn board() -> Board {
        let mut board = top(Instant::now());
        board.focus.room = (80, 18);
        board
    }

    #[test]
    fn a_filter_is_typed_kept_and_cleared() {
        let now = Instant::now();
        let mut board = board();
        assert_eq!(board.cards(now).places().count(), 2);
        assert_eq!(press(&mut board, "/Paris q"), None);
        assert_eq!(
            board.cards(now).places().count(),
            0,
            "q is looked for, not obeyed"
        );
        press(&mut board, "\u{1b}/pAris\n");
        assert_eq!(
            (board.cards(now).places().count(), board.focus.typing),
            (1, false)
        );
        assert_eq!(press(&mut board, "q"), Some(Wish::Quit));
        press(&mut board, "\u{1b}/call");
        assert_eq!(
            board.cards(now).places().count(),
            1,
            "states are found, too"
        );
        press(&mut board, "\u{1b}");
        assert_eq!(board.cards(now).places().count(), 2);
    }

    #[test]
    fn of_no_lamp_the_one_with_most_to_say_is_explained() {
        let mut board = board();
        let key = |key: &str| Some(Wish::Explain(vec![(Space::Device, key.to_owned())]));
        assert_eq!(press(&mut board, "e"), key("PJSIP/100"));
        assert_eq!(press(&mut board, "e"), None, "again, and it is closed");
        assert!(board.focus.asked.is_none());
        assert_eq!(press(&mut board, "→\n"), key("PJSIP/200"));
    }

    /// In `top` nothing can be provoked.
    #[test]
    fn keys_of_the_demonstration_do_nothing_to_a_node() {
        let mut board = board();
        for key in ["x", "h", "k", "c"] {
            assert_eq!(press(&mut board, key), None, "{key}");
            assert!(board.keys().iter().all(|(known, _)| *known != key));
        }
    }
}
