//! Planting: which fault is chosen, on which thread, and how faults are called.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use thiserror::Error;

use super::Fault;

thread_local! {
    static PLANTED: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// Keeps a fault planted on this thread until it is dropped; then what was planted before is again.
#[derive(Debug)]
#[must_use = "the fault is planted only as long as this lives"]
pub struct Planted {
    before: Option<Fault>,
    /// Neither `Send` nor `Sync`: it speaks of the thread it was made on.
    thread: PhantomData<*const ()>,
}

/// Plants `fault` on this thread, in place of whatever was planted.
pub fn plant(fault: Fault) -> Planted {
    Planted {
        before: PLANTED.replace(Some(fault)),
        thread: PhantomData,
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        PLANTED.set(self.before);
    }
}

pub(super) fn current() -> Option<Fault> {
    PLANTED.get()
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 24] = [
        Self::CountsByGreatestSeq,
        Self::NoWatermark,
        Self::ResetLosesWatermark,
        Self::CoveredRangeApplied,
        Self::ShownAboveHead,
        Self::ReplyCutShort,
        Self::ResetWithoutCursor,
        Self::UptoAboveOwnHead,
        Self::LivesMixed,
        Self::RestartBlinks,
        Self::BareRegister,
        Self::StampWithoutReplica,
        Self::LeaseWritten,
        Self::RootIgnoresIncarnation,
        Self::FutureStampAdopted,
        Self::AcceptedByClock,
        Self::SameIncarnation,
        Self::PendingAsHead,
        Self::RelayRenews,
        Self::OldBeatRenews,
        Self::TombstoneCompetes,
        Self::ReplyEchoes,
        Self::GoneShownLive,
        Self::BeatsUnannounced,
    ];

    /// What it is called: words with hyphens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CountsByGreatestSeq => "counts-by-greatest-seq",
            Self::NoWatermark => "no-watermark",
            Self::ResetLosesWatermark => "reset-loses-watermark",
            Self::CoveredRangeApplied => "covered-range-applied",
            Self::ShownAboveHead => "shown-above-head",
            Self::ReplyCutShort => "reply-cut-short",
            Self::ResetWithoutCursor => "reset-without-cursor",
            Self::UptoAboveOwnHead => "upto-above-own-head",
            Self::LivesMixed => "lives-mixed",
            Self::RestartBlinks => "restart-blinks",
            Self::BareRegister => "bare-register",
            Self::StampWithoutReplica => "stamp-without-replica",
            Self::LeaseWritten => "lease-written",
            Self::RootIgnoresIncarnation => "root-ignores-incarnation",
            Self::FutureStampAdopted => "future-stamp-adopted",
            Self::AcceptedByClock => "accepted-by-clock",
            Self::SameIncarnation => "same-incarnation",
            Self::PendingAsHead => "pending-as-head",
            Self::RelayRenews => "relay-renews",
            Self::OldBeatRenews => "old-beat-renews",
            Self::TombstoneCompetes => "tombstone-competes",
            Self::ReplyEchoes => "reply-echoes",
            Self::GoneShownLive => "gone-shown-live",
            Self::BeatsUnannounced => "beats-unannounced",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(name: &str) -> Result<Self, UnknownFault> {
        let named = Self::ALL.into_iter().find(|fault| fault.name() == name);
        named.ok_or_else(|| UnknownFault(name.to_owned()))
    }
}

/// No fault is called that.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no fault is called {0:?}")]
pub struct UnknownFault(String);

#[cfg(test)]
mod tests {
    use super::super::planted;
    use super::*;

    #[test]
    fn a_fault_is_found_by_its_name() {
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse(), Ok(fault));
        }
        assert!("lamp-lies".parse::<Fault>().is_err());
    }

    #[test]
    fn a_fault_is_planted_on_one_thread_until_it_is_dropped() {
        assert!(!planted(Fault::NoWatermark));
        let outer = plant(Fault::NoWatermark);
        assert!(planted(Fault::NoWatermark));
        let inner = plant(Fault::RelayRenews);
        assert!(planted(Fault::RelayRenews) && !planted(Fault::NoWatermark));
        drop(inner);
        assert!(planted(Fault::NoWatermark));
        let elsewhere = std::thread::spawn(|| planted(Fault::NoWatermark)).join();
        assert!(
            !elsewhere.expect("it only looks"),
            "the other thread has none"
        );
        drop(outer);
        assert!(!planted(Fault::NoWatermark));
    }
}
