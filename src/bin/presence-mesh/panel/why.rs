//! Why a lamp is what it is.

use std::time::Duration;

use presence_mesh::Freshness;

use super::look::{Look, clean, words};
use super::told::{Item, Space};
use crate::api::{Explained, ExplainedPart, ToldPart};
use crate::lamp;

/// The reasons for what one key shows.
#[derive(Debug, Clone)]
pub struct Why {
    pub space: Space,
    pub key: String,
    /// `None`: nothing is shown of it, and `rule` says why.
    pub look: Option<Look>,
    /// `live`, `stale, 42 s ago`
    pub trust: String,
    pub changed_at: String,
    /// The rule that decided, as a sentence.
    pub rule: String,
    pub says: Vec<Says>,
    /// What this node's PBX was told, a line each; empty where there is none.
    pub pbx: Vec<String>,
}

/// What one node says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Says {
    /// It decides, alone or with others.
    pub wins: bool,
    pub node: String,
    pub words: String,
    pub trust: String,
    pub written_at: String,
    /// `seq 7 by asterisk`, and what else is to be known of it.
    pub note: String,
}

impl Why {
    pub fn new<V: Into<Item>>(space: Space, explained: Explained<V>) -> Self {
        let age = Duration::from_millis(explained.age_ms);
        let mut look = Look::of(&explained.value.into());
        look.age = (explained.freshness != Freshness::Live).then_some(age);
        let pbx = explained.pbx.into_iter().flatten();
        Self {
            space,
            pbx: pbx.map(told).collect(),
            key: explained.key,
            look: Some(look),
            trust: lamp::trust(explained.freshness, age),
            changed_at: clock(&explained.changed_at),
            rule: clean(&explained.why),
            says: explained.contributions.into_iter().map(Says::new).collect(),
        }
    }

    /// There is nothing to explain.
    pub fn nothing(space: Space, key: &str, reason: &str) -> Self {
        Self {
            space,
            key: key.to_owned(),
            look: None,
            trust: String::new(),
            changed_at: String::new(),
            rule: clean(reason),
            says: Vec::new(),
            pbx: Vec::new(),
        }
    }
}

impl Says {
    fn new<V: Into<Item>>(explained: ExplainedPart<V>) -> Self {
        let part = explained.part;
        let notes = [
            (explained.own, "this node"),
            (explained.held, "held back: from the future"),
            (explained.previous, "from before its restart"),
        ];
        let notes = notes
            .into_iter()
            .filter_map(|(holds, note)| holds.then_some(note));
        let mut note = format!(
            "seq {} by {}",
            explained.stamp.seq,
            clean(&explained.source)
        );
        notes.for_each(|more| note.push_str(&format!(", {more}")));
        Self {
            wins: explained.wins,
            node: clean(&part.node),
            words: words(&part.value.into()),
            trust: lamp::trust(part.freshness, Duration::from_millis(part.age_ms)),
            written_at: clock(&explained.written_at),
            note,
        }
    }
}

/// What the PBX was told, and when.
fn told<V: Into<Item>>(told: ToldPart<V>) -> String {
    let (words, eid, at) = (
        words(&told.value.into()),
        clean(&told.eid),
        clock(&told.told_at),
    );
    let pending = if told.pending {
        ", to be told again"
    } else {
        ""
    };
    format!("the PBX was told: {words}, at {at}, as {eid}{pending}")
}

/// The time of the day alone: `08:12:03.120`.
fn clock(rfc3339: &str) -> String {
    let time = rfc3339.split_once('T').map_or(rfc3339, |(_, time)| time);
    clean(time.trim_end_matches('Z'))
}

#[cfg(test)]
mod tests {
    use presence_mesh::DeviceState;

    use super::*;
    use crate::api::DeviceFields;

    #[test]
    fn what_the_pbx_was_told_is_told() {
        let part = ToldPart {
            eid: "02:00:00:00:00:0a".into(),
            value: DeviceFields {
                state: DeviceState::InUse,
            },
            told_at: "2026-01-01T08:12:03.120Z".into(),
            pending: true,
        };
        assert_eq!(
            told(part),
            "the PBX was told: On a call, at 08:12:03.120, as 02:00:00:00:00:0a, to be told again"
        );
    }
}
