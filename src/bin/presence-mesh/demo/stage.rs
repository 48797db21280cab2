//! The demonstration as others steer it: what may be asked of it, and what it tells.

use std::time::Duration;

use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

/// Wishes waiting; more are refused, so that nobody can flood the demonstration.
const QUEUE: usize = 16;

/// Something to provoke.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// Cuts the network in two.
    Cut,
    /// Makes it whole again.
    Heal,
    /// Ends a node as a power cut would.
    Kill(String),
    /// Starts a killed one again.
    Revive(String),
    /// From now on: how long everything takes on its way, and what share of gossip is lost (0 to 1).
    Weather { latency: Duration, loss: f64 },
    /// Somebody calls this phone, or any, at once.
    Call(Option<String>),
}

/// A wish, and where the answer goes.
#[derive(Debug)]
pub enum Wish {
    Provoke(Fault, oneshot::Sender<Result<(), String>>),
    Look(oneshot::Sender<Scene>),
}

/// How things stand.
#[derive(Debug, Serialize)]
pub struct Scene {
    pub nodes: Vec<Actor>,
    /// `whole`, `cut`, `healing`.
    pub phase: &'static str,
    pub latency_ms: u64,
    pub loss_percent: u64,
    /// How long changes took until every node showed them.
    pub median_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// The latest change, as a line.
    pub last: String,
    /// What happened, the oldest first; changes of lamps left out.
    pub log: Vec<Line>,
}

/// A node of the demonstration.
#[derive(Debug, Serialize)]
pub struct Actor {
    pub node: String,
    pub running: bool,
    /// Nodes of one number reach each other.
    pub side: u8,
    pub digest: String,
    /// Lamps it does not believe.
    pub stale: usize,
    pub gone: usize,
}

/// A line of the log; numbers never come twice.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    pub number: u64,
    pub at: String,
    pub text: String,
}

/// Asks things of the demonstration. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stage(mpsc::Sender<Wish>);

impl Stage {
    /// The stage, and where its wishes arrive.
    pub fn new() -> (Self, mpsc::Receiver<Wish>) {
        let (sender, wishes) = mpsc::channel(QUEUE);
        (Self(sender), wishes)
    }

    /// Provokes a fault.
    ///
    /// # Errors
    /// `None` when the demonstration is over or busy, else why it cannot be.
    pub async fn provoke(&self, fault: Fault) -> Result<(), Option<String>> {
        let (answer, answered) = oneshot::channel();
        self.0
            .try_send(Wish::Provoke(fault, answer))
            .map_err(|_| None)?;
        answered.await.map_err(|_| None)?.map_err(Some)
    }

    /// How things stand; `None` when the demonstration is over or busy.
    pub async fn look(&self) -> Option<Scene> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Wish::Look(answer)).ok()?;
        answered.await.ok()
    }
}
