//! Nodes in this process whose state outlives them.

#[path = "support/nodes.rs"]
mod nodes;
#[path = "support/state_file.rs"]
mod state_file;

use std::fs;
use std::path::Path;

use nodes::{builder, id, start, state, until};
use presence_mesh::{DeviceState, Freshness, Mesh, MessageCounts, SaveError, StartError};
use state_file::saved_keys;

async fn kept(n: u8, file: &Path) -> Mesh {
    start(builder(n).persist(file)).await
}

#[tokio::test]
async fn what_is_flushed_or_left_in_order_is_there_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("state.redb");
    let first = kept(1, &file).await;
    first
        .mailboxes()
        .set("100", MessageCounts::new(3, 1))
        .expect("a write");
    let token = first
        .devices()
        .track("session", DeviceState::InUse)
        .expect("a write");
    first.flush().await.expect("a disk");
    let saved = saved_keys(&file).expect("nobody writes");
    assert!(
        saved.contains("100@default") && !saved.contains("session"),
        "{saved:?}"
    );
    first
        .mailboxes()
        .set("200", MessageCounts::new(1, 0))
        .expect("a write");
    let life = first.incarnation();
    first.leave().await;
    assert_eq!(first.flush().await, Err(SaveError::Stopped));

    let second = kept(1, &file).await;
    assert!(second.incarnation() > life);
    let counts = second.mailboxes().get("100").expect("it is back");
    assert_eq!(
        (counts.value, counts.freshness),
        (MessageCounts::new(3, 1), Freshness::Live)
    );
    assert!(second.mailboxes().get("200").is_some());
    assert_eq!(state(&second, "session"), None);
    assert_eq!(second.save_status().expect("it is kept").problem, None);
    drop(token);
    second.leave().await;
}

#[tokio::test]
async fn a_durable_write_is_on_disk_when_it_returns() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("state.redb");
    let mesh = start(builder(1).persist(&file).durable(true)).await;
    for number in 0..5 {
        let name = format!("PJSIP/{number}");
        mesh.devices()
            .set(&name, DeviceState::InUse)
            .expect("a write");
        let saved = saved_keys(&file).expect("nobody writes");
        assert!(saved.contains(&name), "{name} is not among {saved:?}");
    }
    mesh.leave().await;
}

#[tokio::test]
async fn a_node_that_keeps_nothing_says_so() {
    let mesh = start(builder(1)).await;
    assert_eq!(mesh.flush().await, Err(SaveError::NotKept));
    assert_eq!(mesh.save_status(), None);
}

#[tokio::test]
async fn two_nodes_never_share_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("state.redb");
    let first = kept(1, &file).await;
    let refused = builder(1).persist(&file).start().await;
    assert!(
        matches!(refused, Err(StartError::StateInUse { .. })),
        "{refused:?}"
    );
    // Dropped without a goodbye it saves all the same, and makes way.
    first
        .devices()
        .set("PJSIP/100", DeviceState::InUse)
        .expect("a write");
    drop(first);
    let second = kept(1, &file).await;
    assert_eq!(state(&second, "PJSIP/100"), Some(DeviceState::InUse));
}

#[tokio::test]
async fn a_file_that_makes_no_sense_is_moved_aside_and_the_peers_know() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("state.redb");
    fs::write(&file, "this is a letter".repeat(1_000)).expect("written");
    let other = start(builder(2)).await;
    other
        .mailboxes()
        .set("100", MessageCounts::new(3, 1))
        .expect("a write");
    let mesh = start(
        builder(1)
            .persist(&file)
            .join(other.addresses())
            .expect("addresses"),
    )
    .await;
    assert!(folder.path().join("state.redb.broken-1").exists());
    until("the peer's counts are here", || {
        mesh.mailboxes().get("100").is_some()
    })
    .await;
    mesh.flush().await.expect("a disk");
    assert!(
        saved_keys(&file)
            .expect("nobody writes")
            .contains("100@default")
    );

    // Its peer dies, and it restarts: it still knows, and says how old that is.
    other.leave().await;
    assert_ne!(other.id(), id(1));
    mesh.leave().await;
    let mesh = kept(1, &file).await;
    let counts = mesh.mailboxes().get("100").expect("it is known");
    assert_eq!(
        (counts.value, counts.freshness),
        (MessageCounts::new(3, 1), Freshness::Stale)
    );
}
