//! Refusals.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use presence_mesh::{FollowError, WriteError};

use super::answer::Answer;
use crate::api::ProblemObject;

/// Why a request was refused; nothing was changed. Becomes `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub status: StatusCode,
    pub detail: String,
}

impl Problem {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
        }
    }

    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// The body of the answer.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(&self.to_object()).expect("texts and numbers are JSON")
    }

    fn to_object(&self) -> ProblemObject {
        let title = self.status.canonical_reason().unwrap_or("Refused");
        ProblemObject {
            kind: "about:blank".to_owned(),
            title: title.to_owned(),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
        }
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        let status = match error {
            WriteError::Key(_)
            | WriteError::Value(_)
            | WriteError::Counts(_)
            | WriteError::Encode { .. } => StatusCode::BAD_REQUEST,
            WriteError::Full { .. } => StatusCode::INSUFFICIENT_STORAGE,
            WriteError::ClockOff { .. } | WriteError::Fenced { .. } => StatusCode::CONFLICT,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, format!("{:#}", anyhow::Error::new(error)))
    }
}

/// The node follows as much as it may for now.
impl From<FollowError> for Problem {
    fn from(error: FollowError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Answer(self.to_object())).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

#[cfg(test)]
mod tests {
    use presence_mesh::KeyError;

    use super::*;

    #[tokio::test]
    async fn a_problem_says_what_the_rfc_asks() {
        let response = Problem::bad_request("no").into_response();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "application/problem+json"
        );
        let body = axum::body::to_bytes(response.into_body(), 1_000)
            .await
            .unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let expected = serde_json::json!({"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "no"});
        assert_eq!(body, expected);
    }

    #[test]
    fn whose_fault_it_is_decides_the_status() {
        let status = |error| Problem::from(error).status.as_u16();
        assert_eq!(status(WriteError::Key(KeyError::Empty)), 400);
        assert_eq!(status(WriteError::Full { limit: 1 }), 507);
        assert_eq!(status(WriteError::ClockOff { ahead_ms: 1 }), 409);
        assert_eq!(status(WriteError::Stopped), 503);
        assert_eq!(
            Problem::from(WriteError::Key(KeyError::Empty)).detail,
            "bad key: the key is empty"
        );
    }
}
