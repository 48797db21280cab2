//! What a node has done.

use std::ops::AddAssign;

/// What one node has sent and received since it was made; restarts do not reset it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GossipCounters {
    /// Messages published and sent to somebody.
    pub published: u64,
    /// Messages for which there was no peer.
    pub publish_failures: u64,
    /// Copies of messages sent: published, forwarded, or asked for.
    pub copies_sent: u64,
    /// Copies of messages received, duplicates included.
    pub copies_received: u64,
    /// Of those, the ones of messages the node had already.
    pub duplicates: u64,
    /// Copies not forwarded because the peer had sent IDONTWANT.
    pub copies_spared: u64,
    /// IHAVEs sent.
    pub ihave_sent: u64,
    /// Message ids in them.
    pub ihave_ids: u64,
    /// Message ids asked for by IWANT.
    pub iwant_ids: u64,
    /// Messages sent because a peer asked for them.
    pub iwant_served: u64,
    /// Messages asked for that were gone already, or had been asked for too often.
    pub iwant_refused: u64,
    /// IDONTWANTs sent.
    pub idontwant_sent: u64,
    /// GRAFTs sent.
    pub grafts: u64,
    /// PRUNEs sent.
    pub prunes: u64,
}

impl AddAssign for GossipCounters {
    fn add_assign(&mut self, other: Self) {
        self.published += other.published;
        self.publish_failures += other.publish_failures;
        self.copies_sent += other.copies_sent;
        self.copies_received += other.copies_received;
        self.duplicates += other.duplicates;
        self.copies_spared += other.copies_spared;
        self.ihave_sent += other.ihave_sent;
        self.ihave_ids += other.ihave_ids;
        self.iwant_ids += other.iwant_ids;
        self.iwant_served += other.iwant_served;
        self.iwant_refused += other.iwant_refused;
        self.idontwant_sent += other.idontwant_sent;
        self.grafts += other.grafts;
        self.prunes += other.prunes;
    }
}
