//! What somebody is looking at: a lamp, a search, an explanation, the help.

use std::time::{Duration, Instant};

use super::press::Wish;
use crate::panel::look::ascii;
use crate::panel::told::Space;
use crate::panel::why::Why;

/// How often an explanation that is open is asked for again.
const ASK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub struct Focus {
    /// The lamp that keys act on, by what it is named by.
    pub lamp: Option<(Space, String)>,
    /// Lines that have left the screen at the top.
    pub scroll: usize,
    /// Lines and columns for lamps, as painted last.
    pub room: (usize, usize),
    pub filter: String,
    /// The filter is being typed.
    pub typing: bool,
    pub help: bool,
    pub asked: Option<Asked>,
}

/// An explanation that is open.
#[derive(Debug)]
pub struct Asked {
    pub name: String,
    pub keys: Vec<(Space, String)>,
    pub whys: Vec<Why>,
    at: Instant,
}

impl Focus {
    /// The words that are looked for.
    pub fn words(&self) -> Vec<String> {
        let words = self.filter.split_whitespace();
        words.map(|word| ascii(&word.to_lowercase())).collect()
    }

    pub fn ask(&mut self, name: String, keys: Vec<(Space, String)>, now: Instant) -> Wish {
        self.help = false;
        self.asked = Some(Asked {
            name,
            keys: keys.clone(),
            whys: Vec::new(),
            at: now,
        });
        Wish::Explain(keys)
    }

    /// The answer; one that comes too late, for another lamp, is dropped.
    pub fn explained(&mut self, whys: Vec<Why>) {
        let Some(asked) = &mut self.asked else { return };
        let mine = asked.keys.iter().map(|(space, key)| (*space, key.as_str()));
        if mine.eq(whys.iter().map(|why| (why.space, why.key.as_str()))) {
            asked.whys = whys;
        }
    }

    pub fn ask_again(&mut self, now: Instant) -> Option<Wish> {
        let asked = self.asked.as_mut()?;
        if now.saturating_duration_since(asked.at) < ASK_EVERY {
            return None;
        }
        asked.at = now;
        Some(Wish::Explain(asked.keys.clone()))
    }
}
