//! What came of a run.

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::histogram::Histogram;

/// What came of one run.
///
/// As JSON: `scenario`, `seed`, `verdict` (`"pass"` or `"fail"`), `violation` (`null` when it passed),
/// `trace_hash` and `figures`.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The scenario's name.
    pub scenario: String,
    /// The seed it ran with.
    pub seed: u64,
    /// Whether every promise was kept.
    pub verdict: Verdict,
    /// Hash of everything that happened, 32 hex digits: the same scenario and seed give the same on any
    /// machine.
    pub trace_hash: String,
    /// What was counted.
    pub figures: Figures,
}

/// Whether every promise was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every checker was content.
    Pass,
    /// A checker saw a promise broken; the run ended there.
    Fail(Violation),
}

impl Serialize for Outcome {
    /// With a verdict that a script can compare.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (verdict, violation) = match &self.verdict {
            Verdict::Pass => ("pass", None),
            Verdict::Fail(violation) => ("fail", Some(violation)),
        };
        let mut fields = serializer.serialize_struct("Outcome", 6)?;
        fields.serialize_field("scenario", &self.scenario)?;
        fields.serialize_field("seed", &self.seed)?;
        fields.serialize_field("verdict", verdict)?;
        fields.serialize_field("violation", &violation)?;
        fields.serialize_field("trace_hash", &self.trace_hash)?;
        fields.serialize_field("figures", &self.figures)?;
        fields.end()
    }
}

/// A promise was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The checker that saw it, by name.
    pub checker: String,
    /// When, in µs of virtual time.
    pub at_us: u64,
    /// At which node, by name.
    pub node: Option<String>,
    /// What was expected and what was found.
    pub text: String,
}

/// What was counted in a run. Times are µs of virtual time.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Figures {
    /// How long the run lasted.
    pub virtual_us: u64,
    /// How many things happened.
    pub events: u64,
    /// Writes by the nodes' users.
    pub writes: u64,
    /// From each write to when another node's head covers it, over all nodes that ever did.
    pub seen: Histogram,
    /// From the mending until all stores were equal.
    pub converged_us: Option<u64>,
    /// The longest a lamp was shown live, or at all, beyond what its lease allows. 0 when the promise is kept.
    pub lamp_lie_us: u64,
    /// Frames handed to gossip.
    pub frames: u64,
    /// Copies of frames that arrived.
    pub copies: u64,
    /// Frames that reached a node for the first time.
    pub deliveries: u64,
    /// From the publishing of a frame until a node had it first.
    pub delivery: Histogram,
    /// Entries sent in deltas: gossiped ones once per copy, and those of anti-entropy.
    pub payload_elements: u64,
    /// Heads, wants and roots sent.
    pub metadata_units: u64,
    /// Messages lost, by cuts or chance.
    pub lost: u64,
    /// Frames dropped because a queue was full.
    pub queue_drops: u64,
    /// Whole maps sent because the asker had been away too long.
    pub resets: u64,
    /// Damaged messages that were refused.
    pub garbage_refused: u64,
    /// By node, in order.
    pub nodes: Vec<NodeFigures>,
}

/// What was counted at one node, over all its lives.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct NodeFigures {
    /// Its name.
    pub name: String,
    /// Bytes it sent, gossip and anti-entropy.
    pub sent_bytes: u64,
    /// Messages it sent.
    pub sent_messages: u64,
    /// Bytes that arrived.
    pub received_bytes: u64,
    /// Messages that arrived.
    pub received_messages: u64,
    /// Copies of gossiped frames that arrived.
    pub copies: u64,
    /// Entries alive at the end, of all origins.
    pub entries: u64,
}

/// What a report draws, besides the figures. Kept only when asked for; bounded by [`MAX_LINES`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recording {
    /// The devices whose lamps are drawn: a few, the first of the first nodes.
    pub lamps: Vec<String>,
    /// What each node showed of them, in order of time.
    pub steps: Vec<LampStep>,
    /// What was wrong, and for how long.
    pub bands: Vec<Band>,
    /// How many nodes differed from the most common store, now and then: `(at_us, nodes)`.
    pub divergence: Vec<(u64, usize)>,
    /// Noteworthy things in order of time: writes, faults, connections, reports, changes of lamps. Each is one
    /// JSON object: one line of `trace.ndjson`.
    pub lines: Vec<serde_json::Value>,
    /// Lines left out because there were too many.
    pub left_out: u64,
}

/// At most so many lines and lamp steps are recorded; the rest is counted.
pub const MAX_LINES: usize = 200_000;

/// From now on a node shows this of a lamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LampStep {
    /// When.
    pub at_us: u64,
    /// The node that shows it.
    pub node: usize,
    /// Index into [`Recording::lamps`].
    pub lamp: usize,
    /// State and freshness; `None`: nothing is shown (or the node is down).
    pub shown: Option<(crate::model::DeviceState, crate::proto::Freshness)>,
}

/// Something was wrong for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Band {
    /// From when.
    pub from_us: u64,
    /// Until when.
    pub until_us: u64,
    /// The nodes it concerns; all when empty.
    pub nodes: Vec<usize>,
    /// The verb and what it names, to be read by people.
    pub label: String,
    /// Whether links were cut or held, or a node was down: drawn as a shade.
    pub cut: bool,
}
