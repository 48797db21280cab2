//! Who was turned away, or turned us away: each address is logged once, each case is counted.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use libp2p::{Multiaddr, PeerId};
use tracing::Span;

use super::address;
use super::shared::Shared;

/// A stranger with a wrong key redials every second for weeks. That is one line in the log, not a million.
pub(super) struct Refusals {
    shared: Arc<Shared>,
    span: Span,
    logged: Mutex<Logged>,
}

/// How many addresses are remembered as logged; beyond it the oldest is forgotten, and logged again when it
/// comes back.
const REMEMBERED: usize = 256;

#[derive(Debug, Default)]
struct Logged {
    addresses: VecDeque<String>,
}

impl Logged {
    /// Whether this is the first time.
    fn note(&mut self, address: &str) -> bool {
        if self.addresses.iter().any(|known| known == address) {
            return false;
        }
        if self.addresses.len() >= REMEMBERED {
            self.addresses.pop_front();
        }
        self.addresses.push_back(address.to_owned());
        true
    }

    fn forget(&mut self, address: &str) {
        self.addresses.retain(|known| known != address);
    }
}

impl Refusals {
    pub(super) fn new(shared: Arc<Shared>, span: Span) -> Self {
        Self {
            shared,
            span,
            logged: Mutex::default(),
        }
    }

    /// We dialled, the other machine answered, and then it or we gave up before the handshakes were done.
    pub(super) fn outbound(&self, address: &Multiaddr, error: &io::Error) {
        self.shared
            .count(|counters| counters.handshakes_failed += 1);
        if self.is_first(&format!("to {address}")) {
            let _entered = self.span.enter();
            tracing::warn!(%address, %error, "no handshake with what answers there: does it have our mesh's name and key?");
        }
    }

    /// Someone dialled us and did not get through the handshakes.
    pub(super) fn inbound(&self, from: &Multiaddr, error: &io::Error) {
        let gone = [
            io::ErrorKind::UnexpectedEof,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::ConnectionAborted,
            io::ErrorKind::BrokenPipe,
        ];
        // A port scanner, a health check, or a member that gave up dialling.
        if root_kind(error).is_some_and(|kind| gone.contains(&kind)) {
            self.shared
                .count(|counters| counters.handshakes_abandoned += 1);
            tracing::debug!(parent: &self.span, %from, %error, "a connection was abandoned in its handshake");
            return;
        }
        self.shared
            .count(|counters| counters.handshakes_failed += 1);
        let host = host(from);
        if self.is_first(&format!("from {host}")) {
            let _entered = self.span.enter();
            tracing::warn!(from = host, %error, "a stranger was turned away: it does not have our mesh's name and key");
        }
    }

    /// Someone proved to have the key, and may not connect nevertheless.
    pub(super) fn denied(
        &self,
        peer: Option<PeerId>,
        from: &Multiaddr,
        why: &dyn std::fmt::Display,
    ) {
        self.shared
            .count(|counters| counters.connections_refused += 1);
        let host = host(from);
        if self.is_first(&format!("denied {host}")) {
            let peer = peer.map(|peer| peer.to_string());
            let _entered = self.span.enter();
            tracing::warn!(from = host, peer, %why, "a connection was refused");
        }
    }

    /// A connection to there was made: what goes wrong afterwards is news again.
    pub(super) fn forget(&self, address: &Multiaddr) {
        self.logged().forget(&format!("to {address}"));
    }

    fn is_first(&self, address: &str) -> bool {
        self.logged().note(address)
    }

    fn logged(&self) -> std::sync::MutexGuard<'_, Logged> {
        self.logged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Inbound connections come from another port each time: only the host tells them apart.
fn host(address: &Multiaddr) -> String {
    address::ip(address).map_or_else(|| address.to_string(), |ip| ip.to_string())
}

/// The kind of the innermost I/O error: each layer of the transport wraps what the layer below said.
fn root_kind(error: &io::Error) -> Option<io::ErrorKind> {
    let mut kind = None;
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        cause = match error.downcast_ref::<io::Error>() {
            Some(io) => {
                kind = Some(io.kind());
                io.get_ref()
                    .map(|inner| inner as &(dyn std::error::Error + 'static))
            }
            None => error.source(),
        };
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_is_news_once() {
        let mut logged = Logged::default();
        assert!(logged.note("a"));
        assert!(!logged.note("a"));
        assert!(logged.note("b"));
        logged.forget("a");
        assert!(logged.note("a"));
    }

    #[test]
    fn the_memory_of_addresses_is_bounded() {
        let mut logged = Logged::default();
        for n in 0..10 * REMEMBERED {
            assert!(logged.note(&n.to_string()));
        }
        assert_eq!(logged.addresses.len(), REMEMBERED);
        assert!(logged.note("0"), "the oldest was forgotten");
    }

    #[test]
    fn the_innermost_cause_counts() {
        let eof = io::Error::from(io::ErrorKind::UnexpectedEof);
        let wrapped = io::Error::other(io::Error::other(eof));
        assert_eq!(root_kind(&wrapped), Some(io::ErrorKind::UnexpectedEof));
        assert_eq!(
            root_kind(&io::Error::other("text")),
            Some(io::ErrorKind::Other)
        );
    }
}
