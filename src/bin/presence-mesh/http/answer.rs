//! JSON answers.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::room;

/// A JSON body that ends its line, so that it can be shown in a terminal as it is.
#[derive(Debug)]
pub struct Answer<T>(pub T);

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        let mut body =
            serde_json::to_vec(&self.0).expect("texts, numbers and maps with text keys are JSON");
        body.push(b'\n');
        let kind = HeaderValue::from_static("application/json");
        room::hold(body)
            .map(|body| ([(header::CONTENT_TYPE, kind)], body))
            .into_response()
    }
}
