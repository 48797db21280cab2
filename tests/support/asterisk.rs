//! A scripted Asterisk: speaks over a real UDP socket exactly as the recordings in `tests/fixtures/asterisk`
//! show, keeps device states per (device, EID) and one count per mailbox as Asterisk does, and can be killed,
//! left booting, restarted and made to refuse.

#![allow(dead_code)]

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use md5::{Digest, Md5};
use presence_mesh::DeviceState;
use serde_json::{Value, json};
use tokio::net::UdpSocket;
use tokio::sync::{Notify, watch};

/// How long a test waits for something that must happen.
pub const DEADLINE: Duration = Duration::from_secs(20);
/// The realm of the recordings.
const REALM: &str = "asterisk";

/// An Asterisk and its phones.
#[derive(Clone)]
pub struct Pbx {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    changed: Arc<watch::Sender<u64>>,
    work: Arc<Notify>,
    stop: Arc<Stop>,
}

struct Stop(tokio::task::AbortHandle);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// No process: datagrams fall on the floor.
    Dead,
    /// Sends, but ignores everything that comes, answers included (pjsip_distributor.c).
    Booting,
    Up,
}

struct State {
    life: Life,
    eid: String,
    name: String,
    /// Where its outbound-publish objects send to.
    bridge: Option<SocketAddr>,
    password: Option<String>,
    /// Local device states, in the order of their first appearance.
    local: Vec<(String, String)>,
    local_boxes: BTreeMap<String, (i64, i64)>,
    /// Injected device states, by device and EID.
    remote: BTreeMap<String, BTreeMap<String, String>>,
    /// What mailbox watchers see last, and whose it was.
    counts: BTreeMap<String, (i64, i64, String)>,
    etags: BTreeMap<String, String>,
    next_etag: u64,
    nonce: u64,
    publishers: [Publisher; 2],
    serial: u64,
    /// Answer every PUBLISH with this.
    refuse: Option<u16>,
    /// Forget the nonce before each request, so that every one is challenged as stale.
    stale_nonces: bool,
    /// Every device state ever injected, in order: `device eid state`.
    injected: Vec<String>,
    /// Every injected MWI, in order: `box new old eid`.
    injected_boxes: Vec<String>,
    /// Requests received, by first word of what they were: `publish`, `options`, `refresh devicestate`, …
    received: BTreeMap<String, u64>,
    /// (Call-ID, From tag) of PUBLISHes with a state, by device.
    streams: BTreeMap<String, (String, String)>,
    /// The EID of this very server came back, or two streams were used for one device, or a digest was wrong.
    violations: Vec<String>,
    /// Answers to our own PUBLISHes, by status.
    answers: BTreeMap<u16, u64>,
    /// What was answered lately, by branch: a repeated request gets the same answer (RFC 3261, 17.2.2).
    replies: VecDeque<(String, String)>,
}

/// One outbound-publish object: serial, one outstanding request.
#[derive(Default)]
struct Publisher {
    call_id: String,
    cseq: u32,
    etag: Option<String>,
    queue: VecDeque<String>,
    outstanding: Option<Outstanding>,
}

struct Outstanding {
    branch: String,
    body: String,
    text: String,
    wait: Duration,
    next_at: Instant,
    give_up_at: Instant,
}

const PACKAGES: [&str; 2] = ["asterisk-devicestate", "asterisk-mwi"];

impl Pbx {
    /// A server with this EID that is not running yet.
    pub async fn new(name: &str, eid: &str) -> Self {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        Self::on(socket, name, eid)
    }

    /// A server that will speak through this socket. Needs a runtime around it.
    pub fn on(socket: std::net::UdpSocket, name: &str, eid: &str) -> Self {
        socket.set_nonblocking(true).expect("a socket");
        let socket = UdpSocket::from_std(socket).expect("a socket");
        let address = socket.local_addr().expect("bound");
        let state = State {
            life: Life::Dead,
            eid: eid.into(),
            name: name.into(),
            bridge: None,
            password: None,
            local: vec![("PJSIP/mesh".into(), "UNAVAILABLE".into())],
            local_boxes: BTreeMap::new(),
            remote: BTreeMap::new(),
            counts: BTreeMap::new(),
            etags: BTreeMap::new(),
            next_etag: 0,
            nonce: 1,
            publishers: Default::default(),
            serial: u64::from(address.port()) << 32,
            refuse: None,
            stale_nonces: false,
            injected: Vec::new(),
            injected_boxes: Vec::new(),
            received: BTreeMap::new(),
            streams: BTreeMap::new(),
            violations: Vec::new(),
            answers: BTreeMap::new(),
            replies: VecDeque::new(),
        };
        let (state, work) = (Arc::new(Mutex::new(state)), Arc::new(Notify::new()));
        let changed = Arc::new(watch::Sender::new(0));
        let task = tokio::spawn(run(socket, state.clone(), changed.clone(), work.clone()));
        Self {
            address,
            state,
            changed,
            work,
            stop: Arc::new(Stop(task.abort_handle())),
        }
    }

    /// Asks for digest authentication as user `mesh`.
    pub fn with_password(self, password: &str) -> Self {
        self.set_password(password);
        self
    }

    /// From now on.
    pub fn set_password(&self, password: &str) {
        self.with(|state| state.password = Some(password.into()));
    }

    /// Where it is reached.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URI under which a bridge publishes to it.
    pub fn uri(&self) -> String {
        format!("sip:mesh@{}", self.address)
    }

    /// Where its states are published to.
    pub fn publish_to(&self, bridge: SocketAddr) {
        self.with(|state| state.bridge = Some(bridge));
    }

    /// Starts the process: publishes its cache, then asks for everything, as recorded at start-up.
    pub fn boot(&self) {
        self.start(Life::Up);
    }

    /// Starts the process, but leaves it in the phase in which it ignores all SIP.
    pub fn boot_slowly(&self) {
        self.start(Life::Booting);
    }

    /// The boot is complete: from now on it hears.
    pub fn booted(&self) {
        self.with(|state| state.life = Life::Up);
    }

    /// SIGKILL: nothing is said, and what it was told is gone. Its own states stay for the next start.
    pub fn kill(&self) {
        self.with(|state| {
            state.life = Life::Dead;
            state.remote.clear();
            state.counts.clear();
            state.etags.clear();
            state.publishers = Default::default();
        });
    }

    /// Stops hearing and speaking, and forgets nothing (SIGSTOP, a stuck machine).
    pub fn freeze(&self) {
        self.with(|state| state.life = Life::Dead);
    }

    /// Goes on after [`Pbx::freeze`].
    pub fn thaw(&self) {
        self.with(|state| state.life = Life::Up);
    }

    /// The next start has this EID.
    pub fn set_eid(&self, eid: &str) {
        self.with(|state| state.eid = eid.into());
    }

    /// A phone of its own changes. A state that is already so is not published again.
    pub fn device(&self, device: &str, state_text: &str) {
        self.with(|state| {
            match state.local.iter_mut().find(|(name, _)| name == device) {
                Some((_, known)) if known == state_text => return,
                Some((_, known)) => *known = state_text.into(),
                None => state.local.push((device.into(), state_text.into())),
            }
            let body = state.device_body(device, state_text, 1);
            state.say(0, body);
        });
    }

    /// A device vanishes from its configuration; nothing is published.
    pub fn forget_device(&self, device: &str) {
        self.with(|state| state.local.retain(|(name, _)| name != device));
    }

    /// A mailbox of its own changes: the count and the derived `MWI:` device are published, as recorded.
    pub fn mailbox(&self, mailbox: &str, new: i64, old: i64) {
        self.with(|state| {
            state.local_boxes.insert(mailbox.into(), (new, old));
            let eid = state.eid.clone();
            state.counts.insert(mailbox.into(), (new, old, eid));
            let body = state.mailbox_body(mailbox, new, old);
            state.say(1, body);
            let derived = state.device_body(
                &format!("MWI:{mailbox}"),
                if new > 0 { "INUSE" } else { "NOT_INUSE" },
                1,
            );
            state.say(0, derived);
        });
    }

    /// A device that is not cachable (`Local/x@y`) passes by.
    pub fn passing(&self, device: &str, state_text: &str) {
        self.with(|state| {
            let body = state.device_body(device, state_text, 0);
            state.say(0, body);
        });
    }

    /// Publishes any text as it stands.
    pub fn say_raw(&self, package: usize, body: &str) {
        self.with(|state| state.say(package, body.into()));
    }

    /// Asks for everything, as `module reload` does.
    pub fn refresh(&self) {
        self.with(State::ask);
    }

    /// The bridge is started anew: what it says now comes on streams of its own.
    pub fn expect_new_streams(&self) {
        self.with(|state| state.streams.clear());
    }

    /// Loses all that it was told, and tells nobody, as when res_corosync is unloaded (its notes on leaving members).
    pub fn wipe(&self) {
        self.with(|state| state.remote.clear());
    }

    /// Answers every PUBLISH with this status; `None`: as usual.
    pub fn refuse(&self, status: Option<u16>) {
        self.with(|state| state.refuse = status);
    }

    /// Challenges every request with a nonce that is already too old.
    pub fn stale_nonces(&self, on: bool) {
        self.with(|state| state.stale_nonces = on);
    }

    /// Forgets its publications but not the states (their expiry, as recorded).
    pub fn forget_publications(&self) {
        self.with(|state| state.etags.clear());
    }

    /// What its hints show: all states of the device together.
    pub fn lamp(&self, device: &str) -> DeviceState {
        self.with(|state| {
            let local = state
                .local
                .iter()
                .filter(|(name, _)| name == device)
                .map(|(_, text)| text);
            let remote = state
                .remote
                .get(device)
                .into_iter()
                .flat_map(BTreeMap::values);
            DeviceState::aggregate(
                local
                    .chain(remote)
                    .map(|text| text.parse().expect("checked when it came")),
            )
        })
    }

    /// What was injected for a device, by EID.
    pub fn remote(&self, device: &str) -> BTreeMap<String, String> {
        self.with(|state| state.remote.get(device).cloned().unwrap_or_default())
    }

    /// How many injected states are not INVALID.
    pub fn remote_lamps(&self) -> usize {
        self.with(|state| {
            state
                .remote
                .values()
                .flat_map(BTreeMap::values)
                .filter(|text| *text != "INVALID")
                .count()
        })
    }

    /// New and old messages as the phones see them.
    pub fn counts(&self, mailbox: &str) -> Option<(i64, i64)> {
        self.with(|state| state.counts.get(mailbox).map(|(new, old, _)| (*new, *old)))
    }

    /// Every device state ever injected, in order.
    pub fn injected(&self) -> Vec<String> {
        self.with(|state| state.injected.clone())
    }

    /// Every count ever injected, in order.
    pub fn injected_boxes(&self) -> Vec<String> {
        self.with(|state| state.injected_boxes.clone())
    }

    /// How many requests of a kind came: `publish`, `options`, `refresh asterisk-devicestate`, `challenged`,
    /// `ignored` (while booting), or the name of a device.
    pub fn received(&self, kind: &str) -> u64 {
        self.with(|state| state.received.get(kind).copied().unwrap_or_default())
    }

    /// How its own PUBLISHes were answered.
    pub fn answers(&self) -> BTreeMap<u16, u64> {
        self.with(|state| state.answers.clone())
    }

    /// Whether all it had to publish is answered.
    pub fn is_quiet(&self) -> bool {
        self.with(|state| {
            state
                .publishers
                .iter()
                .all(|one| one.queue.is_empty() && one.outstanding.is_none())
        })
    }

    /// What no bridge may ever do.
    pub fn violations(&self) -> Vec<String> {
        self.with(|state| state.violations.clone())
    }

    /// Waits until it is so.
    pub async fn until(&self, what: &str, mut so: impl FnMut(&Pbx) -> bool) {
        let mut changes = self.changed.subscribe();
        let wait = async {
            while !so(self) {
                changes.changed().await.expect("its sender is in our hand");
            }
        };
        if tokio::time::timeout(DEADLINE, wait).await.is_err() {
            let injected = self.injected();
            panic!("{what}: did not happen within {DEADLINE:?}; injected so far: {injected:#?}");
        }
    }

    fn start(&self, life: Life) {
        self.with(|state| {
            state.life = life;
            state.remote.clear();
            state.etags.clear();
            state.streams.clear();
            state.replies.clear();
            state.publishers = Default::default();
            state.counts = state
                .local_boxes
                .iter()
                .map(|(name, (new, old))| (name.clone(), (*new, *old, state.eid.clone())))
                .collect();
            state.dump(0);
            state.dump(1);
            state.ask();
        });
    }

    fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        let result = work(&mut self.state.lock().expect("no holder panics"));
        self.work.notify_one();
        result
    }
}

impl State {
    fn say(&mut self, package: usize, body: String) {
        if self.life != Life::Dead {
            self.publishers[package].queue.push_back(body);
        }
    }

    fn dump(&mut self, package: usize) {
        let bodies: Vec<String> = match package {
            0 => self
                .local
                .iter()
                .map(|(device, text)| self.device_body(device, text, 1))
                .collect(),
            _ => self
                .local_boxes
                .iter()
                .map(|(name, (new, old))| self.mailbox_body(name, *new, *old))
                .collect(),
        };
        bodies.into_iter().for_each(|body| self.say(package, body));
    }

    fn ask(&mut self) {
        let body = format!(r#"{{"type":"refresh","eid":"{}"}}"#, self.eid);
        self.say(1, body.clone());
        self.say(0, body);
    }

    fn device_body(&self, device: &str, text: &str, cachable: u8) -> String {
        let eid = &self.eid;
        format!(
            r#"{{"type":"devicestate","device":"{device}","state":"{text}","cachable":{cachable},"eid":"{eid}"}}"#
        )
    }

    fn mailbox_body(&self, name: &str, new: i64, old: i64) -> String {
        let eid = &self.eid;
        format!(
            r#"{{"type":"mailboxstate","uniqueid":"{name}","old":{old},"new":{new},"eid":"{eid}"}}"#
        )
    }

    /// What is to be sent now: new requests and repetitions.
    fn due(&mut self, from: SocketAddr) -> Vec<String> {
        let mut due = Vec::new();
        if self.life == Life::Dead {
            return due;
        }
        let Some(bridge) = self.bridge else {
            return due;
        };
        for package in 0..2 {
            if self.publishers[package].outstanding.is_none()
                && let Some(body) = self.publishers[package].queue.pop_front()
            {
                self.begin(package, body, from, bridge);
                due.push(
                    self.publishers[package]
                        .outstanding
                        .as_ref()
                        .expect("just begun")
                        .text
                        .clone(),
                );
            }
            let now = Instant::now();
            let publisher = &mut self.publishers[package];
            if publisher
                .outstanding
                .as_ref()
                .is_some_and(|open| open.give_up_at <= now)
            {
                // "No response received for outbound publish": dropped, on with the next.
                publisher.outstanding = None;
            }
            if let Some(open) = publisher
                .outstanding
                .as_mut()
                .filter(|open| open.next_at <= now)
            {
                open.wait = (open.wait * 2).min(Duration::from_secs(4));
                open.next_at = now + open.wait;
                due.push(open.text.clone());
            }
        }
        due
    }

    fn begin(&mut self, package: usize, body: String, from: SocketAddr, bridge: SocketAddr) {
        self.serial += 2;
        let (serial, name) = (self.serial, self.name.clone());
        let publisher = &mut self.publishers[package];
        if publisher.call_id.is_empty() {
            publisher.call_id = format!("{serial:x}-call");
            publisher.cseq = u32::try_from(serial % 60_000).expect("small");
        }
        publisher.cseq += 1;
        let branch = format!("z9hG4bKPj{serial:x}");
        let mut text = format!(
            "PUBLISH sip:{name}@{bridge} SIP/2.0\r\nVia: SIP/2.0/UDP {from};rport;branch={branch}\r\n\
             From: <sip:{name}@127.0.0.1>;tag={serial:x}-tag\r\nTo: <sip:{name}@127.0.0.1>\r\n\
             Call-ID: {}\r\nCSeq: {} PUBLISH\r\nEvent: {}\r\n",
            publisher.call_id, publisher.cseq, PACKAGES[package]
        );
        if let Some(etag) = &publisher.etag {
            text.push_str(&format!("SIP-If-Match: {etag}\r\n"));
        }
        text.push_str(&format!(
            "Expires: 60\r\nMax-Forwards: 70\r\nUser-Agent: Asterisk\r\nContent-Type: application/json\r\n\
             Content-Length: {:5}\r\n\r\n{body}",
            body.len()
        ));
        let now = Instant::now();
        publisher.outstanding = Some(Outstanding {
            branch,
            body,
            text,
            wait: Duration::from_millis(500),
            next_at: now + Duration::from_millis(500),
            give_up_at: now + Duration::from_secs(32),
        });
    }

    /// An answer to one of its own PUBLISHes.
    fn answered(&mut self, text: &str) {
        let status: u16 = text[8..11].parse().expect("a status");
        let via = header(text, "Via").unwrap_or_default();
        let package = (0..2).find(|package| {
            let open = &self.publishers[*package].outstanding;
            open.as_ref().is_some_and(|open| {
                via.ends_with(&open.branch) || via.contains(&format!("{};", open.branch))
            })
        });
        let Some(package) = package else { return };
        *self.answers.entry(status).or_default() += 1;
        let publisher = &mut self.publishers[package];
        let open = publisher.outstanding.take().expect("just found");
        match status {
            200 => publisher.etag = header(text, "SIP-ETag").map(str::to_owned),
            412 => {
                // Recorded: the same body again as an initial PUBLISH under a new Call-ID.
                publisher.etag = None;
                publisher.call_id.clear();
                publisher.queue.push_front(open.body);
            }
            // "other errors: dropped, next".
            _ => {}
        }
    }

    /// A request to it, or the repetition of one.
    fn transaction(&mut self, text: &str, source: SocketAddr) -> Option<String> {
        let branch = header(text, "Via")?.split("branch=").nth(1)?.to_owned();
        if let Some((_, answer)) = self.replies.iter().find(|(known, _)| *known == branch) {
            return Some(answer.clone());
        }
        let answer = self.request(text, source)?;
        self.replies.push_back((branch, answer.clone()));
        if self.replies.len() > 256 {
            self.replies.pop_front();
        }
        Some(answer)
    }

    /// A request to it; the answer.
    fn request(&mut self, text: &str, source: SocketAddr) -> Option<String> {
        let start = text.lines().next()?;
        let mut words = start.split(' ');
        let (method, uri) = (words.next()?, words.next()?);
        let answer = |status: u16, reason: &str, more: &str| {
            let via = header(text, "Via").unwrap_or_default();
            let noted = format!(";rport={};received={}", source.port(), source.ip());
            let branch = via.split("branch=").nth(1).unwrap_or_default();
            let to = header(text, "To").unwrap_or_default();
            Some(format!(
                "SIP/2.0 {status} {reason}\r\nVia: {}\r\nCall-ID: {}\r\nFrom: {}\r\nTo: {to};tag={branch}\r\n\
                 CSeq: {}\r\n{more}Server: Asterisk\r\nContent-Length:  0\r\n\r\n",
                via.replacen(";rport", &noted, 1),
                header(text, "Call-ID").unwrap_or_default(),
                header(text, "From").unwrap_or_default(),
                header(text, "CSeq").unwrap_or_default(),
            ))
        };
        *self.received.entry(method.to_lowercase()).or_default() += 1;
        if method == "OPTIONS" {
            return answer(200, "OK", "");
        }
        if method != "PUBLISH" {
            return answer(405, "Method Not Allowed", "");
        }
        let device = text
            .split("\"device\":\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        if let Some(device) = device {
            *self.received.entry(device.to_owned()).or_default() += 1;
        }
        if let Some(status) = self.refuse {
            return answer(status, "Refused", "");
        }
        if !self.authorized(text, uri) {
            *self.received.entry("challenged".into()).or_default() += 1;
            let stale = if self.stale_nonces && header(text, "Authorization").is_some() {
                ",stale=true"
            } else {
                ""
            };
            let challenge = format!(
                "WWW-Authenticate: Digest realm=\"{REALM}\",nonce=\"{}/x\",opaque=\"op\",algorithm=MD5,qop=\"auth\"{stale}\r\n",
                self.nonce
            );
            return answer(401, "Unauthorized", &challenge);
        }
        if !uri.starts_with("sip:mesh@") {
            return answer(404, "Not Found", "");
        }
        let event = header(text, "Event").unwrap_or_default();
        let Some(package) = PACKAGES.iter().position(|package| *package == event) else {
            return answer(489, "Bad Event", "");
        };
        if let Some(etag) = header(text, "SIP-If-Match")
            && self.etags.remove(etag).is_none_or(|of| of != event)
        {
            return answer(412, "Conditional Request Failed", "");
        }
        let body = text
            .split_once("\r\n\r\n")
            .map(|(_, body)| body)
            .unwrap_or_default();
        if !body.is_empty() && self.take(package, body, text).is_none() {
            return answer(500, "Server Internal Error", "");
        }
        let expires = header(text, "Expires").unwrap_or("3600").to_owned();
        let etag = self.next_etag.to_string();
        self.next_etag += 1;
        if expires != "0" {
            self.etags.insert(etag.clone(), event.to_owned());
        }
        answer(
            200,
            "OK",
            &format!("SIP-ETag: {etag}\r\nExpires: {expires}\r\n"),
        )
    }

    /// Takes a body as Asterisk does; `None` for what it answers 500.
    fn take(&mut self, package: usize, body: &str, text: &str) -> Option<()> {
        let value: Value = serde_json::from_str(body).ok()?;
        let field = |name: &str| value.get(name)?.as_str().map(str::to_owned);
        let eid = field("eid")?;
        match (package, field("type")?.as_str()) {
            (_, "refresh") => {
                *self
                    .received
                    .entry(format!("refresh {}", PACKAGES[package]))
                    .or_default() += 1;
                self.dump(package);
            }
            (0, "devicestate") => {
                let (device, given) = (field("device")?, field("state")?);
                // Asterisk takes what it does not know as UNKNOWN.
                let state = given
                    .parse::<DeviceState>()
                    .unwrap_or(DeviceState::Unknown)
                    .to_string();
                if eid == self.eid {
                    self.violations
                        .push(format!("its own eid came back: {device} {state}"));
                }
                let stream = (
                    header(text, "Call-ID")?.to_owned(),
                    tag(header(text, "From")?).to_owned(),
                );
                let known = self
                    .streams
                    .entry(device.clone())
                    .or_insert_with(|| stream.clone());
                if *known != stream {
                    self.violations.push(format!(
                        "{device} is told on two streams: their order is lost"
                    ));
                }
                if value["cachable"] == json!(1) {
                    self.injected.push(format!("{device} {eid} {state}"));
                    self.remote.entry(device).or_default().insert(eid, state);
                }
            }
            (1, "mailboxstate") => {
                let (name, new, old) = (
                    field("uniqueid")?,
                    value["new"].as_i64()?,
                    value["old"].as_i64()?,
                );
                if eid == self.eid {
                    self.violations
                        .push(format!("its own eid came back: {name}"));
                }
                self.injected_boxes
                    .push(format!("{name} {new} {old} {eid}"));
                self.counts.insert(name, (new, old, eid));
            }
            _ => return None,
        }
        Some(())
    }

    fn authorized(&mut self, text: &str, uri: &str) -> bool {
        let Some(password) = self.password.clone() else {
            return true;
        };
        let Some(value) = header(text, "Authorization") else {
            return false;
        };
        let part = |name: &str| {
            let rest = value.split(&format!("{name}=")).nth(1)?;
            Some(
                rest.trim_start_matches('"')
                    .split(['"', ','])
                    .next()?
                    .to_owned(),
            )
        };
        let get = |name: &str| part(name).unwrap_or_default();
        let nonce = format!("{}/x", self.nonce);
        if self.stale_nonces {
            self.nonce += 1;
            // Challenge once, then take the answer.
            self.stale_nonces = get("nonce") != nonce;
        }
        let ha1 = md5(&format!("mesh:{REALM}:{password}"));
        let ha2 = md5(&format!("PUBLISH:{uri}"));
        let expected = md5(&format!(
            "{ha1}:{}:{}:{}:auth:{ha2}",
            get("nonce"),
            part("nc").unwrap_or_default(),
            get("cnonce")
        ));
        get("nonce") == nonce
            && get("response") == expected
            && get(" uri") == uri
            && get("opaque") == "op"
    }
}

async fn run(
    socket: UdpSocket,
    state: Arc<Mutex<State>>,
    changed: Arc<watch::Sender<u64>>,
    work: Arc<Notify>,
) {
    let from = socket.local_addr().expect("bound");
    let mut buffer = vec![0; 65_535];
    loop {
        let (due, bridge) = {
            let mut state = state.lock().expect("no holder panics");
            (state.due(from), state.bridge)
        };
        for text in due {
            if let Some(bridge) = bridge {
                // A bridge that is not there is no error of ours.
                let _ = socket.send_to(text.as_bytes(), bridge).await;
            }
        }
        changed.send_modify(|version| *version += 1);
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                let Ok((length, source)) = received else { continue };
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                let answer = {
                    let mut state = state.lock().expect("no holder panics");
                    match state.life {
                        Life::Dead => None,
                        Life::Booting => {
                            *state.received.entry("ignored".into()).or_default() += 1;
                            None
                        }
                        Life::Up if text.starts_with("SIP/2.0 ") => {
                            state.answered(&text);
                            None
                        }
                        Life::Up => state.transaction(&text, source),
                    }
                };
                if let Some(answer) = answer {
                    let _ = socket.send_to(answer.as_bytes(), source).await;
                }
            }
            () = work.notified() => {}
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
        }
    }
}

fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let head = text.split("\r\n\r\n").next()?;
    let lines = head.split("\r\n").skip(1);
    lines
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value.trim())
}

fn tag(from: &str) -> &str {
    from.split("tag=").nth(1).unwrap_or_default()
}

fn md5(text: &str) -> String {
    Md5::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
