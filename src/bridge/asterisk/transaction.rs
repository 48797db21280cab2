//! Non-INVITE transactions over UDP (RFC 3261, 17.1.2 and 17.2.2): repeat what got no answer, and answer what
//! is repeated with the same words.
//!
//! Two tables without sockets or clocks; [`Link`](super::link::Link) owns both.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

/// How often a request is repeated and when it is given up.
///
/// ```
/// use presence_mesh::bridge::asterisk::Retransmit;
/// use std::time::Duration;
/// let impatient = Retransmit { give_up: Duration::from_secs(8), ..Retransmit::default() };
/// assert_eq!(impatient.first, Duration::from_millis(500));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retransmit {
    /// The wait before the first repetition; doubles each time. RFC 3261: 500 ms (T1).
    pub first: Duration,
    /// The longest wait between two repetitions. RFC 3261: 4 s (T2).
    pub longest: Duration,
    /// When a request without an answer is given up. RFC 3261: 32 s (64 × T1).
    pub give_up: Duration,
}

impl Default for Retransmit {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(4),
            give_up: Duration::from_secs(32),
        }
    }
}

/// How many requests may be outstanding. One per stream and one probe are; when full, a new one is refused.
pub(super) const MAX_CLIENT_TRANSACTIONS: usize = 64;
/// How many answers are remembered for repetition. Asterisk has one request outstanding per publication, so a
/// few would do; when full, the oldest is forgotten, and a repetition of its request is then handled anew.
pub(super) const MAX_SERVER_TRANSACTIONS: usize = 8192;
/// How long an answer is remembered (RFC 3261, timer J).
pub(super) const ANSWER_KEPT: Duration = Duration::from_secs(32);

/// Our requests that wait for an answer, by branch.
#[derive(Debug)]
pub(super) struct ClientTransactions<T> {
    open: BTreeMap<String, Outstanding<T>>,
}

#[derive(Debug)]
struct Outstanding<T> {
    bytes: Bytes,
    wait: Duration,
    longest: Duration,
    next_at: Duration,
    give_up_at: Duration,
    owner: T,
}

/// What [`ClientTransactions::poll`] found due.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due<T> {
    /// Send these bytes again.
    Repeat(Bytes),
    /// There was no answer; the owner is told.
    GivenUp(T),
}

impl<T> ClientTransactions<T> {
    pub(super) fn new() -> Self {
        Self {
            open: BTreeMap::new(),
        }
    }

    /// Notes a request that was just sent. Gives the owner back when the table is full.
    pub(super) fn start(
        &mut self,
        branch: String,
        bytes: Bytes,
        timing: Retransmit,
        owner: T,
        now: Duration,
    ) -> Result<(), T> {
        if self.open.len() >= MAX_CLIENT_TRANSACTIONS {
            return Err(owner);
        }
        let outstanding = Outstanding {
            bytes,
            wait: timing.first,
            longest: timing.longest,
            next_at: now + timing.first,
            give_up_at: now + timing.give_up,
            owner,
        };
        self.open.insert(branch, outstanding);
        Ok(())
    }

    /// A final answer came: the owner, once.
    pub(super) fn answered(&mut self, branch: &str) -> Option<T> {
        self.open
            .remove(branch)
            .map(|outstanding| outstanding.owner)
    }

    /// A provisional answer came: it is being worked on, repeat slowly (RFC 3261, 17.1.2.2).
    pub(super) fn proceeding(&mut self, branch: &str) {
        if let Some(outstanding) = self.open.get_mut(branch) {
            outstanding.wait = outstanding.longest;
        }
    }

    /// The other side showed life: whatever waits is repeated at once instead of after up to T2.
    pub(super) fn nudge(&mut self, now: Duration) {
        for outstanding in self.open.values_mut() {
            outstanding.next_at = now;
        }
    }

    /// The next thing that is due.
    pub(super) fn poll(&mut self, now: Duration) -> Option<Due<T>> {
        let given_up = self
            .open
            .iter()
            .find(|(_, open)| open.give_up_at <= now)
            .map(|(branch, _)| branch.clone());
        if let Some(branch) = given_up {
            return self.answered(&branch).map(Due::GivenUp);
        }
        let open = self.open.values_mut().find(|open| open.next_at <= now)?;
        open.wait = (open.wait * 2).min(open.longest);
        open.next_at = now + open.wait;
        Some(Due::Repeat(open.bytes.clone()))
    }

    /// When [`poll`](Self::poll) is worth calling.
    pub(super) fn next_at(&self) -> Option<Duration> {
        self.open
            .values()
            .map(|open| open.next_at.min(open.give_up_at))
            .min()
    }
}

/// The answers given lately, by transaction.
#[derive(Debug, Default)]
pub(super) struct ServerTransactions {
    answers: HashMap<String, Bytes>,
    order: VecDeque<(Duration, String)>,
}

impl ServerTransactions {
    /// The answer already given to this request.
    pub(super) fn answer(&mut self, key: &str, now: Duration) -> Option<Bytes> {
        while self
            .order
            .front()
            .is_some_and(|(at, _)| *at + ANSWER_KEPT <= now)
        {
            self.forget_oldest();
        }
        self.answers.get(key).cloned()
    }

    /// Remembers an answer.
    pub(super) fn remember(&mut self, key: String, answer: Bytes, now: Duration) {
        if self.order.len() >= MAX_SERVER_TRANSACTIONS {
            self.forget_oldest();
        }
        if self.answers.insert(key.clone(), answer).is_none() {
            self.order.push_back((now, key));
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.order.pop_front() {
            self.answers.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_request_is_repeated_as_the_rfc_says_and_given_up_after_32_s() {
        let mut table = ClientTransactions::new();
        table
            .start(
                "b".into(),
                Bytes::from_static(b"x"),
                Retransmit::default(),
                1,
                ms(0),
            )
            .expect("room");
        let mut sent_at = Vec::new();
        let given_up_at = loop {
            let now = table.next_at().expect("open");
            match table.poll(now).expect("due") {
                Due::Repeat(_) => sent_at.push(u64::try_from(now.as_millis()).expect("small")),
                Due::GivenUp(1) => break now,
                Due::GivenUp(_) => unreachable!(),
            }
        };
        assert_eq!(
            sent_at,
            [
                500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500
            ]
        );
        assert_eq!(given_up_at, ms(32_000));
        assert_eq!(table.next_at(), None);
    }

    #[test]
    fn an_answer_ends_it_once() {
        let mut table = ClientTransactions::new();
        table
            .start("b".into(), Bytes::new(), Retransmit::default(), 7, ms(0))
            .expect("room");
        assert_eq!(table.answered("other"), None);
        assert_eq!(table.answered("b"), Some(7));
        assert_eq!(table.answered("b"), None);
        assert_eq!(table.poll(ms(60_000)), None);
    }

    #[test]
    fn a_sign_of_life_repeats_at_once() {
        let mut table = ClientTransactions::new();
        table
            .start("b".into(), Bytes::new(), Retransmit::default(), (), ms(0))
            .expect("room");
        assert_eq!(table.poll(ms(100)), None);
        table.nudge(ms(100));
        assert_eq!(table.poll(ms(100)), Some(Due::Repeat(Bytes::new())));
        assert_eq!(table.poll(ms(100)), None);
    }

    #[test]
    fn a_full_table_refuses() {
        let mut table = ClientTransactions::new();
        for n in 0..MAX_CLIENT_TRANSACTIONS {
            table
                .start(n.to_string(), Bytes::new(), Retransmit::default(), n, ms(0))
                .expect("room");
        }
        assert_eq!(
            table.start(
                "more".into(),
                Bytes::new(),
                Retransmit::default(),
                99,
                ms(0)
            ),
            Err(99)
        );
    }

    #[test]
    fn answers_are_kept_for_32_s_and_bounded() {
        let mut table = ServerTransactions::default();
        table.remember("a".into(), Bytes::from_static(b"A"), ms(0));
        assert_eq!(
            table.answer("a", ms(31_999)),
            Some(Bytes::from_static(b"A"))
        );
        assert_eq!(table.answer("a", ms(32_000)), None);
        for n in 0..MAX_SERVER_TRANSACTIONS + 10 {
            table.remember(n.to_string(), Bytes::new(), ms(40_000));
        }
        assert_eq!(table.answers.len(), MAX_SERVER_TRANSACTIONS);
        assert_eq!(table.answer("9", ms(40_000)), None);
        assert!(table.answer("10", ms(40_000)).is_some());
    }
}
