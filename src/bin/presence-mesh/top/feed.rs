//! What a node tells over HTTP: all lamps and a beat every second in one stream, passing events in another, and
//! now and then what it measures.

use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use presence_mesh::{MessageCounts, Presence};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::api::{DeviceFields, Explained, NodeStatus, Object, PREFIX, PeerObject};
use crate::client::{Connection, StreamEvent, escape};
use crate::panel::{Item, Space, Told, Why, item};

/// What waits to be shown; when full, the node is read no further, and makes us resynchronise.
const QUEUE: usize = 1_024;
/// A stream with a beat every second is dead when it is silent for so long.
const SILENCE: Duration = Duration::from_secs(5);
/// A comment comes every 15 s.
const EVENTS_SILENCE: Duration = Duration::from_secs(40);
/// How often the node's own figures are asked for.
const FIGURES_EVERY: Duration = Duration::from_secs(2);
/// How long until the node is asked again: the first time, then ever later.
const RETRY: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// Follows a node, for as long as it is held.
#[derive(Debug)]
pub struct Feed(mpsc::Receiver<Told>);

/// What every beat says, as far as we need it.
#[derive(Deserialize)]
struct Beat {
    status: NodeStatus,
    peers: Vec<PeerObject>,
}

impl Feed {
    pub fn start(address: &str) -> Self {
        let (sender, told) = mpsc::channel(QUEUE);
        for follow in [follow_lamps, follow_events, follow_figures] {
            let (address, sender) = (address.to_owned(), sender.clone());
            thread::spawn(move || follow(&address, &sender));
        }
        Self(told)
    }

    /// What it says next. Cancel safe.
    pub async fn next(&mut self) -> Told {
        match self.0.recv().await {
            Some(told) => told,
            // Its threads end after it.
            None => std::future::pending().await,
        }
    }
}

fn follow_lamps(address: &str, told: &mpsc::Sender<Told>) {
    let connection = Connection::with_patience(address, SILENCE);
    let mut failures = 0;
    while !told.is_closed() {
        let mut came = false;
        let why = match lamps(&connection, told, &mut came) {
            Ok(()) => "the node has ended the stream".to_owned(),
            // Which address it is stands above.
            Err(error) => format!("{error:#}")
                .split(" (")
                .next()
                .unwrap_or_default()
                .to_owned(),
        };
        failures = if came { 0 } else { failures + 1 };
        let again_in = RETRY[failures.min(RETRY.len() - 1)];
        if told.blocking_send(Told::Lost { why, again_in }).is_err() {
            return;
        }
        thread::sleep(again_in);
    }
}

/// One stream to its end. `came`: the node told something.
fn lamps(
    connection: &Connection,
    told: &mpsc::Sender<Told>,
    came: &mut bool,
) -> anyhow::Result<()> {
    let events = connection.stream(&format!("{PREFIX}/panel"))?;
    // A node that names nobody shows keys.
    if let Ok(people) = connection.get(&format!("{PREFIX}/people"))
        && let Ok(people) = serde_json::from_str(&people.body)
    {
        let _ = told.blocking_send(Told::People(people));
    }
    for event in events {
        let Some(next) = read(&event?)? else { continue };
        *came = true;
        if told.blocking_send(next).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn read(event: &StreamEvent) -> anyhow::Result<Option<Told>> {
    let data = &event.data;
    Ok(match event.name.as_str() {
        "beat" => {
            let beat: Beat = serde_json::from_str(data).context("not a beat")?;
            Some(Told::Beat(beat.status, beat.peers))
        }
        "snapshot" => {
            let all: Value = serde_json::from_str(data).context("not a snapshot")?;
            space(&all)
                .map(|space| {
                    Ok::<_, anyhow::Error>(Told::All(space, objects(space, all["all"].clone())?))
                })
                .transpose()?
        }
        "change" => {
            let mut change: Value = serde_json::from_str(data).context("not a change")?;
            let (Some(space), Some(key)) =
                (space(&change), change["key"].as_str().map(str::to_owned))
            else {
                return Ok(None);
            };
            let new = match change["new"].take() {
                Value::Null => None,
                new => objects(space, Value::Array(vec![new]))?.pop(),
            };
            Some(Told::Change(space, key, new))
        }
        _ => None,
    })
}

/// `None`: one of a later version.
fn space(value: &Value) -> Option<Space> {
    let name = value["space"].as_str()?;
    Space::ALL.into_iter().find(|space| space.name() == name)
}

fn objects(space: Space, all: Value) -> anyhow::Result<Vec<Object<Item>>> {
    fn of<V: DeserializeOwned + Into<Item>>(all: Value) -> serde_json::Result<Vec<Object<Item>>> {
        let all: Vec<Object<V>> = serde_json::from_value(all)?;
        Ok(all.into_iter().map(item).collect())
    }
    let all = match space {
        Space::Device => of::<DeviceFields>(all),
        Space::Presence => of::<Presence>(all),
        Space::Mailbox => of::<MessageCounts>(all),
    };
    all.context("not objects of this version")
}

/// Events pass; whether the node is there the other stream tells.
fn follow_events(address: &str, told: &mpsc::Sender<Told>) {
    let connection = Connection::with_patience(address, EVENTS_SILENCE);
    while !told.is_closed() {
        if let Ok(events) = connection.stream(&format!("{PREFIX}/events?kind=*")) {
            for event in events.map_while(Result::ok) {
                let next = match event.name.as_str() {
                    "event" => serde_json::from_str(&event.data).map(Told::Event),
                    "gap" => serde_json::from_str(&event.data).map(Told::Gap),
                    _ => continue,
                };
                let Ok(next) = next else { continue };
                if told.blocking_send(next).is_err() {
                    return;
                }
            }
        }
        thread::sleep(RETRY[RETRY.len() - 1]);
    }
}

/// What the node measures; whether it is there the other stream tells.
fn follow_figures(address: &str, told: &mpsc::Sender<Told>) {
    let connection = Connection::new(address);
    while !told.is_closed() {
        if let Ok(reply) = connection.get("/metrics")
            && told
                .blocking_send(Told::Arrivals(arrivals(&reply.body)))
                .is_err()
        {
            return;
        }
        thread::sleep(FIGURES_EVERY);
    }
}

/// The buckets of one histogram; none where there is none.
fn arrivals(metrics: &str) -> Vec<(f64, u64)> {
    let bucket = |line: &str| {
        let line = line.strip_prefix("presence_mesh_propagation_seconds_bucket{le=\"")?;
        let (end, count) = line.split_once("\"} ")?;
        let end = if end == "+Inf" {
            f64::INFINITY
        } else {
            end.parse().ok()?
        };
        Some((end, count.split(' ').next()?.parse().ok()?))
    };
    metrics.lines().filter_map(bucket).collect()
}

/// Asks why a key shows what it shows.
pub fn explain(connection: &Connection, space: Space, key: &str) -> Why {
    fn of<V: DeserializeOwned + Into<Item>>(space: Space, body: &str) -> serde_json::Result<Why> {
        Ok(Why::new(space, serde_json::from_str::<Explained<V>>(body)?))
    }
    let path = format!("{PREFIX}/explain/{}/{}", space.name(), escape(key));
    let why = connection.get(&path).and_then(|reply| {
        let why = match space {
            Space::Device => of::<DeviceFields>(space, &reply.body),
            Space::Presence => of::<Presence>(space, &reply.body),
            Space::Mailbox => of::<MessageCounts>(space, &reply.body),
        };
        why.context("the node's answer is none of this version")
    });
    why.unwrap_or_else(|error| Why::nothing(space, key, &format!("{error:#}")))
}

#[cfg(test)]
mod tests {
    use presence_mesh::DeviceState;

    use super::*;

    #[test]
    fn of_all_figures_those_on_propagation_are_read() {
        let text = "presence_mesh_peers{standing=\"alive\"} 4\n\
                    presence_mesh_propagation_seconds_sum 1.5\n\
                    presence_mesh_propagation_seconds_bucket{le=\"0.005\"} 7\n\
                    presence_mesh_propagation_seconds_bucket{le=\"+Inf\"} 9\n";
        assert_eq!(arrivals(text), [(0.005, 7), (f64::INFINITY, 9)]);
    }

    #[test]
    fn the_stream_of_the_pages_is_understood() {
        let lamp = r#"{"key":"PJSIP/1","state":"BUSY","freshness":"live","age_ms":0,"changed_at":"t","contributions":[]}"#;
        let all = format!(r#"{{"space":"device","all":[{lamp}]}}"#);
        let told = read(&StreamEvent::of("snapshot", &all)).unwrap();
        assert!(
            matches!(told, Some(Told::All(Space::Device, all)) if all[0].value == Item::Device(DeviceState::Busy))
        );
        let change = format!(r#"{{"space":"device","key":"PJSIP/1","new":{lamp}}}"#);
        let told = read(&StreamEvent::of("change", &change)).unwrap();
        assert!(
            matches!(told, Some(Told::Change(Space::Device, key, Some(_))) if key == "PJSIP/1")
        );
        let gone = r#"{"space":"mailbox","key":"1@default","new":null}"#;
        let told = read(&StreamEvent::of("change", gone)).unwrap();
        assert!(matches!(told, Some(Told::Change(Space::Mailbox, _, None))));
        // What later versions tell is no reason to lose the node.
        let later = r#"{"space":"colours","all":[]}"#;
        assert!(read(&StreamEvent::of("snapshot", later)).unwrap().is_none());
        assert!(read(&StreamEvent::of("tune", "{}")).unwrap().is_none());
        assert!(read(&StreamEvent::of("beat", "{}")).is_err());
    }
}
