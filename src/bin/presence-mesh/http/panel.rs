//! What the pages follow: all lamps and messages in one stream, and a beat every second.
//!
//! Browsers have six connections to one server, so that a page has one stream and no more. The beat is how a
//! page knows that what it shows is true: comments cannot be observed by scripts, events can.

use std::time::{Duration, SystemTime};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _};
use presence_mesh::{DeviceState, Mesh, MessageCounts, Pattern, Presence};
use serde::Serialize;
use tokio::time::MissedTickBehavior;

use super::broadcast::{Source, Told};
use super::exposed::Exposed;
use super::stream::{all, changes, event, pass_on, permit, until_over};
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

/// `beat`, then a `snapshot` of each space, then `change`s and `beat`s; ends with the node.
pub async fn panel(State(app): State<App>) -> Result<Response, Problem> {
    let permit = permit(&app)?;
    if app.view.is_stopped() {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the node has left the mesh",
        ));
    }
    let broadcast = app.broadcasts.get("panel", || source(&app.view))?;
    Ok(pass_on(broadcast.follow(Pattern::any()).await?, permit))
}

/// One for all pages together, while there are any.
fn source(view: &View) -> Result<Source, Problem> {
    let told: [BoxStream<'static, Told>; 4] = [
        beats(view.clone()).boxed(),
        follow::<DeviceState>(view)?,
        follow::<MessageCounts>(view)?,
        follow::<Presence>(view)?,
    ];
    let told = until_over(view, stream::select_all(told));
    let view = view.clone();
    Ok(Source {
        told,
        all: Box::new(move |_| {
            let mut bytes = beat(&view.mesh());
            bytes.extend(snapshot::<DeviceState>(&view));
            bytes.extend(snapshot::<MessageCounts>(&view));
            bytes.extend(snapshot::<Presence>(&view));
            bytes
        }),
    })
}

fn beats(view: View) -> impl Stream<Item = Told> + Send + 'static {
    let mut ticks = tokio::time::interval(BEAT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::unfold((ticks, view), async |(mut ticks, view)| {
        ticks.tick().await;
        let bytes = beat(&view.mesh());
        Some((Told::Event { about: None, bytes }, (ticks, view)))
    })
}

fn beat(mesh: &Mesh) -> Vec<u8> {
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
    event("beat", &beat)
}

fn follow<T: Exposed>(view: &View) -> Result<BoxStream<'static, Told>, Problem> {
    let text = |change: crate::api::Changed<T::Fields>| {
        let changed = Changed {
            space: T::NAME,
            key: change.key,
            new: change.new,
        };
        event("change", &changed)
    };
    Ok(changes::<T>(view, None, text)?.boxed())
}

fn snapshot<T: Exposed>(view: &View) -> Vec<u8> {
    let all = All::<T::Fields> {
        space: T::NAME,
        all: all::<T>(view, None, &Pattern::any()),
    };
    event("snapshot", &all)
}
