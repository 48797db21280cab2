//! Inviting a new node.

use std::time::{Duration, SystemTime};

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use presence_mesh::InviteError;
use serde::Deserialize;

use super::answer::Answer;
use super::caller::Caller;
use super::{App, Problem, keys};
use crate::api::{self, InviteObject};

const DEFAULT_LIFETIME_S: u64 = 15 * 60;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    address: String,
    listen: Option<String>,
    lifetime_s: Option<u64>,
}

/// Opens an invite: `{"address","listen","lifetime_s"}`, the last two optional.
pub async fn invite(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Response, Problem> {
    caller.must_hold_our_key()?;
    let body = keys::body(body).await?;
    let Wanted {
        address,
        listen,
        lifetime_s,
    } = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad_request(format!("bad body: {error}")))?;
    let lifetime = Duration::from_secs(lifetime_s.unwrap_or(DEFAULT_LIFETIME_S));
    let invite = app.mesh().invite(&address, listen.as_deref(), lifetime)?;
    let expires_at = SystemTime::UNIX_EPOCH + Duration::from_secs(invite.expires_at());
    let object = InviteObject {
        invite: invite.to_text(),
        mesh: invite.mesh().to_owned(),
        address: invite.address().to_owned(),
        expires_at: api::rfc3339(expires_at),
    };
    Ok((StatusCode::CREATED, Answer(object)).into_response())
}

impl From<InviteError> for Problem {
    fn from(error: InviteError) -> Self {
        let status = match error {
            InviteError::Address(_) | InviteError::Listen(_) | InviteError::Lifetime => {
                StatusCode::BAD_REQUEST
            }
            InviteError::Stopped => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::CONFLICT,
        };
        Self::new(status, format!("{:#}", anyhow::Error::new(error)))
    }
}
