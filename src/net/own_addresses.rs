//! Where this node can be dialled.

use std::collections::BTreeSet;

use libp2p::Multiaddr;

use super::address::Scope;
use crate::model::MAX_ADDRESSES;

/// The addresses the listeners have: an unspecified one (`0.0.0.0`) shows up as one for each interface, and
/// interfaces come and go.
#[derive(Debug, Default)]
pub(super) struct OwnAddresses {
    bound: BTreeSet<Multiaddr>,
}

impl OwnAddresses {
    pub(super) fn insert(&mut self, address: Multiaddr) {
        self.bound.insert(address);
    }

    pub(super) fn remove(&mut self, address: &Multiaddr) {
        self.bound.remove(address);
    }

    pub(super) fn all(&self) -> &BTreeSet<Multiaddr> {
        &self.bound
    }

    /// What others are told, farthest reaching first: no loopback address unless that is all there is, and
    /// none that means something on one wire only.
    pub(super) fn announced(&self) -> Vec<Multiaddr> {
        let of = |scope| {
            self.bound
                .iter()
                .filter(move |address| Scope::of(address) == scope)
        };
        let mut announced: Vec<Multiaddr> = of(Scope::Global)
            .chain(of(Scope::Private))
            .cloned()
            .collect();
        if announced.is_empty() {
            announced.extend(of(Scope::Loopback).cloned());
        }
        announced.truncate(MAX_ADDRESSES);
        announced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(addresses: &[&str]) -> Vec<String> {
        let mut own = OwnAddresses::default();
        addresses
            .iter()
            .for_each(|text| own.insert(text.parse().expect("a multiaddr")));
        own.announced().iter().map(Multiaddr::to_string).collect()
    }

    #[test]
    fn loopback_is_announced_only_when_alone() {
        assert_eq!(
            announced(&["/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1"]),
            ["/ip4/10.0.0.1/tcp/1"]
        );
        assert_eq!(
            announced(&["/ip4/127.0.0.1/tcp/1", "/ip6/fe80::1/tcp/1"]),
            ["/ip4/127.0.0.1/tcp/1"]
        );
        assert_eq!(
            announced(&["/ip4/10.0.0.1/tcp/1", "/ip4/192.0.2.1/tcp/1"]),
            ["/ip4/192.0.2.1/tcp/1", "/ip4/10.0.0.1/tcp/1"]
        );
    }

    #[test]
    fn many_interfaces_are_cut_to_the_limit() {
        let many: Vec<String> = (0..200).map(|n| format!("/ip4/10.0.0.{n}/tcp/1")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(announced(&many).len(), MAX_ADDRESSES);
    }
}
