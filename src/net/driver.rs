//! The task that owns the swarm.
//!
//! One loop: what the replica wants done is done first, then what handles ask for, then what time and the
//! network bring. Nothing in it waits for anything but the next of these.

mod connections;
mod discovery;
mod gossip;
mod leave;
mod ping;
mod sync;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use libp2p::Multiaddr;
use libp2p::gossipsub::IdentTopic;
use libp2p::request_response::{OutboundRequestId, ResponseChannel};
use libp2p::swarm::{ConnectionId, Swarm, SwarmEvent};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::address::{Scope, peer_id, socket_address};
use super::behaviour::{Behaviour, BehaviourEvent};
use super::care::{Action, Care, Failure, Known, Made, Why};
use super::config::NetConfig;
use super::own_addresses::OwnAddresses;
use super::refusals::Refusals;
use super::shared::{Command, Shared};
use super::sync_codec::Refused;
use crate::model::ReplicaId;
use crate::proto::{Output, Report, RequestId};
use crate::wire::{self, MeshId};

/// Events of the network taken in one turn, before local work gets its own.
const EVENTS_PER_TURN: usize = 32;
/// Keys taken in or shown in one turn when very many come or change at once: a fraction of a millisecond.
const KEYS_PER_TURN: usize = 256;
/// Keys shown while nobody can write: microseconds.
const KEYS_AT_ONCE: usize = 4;
/// How long the next turn waits after one: most of a processor is left to those who read and write meanwhile.
const TURN_PAUSE: Duration = Duration::from_millis(1);
/// How long changes of the mesh's state may gather before they are looked at: a thousand nodes that come at
/// once must not be read a thousand times.
const MEMBERS_GATHER: Duration = Duration::from_millis(50);

pub(super) struct Driver {
    pub(super) swarm: Swarm<Behaviour>,
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    care: Care,
    refusals: Arc<Refusals>,
    local: ReplicaId,
    mesh: MeshId,
    topic: IdentTopic,
    dial_members: bool,
    own: OwnAddresses,
    announced: Vec<Multiaddr>,
    /// Our own dials under way, with the join address they are for; bounded by the table's bound on dials.
    dials: BTreeMap<ConnectionId, Option<usize>>,
    /// From where the other end of each connection reaches us; bounded by the limit on connections.
    scopes: BTreeMap<ConnectionId, Scope>,
    /// Questions of ours that are under way.
    asked: BTreeMap<OutboundRequestId, RequestId>,
    /// Questions of others, until the replica answers, which it does at once.
    answering: BTreeMap<RequestId, ResponseChannel<Result<wire::Response, Refused>>>,
    next_question: u64,
    /// Users' own questions that are under way. Bounded.
    pings: BTreeMap<OutboundRequestId, ping::Pinged>,
    /// Everything that came before has been taken in.
    read_until: Duration,
    /// When the replica's timers are due.
    replica_due: Option<Duration>,
    /// When the next turn of what may wait is due, if there is more.
    turn_due: Option<Duration>,
    /// When to read the members again, if they changed.
    members_due: Option<Duration>,
    discovery: discovery::Discovery,
    #[cfg(feature = "metrics")]
    recorder: Option<super::metrics::Recorder>,
    #[cfg(feature = "faults")]
    links: Option<super::Links>,
}

impl Driver {
    pub(super) fn new(
        swarm: Swarm<Behaviour>,
        config: &NetConfig,
        topic: IdentTopic,
        refusals: Arc<Refusals>,
        (shared, commands): (Arc<Shared>, mpsc::Receiver<Command>),
    ) -> Self {
        let local = config.identity.replica();
        let patience = shared.with(|replica, _| patience(replica.config().timing.stale_after));
        let joins = config
            .join
            .iter()
            .filter_map(|address| address.parse().ok())
            .collect();
        let seed = config.seed;
        let mut care = Care::new(local, patience, joins, seed);
        config
            .ban
            .iter()
            .for_each(|&replica| care.ban(replica, Duration::ZERO));
        Self {
            swarm,
            care,
            refusals,
            local,
            mesh: MeshId::derive(&config.key, &config.mesh),
            topic,
            dial_members: config.dial_members,
            own: OwnAddresses::default(),
            announced: Vec::new(),
            dials: BTreeMap::new(),
            scopes: BTreeMap::new(),
            asked: BTreeMap::new(),
            answering: BTreeMap::new(),
            next_question: 0,
            pings: BTreeMap::new(),
            read_until: Duration::ZERO,
            replica_due: None,
            turn_due: None,
            members_due: None,
            discovery: discovery::Discovery::new(config),
            #[cfg(feature = "metrics")]
            recorder: None,
            #[cfg(feature = "faults")]
            links: config.links.clone(),
            shared,
            commands,
        }
    }

    /// From now on counts every event.
    #[cfg(feature = "metrics")]
    pub(super) fn record(&mut self, recorder: super::metrics::Recorder) {
        self.recorder = Some(recorder);
    }

    /// Until the node leaves.
    pub(super) async fn run(mut self) {
        loop {
            self.carry_out();
            let wait = self.take_care();
            tokio::select! {
                biased;
                () = self.shared.work_for_driver() => {
                    self.carry_out();
                    // A writer that never pauses must not keep the network from getting its turn.
                    self.take_events();
                }
                command = self.commands.recv() => match command {
                    Some(Command::Ban(replica)) => self.ban(replica),
                    Some(Command::Ping(answers)) => self.ping(&answers),
                    // Whoever asked may have gone away meanwhile.
                    Some(Command::Respond(done)) => drop(done.send(())),
                    Some(Command::Leave(done)) => {
                        self.leave().await;
                        // Whoever asked may have gone away meanwhile.
                        let _ = done.send(());
                        return;
                    }
                    None => return,
                },
                event = self.swarm.select_next_some() => {
                    self.on_event(event);
                    self.take_events();
                }
                () = sleep(wait) => self.read_until = self.shared.now().mono,
            }
        }
    }

    /// Takes some of the events that are there.
    fn take_events(&mut self) {
        for _ in 0..EVENTS_PER_TURN {
            let Some(Some(event)) = self.swarm.next().now_or_never() else {
                self.read_until = self.shared.now().mono;
                return;
            };
            self.on_event(event);
        }
    }

    /// Does everything the replica wants done.
    fn carry_out(&mut self) {
        let (outputs, due, behind) = self.shared.with_turns(|replica, _| {
            let outputs: Vec<Output> = std::iter::from_fn(|| replica.poll_output()).collect();
            (outputs, replica.poll_timeout(), replica.has_work())
        });
        self.replica_due = due;
        for output in outputs {
            match output {
                Output::Publish { frame } => self.publish(&frame.sign()),
                Output::Request { to, id, request } => self.ask(to, id, request),
                Output::Respond { to, id, response } => self.answer(to, id, response),
                Output::MembersChanged => {
                    let at = self.shared.now().mono + MEMBERS_GATHER;
                    self.members_due.get_or_insert(at);
                }
                Output::Report(report) => log(&report),
            }
        }
        self.work(behind);
    }

    /// Does a turn of what may wait, if there is any and it is due.
    fn work(&mut self, behind: bool) {
        let pausing = |due| self.shared.now().mono < due;
        if self.turn_due.is_some_and(pausing) {
            return;
        }
        let (mut left, mut more) = (KEYS_PER_TURN, behind);
        while more && left > 0 {
            let lent = self.shared.with_turns(|replica, _| replica.lend());
            let Some(mut building) = lent else { break };
            left -= building.build(left);
            more = self.shared.with_turns(|replica, _| {
                replica.take_back(building);
                replica.has_work()
            });
        }
        while more && left > 0 {
            left = left.saturating_sub(KEYS_AT_ONCE);
            if !self.shared.show_some(KEYS_AT_ONCE) {
                more = self.shared.with_turns(|replica, _| replica.work_some(0));
            }
        }
        self.turn_due = more.then(|| self.shared.now().mono + TURN_PAUSE);
    }

    /// Does everything that is due, and says how long nothing else will be.
    fn take_care(&mut self) -> Duration {
        let now = self.shared.now().mono;
        if self.members_due.is_some_and(|due| due <= now) {
            self.members_due = None;
            self.read_members(now);
        }
        if self.care.due() <= now {
            for action in self.care.act(now, self.read_until) {
                self.act(action, now);
            }
            let ignored = self.care.ignored();
            self.shared
                .count(|counters| counters.peers_ignored = ignored);
        }
        self.search(now);
        let due = [
            self.replica_due,
            self.turn_due,
            self.members_due,
            self.discovery.due(),
            Some(self.care.due()),
        ];
        due.into_iter()
            .flatten()
            .min()
            .unwrap_or(now)
            .saturating_sub(now)
    }

    fn act(&mut self, action: Action, now: Duration) {
        match action {
            Action::Dial { peer, addresses } => self.dial_peer(peer, addresses, now),
            Action::Join { join, address } => self.dial_join(join, address, now),
            Action::Disconnect { peer, why } => {
                match why {
                    Why::Stale => {
                        self.shared
                            .count(|counters| counters.stale_connections += 1);
                        tracing::info!(%peer, "a peer came back behind a dead connection: starting over with it");
                    }
                    Why::Silent => {
                        self.shared.count(|counters| counters.silent_peers += 1);
                        tracing::info!(%peer, "nothing new comes from a connected peer: starting over with it");
                    }
                    Why::Left | Why::Exchanged => {
                        tracing::debug!(%peer, ?why, "disconnecting a peer")
                    }
                }
                // It may have gone by itself meanwhile.
                let _ = self.swarm.disconnect_peer_id(peer_id(peer));
            }
        }
    }

    /// Takes in what the mesh's state says of its members.
    fn read_members(&mut self, now: Duration) {
        let members = self.shared.with_turns(|replica, now| replica.members(now));
        let known: Vec<Known> = members
            .into_iter()
            .filter(|member| self.dial_members || member.left)
            .map(|member| Known {
                replica: member.replica,
                incarnation: member.incarnation,
                addresses: member
                    .record
                    .map(|record| addresses(&record.addresses))
                    .unwrap_or_default(),
                left: member.left,
            })
            .collect();
        self.care.members(&known, now);
        self.show_all(now);
    }

    fn ban(&mut self, replica: ReplicaId) {
        let now = self.shared.now().mono;
        self.care.ban(replica, now);
        self.swarm
            .behaviour_mut()
            .banned
            .block_peer(peer_id(replica));
        self.show_all(now);
        tracing::info!(peer = %replica, "a peer was banned");
    }

    /// Takes one event of the network.
    pub(super) fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        let now = self.shared.now().mono;
        #[cfg(feature = "metrics")]
        if let Some(recorder) = &self.recorder {
            recorder.record(&event);
        }
        match event {
            SwarmEvent::Behaviour(event) => match event {
                BehaviourEvent::Gossip(event) => self.on_gossip(event, now),
                BehaviourEvent::Sync(event) => self.on_sync(event, now),
                BehaviourEvent::Identify(event) => self.on_identify(event),
                BehaviourEvent::Ping(event) => self.on_ping(&event, now),
                #[cfg(feature = "mdns")]
                BehaviourEvent::Mdns(event) => self.on_mdns(event, now),
                #[cfg(feature = "kad")]
                BehaviourEvent::Kad(event) => self.on_kad(event, now),
                BehaviourEvent::Allowed(never)
                | BehaviourEvent::Banned(never)
                | BehaviourEvent::Limits(never) => match never {},
            },
            event => self.on_connection(event, now),
        }
    }

    /// Shows users what is known of a peer's connection now.
    fn show(&self, replica: ReplicaId, now: Duration) {
        {
            let mut links = self.shared.links();
            match self.care.link(replica, now) {
                Some(link) => drop(links.insert(replica, link)),
                None => drop(links.remove(&replica)),
            }
        }
        self.shared.peers_changed();
    }

    fn show_all(&self, now: Duration) {
        *self.shared.links() = self.care.links(now).collect();
        self.shared.peers_changed();
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        #[cfg(feature = "faults")]
        if let Some(links) = &self.links {
            self.own
                .all()
                .iter()
                .filter_map(socket_address)
                .for_each(|address| links.forget(self.local, address));
        }
        self.shared.stop();
    }
}

/// How long a connected peer may be silent at the least: well past the point where its values are shown stale,
/// so that neither a short stall nor an overloaded machine costs a connection.
fn patience(stale_after: Duration) -> Duration {
    (2 * stale_after).max(Duration::from_secs(5))
}

/// Those that are addresses; a peer of another version may announce what we cannot read.
fn addresses(texts: &[String]) -> Vec<Multiaddr> {
    let parsed = texts.iter().filter_map(|text| text.parse().ok());
    parsed
        .filter(|address| socket_address(address).is_some())
        .take(crate::model::MAX_ADDRESSES)
        .collect()
}

fn log(report: &Report) {
    match report {
        Report::Jumped { incarnation } => {
            tracing::warn!(%incarnation, "an earlier life of this node was ahead of the clock: set the clock right");
        }
        Report::Fenced { other } => {
            tracing::warn!(%other, "another process uses this node's identity: stop one of them, then restart this one");
        }
        Report::ClockOff { ahead_ms } => {
            tracing::warn!(
                ahead_ms,
                "the clock is off the peers': set it; until then shared keys are not written"
            );
        }
        Report::ClockAgrees => tracing::info!("the clock agrees with the peers' again"),
        Report::Diverged { peer } => {
            tracing::warn!(%peer, "two stores differ though both should be equal: restart the node that is wrong, report it");
        }
        Report::Full { limit } => {
            tracing::warn!(
                limit,
                "a limit was reached and something was left out: raise it, or find what fills it"
            );
        }
    }
}
