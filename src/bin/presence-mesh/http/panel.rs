//! What the pages follow: all lamps and messages in one stream, and a beat every second.
//!
//! Browsers have six connections to one server, so that a page has one stream and no more. The beat is how a
//! page knows that what it shows is true: comments cannot be observed by scripts, events can.

use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::response::sse::Event;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use presence_mesh::{DeviceState, FollowError, Mesh, MessageCounts, Presence, Space, Watch};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::exposed::Exposed;
use super::stream::{json, respond};
use super::view::View;
use super::{App, Problem};
use crate::api::{NodeStatus, Object, PeerObject};

/// A page that heard nothing for four of them shows every lamp as stale.
const BEAT_EVERY: Duration = Duration::from_secs(1);

/// What every beat says.
#[derive(Debug, Serialize)]
struct Beat {
    /// Our wall clock, in ms.
    at: u64,
    /// What this stream tells snapshots of.
    spaces: [&'static str; 3],
    status: NodeStatus,
    peers: Vec<PeerObject>,
}

/// All of a space.
#[derive(Debug, Serialize)]
struct All<V> {
    space: &'static str,
    all: Vec<Object<V>>,
}

/// A change of one key.
#[derive(Debug, Serialize)]
struct Changed<V> {
    space: &'static str,
    key: String,
    new: Option<Object<V>>,
}

/// Makes one beat a second for all pages together, while there are any.
pub fn beats(view: View) -> watch::Sender<String> {
    let beats = watch::Sender::new(String::new());
    let sender = beats.clone();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(BEAT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if sender.receiver_count() > 0 {
                sender.send_replace(beat(&view.mesh()));
            }
        }
    });
    beats
}

/// `beat`, then a `snapshot` of each space, then `change`s and `beat`s; ends with the node.
pub async fn panel(State(app): State<App>) -> Result<Response, Problem> {
    let Ok(permit) = app.streams.clone().try_acquire_owned() else {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many streams are open",
        ));
    };
    if app.view.is_stopped() {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the node has left the mesh",
        ));
    }
    let view = app.view.clone();
    let over = async move { view.over().await };
    let mesh = app.mesh();
    let first = Event::default().event("beat").data(beat(&mesh));
    let told = stream::select_all([
        later(app.beats.subscribe()),
        follow(mesh.devices())?,
        follow(mesh.mailboxes())?,
        follow(mesh.presence())?,
    ]);
    let events = stream::once(async { first }).chain(told).take_until(over);
    Ok(respond(events.map(move |event| {
        let _held = &permit;
        Ok::<_, Infallible>(event)
    })))
}

fn beat(mesh: &Mesh) -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let mut peers = PeerObject::all(mesh);
    for peer in &mut peers {
        // `/api/v1/peers` tells these; a second is no time in which they change.
        peer.addresses.clear();
        peer.attributes.clear();
    }
    let beat = Beat {
        at: u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX),
        spaces: [DeviceState::NAME, MessageCounts::NAME, Presence::NAME],
        status: NodeStatus::new(mesh.status()).with_saving(mesh.save_status()),
        peers,
    };
    serde_json::to_string(&beat).expect("texts, numbers and maps with text keys are JSON")
}

fn later(mut beats: watch::Receiver<String>) -> BoxStream<'static, Event> {
    beats.mark_unchanged();
    let next = async |mut beats: watch::Receiver<String>| {
        beats.changed().await.ok()?;
        let event = Event::default()
            .event("beat")
            .data(beats.borrow_and_update().clone());
        Some((event, beats))
    };
    stream::unfold(beats, next).boxed()
}

fn follow<T: Exposed>(space: Space<T>) -> Result<BoxStream<'static, Event>, FollowError> {
    let items = space.watch("*")?;
    Ok(items.filter_map(async |item| event::<T>(item)).boxed())
}

/// A resync needs no word of its own: the snapshot that follows replaces all.
fn event<T: Exposed>(item: Watch<T>) -> Option<Event> {
    match item {
        Watch::Snapshot(all) => Some(json(
            "snapshot",
            &All::<T::Fields> {
                space: T::NAME,
                all: all.into_iter().map(Object::new).collect(),
            },
        )),
        Watch::Changed(change) => Some(json(
            "change",
            &Changed::<T::Fields> {
                space: T::NAME,
                key: change.key.to_string(),
                new: change.new.map(Object::new),
            },
        )),
        _ => None,
    }
}
