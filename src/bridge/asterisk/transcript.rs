//! The recordings of a real Asterisk, read back and held against what we understand and write.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use ezk_sip_types::Name;

use super::answerer::Answerer;
use super::body::{Body, Package};
use super::digest::{Challenge, Credentials};
use super::message::{Message, Request, Response, SIP_ETAG};
use super::publisher::{Outcome, Publisher, Target};

const FROM_ASTERISK: &str =
    include_str!("../../../tests/fixtures/asterisk/sip-publish-from-asterisk.txt");
const AT_STARTUP: &str =
    include_str!("../../../tests/fixtures/asterisk/sip-publish-at-startup.txt");
const TO_ASTERISK: &str =
    include_str!("../../../tests/fixtures/asterisk/sip-publish-to-asterisk.txt");
const TCP_DIGEST: &str =
    include_str!("../../../tests/fixtures/asterisk/sip-publish-tcp-digest.txt");

/// One datagram: who sent it (`S` is Asterisk, `C` the bridge), and the comment above it.
struct Datagram {
    by_asterisk: bool,
    comment: String,
    text: String,
}

impl Datagram {
    fn message(&self) -> Message {
        Message::parse(&Bytes::from(self.text.clone()))
            .unwrap_or_else(|error| panic!("{error}\n{}", self.text))
    }

    fn request(&self) -> Option<Request> {
        match self.message() {
            Message::Request(request) => Some(request),
            Message::Response(_) => None,
        }
    }

    fn response(&self) -> Response {
        match self.message() {
            Message::Response(response) => response,
            Message::Request(_) => panic!("a request where an answer was recorded"),
        }
    }
}

fn read(recording: &str) -> Vec<Datagram> {
    let mut datagrams = Vec::new();
    let (mut comment, mut lines, mut by_asterisk) = (String::new(), Vec::new(), false);
    for line in recording.lines() {
        if line == "# --" {
            let mut text = lines.join("\r\n");
            // A body has no line end of its own; an empty one leaves the empty line that ends the head.
            if text.ends_with("\r\n") {
                text.push_str("\r\n");
            }
            datagrams.push(Datagram {
                by_asterisk,
                comment: std::mem::take(&mut comment),
                text,
            });
            lines.clear();
        } else if let Some(text) = line.strip_prefix("# ") {
            comment = text.to_owned();
        } else if let Some(text) = line.strip_prefix("S: ").or_else(|| line.strip_prefix("S:")) {
            by_asterisk = true;
            lines.push(text);
        } else if let Some(text) = line.strip_prefix("C: ").or_else(|| line.strip_prefix("C:")) {
            by_asterisk = false;
            lines.push(text);
        }
    }
    datagrams
}

/// The headers that an answer of ours must share with the recorded one.
fn shape(response: &Response) -> Vec<(String, String)> {
    let same = |name: &str| {
        matches!(
            name,
            "Via" | "From" | "Call-ID" | "CSeq" | "Expires" | "Content-Length"
        )
    };
    let headers = response
        .headers
        .iter()
        .map(|(name, value)| (name.as_print_str().to_owned(), value.to_string()));
    headers
        .filter(|(name, _)| same(name))
        .map(|(name, value)| (name, value.replace(";rport;", ";")))
        .collect()
}

/// Every PUBLISH of the recordings is answered like the recorded peer did: the same number, the same headers in
/// the same order, and, but for the address that RFC 3581 adds, the same values.
fn replay(recording: &str) -> Vec<Body> {
    let datagrams = read(recording);
    let mut answerer = Answerer::new(1);
    let (mut said, mut etags, mut answers) = (Vec::new(), Vec::<(String, String)>::new(), 0);
    let source: SocketAddr = "127.0.0.1:15060".parse().expect("valid");
    for (index, datagram) in datagrams.iter().enumerate() {
        let Some(request) = datagram.request().filter(|_| datagram.by_asterisk) else {
            continue;
        };
        let recorded = datagrams[index + 1].response();
        // The recorded peer called its etags otherwise, and forgot some on purpose.
        let mut text = datagram.text.clone();
        for (theirs, ours) in &etags {
            text = text.replace(
                &format!("SIP-If-Match: {theirs}\r\n"),
                &format!("SIP-If-Match: {ours}\r\n"),
            );
        }
        if recorded.status == 412 {
            text = datagram
                .text
                .replace("SIP-If-Match: m", "SIP-If-Match: of-an-earlier-life-");
        }
        let Ok(Message::Request(renamed)) = Message::parse(&Bytes::from(text)) else {
            panic!("a request")
        };
        let answered = answerer
            .handle(&renamed, source, Duration::ZERO)
            .expect("answered");
        let Ok(Message::Response(ours)) = Message::parse(&answered.answer) else {
            panic!("an answer")
        };
        assert_eq!(
            (ours.status, &ours.reason),
            (recorded.status, &recorded.reason),
            "{}",
            datagram.text
        );
        let mut shape_of_ours = shape(&ours);
        for (name, value) in &mut shape_of_ours {
            if name == "Via" {
                *value = value.replace(";rport=15060;received=127.0.0.1", "");
            }
        }
        assert_eq!(shape_of_ours, shape(&recorded));
        if let (Some(theirs), Some(ours)) = (recorded.header(&SIP_ETAG), ours.header(&SIP_ETAG)) {
            etags.push((theirs.to_owned(), ours.to_owned()));
        }
        if let Some(answered) = answered.said {
            // Bodies read and written again are the same bytes, but for the context every box has here.
            let recorded = String::from_utf8_lossy(&request.body)
                .replace("bunny-rabbit\",\"old", "bunny-rabbit@default\",\"old");
            assert_eq!(answered.body.to_json(), recorded);
            said.push(answered.body);
        }
        answers += 1;
    }
    assert!(answers > 5, "the recording holds requests of Asterisk");
    said
}

#[test]
fn everything_asterisk_publishes_is_understood_and_answered_as_recorded() {
    let said = replay(FROM_ASTERISK);
    let boxes: Vec<_> = said
        .iter()
        .filter(|body| matches!(body, Body::Mailbox { .. }))
        .collect();
    assert_eq!(boxes.len(), 4);
    assert!(
        said.iter()
            .any(|body| matches!(body, Body::Device { device, .. } if device == "Custom:desk200"))
    );
}

#[test]
fn a_start_of_asterisk_is_understood_and_answered_as_recorded() {
    let said = replay(AT_STARTUP);
    assert_eq!(
        said.iter()
            .filter(|body| matches!(body, Body::Refresh { .. }))
            .count(),
        3
    );
}

#[test]
fn what_asterisk_publishes_over_tcp_reads_the_same() {
    replay(TCP_DIGEST);
}

/// What the recorded client sent is what our own stream sends: same start line, same headers in the same order.
#[test]
fn our_requests_have_the_recorded_shape_and_every_recorded_answer_is_understood() {
    let datagrams = read(TO_ASTERISK);
    let target = Target {
        uri: "sip:mesh@127.0.0.1:15060".into(),
        user: "mesh".into(),
        credentials: None,
        sent_by: "127.0.0.1:16065".parse().expect("valid"),
        expires_s: 3600,
    };
    let names = |text: &str| -> Vec<String> {
        text.lines()
            .skip(1)
            .take_while(|line| !line.is_empty())
            .map(|line| line.split(':').next().unwrap_or("").into())
            .collect()
    };
    let mut statuses = Vec::new();
    for (index, datagram) in datagrams
        .iter()
        .enumerate()
        .filter(|(_, datagram)| !datagram.by_asterisk)
    {
        let recorded = datagram.request().expect("a request");
        let answer = datagrams[index + 1].response();
        statuses.push(answer.status);
        let mut publisher = Publisher::new("f1");
        let json: serde_json::Value = serde_json::from_slice(&recorded.body).unwrap_or_default();
        let valid = Package::from_event(recorded.header(&Name::EVENT).unwrap_or_default())
            .and_then(|package| Body::parse(package, &recorded.body).ok());
        // A client of ours never sends what the recorded one sent to see it refused.
        let Some(body) = valid else {
            let status = answer.status;
            assert!(
                recorded.body.is_empty() || status != 200 || datagram.comment.contains("UNKNOWN"),
                "{}",
                datagram.text
            );
            continue;
        };
        // Open a publication first where the recorded request modifies one.
        if recorded.header(&super::message::SIP_IF_MATCH).is_some() {
            publisher.say(&body, &target, 1, Duration::ZERO);
            let ok = Bytes::from_static(
                b"SIP/2.0 200 OK\r\nSIP-ETag: 1\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n",
            );
            let Ok(Message::Response(ok)) = Message::parse(&ok) else {
                panic!("an answer")
            };
            publisher.answered(&ok, &target, 1, Duration::ZERO);
        }
        let ours = publisher.say(&body, &target, 2, Duration::ZERO);
        let ours = std::str::from_utf8(&ours.bytes).expect("text");
        assert_eq!(names(ours), names(&datagram.text));
        let our_json = ours.split("\r\n\r\n").nth(1).expect("a body");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(our_json).expect("JSON"),
            json
        );
        let outcome = publisher.answered(&answer, &target, 3, Duration::ZERO);
        match answer.status {
            200 => assert_eq!(outcome, Outcome::Taken { forgot: None }),
            412 => assert!(matches!(outcome, Outcome::Again(_))),
            status => assert_eq!(
                outcome,
                Outcome::Refused {
                    status,
                    forgot: None
                }
            ),
        }
    }
    for status in [200, 412, 404, 489, 500, 401] {
        assert!(statuses.contains(&status), "{status} is recorded");
    }
}

/// The digest Asterisk accepted is the one we compute. (The recorder's password was that of the sample
/// configuration.)
#[test]
fn our_digest_is_the_one_asterisk_accepted() {
    let datagrams = read(TCP_DIGEST);
    let challenge = datagrams
        .iter()
        .filter(|datagram| datagram.by_asterisk && datagram.request().is_none());
    let challenge = challenge
        .map(Datagram::response)
        .find(|response| response.status == 401)
        .expect("recorded");
    let mut challenge = Challenge::from_response(&challenge).expect("digest");
    let credentials = Credentials {
        username: "mesh".into(),
        password: "CHANGE-ME".into(),
    };
    let mut compared = 0;
    for request in datagrams
        .iter()
        .filter(|datagram| !datagram.by_asterisk)
        .filter_map(Datagram::request)
    {
        let Some(recorded) = request.header(&Name::AUTHORIZATION) else {
            continue;
        };
        let uri = "sip:mesh@127.0.0.1:25060;transport=tcp";
        assert_eq!(
            challenge.answer(&credentials, "PUBLISH", uri, "abc"),
            ("Authorization", recorded.to_owned())
        );
        compared += 1;
    }
    assert_eq!(compared, 2);
}
