//! Following changes by server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive};
use axum::response::{IntoResponse, Response, Sse};
use futures::{Stream, stream};
use presence_mesh::{DeviceState, MessageCounts, Pattern, Presence, Watch, Watcher};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use super::exposed::{Apart, Exposed};
use super::keys::{Selection, selection};
use super::{App, Problem};
use crate::api::{Changed, Object};

/// How often something is sent when there is nothing to say, so that either side notices a dead connection.
const COMMENT_EVERY: Duration = Duration::from_secs(15);

/// `snapshot`, then `change`s; `resync` and a new `snapshot` when the client did not keep up.
///
/// A client holds no more than its watcher's queue and what the connection buffers: who reads slowly is made
/// to resynchronise, and slows nobody.
pub async fn stream(
    State(app): State<App>,
    query: Result<Query<Selection>, QueryRejection>,
) -> Result<Response, Problem> {
    let selection = selection(query)?;
    let pattern = selection.pattern()?;
    let Ok(permit) = app.streams.clone().try_acquire_owned() else {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many streams are open",
        ));
    };
    let namespace = selection.namespace.as_deref();
    match selection.space.as_deref().unwrap_or(DeviceState::NAME) {
        DeviceState::NAME => follow::<DeviceState>(&app, namespace, pattern, permit),
        MessageCounts::NAME => follow::<MessageCounts>(&app, namespace, pattern, permit),
        Presence::NAME => follow::<Presence>(&app, namespace, pattern, permit),
        Value::NAME => follow::<Value>(&app, namespace, pattern, permit),
        Apart::NAME => follow::<Apart>(&app, namespace, pattern, permit),
        other => Err(Problem::bad_request(format!(
            "unknown space {other:?}: expected device, mailbox, presence, custom or custom-per-origin"
        ))),
    }
}

fn follow<T: Exposed>(
    app: &App,
    namespace: Option<&str>,
    pattern: Pattern,
    permit: OwnedSemaphorePermit,
) -> Result<Response, Problem> {
    let space = T::space(&app.mesh(), namespace)?;
    Ok(respond(events(space.watch(pattern)?, permit)))
}

/// An answer of events, with a comment now and then.
pub(super) fn respond(
    events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static,
) -> Response {
    let events = Sse::new(events).keep_alive(KeepAlive::new().interval(COMMENT_EVERY));
    (
        [
            (header::CACHE_CONTROL, "no-store"),
            (header::HeaderName::from_static("x-accel-buffering"), "no"),
        ],
        events,
    )
        .into_response()
}

fn events<T: Exposed>(
    watcher: Watcher<T>,
    permit: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Event, Infallible>> + Send + 'static {
    stream::unfold((watcher, permit), async |(mut watcher, permit)| {
        let event = event::<T>(watcher.next().await?);
        Some((Ok(event), (watcher, permit)))
    })
}

fn event<T: Exposed>(item: Watch<T>) -> Event {
    match item {
        Watch::Snapshot(all) => json(
            "snapshot",
            &all.into_iter()
                .map(Object::<T::Fields>::new)
                .collect::<Vec<_>>(),
        ),
        Watch::Changed(change) => json(
            "change",
            &Changed::<T::Fields> {
                space: T::NAME.to_owned(),
                key: change.key.to_string(),
                origin: change.origin.map(|origin| origin.to_string()),
                old: change.old.map(Object::new),
                new: change.new.map(Object::new),
            },
        ),
        // A snapshot follows.
        _ => json("resync", &serde_json::Map::new()),
    }
}

/// An event of this name that carries JSON.
pub(super) fn json(name: &str, data: &impl Serialize) -> Event {
    let data =
        serde_json::to_string(data).expect("texts, numbers and maps with text keys are JSON");
    Event::default().event(name).data(data)
}
