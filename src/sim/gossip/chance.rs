//! Randomness by counter: a draw depends on what it is for, not on how many were made before it.

use super::super::prf;

/// What a draw is for, within `prf`'s purpose of gossip. Draws for different purposes are independent.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    /// When the first heartbeat is.
    Phase = 1,
    /// Whom to graft.
    Graft,
    /// Whom to graft among those we dialled.
    GraftOutbound,
    /// Whom to prune.
    Prune,
    /// Whom to send IHAVE.
    Offer,
    /// Which ids to leave out of an IHAVE.
    Shorten,
    /// Which ids to leave out of an IWANT.
    Ask,
    /// Whom to publish to beyond the mesh.
    Extra,
    /// For measuring: who dials whom.
    Dial,
    /// For measuring: when.
    DialAt,
    /// For measuring: who publishes.
    Publisher,
}

/// The `n`th draw of `entity` for `purpose`, uniform over all 64 bits.
pub(super) fn draw(seed: u64, entity: u64, purpose: Purpose, n: u64) -> u64 {
    prf::prf(
        seed ^ ((purpose as u64) << 56),
        entity,
        prf::Purpose::Gossip,
        n,
    )
}

/// A number below `bound` from a draw.
pub(super) fn below(draw: u64, bound: u64) -> u64 {
    ((u128::from(draw) * u128::from(bound)) >> 64) as u64
}

/// Keeps `count` of `candidates`, those with the lowest keys, in their own order.
///
/// With keys that are draws by candidate this chooses evenly, and a candidate more or less does not change
/// the fate of the others.
pub(super) fn choose<T: Copy + Ord>(candidates: &mut Vec<T>, count: usize, key: impl Fn(T) -> u64) {
    if count == 0 {
        candidates.clear();
    } else if candidates.len() > count {
        let mut keyed: Vec<(u64, T)> = candidates.iter().map(|&c| (key(c), c)).collect();
        keyed.select_nth_unstable(count - 1);
        candidates.clear();
        candidates.extend(keyed[..count].iter().map(|&(_, candidate)| candidate));
        candidates.sort_unstable();
    }
}
