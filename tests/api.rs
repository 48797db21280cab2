//! What the types of the public API promise, checked by the compiler.
#![cfg(feature = "net")]

use presence_mesh::{
    DeviceState, EventStream, Events, Filter, Mesh, MeshBuilder, PeerWatcher, Shown, Space,
    Tracked, Watch, Watcher, blocking,
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
}

/// A future that is not `Send` cannot be spawned.
#[test]
fn every_future_is_moved_between_threads() {
    let _ = |builder: MeshBuilder| spawned(builder.start());
    let _ = |mesh: &Mesh| {
        spawned(mesh.ready());
        spawned(mesh.leave());
        spawned(mesh.ban(mesh.id()));
    };
    let _ = |watcher: &mut Watcher<DeviceState>| spawned(watcher.next());
    let _ = |events: &mut EventStream| spawned(events.next());
    let _ = |peers: &mut PeerWatcher| spawned(peers.next());
}
