//! Pieces of the network layer by themselves, for `simulations/real-stack`, which runs gossipsub alone as it is
//! set here and over what it runs on here. Hidden: no part of the API, and the only place where libp2p's types
//! leave this folder.

use libp2p::PeerId;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::gossipsub;
use libp2p::identity::Keypair;
use libp2p::pnet::PreSharedKey;

use super::config::StartError;
use super::{Invites, Links, behaviour, transport};
use crate::wire::{Identity, MeshKey};

/// How gossipsub is set in production.
///
/// # Errors
/// When the settings contradict each other.
pub fn gossip_config() -> Result<gossipsub::Config, StartError> {
    behaviour::gossip_config().map_err(|error| StartError::Network(error.to_string()))
}

/// Production's connections, over `links`, of a mesh with a key of its own.
///
/// # Errors
/// When the identity is none that libp2p takes.
pub fn transport(
    links: &Links,
    identity: &Identity,
) -> Result<(Keypair, Boxed<(PeerId, StreamMuxerBox)>), StartError> {
    let keypair = Keypair::ed25519_from_bytes(identity.to_bytes())
        .map_err(|error| StartError::Network(error.to_string()))?;
    let key = PreSharedKey::new([0; 32]);
    let invites = Invites::new(MeshKey::from_bytes([0; 32]), identity.clone());
    let transport = transport::over_links(links, identity.replica(), key, &keypair, invites)?;
    Ok((keypair, transport))
}
