//! Following changes by server-sent events.

use std::convert::Infallible;
use std::future::ready;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive};
use axum::response::{IntoResponse, Response, Sse};
use futures::{Stream, StreamExt as _};
use presence_mesh::{DeviceState, MessageCounts, Pattern, Presence, Watch};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use super::broadcast::{Reader, Source, Told};
use super::exposed::{Apart, Exposed};
use super::keys::{Selection, selection};
use super::view::View;
use super::{App, Problem};
use crate::api::{Changed, Object};

/// How often something is sent when there is nothing to say, so that either side notices a dead connection.
const COMMENT_EVERY: Duration = Duration::from_secs(15);

/// `snapshot`, then `change`s; `resync` and a new `snapshot` when the client did not keep up.
///
/// All clients of a space share one log of changes: see [`super::broadcast`].
pub async fn stream(
    State(app): State<App>,
    query: Result<Query<Selection>, QueryRejection>,
) -> Result<Response, Problem> {
    let selection = selection(query)?;
    let pattern = selection.pattern()?;
    let permit = permit(&app)?;
    let namespace = selection.namespace.as_deref();
    match selection.space.as_deref().unwrap_or(DeviceState::NAME) {
        DeviceState::NAME => follow::<DeviceState>(&app, namespace, pattern, permit).await,
        MessageCounts::NAME => follow::<MessageCounts>(&app, namespace, pattern, permit).await,
        Presence::NAME => follow::<Presence>(&app, namespace, pattern, permit).await,
        Value::NAME => follow::<Value>(&app, namespace, pattern, permit).await,
        Apart::NAME => follow::<Apart>(&app, namespace, pattern, permit).await,
        other => Err(Problem::bad_request(format!(
            "unknown space {other:?}: expected device, mailbox, presence, custom or custom-per-origin"
        ))),
    }
}

/// One of the streams there may be.
pub(super) fn permit(app: &App) -> Result<OwnedSemaphorePermit, Problem> {
    let permit = app.streams.clone().try_acquire_owned();
    permit.map_err(|_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many streams are open"))
}

async fn follow<T: Exposed>(
    app: &App,
    namespace: Option<&str>,
    pattern: Pattern,
    permit: OwnedSemaphorePermit,
) -> Result<Response, Problem> {
    let namespace = namespace.filter(|_| T::NAMESPACES);
    let name = match namespace {
        Some(namespace) => format!("{}/{namespace}", T::NAME),
        None => T::NAME.to_owned(),
    };
    let broadcast = app
        .broadcasts
        .get(&name, || source::<T>(&app.view, namespace))?;
    Ok(pass_on(broadcast.follow(pattern).await?, permit))
}

/// What a reader reads, as an answer.
pub(super) fn pass_on(reader: Reader, permit: OwnedSemaphorePermit) -> Response {
    let bytes = reader.into_stream().map(move |bytes| {
        let _held = &permit;
        Ok::<_, Infallible>(bytes)
    });
    let kind = HeaderValue::from_static("text/event-stream");
    let headers = [(header::CONTENT_TYPE, kind)];
    (headers, unbuffered(), Body::from_stream(bytes)).into_response()
}

fn unbuffered() -> [(HeaderName, &'static str); 2] {
    [
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ]
}

fn source<T: Exposed>(view: &View, namespace: Option<&str>) -> Result<Source, Problem> {
    let told = changes::<T>(view, namespace, |change| event("change", &change))?;
    let (view, namespace) = (view.clone(), namespace.map(str::to_owned));
    Ok(Source {
        told: until_over(&view, told),
        // No mesh is kept: it may be another by now, and then this is about to end.
        all: Box::new(move |pattern| {
            event("snapshot", &all::<T>(&view, namespace.as_deref(), pattern))
        }),
    })
}

/// Ends with the node that is shown now.
pub(super) fn until_over(
    view: &View,
    told: impl Stream<Item = Told> + Send + 'static,
) -> futures::stream::BoxStream<'static, Told> {
    let view = view.clone();
    told.take_until(Box::pin(async move { view.over().await }))
        .boxed()
}

/// All that matches.
pub(super) fn all<T: Exposed>(
    view: &View,
    namespace: Option<&str>,
    pattern: &Pattern,
) -> Vec<Object<T::Fields>> {
    let space = T::space(&view.mesh(), namespace);
    let all = space.map(|space| space.list(pattern)).unwrap_or_default();
    all.into_iter().map(Object::new).collect()
}

/// What changes in a space, as events that `text` makes.
pub(super) fn changes<T: Exposed>(
    view: &View,
    namespace: Option<&str>,
    text: impl Fn(Changed<T::Fields>) -> Vec<u8> + Send + 'static,
) -> Result<impl Stream<Item = Told> + Send + 'static, Problem> {
    let watcher = T::space(&view.mesh(), namespace)?.watch("*")?;
    Ok(watcher.filter_map(move |item| {
        ready(match item {
            Watch::Changed(change) => Some(Told::Event {
                about: Some((change.key.clone(), change.origin)),
                bytes: text(Changed {
                    space: T::NAME.to_owned(),
                    key: change.key.to_string(),
                    origin: change.origin.map(|origin| origin.to_string()),
                    old: change.old.map(Object::new),
                    new: change.new.map(Object::new),
                }),
            }),
            Watch::Resync => Some(Told::Gap),
            // Readers get their own, at the moment they ask.
            _ => None,
        })
    }))
}

/// An answer of events, with a comment now and then.
pub(super) fn respond(
    events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static,
) -> Response {
    let events = Sse::new(events).keep_alive(KeepAlive::new().interval(COMMENT_EVERY));
    (unbuffered(), events).into_response()
}

/// An event of this name that carries JSON.
pub(super) fn event(name: &str, data: &impl Serialize) -> Vec<u8> {
    let mut bytes = format!("event: {name}\ndata: ").into_bytes();
    serde_json::to_writer(&mut bytes, data)
        .expect("texts, numbers and maps with text keys are JSON");
    bytes.extend(b"\n\n");
    bytes
}
