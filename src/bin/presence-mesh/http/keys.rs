//! Reading and writing keys: devices, mailboxes, presence, custom values.

use std::error::Error as _;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use presence_mesh::{Pattern, Space};
use serde::Deserialize;

use super::answer::Answer;
use super::exposed::Exposed;
use super::{App, Problem, path};
use crate::api::{Explained, Object, PREFIX};

/// No body of ours comes near; more is not even read.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// A client that sends its body slower than this is let go.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Matching costs name × pattern.
pub const MAX_PATTERN_BYTES: usize = 1024;

/// The routes of a space.
pub fn routes<T: Exposed>() -> Router<App> {
    let namespace = if T::NAMESPACES { "/{namespace}" } else { "" };
    let all = format!("{}{namespace}", root::<T>());
    let explain = format!("{}{namespace}", explain_root::<T>());
    let one = || -> MethodRouter<App> { get(read::<T>).put(write::<T>).delete(clear::<T>) };
    Router::new()
        .route(&all, get(list::<T>))
        .route(&format!("{all}/"), one())
        .route(&format!("{all}/{{*key}}"), one())
        .route(&format!("{explain}/"), get(explain_one::<T>))
        .route(&format!("{explain}/{{*key}}"), get(explain_one::<T>))
}

/// Which keys are asked for.
#[derive(Debug, Deserialize)]
pub struct Selection {
    pattern: Option<String>,
    /// For the stream alone.
    pub space: Option<String>,
    /// For the stream of custom values alone.
    pub namespace: Option<String>,
}

impl Selection {
    pub fn pattern(&self) -> Result<Pattern, Problem> {
        let glob = self.pattern.as_deref().unwrap_or("*");
        if glob.len() > MAX_PATTERN_BYTES {
            return Err(Problem::bad_request(format!(
                "the pattern is longer than {MAX_PATTERN_BYTES} bytes"
            )));
        }
        Ok(Pattern::new(glob))
    }
}

/// The query, or why it cannot be read.
pub fn selection(query: Result<Query<Selection>, QueryRejection>) -> Result<Selection, Problem> {
    query
        .map(|Query(selection)| selection)
        .map_err(|error| Problem::bad_request(error.body_text()))
}

async fn list<T: Exposed>(
    State(app): State<App>,
    uri: Uri,
    query: Result<Query<Selection>, QueryRejection>,
) -> Result<Response, Problem> {
    let pattern = selection(query)?.pattern()?;
    let (space, _) = T::place(&app.mesh(), uri.path(), &root::<T>())?;
    let all: Vec<Object<T::Fields>> = space.list(&pattern).into_iter().map(Object::new).collect();
    Ok(Answer(all).into_response())
}

async fn read<T: Exposed>(State(app): State<App>, uri: Uri) -> Result<Response, Problem> {
    let (space, key) = key::<T>(&app, &uri, &root::<T>())?;
    // What `get` gives, and where each node's own is shown apart what all of them say.
    let explanation = space.explain(&key).ok_or_else(|| unknown::<T>(&key))?;
    Ok(Answer(Object::<T::Fields>::new(explanation.shown)).into_response())
}

async fn write<T: Exposed>(
    State(app): State<App>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let (space, key) = key::<T>(&app, request.uri(), &root::<T>())?;
    let body = body(request.into_body()).await?;
    if body.len() > app.limits.value_bytes {
        let limit = app.limits.value_bytes;
        return Err(Problem::bad_request(format!(
            "the value is {} bytes long, the limit is {limit}",
            body.len()
        )));
    }
    // serde would take the fields as a list, too.
    if !T::NAMESPACES && !body.trim_ascii_start().starts_with(b"{") {
        return Err(Problem::bad_request("the body is not a JSON object"));
    }
    let body = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad_request(format!("bad body: {error}")))?;
    let value = T::from_body(body).map_err(Problem::bad_request)?;
    space.set(&key, value)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn clear<T: Exposed>(State(app): State<App>, uri: Uri) -> Result<StatusCode, Problem> {
    let (space, key) = key::<T>(&app, &uri, &root::<T>())?;
    space.clear(&key)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn explain_one<T: Exposed>(State(app): State<App>, uri: Uri) -> Result<Response, Problem> {
    let (space, key) = key::<T>(&app, &uri, &explain_root::<T>())?;
    let told = app.monitor.as_ref();
    let told = told.and_then(|monitor| T::told(monitor, &key));
    let Some(explanation) = space.explain(&key) else {
        return Err(match told {
            Some(told) if !told.is_empty() => taken_back::<T>(&key, told.len()),
            _ => unknown::<T>(&key),
        });
    };
    Ok(Answer(Explained::<T::Fields>::new(T::NAME, explanation, told)).into_response())
}

fn root<T: Exposed>() -> String {
    format!("{PREFIX}/{}", T::PLURAL)
}

fn explain_root<T: Exposed>() -> String {
    format!("{PREFIX}/explain/{}", T::NAME)
}

/// The space and the key that a path below `root` speaks of.
fn key<T: Exposed>(app: &App, uri: &Uri, root: &str) -> Result<(Space<T>, String), Problem> {
    let (space, prefix) = T::place(&app.mesh(), uri.path(), root)?;
    let key = path::key(uri.path(), &prefix, app.limits.key_bytes)?;
    Ok((space, key))
}

fn unknown<T: Exposed>(key: &str) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        format!("no node says anything of {} {key:?}", T::NAME),
    )
}

/// Nobody says anything of it any more, and a lamp of the PBX may still burn.
fn taken_back<T: Exposed>(key: &str, told: usize) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        format!(
            "no node says anything of {} {key:?}; what the PBX was told of it ({told}) is being taken back",
            T::NAME
        ),
    )
}

/// A body, whole, in time, and not too long.
pub(super) async fn body(body: Body) -> Result<axum::body::Bytes, Problem> {
    let too_large = || {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is over {MAX_BODY_BYTES} bytes"),
        )
    };
    if axum::body::HttpBody::size_hint(&body).lower() > MAX_BODY_BYTES as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY_BYTES)).await {
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not arrive in time",
        )),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => {
            let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
            // Not the limit: what came is no body, or the connection broke, and then nobody reads the answer.
            match causes.find(|cause| cause.is::<hyper::Error>()) {
                Some(cause) => Err(Problem::bad_request(format!("bad body: {cause}"))),
                None => Err(too_large()),
            }
        }
    }
}
