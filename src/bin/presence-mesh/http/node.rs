//! What the node says of itself.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::App;
use super::answer::Answer;
use crate::api::{Health, NodeStatus, PeerObject, PongObject};

const INDEX: &str = "\
presence-mesh

GET    /                           people; /wall for a wall display, /mesh for operators
GET    /api/v1/status
GET    /api/v1/peers
GET    /api/v1/devices?pattern=GLOB
GET    /api/v1/devices/{key}
PUT    /api/v1/devices/{key}       {\"state\":\"INUSE\"}
DELETE /api/v1/devices/{key}
GET    /api/v1/mailboxes?pattern=GLOB
GET    /api/v1/mailboxes/{key}
PUT    /api/v1/mailboxes/{key}     {\"new\":1,\"old\":2}
DELETE /api/v1/mailboxes/{key}
GET    /api/v1/presence?pattern=GLOB
GET    /api/v1/presence/{key}
PUT    /api/v1/presence/{key}      {\"status\":\"dnd\",\"subtype\":\"\",\"message\":\"\"}
DELETE /api/v1/presence/{key}
GET    /api/v1/custom/{namespace}?pattern=GLOB
GET    /api/v1/custom/{namespace}/{key}
PUT    /api/v1/custom/{namespace}/{key}   any JSON
DELETE /api/v1/custom/{namespace}/{key}
GET    /api/v1/custom-per-origin/{namespace}?pattern=GLOB    each node's own
GET    /api/v1/custom-per-origin/{namespace}/{key}
PUT    /api/v1/custom-per-origin/{namespace}/{key}   any JSON
DELETE /api/v1/custom-per-origin/{namespace}/{key}
GET    /api/v1/explain/device/{key}
GET    /api/v1/explain/mailbox/{key}
GET    /api/v1/explain/presence/{key}
GET    /api/v1/explain/custom/{namespace}/{key}
GET    /api/v1/explain/custom-per-origin/{namespace}/{key}
GET    /api/v1/stream?space=device|mailbox|presence&pattern=GLOB
GET    /api/v1/stream?space=custom|custom-per-origin&namespace=NAME&pattern=GLOB
GET    /api/v1/ping
GET    /api/v1/bridge              404 when there is none
POST   /api/v1/invites             {\"address\":\"HOST:PORT\"}; from this machine only
GET    /api/v1/people
GET    /api/v1/panel               what the pages follow
GET    /livez
GET    /readyz
GET    /metrics                    OpenMetrics

Keys are percent-encoded: PJSIP%2F100.
";

/// The routes, for people.
pub async fn index() -> &'static str {
    INDEX
}

/// The directory, as far as one was given.
pub async fn people(State(app): State<App>) -> Response {
    Answer(&*app.people).into_response()
}

pub async fn status(State(app): State<App>) -> Answer<NodeStatus> {
    let mesh = app.mesh();
    let mut status = NodeStatus::new(mesh.status()).with_saving(mesh.save_status());
    status.ready = unready(&app).is_empty();
    Answer(status)
}

pub async fn peers(State(app): State<App>) -> Answer<Vec<PeerObject>> {
    Answer(PeerObject::all(&app.mesh()))
}

/// Takes as long as the slowest answer, 2 s at most.
pub async fn ping(State(app): State<App>) -> Answer<Vec<PongObject>> {
    Answer(PongObject::all(&app.mesh()).await)
}

/// 200 while the process answers and the node has not left.
pub async fn livez(State(app): State<App>) -> Response {
    let left = app.view.is_stopped();
    let reasons = if left {
        vec!["the node has left the mesh".to_owned()]
    } else {
        Vec::new()
    };
    health(reasons, Vec::new())
}

/// 200 once the first sync is done, or there was no peer for 5 s, and the PBX has dumped its states. A disk that
/// takes nothing is a warning: lamps are as right as ever, and no other node would serve them better.
pub async fn readyz(State(app): State<App>) -> Response {
    let saving = app.mesh().save_status();
    let problem = saving.and_then(|status| status.problem);
    let warning = problem.map(|problem| format!("the state cannot be saved: {problem}"));
    health(unready(&app), warning.into_iter().collect())
}

fn unready(app: &App) -> Vec<String> {
    let mut reasons = Vec::new();
    if !app.mesh().is_ready() {
        reasons.push("the first sync with a peer is not done".to_owned());
    }
    if app.bridge.as_ref().is_some_and(|bridge| !bridge.is_ready()) {
        reasons.push("the PBX has not sent its first dump".to_owned());
    }
    reasons
}

fn health(reasons: Vec<String>, warnings: Vec<String>) -> Response {
    let status = if reasons.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Answer(Health {
            ok: reasons.is_empty(),
            reasons,
            warnings,
        }),
    )
        .into_response()
}
