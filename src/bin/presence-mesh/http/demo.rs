//! What `/mesh` provokes in the demonstration. A `run` has none of these routes.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use super::answer::Answer;
use super::{App, Problem, keys};
use crate::demo::{Fault, Stage};

/// More, and the handshake after a heal would not come to an end in time.
const MAX_LATENCY_MS: u64 = 100;
const MAX_LOSS_PERCENT: u64 = 90;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/api/v1/demo", get(look))
        .route("/api/v1/demo/{fault}", post(provoke))
}

/// What a fault needs to be told.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Details {
    node: Option<String>,
    latency_ms: Option<u64>,
    loss_percent: Option<u64>,
}

async fn look(State(app): State<App>) -> Result<Response, Problem> {
    let scene = stage(&app)?.look().await.ok_or_else(over)?;
    Ok(Answer(scene).into_response())
}

async fn provoke(
    State(app): State<App>,
    Path(name): Path<String>,
    body: Body,
) -> Result<StatusCode, Problem> {
    let body = keys::body(body).await?;
    let details = if body.is_empty() {
        Details::default()
    } else {
        serde_json::from_slice(&body)
            .map_err(|error| Problem::bad_request(format!("bad body: {error}")))?
    };
    let fault = fault(&name, details)?;
    match stage(&app)?.provoke(fault).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(Some(reason)) => Err(Problem::new(StatusCode::CONFLICT, reason)),
        Err(None) => Err(over()),
    }
}

fn fault(name: &str, details: Details) -> Result<Fault, Problem> {
    let Details {
        node,
        latency_ms,
        loss_percent,
    } = details;
    let node = || {
        node.clone()
            .ok_or_else(|| Problem::bad_request("which node? {\"node\":\"berlin\"}"))
    };
    Ok(match name {
        "cut" => Fault::Cut,
        "heal" => Fault::Heal,
        "call" => Fault::Call(None),
        "kill" => Fault::Kill(node()?),
        "revive" => Fault::Revive(node()?),
        "weather" => {
            let (latency_ms, loss_percent) = (latency_ms.unwrap_or(0), loss_percent.unwrap_or(0));
            if latency_ms > MAX_LATENCY_MS || loss_percent > MAX_LOSS_PERCENT {
                return Err(Problem::bad_request(format!(
                    "latency_ms is at most {MAX_LATENCY_MS}, loss_percent at most {MAX_LOSS_PERCENT}"
                )));
            }
            Fault::Weather {
                latency: Duration::from_millis(latency_ms),
                loss: loss_percent as f64 / 100.0,
            }
        }
        other => {
            return Err(Problem::new(
                StatusCode::NOT_FOUND,
                format!(
                    "there is no fault {other:?}: expected cut, heal, call, kill, revive or weather"
                ),
            ));
        }
    })
}

fn stage(app: &App) -> Result<&Stage, Problem> {
    app.stage.as_ref().ok_or_else(over)
}

fn over() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "the demonstration is over, or busy",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_within_bounds_is_provoked() {
        let details = |text: &str| serde_json::from_str::<Details>(text).unwrap();
        assert_eq!(
            fault("kill", details(r#"{"node":"oslo"}"#)).unwrap(),
            Fault::Kill("oslo".into())
        );
        assert_eq!(fault("kill", Details::default()).unwrap_err().status, 400);
        assert_eq!(
            fault("explode", Details::default()).unwrap_err().status,
            404
        );
        assert_eq!(
            fault("weather", details(r#"{"latency_ms":101}"#))
                .unwrap_err()
                .status,
            400
        );
        assert_eq!(
            fault("weather", details(r#"{"loss_percent":91}"#))
                .unwrap_err()
                .status,
            400
        );
        assert!(serde_json::from_str::<Details>(r#"{"nod":"oslo"}"#).is_err());
    }
}
