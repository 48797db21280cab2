//! How a lamp looks: shape, tone, words, and how old it is. Never colour alone.

use std::time::Duration;

use presence_mesh::{DeviceState, PresenceStatus};
use ratatui::text::Span;

use super::theme::{Theme, Tone};
use super::told::Item;
use crate::{lamp, span};

/// What a lamp shows, whatever draws it.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    pub shape: &'static str,
    pub ascii_shape: &'static str,
    pub tone: Tone,
    pub label: String,
    /// How old, when it cannot be trusted as it is.
    pub age: Option<Duration>,
    /// New messages, and whether that number may be old.
    pub mail: Option<(u32, bool)>,
}

impl Look {
    /// Of what a key shows alone.
    pub fn of(item: &Item) -> Self {
        let (shape, ascii_shape, tone) = match item {
            Item::Device(state) => (lamp::symbol(*state), lamp::shape(*state), device(*state)),
            Item::Presence(presence) => (
                lamp::presence_symbol(presence.status),
                lamp::presence(presence.status),
                status(presence.status),
            ),
            Item::Mailbox(_) => ("✉", "[=]", Tone::Plain),
        };
        Self {
            shape,
            ascii_shape,
            tone,
            label: words(item),
            age: None,
            mail: None,
        }
    }

    pub fn shape(&self, theme: &Theme) -> &'static str {
        theme.pick(self.shape, self.ascii_shape)
    }

    /// `On a call ~42s`; the age is never cut off.
    pub fn text(&self, width: usize) -> String {
        let Some(age) = self.age else {
            return fit(&self.label, width);
        };
        let age = format!("~{}", span::short(age));
        let left = width.saturating_sub(age.len() + 1);
        if left < 2 {
            return fit(&age, width);
        }
        format!("{} {age}", fit(&self.label, left))
    }
}

fn device(state: DeviceState) -> Tone {
    match state {
        DeviceState::NotInUse => Tone::Free,
        DeviceState::Ringing | DeviceState::RingInUse => Tone::Ringing,
        DeviceState::InUse | DeviceState::Busy => Tone::Call,
        DeviceState::OnHold => Tone::Hold,
        _ => Tone::Grey,
    }
}

fn status(status: PresenceStatus) -> Tone {
    match status {
        PresenceStatus::Available | PresenceStatus::Chat => Tone::Free,
        PresenceStatus::Away | PresenceStatus::Xa | PresenceStatus::Dnd => Tone::Away,
        _ => Tone::Grey,
    }
}

/// What a value says, for people.
pub fn words(item: &Item) -> String {
    match item {
        Item::Device(state) => state.label().to_owned(),
        Item::Presence(presence) => {
            let more = [presence.subtype.as_str(), presence.message.as_str()];
            let more = more.into_iter().filter(|text| !text.is_empty());
            let more: String = more.map(|text| format!(", {}", clean(text))).collect();
            format!("{}{more}", presence.status.label())
        }
        Item::Mailbox(counts) => counts.to_string(),
    }
}

/// Words that others chose, without what would move a terminal's cursor.
pub fn clean(text: &str) -> String {
    let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(visible).collect()
}

/// The nearest text in ASCII, for terminals without other letters and for who types none: `Novak`.
pub fn ascii(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    text.chars().map(base).collect()
}

/// The letter below the accent; of other scripts, a question mark.
fn base(letter: char) -> char {
    if letter.is_ascii() {
        return letter;
    }
    let small = letter.to_lowercase().next().unwrap_or(letter);
    let found = match small {
        'à'..='å' | 'ā' | 'ă' | 'ą' => 'a',
        'ç' | 'ć' | 'č' => 'c',
        'ď' | 'đ' | 'ð' => 'd',
        'è'..='ë' | 'ē' | 'ė' | 'ę' | 'ě' => 'e',
        'ğ' | 'ģ' => 'g',
        'ì'..='ï' | 'ī' | 'į' | 'ı' => 'i',
        'ķ' => 'k',
        'ļ' | 'ľ' | 'ł' => 'l',
        'ñ' | 'ń' | 'ņ' | 'ň' => 'n',
        'ò'..='ö' | 'ø' | 'ō' | 'ő' => 'o',
        'ŕ' | 'ř' => 'r',
        'ś' | 'ş' | 'š' | 'ș' | 'ß' => 's',
        'ţ' | 'ť' | 'ț' => 't',
        'ù'..='ü' | 'ū' | 'ů' | 'ű' | 'ų' => 'u',
        'ý' | 'ÿ' => 'y',
        'ź' | 'ż' | 'ž' => 'z',
        _ => return '?',
    };
    if letter == small {
        found
    } else {
        found.to_ascii_uppercase()
    }
}

/// How many cells a text takes.
pub fn width(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        Span::raw(text).width()
    }
}

/// At most so many cells of a text; what is cut off shows as a dot.
pub fn fit(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let mut kept = String::new();
    for letter in text.chars() {
        let mut longer = kept.clone();
        longer.push(letter);
        if width(&longer) + 1 > most {
            break;
        }
        kept = longer;
    }
    if most > 0 {
        kept = kept.trim_end().to_owned();
        kept.push('.');
    }
    kept
}

#[cfg(test)]
mod tests {
    use presence_mesh::Presence;

    use super::*;

    #[test]
    fn the_age_is_kept_when_words_are_cut_off() {
        let mut look = Look::of(&Item::Device(DeviceState::RingInUse));
        assert_eq!(look.text(30), "On a call, ringing");
        look.age = Some(Duration::from_secs(42));
        assert_eq!(look.text(30), "On a call, ringing ~42s");
        assert_eq!(look.text(14), "On a cal. ~42s");
        assert_eq!(look.text(5), "~42s");
    }

    #[test]
    fn texts_fit_their_cells() {
        assert_eq!(fit("Berger", 6), "Berger");
        assert_eq!(fit("Berger", 5), "Berg.");
        assert_eq!(fit("Ana B", 5), "Ana B");
        assert_eq!(fit("Ana Berger", 5), "Ana.");
        assert_eq!(fit("日本語", 5), "日本.");
        assert_eq!(fit("abc", 0), "");
        assert_eq!(width("日本"), 4);
    }

    #[test]
    fn names_are_readable_without_their_accents() {
        assert_eq!(ascii("Łucja Nováková"), "Lucja Novakova");
        assert_eq!(ascii("Åse Ünal 王"), "Ase Unal ?");
    }

    #[test]
    fn what_people_wrote_cannot_steer_the_terminal() {
        let presence = Presence {
            status: PresenceStatus::Dnd,
            subtype: String::new(),
            message: "a\u{1b}[2Jb".into(),
        };
        assert_eq!(
            words(&Item::Presence(presence)),
            "Do not disturb, a\u{fffd}[2Jb"
        );
    }
}
