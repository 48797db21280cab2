//! Why a key shows what it shows, as people read it.

use std::time::Duration;

use super::{Cells, table, who};
use crate::api::Explained;
use crate::lamp;
use crate::people::Directory;

/// Why a key shows what it shows.
pub fn explain<V: Cells>(explained: &Explained<V>, people: &Directory) -> String {
    let age = Duration::from_millis(explained.age_ms);
    let mut text = format!(
        "{} {}{}: {}\n{}, last changed {}\n",
        explained.space,
        explained.key,
        who(&explained.key, people),
        explained.value.text(explained.freshness, age),
        lamp::trust(explained.freshness, age),
        explained.changed_at,
    );
    let rows = explained.contributions.iter().map(|contribution| {
        let part = &contribution.part;
        let notes = [
            (contribution.own, "this node"),
            (contribution.held, "held back: written in the future"),
            (contribution.previous, "from before its restart"),
        ];
        let notes: Vec<&str> = notes
            .into_iter()
            .filter_map(|(holds, note)| holds.then_some(note))
            .collect();
        vec![
            if contribution.wins { "*" } else { "" }.to_owned(),
            part.node.clone(),
            part.value.plain(),
            lamp::trust(part.freshness, Duration::from_millis(part.age_ms)),
            contribution.written_at.clone(),
            contribution.source.clone(),
            format!("{}:{}", contribution.stamp.hlc, contribution.stamp.seq),
            notes.join(", "),
        ]
    });
    text.push_str(&table(
        &[
            "", "NODE", "VALUE", "TRUST", "WRITTEN", "BY", "STAMP", "NOTE",
        ],
        rows,
    ));
    text.push_str(&format!("\n* decides: {}", explained.why));
    match explained.pbx.as_deref() {
        None => {}
        Some([]) => text.push_str("\nthe PBX was told nothing of it"),
        Some(told) => {
            let rows = told.iter().map(|told| {
                let note = if told.pending {
                    "will be told anew"
                } else {
                    ""
                };
                let cells = [&told.eid, &told.value.plain(), &told.told_at, note];
                cells.map(str::to_owned).to_vec()
            });
            text.push_str("\nthe PBX was told\n");
            text.push_str(&table(&["EID", "VALUE", "TOLD", "NOTE"], rows));
        }
    }
    text
}

#[cfg(test)]
#[path = "../../../../tests/support/world.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod world;

/// Each case as text and as JSON, against `tests/fixtures/explain`; `UPDATE_GOLDEN=1` writes them anew.
#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use presence_mesh::model::{Key, Value};
    use presence_mesh::{DeviceState, MessageCounts};
    use serde::Serialize;

    use super::*;
    use crate::api::{DeviceFields, ToldPart};

    use super::world::{World, device, mailbox};

    const LAMP: &str = "PJSIP/100";

    /// A mesh of as many nodes, in which everyone believes everyone.
    fn mesh(nodes: usize) -> World {
        let mut world = World::new(nodes, 7);
        world.run_for(2_000);
        world
    }

    /// What the last node says of a key.
    fn explained<T: Into<V>, V>(
        world: &World,
        key: &Key,
        decode: impl Fn(&Value) -> Option<T>,
    ) -> Explained<V> {
        let last = world.up().into_iter().last().expect("somebody is up");
        let explanation = world.replica(last).explain(key, world.now(last));
        let explanation = explanation.expect("it is shown").decode(decode);
        Explained::new(
            key.space().name(),
            explanation.expect("it is of that type"),
            None,
        )
    }

    fn lamp(world: &World) -> Explained<DeviceFields> {
        explained(world, &device(LAMP), |value| Some(value.device_state()))
    }

    fn golden<V: Cells + Serialize>(case: &str, explained: &Explained<V>) {
        let json = serde_json::to_string_pretty(explained).expect("it is JSON") + "\n";
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain");
        for (ending, text) in [
            ("txt", explain(explained, &Directory::default()) + "\n"),
            ("json", json),
        ] {
            let path = folder.join(format!("{case}.{ending}"));
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                fs::write(&path, &text).expect("it can be written");
            }
            let expected = fs::read_to_string(&path).expect("the golden file is there");
            assert_eq!(text, expected, "{case}.{ending}");
        }
    }

    #[test]
    fn the_busiest_of_three_servers_decides() {
        let mut world = mesh(3);
        let states = [
            DeviceState::NotInUse,
            DeviceState::InUse,
            DeviceState::Unavailable,
        ];
        for (node, state) in states.into_iter().enumerate() {
            world.set(node, LAMP, state);
            world.run_for(100);
        }
        golden("aggregate-of-three", &lamp(&world));
    }

    #[test]
    fn ringing_here_and_in_use_there_is_both() {
        let mut world = mesh(3);
        world.set(0, LAMP, DeviceState::Ringing);
        world.set(1, LAMP, DeviceState::InUse);
        world.run_for(100);
        golden("ringing-plus-in-use", &lamp(&world));
    }

    /// The silent one's state is no busier than the live one's: nothing to doubt.
    #[test]
    fn what_is_stale_loses_to_what_is_live() {
        let mut world = mesh(3);
        world.set(0, LAMP, DeviceState::NotInUse);
        world.set(1, LAMP, DeviceState::InUse);
        world.run_for(100);
        world.crash(0);
        world.run_for(5_000);
        golden("stale-loses-to-live", &lamp(&world));
    }

    #[test]
    fn of_a_shared_mailbox_the_later_writer_decides() {
        let mut world = mesh(3);
        world.set_counts(0, "100@default", 3);
        world.run_for(100);
        world.set_counts(1, "100@default", 0);
        world.run_for(100);
        let counts = |value: &Value| value.decode::<MessageCounts>();
        golden::<MessageCounts>(
            "shared-mailbox",
            &explained(&world, &mailbox("100@default"), counts),
        );
    }

    #[test]
    fn a_stamp_from_the_future_is_held_back() {
        let mut world = mesh(3);
        world.set(0, "Custom:night", DeviceState::NotInUse);
        world.run_for(100);
        world.set_clock_off(1, 3_600_000);
        world.run_for(100);
        world.set(1, "Custom:night", DeviceState::InUse);
        world.run_for(100);
        let key = device("Custom:night");
        let night = explained(&world, &key, |value| Some(value.device_state()));
        golden::<DeviceFields>("held-back-future-stamp", &night);
    }

    #[test]
    fn a_lamp_of_a_server_that_is_gone_is_out_and_says_so() {
        let mut world = mesh(3);
        world.set(0, LAMP, DeviceState::InUse);
        world.run_for(100);
        world.crash(0);
        world.run_for(60_000);
        golden("gone-origin", &lamp(&world));
    }

    #[test]
    fn what_the_pbx_was_told_stands_below() {
        let mut world = mesh(2);
        world.set(0, LAMP, DeviceState::Ringing);
        world.run_for(100);
        let told = |eid: &str, state, pending| ToldPart {
            eid: eid.to_owned(),
            value: DeviceFields { state },
            told_at: "2026-01-01T00:00:02.100Z".to_owned(),
            pending,
        };
        let mut lamp = lamp(&world);
        lamp.pbx = Some(vec![
            told("f4:3b:00:00:00:01", DeviceState::NotInUse, true),
            told("f4:3b:00:00:00:02", DeviceState::Ringing, false),
        ]);
        golden("told-to-the-pbx", &lamp);
        lamp.pbx = Some(Vec::new());
        golden("not-told-to-the-pbx", &lamp);
    }
}
