//! Whom not to graft, and until when.

use super::params::Params;

/// The backoffs of one node. They outlive the connection, as in the crate.
///
/// A peer may graft us again at the backoff's time. We graft it again only when the heartbeat has forgotten
/// the backoff, which is a little later: the crate looks at each one every so many heartbeats.
#[derive(Debug, Default)]
pub(super) struct Backoffs {
    /// Sorted by peer.
    list: Vec<Backoff>,
    /// The turn of the current heartbeat.
    turn: usize,
}

#[derive(Debug)]
struct Backoff {
    peer: u32,
    until_us: u64,
    /// The turn at which it is looked at.
    turn: usize,
}

impl Backoffs {
    /// Backs off from `peer` for `span_us`, unless it does so for longer already.
    pub(super) fn extend(&mut self, peer: u32, span_us: u64, now_us: u64, params: &Params) {
        let until_us = now_us + span_us;
        let turns = span_us.div_ceil(params.heartbeat_us) as usize + params.backoff_slack as usize;
        let turn = (self.turn + turns) % turns_in_all(params);
        let new = Backoff {
            peer,
            until_us,
            turn,
        };
        match self.list.binary_search_by_key(&peer, |b| b.peer) {
            Ok(at) if self.list[at].until_us < until_us => self.list[at] = new,
            Ok(_) => {}
            Err(at) => self.list.insert(at, new),
        }
    }

    /// Whether we must not graft `peer`.
    pub(super) fn holds(&self, peer: u32) -> bool {
        self.get(peer).is_some()
    }

    /// Whether `peer` must not graft us.
    pub(super) fn refuses(&self, peer: u32, now_us: u64) -> bool {
        self.get(peer).is_some_and(|b| b.until_us > now_us)
    }

    /// Forgets the backoffs whose turn it is, if their time has passed.
    pub(super) fn heartbeat(&mut self, now_us: u64, params: &Params) {
        let slack_us = u64::from(params.backoff_slack) * params.heartbeat_us;
        let turn = self.turn;
        self.list
            .retain(|b| b.turn != turn || b.until_us + slack_us > now_us);
        self.turn = (turn + 1) % turns_in_all(params);
    }

    fn get(&self, peer: u32) -> Option<&Backoff> {
        let at = self.list.binary_search_by_key(&peer, |b| b.peer).ok()?;
        Some(&self.list[at])
    }
}

fn turns_in_all(params: &Params) -> usize {
    params.prune_backoff_us.div_ceil(params.heartbeat_us) as usize
        + params.backoff_slack as usize
        + 1
}
