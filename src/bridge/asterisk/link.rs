//! The socket: one task that answers Asterisk at once and repeats our requests until they are answered.
//!
//! It knows nothing of the mesh. What Asterisk says goes into a bounded channel; when that is full, Asterisk is
//! told to come again (503), and everything is asked for once there is room.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::sync::{Notify, mpsc, oneshot};

use super::answerer::{Answered, Answerer, Said};
use super::clock::Clock;
use super::message::{Message, Request, Response};
use super::publisher::Outgoing;
use super::transaction::{ClientTransactions, Due, Retransmit, ServerTransactions};

/// How many statements of Asterisk may wait for the mesh. A whole dump of a large PBX; when full, see above.
pub(super) const MAX_WAITING_STATEMENTS: usize = 8192;
/// How many requests may wait to be sent. There is one per stream at a time.
const MAX_WAITING_REQUESTS: usize = 64;
/// The largest UDP datagram.
const MAX_DATAGRAM_BYTES: usize = 65_535;

/// The handle on the socket's task.
#[derive(Debug)]
pub(super) struct Link {
    commands: mpsc::Sender<Command>,
    shared: Arc<LinkShared>,
    task: tokio::task::JoinHandle<()>,
}

/// What both sides look at.
#[derive(Debug)]
pub(super) struct LinkShared {
    /// When the PBX was last heard, in ms on the clock; 0 for never.
    heard_ms: AtomicU64,
    heard: Notify,
    /// Statements were turned away because the channel was full.
    lost: AtomicBool,
    /// Somebody who was refused because of his EID may speak now.
    may_speak: AtomicBool,
    counters: Mutex<LinkCounters>,
}

/// What the socket's task has refused.
#[derive(Debug, Clone, Default)]
pub(super) struct LinkCounters {
    /// By reason: `malformed`, `event`, `etag`, `body`, `second_eid`, `oversize`, …
    pub(super) rejected: std::collections::BTreeMap<&'static str, u64>,
    /// Requests of Asterisk that were answered 200.
    pub(super) taken: u64,
}

enum Command {
    Send {
        to: SocketAddr,
        outgoing: Outgoing,
        timing: Retransmit,
        reply: oneshot::Sender<Option<Response>>,
    },
    SpeakerGone,
}

impl Link {
    /// Starts the task on a bound socket. The receiver gives what our Asterisk says.
    pub(super) fn start(
        socket: UdpSocket,
        clock: Clock,
        life: u64,
        pbx: SocketAddr,
    ) -> (Self, mpsc::Receiver<Said>) {
        let (said, statements) = mpsc::channel(MAX_WAITING_STATEMENTS);
        let (commands, orders) = mpsc::channel(MAX_WAITING_REQUESTS);
        let shared = Arc::new(LinkShared {
            heard_ms: AtomicU64::new(0),
            heard: Notify::new(),
            lost: AtomicBool::new(false),
            may_speak: AtomicBool::new(false),
            counters: Mutex::default(),
        });
        let worker = Worker {
            socket,
            clock,
            pbx,
            said,
            shared: shared.clone(),
            answerer: Answerer::new(life),
            clients: ClientTransactions::new(),
            servers: ServerTransactions::default(),
        };
        let task = tokio::spawn(worker.run(orders));
        (
            Self {
                commands,
                shared,
                task,
            },
            statements,
        )
    }

    /// Sends a request and waits for its final answer; `None` when there was none in time.
    pub(super) async fn request(
        commands: LinkSender,
        to: SocketAddr,
        outgoing: Outgoing,
        timing: Retransmit,
    ) -> Option<Response> {
        let (reply, answer) = oneshot::channel();
        commands
            .0
            .send(Command::Send {
                to,
                outgoing,
                timing,
                reply,
            })
            .await
            .ok()?;
        answer.await.ok().flatten()
    }

    /// What sends requests.
    pub(super) fn sender(&self) -> LinkSender {
        LinkSender(self.commands.clone())
    }

    /// Resolves when the PBX gave a sign of life. Cancel safe.
    pub(super) async fn heard(&self) {
        self.shared.heard.notified().await;
    }

    /// When the PBX was last heard.
    pub(super) fn last_heard(&self) -> Option<Duration> {
        let ms = self.shared.heard_ms.load(Ordering::Relaxed);
        (ms > 0).then(|| Duration::from_millis(ms))
    }

    /// The PBX is gone: another EID may take its place.
    pub(super) fn speaker_gone(&self) {
        // Full only while dozens of requests wait; then the next silence says it again.
        let _ = self.commands.try_send(Command::SpeakerGone);
    }

    /// Whether something was missed that must be asked for again.
    pub(super) fn take_missed(&self) -> bool {
        let lost = self.shared.lost.swap(false, Ordering::Relaxed);
        self.shared.may_speak.swap(false, Ordering::Relaxed) || lost
    }

    /// What reads the counters from elsewhere.
    pub(super) fn shared(&self) -> Arc<LinkShared> {
        self.shared.clone()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl LinkShared {
    pub(super) fn counters(&self) -> LinkCounters {
        self.counters
            .lock()
            .expect("no holder of this lock panics")
            .clone()
    }
}

/// Sends requests through a [`Link`].
#[derive(Debug, Clone)]
pub(super) struct LinkSender(mpsc::Sender<Command>);

struct Worker {
    socket: UdpSocket,
    clock: Clock,
    /// Where our Asterisk is: datagrams from elsewhere that say nothing are no sign of its life.
    pbx: SocketAddr,
    said: mpsc::Sender<Said>,
    shared: Arc<LinkShared>,
    answerer: Answerer,
    clients: ClientTransactions<oneshot::Sender<Option<Response>>>,
    servers: ServerTransactions,
}

impl Worker {
    async fn run(mut self, mut orders: mpsc::Receiver<Command>) {
        let mut buffer = vec![0; MAX_DATAGRAM_BYTES];
        loop {
            let wake = self
                .clients
                .next_at()
                .into_iter()
                .chain(self.answerer.next_at())
                .min();
            tokio::select! {
                biased;
                received = self.socket.recv_from(&mut buffer) => match received {
                    Ok((length, source)) => {
                        let datagram = Bytes::copy_from_slice(&buffer[..length]);
                        self.received(&datagram, source).await;
                    }
                    Err(error) => {
                        // On Linux the answer of a closed port to an earlier datagram; nothing to do but not to
                        // spin on whatever else it may be.
                        tracing::debug!(%error, "sip socket");
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                },
                order = orders.recv() => match order {
                    Some(order) => self.order(order).await,
                    None => return,
                },
                () = self.clock.sleep_until(wake) => self.wake().await,
            }
        }
    }

    async fn order(&mut self, order: Command) {
        match order {
            Command::Send {
                to,
                outgoing,
                timing,
                reply,
            } => {
                let bytes = outgoing.bytes.clone();
                self.pbx = to;
                match self.clients.start(
                    outgoing.branch,
                    outgoing.bytes,
                    timing,
                    reply,
                    self.clock.now(),
                ) {
                    Ok(()) => self.send(&bytes, to).await,
                    // The owner takes it as unanswered and tries again later.
                    Err(reply) => drop(reply.send(None)),
                }
            }
            Command::SpeakerGone => {
                self.answerer.speaker_gone();
                self.wake().await;
            }
        }
    }

    async fn wake(&mut self) {
        let now = self.clock.now();
        while let Some(due) = self.clients.poll(now) {
            match due {
                Due::Repeat(bytes) => self.send(&bytes, self.pbx).await,
                Due::GivenUp(reply) => drop(reply.send(None)),
            }
        }
        if self.answerer.refused_speaker_may_speak(now) {
            self.shared.may_speak.store(true, Ordering::Relaxed);
            self.shared.heard.notify_one();
        }
    }

    async fn received(&mut self, datagram: &Bytes, source: SocketAddr) {
        match Message::parse(datagram) {
            Ok(Message::Request(request)) => self.request(&request, source).await,
            Ok(Message::Response(response)) => self.response(response),
            Err(error) => {
                tracing::debug!(%source, %error, bytes = datagram.len(), "datagram dropped");
                self.reject("datagram");
            }
        }
    }

    async fn request(&mut self, request: &Request, source: SocketAddr) {
        let now = self.clock.now();
        let to = request.answer_to(source);
        let key = request.transaction_key();
        if let Some(answer) = key.as_ref().and_then(|key| self.servers.answer(key, now)) {
            self.send(&answer, to).await;
            return;
        }
        if self.said.capacity() == 0 && request.method == "PUBLISH" {
            self.shared.lost.store(true, Ordering::Relaxed);
            self.reject("overload");
            let answer = request
                .answer(503, "Service Unavailable", source, "mesh")
                .header("Retry-After", "1");
            self.send(&answer.finish(), to).await;
            return;
        }
        let Some(Answered {
            answer,
            said,
            life,
            refused,
        }) = self.answerer.handle(request, source, now)
        else {
            return;
        };
        // The answer goes out before anything is done about what was said.
        self.send(&answer, to).await;
        if let Some(key) = key {
            self.servers.remember(key, answer, now);
        }
        match refused {
            Some((reason, text)) => {
                let times = self.reject(reason);
                // Repeated with every state of the second server: said ever more rarely.
                if reason == "second_eid" && times.is_power_of_two() {
                    tracing::warn!(%source, speaker = ?self.answerer.speaker(), reason = text, "publish refused");
                } else {
                    tracing::debug!(%source, reason = text, "request refused");
                }
            }
            None => {
                self.shared
                    .counters
                    .lock()
                    .expect("no holder of this lock panics")
                    .taken += 1
            }
        }
        if let Some(said) = said {
            // There is room, and this task alone sends: only an ending bridge listens no more.
            if self.said.try_send(said).is_err() {
                return;
            }
        }
        if life || source == self.pbx {
            self.alive();
        }
    }

    fn response(&mut self, response: Response) {
        let Some(branch) = response.branch() else {
            self.reject("datagram");
            return;
        };
        if response.status < 200 {
            self.clients.proceeding(&branch);
        } else if let Some(reply) = self.clients.answered(&branch) {
            self.alive();
            drop(reply.send(Some(response)));
        }
    }

    fn alive(&mut self) {
        let now = self.clock.now();
        let last = self.shared.heard_ms.swap(
            u64::try_from(now.as_millis()).unwrap_or(u64::MAX).max(1),
            Ordering::Relaxed,
        );
        // After a silence everything that waits is sent again at once.
        if now.saturating_sub(Duration::from_millis(last)) > Duration::from_secs(1) {
            self.clients.nudge(now);
        }
        self.shared.heard.notify_one();
    }

    async fn send(&self, bytes: &Bytes, to: SocketAddr) {
        if let Err(error) = self.socket.send_to(bytes, to).await {
            tracing::debug!(%to, %error, "datagram not sent");
        }
    }

    /// Counts a refusal; says how often this reason was met.
    fn reject(&self, reason: &'static str) -> u64 {
        let mut counters = self
            .shared
            .counters
            .lock()
            .expect("no holder of this lock panics");
        let times = counters.rejected.entry(reason).or_default();
        *times += 1;
        *times
    }
}
