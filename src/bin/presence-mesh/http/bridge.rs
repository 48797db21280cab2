//! How the bridge is doing.

use axum::extract::State;
use axum::http::StatusCode;
use presence_mesh::bridge::asterisk::PbxStanding;

use super::answer::Answer;
use super::{App, Problem};
use crate::api::BridgeObject;

/// 404 where no bridge is configured.
pub async fn bridge(State(app): State<App>) -> Result<Answer<BridgeObject>, Problem> {
    let Some(monitor) = &app.monitor else {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "no bridge is configured",
        ));
    };
    let status = monitor.status();
    let standing = status.standing.map(|standing| match standing {
        PbxStanding::Up => "up",
        PbxStanding::Silent => "silent",
        _ => "gone",
    });
    let shared = status.shared_eids.into_iter();
    Ok(Answer(BridgeObject {
        bridge: "asterisk".to_owned(),
        pbx: standing.map(str::to_owned),
        eid: status.eid.map(|eid| eid.to_string()),
        ready: status.ready,
        last_refusal: status.last_refusal,
        shared_eids: shared
            .map(|(eid, nodes)| (eid.to_string(), nodes))
            .collect(),
    }))
}
