//! What Prometheus reads.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use presence_mesh::bridge::asterisk::{AsteriskMonitor, PbxStanding};
use presence_mesh::metrics::{BridgeFigures, CONTENT_TYPE, encode};

use super::{App, Problem, room};

/// Always OpenMetrics, whatever the client says it takes: there is no other text of it.
pub async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    let bridges: Vec<BridgeFigures> = app.monitor.iter().map(figures).collect();
    let text = encode(&app.mesh(), &bridges);
    let kind = HeaderValue::from_static(CONTENT_TYPE);
    let text = room::hold(text.into_bytes())?;
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

fn figures(monitor: &AsteriskMonitor) -> BridgeFigures {
    let status = monitor.status();
    // There from the start, so that a first refusal is seen to rise from 0.
    let mut writes = BTreeMap::from(["taken", "refused", "unanswered"].map(|result| (result, 0)));
    writes.extend(status.writes);
    BridgeFigures {
        bridge: "asterisk",
        up: status.standing == Some(PbxStanding::Up),
        writes,
        rejected: status.rejected,
        waiting: status.waiting,
    }
}
