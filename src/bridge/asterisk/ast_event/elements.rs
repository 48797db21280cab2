//! Which types of events and of information elements there are (`event_defs.h`, `event.c`).

/// How an element's payload is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Uint,
    Text,
    Raw,
}

use Class::{Raw, Text, Uint};

/// The entity id, which stands last in every event.
pub(super) const EID: u16 = 0x21;

/// Types of events, with the kinds they are here.
pub(super) const KINDS: [(u16, &str); 13] = [
    (0x01, "custom"),
    (0x02, "mwi"),
    (0x03, "subscription"),
    (0x04, "unsubscription"),
    (0x05, "device_state"),
    (0x06, "device_state_change"),
    (0x07, "cel"),
    (0x08, "security"),
    (0x09, "network_change"),
    (0x0a, "presence_state"),
    (0x0b, "acl_change"),
    (0x0c, "ping"),
    (0x0d, "cluster_discovery"),
];

/// Types of elements, with the fields they are here, in the order in which Asterisk writes them; those whose
/// order no recording shows come by their number.
pub(super) const ELEMENTS: [(u16, &str, Class); 63] = [
    (0x03, "mailbox", Text),
    (0x09, "context", Text),
    (0x01, "new_messages", Uint),
    (0x02, "old_messages", Uint),
    (0x07, "device", Text),
    (0x08, "state", Uint),
    (0x3d, "cachable", Uint),
    (0x3e, "node_id", Uint),
    (0x04, "unique_id", Uint),
    (0x05, "event_type", Uint),
    (0x06, "exists", Uint),
    (0x0a, "cel_event_type", Uint),
    (0x0b, "cel_event_time", Uint),
    (0x0c, "cel_event_time_usec", Uint),
    (0x0d, "cel_user_event_name", Text),
    (0x0e, "cel_caller_name", Text),
    (0x0f, "cel_caller_number", Text),
    (0x10, "cel_extension", Text),
    (0x11, "cel_context", Text),
    (0x12, "cel_channel", Text),
    (0x13, "cel_application", Text),
    (0x14, "cel_application_data", Text),
    (0x15, "cel_ama_flags", Uint),
    (0x16, "cel_account", Text),
    (0x17, "cel_unique_id", Text),
    (0x18, "cel_user_field", Text),
    (0x19, "cel_caller_ani", Text),
    (0x1a, "cel_caller_rdnis", Text),
    (0x1b, "cel_caller_dnid", Text),
    (0x1c, "cel_peer", Text),
    (0x1d, "cel_linked_id", Text),
    (0x1e, "cel_peer_account", Text),
    (0x1f, "cel_extra", Text),
    (0x20, "description", Text),
    (0x22, "security_event", Uint),
    (0x23, "event_version", Uint),
    (0x24, "service", Text),
    (0x25, "module", Text),
    (0x26, "account_id", Text),
    (0x27, "session_id", Text),
    (0x28, "session_time", Text),
    (0x29, "acl_name", Text),
    (0x2a, "local_addr", Text),
    (0x2b, "remote_addr", Text),
    (0x2c, "event_time", Text),
    (0x2d, "request_type", Text),
    (0x2e, "request_params", Text),
    (0x2f, "auth_method", Text),
    (0x30, "severity", Text),
    (0x31, "expected_addr", Text),
    (0x32, "challenge", Text),
    (0x33, "response", Text),
    (0x34, "expected_response", Text),
    (0x35, "received_challenge", Text),
    (0x36, "received_hash", Text),
    (0x37, "using_password", Uint),
    (0x38, "attempted_transport", Text),
    (0x39, "presence_provider", Text),
    (0x3a, "presence_state", Uint),
    (0x3b, "presence_subtype", Text),
    (0x3c, "presence_message", Text),
    (0x3f, "cel_tenant_id", Text),
    (EID, "eid", Raw),
];

/// How the payload of an element is to be read; what is not known is kept as it is.
pub(super) fn class(element_type: u16) -> Class {
    let known = ELEMENTS.iter().find(|(number, ..)| *number == element_type);
    known.map_or(Raw, |(.., class)| *class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_named_once() {
        let mut numbers: Vec<u16> = ELEMENTS.iter().map(|(number, ..)| *number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=0x3f).collect::<Vec<_>>());
        let mut names: Vec<&str> = ELEMENTS.iter().map(|(_, name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ELEMENTS.len());
    }
}
