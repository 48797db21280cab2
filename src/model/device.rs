//! Device states and how the states of several servers combine into one lamp.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What a device does, in Asterisk's terms (`include/asterisk/devicestate.h`).
///
/// The numbers are Asterisk's and go on the wire; they say nothing about which state wins (see
/// [`DeviceState::join`]).
///
/// ```
/// use presence_mesh::DeviceState;
/// let state: DeviceState = "ringing".parse()?; // Asterisk's spelling, in any case
/// assert_eq!((state.as_str(), state.label(), state.number()), ("RINGING", "Ringing", 6));
/// assert_eq!(DeviceState::from_number(6), Some(state));
/// let shown = DeviceState::aggregate([DeviceState::NotInUse, DeviceState::Ringing, DeviceState::InUse]);
/// assert_eq!(shown, DeviceState::RingInUse);
/// # Ok::<(), presence_mesh::UnknownDeviceState>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[repr(u8)]
#[non_exhaustive]
pub enum DeviceState {
    /// Valid, but its state is not known.
    Unknown = 0,
    /// Idle.
    #[serde(rename = "NOT_INUSE")]
    NotInUse = 1,
    /// On a call.
    #[serde(rename = "INUSE")]
    InUse = 2,
    /// Takes no more calls.
    Busy = 3,
    /// Not known to the server. The identity of [`DeviceState::join`]: it adds nothing.
    Invalid = 4,
    /// Not registered.
    Unavailable = 5,
    /// Ringing.
    Ringing = 6,
    /// On a call, and ringing for another.
    #[serde(rename = "RINGINUSE")]
    RingInUse = 7,
    /// On hold.
    #[serde(rename = "ONHOLD")]
    OnHold = 8,
}

impl DeviceState {
    /// All nine, in the order of their numbers.
    pub const ALL: [DeviceState; 9] = [
        Self::Unknown,
        Self::NotInUse,
        Self::InUse,
        Self::Busy,
        Self::Invalid,
        Self::Unavailable,
        Self::Ringing,
        Self::RingInUse,
        Self::OnHold,
    ];

    /// The state with Asterisk's number `number`.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Asterisk's number of this state.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// As Asterisk spells it in JSON, AMI and the dialplan: `NOT_INUSE`, `RINGINUSE`, …
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::NotInUse => "NOT_INUSE",
            Self::InUse => "INUSE",
            Self::Busy => "BUSY",
            Self::Invalid => "INVALID",
            Self::Unavailable => "UNAVAILABLE",
            Self::Ringing => "RINGING",
            Self::RingInUse => "RINGINUSE",
            Self::OnHold => "ONHOLD",
        }
    }

    /// What a person calls it: `Free`, `On a call`, …
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unknown | Self::Invalid => "Unknown",
            Self::NotInUse => "Free",
            Self::InUse => "On a call",
            Self::Busy => "Busy",
            Self::Unavailable => "Offline",
            Self::Ringing => "Ringing",
            Self::RingInUse => "On a call, ringing",
            Self::OnHold => "On hold",
        }
    }

    /// Combines the states that two servers report of one device.
    ///
    /// RINGING beside INUSE, BUSY or ONHOLD is RINGINUSE; otherwise the greater of
    /// INVALID < UNKNOWN < UNAVAILABLE < NOT_INUSE < ONHOLD < RINGING < INUSE < BUSY < RINGINUSE wins.
    /// Commutative, associative and idempotent, with `Invalid` as identity: a join-semilattice, so the order
    /// in which servers are folded never matters. The same function as Asterisk's
    /// (`main/devicestate.c`, `ast_devstate_aggregate_add`).
    ///
    /// ```
    /// use presence_mesh::DeviceState::{InUse, Invalid, NotInUse, Ringing, RingInUse, Unavailable};
    /// assert_eq!(NotInUse.join(Unavailable), NotInUse);
    /// assert_eq!(Ringing.join(InUse), RingInUse);
    /// assert_eq!(Invalid.join(Ringing), Ringing);
    /// ```
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        let talking = |state| matches!(state, Self::InUse | Self::Busy | Self::OnHold);
        if (self == Self::Ringing && talking(other)) || (other == Self::Ringing && talking(self)) {
            return Self::RingInUse;
        }
        if self.rank() >= other.rank() {
            self
        } else {
            other
        }
    }

    /// The aggregate of any number of states; `Invalid` when there are none.
    pub fn aggregate(states: impl IntoIterator<Item = Self>) -> Self {
        states.into_iter().fold(Self::Invalid, Self::join)
    }

    const fn rank(self) -> u8 {
        match self {
            Self::Invalid => 0,
            Self::Unknown => 1,
            Self::Unavailable => 2,
            Self::NotInUse => 3,
            Self::OnHold => 4,
            Self::Ringing => 5,
            Self::InUse => 6,
            Self::Busy => 7,
            Self::RingInUse => 8,
        }
    }
}

impl fmt::Display for DeviceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for DeviceState {
    type Err = UnknownDeviceState;

    /// Reads Asterisk's spelling in any case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownDeviceState(text.chars().take(40).collect()))
    }
}

/// The text is none of Asterisk's device states.
///
/// ```
/// let error = "HOLDING".parse::<presence_mesh::DeviceState>().expect_err("no state of Asterisk's");
/// assert!(error.to_string().starts_with("unknown device state \"HOLDING\""));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "unknown device state {0:?}: expected one of UNKNOWN NOT_INUSE INUSE BUSY INVALID UNAVAILABLE RINGING RINGINUSE ONHOLD"
)]
pub struct UnknownDeviceState(String);

#[cfg(test)]
mod tests {
    use super::DeviceState::{self, *};

    /// The 81 expectations of Asterisk's own unit test (`tests/test_devicestate.c`), rows and columns in the
    /// order of `ORDER`.
    const ORDER: [DeviceState; 9] = [
        Unknown,
        NotInUse,
        InUse,
        Busy,
        Invalid,
        Unavailable,
        Ringing,
        RingInUse,
        OnHold,
    ];
    const EXPECTED: [[DeviceState; 9]; 9] = [
        [
            Unknown,
            NotInUse,
            InUse,
            Busy,
            Unknown,
            Unavailable,
            Ringing,
            RingInUse,
            OnHold,
        ],
        [
            NotInUse, NotInUse, InUse, Busy, NotInUse, NotInUse, Ringing, RingInUse, OnHold,
        ],
        [
            InUse, InUse, InUse, Busy, InUse, InUse, RingInUse, RingInUse, InUse,
        ],
        [
            Busy, Busy, Busy, Busy, Busy, Busy, RingInUse, RingInUse, Busy,
        ],
        [
            Unknown,
            NotInUse,
            InUse,
            Busy,
            Invalid,
            Unavailable,
            Ringing,
            RingInUse,
            OnHold,
        ],
        [
            Unavailable,
            NotInUse,
            InUse,
            Busy,
            Unavailable,
            Unavailable,
            Ringing,
            RingInUse,
            OnHold,
        ],
        [
            Ringing, Ringing, RingInUse, RingInUse, Ringing, Ringing, Ringing, RingInUse, RingInUse,
        ],
        [RingInUse; 9],
        [
            OnHold, OnHold, InUse, Busy, OnHold, OnHold, RingInUse, RingInUse, OnHold,
        ],
    ];

    #[test]
    fn pairs_combine_as_in_asterisk() {
        for (i, a) in ORDER.into_iter().enumerate() {
            for (j, b) in ORDER.into_iter().enumerate() {
                assert_eq!(a.join(b), EXPECTED[i][j], "{a} with {b}");
            }
        }
    }

    #[test]
    fn every_triple_obeys_the_semilattice_laws() {
        for a in DeviceState::ALL {
            assert_eq!(a.join(a), a);
            assert_eq!(a.join(Invalid), a);
            for b in DeviceState::ALL {
                assert_eq!(a.join(b), b.join(a));
                for c in DeviceState::ALL {
                    assert_eq!(a.join(b).join(c), a.join(b.join(c)), "{a} {b} {c}");
                }
            }
        }
    }

    #[test]
    fn names_are_read_in_any_case_and_numbers_are_asterisks() {
        for (number, state) in (0u8..).zip(DeviceState::ALL) {
            assert_eq!(state.number(), number);
            assert_eq!(DeviceState::from_number(number), Some(state));
            assert_eq!(state.as_str().to_lowercase().parse(), Ok(state));
        }
        assert_eq!(DeviceState::from_number(9), None);
        assert!("HOLDING".parse::<DeviceState>().is_err());
    }
}
