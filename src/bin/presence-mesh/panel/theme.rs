//! Colours and letters, as far as the terminal and its user want them.

use ratatui::style::{Color, Modifier, Style};

/// What is meant, whatever colours there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Free,
    Ringing,
    Call,
    Hold,
    Away,
    Grey,
    Plain,
}

/// How many colours may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colours {
    None,
    Sixteen,
    Many,
    All,
}

#[derive(Debug, Clone, Copy)]
pub struct Theme {
    pub ascii: bool,
    colours: Colours,
}

impl Theme {
    /// As the environment says: `NO_COLOR`, `COLORTERM`, `TERM` and the locale.
    pub fn detect(ascii: bool) -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        // The first of them that is set decides: POSIX.1-2024, 8.2.
        let locale = set("LC_ALL")
            .or_else(|| set("LC_CTYPE"))
            .or_else(|| set("LANG"));
        let utf8 = locale.is_some_and(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        let term = set("TERM").unwrap_or_default();
        let colours = if set("NO_COLOR").is_some() {
            Colours::None
        } else if set("COLORTERM").is_some_and(|value| value == "truecolor" || value == "24bit") {
            Colours::All
        } else if term.contains("256") || term.contains("direct") {
            Colours::Many
        } else {
            Colours::Sixteen
        };
        Self {
            ascii: ascii || !utf8,
            colours,
        }
    }

    /// Neither colours nor letters beyond ASCII.
    #[cfg(test)]
    pub fn bare() -> Self {
        Self {
            ascii: true,
            colours: Colours::None,
        }
    }

    /// All there is.
    #[cfg(test)]
    pub fn rich() -> Self {
        Self {
            ascii: false,
            colours: Colours::All,
        }
    }

    pub fn pick<'a>(&self, unicode: &'a str, ascii: &'a str) -> &'a str {
        if self.ascii { ascii } else { unicode }
    }

    /// Okabe and Ito's colours, which people who see few colours tell apart; else their nearest.
    pub fn style(&self, tone: Tone) -> Style {
        let (all, many, sixteen) = match tone {
            Tone::Free => ((0x00, 0x9e, 0x73), 36, Color::Green),
            Tone::Ringing => ((0xe6, 0x9f, 0x00), 214, Color::Yellow),
            Tone::Call => ((0xd5, 0x5e, 0x00), 166, Color::Red),
            Tone::Hold => ((0x56, 0xb4, 0xe9), 74, Color::Cyan),
            Tone::Away => ((0xcc, 0x79, 0xa7), 175, Color::Magenta),
            Tone::Grey => ((0x80, 0x80, 0x80), 244, Color::Gray),
            Tone::Plain => return Style::new(),
        };
        match self.colours {
            Colours::None => Style::new(),
            Colours::Sixteen => Style::new().fg(sixteen),
            Colours::Many => Style::new().fg(Color::Indexed(many)),
            Colours::All => Style::new().fg(Color::Rgb(all.0, all.1, all.2)),
        }
    }

    /// The same, for what is old: a third of the colour.
    pub fn faded(&self, tone: Tone) -> Style {
        self.style(tone).add_modifier(Modifier::DIM)
    }

    /// What is worth less attention.
    pub fn quiet(&self) -> Style {
        self.style(Tone::Grey)
    }

    pub fn strong(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What nobody may overlook, on a ground of its own.
    pub fn alarm(&self, tone: Tone) -> Style {
        self.style(tone)
            .add_modifier(Modifier::REVERSED | Modifier::BOLD)
    }
}
