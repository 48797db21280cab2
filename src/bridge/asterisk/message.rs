//! SIP messages as they come in a datagram and go out in one.
//!
//! Header values are kept as text and only looked into where needed: an answer must echo `Via`, `From`,
//! `Call-ID` and `CSeq` as they came (RFC 3261, 8.2.6.2).

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use ezk_sip_types::header::typed::{CSeq, FromTo, Via};
use ezk_sip_types::msg::{Line, MessageLine, PullParser};
use ezk_sip_types::{Headers, Name};
use thiserror::Error;

/// The most header lines a message may have. Asterisk sends about a dozen.
pub(super) const MAX_HEADER_LINES: usize = 64;
/// The longest head, in bytes. Asterisk's are under 700.
pub(super) const MAX_HEAD_BYTES: usize = 16 * 1024;

/// What begins every branch of RFC 3261.
pub(super) const BRANCH_COOKIE: &str = "z9hG4bK";

pub(super) const SIP_ETAG: Name = Name::custom("SIP-ETag", &["sip-etag"]);
pub(super) const SIP_IF_MATCH: Name = Name::custom("SIP-If-Match", &["sip-if-match"]);

/// A request or a response.
#[derive(Debug, Clone)]
pub(super) enum Message {
    Request(Request),
    Response(Response),
}

/// A request that came in.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// In capitals as it was written: methods are compared exactly.
    pub(super) method: String,
    pub(super) headers: Headers,
    pub(super) body: Bytes,
}

/// A response that came in.
#[derive(Debug, Clone)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) reason: String,
    pub(super) headers: Headers,
}

impl Message {
    /// Reads one datagram.
    ///
    /// Costs at most a constant number of passes over it: the lines and the head are bounded first.
    pub(super) fn parse(datagram: &Bytes) -> Result<Self, ParseError> {
        let mut lines = PullParser::new(datagram, 0);
        let first = lines
            .next()
            .ok_or(ParseError::Head)?
            .map_err(|_| ParseError::Head)?;
        let first = std::str::from_utf8(first).map_err(|_| ParseError::Head)?;
        let start: MessageLine = first.parse().map_err(|_| ParseError::StartLine)?;
        let mut headers = Headers::with_capacity(16);
        for (count, line) in lines.by_ref().enumerate() {
            let line = line.map_err(|_| ParseError::Head)?;
            if count >= MAX_HEADER_LINES {
                return Err(ParseError::TooManyHeaders);
            }
            let line = std::str::from_utf8(line).map_err(|_| ParseError::Head)?;
            let (_, line) = Line::parse(datagram, line).map_err(|_| ParseError::Header)?;
            headers.insert(line.name, line.value);
        }
        let head_end = lines.head_end();
        if head_end > MAX_HEAD_BYTES {
            return Err(ParseError::TooManyHeaders);
        }
        let rest = datagram.get(head_end..).unwrap_or_default();
        let length = match headers.get_raw(&Name::CONTENT_LENGTH).next() {
            // Over UDP a body without a length reaches to the end of the datagram (RFC 3261, 18.3).
            None => rest.len(),
            Some(text) => text.trim().parse().map_err(|_| ParseError::Length)?,
        };
        let body = datagram.slice_ref(rest.get(..length).ok_or(ParseError::Length)?);
        Ok(match start {
            MessageLine::Request(_) => {
                // The parser takes PUBLISHX for PUBLISH, so the method is read from the line itself.
                let method = first.split(' ').next().unwrap_or_default().to_owned();
                Self::Request(Request {
                    method,
                    headers,
                    body,
                })
            }
            MessageLine::Response(line) => Self::Response(Response {
                status: line.code.into_u16(),
                reason: line
                    .reason
                    .map(|reason| reason.to_string())
                    .unwrap_or_default(),
                headers,
            }),
        })
    }
}

/// The datagram is no SIP message. There is nobody to answer: it is counted and dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum ParseError {
    #[error("the head is not text that ends in an empty line")]
    Head,
    #[error("the first line is neither a request nor a status line")]
    StartLine,
    #[error("a header line has no name")]
    Header,
    #[error(
        "there are more than {MAX_HEADER_LINES} header lines or {MAX_HEAD_BYTES} bytes of them"
    )]
    TooManyHeaders,
    #[error("the content length does not fit the datagram")]
    Length,
}

impl Request {
    /// The one value of a header; `None` when it is missing.
    pub(super) fn header(&self, name: &Name) -> Option<&str> {
        self.headers.get_raw(name).next().map(|value| value.trim())
    }

    /// What identifies the request among its retransmissions (RFC 3261, 17.2.3); `None` when a header that
    /// every request must have is missing or makes no sense.
    pub(super) fn transaction_key(&self) -> Option<String> {
        let via = self.top_via()?;
        let cseq: CSeq = self.headers.get_named().ok()?;
        let from: FromTo = self.headers.get(Name::FROM).ok()?;
        let _to: FromTo = self.headers.get(Name::TO).ok()?;
        let call_id = self.header(&Name::CALL_ID).filter(|id| !id.is_empty())?;
        let method = self.header(&Name::CSEQ)?.split_whitespace().nth(1)?;
        if method != self.method {
            return None;
        }
        match via.params.get_val("branch") {
            Some(branch) if branch.starts_with(BRANCH_COOKIE) => {
                Some(format!("{branch} {} {method}", sent_by(&via)))
            }
            // RFC 2543 peers do not make branches unique.
            _ => Some(format!(
                "{call_id} {} {method} {}",
                cseq.cseq,
                from.tag.unwrap_or_default()
            )),
        }
    }

    fn top_via(&self) -> Option<Via> {
        self.headers.get::<Via>(Name::VIA).ok()
    }

    /// Where the answer to a request from `source` goes: back where it came from when the request asks for
    /// that (`rport`, RFC 3581) and to the port it names otherwise (RFC 3261, 18.2.2).
    pub(super) fn answer_to(&self, source: SocketAddr) -> SocketAddr {
        match self.top_via() {
            Some(via) if via.params.get("rport").is_none() => {
                SocketAddr::new(source.ip(), via.sent_by.port.unwrap_or(5060))
            }
            _ => source,
        }
    }

    /// Begins the answer to this request that came from `source`: the echoed headers, with a tag on `To`.
    pub(super) fn answer(
        &self,
        status: u16,
        reason: &str,
        source: SocketAddr,
        to_tag: &str,
    ) -> AnswerText {
        let mut text = format!("SIP/2.0 {status} {reason}\r\n");
        for (index, via) in self.headers.get_raw(&Name::VIA).enumerate() {
            let via = via.trim();
            match index {
                0 => push_header(&mut text, "Via", &with_source(via, source)),
                _ => push_header(&mut text, "Via", via),
            }
        }
        push_header(
            &mut text,
            "From",
            self.header(&Name::FROM).unwrap_or_default(),
        );
        let to = self.header(&Name::TO).unwrap_or_default();
        let tagged = self
            .headers
            .get::<FromTo>(Name::TO)
            .is_ok_and(|to| to.tag.is_some());
        match tagged {
            true => push_header(&mut text, "To", to),
            false => push_header(&mut text, "To", &format!("{to};tag={to_tag}")),
        }
        push_header(
            &mut text,
            "Call-ID",
            self.header(&Name::CALL_ID).unwrap_or_default(),
        );
        push_header(
            &mut text,
            "CSeq",
            self.header(&Name::CSEQ).unwrap_or_default(),
        );
        AnswerText(text)
    }
}

impl Response {
    /// The one value of a header; `None` when it is missing.
    pub(super) fn header(&self, name: &Name) -> Option<&str> {
        self.headers.get_raw(name).next().map(|value| value.trim())
    }

    /// The branch of our own `Via`, by which the request is found.
    pub(super) fn branch(&self) -> Option<String> {
        let via = self.headers.get::<Via>(Name::VIA).ok()?;
        via.params
            .get_val("branch")
            .map(|branch| branch.to_string())
    }
}

/// An answer being written.
#[derive(Debug, Clone)]
pub(super) struct AnswerText(String);

impl AnswerText {
    /// One more header.
    #[must_use]
    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        push_header(&mut self.0, name, value);
        self
    }

    /// The bytes to send. Our answers have no body.
    pub(super) fn finish(mut self) -> Bytes {
        self.0.push_str("Content-Length: 0\r\n\r\n");
        Bytes::from(self.0)
    }
}

/// A request of ours, in the order of headers of the recorded ones.
#[derive(Debug, Clone)]
pub(super) struct NewRequest<'a> {
    pub(super) method: &'a str,
    /// The request URI, `sip:mesh@127.0.0.1:5060`.
    pub(super) uri: &'a str,
    /// `127.0.0.1:5099`: ourselves, as the other side sees us.
    pub(super) sent_by: SocketAddr,
    pub(super) branch: &'a str,
    /// The user of our `From`: the endpoint we are there.
    pub(super) user: &'a str,
    pub(super) from_tag: &'a str,
    pub(super) call_id: &'a str,
    pub(super) cseq: u32,
    /// Between `Contact` and `Content-Type`.
    pub(super) headers: &'a [(&'static str, String)],
    /// A JSON body; empty for none.
    pub(super) body: &'a str,
}

impl NewRequest<'_> {
    /// The bytes to send.
    pub(super) fn to_bytes(&self) -> Bytes {
        let Self {
            method,
            uri,
            sent_by,
            branch,
            user,
            from_tag,
            call_id,
            cseq,
            headers,
            body,
        } = self;
        let mut text = format!("{method} {uri} SIP/2.0\r\n");
        push_header(
            &mut text,
            "Via",
            &format!("SIP/2.0/UDP {sent_by};rport;branch={branch}"),
        );
        push_header(&mut text, "Max-Forwards", "70");
        push_header(
            &mut text,
            "From",
            &format!("<sip:{user}@{sent_by}>;tag={from_tag}"),
        );
        push_header(&mut text, "To", &format!("<{uri}>"));
        push_header(&mut text, "Call-ID", call_id);
        push_header(&mut text, "CSeq", &format!("{cseq} {method}"));
        push_header(&mut text, "Contact", &format!("<sip:{user}@{sent_by}>"));
        for (name, value) in *headers {
            push_header(&mut text, name, value);
        }
        if !body.is_empty() {
            push_header(&mut text, "Content-Type", "application/json");
        }
        push_header(&mut text, "Content-Length", &body.len().to_string());
        text.push_str("\r\n");
        text.push_str(body);
        Bytes::from(text)
    }
}

fn push_header(text: &mut String, name: &str, value: &str) {
    // A folded header of a stranger must not become a line of ours.
    let value = value.replace(['\r', '\n'], " ");
    write!(text, "{name}: {value}\r\n").expect("writing to a string cannot fail");
}

fn sent_by(via: &Via) -> String {
    use ezk_sip_types::print::AppendCtx as _;
    via.sent_by.default_print_ctx().to_string()
}

/// Notes in a `Via` where the request came from, as Asterisk does: `rport` gets its port and is followed by
/// `received`; without `rport`, `received` is added when the sender's own idea of its address is another.
fn with_source(via: &str, source: SocketAddr) -> String {
    let (top, others) = match via.split_once(',') {
        Some((top, others)) => (top.trim_end(), Some(others)),
        None => (via, None),
    };
    let mut parts = top.split(';');
    let mut text = parts.next().unwrap_or_default().trim_end().to_owned();
    let named = text.rsplit([' ', '\t']).next().and_then(|sent_by| {
        let host = sent_by.parse::<SocketAddr>().map(|address| address.ip());
        host.or_else(|_| sent_by.trim_matches(['[', ']']).parse::<IpAddr>())
            .ok()
    });
    let mut noted = named == Some(source.ip());
    for part in parts {
        let part = part.trim();
        if part.eq_ignore_ascii_case("rport") {
            write!(text, ";rport={};received={}", source.port(), source.ip())
                .expect("writing to a string cannot fail");
            noted = true;
        } else if part.to_ascii_lowercase().starts_with("received=") {
            // Only we know where it came from.
        } else {
            text.push(';');
            text.push_str(part);
        }
    }
    if !noted {
        write!(text, ";received={}", source.ip()).expect("writing to a string cannot fail");
    }
    match others {
        Some(others) => format!("{text},{others}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Request {
        match Message::parse(&Bytes::from(text.replace('\n', "\r\n"))) {
            Ok(Message::Request(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    const PUBLISH: &str = "PUBLISH sip:pbx-a@127.0.0.1:16060 SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:15060;rport;branch=z9hG4bKPj1
From: <sip:pbx-a@127.0.0.1>;tag=762d
To: <sip:pbx-a@127.0.0.1>
Call-ID: 285b
CSeq: 11302 PUBLISH
Event: asterisk-devicestate
Content-Length:   2

{}";

    #[test]
    fn an_answer_echoes_what_came_and_notes_the_source() {
        let request = request(PUBLISH);
        assert_eq!(request.body, "{}".as_bytes());
        let source = "127.0.0.1:15060".parse().expect("valid");
        let answer = request
            .answer(200, "OK", source, "mesh1")
            .header("SIP-ETag", "m1")
            .finish();
        let expected = "SIP/2.0 200 OK
Via: SIP/2.0/UDP 127.0.0.1:15060;rport=15060;received=127.0.0.1;branch=z9hG4bKPj1
From: <sip:pbx-a@127.0.0.1>;tag=762d
To: <sip:pbx-a@127.0.0.1>;tag=mesh1
Call-ID: 285b
CSeq: 11302 PUBLISH
SIP-ETag: m1
Content-Length: 0

";
        assert_eq!(answer, expected.replace('\n', "\r\n").as_bytes());
        assert_eq!(request.answer_to(source), source);
    }

    #[test]
    fn without_rport_the_answer_goes_to_the_named_port() {
        let request = request(&PUBLISH.replace(";rport", ""));
        let source = "192.0.2.7:999".parse().expect("valid");
        assert_eq!(request.answer_to(source).to_string(), "192.0.2.7:15060");
        let answer = request.answer(200, "OK", source, "t").finish();
        let answer = std::str::from_utf8(&answer).expect("text");
        assert!(
            answer.contains(
                "Via: SIP/2.0/UDP 127.0.0.1:15060;branch=z9hG4bKPj1;received=192.0.2.7\r\n"
            ),
            "{answer}"
        );
    }

    #[test]
    fn retransmissions_have_one_key_and_other_requests_another() {
        let key = request(PUBLISH).transaction_key().expect("complete");
        assert_eq!(request(PUBLISH).transaction_key().as_ref(), Some(&key));
        assert_ne!(
            request(&PUBLISH.replace("Pj1", "Pj2")).transaction_key(),
            Some(key)
        );
        assert_eq!(
            request(&PUBLISH.replace("11302 PUBLISH", "11302 OPTIONS")).transaction_key(),
            None
        );
        assert_eq!(
            request(&PUBLISH.replace("Call-ID: 285b\n", "")).transaction_key(),
            None
        );
        assert_eq!(
            request(&PUBLISH.replace("Via:", "Vib:")).transaction_key(),
            None
        );
    }

    #[test]
    fn broken_messages_are_refused() {
        let wire = |text: &str| Message::parse(&Bytes::from(text.replace('\n', "\r\n"))).err();
        assert_eq!(wire(""), Some(ParseError::Head));
        assert_eq!(wire("\n\n\n\n"), Some(ParseError::Head));
        assert_eq!(wire("HELLO\n\n"), Some(ParseError::StartLine));
        assert_eq!(
            wire(&PUBLISH.replace("  2\n", "  3\n")),
            Some(ParseError::Length)
        );
        assert_eq!(
            wire(&PUBLISH.replace("  2\n", "  -1\n")),
            Some(ParseError::Length)
        );
        assert_eq!(
            wire(&PUBLISH.replace("To:", &"X: y\n".repeat(100))),
            Some(ParseError::TooManyHeaders)
        );
        assert_eq!(wire(&PUBLISH[..120]), Some(ParseError::Head));
    }

    /// Every datagram that differs from a real one in a few bytes, or is cut short, is parsed or refused; none
    /// panics. (Deterministic: a small multiplicative generator.)
    #[test]
    fn damaged_datagrams_never_panic() {
        let original = PUBLISH.replace('\n', "\r\n").into_bytes();
        let mut state = 7u64;
        let mut random = move |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).expect("31 bits") % below
        };
        for round in 0..20_000 {
            let mut bytes = original.clone();
            for _ in 0..=random(4) {
                let at = random(bytes.len());
                bytes[at] = u8::try_from(random(256)).expect("below 256");
            }
            if round % 3 == 0 {
                bytes.truncate(random(bytes.len()));
            }
            if let Ok(Message::Request(request)) = Message::parse(&Bytes::from(bytes)) {
                let source = "127.0.0.1:1".parse().expect("valid");
                let _ = request.transaction_key();
                let _ = request.answer_to(source);
                let _ = request.answer(400, "Bad Request", source, "t").finish();
            }
        }
        for _ in 0..2_000 {
            let length = random(300);
            let bytes: Vec<u8> = (0..length)
                .map(|_| u8::try_from(random(256)).expect("below 256"))
                .collect();
            let _ = Message::parse(&Bytes::from(bytes));
        }
    }
}
