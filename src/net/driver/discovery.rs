//! Finding others: what peers say of themselves, the LAN, the DHT.

use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::identify;
#[cfg(feature = "kad")]
use libp2p::kad;
#[cfg(feature = "mdns")]
use libp2p::mdns;

use super::super::address::{Scope, replica_id, split_peer};
#[cfg(feature = "kad")]
use super::super::behaviour::protocol;
use super::super::config::NetConfig;
#[cfg(any(feature = "mdns", feature = "kad"))]
use super::super::links_table::FoundBy;
use super::Driver;

/// Addresses taken from what a peer says of itself; more are not worth a dial.
const MAX_IDENTIFIED: usize = 8;

/// When the DHT is asked for the other nodes of the mesh.
#[derive(Debug)]
pub(super) struct Discovery {
    #[cfg(feature = "kad")]
    search: Option<Search>,
}

#[cfg(feature = "kad")]
#[derive(Debug)]
struct Search {
    /// Under which all nodes of the mesh announce themselves.
    rendezvous: kad::RecordKey,
    protocol: libp2p::StreamProtocol,
    at: Duration,
    /// Until the time after the next; doubles while nothing changes.
    pause: Duration,
}

#[cfg(feature = "kad")]
const FIRST_SEARCH_PAUSE: Duration = Duration::from_millis(500);
#[cfg(feature = "kad")]
const LONGEST_SEARCH_PAUSE: Duration = Duration::from_secs(60);

impl Discovery {
    #[cfg(feature = "kad")]
    pub(super) fn new(config: &NetConfig) -> Self {
        let search = protocol(config, "kad")
            .ok()
            .filter(|_| config.kad)
            .map(|protocol| Search {
                rendezvous: kad::RecordKey::new(&config.key.rendezvous(&config.mesh)),
                protocol,
                at: Duration::ZERO,
                pause: FIRST_SEARCH_PAUSE,
            });
        Self { search }
    }

    #[cfg(not(feature = "kad"))]
    pub(super) fn new(_: &NetConfig) -> Self {
        Self {}
    }

    #[cfg(feature = "kad")]
    pub(super) fn due(&self) -> Option<Duration> {
        self.search.as_ref().map(|search| search.at)
    }

    #[cfg(not(feature = "kad"))]
    pub(super) fn due(&self) -> Option<Duration> {
        None
    }
}

impl Driver {
    /// What a peer says of itself: where it listens, and whether it takes part in the DHT.
    pub(super) fn on_identify(&mut self, event: identify::Event) {
        let identify::Event::Received {
            connection_id,
            peer_id,
            info,
        } = event
        else {
            return;
        };
        let (Some(replica), Some(&over)) = (replica_id(&peer_id), self.scopes.get(&connection_id))
        else {
            return;
        };
        let addresses = info
            .listen_addrs
            .into_iter()
            .map(|address| split_peer(address).0);
        // Addresses that mean another host here would lead dials and the whole DHT astray.
        let addresses = addresses.filter(|address| Scope::of(address).holds_over(over));
        let addresses: Vec<Multiaddr> = addresses.take(MAX_IDENTIFIED).collect();
        #[cfg(feature = "kad")]
        if let (Some(search), Some(kad)) = (
            &self.discovery.search,
            self.swarm.behaviour_mut().kad.as_mut(),
        ) && info.protocols.contains(&search.protocol)
        {
            for address in &addresses {
                kad.add_address(&peer_id, address.clone());
            }
        }
        self.care.listens(replica, addresses);
    }

    #[cfg(feature = "mdns")]
    pub(super) fn on_mdns(&mut self, event: mdns::Event, now: Duration) {
        // `Expired` says only that an announcement was missed, never that somebody is gone.
        let mdns::Event::Discovered(found) = event else {
            return;
        };
        let mut peers: std::collections::BTreeMap<_, Vec<Multiaddr>> =
            std::collections::BTreeMap::new();
        for (peer, address) in found {
            let address = split_peer(address).0;
            if let Some(replica) =
                replica_id(&peer).filter(|_| Scope::of(&address) >= Scope::Private)
            {
                peers.entry(replica).or_default().push(address);
            }
        }
        for (replica, addresses) in peers {
            self.care.found(replica, &addresses, FoundBy::Mdns, now);
            self.show(replica, now);
        }
    }

    /// Whether the DHT may know addresses that we do not.
    pub(super) fn can_search(&self) -> bool {
        #[cfg(feature = "kad")]
        return self.discovery.search.is_some();
        #[cfg(not(feature = "kad"))]
        return false;
    }

    /// Announces this node in the DHT and asks for the others, when that is due.
    #[cfg(feature = "kad")]
    pub(super) fn search(&mut self, now: Duration) {
        let (Some(search), Some(kad)) = (
            &mut self.discovery.search,
            self.swarm.behaviour_mut().kad.as_mut(),
        ) else {
            return;
        };
        if search.at > now {
            return;
        }
        search.at = now + search.pause;
        search.pause = (search.pause * 2).min(LONGEST_SEARCH_PAUSE);
        // Fails while nobody is known.
        let _ = kad.bootstrap();
        if let Err(error) = kad.start_providing(search.rendezvous.clone()) {
            tracing::debug!(%error, "this node cannot be announced in the DHT");
        }
        kad.get_providers(search.rendezvous.clone());
    }

    #[cfg(not(feature = "kad"))]
    pub(super) fn search(&mut self, _: Duration) {}

    #[cfg(feature = "kad")]
    pub(super) fn on_kad(&mut self, event: kad::Event, now: Duration) {
        match event {
            kad::Event::RoutingUpdated {
                is_new_peer: true, ..
            } => {
                // Whoever is new knows others.
                if let Some(search) = &mut self.discovery.search {
                    search.pause = FIRST_SEARCH_PAUSE;
                    search.at = search.at.min(now + FIRST_SEARCH_PAUSE);
                }
            }
            kad::Event::OutboundQueryProgressed {
                result:
                    kad::QueryResult::GetProviders(Ok(kad::GetProvidersOk::FoundProviders {
                        providers,
                        ..
                    })),
                ..
            } => {
                for replica in providers
                    .iter()
                    .filter_map(replica_id)
                    .filter(|replica| *replica != self.local)
                {
                    self.shared.count(|counters| counters.found_in_dht += 1);
                    self.care.found(replica, &[], FoundBy::Kad, now);
                    self.show(replica, now);
                }
            }
            _ => {}
        }
    }
}
