//! The lamp language: how a state looks where there is only text. Never colour alone.

use std::time::Duration;

use presence_mesh::{DeviceState, Freshness, PresenceStatus};

use crate::span;

/// The shape of a state's lamp in ASCII.
pub fn shape(state: DeviceState) -> &'static str {
    match state {
        DeviceState::NotInUse => "( )",
        DeviceState::Ringing => "/!\\",
        DeviceState::InUse => "[#]",
        DeviceState::Busy => "[X]",
        DeviceState::OnHold => "||",
        DeviceState::RingInUse => "[!]",
        DeviceState::Unavailable => " x ",
        _ => "?",
    }
}

/// The shape of a state's lamp in Unicode.
pub fn symbol(state: DeviceState) -> &'static str {
    match state {
        DeviceState::NotInUse => "○",
        DeviceState::Ringing => "▲",
        DeviceState::InUse => "■",
        DeviceState::Busy => "▣",
        DeviceState::OnHold => "‖",
        DeviceState::RingInUse => "◪",
        DeviceState::Unavailable => "✕",
        _ => "?",
    }
}

/// The shape of a lamp as it is shown: a lamp that is not live carries its age.
pub fn shown(state: DeviceState, freshness: Freshness, age: Duration) -> String {
    aged(shape(state).to_owned(), freshness, age)
}

/// What is not live carries its age.
pub fn aged(text: String, freshness: Freshness, age: Duration) -> String {
    match freshness {
        Freshness::Live => text,
        _ => format!("{text} ~{}", span::age(age).replace(' ', "")),
    }
}

/// The shape of a presence in ASCII.
pub fn presence(status: PresenceStatus) -> &'static str {
    match status {
        PresenceStatus::Available | PresenceStatus::Chat => "( )",
        PresenceStatus::Away | PresenceStatus::Xa | PresenceStatus::Dnd => "(-)",
        PresenceStatus::Unavailable => " x ",
        _ => "?",
    }
}

/// The shape of a presence in Unicode.
pub fn presence_symbol(status: PresenceStatus) -> &'static str {
    match status {
        PresenceStatus::Available | PresenceStatus::Chat => "○",
        PresenceStatus::Away | PresenceStatus::Xa | PresenceStatus::Dnd => "⊘",
        PresenceStatus::Unavailable => "✕",
        _ => "?",
    }
}

/// How far a value is trusted, for people: `live`, `stale, 42 s ago`.
pub fn trust(freshness: Freshness, age: Duration) -> String {
    match freshness {
        Freshness::Live => "live".to_owned(),
        other => format!("{other}, {} ago", span::age(age)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_states_that_differ_for_people_share_a_shape() {
        for a in DeviceState::ALL {
            for b in DeviceState::ALL {
                assert_eq!(shape(a) == shape(b), a.label() == b.label(), "{a} {b}");
                assert_eq!(symbol(a) == symbol(b), a.label() == b.label(), "{a} {b}");
            }
        }
    }

    #[test]
    fn an_old_lamp_shows_its_age() {
        let age = Duration::from_secs(42);
        assert_eq!(shown(DeviceState::InUse, Freshness::Live, age), "[#]");
        assert_eq!(shown(DeviceState::InUse, Freshness::Stale, age), "[#] ~42s");
    }
}
