//! One watcher for all who follow the same: what changes is made into bytes once, and shared.
//!
//! A task takes what a [`Source`] tells, and appends it to a log in batches; each [`Reader`] has a place in the log
//! and writes from there to its client. What a client costs is what its connection buffers; the log is bounded,
//! and whoever reads so slowly that its place was dropped is told to resynchronise and gets all there is, in bytes
//! that are shared too. No reader slows another, nor the node: they are told in [turns], a few at a time.

mod log;
mod turns;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use futures::stream::BoxStream;
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use presence_mesh::{Pattern, ReplicaId};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Problem, room};
use log::{Batch, Dropped, Log};
use turns::{Group, Turns};

/// A batch is closed when it is this long; also how much of all there is a reader takes at a time.
const BATCH_BYTES: usize = 64 * 1024;
/// What small batches are joined to, so that whoever is told of several takes them in one write.
const JOINED_BYTES: usize = 16 * 1024;
/// All there is is made anew for those who ask only after this time: who comes meanwhile gets the same bytes, and
/// what changed since.
const SHARED_FOR: Duration = Duration::from_millis(250);
/// Requests for all there is that wait to be taken up; who asks meanwhile waits.
const WAITING_REQUESTS: usize = 64;
/// Custom namespaces followed at once, each with a log; further ones get 503. Besides them there are four.
const MAX_NAMESPACES: usize = 64;
/// How often something is sent when there is nothing to say, so that either side notices a dead connection.
const COMMENT_EVERY: Duration = Duration::from_secs(15);
const COMMENT: &[u8] = b":\n\n";
const RESYNC: &[u8] = b"event: resync\ndata: {}\n\n";

/// What is followed.
pub struct Source {
    /// What happens, from now on.
    pub told: BoxStream<'static, Told>,
    /// All there is at this moment that a pattern matches, as events.
    pub all: Box<AllOf>,
}

/// Makes events of what matches.
pub type AllOf = dyn Fn(&Pattern) -> Vec<u8> + Send;

/// What a source tells.
#[derive(Debug)]
pub enum Told {
    Event {
        /// What it is about; `None` concerns everybody, whatever the pattern.
        about: Option<About>,
        bytes: Vec<u8>,
    },
    /// Something was left out.
    Gap,
}

/// The key, and whose own it is where each origin's is shown apart.
pub type About = (Arc<str>, Option<ReplicaId>);

/// All that is followed now.
#[derive(Debug, Default)]
pub struct Broadcasts(Mutex<BTreeMap<String, Weak<Broadcast>>>);

impl Broadcasts {
    /// The broadcast of this name, which has a slash if it is of a namespace; started if there is none. Must be
    /// called within a tokio runtime.
    pub fn get(
        &self,
        name: &str,
        source: impl FnOnce() -> Result<Source, Problem>,
    ) -> Result<Arc<Broadcast>, Problem> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, known| known.upgrade().is_some_and(|known| !known.is_over()));
        if let Some(known) = all.get(name).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let is_namespace = |name: &str| name.contains('/');
        let namespaces = all.keys().filter(|name| is_namespace(name)).count();
        if is_namespace(name) && namespaces >= MAX_NAMESPACES {
            return Err(unavailable("too many namespaces are followed"));
        }
        let started = Arc::new(Broadcast::start(source()?));
        all.insert(name.to_owned(), Arc::downgrade(&started));
        Ok(started)
    }
}

/// Something that is followed. Ends with its source, or with its last reader.
#[derive(Debug)]
pub struct Broadcast {
    log: Arc<Mutex<Log>>,
    group: Group,
    requests: mpsc::Sender<Request>,
}

impl Broadcast {
    fn start(source: Source) -> Self {
        let log = Arc::<Mutex<Log>>::default();
        let (turns, group) = Turns::new();
        let (requests, requested) = mpsc::channel(WAITING_REQUESTS);
        let teller = Teller {
            source,
            log: log.clone(),
            turns,
            whole: None,
            over: false,
        };
        tokio::spawn(teller.run(requested));
        Self {
            log,
            group,
            requests,
        }
    }

    fn is_over(&self) -> bool {
        self.requests.is_closed()
    }

    /// Follows what `pattern` matches, from all there is on.
    ///
    /// # Errors
    /// 503 when there is no room for all there is, or the source has just ended.
    pub async fn follow(self: &Arc<Self>, pattern: Pattern) -> Result<Reader, Problem> {
        let all = self.all(&pattern).await?;
        Ok(Reader {
            broadcast: self.clone(),
            head: self.group.join(),
            pattern,
            next: all.next,
            ready: all.into_pieces(&[]),
            quiet_since: Instant::now(),
        })
    }

    async fn all(&self, pattern: &Pattern) -> Result<All, Problem> {
        let over = || unavailable("the node has left the mesh");
        let (answer, answered) = oneshot::channel();
        let pattern = pattern.clone();
        let sent = self.requests.send(Request { pattern, answer }).await;
        sent.map_err(|_| over())?;
        answered.await.map_err(|_| over())?
    }

    fn read(&self, next: u64, pattern: &Pattern) -> Read {
        let batches = match lock(&self.log).from(next, JOINED_BYTES) {
            Ok(batches) => batches,
            Err(Dropped) => return Read::Dropped,
        };
        match &batches[..] {
            [] => Read::Nothing,
            [one] => Read::Batches(one.wanted(pattern), 1),
            several => {
                let mut joined = Vec::new();
                for batch in several {
                    joined.extend_from_slice(&batch.wanted(pattern));
                }
                Read::Batches(joined.into(), several.len() as u64)
            }
        }
    }
}

enum Read {
    /// What is wanted of so many batches.
    Batches(Bytes, u64),
    Nothing,
    Dropped,
}

/// One who follows, at its place in the log.
#[derive(Debug)]
pub struct Reader {
    broadcast: Arc<Broadcast>,
    head: watch::Receiver<u64>,
    pattern: Pattern,
    /// To be sent before anything else.
    ready: VecDeque<Bytes>,
    /// The number of the batch after those.
    next: u64,
    quiet_since: Instant,
}

impl Reader {
    /// The bytes for its client, in pieces; ends when the source does, or when there is no room to resynchronise.
    pub fn into_stream(self) -> impl Stream<Item = Bytes> + Send + 'static {
        stream::unfold(self, async |mut reader| {
            let bytes = reader.next().await?;
            reader.quiet_since = Instant::now();
            Some((bytes, reader))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(front) = self.ready.front_mut() {
                let piece = front.split_to(front.len().min(BATCH_BYTES));
                if front.is_empty() {
                    self.ready.pop_front();
                }
                return Some(piece);
            }
            self.head.borrow_and_update();
            match self.broadcast.read(self.next, &self.pattern) {
                Read::Batches(bytes, count) => {
                    self.next += count;
                    self.ready.extend((!bytes.is_empty()).then_some(bytes));
                }
                Read::Dropped => {
                    let all = self.broadcast.all(&self.pattern).await.ok()?;
                    self.next = all.next;
                    self.ready = all.into_pieces(RESYNC);
                }
                Read::Nothing => {
                    let comment_at = self.quiet_since + COMMENT_EVERY;
                    match timeout_at(comment_at, self.head.changed()).await {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) => return None,
                        Err(_) => return Some(Bytes::from_static(COMMENT)),
                    }
                }
            }
        }
    }
}

/// Who asks for all there is.
struct Request {
    pattern: Pattern,
    answer: oneshot::Sender<Result<All, Problem>>,
}

/// All there is, and the number of the first batch that says what changed since.
#[derive(Debug, Clone)]
struct All {
    bytes: Bytes,
    next: u64,
}

impl All {
    fn into_pieces(self, before: &'static [u8]) -> VecDeque<Bytes> {
        let pieces = [Bytes::from_static(before), self.bytes].into_iter();
        pieces.filter(|piece| !piece.is_empty()).collect()
    }
}

/// The task that fills the log.
struct Teller {
    source: Source,
    log: Arc<Mutex<Log>>,
    turns: Turns,
    /// All there is, for those who ask next.
    whole: Option<(Instant, All)>,
    over: bool,
}

impl Teller {
    async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while !self.over {
            let turn = self.turns.next_at(Instant::now());
            tokio::select! {
                request = requests.recv() => match request {
                    Some(request) => self.answer(request),
                    None => return,
                },
                () = sleep_until(turn.unwrap_or_else(Instant::now)), if turn.is_some() => {
                    let waiting = self.waiting();
                    self.publish(waiting);
                    self.turns.take(Instant::now());
                }
                told = self.source.told.next(), if turn.is_none() => match told {
                    Some(first) => {
                        let rest = self.waiting();
                        self.publish([first].into_iter().chain(rest));
                        self.turns.take(Instant::now());
                    }
                    None => return,
                },
            }
        }
        self.turns.end();
    }

    /// What the source tells without being waited for.
    fn waiting(&mut self) -> Vec<Told> {
        let mut waiting = Vec::new();
        while let Some(told) = self.source.told.next().now_or_never() {
            match told {
                Some(told) => waiting.push(told),
                None => {
                    self.over = true;
                    break;
                }
            }
        }
        waiting
    }

    fn publish(&mut self, told: impl IntoIterator<Item = Told>) {
        let mut log = lock(&self.log);
        let (mut bytes, mut parts) = (Vec::new(), Vec::new());
        for told in told {
            match told {
                Told::Event {
                    about,
                    bytes: event,
                } => {
                    bytes.extend(event);
                    parts.push((about, bytes.len()));
                    if bytes.len() >= BATCH_BYTES {
                        log.push(Batch::of(&mut bytes, &mut parts));
                    }
                }
                Told::Gap => {
                    bytes.clear();
                    parts.clear();
                    log.forget();
                }
            }
        }
        if !bytes.is_empty() {
            log.push(Batch::of(&mut bytes, &mut parts));
        }
        let head = log.head();
        drop(log);
        self.whole
            .take_if(|(made_at, _)| made_at.elapsed() > SHARED_FOR);
        self.turns.advance(head);
    }

    fn answer(&mut self, request: Request) {
        let everything = request.pattern == Pattern::any();
        self.whole.take_if(|(made_at, all)| {
            made_at.elapsed() > SHARED_FOR || !lock(&self.log).has(all.next)
        });
        let all = match &self.whole {
            Some((_, all)) if everything => Ok(all.clone()),
            _ => self.all(&request.pattern),
        };
        if let (true, None, Ok(all)) = (everything, &self.whole, &all) {
            self.whole = Some((Instant::now(), all.clone()));
        }
        // Whoever asked may be gone.
        let _ = request.answer.send(all);
    }

    /// # Errors
    /// When there is no room for it.
    fn all(&mut self, pattern: &Pattern) -> Result<All, Problem> {
        let before = self.waiting();
        self.publish(before);
        let mut bytes = (self.source.all)(pattern);
        // What changed while it was made may be in it or not. The last of it is told with it: told in full, it
        // would show values that were overwritten already.
        let mut next = self.turns.head();
        let meanwhile = self.waiting();
        if !meanwhile.iter().any(|told| matches!(told, Told::Gap)) {
            let mut last = BTreeMap::new();
            for told in &meanwhile {
                if let Told::Event {
                    about: Some(about),
                    bytes,
                } = told
                    && pattern.matches(&about.0)
                {
                    last.insert(about, bytes);
                }
            }
            last.values().for_each(|change| bytes.extend(*change));
            self.publish(meanwhile);
            next = self.turns.head();
        } else {
            // Its place is dropped with this: it will ask again.
            self.publish(meanwhile);
        }
        let bytes = room::hold(bytes)?;
        Ok(All { bytes, next })
    }
}

fn lock(log: &Mutex<Log>) -> std::sync::MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unavailable(detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::UnboundedSender;

    use super::log::LOG_BYTES;
    use super::*;

    /// What a test tells, and the state that `all` shows: the text that was put there last.
    fn source() -> (UnboundedSender<Told>, Arc<Mutex<String>>, Source) {
        let (sender, mut told) = mpsc::unbounded_channel();
        let state = Arc::new(Mutex::new(String::new()));
        let shown = state.clone();
        let source = Source {
            told: stream::poll_fn(move |context| told.poll_recv(context)).boxed(),
            all: Box::new(move |_| shown.lock().unwrap().clone().into_bytes()),
        };
        (sender, state, source)
    }

    fn event(key: &str, text: &str) -> Told {
        Told::Event {
            about: Some((key.into(), None)),
            bytes: text.into(),
        }
    }

    async fn piece(reader: &mut Reader) -> String {
        let piece = reader.next().await.expect("it goes on");
        String::from_utf8(piece.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn all_readers_get_what_their_pattern_matches() {
        let (sender, state, source) = source();
        *state.lock().unwrap() = "all".to_owned();
        let broadcast = Arc::new(Broadcast::start(source));
        let mut every = broadcast.follow(Pattern::any()).await.unwrap();
        let mut some = broadcast.follow("a*".into()).await.unwrap();
        assert_eq!(
            (piece(&mut every).await, piece(&mut some).await),
            ("all".to_owned(), "all".to_owned())
        );
        for key in ["a1", "b1", "a2"] {
            sender.send(event(key, key)).unwrap();
        }
        sender
            .send(Told::Event {
                about: None,
                bytes: b"!".to_vec(),
            })
            .unwrap();
        let (mut to_every, mut to_some) = (String::new(), String::new());
        while !to_every.ends_with('!') {
            to_every += &piece(&mut every).await;
        }
        while !to_some.ends_with('!') {
            to_some += &piece(&mut some).await;
        }
        assert_eq!((&*to_every, &*to_some), ("a1b1a2!", "a1a2!"));
        drop(sender);
        assert!(every.next().await.is_none() && some.next().await.is_none());
        assert!(broadcast.is_over() && broadcast.follow(Pattern::any()).await.is_err());
    }

    /// A reader that stands still costs no more than the log, and goes on with all there is.
    #[tokio::test]
    async fn who_is_too_far_behind_is_resynchronised() {
        let (sender, state, source) = source();
        let broadcast = Arc::new(Broadcast::start(source));
        let mut slow = broadcast.follow(Pattern::any()).await.unwrap();
        let mut quick = broadcast.follow(Pattern::any()).await.unwrap();
        let text = "x".repeat(BATCH_BYTES);
        for _ in 0..2 * LOG_BYTES / BATCH_BYTES {
            sender.send(event("k", &text)).unwrap();
            assert_eq!(piece(&mut quick).await.len(), BATCH_BYTES);
        }
        {
            let log = lock(&broadcast.log);
            assert!(log.bytes <= LOG_BYTES && log.batches.len() <= LOG_BYTES / BATCH_BYTES);
        }
        *state.lock().unwrap() = "now".to_owned();
        assert_eq!(piece(&mut slow).await.as_bytes(), RESYNC);
        assert_eq!(piece(&mut slow).await, "now");
        sender.send(event("k", "then")).unwrap();
        assert_eq!(
            (piece(&mut slow).await, piece(&mut quick).await),
            ("then".to_owned(), "then".to_owned())
        );
        sender.send(Told::Gap).unwrap();
        for reader in [&mut slow, &mut quick] {
            assert_eq!(piece(reader).await.as_bytes(), RESYNC);
            assert_eq!(piece(reader).await, "now");
        }
    }

    /// What changes while all there is is read may be in it or not; nobody is shown what was overwritten by then.
    #[tokio::test]
    async fn nothing_goes_back_when_it_changes_meanwhile() {
        let (sender, _, mut source) = source();
        source.all = Box::new(move |_| {
            for text in ["a=1 ", "b=1 ", "a=2 ", "b=2 ", "c=1 "] {
                sender.send(event(&text[..1], text)).unwrap();
            }
            b"all ".to_vec()
        });
        let broadcast = Arc::new(Broadcast::start(source));
        let mut reader = broadcast.follow("z*".into()).await.unwrap();
        assert_eq!(piece(&mut reader).await, "all ");
        let mut reader = broadcast.follow("*".into()).await.unwrap();
        assert_eq!(piece(&mut reader).await, "all a=2 b=2 c=1 ");
    }

    /// Whose turn has not come yet, too.
    #[tokio::test]
    async fn everybody_is_told_the_last() {
        let (sender, _, source) = source();
        let broadcast = Arc::new(Broadcast::start(source));
        let mut readers = Vec::new();
        for _ in 0..500 {
            readers.push(broadcast.follow("*".into()).await.unwrap());
        }
        sender.send(event("k", "last")).unwrap();
        drop(sender);
        for mut reader in readers {
            assert_eq!(piece(&mut reader).await, "last");
            assert!(reader.next().await.is_none());
        }
    }

    #[tokio::test]
    async fn a_broadcast_ends_with_its_last_reader_and_there_are_not_too_many() {
        let broadcasts = Broadcasts::default();
        let start = |name: &str| broadcasts.get(name, || Ok(source().2));
        let one = broadcasts.get("device", || {
            let (sender, _, source) = source();
            std::mem::forget(sender);
            Ok(source)
        });
        let one = one.unwrap();
        let again = start("device").unwrap();
        assert!(Arc::ptr_eq(&one, &again), "one for all who follow the same");
        drop((one, again));
        assert!(broadcasts.0.lock().unwrap()["device"].upgrade().is_none());

        let mut held = Vec::new();
        for number in 0..MAX_NAMESPACES {
            let (sender, _, source) = source();
            held.push((
                sender,
                broadcasts
                    .get(&format!("custom/{number}"), || Ok(source))
                    .unwrap(),
            ));
        }
        assert_eq!(start("custom/one-more").unwrap_err().status, 503);
        assert!(start("mailbox").is_ok());
        held.pop();
        assert!(start("custom/one-more").is_ok());
    }
}
