//! Shows passing events: typed fields, filters, what a late subscriber is still given, and gaps.
//!
//! Two nodes on this machine; a third joins late.
//!
//! ```sh
//! cargo run --example events
//! ```

use std::error::Error;
use std::time::Duration;

use presence_mesh::{
    Event, EventItem, EventStream, Filter, Gap, Mesh, MeshBuilder, MeshKey, Preset, PublishedEvent,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let berlin = node("berlin").listen("127.0.0.1:0")?.start().await?;
    let paris = node("paris").join(berlin.addresses())?.start().await?;
    paris.ready().await;

    // A glob of kinds and conditions that must all hold; the same text is what HTTP and the command line take.
    let far = Filter::kind("call.*").and("slot >= 710".parse()?);
    let mut parked = paris.events().subscribe(far)?;
    for (slot, caller) in [(701, "PJSIP/100"), (712, "PJSIP/101"), (713, "PJSIP/102")] {
        let event = Event::new("call.parked").with("slot", slot);
        berlin.events().publish(event.with("caller", caller))?; // never waits
    }
    for _ in 0..2 {
        let event = next(&mut parked).await?;
        println!("parked by {}: {}", event.node, text(&event));
    }

    // Who joins later is given what is remembered, once, in the order of each origin.
    let rome = node("rome").join(berlin.addresses())?.start().await?;
    let mut all = rome
        .events()
        .subscribe(Filter::kind("call.parked").remembered())?;
    for _ in 0..3 {
        let event = next(&mut all).await?;
        println!("rome, later: event {}: {}", event.seq, text(&event));
    }

    // A subscriber who takes nothing never slows anybody. Its oldest events are dropped, which it is told.
    let mut slow = berlin.events().subscribe(Filter::kind("tick"))?;
    for n in 0..20_000 {
        berlin.events().publish(Event::new("tick").with("n", n))?;
    }
    if let Some(EventItem::Gap(Gap::Slow { dropped })) = slow.next().await {
        let first = next(&mut slow).await?;
        println!("dropped {dropped}, then {}", text(&first));
    }
    for node in [rome, paris, berlin] {
        node.leave().await;
    }
    Ok(())
}

async fn next(events: &mut EventStream) -> Result<std::sync::Arc<PublishedEvent>, Box<dyn Error>> {
    match events.next().await {
        Some(EventItem::Event(event)) => Ok(event),
        Some(other) => Err(format!("not an event: {other:?}").into()),
        None => Err("the node has left".into()),
    }
}

fn text(event: &PublishedEvent) -> String {
    let fields = event.fields().iter();
    let fields: Vec<String> = fields
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    fields.join(" ")
}

fn node(name: &str) -> MeshBuilder {
    Mesh::builder("example")
        .node(name)
        .key(MeshKey::from_bytes([7; 32])) // yours comes from a file: `key_file`
        .preset(Preset::Local)
        .mdns(false)
        .remember(Duration::from_secs(60)) // without it an event is for those who are there
}
