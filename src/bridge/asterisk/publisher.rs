//! One ordered stream of PUBLISHes to Asterisk: Call-ID, From tag, etags, digest, and what each answer asks for.
//!
//! Asterisk handles requests in parallel unless they share Call-ID and From tag (pjsip_distributor.c), so a
//! stream has one of each for its whole life and one request outstanding. Without sockets and clocks.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use ezk_sip_types::header::typed::{Expires, MinExpires};

use super::body::{Body, Package};
use super::digest::{Challenge, Credentials};
use super::message::{BRANCH_COOKIE, NewRequest, Response, SIP_ETAG};

/// How often one request is sent again because of an answer (new nonce, forgotten etag, longer lifetime)
/// before it counts as refused.
const MAX_ATTEMPTS: u32 = 4;
/// A publication is renewed this long before it ends, or at half its life when that is shorter. Asterisk's own
/// margin is 5 s.
const RENEW_BEFORE: Duration = Duration::from_secs(5);

/// Whom we publish to, and as whom.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// `sip:mesh@127.0.0.1:5060`; the user part is the name of the inbound publication.
    pub(super) uri: String,
    /// The endpoint we are there.
    pub(super) user: String,
    pub(super) credentials: Option<Credentials>,
    /// How we are reached, as Asterisk sees us.
    pub(super) sent_by: SocketAddr,
    /// How long a publication is asked to last.
    pub(super) expires_s: u32,
}

/// One stream.
#[derive(Debug)]
pub(super) struct Publisher {
    call_id: String,
    from_tag: String,
    cseq: u32,
    challenge: Option<Challenge>,
    publications: [Option<Publication>; 2],
    /// What is outstanding.
    current: Option<Current>,
}

#[derive(Debug, Clone)]
struct Publication {
    etag: String,
    expires_s: u32,
    renew_at: Duration,
    expires_at: Duration,
    /// When Asterisk last accepted it.
    known_at: Duration,
}

#[derive(Debug, Clone)]
struct Current {
    package: Package,
    body: String,
    attempts: u32,
    answered_challenge: bool,
    forgot: Option<Duration>,
    /// It was sent under an etag that is known to be forgotten: its 412 says nothing new.
    excused: bool,
}

/// A request to send, and the branch its answer will carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outgoing {
    pub(super) branch: String,
    pub(super) bytes: Bytes,
}

/// What an answer means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Taken. `forgot`: Asterisk did not know our publication any more, so it may know nothing at all; the time
    /// is when it last showed that it knew it.
    Taken { forgot: Option<Duration> },
    /// Send this instead.
    Again(Outgoing),
    /// Not taken, and asking the same again at once would not help.
    Refused {
        status: u16,
        forgot: Option<Duration>,
    },
}

impl Publisher {
    /// `name` makes Call-ID and tag; no two streams of any life may share one.
    pub(super) fn new(name: &str) -> Self {
        Self {
            call_id: format!("{name}@presence-mesh"),
            from_tag: name.to_owned(),
            cseq: 0,
            challenge: None,
            publications: [None, None],
            current: None,
        }
    }

    /// Whether a request is outstanding.
    pub(super) fn is_busy(&self) -> bool {
        self.current.is_some()
    }

    /// Begins to say `body`. `random` makes the branch and the client nonce.
    pub(super) fn say(
        &mut self,
        body: &Body,
        target: &Target,
        random: u64,
        now: Duration,
    ) -> Outgoing {
        let package = match body {
            Body::Mailbox { .. } => Package::Mwi,
            _ => Package::DeviceState,
        };
        self.begin(package, body.to_json(), target, random, now)
    }

    /// Begins to ask for everything of one package.
    pub(super) fn ask(
        &mut self,
        package: Package,
        eid: super::Eid,
        target: &Target,
        random: u64,
        now: Duration,
    ) -> Outgoing {
        self.begin(
            package,
            Body::Refresh { eid }.to_json(),
            target,
            random,
            now,
        )
    }

    /// Renews a publication that would end soon.
    pub(super) fn renew(
        &mut self,
        target: &Target,
        random: u64,
        now: Duration,
    ) -> Option<Outgoing> {
        let due = Package::ALL.into_iter().find(|package| {
            self.publication(*package)
                .as_ref()
                .is_some_and(|known| known.renew_at <= now && known.expires_at > now)
        })?;
        Some(self.begin(due, String::new(), target, random, now))
    }

    /// When [`renew`](Self::renew) has something to do.
    pub(super) fn next_at(&self) -> Option<Duration> {
        self.publications
            .iter()
            .flatten()
            .map(|known| known.renew_at)
            .min()
    }

    /// Reads a final answer to the outstanding request.
    pub(super) fn answered(
        &mut self,
        response: &Response,
        target: &Target,
        random: u64,
        now: Duration,
    ) -> Outcome {
        let mut current = self
            .current
            .take()
            .expect("an answer is only read while a request is outstanding");
        current.attempts += 1;
        let refused = Outcome::Refused {
            status: response.status,
            forgot: current.forgot,
        };
        let again = match response.status {
            200..=299 => {
                self.keep(current.package, response, target, now);
                return Outcome::Taken {
                    forgot: current.forgot,
                };
            }
            401 | 407 => {
                let challenge = Challenge::from_response(response);
                let worth_it = match &challenge {
                    Some(challenge) => !current.answered_challenge || challenge.is_stale(),
                    None => false,
                };
                self.challenge = challenge;
                worth_it && target.credentials.is_some()
            }
            412 => {
                let known_at = self
                    .publication_mut(current.package)
                    .take()
                    .map(|known| known.known_at);
                if !std::mem::take(&mut current.excused) {
                    current.forgot = known_at.or(current.forgot);
                }
                !current.body.is_empty()
            }
            423 => {
                let least = response
                    .headers
                    .get_named::<MinExpires>()
                    .ok()
                    .map(|least| least.0);
                match (self.publication_mut(current.package), least) {
                    (Some(known), Some(least)) if least > known.expires_s => {
                        known.expires_s = least
                    }
                    (slot @ None, Some(least)) if least > target.expires_s => {
                        // An etag that is not there yet: only the lifetime is noted.
                        *slot = Some(Publication {
                            etag: String::new(),
                            expires_s: least,
                            renew_at: Duration::MAX,
                            expires_at: Duration::MAX,
                            known_at: now,
                        });
                    }
                    _ => return refused,
                }
                true
            }
            _ => return refused,
        };
        if response.status == 412 && current.body.is_empty() {
            // A renewal of what is forgotten has nothing to say; the next statement opens a new publication.
            return Outcome::Taken {
                forgot: current.forgot,
            };
        }
        if !again || current.attempts >= MAX_ATTEMPTS {
            return Outcome::Refused {
                status: response.status,
                forgot: current.forgot,
            };
        }
        current.answered_challenge |= matches!(response.status, 401 | 407);
        Outcome::Again(self.send(current, target, random))
    }

    /// There was no answer: whether the request was taken is unknown.
    pub(super) fn gave_up(&mut self) {
        self.current = None;
    }

    /// Another stream found that Asterisk forgot all publications: they are opened anew, without each of them
    /// finding out again.
    pub(super) fn forget(&mut self) {
        self.publications = [None, None];
        if let Some(current) = &mut self.current {
            current.excused = true;
        }
    }

    fn begin(
        &mut self,
        package: Package,
        body: String,
        target: &Target,
        random: u64,
        now: Duration,
    ) -> Outgoing {
        assert!(
            self.current.is_none(),
            "one request is outstanding per stream"
        );
        let slot = self.publication_mut(package);
        // A publication that ended unrenewed would be answered 412, which must keep meaning "it restarted"; but
        // for as long as it is gone we could not have noticed a restart, so it counts as one.
        let forgot = slot
            .take_if(|known| known.expires_at <= now)
            .map(|known| known.known_at);
        self.send(
            Current {
                package,
                body,
                attempts: 0,
                answered_challenge: false,
                forgot,
                excused: false,
            },
            target,
            random,
        )
    }

    fn send(&mut self, current: Current, target: &Target, random: u64) -> Outgoing {
        self.cseq += 1;
        let known = self.publication(current.package).clone();
        let expires_s = known
            .as_ref()
            .map_or(target.expires_s, |known| known.expires_s);
        let mut headers = vec![
            ("Event", current.package.name().to_owned()),
            ("Expires", expires_s.to_string()),
        ];
        if let Some(known) = known.filter(|known| !known.etag.is_empty()) {
            headers.push(("SIP-If-Match", known.etag));
        }
        if let (Some(challenge), Some(credentials)) = (&mut self.challenge, &target.credentials) {
            headers.push(challenge.answer(
                credentials,
                "PUBLISH",
                &target.uri,
                &format!("{random:016x}"),
            ));
        }
        let branch = format!("{BRANCH_COOKIE}{random:016x}{}", self.cseq);
        let request = NewRequest {
            method: "PUBLISH",
            uri: &target.uri,
            sent_by: target.sent_by,
            branch: &branch,
            user: &target.user,
            from_tag: &self.from_tag,
            call_id: &self.call_id,
            cseq: self.cseq,
            headers: &headers,
            body: &current.body,
        };
        let bytes = request.to_bytes();
        self.current = Some(current);
        Outgoing { branch, bytes }
    }

    fn keep(&mut self, package: Package, response: &Response, target: &Target, now: Duration) {
        let asked = self
            .publication(package)
            .as_ref()
            .map_or(target.expires_s, |known| known.expires_s);
        let granted_s = response
            .headers
            .get_named::<Expires>()
            .map_or(asked, |expires| expires.0);
        let life = Duration::from_secs(granted_s.into());
        let renew_at = now + life.saturating_sub(RENEW_BEFORE).max(life / 2);
        *self.publication_mut(package) =
            response
                .header(&SIP_ETAG)
                .filter(|_| granted_s > 0)
                .map(|etag| Publication {
                    etag: etag.to_owned(),
                    expires_s: asked,
                    renew_at,
                    expires_at: now + life,
                    known_at: now,
                });
    }

    fn publication(&self, package: Package) -> &Option<Publication> {
        &self.publications[package as usize]
    }

    fn publication_mut(&mut self, package: Package) -> &mut Option<Publication> {
        &mut self.publications[package as usize]
    }
}

/// What a refusal means and what its operator can do about it.
pub(super) fn advice(status: u16) -> &'static str {
    match status {
        401 | 407 => {
            "user name or password are wrong: compare [asterisk] username and password_file with the type=auth block"
        }
        403 => {
            "another endpoint owns this publication: set endpoint= of the type=inbound-publication block to ours"
        }
        404 => {
            "the user part of [asterisk] server names no type=inbound-publication, or it lacks \
             event_asterisk-devicestate= and event_asterisk-mwi="
        }
        405 | 501 => {
            "PUBLISH is not served there: load res_pjsip_pubsub and res_pjsip_publish_asterisk"
        }
        423 => "the asked lifetime is refused without a usable Min-Expires",
        489 => "the event package is unknown there: load res_pjsip_publish_asterisk",
        500 => "it did not take the body: its log says why",
        503 => "it is overloaded or starting",
        _ => "see its log",
    }
}

/// A probe: any answer at all is a sign of life.
pub(super) fn probe(target: &Target, random: u64) -> Outgoing {
    let branch = format!("{BRANCH_COOKIE}{random:016x}");
    let call_id = format!("{random:016x}@presence-mesh");
    let request = NewRequest {
        method: "OPTIONS",
        uri: &target.uri,
        sent_by: target.sent_by,
        branch: &branch,
        user: &target.user,
        from_tag: &call_id[..8],
        call_id: &call_id,
        cseq: 1,
        headers: &[("Accept", "application/json".to_owned())],
        body: "",
    };
    Outgoing {
        bytes: request.to_bytes(),
        branch: branch.clone(),
    }
}

#[cfg(test)]
mod tests {
    use ezk_sip_types::Name;

    use super::super::eid::Eid;
    use super::super::message::{Message, Request, SIP_IF_MATCH};
    use super::*;
    use crate::DeviceState;

    const EID: Eid = Eid::from_bytes([2, 0, 0, 0, 0, 0x99]);

    fn target() -> Target {
        Target {
            uri: "sip:mesh@127.0.0.1:15060".into(),
            user: "mesh".into(),
            credentials: Some(Credentials {
                username: "mesh".into(),
                password: "CHANGE-ME".into(),
            }),
            sent_by: "127.0.0.1:16065".parse().expect("valid"),
            expires_s: 3600,
        }
    }

    fn alice() -> Body {
        Body::Device {
            device: "PJSIP/alice".into(),
            state: DeviceState::InUse,
            cachable: true,
            eid: EID,
        }
    }

    fn parse(outgoing: &Outgoing) -> Request {
        match Message::parse(&outgoing.bytes) {
            Ok(Message::Request(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    fn response(status: &str, headers: &str) -> Response {
        let text = format!("SIP/2.0 {status}\r\n{headers}Content-Length:  0\r\n\r\n");
        match Message::parse(&Bytes::from(text)) {
            Ok(Message::Response(response)) => response,
            other => panic!("{other:?}"),
        }
    }

    fn ok(etag: &str) -> Response {
        response("200 OK", &format!("SIP-ETag: {etag}\r\nExpires: 3600\r\n"))
    }

    const NOW: Duration = Duration::from_secs(100);

    #[test]
    fn a_request_is_shaped_as_recorded() {
        let mut publisher = Publisher::new("f1");
        let outgoing = publisher.say(&alice(), &target(), 0x8358, NOW);
        let expected = "PUBLISH sip:mesh@127.0.0.1:15060 SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:16065;rport;branch=z9hG4bK00000000000083581
Max-Forwards: 70
From: <sip:mesh@127.0.0.1:16065>;tag=f1
To: <sip:mesh@127.0.0.1:15060>
Call-ID: f1@presence-mesh
CSeq: 1 PUBLISH
Contact: <sip:mesh@127.0.0.1:16065>
Event: asterisk-devicestate
Expires: 3600
Content-Type: application/json
Content-Length: 100

{\"type\":\"devicestate\",\"device\":\"PJSIP/alice\",\"state\":\"INUSE\",\"cachable\":1,\"eid\":\"02:00:00:00:00:99\"}";
        assert_eq!(
            std::str::from_utf8(&outgoing.bytes).expect("text"),
            expected.replace('\n', "\r\n")
        );
    }

    #[test]
    fn etags_are_followed_per_package() {
        let (mut publisher, target) = (Publisher::new("f1"), target());
        publisher.say(&alice(), &target, 1, NOW);
        assert_eq!(
            publisher.answered(&ok("7"), &target, 2, NOW),
            Outcome::Taken { forgot: None }
        );
        let next = parse(&publisher.say(&alice(), &target, 3, NOW));
        assert_eq!(next.header(&SIP_IF_MATCH), Some("7"));
        publisher.answered(&ok("8"), &target, 4, NOW);
        let mailbox = Body::Mailbox {
            mailbox: "100@default".parse().expect("valid"),
            counts: crate::MessageCounts::new(1, 0),
            eid: EID,
        };
        assert_eq!(
            parse(&publisher.say(&mailbox, &target, 5, NOW)).header(&SIP_IF_MATCH),
            None
        );
    }

    #[test]
    fn a_forgotten_publication_is_opened_again_with_the_same_body() {
        let (mut publisher, target) = (Publisher::new("f1"), target());
        publisher.say(&alice(), &target, 1, NOW);
        publisher.answered(&ok("7"), &target, 2, NOW);
        publisher.say(&alice(), &target, 3, NOW);
        let answer = response("412 Conditional Request Failed", "");
        let Outcome::Again(again) = publisher.answered(&answer, &target, 4, NOW) else {
            panic!("must try again")
        };
        let again = parse(&again);
        assert_eq!((again.header(&SIP_IF_MATCH), again.body.len()), (None, 100));
        assert_eq!(
            publisher.answered(&ok("1"), &target, 5, NOW),
            Outcome::Taken { forgot: Some(NOW) }
        );
    }

    #[test]
    fn a_publication_is_renewed_before_it_ends_and_a_lapsed_one_counts_as_forgotten() {
        let (mut publisher, target) = (Publisher::new("f1"), target());
        publisher.say(&alice(), &target, 1, NOW);
        publisher.answered(&ok("7"), &target, 2, NOW);
        let due = publisher.next_at().expect("renewal");
        assert_eq!(due, NOW + Duration::from_secs(3595));
        assert_eq!(
            publisher.renew(&target, 3, due - Duration::from_secs(1)),
            None
        );
        let renewal = parse(&publisher.renew(&target, 3, due).expect("due"));
        assert_eq!(
            (renewal.header(&SIP_IF_MATCH), renewal.body.len()),
            (Some("7"), 0)
        );
        publisher.gave_up();
        let late = due + Duration::from_secs(6);
        assert_eq!(publisher.renew(&target, 4, late), None);
        assert_eq!(
            parse(&publisher.say(&alice(), &target, 5, late)).header(&SIP_IF_MATCH),
            None
        );
        assert_eq!(
            publisher.answered(&ok("1"), &target, 6, late),
            Outcome::Taken { forgot: Some(NOW) }
        );
    }

    #[test]
    fn a_forgotten_renewal_says_so_and_sends_nothing() {
        let (mut publisher, target) = (Publisher::new("f1"), target());
        publisher.say(&alice(), &target, 1, NOW);
        publisher.answered(&ok("7"), &target, 2, NOW);
        publisher
            .renew(&target, 3, NOW + Duration::from_secs(3595))
            .expect("due");
        let answer = response("412 Conditional Request Failed", "");
        assert_eq!(
            publisher.answered(&answer, &target, 4, NOW),
            Outcome::Taken { forgot: Some(NOW) }
        );
        assert!(!publisher.is_busy());
    }

    #[test]
    fn one_restart_is_found_once_by_all_streams_together() {
        let (mut publisher, target) = (Publisher::new("f1"), target());
        publisher.say(&alice(), &target, 1, NOW);
        publisher.answered(&ok("7"), &target, 2, NOW);
        publisher.say(&alice(), &target, 3, NOW);
        publisher.forget();
        let answer = response("412 Conditional Request Failed", "");
        assert!(matches!(
            publisher.answered(&answer, &target, 4, NOW),
            Outcome::Again(_)
        ));
        assert_eq!(
            publisher.answered(&ok("1"), &target, 5, NOW),
            Outcome::Taken { forgot: None }
        );
    }

    #[test]
    fn a_challenge_is_answered_once_and_a_stale_nonce_again() {
        let (mut publisher, target) = (Publisher::new("f1"), target());
        let challenge = |extra: &str| {
            let header = format!(
                "WWW-Authenticate: Digest realm=\"asterisk\",nonce=\"n\",qop=\"auth\"{extra}\r\n"
            );
            response("401 Unauthorized", &header)
        };
        publisher.say(&alice(), &target, 1, NOW);
        let Outcome::Again(first) = publisher.answered(&challenge(""), &target, 2, NOW) else {
            panic!("must answer")
        };
        assert!(
            parse(&first)
                .header(&Name::AUTHORIZATION)
                .expect("an answer")
                .contains("nc=00000001")
        );
        let Outcome::Again(second) = publisher.answered(&challenge(",stale=true"), &target, 3, NOW)
        else {
            panic!("a stale nonce is no wrong password")
        };
        assert!(parse(&second).header(&Name::AUTHORIZATION).is_some());
        let refused = publisher.answered(&challenge(""), &target, 4, NOW);
        assert_eq!(
            refused,
            Outcome::Refused {
                status: 401,
                forgot: None
            }
        );
        let nobody = Target {
            credentials: None,
            ..target
        };
        publisher.say(&alice(), &nobody, 5, NOW);
        assert_eq!(
            publisher.answered(&challenge(""), &nobody, 6, NOW),
            Outcome::Refused {
                status: 401,
                forgot: None
            }
        );
    }

    #[test]
    fn a_nonce_is_used_for_the_following_requests_too() {
        let (mut publisher, target) = (Publisher::new("f1"), target());
        publisher.say(&alice(), &target, 1, NOW);
        let header = "WWW-Authenticate: Digest realm=\"asterisk\",nonce=\"n\",qop=\"auth\"\r\n";
        publisher.answered(&response("401 Unauthorized", header), &target, 2, NOW);
        publisher.answered(&ok("1"), &target, 3, NOW);
        let next = parse(&publisher.say(&alice(), &target, 4, NOW));
        assert!(
            next.header(&Name::AUTHORIZATION)
                .expect("an answer")
                .contains("nc=00000002")
        );
    }

    #[test]
    fn too_brief_a_life_is_lengthened_as_asked() {
        let (mut publisher, target) = (Publisher::new("f1"), target());
        publisher.say(&alice(), &target, 1, NOW);
        let answer = response("423 Interval Too Brief", "Min-Expires: 7200\r\n");
        let Outcome::Again(again) = publisher.answered(&answer, &target, 2, NOW) else {
            panic!("must try again")
        };
        assert_eq!(parse(&again).header(&Name::EXPIRES), Some("7200"));
        assert_eq!(parse(&again).header(&SIP_IF_MATCH), None);
        publisher.answered(&ok("1"), &target, 3, NOW);
        publisher.say(&alice(), &target, 4, NOW);
        let useless = response("423 Interval Too Brief", "Min-Expires: 60\r\n");
        assert_eq!(
            publisher.answered(&useless, &target, 5, NOW),
            Outcome::Refused {
                status: 423,
                forgot: None
            }
        );
    }

    #[test]
    fn endless_412s_end() {
        let (mut publisher, target) = (Publisher::new("f1"), target());
        publisher.say(&alice(), &target, 1, NOW);
        let mut rounds = 0;
        while let Outcome::Again(_) = publisher.answered(&response("412 Gone", ""), &target, 2, NOW)
        {
            rounds += 1;
            assert!(rounds < 10, "a hot loop");
        }
        assert!(!publisher.is_busy());
    }
}
