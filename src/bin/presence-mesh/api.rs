//! The JSON of the HTTP API: written by the server, read by the client commands.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use presence_mesh::bridge::asterisk::Told;
use presence_mesh::{
    Contribution, DeviceState, Explanation, FieldValue, FoundBy, Freshness, Gap, Mesh, Peer,
    PublishedEvent, SaveStatus, Shown, SpaceId, Standing, Status,
};
use serde::{Deserialize, Serialize};

/// Where all of it lives.
pub const PREFIX: &str = "/api/v1";

/// The field of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceFields {
    pub state: DeviceState,
}

impl From<DeviceState> for DeviceFields {
    fn from(state: DeviceState) -> Self {
        Self { state }
    }
}

/// The field of a custom value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CustomFields {
    pub value: serde_json::Value,
}

impl From<serde_json::Value> for CustomFields {
    fn from(value: serde_json::Value) -> Self {
        Self { value }
    }
}

/// What is shown of one key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Object<V> {
    pub key: String,
    /// Whose own value this is, where each node's is shown apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<ReplicaIdText>,
    #[serde(flatten)]
    pub value: V,
    pub freshness: Freshness,
    pub age_ms: u64,
    pub changed_at: String,
    pub contributions: Vec<Part<V>>,
}

/// What one node says of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part<V> {
    pub node: String,
    pub replica: ReplicaIdText,
    #[serde(flatten)]
    pub value: V,
    pub freshness: Freshness,
    pub age_ms: u64,
}

/// An object, the rule that decided, and every contribution with its stamp.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explained<V> {
    pub space: String,
    pub key: String,
    #[serde(flatten)]
    pub value: V,
    pub freshness: Freshness,
    pub age_ms: u64,
    pub changed_at: String,
    /// One word: `single`, `aggregate`, `latest-writer`, `sum`, `per-origin`, `all-gone`.
    pub rule: String,
    /// The rule as a sentence.
    pub why: String,
    pub contributions: Vec<ExplainedPart<V>>,
    /// What this node's PBX was told of it; absent where there is no bridge, or none that tells such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pbx: Option<Vec<ToldPart<V>>>,
}

/// What the PBX was told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToldPart<V> {
    /// Under whose EID.
    pub eid: String,
    #[serde(flatten)]
    pub value: V,
    pub told_at: String,
    /// Something else is to be told, or the PBX may have forgotten it.
    pub pending: bool,
}

/// A contribution with its stamp.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExplainedPart<V> {
    #[serde(flatten)]
    pub part: Part<V>,
    pub stamp: StampText,
    pub written_at: String,
    /// Which adapter wrote it: `api`, `asterisk`, or a number.
    pub source: String,
    pub own: bool,
    /// Its stamp lies too far in the future: it loses until its time comes.
    pub held: bool,
    /// Of an earlier life of its node.
    pub previous: bool,
    pub wins: bool,
}

/// A stamp; numbers that JavaScript cannot hold are texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StampText {
    pub hlc: String,
    pub replica: ReplicaIdText,
    pub incarnation: String,
    pub seq: u64,
}

/// A change of what is shown, as the stream tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Changed<V> {
    pub space: String,
    pub key: String,
    /// Whose own changed, where each node's is shown apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<ReplicaIdText>,
    pub old: Option<Object<V>>,
    pub new: Option<Object<V>>,
}

/// How the node is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    pub mesh: String,
    pub node: String,
    pub replica: ReplicaIdText,
    pub incarnation: String,
    pub version: String,
    pub ready: bool,
    pub peers_connected: usize,
    pub entries: Entries,
    pub digest: String,
    /// How saving is going; null when the node keeps nothing.
    #[serde(default)]
    pub saving: Option<Saving>,
}

/// How saving is going.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saving {
    pub saves: u64,
    pub failures: u64,
    /// What the last attempt failed of; null when it worked.
    pub problem: Option<String>,
}

/// How many keys are shown, by space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Entries {
    pub device: usize,
    pub mailbox: usize,
    pub presence: usize,
    pub custom: usize,
}

/// Another node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeerObject {
    pub node: String,
    pub replica: ReplicaIdText,
    pub connected: bool,
    pub standing: Standing,
    pub rtt_ms: Option<u64>,
    pub addresses: Vec<String>,
    pub found_by: FoundBy,
    pub attributes: BTreeMap<String, String>,
    pub version: String,
    pub incarnation: String,
    /// Since it was last known alive; null when never.
    pub age_ms: Option<u64>,
    /// Gone because it said so.
    pub left: bool,
    pub clock_skew_ms: Option<i64>,
    /// How many keys it has given a value.
    pub entries: usize,
}

/// Whether a node answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PongObject {
    pub node: String,
    pub replica: ReplicaIdText,
    /// Null when it did not.
    pub rtt_ms: Option<f64>,
    pub connected: bool,
    pub standing: Standing,
}

/// An invite that was just opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteObject {
    /// The line for `join`; a secret.
    pub invite: String,
    pub mesh: String,
    pub address: String,
    pub expires_at: String,
}

/// How the bridge is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeObject {
    /// `asterisk`.
    pub bridge: String,
    /// `up`, `silent` or `gone`; null while it never was heard.
    pub pbx: Option<String>,
    /// The PBX's EID, once it said anything.
    pub eid: Option<String>,
    /// Whether its first dump is in the mesh.
    pub ready: bool,
    /// Why it refused what it was told last, and what to do; null when it took it.
    pub last_refusal: Option<String>,
    /// EIDs that several live servers have, with the nodes' names.
    pub shared_eids: BTreeMap<String, Vec<String>>,
}

/// `/livez` and `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub ok: bool,
    /// Why not; empty when ok.
    pub reasons: Vec<String>,
    /// What an operator should look at though it is ok.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// Why a request was refused (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemObject {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventObject {
    pub kind: String,
    pub node: String,
    pub replica: ReplicaIdText,
    /// Counts the events of one life of its node.
    pub seq: u64,
    pub at: String,
    pub fields: BTreeMap<String, FieldValue>,
    /// With its replica and seq it names the event for ever.
    #[serde(default)]
    pub incarnation: String,
}

/// Events that were missed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapObject {
    /// `lost`: they never arrived; `slow`: this reader did not take them in time.
    pub reason: String,
    pub missed: u64,
    /// For `lost`: whose they are, and the first and the last seq missing.
    #[serde(flatten)]
    pub lost: Option<LostObject>,
}

/// Which events never arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostObject {
    pub node: String,
    pub replica: ReplicaIdText,
    pub first: u64,
    pub last: u64,
}

/// A replica id, always written out.
pub type ReplicaIdText = String;

impl<V> Object<V> {
    pub fn new<T: Into<V>>(shown: Shown<T>) -> Self {
        Self {
            key: shown.key.to_string(),
            origin: shown.origin.map(|origin| origin.to_string()),
            value: shown.value.into(),
            freshness: shown.freshness,
            age_ms: ms(shown.age),
            changed_at: rfc3339(shown.changed_at),
            contributions: shown.contributions.into_iter().map(Part::new).collect(),
        }
    }

    pub fn age(&self) -> Duration {
        Duration::from_millis(self.age_ms)
    }
}

impl<V> Part<V> {
    fn new<T: Into<V>>(contribution: Contribution<T>) -> Self {
        Self {
            node: contribution.node.to_string(),
            replica: contribution.replica.to_string(),
            value: contribution.value.into(),
            freshness: contribution.freshness,
            age_ms: ms(contribution.age),
        }
    }
}

impl<V> Explained<V> {
    pub fn new<T: Into<V>>(
        space: &str,
        explanation: Explanation<T>,
        pbx: Option<Vec<Told<T>>>,
    ) -> Self {
        let shown = explanation.shown;
        let told = |told: Told<T>| ToldPart {
            eid: told.eid.to_string(),
            value: told.value.into(),
            told_at: rfc3339(told.at),
            pending: told.pending,
        };
        Self {
            space: space.to_owned(),
            key: explanation.key.to_string(),
            value: shown.value.into(),
            freshness: shown.freshness,
            age_ms: ms(shown.age),
            changed_at: rfc3339(shown.changed_at),
            rule: explanation.rule.name().to_owned(),
            why: explanation.rule.to_string(),
            contributions: shown
                .contributions
                .into_iter()
                .map(ExplainedPart::new)
                .collect(),
            pbx: pbx.map(|pbx| pbx.into_iter().map(told).collect()),
        }
    }
}

impl<V> ExplainedPart<V> {
    fn new<T: Into<V>>(contribution: Contribution<T>) -> Self {
        Self {
            stamp: StampText {
                hlc: contribution.hlc.to_string(),
                replica: contribution.replica.to_string(),
                incarnation: contribution.incarnation.to_string(),
                seq: contribution.seq,
            },
            written_at: rfc3339(contribution.written_at),
            source: match contribution.source {
                presence_mesh::Source::API => "api".to_owned(),
                presence_mesh::Source::ASTERISK => "asterisk".to_owned(),
                other => other.0.to_string(),
            },
            own: contribution.own,
            held: contribution.held,
            previous: contribution.previous,
            wins: contribution.wins,
            part: Part::new(contribution),
        }
    }
}

impl EventObject {
    pub fn new(event: &PublishedEvent) -> Self {
        Self {
            kind: event.kind().to_owned(),
            node: event.node.to_string(),
            replica: event.replica.to_string(),
            seq: event.seq,
            at: rfc3339(
                SystemTime::UNIX_EPOCH
                    .checked_add(Duration::from_millis(event.at_ms))
                    .unwrap_or(SystemTime::UNIX_EPOCH),
            ),
            fields: event.fields().clone(),
            incarnation: event.incarnation.to_string(),
        }
    }
}

impl GapObject {
    /// `None` for a kind of gap that this version cannot tell.
    pub fn new(gap: &Gap) -> Option<Self> {
        match gap {
            Gap::Lost {
                replica,
                node,
                first,
                last,
                ..
            } => Some(Self {
                reason: "lost".to_owned(),
                missed: last - first + 1,
                lost: Some(LostObject {
                    node: node.to_string(),
                    replica: replica.to_string(),
                    first: *first,
                    last: *last,
                }),
            }),
            Gap::Slow { dropped } => Some(Self {
                reason: "slow".to_owned(),
                missed: *dropped,
                lost: None,
            }),
            _ => None,
        }
    }
}

/// As a person reads it.
impl fmt::Display for GapObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.lost {
            Some(lost) => write!(
                f,
                "gap: {} events of {} were missed",
                self.missed, lost.node
            ),
            None => write!(
                f,
                "gap: {} events came faster than they were read",
                self.missed
            ),
        }
    }
}

impl NodeStatus {
    pub fn new(status: Status) -> Self {
        let count = |space| status.entries.get(&space).copied().unwrap_or_default();
        Self {
            entries: Entries {
                device: count(SpaceId::DEVICES),
                mailbox: count(SpaceId::MAILBOXES),
                presence: count(SpaceId::PRESENCE),
                custom: count(SpaceId::CUSTOM) + count(SpaceId::CUSTOM_PER_ORIGIN),
            },
            mesh: status.mesh,
            node: status.node,
            replica: status.replica.to_string(),
            incarnation: status.incarnation.to_string(),
            version: status.version.to_owned(),
            ready: status.ready,
            peers_connected: status.peers_connected,
            digest: status.digest.to_string(),
            saving: None,
        }
    }

    pub fn with_saving(mut self, saving: Option<SaveStatus>) -> Self {
        self.saving = saving.map(|status| Saving {
            saves: status.saves,
            failures: status.failures,
            problem: status.problem,
        });
        self
    }
}

impl PeerObject {
    /// All other nodes.
    pub fn all(mesh: &Mesh) -> Vec<Self> {
        mesh.peers().into_iter().map(Self::new).collect()
    }

    fn new(peer: Peer) -> Self {
        Self {
            node: peer.node,
            replica: peer.replica.to_string(),
            connected: peer.connected,
            standing: peer.standing,
            rtt_ms: peer.rtt.map(ms),
            addresses: peer.addresses,
            found_by: peer.found_by,
            attributes: peer.attributes,
            version: peer.version,
            incarnation: peer.incarnation.to_string(),
            age_ms: peer.age.map(ms),
            left: peer.left,
            clock_skew_ms: peer.clock_skew_ms,
            entries: peer.entries,
        }
    }
}

impl PongObject {
    /// Asks all other nodes.
    pub async fn all(mesh: &Mesh) -> Vec<Self> {
        let to_us = |rtt: Duration| (rtt.as_secs_f64() * 1e6).round() / 1e3;
        let pongs = mesh.ping().await.into_iter().map(|pong| Self {
            node: pong.node,
            replica: pong.replica.to_string(),
            rtt_ms: pong.rtt.map(to_us),
            connected: pong.connected,
            standing: pong.standing,
        });
        pongs.collect()
    }
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// To the ms: finer than any clock in the mesh agrees.
pub fn rfc3339(time: SystemTime) -> String {
    // Times outside of what RFC 3339 can say (years above 9999) come from a writer's broken clock.
    let time = jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{time:.3}")
}

#[cfg(test)]
mod tests {
    use presence_mesh::MessageCounts;
    use serde_json::json;

    use super::*;

    fn part<V>(value: V) -> Part<V> {
        Part {
            node: "berlin".into(),
            replica: "12D3".into(),
            value,
            freshness: Freshness::Live,
            age_ms: 0,
        }
    }

    #[test]
    fn a_device_reads_as_the_contract_says() {
        let value = DeviceFields {
            state: DeviceState::InUse,
        };
        let object = Object {
            key: "PJSIP/100".into(),
            origin: None,
            value,
            freshness: Freshness::Stale,
            age_ms: 42,
            changed_at: rfc3339(SystemTime::UNIX_EPOCH + Duration::from_micros(1_500)),
            contributions: vec![part(value)],
        };
        let expected = json!({
            "key": "PJSIP/100", "state": "INUSE", "freshness": "stale", "age_ms": 42,
            "changed_at": "1970-01-01T00:00:00.001Z",
            "contributions": [
                {"node": "berlin", "replica": "12D3", "state": "INUSE", "freshness": "live", "age_ms": 0}
            ],
        });
        assert_eq!(serde_json::to_value(&object).unwrap(), expected);
        assert_eq!(
            serde_json::from_value::<Object<DeviceFields>>(expected).unwrap(),
            object
        );
    }

    #[test]
    fn a_mailbox_has_its_counts_in_place_of_the_state() {
        let expected = json!({
            "node": "berlin", "replica": "12D3", "new": 1, "old": 2, "urgent_new": 0, "urgent_old": 0,
            "freshness": "live", "age_ms": 0,
        });
        assert_eq!(
            serde_json::to_value(part(MessageCounts::new(1, 2))).unwrap(),
            expected
        );
    }

    #[test]
    fn a_time_beyond_the_calendar_is_no_panic() {
        assert_eq!(
            rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40)),
            "1970-01-01T00:00:00.000Z"
        );
    }
}
