//! What a PBX should know, as a function of what the mesh shows.

use std::collections::{BTreeMap, BTreeSet};

use super::eid::Eid;
use super::ledger::Telling;
use super::reconcile::Want;
use crate::{
    Contribution, DeviceState, Freshness, MessageCounts, Pattern, Peer, ReplicaId, Shown, Source,
    Standing,
};

/// The attribute under which a node tells the others its Asterisk's EID.
pub const EID_ATTRIBUTE: &str = "asterisk_eid";

/// Under which EID each replica's entries are told here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Roster {
    own: ReplicaId,
    /// The EID of our own Asterisk, once known.
    local: Option<Eid>,
    /// EIDs of the other replicas' Asterisks, as they said themselves. Kept while a restarted node has not said
    /// it again, so that its lamps do not blink.
    said: BTreeMap<ReplicaId, Eid>,
    /// EIDs that two live replicas claim: of no use to tell them apart.
    shared: BTreeMap<Eid, Vec<String>>,
}

impl Roster {
    pub(super) fn new(own: ReplicaId) -> Self {
        Self {
            own,
            local: None,
            said: BTreeMap::new(),
            shared: BTreeMap::new(),
        }
    }

    pub(super) fn local(&self) -> Option<Eid> {
        self.local
    }

    pub(super) fn set_local(&mut self, eid: Eid) {
        self.local = Some(eid);
    }

    /// EIDs claimed by several live nodes, with their names.
    pub(super) fn shared(&self) -> &BTreeMap<Eid, Vec<String>> {
        &self.shared
    }

    /// Takes in what the others say of themselves; says whether any entry is told under another EID now.
    pub(super) fn update(&mut self, own_node: &str, peers: &[Peer]) -> bool {
        let before = self.clone();
        let mut said = BTreeMap::new();
        let mut claims: BTreeMap<Eid, Vec<String>> = BTreeMap::new();
        if let Some(local) = self.local {
            claims.entry(local).or_default().push(own_node.to_owned());
        }
        for peer in peers {
            let eid = peer
                .attributes
                .get(EID_ATTRIBUTE)
                .and_then(|eid| eid.parse().ok());
            let Some(eid) = eid.or_else(|| self.said.get(&peer.replica).copied()) else {
                continue;
            };
            said.insert(peer.replica, eid);
            if peer.standing != Standing::Gone {
                claims.entry(eid).or_default().push(peer.node.clone());
            }
        }
        claims.retain(|_, nodes| nodes.len() > 1);
        self.said = said;
        self.shared = claims;
        *self != before
    }

    /// Under which EID this is told: that of the Asterisk it comes from; a synthetic one for what came from
    /// elsewhere, and where the true one would be ambiguous. `None` for what our own Asterisk said, and for an
    /// Asterisk whose EID we have not heard yet.
    fn eid<T>(&self, contribution: &Contribution<T>) -> Option<Eid> {
        let synthetic = Eid::synthetic(contribution.replica);
        match (contribution.source == Source::ASTERISK, contribution.own) {
            (true, true) => None,
            (true, false) => {
                let eid = *self.said.get(&contribution.replica)?;
                // Never give a server its own EID back: it would overwrite its own state and publish it again.
                let ambiguous = self.local == Some(eid) || self.shared.contains_key(&eid);
                Some(if ambiguous { synthetic } else { eid })
            }
            (false, _) => Some(synthetic),
        }
    }

    /// Our own synthetic EID.
    pub(super) fn own_synthetic(&self) -> Eid {
        Eid::synthetic(self.own)
    }

    /// What the PBX should know of a device whose states are joined: every origin's, under its EID.
    pub(super) fn aggregate(&self, shown: &Shown<DeviceState>) -> BTreeMap<Eid, Want> {
        let mut wants = BTreeMap::new();
        for contribution in &shown.contributions {
            let Some(eid) = self.eid(contribution) else {
                continue;
            };
            let telling = Telling::State(contribution.value);
            let want = match contribution.freshness {
                // Says nothing, so nothing is what the PBX should know.
                _ if contribution.value == DeviceState::Invalid => continue,
                _ if contribution.previous => Want::Leave,
                Freshness::Live => Want::Value(telling),
                Freshness::Gone => continue,
                _ => Want::Stale(telling),
            };
            wants.insert(eid, want);
        }
        wants
    }

    /// What the PBX should know of a device whose latest writer decides. Asterisk joins whatever it is told,
    /// so it is told the winner's state only.
    ///
    /// The value is kept when its writer is gone, and so is the lamp: a night switch is no phone.
    pub(super) fn latest(&self, shown: &Shown<DeviceState>) -> BTreeMap<Eid, Want> {
        let winner = shown
            .contributions
            .iter()
            .find(|contribution| contribution.wins);
        let Some((contribution, eid)) = winner.and_then(|winner| Some((winner, self.eid(winner)?)))
        else {
            return BTreeMap::new();
        };
        let want = match contribution.value {
            DeviceState::Invalid => return BTreeMap::new(),
            _ if contribution.previous => Want::Leave,
            state => Want::Value(Telling::State(state)),
        };
        BTreeMap::from([(eid, want)])
    }

    /// What the PBX should know of a mailbox that is not its own: the mesh's value, under its winner's EID.
    pub(super) fn mailbox(&self, shown: &Shown<MessageCounts>) -> Want {
        let winners = shown
            .contributions
            .iter()
            .filter(|contribution| contribution.wins);
        let Some(winner) = winners.max_by_key(|winner| (winner.hlc, winner.replica)) else {
            return Want::Nothing;
        };
        if winner.previous {
            return Want::Leave;
        }
        // What our own Asterisk said before its last boot must not go back to it under its own EID.
        let eid = self
            .eid(winner)
            .unwrap_or_else(|| Eid::synthetic(winner.replica));
        Want::Value(Telling::Counts(shown.value, eid))
    }
}

/// Which devices pass, and in which direction.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    globs: Vec<Pattern>,
    dropped: BTreeSet<String>,
}

impl Filter {
    /// `globs` choose; `endpoints` are the names of our own endpoint on the PBX, whose state means nothing.
    pub(super) fn new(globs: &[Pattern], endpoints: impl IntoIterator<Item = String>) -> Self {
        let dropped = endpoints
            .into_iter()
            .map(|endpoint| format!("PJSIP/{endpoint}"))
            .collect();
        Self {
            globs: globs.to_vec(),
            dropped,
        }
    }

    /// Whether this device is shared. Never are `MWI:*`, which each server derives by itself, `Local/*`, which
    /// is not a phone, and our own endpoint.
    pub(super) fn passes(&self, device: &str) -> bool {
        let derived = device.starts_with("MWI:") || device.starts_with("Local/");
        !derived
            && !self.dropped.contains(device)
            && self.globs.iter().any(|glob| glob.matches(device))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::{FoundBy, Incarnation};

    const A: Eid = Eid::from_bytes([2, 0, 0, 0, 0, 0xa]);
    const B: Eid = Eid::from_bytes([2, 0, 0, 0, 0, 0xb]);

    fn replica(n: u8) -> ReplicaId {
        ReplicaId::from_public_key([n; 32])
    }

    fn peer(n: u8, eid: Option<Eid>, standing: Standing) -> Peer {
        let attributes = eid.map(|eid| (EID_ATTRIBUTE.to_owned(), eid.to_string()));
        Peer {
            replica: replica(n),
            incarnation: Incarnation(1),
            node: format!("node{n}"),
            version: String::new(),
            connected: true,
            standing,
            left: false,
            age: None,
            rtt: None,
            clock_skew_ms: None,
            addresses: Vec::new(),
            found_by: FoundBy::Member,
            attributes: attributes.into_iter().collect(),
            entries: 0,
        }
    }

    fn says<T>(n: u8, source: Source, value: T) -> Contribution<T> {
        Contribution {
            node: format!("node{n}").into(),
            replica: replica(n),
            incarnation: Incarnation(1),
            seq: 1,
            hlc: u64::from(n),
            written_at: SystemTime::UNIX_EPOCH,
            source,
            value,
            freshness: Freshness::Live,
            age: Duration::ZERO,
            own: n == 1,
            held: false,
            previous: false,
            wins: false,
        }
    }

    fn shown<T: Copy>(contributions: Vec<Contribution<T>>) -> Shown<T> {
        Shown {
            origin: None,
            key: "k".into(),
            value: contributions[0].value,
            freshness: Freshness::Live,
            age: Duration::ZERO,
            changed_at: SystemTime::UNIX_EPOCH,
            contributions,
        }
    }

    /// We are node 1 and our Asterisk is A; node 2 has B.
    fn roster() -> Roster {
        let mut roster = Roster::new(replica(1));
        roster.set_local(A);
        assert!(roster.update(
            "node1",
            &[
                peer(2, Some(B), Standing::Alive),
                peer(3, None, Standing::Alive)
            ]
        ));
        roster
    }

    fn state(state: DeviceState) -> Want {
        Want::Value(Telling::State(state))
    }

    use DeviceState::{Busy, InUse, Invalid, Ringing};

    #[test]
    fn every_origin_is_told_under_its_own_eid_and_our_asterisk_nothing_of_its_own() {
        let wants = roster().aggregate(&shown(vec![
            says(1, Source::ASTERISK, Busy),
            says(2, Source::ASTERISK, InUse),
            says(3, Source::API, Ringing),
        ]));
        let expected = BTreeMap::from([
            (B, state(InUse)),
            (Eid::synthetic(replica(3)), state(Ringing)),
        ]);
        assert_eq!(wants, expected);
        let own = roster().aggregate(&shown(vec![says(1, Source::API, Busy)]));
        assert_eq!(
            own,
            BTreeMap::from([(Eid::synthetic(replica(1)), state(Busy))]),
            "what our own CLI set"
        );
    }

    #[test]
    fn an_asterisk_of_unknown_eid_is_not_told() {
        assert!(
            roster()
                .aggregate(&shown(vec![says(3, Source::ASTERISK, InUse)]))
                .is_empty()
        );
    }

    #[test]
    fn gone_is_withdrawn_stale_and_previous_are_left_and_invalid_says_nothing() {
        let roster = roster();
        let with = |change: fn(&mut Contribution<DeviceState>)| {
            let mut contribution = says(2, Source::ASTERISK, InUse);
            change(&mut contribution);
            roster
                .aggregate(&shown(vec![contribution]))
                .get(&B)
                .copied()
        };
        assert_eq!(with(|c| c.freshness = Freshness::Gone), None);
        assert_eq!(
            with(|c| c.freshness = Freshness::Stale),
            Some(Want::Stale(Telling::State(InUse)))
        );
        assert_eq!(with(|c| c.previous = true), Some(Want::Leave));
        assert_eq!(with(|c| c.value = Invalid), None);
    }

    #[test]
    fn two_live_replicas_with_one_eid_are_told_apart_by_synthetic_ones() {
        let mut roster = roster();
        assert!(roster.update(
            "node1",
            &[
                peer(2, Some(B), Standing::Alive),
                peer(3, Some(B), Standing::Suspect)
            ]
        ));
        assert_eq!(roster.shared()[&B], ["node2", "node3"]);
        let wants = roster.aggregate(&shown(vec![
            says(2, Source::ASTERISK, InUse),
            says(3, Source::ASTERISK, Ringing),
        ]));
        let synthetic = |n| Eid::synthetic(replica(n));
        assert_eq!(
            wants,
            BTreeMap::from([(synthetic(2), state(InUse)), (synthetic(3), state(Ringing))])
        );
        assert!(roster.update(
            "node1",
            &[
                peer(2, Some(B), Standing::Gone),
                peer(3, Some(B), Standing::Alive)
            ]
        ));
        assert!(
            roster.shared().is_empty(),
            "its successor on new hardware may have the old one's"
        );
    }

    #[test]
    fn a_peer_that_claims_our_own_eid_is_told_under_a_synthetic_one() {
        let mut roster = roster();
        for standing in [Standing::Alive, Standing::Gone] {
            roster.update("node1", &[peer(2, Some(A), standing)]);
            let wants = roster.aggregate(&shown(vec![says(2, Source::ASTERISK, InUse)]));
            assert_eq!(
                wants,
                BTreeMap::from([(Eid::synthetic(replica(2)), state(InUse))]),
                "{standing:?}"
            );
        }
    }

    #[test]
    fn a_restarted_node_keeps_its_eid_until_it_says_another() {
        let mut roster = roster();
        assert!(!roster.update(
            "node1",
            &[
                peer(2, None, Standing::Alive),
                peer(3, None, Standing::Alive)
            ]
        ));
        let wants = roster.aggregate(&shown(vec![says(2, Source::ASTERISK, InUse)]));
        assert_eq!(wants.keys().copied().collect::<Vec<_>>(), [B]);
    }

    #[test]
    fn of_a_custom_device_only_the_winner_is_told() {
        let roster = roster();
        let (loser, mut winner) = (says(3, Source::API, Busy), says(2, Source::ASTERISK, InUse));
        winner.wins = true;
        let wants = roster.latest(&shown(vec![loser.clone(), winner.clone()]));
        assert_eq!(wants, BTreeMap::from([(B, state(InUse))]));
        winner.freshness = Freshness::Gone;
        assert_eq!(
            roster.latest(&shown(vec![winner])),
            BTreeMap::from([(B, state(InUse))]),
            "a switch stays"
        );
        let mut own = says(1, Source::ASTERISK, InUse);
        own.wins = true;
        assert!(
            roster.latest(&shown(vec![loser, own])).is_empty(),
            "our Asterisk knows what it said"
        );
    }

    #[test]
    fn a_mailbox_is_told_as_the_mesh_shows_it_under_its_winners_eid() {
        let roster = roster();
        let (mut winner, loser) = (
            says(2, Source::ASTERISK, MessageCounts::new(3, 1)),
            says(3, Source::API, MessageCounts::new(9, 9)),
        );
        winner.wins = true;
        let want = roster.mailbox(&shown(vec![winner.clone(), loser]));
        assert_eq!(
            want,
            Want::Value(Telling::Counts(MessageCounts::new(3, 1), B))
        );
        winner.previous = true;
        assert_eq!(roster.mailbox(&shown(vec![winner])), Want::Leave);
        let mut own = says(1, Source::ASTERISK, MessageCounts::new(1, 0));
        own.wins = true;
        let want = roster.mailbox(&shown(vec![own]));
        let synthetic = Eid::synthetic(replica(1));
        assert_eq!(
            want,
            Want::Value(Telling::Counts(MessageCounts::new(1, 0), synthetic)),
            "never under its own"
        );
    }

    #[test]
    fn what_each_server_derives_itself_is_not_shared() {
        let filter = Filter::new(&[Pattern::any()], ["mesh".to_owned()]);
        for (device, passes) in [
            ("PJSIP/100", true),
            ("Custom:night", true),
            ("MWI:100@default", false),
            ("Local/x@y", false),
            ("PJSIP/mesh", false),
            ("PJSIP/mesh2", true),
        ] {
            assert_eq!(filter.passes(device), passes, "{device}");
        }
        assert!(!Filter::new(&["PJSIP/1*".into()], []).passes("PJSIP/200"));
    }
}
