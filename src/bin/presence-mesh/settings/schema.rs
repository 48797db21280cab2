//! Every key there is, and what it sets.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use presence_mesh::bridge::asterisk::{AsteriskConfig, pjsip_config};
use presence_mesh::{MAX_KEY_BYTES, MAX_VALUE_BYTES, Merge, Mesh, Preset, ReplicaId, UnknownWord};

use super::given::Given;
use super::{AsteriskSettings, Settings};
use crate::address;

/// A key: where it stands, and what it sets.
pub struct Entry {
    /// The empty text for keys outside of sections.
    pub section: &'static str,
    pub name: &'static str,
    set: Set,
}

type Checked = Result<(), String>;

/// What kind of value a key takes, and what is done with it.
enum Set {
    Text(fn(&mut Settings, String) -> Checked),
    Path(fn(&mut Settings, PathBuf)),
    List(fn(&mut Settings, Vec<String>) -> Checked),
    Switch(fn(&mut Settings, bool)),
    Count(fn(&mut Settings, usize) -> Checked),
    Span(fn(&mut Settings, Duration)),
}

impl Entry {
    const fn new(section: &'static str, name: &'static str, set: Set) -> Self {
        Self { section, name, set }
    }

    /// `node`, `discovery.mdns`.
    pub fn full_name(&self) -> String {
        if self.section.is_empty() {
            self.name.to_owned()
        } else {
            format!("{}.{}", self.section, self.name)
        }
    }

    /// `PRESENCE_MESH_DISCOVERY_MDNS`.
    pub fn variable(&self) -> String {
        format!(
            "PRESENCE_MESH_{}",
            self.full_name().replace('.', "_").to_uppercase()
        )
    }

    pub fn is_list(&self) -> bool {
        matches!(self.set, Set::List(_))
    }

    /// Sets the key. Relative paths start at `folder`, if one is given.
    ///
    /// # Errors
    /// What the value must be; without the key's name when it is a value of the wrong kind.
    pub fn apply(
        &self,
        settings: &mut Settings,
        given: Given<'_>,
        folder: Option<&Path>,
    ) -> Checked {
        let name = self.full_name();
        let result = match self.set {
            Set::Text(set) => given.text().and_then(|value| set(settings, value)),
            Set::Path(set) => given.text().and_then(|value| {
                if value.is_empty() {
                    return Err("must not be empty".to_owned());
                }
                set(
                    settings,
                    folder.map_or_else(|| PathBuf::from(&value), |folder| folder.join(&value)),
                );
                Ok(())
            }),
            Set::List(set) => given.list().and_then(|value| set(settings, value)),
            Set::Switch(set) => given.switch().map(|value| set(settings, value)),
            Set::Count(set) => given.count().and_then(|value| set(settings, value)),
            Set::Span(set) => given.span().map(|value| set(settings, value)),
        };
        result.map_err(|problem| format!("{name}: {problem}"))
    }
}

/// The key called `full_name`.
pub fn find(full_name: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.full_name() == full_name)
}

/// The names of the sections.
pub fn sections() -> impl Iterator<Item = &'static str> {
    let mut last = "";
    ENTRIES
        .iter()
        .map(|entry| entry.section)
        .filter(move |section| *section != std::mem::replace(&mut last, section))
}

/// The known key nearest to `wanted`, by the least number of letters to change; in `section` if one is
/// equally near there.
pub fn nearest(section: &str, wanted: &str) -> String {
    let keys = ENTRIES.iter().map(|entry| {
        let distance = if begins(entry.name, wanted) {
            1
        } else {
            distance(entry.name, wanted)
        };
        (
            distance * 2 + usize::from(entry.section != section),
            entry.full_name(),
        )
    });
    let sections = sections().map(|name| {
        (
            distance(name, wanted) * 2 + usize::from(!section.is_empty()),
            format!("[{name}]"),
        )
    });
    keys.chain(sections)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
        .unwrap_or_default()
}

/// Whether `wanted` is the beginning of a longer name, long enough to be meant as such.
fn begins(name: &str, wanted: &str) -> bool {
    wanted.len() >= 4 && name.starts_with(wanted)
}

/// Levenshtein's.
fn distance(a: &str, b: &str) -> usize {
    // Longer words are none of ours, and the cost is a product.
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let cost = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Every key, those of one section together.
pub const ENTRIES: &[Entry] = &[
    Entry::new(
        "",
        "mesh",
        Set::Text(|s, v| name(&v).map(|name| s.mesh = Some(name))),
    ),
    Entry::new(
        "",
        "node",
        Set::Text(|s, v| name(&v).map(|name| s.node = Some(name))),
    ),
    Entry::new("", "key_file", Set::Path(|s, v| s.key_file = Some(v))),
    Entry::new("", "data_dir", Set::Path(|s, v| s.data_dir = Some(v))),
    Entry::new("", "people_file", Set::Path(|s, v| s.people_file = Some(v))),
    Entry::new(
        "",
        "listen",
        Set::List(|s, v| listen_addresses(&v).map(|()| s.listen = v)),
    ),
    Entry::new(
        "",
        "join",
        Set::List(|s, v| join_addresses(&v).map(|()| s.join = v)),
    ),
    Entry::new(
        "",
        "preset",
        Set::Text(|s, v| preset(&v).map(|preset| s.preset = preset)),
    ),
    Entry::new("discovery", "mdns", Set::Switch(|s, v| s.mdns = v)),
    Entry::new("discovery", "kad", Set::Switch(|s, v| s.kad = v)),
    Entry::new("http", "listen", Set::Text(http_listen)),
    Entry::new(
        "limits",
        "entries_per_origin",
        Set::Count(|s, v| positive(v).map(|v| s.limits.entries_per_origin = v)),
    ),
    Entry::new(
        "limits",
        "key_bytes",
        Set::Count(|s, v| at_most(v, MAX_KEY_BYTES).map(|v| s.key_bytes = v)),
    ),
    Entry::new(
        "limits",
        "value_bytes",
        Set::Count(|s, v| at_most(v, MAX_VALUE_BYTES).map(|v| s.value_bytes = v)),
    ),
    Entry::new(
        "limits",
        "origins",
        Set::Count(|s, v| positive(v).map(|v| s.limits.origins = v)),
    ),
    Entry::new(
        "limits",
        "pending_ranges",
        Set::Count(|s, v| positive(v).map(|v| s.limits.pending_ranges = v)),
    ),
    Entry::new(
        "limits",
        "staged_entries",
        Set::Count(|s, v| positive(v).map(|v| s.limits.staged_entries = v)),
    ),
    Entry::new(
        "limits",
        "graves",
        Set::Count(|s, v| positive(v).map(|v| s.limits.graves = v)),
    ),
    Entry::new(
        "limits",
        "outgoing_frames",
        Set::Count(|s, v| positive(v).map(|v| s.limits.outgoing_frames = v)),
    ),
    Entry::new(
        "limits",
        "watches",
        Set::Count(|s, v| positive(v).map(|v| s.limits.watches = v)),
    ),
    Entry::new(
        "limits",
        "watch_queue",
        Set::Count(|s, v| positive(v).map(|v| s.limits.watch_queue = v)),
    ),
    Entry::new(
        "limits",
        "subscriptions",
        Set::Count(|s, v| positive(v).map(|v| s.limits.subscriptions = v)),
    ),
    Entry::new(
        "limits",
        "event_queue",
        Set::Count(|s, v| positive(v).map(|v| s.limits.event_queue = v)),
    ),
    Entry::new(
        "limits",
        "outgoing_events",
        Set::Count(|s, v| positive(v).map(|v| s.limits.outgoing_events = v)),
    ),
    Entry::new(
        "limits",
        "held_event_frames",
        Set::Count(|s, v| positive(v).map(|v| s.limits.held_event_frames = v)),
    ),
    Entry::new(
        "limits",
        "remembered_events",
        Set::Count(|s, v| positive(v).map(|v| s.limits.remembered_events = v)),
    ),
    Entry::new(
        "limits",
        "remembered_bytes",
        Set::Count(|s, v| positive(v).map(|v| s.limits.remembered_bytes = v)),
    ),
    Entry::new("timing", "beat", Set::Span(|s, v| s.timing.beat = Some(v))),
    Entry::new(
        "timing",
        "stale_after",
        Set::Span(|s, v| s.timing.stale_after = Some(v)),
    ),
    Entry::new(
        "timing",
        "gone_after",
        Set::Span(|s, v| s.timing.gone_after = Some(v)),
    ),
    Entry::new(
        "timing",
        "forget_after",
        Set::Span(|s, v| s.timing.forget_after = Some(v)),
    ),
    Entry::new("timing", "sync", Set::Span(|s, v| s.timing.sync = Some(v))),
    Entry::new(
        "timing",
        "retry",
        Set::Span(|s, v| s.timing.retry = Some(v)),
    ),
    Entry::new(
        "timing",
        "tombstone",
        Set::Span(|s, v| s.timing.tombstone = Some(v)),
    ),
    Entry::new(
        "timing",
        "max_clock_drift",
        Set::Span(|s, v| s.timing.max_clock_drift = Some(v)),
    ),
    Entry::new(
        "security",
        "allow",
        Set::List(|s, v| replicas(&v).map(|ids| s.allow = ids)),
    ),
    Entry::new(
        "security",
        "ban",
        Set::List(|s, v| replicas(&v).map(|ids| s.ban = ids)),
    ),
    Entry::new(
        "mailboxes",
        "merge",
        Set::Text(|s, v| merge(&v).map(|merge| s.merge = merge)),
    ),
    Entry::new(
        "events",
        "remember",
        Set::Span(|s, v| s.timing.remember = Some(v)),
    ),
    Entry::new(
        "asterisk",
        "listen",
        Set::Text(|s, v| address::parse(&v).map(|v| asterisk(s).listen = v)),
    ),
    Entry::new(
        "asterisk",
        "server",
        Set::Text(|s, v| sip_uri(v).map(|v| asterisk(s).server = Some(v))),
    ),
    Entry::new(
        "asterisk",
        "username",
        Set::Text(|s, v| name(&v).map(|v| asterisk(s).username = Some(v))),
    ),
    Entry::new(
        "asterisk",
        "password_file",
        Set::Path(|s, v| asterisk(s).password_file = Some(v)),
    ),
    Entry::new(
        "asterisk",
        "export",
        Set::List(|s, v| anything(v).map(|v| asterisk(s).export = Some(v))),
    ),
    Entry::new(
        "asterisk",
        "import",
        Set::List(|s, v| anything(v).map(|v| asterisk(s).import = v)),
    ),
];

fn asterisk(settings: &mut Settings) -> &mut AsteriskSettings {
    settings
        .asterisk
        .get_or_insert_with(AsteriskSettings::default)
}

fn anything(globs: Vec<String>) -> Result<Vec<String>, String> {
    Ok(globs)
}

/// A name as it is shown in tables, logs and pages, where it must fit.
pub fn name(text: &str) -> Result<String, String> {
    let fits = (1..=63).contains(&text.len()) && !text.chars().any(char::is_control);
    if fits {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 63 printable characters".to_owned())
    }
}

/// The library judges its own addresses.
fn listen_addresses(addresses: &[String]) -> Checked {
    let described = addresses
        .iter()
        .try_fold(Mesh::builder("check"), |builder, address| {
            builder.listen(address)
        });
    described.map(drop).map_err(|error| error.to_string())
}

fn join_addresses(addresses: &[String]) -> Checked {
    Mesh::builder("check")
        .join(addresses)
        .map(drop)
        .map_err(|error| error.to_string())
}

fn http_listen(settings: &mut Settings, text: String) -> Checked {
    settings.http = if text == "off" {
        None
    } else {
        Some(address::parse(&text)?)
    };
    Ok(())
}

fn preset(text: &str) -> Result<Preset, String> {
    text.parse().map_err(|error: UnknownWord| error.to_string())
}

fn merge(text: &str) -> Result<Merge, String> {
    text.parse().map_err(|error: UnknownWord| error.to_string())
}

fn replicas(texts: &[String]) -> Result<Vec<ReplicaId>, String> {
    texts
        .iter()
        .map(|text| text.parse().map_err(|error| format!("{text:?}: {error}")))
        .collect()
}

/// The bridge judges its own.
fn sip_uri(text: String) -> Result<String, String> {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = AsteriskConfig::new(listen, text.as_str(), "");
    pjsip_config(&config, "check").map_err(|error| error.to_string())?;
    Ok(text)
}

fn positive(count: usize) -> Result<usize, String> {
    if count > 0 {
        Ok(count)
    } else {
        Err("must be at least 1".to_owned())
    }
}

fn at_most(count: usize, limit: usize) -> Result<usize, String> {
    if (1..=limit).contains(&count) {
        Ok(count)
    } else {
        Err(format!("must be 1 to {limit}, not {count}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_the_one_meant() {
        assert_eq!(nearest("", "lisen"), "listen");
        assert_eq!(nearest("discovery", "mdsn"), "discovery.mdns");
        assert_eq!(nearest("", "mdns"), "discovery.mdns");
        assert_eq!(nearest("", "discovry"), "[discovery]");
        assert_eq!(nearest("http", "lsten"), "http.listen");
        assert_eq!(nearest("timing", "stale"), "timing.stale_after");
        assert_eq!(nearest("timing", "stale-after"), "timing.stale_after");
    }

    #[test]
    fn names_are_unique_and_sections_are_together() {
        let names: Vec<_> = ENTRIES.iter().map(Entry::variable).collect();
        assert_eq!(
            names
                .iter()
                .collect::<std::collections::BTreeSet<_>>()
                .len(),
            names.len()
        );
        let sections: Vec<_> = sections().collect();
        assert_eq!(
            sections,
            [
                "discovery",
                "http",
                "limits",
                "timing",
                "security",
                "mailboxes",
                "events",
                "asterisk"
            ]
        );
    }

    #[test]
    fn distances_count_letters() {
        assert_eq!(distance("listen", "listen"), 0);
        assert_eq!(distance("listen", "lisen"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
