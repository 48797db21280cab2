//! What two replicas say to each other to repair what was lost.

use serde::{Deserialize, Serialize};

use super::WIRE_VERSION;
use super::codec::{DecodeError, end, open, push, take};
use super::events::{EventsWanted, MAX_KNOWN_EVENTS, RememberedFrame};
use super::keys::{Digest, MeshId};
use super::part::Part;
use crate::crdt::{Head, MAX_SEQ, Resume};
use crate::model::{Incarnation, ReplicaId};

/// The longest request or response, in bytes.
pub const MAX_SYNC_BYTES: usize = 256 * 1024;
/// How many bytes of entries an answerer puts into one response; the rest is left for headers.
pub const PART_BUDGET_BYTES: usize = 192 * 1024;
/// How many heads fit one message: each takes at most 75 bytes.
pub const MAX_HEADS_PER_MESSAGE: usize = 3_000;

/// What one replica asks another.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// Is your store equal to mine? Answered by [`Answer::Equal`] or [`Answer::Heads`].
    Root(Digest),
    /// Your heads of replicas after this one, please. Answered by [`Answer::Heads`].
    Heads(Option<ReplicaId>),
    /// I am ahead of you here: pull. Answered by [`Answer::Noted`].
    Have(Vec<HeadInfo>),
    /// Send me what I lack. Answered by [`Answer::Parts`].
    Pull(Vec<Want>),
    /// What do you remember of events that I lack? Answered by [`Answer::Events`].
    Events(EventsWanted),
}

/// What the other answers, and what it says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The answerer, at the moment of its answer: proof that it was alive after the request was sent.
    pub about: About,
    /// The answer itself.
    pub answer: Answer,
}

/// The answerer's own clocks at the moment of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Its life.
    pub incarnation: Incarnation,
    /// ms since its start, time asleep included.
    pub up_ms: u64,
    /// Its wall clock, ms since the Unix epoch.
    pub wall_ms: u64,
}

/// The answer to a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// Our stores are equal.
    Equal,
    /// What the answerer has, ordered by replica.
    Heads {
        /// At most [`MAX_HEADS_PER_MESSAGE`].
        heads: Vec<HeadInfo>,
        /// Whether replicas after the last one are left out: ask with [`Request::Heads`].
        more: bool,
    },
    /// Thank you.
    Noted,
    /// What was asked for, as far as it fits.
    Parts {
        /// In the order of the wants.
        parts: Vec<Part>,
        /// Whether wants were left unanswered for lack of room: ask again.
        more: bool,
    },
    /// What is remembered of what was asked for, as far as it fits.
    Events {
        /// Ordered by origin, and those of one origin by their numbers.
        frames: Vec<RememberedFrame>,
        /// Whether some were left out for lack of room: ask again.
        more: bool,
    },
}

/// What someone has of one origin, and how old its news of it is. Not proof: only a reason to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadInfo {
    /// The origin.
    pub replica: ReplicaId,
    /// 0 until parts of the keys can be replicated on their own.
    pub shard: u16,
    /// How far it is known without gaps.
    pub head: Head,
    /// When the teller last knew the origin alive; `None` when it cannot tell.
    pub alive: Option<Alive>,
    /// Whether the origin has said that it leaves.
    pub left: bool,
    /// Whether the origin has said that it settled.
    pub settled: bool,
}

/// When someone last knew an origin alive, on two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alive {
    /// So many ms before this message was made.
    pub age_ms: u64,
    /// The origin's own clock then: ms since its start.
    pub up_ms: u64,
}

/// What is wanted of one origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// The origin.
    pub replica: ReplicaId,
    /// 0 until parts of the keys can be replicated on their own.
    pub shard: u16,
    /// The asker's head of it.
    pub head: Head,
    /// Goes on with a transfer that was begun.
    pub resume: Option<Resume>,
}

#[derive(Serialize, Deserialize)]
enum RequestBytes {
    Root(Digest),
    Heads(Option<ReplicaId>),
    Have(Vec<HeadInfo>),
    Pull(Vec<Want>),
    Events(EventsWanted),
}

#[derive(Serialize, Deserialize)]
enum AnswerTag {
    Equal,
    Heads { more: bool },
    Noted,
    Parts { more: bool },
    Events { more: bool },
}

impl Request {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let record = match self {
            Self::Root(root) => RequestBytes::Root(*root),
            Self::Heads(after) => RequestBytes::Heads(*after),
            Self::Have(heads) => RequestBytes::Have(heads.clone()),
            Self::Pull(wants) => RequestBytes::Pull(wants.clone()),
            Self::Events(wanted) => RequestBytes::Events(wanted.clone()),
        };
        let mut bytes = vec![WIRE_VERSION];
        push(&mut bytes, &record);
        assert!(bytes.len() <= MAX_SYNC_BYTES, "requests are made to fit");
        bytes
    }

    /// Reads a request.
    ///
    /// # Errors
    /// When the bytes are too many or make no sense.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (record, rest) = take(open(bytes, MAX_SYNC_BYTES)?, "a request")?;
        end(rest)?;
        Ok(match record {
            RequestBytes::Root(root) => Self::Root(root),
            RequestBytes::Heads(after) => Self::Heads(after),
            RequestBytes::Have(heads) => {
                check_heads(&heads)?;
                Self::Have(heads)
            }
            RequestBytes::Pull(wants) => {
                if wants.iter().any(|want| want.head.seq > MAX_SEQ) {
                    return Err(DecodeError::Malformed("a want"));
                }
                Self::Pull(wants)
            }
            RequestBytes::Events(wanted) => {
                if wanted.known.len() > MAX_KNOWN_EVENTS {
                    return Err(DecodeError::Malformed("wanted events"));
                }
                Self::Events(wanted)
            }
        })
    }
}

impl Response {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![WIRE_VERSION];
        push(&mut bytes, &self.about);
        match &self.answer {
            Answer::Equal => push(&mut bytes, &AnswerTag::Equal),
            Answer::Noted => push(&mut bytes, &AnswerTag::Noted),
            Answer::Heads { heads, more } => {
                push(&mut bytes, &AnswerTag::Heads { more: *more });
                heads.iter().for_each(|head| push(&mut bytes, head));
            }
            Answer::Parts { parts, more } => {
                push(&mut bytes, &AnswerTag::Parts { more: *more });
                parts.iter().for_each(|part| part.push(&mut bytes));
            }
            Answer::Events { frames, more } => {
                push(&mut bytes, &AnswerTag::Events { more: *more });
                frames.iter().for_each(|frame| frame.push(&mut bytes));
            }
        }
        assert!(bytes.len() <= MAX_SYNC_BYTES, "responses are made to fit");
        bytes
    }

    /// Reads a response, and checks the signature of every header in it.
    ///
    /// Costs tens of µs for each part: call it outside any lock.
    ///
    /// # Errors
    /// When the bytes are too many or make no sense, or a header is not genuine.
    pub fn decode(bytes: &[u8], mesh: &MeshId) -> Result<Self, DecodeError> {
        let (about, rest) = take(open(bytes, MAX_SYNC_BYTES)?, "a response")?;
        let (tag, mut rest) = take(rest, "a response")?;
        let answer = match tag {
            AnswerTag::Equal => Answer::Equal,
            AnswerTag::Noted => Answer::Noted,
            AnswerTag::Heads { more } => {
                let mut heads = Vec::new();
                while !rest.is_empty() {
                    let (head, after) = take(rest, "a head")?;
                    heads.push(head);
                    rest = after;
                }
                check_heads(&heads)?;
                Answer::Heads { heads, more }
            }
            AnswerTag::Parts { more } => {
                let mut parts = Vec::new();
                while !rest.is_empty() {
                    let (part, after) = Part::take(rest, mesh)?;
                    parts.push(part);
                    rest = after;
                }
                Answer::Parts { parts, more }
            }
            AnswerTag::Events { more } => {
                let mut frames = Vec::new();
                while !rest.is_empty() {
                    let (frame, after) = RememberedFrame::take(rest, mesh)?;
                    frames.push(frame);
                    rest = after;
                }
                Answer::Events { frames, more }
            }
        };
        end(rest)?;
        Ok(Self { about, answer })
    }
}

fn check_heads(heads: &[HeadInfo]) -> Result<(), DecodeError> {
    let sane = heads.iter().all(|info| info.head.seq <= MAX_SEQ);
    if sane {
        Ok(())
    } else {
        Err(DecodeError::Malformed("a head"))
    }
}
