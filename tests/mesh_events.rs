//! Passing events among real nodes in one process, over loopback.
#![cfg(feature = "net")]

#[path = "support/nodes.rs"]
mod nodes;

use std::sync::Arc;
use std::time::Duration;

use nodes::{DEADLINE, builder, connected, id, start, until};
use presence_mesh::{Event, EventItem, EventStream, Filter, Gap, Mesh, PublishedEvent, Test};
use tokio::time::timeout;

async fn pair(remember: Duration) -> (Mesh, Mesh) {
    let first = start(builder(1).remember(remember)).await;
    let join = builder(2)
        .remember(remember)
        .join(first.addresses())
        .expect("an address");
    let second = start(join).await;
    until("both are connected", || {
        connected(&first, id(2)) && connected(&second, id(1))
    })
    .await;
    (first, second)
}

async fn event(stream: &mut EventStream) -> Arc<PublishedEvent> {
    loop {
        let item = timeout(DEADLINE, stream.next())
            .await
            .expect("in time")
            .expect("not ended");
        match item {
            EventItem::Event(event) => return event,
            // Published before the two had heard of each other.
            EventItem::Gap(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_one_node_publishes_the_other_hears() {
    let (first, second) = pair(Duration::ZERO).await;
    let filter = Filter::kind("call.*").field("slot", Test::Ge(700.into()));
    let mut parked = second.events().subscribe(filter).expect("there is room");
    assert_eq!(parked.try_next(), None);
    // Until the gossip has formed, what is published may reach nobody.
    let publishing = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            tick.tick().await;
            for (kind, slot) in [("call.parked", 1), ("mwi", 701), ("call.parked", 702)] {
                let event = Event::new(kind).with("slot", slot);
                first.events().publish(event).expect("published");
            }
        }
    });
    let (a, b) = (event(&mut parked).await, event(&mut parked).await);
    for event in [&a, &b] {
        assert_eq!(
            (
                event.kind(),
                event.get("slot").and_then(|slot| slot.as_u64())
            ),
            ("call.parked", Some(702))
        );
        assert_eq!(event.replica, id(1));
    }
    assert!(a.seq < b.seq);
    publishing.abort();
    second.leave().await;
    while parked.next().await.is_some() {}
    assert_eq!(parked.try_next(), None, "it ends with the node");
}

/// Published before the other node was even started.
#[tokio::test]
async fn who_joins_late_gets_what_is_remembered_in_order() {
    let remember = Duration::from_secs(60);
    let first = start(builder(1).remember(remember)).await;
    for n in 1..=20 {
        first
            .events()
            .publish(Event::new("cdr").with("n", n))
            .expect("published");
    }
    let join = builder(2)
        .remember(remember)
        .join(first.addresses())
        .expect("an address");
    let second = start(join).await;
    let mut records = second
        .events()
        .subscribe(Filter::kind("cdr").remembered())
        .expect("there is room");
    for n in 1..=20u64 {
        assert_eq!(event(&mut records).await.seq, n);
    }
    first
        .events()
        .publish(Event::new("cdr").with("n", 21))
        .expect("published");
    assert_eq!(event(&mut records).await.seq, 21);
    let mut again = second
        .events()
        .subscribe(Filter::kind("cdr").remembered())
        .expect("there is room");
    assert_eq!(event(&mut again).await.seq, 1);
    assert_eq!(records.try_next(), None, "each comes once");
}

/// 200 subscribers that take nothing: each keeps its newest, and the node goes on.
#[tokio::test]
async fn slow_subscribers_slow_nobody() {
    let mut limits = presence_mesh::Limits::default();
    limits.event_queue = 8;
    let mesh = start(builder(1).limits(limits)).await;
    let mut streams: Vec<EventStream> = (0..200)
        .map(|_| {
            mesh.events()
                .subscribe(Filter::everything())
                .expect("there is room")
        })
        .collect();
    for n in 1..=100u64 {
        mesh.events()
            .publish(Event::new("x").with("n", n))
            .expect("published");
    }
    for stream in &mut streams {
        assert_eq!(
            stream.try_next(),
            Some(EventItem::Gap(Gap::Slow { dropped: 92 }))
        );
        assert_eq!(event(stream).await.seq, 93);
    }
    assert_eq!(mesh.counters().events_published, 100);
}
