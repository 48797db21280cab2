//! What the types of the public API promise, checked by the compiler.
#![cfg(feature = "net")]

use presence_mesh::{
    AddressError, AttributeError, Condition, ConfigError, CountsError, DeviceState, Digest,
    EventError, EventItem, EventStream, Events, Filter, FilterError, FollowError, FoundBy,
    Freshness, Incarnation, Key, KeyError, KeyFileError, KeyUseError, MailboxName, Merge, Mesh,
    MeshBuilder, MessageCounts, Namespace, ParseConditionError, ParseDigestError,
    ParseReplicaIdError, Pattern, PeerChange, PeerWatcher, Presence, PresenceStatus, Preset,
    PublishError, ReplicaId, SetAttributeError, Shown, Space, Standing, StartError, Tracked,
    UnknownDeviceState, UnknownPresenceStatus, UnknownWord, ValueError, Watch, Watcher, WriteError,
    blocking,
};

fn handle<T: Clone + std::fmt::Debug + Send + Sync + 'static>() {}
fn held<T: std::fmt::Debug + Send + 'static>() {}
fn spawned<T: Send>(_: T) {}

#[test]
fn handles_are_cloned_and_shared_between_threads() {
    handle::<Mesh>();
    handle::<MeshBuilder>();
    handle::<Space<DeviceState>>();
    handle::<Events>();
    handle::<Filter>();
    handle::<blocking::Mesh>();
    handle::<blocking::Space<DeviceState>>();
    handle::<blocking::Events>();
    handle::<Shown<DeviceState>>();
    handle::<Watch<DeviceState>>();
}

#[test]
fn what_follows_something_is_moved_between_threads() {
    held::<Watcher<DeviceState>>();
    held::<EventStream>();
    held::<PeerWatcher>();
    held::<Tracked<DeviceState>>();
    held::<blocking::Watcher<DeviceState>>();
    held::<blocking::EventStream>();
    held::<blocking::PeerWatcher>();
}

/// As `?`, `anyhow` and threads want them.
#[test]
fn errors_are_errors_that_threads_can_hand_on() {
    fn error<T: std::error::Error + Send + Sync + 'static>() {}
    error::<AddressError>();
    error::<AttributeError>();
    error::<ConfigError>();
    error::<CountsError>();
    error::<EventError>();
    error::<FilterError>();
    error::<FollowError>();
    error::<KeyError>();
    error::<KeyFileError>();
    error::<KeyUseError>();
    error::<ParseConditionError>();
    error::<ParseDigestError>();
    error::<ParseReplicaIdError>();
    error::<PublishError>();
    error::<SetAttributeError>();
    error::<StartError>();
    error::<UnknownDeviceState>();
    error::<UnknownPresenceStatus>();
    error::<UnknownWord>();
    error::<ValueError>();
    error::<WriteError>();
    error::<blocking::TimedOut>();
    error::<presence_mesh::wire::DecodeError>();
    #[cfg(feature = "persist")]
    error::<presence_mesh::SaveError>();
    #[cfg(feature = "asterisk")]
    {
        use presence_mesh::bridge::asterisk::*;
        error::<AstEventError>();
        error::<AstEventMappingError>();
        error::<AsteriskError>();
        error::<BodyError>();
        error::<LedgerError>();
        error::<ParseEidError>();
    }
}

/// Values go into sets, maps and logs, and their texts are read back.
#[test]
fn words_have_the_common_traits() {
    fn word<T>()
    where
        T: Clone + Eq + Ord + std::hash::Hash + std::fmt::Debug + std::fmt::Display,
        T: Send + Sync + 'static,
    {
    }
    fn read<T: std::str::FromStr + std::fmt::Display>() {}
    word::<DeviceState>();
    word::<MessageCounts>();
    word::<Presence>();
    word::<PresenceStatus>();
    word::<ReplicaId>();
    word::<Incarnation>();
    word::<MailboxName>();
    word::<Namespace>();
    word::<Key>();
    word::<Digest>();
    word::<Freshness>();
    word::<Standing>();
    word::<FoundBy>();
    read::<DeviceState>();
    read::<PresenceStatus>();
    read::<ReplicaId>();
    read::<Incarnation>();
    read::<MailboxName>();
    read::<Namespace>();
    read::<Digest>();
    read::<Pattern>();
    read::<Condition>();
    read::<Preset>();
    read::<Merge>();
}

/// What follows something is a stream of the same items.
#[test]
fn what_follows_something_is_a_stream() {
    fn stream<T, S: futures::Stream<Item = T> + Unpin>() {}
    stream::<Watch<DeviceState>, Watcher<DeviceState>>();
    stream::<EventItem, EventStream>();
    stream::<PeerChange, PeerWatcher>();
}

/// A future that is not `Send` cannot be spawned.
#[test]
fn every_future_is_moved_between_threads() {
    let _ = |builder: MeshBuilder| spawned(builder.start());
    let _ = |mesh: &Mesh| {
        spawned(mesh.ready());
        spawned(mesh.leave());
        spawned(mesh.ban(mesh.id()));
        spawned(mesh.ping());
    };
    let _ = |watcher: &mut Watcher<DeviceState>| spawned(watcher.next());
    let _ = |events: &mut EventStream| spawned(events.next());
    let _ = |peers: &mut PeerWatcher| spawned(peers.next());
}
