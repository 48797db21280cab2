//! The numbers gossipsub is configured with.

/// How gossipsub is configured. The default is what this crate's network layer configures; every field says
/// whether it sets the value or leaves the default of `libp2p-gossipsub`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Params {
    /// Mesh peers to have. More means more copies and fewer hops. 6, gossipsub's default.
    pub mesh_n: usize,
    /// Fewer mesh peers than this, and the heartbeat grafts up to `mesh_n`. 5, gossipsub's default.
    pub mesh_n_low: usize,
    /// So many mesh peers, and the heartbeat prunes down to `mesh_n`; a graft beyond is refused unless we
    /// dialled the peer. 12, gossipsub's default.
    pub mesh_n_high: usize,
    /// Mesh peers to keep among those we dialled. 2, gossipsub's default.
    pub mesh_outbound_min: usize,
    /// The least number of peers outside the mesh to send IHAVE to at a heartbeat. 6, gossipsub's default.
    pub gossip_lazy: usize,
    /// Per cent of the peers outside the mesh to send IHAVE to, if more than `gossip_lazy`. 25, gossipsub's default.
    pub gossip_factor_percent: u32,
    /// Heartbeats for which an IWANT for a message is answered. 5, gossipsub's default.
    pub history_length: usize,
    /// Heartbeats for which a message is offered by IHAVE. 3, gossipsub's default.
    pub history_gossip: usize,
    /// µs between heartbeats. 1 s, gossipsub's default.
    pub heartbeat_us: u64,
    /// µs from the start to one heartbeat before the first heartbeat. 0.5 s, set by the network layer.
    pub initial_delay_us: u64,
    /// The first heartbeat is later by a draw below this many µs, because nodes that start together in a
    /// simulation would not in reality. 1 s, one heartbeat: a guess. 0: exactly as the crate does.
    pub phase_us: u64,
    /// Whether own messages go to every peer instead of the mesh only. True, set by the network layer.
    pub flood_publish: bool,
    /// Whether messages name who published them, who then gets no copy back. False: the network layer publishes
    /// anonymously, so that the publisher's neighbours forward its own messages to it.
    pub authored: bool,
    /// µs for which a message is known to be a duplicate. 120 s, set by the network layer.
    pub duplicate_cache_us: u64,
    /// µs for which neither side of a prune grafts the other. 60 s, gossipsub's default.
    pub prune_backoff_us: u64,
    /// Heartbeats more for which we do not graft after a prune. 1, gossipsub's default.
    pub backoff_slack: u32,
    /// Times a message is sent to a peer that keeps asking for it. 3, gossipsub's default.
    pub gossip_retransmission: u32,
    /// Ids in one IHAVE, and ids asked of one peer between two heartbeats. 200, set by the network layer.
    pub max_ihave_length: usize,
    /// IHAVEs heeded from one peer between two heartbeats. 10, gossipsub's default.
    pub max_ihave_messages: u32,
    /// Messages of more bytes than this are announced by IDONTWANT when they arrive. 1,000, gossipsub's default.
    pub idontwant_threshold_bytes: usize,
    /// Whether the publisher of such a message announces it too. False, gossipsub's default.
    pub idontwant_on_publish: bool,
    /// Length of the topic's name, which every message carries. 48, from the names `MeshKey::topic` gives.
    pub topic_bytes: usize,
    /// Length of a message id in IHAVE, IWANT and IDONTWANT. 16, set by the network layer.
    pub id_bytes: usize,
}

impl Params {
    /// The length of a message with `bytes` of data, as gossipsub compares it with `idontwant_threshold_bytes`.
    pub(super) fn message_bytes(&self, bytes: usize) -> usize {
        field_bytes(bytes) + field_bytes(self.topic_bytes)
    }
}

impl Default for Params {
    fn default() -> Self {
        Self {
            mesh_n: 6,
            mesh_n_low: 5,
            mesh_n_high: 12,
            mesh_outbound_min: 2,
            gossip_lazy: 6,
            gossip_factor_percent: 25,
            history_length: 5,
            history_gossip: 3,
            heartbeat_us: 1_000_000,
            initial_delay_us: 500_000,
            phase_us: 1_000_000,
            flood_publish: true,
            authored: false,
            duplicate_cache_us: 120_000_000,
            prune_backoff_us: 60_000_000,
            backoff_slack: 1,
            gossip_retransmission: 3,
            max_ihave_length: 200,
            max_ihave_messages: 10,
            idontwant_threshold_bytes: 1_000,
            idontwant_on_publish: false,
            topic_bytes: 48,
            id_bytes: 16,
        }
    }
}

/// The length of a protobuf field that holds `bytes` bytes: a tag, the length, the bytes.
pub(super) fn field_bytes(bytes: usize) -> usize {
    1 + varint_bytes(bytes) + bytes
}

/// The length of a number as protobuf writes it.
pub(super) fn varint_bytes(number: usize) -> usize {
    (number.max(1).ilog2() / 7 + 1) as usize
}
