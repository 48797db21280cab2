//! `watch`: what changes, line by line.

use std::collections::BTreeMap;

use anyhow::Context as _;
use presence_mesh::{MessageCounts, Presence};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::connection::{Connection, StreamEvent};
use super::escape;
use crate::api::{Changed, CustomFields, DeviceFields, Object, PREFIX};
use crate::cli::{SpaceName, WatchArgs};
use crate::people::Directory;
use crate::table::Cells;
use crate::{exit, output, table};

/// `watch`: what there is, then what changes, until stopped.
pub fn watch(args: &WatchArgs) -> anyhow::Result<()> {
    match args.space {
        SpaceName::Device => follow::<DeviceFields>(args),
        SpaceName::Mailbox => follow::<MessageCounts>(args),
        SpaceName::Presence => follow::<Presence>(args),
        SpaceName::Custom | SpaceName::CustomPerOrigin => follow::<CustomFields>(args),
    }
}

fn follow<V: DeserializeOwned + Serialize + Cells + Clone + PartialEq>(
    args: &WatchArgs,
) -> anyhow::Result<()> {
    let space = args.space.as_str();
    let pattern = escape(args.pattern.as_deref().unwrap_or("*"));
    let connection = Connection::new(&args.read.target.address);
    let mut known = Known::<V>::default();
    let mut path = format!("{PREFIX}/stream?space={space}&pattern={pattern}");
    if let Some(namespace) = &args.namespace {
        path.push_str(&format!("&namespace={}", escape(namespace)));
    }
    let events = connection.stream(&path)?;
    // A node reads its directory once, when it starts; this stream ends with it.
    let people = if args.read.json {
        Directory::default()
    } else {
        connection.people()
    };
    for event in events {
        let event = event
            .map_err(|error| exit::not_ready(format!("the node no longer answers ({error})")))?;
        for line in known.take(space, &event)? {
            if args.read.json {
                output::line(serde_json::to_string(&line).context("a change is JSON")?)?;
            } else {
                output::line(table::change(&line.change, &people))?;
            }
        }
    }
    Err(exit::not_ready("the node has ended the stream"))
}

/// What the lines so far add up to.
///
/// Kept so that after a resync only what really changed is told, and what vanished meanwhile is not missed.
#[derive(Debug)]
struct Known<V> {
    all: BTreeMap<Id, Object<V>>,
    begun: bool,
}

/// A key; where each node's own is shown apart, with whose it is.
type Id = (String, Option<String>);

/// A line for machines.
#[derive(Debug, PartialEq, Serialize)]
struct Line<V> {
    event: &'static str,
    #[serde(flatten)]
    change: Changed<V>,
}

impl<V> Default for Known<V> {
    fn default() -> Self {
        Self {
            all: BTreeMap::new(),
            begun: false,
        }
    }
}

impl<V: DeserializeOwned + Clone + PartialEq> Known<V> {
    fn take(&mut self, space: &str, event: &StreamEvent) -> anyhow::Result<Vec<Line<V>>> {
        match event.name.as_str() {
            "snapshot" => {
                let all: Vec<Object<V>> =
                    serde_json::from_str(&event.data).context("not a snapshot")?;
                Ok(self.snapshot(space, all))
            }
            "change" => {
                let change: Changed<V> =
                    serde_json::from_str(&event.data).context("not a change")?;
                let id = (change.key.clone(), change.origin.clone());
                match change.new.clone() {
                    Some(new) => drop(self.all.insert(id, new)),
                    None => drop(self.all.remove(&id)),
                }
                Ok(vec![Line {
                    event: "change",
                    change,
                }])
            }
            _ => Ok(Vec::new()),
        }
    }

    fn snapshot(&mut self, space: &str, all: Vec<Object<V>>) -> Vec<Line<V>> {
        let event = if std::mem::replace(&mut self.begun, true) {
            "change"
        } else {
            "snapshot"
        };
        let line = |(key, origin): Id, old, new| Line {
            event,
            change: Changed {
                space: space.to_owned(),
                key,
                origin,
                old,
                new,
            },
        };
        let mut before = std::mem::take(&mut self.all);
        let mut lines = Vec::new();
        for new in all {
            let id = (new.key.clone(), new.origin.clone());
            let old = before.remove(&id);
            if !old.as_ref().is_some_and(|old| same(old, &new)) {
                lines.push(line(id.clone(), old, Some(new.clone())));
            }
            self.all.insert(id, new);
        }
        lines.extend(
            before
                .into_iter()
                .map(|(id, old)| line(id, Some(old), None)),
        );
        lines
    }
}

/// Whether the same is shown; ages always differ.
fn same<V: PartialEq>(a: &Object<V>, b: &Object<V>) -> bool {
    (&a.value, a.freshness, &a.changed_at) == (&b.value, b.freshness, &b.changed_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str, state: &str) -> String {
        format!(
            r#"{{"key":"{key}","state":"{state}","freshness":"live","age_ms":0,"changed_at":"t","contributions":[]}}"#
        )
    }

    #[test]
    fn after_a_resync_only_differences_are_told() {
        let mut known = Known::<DeviceFields>::default();
        let mut keys = |event: &StreamEvent| -> Vec<String> {
            let lines = known.take("device", event).unwrap();
            lines
                .iter()
                .map(|line| {
                    format!(
                        "{} {} {}",
                        line.event,
                        line.change.key,
                        line.change.new.is_some()
                    )
                })
                .collect()
        };
        let snapshot =
            |objects: &[String]| StreamEvent::of("snapshot", &format!("[{}]", objects.join(",")));
        let first = snapshot(&[
            object("a", "INUSE"),
            object("b", "INUSE"),
            object("c", "INUSE"),
        ]);
        assert_eq!(
            keys(&first),
            ["snapshot a true", "snapshot b true", "snapshot c true"]
        );
        assert_eq!(keys(&StreamEvent::of("resync", "{}")), [""; 0]);
        let again = snapshot(&[
            object("a", "INUSE"),
            object("b", "BUSY"),
            object("d", "INUSE"),
        ]);
        assert_eq!(
            keys(&again),
            ["change b true", "change d true", "change c false"]
        );
        let change = format!(
            r#"{{"space":"device","key":"a","old":{},"new":null}}"#,
            object("a", "INUSE")
        );
        assert_eq!(
            keys(&StreamEvent::of("change", &change)),
            ["change a false"]
        );
        assert_eq!(keys(&again), ["change a true"]);
    }
}
