//! Talking HTTP to a node.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::api::{PREFIX, ProblemObject};
use crate::exit;
use crate::people::Directory;

/// A node on this machine answers in milliseconds; one that does not in this time has a problem.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A stream carries a comment every 15 s: silent for this long, the node or the way to it is dead.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(40);
/// A million devices fit.
const MAX_BODY_BYTES: u64 = 1 << 30;

/// The HTTP API of one node.
pub struct Connection {
    address: String,
    agent: Agent,
}

/// An answer other than a refusal.
pub struct Reply {
    /// 503 is no refusal where the node's health is asked for.
    pub body: String,
}

/// One server-sent event.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct StreamEvent {
    pub name: String,
    pub data: String,
}

#[cfg(test)]
impl StreamEvent {
    pub fn of(name: &str, data: &str) -> Self {
        Self {
            name: name.into(),
            data: data.into(),
        }
    }
}

impl Connection {
    pub fn new(address: &str) -> Self {
        Self::with_patience(address, SILENCE_TIMEOUT)
    }

    /// One that takes a stream for dead once it has been silent for so long.
    pub fn with_patience(address: &str, silence: Duration) -> Self {
        // No proxy: the address is one of ours.
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_per_read(Some(silence))
            .user_agent(concat!("presence-mesh/", env!("CARGO_PKG_VERSION")));
        Self {
            address: address.to_owned(),
            agent: config.build().into(),
        }
    }

    /// # Errors
    /// With exit code 3 when nobody answers, 4 when there is no such thing, 1 otherwise.
    pub fn get(&self, path: &str) -> anyhow::Result<Reply> {
        let request = self
            .agent
            .get(self.url(path))
            .config()
            .timeout_global(Some(ANSWER_TIMEOUT))
            .build();
        let response = self.answered(request.call())?;
        read(accepted(response)?)
    }

    /// Status and body, whatever the status.
    ///
    /// # Errors
    /// With exit code 3 when nobody answers.
    pub fn get_any(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let request = self
            .agent
            .get(self.url(path))
            .config()
            .timeout_global(Some(ANSWER_TIMEOUT))
            .build();
        let response = self.answered(request.call())?;
        let status = response.status().as_u16();
        Ok((status, read(response)?.body))
    }

    /// Whom the node has names for; nobody where it tells none.
    pub fn people(&self) -> Directory {
        let reply = self.get(&format!("{PREFIX}/people"));
        let people = reply.map(|reply| serde_json::from_str(&reply.body).unwrap_or_default());
        Directory::new(people.unwrap_or_default())
    }

    /// # Errors
    /// As [`Connection::get`].
    pub fn post(&self, path: &str, body: &str) -> anyhow::Result<Reply> {
        let request = self
            .agent
            .post(self.url(path))
            .config()
            .timeout_global(Some(ANSWER_TIMEOUT))
            .build();
        let response = self.answered(request.content_type("application/json").send(body))?;
        read(accepted(response)?)
    }

    /// # Errors
    /// As [`Connection::get`].
    pub fn put(&self, path: &str, body: &str) -> anyhow::Result<()> {
        let request = self
            .agent
            .put(self.url(path))
            .config()
            .timeout_global(Some(ANSWER_TIMEOUT))
            .build();
        let response = self.answered(request.content_type("application/json").send(body))?;
        accepted(response).map(drop)
    }

    /// # Errors
    /// As [`Connection::get`].
    pub fn delete(&self, path: &str) -> anyhow::Result<()> {
        let request = self
            .agent
            .delete(self.url(path))
            .config()
            .timeout_global(Some(ANSWER_TIMEOUT))
            .build();
        let response = self.answered(request.call())?;
        accepted(response).map(drop)
    }

    /// Follows a stream of server-sent events.
    ///
    /// # Errors
    /// As [`Connection::get`]; each event, when the stream broke off.
    pub fn stream(
        &self,
        path: &str,
    ) -> anyhow::Result<impl Iterator<Item = anyhow::Result<StreamEvent>> + use<>> {
        let request = self
            .agent
            .get(self.url(path))
            .config()
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .build();
        let response = self.answered(request.call())?;
        let response = accepted(response)?;
        Ok(Events {
            lines: BufReader::new(response.into_body().into_reader()),
        })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn answered(
        &self,
        result: Result<Response<Body>, ureq::Error>,
    ) -> anyhow::Result<Response<Body>> {
        result.map_err(|error| {
            let address = &self.address;
            exit::not_ready(format!(
                "no node answers at {address} ({error}): is it running? --http names another"
            ))
        })
    }
}

/// Reads server-sent events.
struct Events<R> {
    lines: BufReader<R>,
}

impl<R: std::io::Read> Iterator for Events<R> {
    type Item = anyhow::Result<StreamEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut event = StreamEvent::default();
        let mut line = String::new();
        loop {
            line.clear();
            match self.lines.read_line(&mut line) {
                Ok(0) => return None,
                Err(error) => return Some(Err(anyhow!(error))),
                Ok(_) => {}
            }
            let text = line.trim_end_matches(['\r', '\n']);
            match text
                .split_once(':')
                .map(|(field, rest)| (field, rest.strip_prefix(' ').unwrap_or(rest)))
            {
                Some(("event", name)) => name.clone_into(&mut event.name),
                Some(("data", data)) => {
                    if !event.data.is_empty() {
                        event.data.push('\n');
                    }
                    event.data.push_str(data);
                }
                None if text.is_empty() && !event.data.is_empty() => return Some(Ok(event)),
                // A comment, or a field we have no use for.
                _ => {}
            }
        }
    }
}

fn read(mut response: Response<Body>) -> anyhow::Result<Reply> {
    let body = response
        .body_mut()
        .with_config()
        .limit(MAX_BODY_BYTES)
        .read_to_string();
    Ok(Reply {
        body: body
            .context("the answer broke off")
            .map_err(|error| exit::not_ready(format!("{error:#}")))?,
    })
}

/// Turns a refusal into an error with its exit code.
fn accepted(mut response: Response<Body>) -> anyhow::Result<Response<Body>> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = response.body_mut().read_to_string().unwrap_or_default();
    let detail = serde_json::from_str::<ProblemObject>(&body)
        .map_or_else(|_| status.to_string(), |problem| problem.detail);
    Err(match status.as_u16() {
        404 => exit::not_found(detail),
        503 => exit::not_ready(detail),
        _ => anyhow!("{detail}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_the_standard_says() {
        let text = ": hello\n\nevent: change\ndata: {\"a\":1}\n\nid: 7\nevent:x\ndata:b\ndata: c\r\n\r\nevent: cut off\ndata: d";
        let events: Vec<_> = Events {
            lines: BufReader::new(text.as_bytes()),
        }
        .map(Result::unwrap)
        .collect();
        let event = |name: &str, data: &str| StreamEvent {
            name: name.into(),
            data: data.into(),
        };
        assert_eq!(events, [event("change", "{\"a\":1}"), event("x", "b\nc")]);
    }
}
