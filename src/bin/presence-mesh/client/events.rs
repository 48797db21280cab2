//! `events`: publishing one, and following them.

use anyhow::Context as _;

use super::connection::{Connection, StreamEvent};
use super::escape;
use crate::api::{EventObject, GapObject, PREFIX};
use crate::cli::{EventsCommand, EventsPublishArgs, EventsSubscribeArgs};
use crate::{exit, output};

/// `events`.
pub fn events(command: &EventsCommand) -> anyhow::Result<()> {
    match command {
        EventsCommand::Publish(args) => publish(args),
        EventsCommand::Subscribe(args) => subscribe(args),
    }
}

fn publish(args: &EventsPublishArgs) -> anyhow::Result<()> {
    let mut event = presence_mesh::Event::new(args.kind.as_str());
    for (name, value) in &args.fields {
        event = event.with(name.as_str(), value.clone());
    }
    if let Some(ttl) = args.ttl {
        event = event.time_to_live(ttl);
    }
    event
        .check()
        .map_err(|error| exit::usage(error.to_string()))?;
    let body = serde_json::to_string(&event).context("an event is JSON")?;
    let connection = Connection::new(&args.target.address);
    connection
        .post(&format!("{PREFIX}/events"), &body)
        .map(drop)
}

fn subscribe(args: &EventsSubscribeArgs) -> anyhow::Result<()> {
    let kind = escape(args.kind.as_deref().unwrap_or("*"));
    let mut path = format!("{PREFIX}/events?kind={kind}");
    for condition in &args.conditions {
        path.push_str("&where=");
        path.push_str(&escape(condition));
    }
    if args.remembered {
        path.push_str("&remembered=true");
    }
    let connection = Connection::new(&args.read.target.address);
    for event in connection.stream(&path)? {
        let event = event
            .map_err(|error| exit::not_ready(format!("the node no longer answers ({error})")))?;
        if let Some(line) = line(&event, args.read.json)? {
            output::line(line)?;
        }
    }
    Err(exit::not_ready("the node has ended the stream"))
}

/// One line: for machines the event object, or `{"gap":…}`; for people the same in words.
fn line(event: &StreamEvent, json: bool) -> anyhow::Result<Option<String>> {
    Ok(match (event.name.as_str(), json) {
        ("event", true) => Some(event.data.clone()),
        ("gap", true) => Some(format!("{{\"gap\":{}}}", event.data)),
        ("event", false) => {
            let event: EventObject =
                serde_json::from_str(&event.data).context("not an event object")?;
            Some(words(&event))
        }
        ("gap", false) => {
            let gap: GapObject = serde_json::from_str(&event.data).context("not a gap")?;
            Some(gap.to_string())
        }
        _ => None,
    })
}

fn words(event: &EventObject) -> String {
    let fields = event.fields.iter();
    let fields: Vec<String> = fields
        .map(|(name, value)| match value {
            presence_mesh::FieldValue::Exists => name.clone(),
            value => format!("{name}={value}"),
        })
        .collect();
    let EventObject { at, node, kind, .. } = event;
    let line = format!("{at}  {node}  {kind}  {}", fields.join("  "));
    // What others say must not steer this terminal.
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let data = r#"{"kind":"call.parked","node":"berlin","replica":"r","seq":7,"at":"t","fields":{"caller":"a\u001b[2Jb","slot":701,"urgent":null}}"#;
        let parked = StreamEvent::of("event", data);
        assert_eq!(line(&parked, true).unwrap().as_deref(), Some(data));
        assert_eq!(
            line(&parked, false).unwrap().as_deref(),
            Some("t  berlin  call.parked  caller=a[2Jb  slot=701  urgent")
        );
        let lost =
            r#"{"reason":"lost","missed":3,"node":"berlin","replica":"r","first":3,"last":5}"#;
        let gap = StreamEvent::of("gap", lost);
        assert_eq!(
            line(&gap, true).unwrap(),
            Some(format!("{{\"gap\":{lost}}}"))
        );
        assert_eq!(
            line(&gap, false).unwrap().as_deref(),
            Some("gap: 3 events of berlin were missed")
        );
        assert_eq!(line(&StreamEvent::of("other", "{}"), false).unwrap(), None);
    }
}
