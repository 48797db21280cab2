//! Answers as people read them.

mod explain;

use std::time::Duration;

use presence_mesh::{Freshness, MessageCounts, Presence, Standing};
use tabled::builder::Builder;
use tabled::settings::Style;

use crate::api::{Changed, CustomFields, DeviceFields, NodeStatus, Object, PeerObject, PongObject};
pub use explain::explain;

use crate::people::Directory;
use crate::{lamp, span};

/// How a value looks.
pub trait Cells {
    /// On one line: `[#] On a call (INUSE)`.
    fn text(&self, freshness: Freshness, age: Duration) -> String;
    /// As it is written: `INUSE`.
    fn plain(&self) -> String;
}

impl Cells for DeviceFields {
    fn text(&self, freshness: Freshness, age: Duration) -> String {
        format!(
            "{} {}",
            lamp::shown(self.state, freshness, age),
            self.state.label()
        )
    }

    fn plain(&self) -> String {
        self.state.to_string()
    }
}

impl Cells for MessageCounts {
    fn text(&self, freshness: Freshness, age: Duration) -> String {
        lamp::aged(self.plain(), freshness, age)
    }

    fn plain(&self) -> String {
        self.to_string()
    }
}

impl Cells for Presence {
    fn text(&self, freshness: Freshness, age: Duration) -> String {
        let shape = lamp::presence(self.status).to_owned();
        let shape = lamp::aged(shape, freshness, age);
        let words = [self.subtype.as_str(), self.message.as_str()];
        let words = words.into_iter().filter(|text| !text.is_empty());
        let words: String = words.map(|text| format!(", {}", printable(text))).collect();
        format!("{shape} {}{words}", self.status.label())
    }

    fn plain(&self) -> String {
        printable(&self.to_string())
    }
}

impl Cells for CustomFields {
    fn text(&self, freshness: Freshness, age: Duration) -> String {
        lamp::aged(self.plain(), freshness, age)
    }

    fn plain(&self) -> String {
        printable(&self.value.to_string())
    }
}

/// Words that others chose, without what would move a terminal's cursor.
fn printable(text: &str) -> String {
    let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(visible).collect()
}

/// The table of `devices`.
pub fn devices(all: &[Object<DeviceFields>], people: &Directory) -> String {
    let row = |object: &Object<DeviceFields>| {
        let state = object.value.state;
        vec![
            object.key.clone(),
            lamp::shape(state).to_owned(),
            format!("{} ({state})", state.label()),
            lamp::trust(object.freshness, object.age()),
            nodes(object),
        ]
    };
    let head = ["DEVICE", "LAMP", "STATE", "TRUST", "NODES"];
    named(&head, all, people, row)
}

/// The table of `mailboxes`.
pub fn mailboxes(all: &[Object<MessageCounts>], people: &Directory) -> String {
    let row = |object: &Object<MessageCounts>| {
        let MessageCounts {
            new,
            old,
            urgent_new,
            urgent_old,
        } = object.value;
        vec![
            object.key.clone(),
            new.to_string(),
            old.to_string(),
            format!("{urgent_new}/{urgent_old}"),
            lamp::trust(object.freshness, object.age()),
            nodes(object),
        ]
    };
    let head = ["MAILBOX", "NEW", "OLD", "URGENT", "TRUST", "NODES"];
    named(&head, all, people, row)
}

/// The table of `presence`.
pub fn presence(all: &[Object<Presence>], people: &Directory) -> String {
    let row = |object: &Object<Presence>| {
        let Presence {
            status,
            subtype,
            message,
            ..
        } = &object.value;
        vec![
            object.key.clone(),
            lamp::presence(*status).to_owned(),
            format!("{} ({status})", status.label()),
            printable(subtype),
            printable(message),
            lamp::trust(object.freshness, object.age()),
            nodes(object),
        ]
    };
    let head = [
        "WHO", "LAMP", "STATUS", "SUBTYPE", "MESSAGE", "TRUST", "NODES",
    ];
    named(&head, all, people, row)
}

/// The table of `custom`.
pub fn custom(all: &[Object<CustomFields>], people: &Directory) -> String {
    let row = |object: &Object<CustomFields>| {
        vec![
            object.key.clone(),
            object.value.plain(),
            lamp::trust(object.freshness, object.age()),
            nodes(object),
        ]
    };
    named(&["KEY", "VALUE", "TRUST", "NODES"], all, people, row)
}

/// The table of `ping`.
pub fn ping(all: &[PongObject]) -> String {
    let rows = all.iter().map(|pong| {
        let answer = match pong.rtt_ms {
            Some(ms) => format!("{ms} ms"),
            None if pong.connected => "silent".to_owned(),
            None => "silent, not connected".to_owned(),
        };
        vec![
            pong.node.clone(),
            answer,
            pong.standing.to_string(),
            pong.replica.clone(),
        ]
    });
    table(&["NODE", "ANSWER", "STANDING", "REPLICA"], rows)
}

/// The table of `peers`.
pub fn peers(all: &[PeerObject]) -> String {
    let rows = all.iter().map(|peer| {
        let standing = match (peer.standing, peer.age_ms) {
            (Standing::Alive, _) => peer.standing.to_string(),
            (standing, _) if peer.left => format!("{standing}, left"),
            (standing, Some(age)) => {
                format!("{standing}, {} ago", span::age(Duration::from_millis(age)))
            }
            (standing, None) => standing.to_string(),
        };
        vec![
            peer.node.clone(),
            standing,
            if peer.connected { "yes" } else { "no" }.to_owned(),
            match peer.rtt_ms {
                None => "-".to_owned(),
                Some(0) => "<1 ms".to_owned(),
                Some(ms) => format!("{ms} ms"),
            },
            peer.found_by.to_string(),
            peer.version.clone(),
            peer.addresses.first().cloned().unwrap_or_default(),
            peer.replica.clone(),
        ]
    });
    table(
        &[
            "NODE",
            "STANDING",
            "CONNECTED",
            "RTT",
            "FOUND BY",
            "VERSION",
            "ADDRESS",
            "REPLICA",
        ],
        rows,
    )
}

/// The lines of `status`.
pub fn status(status: &NodeStatus) -> String {
    let ready = if status.ready { "yes" } else { "no" };
    let entries = format!(
        "{} devices, {} mailboxes, {} presence, {} custom",
        status.entries.device,
        status.entries.mailbox,
        status.entries.presence,
        status.entries.custom
    );
    let saving = status.saving.as_ref();
    let problem = saving.and_then(|saving| saving.problem.as_deref());
    let unsaved = problem.map(|problem| ("state", format!("cannot be saved: {problem}")));
    let rows = [
        ("mesh", status.mesh.clone()),
        ("node", status.node.clone()),
        ("replica", status.replica.clone()),
        ("incarnation", status.incarnation.clone()),
        ("version", status.version.clone()),
        ("ready", ready.to_owned()),
        ("peers connected", status.peers_connected.to_string()),
        ("entries", entries),
        ("digest", status.digest.clone()),
    ];
    rows.iter()
        .chain(&unsaved)
        .map(|(name, value)| format!("{name:<16} {value}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// A line of `watch`.
pub fn change<V: Cells>(change: &Changed<V>, people: &Directory) -> String {
    let nothing = || "-".to_owned();
    // How old the old value was is no news.
    let old = change
        .old
        .as_ref()
        .map_or_else(nothing, |old| old.value.text(Freshness::Live, old.age()));
    let new = change
        .new
        .as_ref()
        .map_or_else(nothing, |new| new.value.text(new.freshness, new.age()));
    let by = change
        .new
        .as_ref()
        .map(nodes)
        .filter(|nodes| !nodes.is_empty())
        .or_else(|| change.origin.clone());
    let by = by.map(|nodes| format!("  ({nodes})")).unwrap_or_default();
    format!(
        "{}{}  {old} -> {new}{by}",
        change.key,
        who(&change.key, people)
    )
}

/// Behind a key: whose it is.
fn who(key: &str, people: &Directory) -> String {
    people
        .name(key)
        .map(|name| format!(", {}", printable(name)))
        .unwrap_or_default()
}

/// A row for each, with a column of names behind the keys when any of them has one.
fn named<V>(
    head: &[&str],
    all: &[Object<V>],
    people: &Directory,
    row: impl Fn(&Object<V>) -> Vec<String>,
) -> String {
    let any = all.iter().any(|object| people.name(&object.key).is_some());
    let with_name = |object: &Object<V>| {
        let mut cells = row(object);
        if any {
            let name = people.name(&object.key).unwrap_or_default();
            cells.insert(1, printable(name));
        }
        cells
    };
    let mut head = head.to_vec();
    if any {
        head.insert(1, "NAME");
    }
    table(&head, all.iter().map(with_name))
}

/// Who says something of it; those not live are marked.
fn nodes<V>(object: &Object<V>) -> String {
    let name = |part: &crate::api::Part<V>| match part.freshness {
        Freshness::Live => part.node.clone(),
        other => format!("{} ({other})", part.node),
    };
    object
        .contributions
        .iter()
        .map(name)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Rows under a head, without lines.
pub fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut builder = Builder::default();
    builder.push_record(head.iter().copied());
    rows.for_each(|row| builder.push_record(row));
    let mut table = builder.build();
    table.with(Style::blank());
    let text = table.to_string();
    text.lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use presence_mesh::DeviceState;

    use super::*;
    use crate::api::Part;
    use crate::people::Person;

    fn part(
        node: &str,
        state: DeviceState,
        freshness: Freshness,
        age_ms: u64,
    ) -> Part<DeviceFields> {
        Part {
            node: node.into(),
            replica: "12D3".into(),
            value: DeviceFields { state },
            freshness,
            age_ms,
        }
    }

    fn object(freshness: Freshness, age_ms: u64) -> Object<DeviceFields> {
        Object {
            key: "PJSIP/100".into(),
            origin: None,
            value: DeviceFields {
                state: DeviceState::InUse,
            },
            freshness,
            age_ms,
            changed_at: "2026-01-01T00:00:00.000Z".into(),
            contributions: vec![part("berlin", DeviceState::InUse, freshness, age_ms)],
        }
    }

    #[test]
    fn a_stale_lamp_says_so_and_how_old_it_is() {
        let table = devices(&[object(Freshness::Stale, 42_000)], &Directory::default());
        let line = table.lines().nth(1).unwrap();
        for part in [
            "PJSIP/100",
            "[#]",
            "On a call (INUSE)",
            "stale, 42 s ago",
            "berlin (stale)",
        ] {
            assert!(line.contains(part), "{table}");
        }
    }

    #[test]
    fn a_change_is_one_line() {
        let change = Changed {
            space: "device".into(),
            key: "PJSIP/100".into(),
            origin: None,
            old: None,
            new: Some(object(Freshness::Live, 0)),
        };
        assert_eq!(
            super::change(&change, &Directory::default()),
            "PJSIP/100  - -> [#] On a call  (berlin)"
        );
        let change = Changed {
            old: change.new,
            new: None,
            ..change
        };
        assert_eq!(
            super::change(&change, &anna()),
            "PJSIP/100, Anna Berger  [#] On a call -> -"
        );
    }

    fn anna() -> Directory {
        let person = Person {
            key: "PJSIP/100".into(),
            name: "Anna Berger".into(),
            ..Person::default()
        };
        Directory::new(vec![person])
    }

    #[test]
    fn names_have_a_column_where_anybody_has_one() {
        let all = [object(Freshness::Live, 0)];
        let table = devices(&all, &anna());
        let (head, row) = table.split_once('\n').unwrap();
        assert_eq!(head.find("NAME"), row.find("Anna Berger"), "{table}");
        assert!(row.trim_start().starts_with("PJSIP/100 "), "{table}");
        assert!(!devices(&all, &Directory::default()).contains("NAME"));
    }
}
