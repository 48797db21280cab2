//! What may be wrong with a scenario file.

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use thiserror::Error;

use crate::proto::ConfigError;

/// A scenario file is of no use. Nothing was run.
#[derive(Debug, Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something in it is wrong.
    #[error("{file}:{line}: {problem}")]
    Wrong {
        /// The file.
        file: String,
        /// Where, from 1.
        line: usize,
        /// What.
        problem: Problem,
    },
}

/// What is wrong at one place of a file. Keys are told with their table: `network.loss`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Problem {
    #[error("{0}")]
    Syntax(String),
    #[error("unknown key {key:?}, the nearest known key is {nearest}")]
    UnknownKey { key: String, nearest: String },
    #[error("{key} is missing")]
    Missing { key: String },
    #[error("{key}: must be {bound}, not {found}")]
    Value {
        key: String,
        bound: String,
        found: String,
    },
    #[error("{key}: there is no node {node:?}, the nodes are {nodes}")]
    UnknownNode {
        key: String,
        node: String,
        nodes: String,
    },
    #[error("{key}: {name:?} stands here twice")]
    Twice { key: String, name: String },
    #[error("{key}: names no node")]
    NoNode { key: String },
    #[error("a fault needs one of {verbs}")]
    NoVerb { verbs: String },
    #[error("a fault has one verb, not both {first} and {second}")]
    TwoVerbs { first: String, second: String },
    #[error("{key} goes with {verb} only")]
    NotWithout { key: String, verb: String },
    #[error("{key}: {node:?} is in no region")]
    NoRegion { key: String, node: String },
    #[error("{key}: there is no region {region:?}, the regions are {regions}")]
    UnknownRegion {
        key: String,
        region: String,
        regions: String,
    },
    #[error("{key}: says nothing about {from} and {to}, give \"{from}-{to}\"")]
    NoLatency {
        key: String,
        from: String,
        to: String,
    },
    #[error("timing.{0}")]
    Timing(#[from] ConfigError),
    #[error(
        "{nodes} nodes that each keep {entries} entries need about {needed} MiB, at most {bound} MiB are allowed"
    )]
    TooLarge {
        nodes: usize,
        entries: u64,
        needed: u64,
        bound: u64,
    },
}

/// A problem, and where it is in the text.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) span: Range<usize>,
    pub(super) problem: Problem,
}

impl Wrong {
    pub(super) fn at(self, file: String, text: &str) -> FileError {
        let before = &text.as_bytes()[..self.span.start.min(text.len())];
        FileError::Wrong {
            file,
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
            problem: self.problem,
        }
    }
}
