//! Passing events: published by a request, followed by server-sent events.

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use futures::{StreamExt as _, stream};
use percent_encoding::percent_decode_str;
use presence_mesh::{Event, EventItem, Filter, PublishError};
use serde::Serialize;

use super::stream::{permit, respond};
use super::{App, Problem};
use crate::api::{EventObject, GapObject};

/// Publishes an event: `{"kind","fields","ttl_ms"}`, the last two optional.
pub async fn publish(State(app): State<App>, body: Body) -> Result<StatusCode, Problem> {
    let body = super::keys::body(body).await?;
    let event: Event = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad_request(format!("the body is no event: {error}")))?;
    match app.mesh().events().publish(event) {
        Ok(_) => Ok(StatusCode::ACCEPTED),
        Err(PublishError::Event(error)) => Err(Problem::bad_request(error.to_string())),
        Err(error) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            error.to_string(),
        )),
    }
}

/// `event` for each event that is wanted, `gap` where some were missed.
///
/// `kind` is a glob; `where` may be repeated, and all must hold; `remembered=true` asks for what was published
/// before, too.
pub async fn subscribe(
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let filter = filter(query.as_deref().unwrap_or_default())?;
    let permit = permit(&app)?;
    let events = app.mesh().events().subscribe(filter)?;
    let events = stream::unfold((events, permit), async |(mut events, permit)| {
        let item = events.next().await?;
        Some((sent(&item), (events, permit)))
    });
    Ok(respond(events.filter_map(async |event| event.map(Ok))))
}

fn sent(item: &EventItem) -> Option<axum::response::sse::Event> {
    match item {
        EventItem::Event(event) => Some(json("event", &EventObject::new(event))),
        EventItem::Gap(gap) => Some(json("gap", &GapObject::new(gap)?)),
        _ => None,
    }
}

fn json(name: &str, data: &impl Serialize) -> axum::response::sse::Event {
    let data =
        serde_json::to_string(data).expect("texts, numbers and maps with text keys are JSON");
    axum::response::sse::Event::default().event(name).data(data)
}

/// What a query asks for. Parameters may be repeated, so they are read one by one.
fn filter(query: &str) -> Result<Filter, Problem> {
    let mut kind = None;
    let mut conditions = Vec::new();
    let mut remembered = false;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = value.replace('+', " ");
        let value = percent_decode_str(&value)
            .decode_utf8()
            .map_err(|_| Problem::bad_request(format!("{name} is not UTF-8")))?
            .into_owned();
        match (name, value.as_str()) {
            ("kind", _) if kind.is_none() => kind = Some(value),
            ("where", _) => conditions.push(value),
            ("remembered", "true" | "1") => remembered = true,
            ("remembered", "false" | "0") => remembered = false,
            _ => {
                return Err(Problem::bad_request(format!(
                    "the query cannot hold {name}={value:?}: expected kind once, where, remembered=true"
                )));
            }
        }
    }
    let glob = kind.filter(|kind| !kind.is_empty());
    let filter = Filter::kind(glob.unwrap_or_else(|| "*".to_owned()))
        .and_all(&conditions)
        .map_err(|error| Problem::bad_request(error.to_string()))?;
    filter
        .check()
        .map_err(|error| Problem::bad_request(error.to_string()))?;
    Ok(if remembered {
        filter.remembered()
    } else {
        filter
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_a_filter() {
        let parked = |slot: i64| {
            Event::new("call.parked")
                .with("slot", slot)
                .with("by", "a b")
        };
        let asked = filter("kind=call.%2A&where=slot%20%3E%3D%20700&where=by=a+b").unwrap();
        assert!(asked.matches(&parked(701)) && !asked.matches(&parked(699)));
        assert!(filter("").unwrap().matches(&parked(1)));
        assert!(filter("remembered=true").unwrap().wants_remembered());
        let long = format!("kind={}", "x".repeat(200));
        for query in [
            "kind=a&kind=b",
            "where=slot",
            "wher=a=b",
            "remembered=yes",
            "where=%ff",
            &long,
        ] {
            assert!(filter(query).is_err(), "{query}");
        }
    }
}
