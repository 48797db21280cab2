//! A member that holds the key and sends garbage: everything it sends is counted and refused, and the nodes
//! go on.
#![cfg(feature = "faults")]

#[path = "support/nodes.rs"]
mod nodes;

use std::io;
use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, StreamExt as _};
use libp2p::core::upgrade::Version;
use libp2p::gossipsub::{self, IdentTopic};
use libp2p::identity::Keypair;
use libp2p::pnet::{PnetConfig, PreSharedKey};
use libp2p::request_response::{self, Codec, ProtocolSupport};
use libp2p::swarm::{NetworkBehaviour, Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Transport as _, noise, tcp, yamux};
use nodes::{KEY, builder, connected, id, identity, start, state, until};
use presence_mesh::wire::{Frame, Header, Kind, MAX_FRAME_BYTES, MAX_SYNC_BYTES, MeshId};
use presence_mesh::{DeviceState, Incarnation, Mesh};

/// Says on the sync protocol whatever it is given.
#[derive(Clone)]
struct Raw;

impl Codec for Raw {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; 4];
        io.read_exact(&mut bytes).await?;
        Ok(bytes)
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        io.read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        io.write_all(&bytes).await?;
        io.close().await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        io.write_all(&bytes).await?;
        io.close().await
    }
}

#[derive(NetworkBehaviour)]
struct Hostile {
    gossip: gossipsub::Behaviour,
    sync: request_response::Behaviour<Raw>,
}

/// A swarm that gets through the gate, on the mesh's topic and its sync protocol.
fn hostile() -> (Swarm<Hostile>, IdentTopic) {
    let keypair = Keypair::ed25519_from_bytes(identity(66).to_bytes()).expect("a key");
    let key = PreSharedKey::new(KEY.network_key("acme"));
    let transport = tcp::tokio::Transport::new(tcp::Config::default())
        .and_then(move |stream, _| PnetConfig::new(key).handshake(stream))
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&keypair).expect("noise"))
        .multiplex(yamux::Config::default())
        .boxed();
    let config = gossipsub::ConfigBuilder::default()
        .validation_mode(gossipsub::ValidationMode::Anonymous)
        .message_id_fn(|message| message.data.clone().into())
        .build()
        .expect("a configuration");
    let mut gossip = gossipsub::Behaviour::new(gossipsub::MessageAuthenticity::Anonymous, config)
        .expect("a behaviour");
    let topic = IdentTopic::new(KEY.topic("acme"));
    gossip.subscribe(&topic).expect("a subscription");
    let protocol =
        StreamProtocol::try_from_owned(KEY.protocol("acme", "sync")).expect("a protocol");
    let protocols = [(protocol, ProtocolSupport::Full)];
    let sync = request_response::Behaviour::with_codec(
        Raw,
        protocols,
        request_response::Config::default(),
    );
    let settings = libp2p::swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(Duration::from_secs(60));
    (
        Swarm::new(
            transport,
            Hostile { gossip, sync },
            keypair.public().to_peer_id(),
            settings,
        ),
        topic,
    )
}

/// Connects to a node and runs until that node listens to it.
async fn intrude(victim: &Mesh) -> (Swarm<Hostile>, IdentTopic, PeerId) {
    let (mut swarm, topic) = hostile();
    let address: Multiaddr = victim.addresses()[0].parse().expect("a multiaddr");
    swarm.dial(address).expect("a dial");
    let peer = loop {
        if let SwarmEvent::Behaviour(HostileEvent::Gossip(gossipsub::Event::Subscribed {
            peer_id,
            ..
        })) = swarm.select_next_some().await
        {
            break peer_id;
        }
    };
    (swarm, topic, peer)
}

/// Runs the hostile swarm beside a wait for what it must cause.
async fn beside(
    swarm: &mut Swarm<Hostile>,
    answer: Option<Vec<u8>>,
    wait: impl Future<Output = Duration>,
) {
    let run = async {
        loop {
            let event = swarm.select_next_some().await;
            if let SwarmEvent::Behaviour(HostileEvent::Sync(request_response::Event::Message {
                message: request_response::Message::Request { channel, .. },
                ..
            })) = event
            {
                // Without an answer in hand it leaves the question open.
                if let Some(answer) = answer.clone() {
                    let _ = swarm.behaviour_mut().sync.send_response(channel, answer);
                }
            }
        }
    };
    tokio::select! {
        () = run => {}
        _ = wait => {}
    }
}

/// A frame as an honest member would make it.
fn honest(n: u8) -> Vec<u8> {
    let header = Header {
        replica: id(n),
        incarnation: Incarnation(1),
        head: 0,
        events: 0,
        frame: 1,
        up_ms: 1,
        beat_ms: 200,
        settled: None,
        kind: Kind::Beat,
    };
    Frame::sign(&identity(n), MeshId::derive(&KEY, "acme"), header, None)
        .1
        .to_vec()
}

fn rejected(node: &Mesh, what: &'static str, why: &'static str) -> u64 {
    node.net_counters()
        .rejected
        .get(&(what, why))
        .copied()
        .unwrap_or_default()
}

async fn still_well(node: &Mesh) {
    let other = start(builder(3).join(node.addresses()).expect("addresses")).await;
    until("an honest node still connects", || {
        connected(node, id(3)) && connected(&other, id(1))
    })
    .await;
    node.devices()
        .set("PJSIP/100", DeviceState::InUse)
        .expect("a write");
    until("values still pass", || {
        state(&other, "PJSIP/100") == Some(DeviceState::InUse)
    })
    .await;
    assert!(
        node.peers().iter().all(|peer| peer.replica != id(77)),
        "nobody was made up"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_the_gossip_topic_is_counted_and_refused() {
    let node = start(builder(1)).await;
    let (mut swarm, topic, _) = intrude(&node).await;
    let mut forged = honest(77);
    let end = forged.len() - 1;
    forged[end] ^= 1;
    let mut cut = honest(77);
    cut.truncate(40);
    let cases: [(Vec<u8>, &str); 6] = [
        (vec![200; 500], "version"),
        ([&[1], &[0xff; 300][..]].concat(), "malformed"),
        (cut, "malformed"),
        (vec![1; MAX_FRAME_BYTES + 1], "oversize"),
        // Not by the origin it names.
        (forged, "signature"),
        ([honest(77), vec![0]].concat(), "malformed"),
    ];
    for (bytes, why) in cases {
        let before = rejected(&node, "frame", why);
        swarm
            .behaviour_mut()
            .gossip
            .publish(topic.hash(), bytes)
            .expect("somebody listens");
        beside(
            &mut swarm,
            None,
            until(why, || rejected(&node, "frame", why) > before),
        )
        .await;
    }
    still_well(&node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_the_sync_protocol_is_counted_and_refused() {
    let node = start(builder(1)).await;
    let (mut swarm, _, peer) = intrude(&node).await;
    let framed = |length: usize, bytes: &[u8]| {
        let length = u32::try_from(length).expect("a length");
        [&length.to_be_bytes()[..], bytes].concat()
    };
    let cases = [
        (framed(MAX_SYNC_BYTES + 1, &[1; 10]), "oversize"),
        (framed(0xffff_ffff, &[]), "oversize"),
        (framed(100, &[1; 10]), "truncated"),
        (vec![0, 0], "truncated"),
        (framed(10, &[0xff; 10]), "version"),
        (
            framed(
                10,
                &[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            ),
            "malformed",
        ),
    ];
    for (bytes, why) in cases {
        let before = rejected(&node, "request", why);
        swarm.behaviour_mut().sync.send_request(&peer, bytes);
        beside(
            &mut swarm,
            None,
            until(why, || rejected(&node, "request", why) > before),
        )
        .await;
    }
    still_well(&node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_in_answers_is_counted_and_refused() {
    for (answer, why) in [
        (vec![0xff; 64], "oversize"),
        (vec![0, 0, 0, 9, 1, 2], "truncated"),
        (vec![0, 0, 0, 1, 9], "version"),
    ] {
        let node = start(builder(1)).await;
        let (mut swarm, ..) = intrude(&node).await;
        let refused = until(why, || rejected(&node, "response", why) > 0);
        beside(&mut swarm, Some(answer), refused).await;
        still_well(&node).await;
    }
}
