//! The side that Asterisk publishes to: what each request is answered, and what it said.
//!
//! Without sockets and clocks. It keeps the publications (their etags) and who may speak: one Asterisk, known
//! by its EID. It never waits for anything, so an answer never depends on the mesh.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use ezk_sip_types::Name;

use super::body::{Body, Package};
use super::eid::Eid;
use super::message::{AnswerText, Request, SIP_IF_MATCH};

/// The largest JSON body, in bytes. Asterisk's are under 400.
pub(super) const MAX_BODY_BYTES: usize = 4096;
/// How many publications are kept. Asterisk opens one per package and start; when full, the one that would
/// expire first is forgotten, and its next PUBLISH is answered 412.
pub(super) const MAX_PUBLICATIONS: usize = 64;
/// The longest a publication may last; a longer wish is granted as this.
pub(super) const MAX_EXPIRES_S: u32 = 3600;

const ALLOW: &str = "PUBLISH, OPTIONS";

/// Answers requests.
#[derive(Debug)]
pub(super) struct Answerer {
    /// Makes etags and tags of different lives differ, so that an etag of an earlier life is unknown.
    life: u64,
    counter: u64,
    publications: BTreeMap<String, Publication>,
    /// The Asterisk that may speak, and whether it was heard since the PBX was last called gone.
    speaker: Option<Eid>,
    speaker_alive: bool,
    /// The publication each package had last, to tell a new start of Asterisk from a mended etag.
    last: BTreeMap<Package, LastPublication>,
    /// Somebody else wanted to speak meanwhile.
    refused_speaker: Option<Eid>,
}

#[derive(Debug)]
struct Publication {
    package: Package,
    eid: Eid,
    expires_at: Duration,
}

#[derive(Debug, Default)]
struct LastPublication {
    call_id: String,
    /// We answered 412, so the next initial PUBLISH continues the old story.
    mended: bool,
}

/// The answer to a request, and what was learnt from it.
#[derive(Debug)]
pub(super) struct Answered {
    /// The bytes to send back.
    pub(super) answer: Bytes,
    /// What Asterisk said, when it may speak and said something.
    pub(super) said: Option<Said>,
    /// It comes from our own Asterisk, whatever it says.
    pub(super) life: bool,
    /// Why it was refused: a short fixed word for counters, and a sentence for the log.
    pub(super) refused: Option<(&'static str, String)>,
}

/// A statement of our own Asterisk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) package: Package,
    pub(super) body: Body,
    /// This opens a publication of a new start of Asterisk: its whole cache follows.
    pub(super) boot: bool,
    /// The speaker's EID is new to us.
    pub(super) new_speaker: bool,
}

impl Answerer {
    /// `life` is any number that differs between two starts.
    pub(super) fn new(life: u64) -> Self {
        Self {
            life,
            counter: 0,
            publications: BTreeMap::new(),
            speaker: None,
            speaker_alive: false,
            last: BTreeMap::new(),
            refused_speaker: None,
        }
    }

    /// Answers one request; `None` when there must be no answer (ACK) or nobody to send it to.
    pub(super) fn handle(
        &mut self,
        request: &Request,
        source: SocketAddr,
        now: Duration,
    ) -> Option<Answered> {
        if request.method == "ACK" || request.header(&Name::VIA).is_none() {
            return None;
        }
        self.counter += 1;
        let tag = format!("mesh{:x}{:x}", self.life & 0xffff, self.counter);
        let answer = |status: u16, reason: &str| request.answer(status, reason, source, &tag);
        if request.transaction_key().is_none() {
            return Some(refuse(
                answer(400, "Bad Request"),
                "malformed",
                "a header every request has is missing",
            ));
        }
        match request.method.as_str() {
            "PUBLISH" => Some(self.publish(request, &answer, now)),
            "OPTIONS" => {
                let text = answer(200, "OK")
                    .header("Allow", ALLOW)
                    .header("Accept", "application/json");
                Some(Answered {
                    answer: text.finish(),
                    said: None,
                    life: false,
                    refused: None,
                })
            }
            _ => Some(refuse(
                answer(405, "Method Not Allowed").header("Allow", ALLOW),
                "method",
                &request.method,
            )),
        }
    }

    /// Who our Asterisk is.
    pub(super) fn speaker(&self) -> Option<Eid> {
        self.speaker
    }

    /// The PBX is gone: another EID may take over.
    pub(super) fn speaker_gone(&mut self) {
        self.speaker_alive = false;
    }

    /// Whether somebody who was refused because of his EID could speak now; says so once.
    pub(super) fn refused_speaker_may_speak(&mut self, now: Duration) -> bool {
        self.refused_speaker.is_some() && !self.speaks(now) && self.refused_speaker.take().is_some()
    }

    /// When [`refused_speaker_may_speak`](Self::refused_speaker_may_speak) may turn true.
    pub(super) fn next_at(&self) -> Option<Duration> {
        self.refused_speaker?;
        self.publications
            .values()
            .map(|publication| publication.expires_at)
            .max()
    }

    fn publish(
        &mut self,
        request: &Request,
        answer: &dyn Fn(u16, &str) -> AnswerText,
        now: Duration,
    ) -> Answered {
        self.publications
            .retain(|_, publication| publication.expires_at > now);
        let Some(package) = request.header(&Name::EVENT).and_then(Package::from_event) else {
            let text = answer(489, "Bad Event")
                .header("Allow-Events", "asterisk-devicestate, asterisk-mwi");
            return refuse(
                text,
                "event",
                request.header(&Name::EVENT).unwrap_or("no event package"),
            );
        };
        let expires = match request.header(&Name::EXPIRES).map(str::parse::<u32>) {
            None => MAX_EXPIRES_S,
            Some(Ok(seconds)) => seconds.min(MAX_EXPIRES_S),
            Some(Err(_)) => {
                return refuse(
                    answer(400, "Bad Request"),
                    "malformed",
                    "expires is not a number",
                );
            }
        };
        let if_match = request.header(&SIP_IF_MATCH);
        let earlier = if_match
            .and_then(|etag| self.publications.get(etag))
            .filter(|known| known.package == package);
        if if_match.is_some() && earlier.is_none() {
            self.last.entry(package).or_default().mended = true;
            let text = answer(412, "Conditional Request Failed");
            return refuse(
                text,
                "etag",
                "the etag is unknown; the state will be published again",
            );
        }
        let earlier = earlier.map(|known| known.eid);
        if request.body.len() > MAX_BODY_BYTES {
            let bytes = request.body.len();
            return refuse(
                answer(413, "Request Entity Too Large"),
                "oversize",
                &format!("a body of {bytes} bytes"),
            );
        }
        let kind = request
            .header(&Name::CONTENT_TYPE)
            .map(|kind| kind.split(';').next().unwrap_or_default().trim());
        let said = match (request.body.is_empty(), kind) {
            (true, _) => None,
            (false, Some(kind)) if !kind.eq_ignore_ascii_case("application/json") => {
                let text =
                    answer(415, "Unsupported Media Type").header("Accept", "application/json");
                return refuse(text, "content_type", kind);
            }
            (false, _) => match Body::parse(package, &request.body) {
                Ok(body) => Some(body),
                Err(error) => {
                    let reason = error.to_string();
                    let warning =
                        format!("399 presence-mesh \"{}\"", reason.replace(['"', '\\'], "'"));
                    return refuse(
                        answer(400, "Bad Request").header("Warning", &warning),
                        "body",
                        &reason,
                    );
                }
            },
        };
        let Some(eid) = said.as_ref().map(Body::eid).or(earlier) else {
            return refuse(
                answer(400, "Bad Request"),
                "body",
                "a first PUBLISH without a body",
            );
        };
        let known = self.speaker;
        if known.is_some_and(|speaker| speaker != eid) && self.speaks(now) {
            self.refused_speaker = Some(eid);
            let who = known.map(|speaker| speaker.to_string()).unwrap_or_default();
            let reason = format!(
                "{eid} publishes here while {who} is alive: one bridge serves one Asterisk"
            );
            return refuse(answer(403, "Forbidden"), "second_eid", &reason);
        }
        self.speaker = Some(eid);
        self.speaker_alive = true;
        let boot = if_match.is_none()
            && self.is_boot(package, request.header(&Name::CALL_ID).unwrap_or_default());
        if let Some(etag) = if_match {
            self.publications.remove(etag);
        }
        let etag = format!("m{:x}-{:x}", self.life, self.counter);
        if expires > 0 {
            self.keep(
                etag.clone(),
                Publication {
                    package,
                    eid,
                    expires_at: now + Duration::from_secs(expires.into()),
                },
            );
        }
        let text = answer(200, "OK")
            .header("SIP-ETag", &etag)
            .header("Expires", &expires.to_string());
        let said = said.map(|body| Said {
            package,
            body,
            boot,
            new_speaker: known != Some(eid),
        });
        Answered {
            answer: text.finish(),
            said,
            life: true,
            refused: None,
        }
    }

    /// Whether the speaker still has a word: heard since the PBX was last gone, and a publication that lasts.
    fn speaks(&self, now: Duration) -> bool {
        let lasts = |publication: &Publication| {
            Some(publication.eid) == self.speaker && publication.expires_at > now
        };
        self.speaker_alive && self.publications.values().any(lasts)
    }

    /// An initial PUBLISH under a new Call-ID comes from a new start, unless our own 412 made Asterisk begin
    /// anew (both recorded in `sip-publish-at-startup`).
    fn is_boot(&mut self, package: Package, call_id: &str) -> bool {
        let last = self.last.entry(package).or_default();
        let boot = !last.mended && last.call_id != call_id;
        *last = LastPublication {
            call_id: call_id.to_owned(),
            mended: false,
        };
        boot
    }

    fn keep(&mut self, etag: String, publication: Publication) {
        if self.publications.len() >= MAX_PUBLICATIONS {
            let first = self
                .publications
                .iter()
                .min_by_key(|(_, known)| known.expires_at);
            if let Some(etag) = first.map(|(etag, _)| etag.clone()) {
                self.publications.remove(&etag);
            }
        }
        self.publications.insert(etag, publication);
    }
}

fn refuse(text: AnswerText, word: &'static str, reason: &str) -> Answered {
    let reason = reason.chars().take(300).collect();
    Answered {
        answer: text.finish(),
        said: None,
        life: false,
        refused: Some((word, reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::{Message, Response, SIP_ETAG};
    use super::*;
    use crate::DeviceState;

    const SOURCE: &str = "127.0.0.1:15060";
    const INUSE: &str = r#"{"type":"devicestate","device":"PJSIP/alice","state":"INUSE","cachable":1,"eid":"02:00:00:00:00:0a"}"#;

    /// Sends PUBLISHes with rising branches and reads the answers.
    struct Peer {
        answerer: Answerer,
        now: Duration,
        requests: u32,
    }

    impl Peer {
        fn new() -> Self {
            Self {
                answerer: Answerer::new(0x1234_5678),
                now: Duration::ZERO,
                requests: 0,
            }
        }

        fn send(&mut self, method: &str, headers: &str, body: &str) -> (Response, Answered) {
            self.requests += 1;
            let n = self.requests;
            let text = format!(
                "{method} sip:pbx-a@127.0.0.1:16060 SIP/2.0\r\nVia: SIP/2.0/UDP {SOURCE};rport;branch=z9hG4bK{n}\r\n\
                 From: <sip:pbx-a@127.0.0.1>;tag=f{n}\r\nTo: <sip:pbx-a@127.0.0.1>\r\nCall-ID: call\r\n\
                 CSeq: {n} {method}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let Ok(Message::Request(request)) = Message::parse(&Bytes::from(text)) else {
                panic!("not a request")
            };
            let answered = self
                .answerer
                .handle(&request, SOURCE.parse().expect("valid"), self.now)
                .expect("answered");
            let Ok(Message::Response(response)) = Message::parse(&answered.answer) else {
                panic!("not an answer")
            };
            (response, answered)
        }

        fn publish(
            &mut self,
            if_match: Option<&str>,
            expires: u32,
            body: &str,
        ) -> (Response, Answered) {
            let mut headers = format!("Event: asterisk-devicestate\r\nExpires: {expires}\r\n");
            if let Some(etag) = if_match {
                headers.push_str(&format!("SIP-If-Match: {etag}\r\n"));
            }
            self.send("PUBLISH", &headers, body)
        }
    }

    fn etag(response: &Response) -> String {
        response.header(&SIP_ETAG).expect("an etag").to_owned()
    }

    #[test]
    fn a_publication_lives_from_etag_to_etag() {
        let mut peer = Peer::new();
        let (first, answered) = peer.publish(None, 60, INUSE);
        assert_eq!(
            (first.status, first.header(&Name::EXPIRES)),
            (200, Some("60"))
        );
        let said = answered.said.expect("a statement");
        assert!(said.boot && said.new_speaker);
        assert!(matches!(
            said.body,
            Body::Device {
                state: DeviceState::InUse,
                ..
            }
        ));
        let (second, answered) = peer.publish(Some(&etag(&first)), 60, INUSE);
        assert_eq!(second.status, 200);
        assert!(
            answered
                .said
                .is_some_and(|said| !said.boot && !said.new_speaker)
        );
        assert_eq!(
            peer.publish(Some(&etag(&first)), 60, INUSE).0.status,
            412,
            "an etag is good once"
        );
        let (refresh, answered) = peer.publish(Some(&etag(&second)), 60, "");
        assert_eq!(refresh.status, 200);
        assert!(answered.said.is_none() && answered.life);
        let (removal, _) = peer.publish(Some(&etag(&refresh)), 0, "");
        assert_eq!(
            (removal.status, removal.header(&Name::EXPIRES)),
            (200, Some("0"))
        );
        assert_eq!(peer.publish(Some(&etag(&removal)), 60, INUSE).0.status, 412);
    }

    #[test]
    fn an_expired_publication_is_unknown() {
        let mut peer = Peer::new();
        let (first, _) = peer.publish(None, 60, INUSE);
        peer.now = Duration::from_secs(60);
        assert_eq!(peer.publish(Some(&etag(&first)), 60, "").0.status, 412);
    }

    #[test]
    fn what_follows_our_412_is_no_new_start() {
        let mut peer = Peer::new();
        let (refused, _) = peer.publish(Some("of-an-earlier-life"), 60, INUSE);
        assert_eq!(
            (refused.status, refused.reason.as_str()),
            (412, "Conditional Request Failed")
        );
        assert!(
            !peer
                .publish(None, 60, INUSE)
                .1
                .said
                .expect("a statement")
                .boot
        );
    }

    #[test]
    fn errors_have_their_numbers() {
        let mut peer = Peer::new();
        let event = "Event: asterisk-devicestate\r\n";
        assert_eq!(
            peer.send("PUBLISH", "Event: asterisk-nosuch\r\n", INUSE)
                .0
                .status,
            489
        );
        assert_eq!(peer.send("PUBLISH", "", INUSE).0.status, 489);
        assert_eq!(peer.send("PUBLISH", event, "{").0.status, 400);
        assert_eq!(peer.send("PUBLISH", event, "").0.status, 400);
        assert_eq!(
            peer.send("PUBLISH", &format!("{event}Expires: soon\r\n"), INUSE)
                .0
                .status,
            400
        );
        assert_eq!(
            peer.send(
                "PUBLISH",
                &format!("{event}Content-Type: text/plain\r\n"),
                INUSE
            )
            .0
            .status,
            415
        );
        assert_eq!(
            peer.send("PUBLISH", event, &"x".repeat(MAX_BODY_BYTES + 1))
                .0
                .status,
            413
        );
        assert_eq!(peer.send("INVITE", "", "").0.status, 405);
        assert_eq!(peer.send("PUBLISHX", event, INUSE).0.status, 405);
        let (options, answered) = peer.send("OPTIONS", "", "");
        assert_eq!(options.status, 200);
        assert!(answered.said.is_none());
        let (refused, _) = peer.send("PUBLISH", event, r#"{"type":"devicestate"}"#);
        let warning = refused
            .headers
            .get_raw(&Name::from("Warning"))
            .next()
            .expect("a warning")
            .to_string();
        assert_eq!(warning, "399 presence-mesh \"the field 'eid' is missing\"");
    }

    #[test]
    fn a_second_eid_is_refused_while_the_first_is_alive() {
        let mut peer = Peer::new();
        peer.publish(None, 60, INUSE);
        let other = INUSE.replace("00:0a", "00:0b");
        let (refused, answered) = peer.publish(None, 60, &other);
        assert_eq!(refused.status, 403);
        assert!(
            answered
                .refused
                .expect("a reason")
                .1
                .contains("02:00:00:00:00:0b publishes here")
        );
        assert!(answered.said.is_none());
        assert!(!peer.answerer.refused_speaker_may_speak(peer.now));
        peer.now = Duration::from_secs(60);
        assert!(
            peer.answerer.refused_speaker_may_speak(peer.now),
            "its publications have ended"
        );
        assert!(
            !peer.answerer.refused_speaker_may_speak(peer.now),
            "said once"
        );
        let (accepted, answered) = peer.publish(None, 60, &other);
        assert_eq!(accepted.status, 200);
        assert!(answered.said.expect("a statement").new_speaker);
    }

    #[test]
    fn a_pbx_that_was_gone_may_return_with_another_eid() {
        let mut peer = Peer::new();
        peer.publish(None, 3600, INUSE);
        peer.answerer.speaker_gone();
        assert_eq!(
            peer.publish(None, 60, &INUSE.replace("00:0a", "00:0b"))
                .0
                .status,
            200
        );
    }

    #[test]
    fn publications_are_bounded() {
        let mut peer = Peer::new();
        let (first, _) = peer.publish(None, 10, INUSE);
        for _ in 0..MAX_PUBLICATIONS {
            assert_eq!(peer.publish(None, 3600, INUSE).0.status, 200);
        }
        assert_eq!(peer.answerer.publications.len(), MAX_PUBLICATIONS);
        assert_eq!(peer.publish(Some(&etag(&first)), 60, INUSE).0.status, 412);
    }
}
