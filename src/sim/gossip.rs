//! A model of gossipsub, as `libp2p-gossipsub` 0.50.1 (libp2p 0.57) plays it: one topic, every node subscribed,
//! peer scores off.
//!
//! [`Gossip`] holds the gossip state of *all* nodes of a simulated network. It knows no latency, loss or
//! bandwidth: every call appends what it causes to a list of [`Send`]s, and the world carries them, or does not.
//!
//! ```text
//! connect ──► Graft            publish ──► Message to every peer (flood) or to the mesh
//! receive(Message) = New ──► the world judges ──► forward ──► Message to the mesh
//!                                            └──► reject
//! heartbeat ──► Graft / Prune to keep the mesh, IHave to some who are not in it
//! receive(IHave) ──► IWant     receive(IWant) ──► Message     receive(Graft) ──► sometimes Prune
//! ```
//!
//! A message is offered to others for [`Params::history_gossip`] heartbeats and answered for
//! [`Params::history_length`]; after that nobody sends it any more. So what was published while two nodes
//! were apart is not delivered after the heal, as in the real network.
//!
//! What decides how many copies a node receives is modelled rule for rule. Left out, because it takes part in
//! none of it while scores are off and nobody unsubscribes: scores, explicit and floodsub peers, peer
//! exchange, fanout, opportunistic grafting. Send queues and the limit on the size of control messages belong
//! to the world.
//!
//! [`measure`] runs the model alone over links of one latency and prints what a report needs.

mod backoffs;
mod chance;
mod counters;
mod heartbeat;
mod lazy;
mod measure;
mod messages;
mod network;
mod node;
mod params;
mod rpc;

#[cfg(test)]
mod tests;

pub use counters::GossipCounters;
pub use measure::{Figures, Trial, measure};
pub use network::Gossip;
pub use params::Params;
pub use rpc::{MessageId, Received, Rpc, Send};
