//! Nodes that run gossipsub and nothing else: production's settings, production's connections, no replica.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use libp2p::core::upgrade::Version;
use libp2p::gossipsub::{
    self, ConfigBuilder, DataTransform, IdentTopic, Message, MessageAcceptance, RawMessage,
    TopicHash, WhitelistSubscriptionFilter,
};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{self, Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId};
use presence_mesh::net_parts;
use presence_mesh::{Identity, Links, ReplicaId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// The behaviour as production has it, but for the counter.
type Gossip = gossipsub::Behaviour<Counter, WhitelistSubscriptionFilter>;

/// The port every node listens on, each at its own address.
const PORT: u16 = 4747;
/// The length of a real topic's name.
const TOPIC: &str = "presence-mesh/1/0123456789abcdef0123456789abcdef";

/// Counts what gossipsub hands over for decoding, which it does once for every copy that arrives, before it
/// looks whether it has the message already.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicU64>);

impl DataTransform for Counter {
    fn inbound_transform(&self, raw: RawMessage) -> Result<Message, io::Error> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Message {
            source: raw.source,
            data: raw.data,
            sequence_number: raw.sequence_number,
            topic: raw.topic,
        })
    }

    fn outbound_transform(&self, _: &TopicHash, data: Vec<u8>) -> Result<Vec<u8>, io::Error> {
        Ok(data)
    }
}

/// How the nodes differ from production, if at all.
#[derive(Debug, Clone, Copy)]
pub struct Variant {
    pub flood_publish: bool,
}

/// What one node is asked to do.
enum Command {
    Dial(usize),
    Publish(Vec<u8>),
    MeshPeers(oneshot::Sender<usize>),
    Peers(oneshot::Sender<usize>),
}

/// A network of such nodes.
pub struct GossipNet {
    nodes: Vec<mpsc::Sender<Command>>,
    links: Links,
    copies: Counter,
    /// How long every first copy was under way.
    latencies: Arc<Mutex<Vec<Duration>>>,
    variant: Variant,
    began: Instant,
}

impl GossipNet {
    pub fn new(variant: Variant) -> Self {
        Self {
            nodes: Vec::new(),
            links: Links::in_memory(),
            copies: Counter::default(),
            latencies: Arc::default(),
            variant,
            began: Instant::now(),
        }
    }

    /// One node more. All its links take `latency`, each way.
    pub fn add(&mut self, latency: Duration) {
        let number = self.nodes.len();
        for other in 0..number {
            self.links.delay(
                identity(other).replica(),
                identity(number).replica(),
                latency,
            );
        }
        let (commands, receiver) = mpsc::channel(1_024);
        let node = GossipNode {
            swarm: self.swarm(number),
            topic: IdentTopic::new(TOPIC),
            latencies: self.latencies.clone(),
            began: self.began,
        };
        tokio::spawn(node.run(receiver));
        self.nodes.push(commands);
    }

    fn swarm(&self, number: usize) -> Swarm<Gossip> {
        let identity = identity(number);
        let (keypair, transport) =
            net_parts::transport(&self.links, &identity).expect("an ed25519 identity");
        let config = net_parts::gossip_config().expect("production's settings agree");
        let config = ConfigBuilder::from(config)
            .flood_publish(self.variant.flood_publish)
            .build()
            .expect("production's settings agree");
        let topic = IdentTopic::new(TOPIC);
        let gossip = Gossip::new_with_subscription_filter_and_transform(
            gossipsub::MessageAuthenticity::Anonymous,
            config,
            WhitelistSubscriptionFilter([topic.hash()].into()),
            self.copies.clone(),
        )
        .expect("production's settings agree");
        let settings = swarm::Config::with_tokio_executor()
            .with_idle_connection_timeout(Duration::from_secs(24 * 3600))
            .with_substream_upgrade_protocol_override(Version::V1Lazy);
        let mut swarm = Swarm::new(transport, gossip, keypair.public().to_peer_id(), settings);
        swarm
            .behaviour_mut()
            .subscribe(&topic)
            .expect("the filter allows it");
        swarm
            .listen_on(address(number))
            .expect("nobody else listens there");
        swarm
    }

    pub async fn dial(&self, from: usize, to: usize) {
        self.tell(from, Command::Dial(to)).await;
    }

    /// Publishes `bytes` bytes, no two messages the same.
    pub async fn publish(&self, from: usize, number: u64, bytes: usize) {
        let sent_us = u64::try_from(self.began.elapsed().as_micros()).expect("a short run");
        let mut data = vec![0; bytes.max(16)];
        data[..8].copy_from_slice(&sent_us.to_le_bytes());
        data[8..16].copy_from_slice(&number.to_le_bytes());
        self.tell(from, Command::Publish(data)).await;
    }

    /// The sum over all nodes of the peers they forward to.
    pub async fn mesh_peers(&self) -> usize {
        self.sum(Command::MeshPeers).await
    }

    /// The sum over all nodes of the peers they are connected with.
    pub async fn peers(&self) -> usize {
        self.sum(Command::Peers).await
    }

    /// Copies received so far, by all nodes together.
    pub fn copies(&self) -> u64 {
        self.copies.0.load(Ordering::Relaxed)
    }

    /// How long the first copies took, shortest first.
    pub fn latencies(&self) -> Vec<Duration> {
        let mut all = self
            .latencies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        all.sort_unstable();
        all
    }

    async fn sum(&self, question: impl Fn(oneshot::Sender<usize>) -> Command) -> usize {
        let mut sum = 0;
        for node in 0..self.nodes.len() {
            let (answer, answered) = oneshot::channel();
            self.tell(node, question(answer)).await;
            sum += answered
                .await
                .expect("a node runs until the network is dropped");
        }
        sum
    }

    async fn tell(&self, node: usize, command: Command) {
        let told = self.nodes[node].send(command).await;
        assert!(told.is_ok(), "a node runs until the network is dropped");
    }
}

struct GossipNode {
    swarm: Swarm<Gossip>,
    topic: IdentTopic,
    latencies: Arc<Mutex<Vec<Duration>>>,
    began: Instant,
}

impl GossipNode {
    /// Until the network is dropped.
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(command) => self.obey(command),
                    None => return,
                },
                event = self.swarm.select_next_some() => self.on_event(event),
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Dial(to) => {
                let options = DialOpts::peer_id(peer_id(identity(to).replica()))
                    .addresses(vec![address(to)])
                    .build();
                // Refused when the other was quicker.
                let _ = self.swarm.dial(options);
            }
            Command::Publish(data) => {
                let published = self.swarm.behaviour_mut().publish(self.topic.hash(), data);
                assert!(published.is_ok(), "{published:?}");
            }
            Command::MeshPeers(answer) => {
                let count = self
                    .swarm
                    .behaviour()
                    .mesh_peers(&self.topic.hash())
                    .count();
                let _ = answer.send(count);
            }
            Command::Peers(answer) => {
                let _ = answer.send(self.swarm.behaviour().all_peers().count());
            }
        }
    }

    fn on_event(&mut self, event: SwarmEvent<gossipsub::Event>) {
        let SwarmEvent::Behaviour(gossipsub::Event::Message {
            propagation_source,
            message_id,
            message,
        }) = event
        else {
            return;
        };
        // At once, as production does.
        self.swarm.behaviour_mut().report_message_validation_result(
            &message_id,
            &propagation_source,
            MessageAcceptance::Accept,
        );
        let sent_us = u64::from_le_bytes(message.data[..8].try_into().expect("our own message"));
        let latency = self
            .began
            .elapsed()
            .saturating_sub(Duration::from_micros(sent_us));
        self.latencies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(latency);
    }
}

fn identity(number: usize) -> Identity {
    let mut bytes = [1; 32];
    bytes[..8].copy_from_slice(&(number as u64).to_le_bytes());
    Identity::from_bytes(bytes)
}

fn peer_id(replica: ReplicaId) -> PeerId {
    PeerId::from_bytes(&replica.to_peer_id_bytes()).expect("a replica id is a peer id")
}

fn address(number: usize) -> Multiaddr {
    let [high, low] = u16::try_from(number + 1).expect("few nodes").to_be_bytes();
    let address = SocketAddr::new(Ipv4Addr::new(10, 0, high, low).into(), PORT);
    Multiaddr::from(address.ip()).with(Protocol::Tcp(address.port()))
}
