//! `list` = snapshot + changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::check::{Broken, Checker};
use super::super::world::World;
use crate::model::{Key, SpaceId, Value};
use crate::proto::{Freshness, Watched};

/// At every moment what is listed equals the snapshot plus the changes that a watcher was given.
#[derive(Debug, Default)]
pub struct WatchSum {
    /// By node: what its watcher has been told.
    told: BTreeMap<(usize, SpaceId), Told>,
}

type Told = BTreeMap<Arc<str>, (Value, Freshness)>;

impl Checker for WatchSum {
    fn name(&self) -> &'static str {
        "watch-sum"
    }

    fn watched(
        &mut self,
        world: &World,
        node: usize,
        space: SpaceId,
        items: &[Watched],
    ) -> Result<(), Broken> {
        let told = self.told.entry((node, space)).or_default();
        for item in items {
            match item {
                Watched::Snapshot(all) => {
                    *told = all
                        .iter()
                        .map(|shown| (shown.key.clone(), (shown.value.clone(), shown.freshness)))
                        .collect();
                }
                Watched::Changed(change) => {
                    let old = change
                        .old
                        .as_ref()
                        .map(|shown| (shown.value.clone(), shown.freshness));
                    if told.get(&*change.key) != old.as_ref() {
                        return Err(Broken::at(
                            node,
                            format!(
                                "a change of {} says it was {old:?}, the watcher was told {:?}",
                                change.key,
                                told.get(&*change.key)
                            ),
                        ));
                    }
                    match &change.new {
                        Some(new) => {
                            told.insert(change.key.clone(), (new.value.clone(), new.freshness))
                        }
                        None => told.remove(&*change.key),
                    };
                }
                Watched::Resync => {}
            }
        }
        let listed = world.list(node, space);
        let listed_are = listed
            .iter()
            .map(|shown| (&shown.key, &shown.value, shown.freshness));
        let told_are = told
            .iter()
            .map(|(key, (value, freshness))| (key, value, *freshness));
        if listed_are.eq(told_are) {
            return Ok(());
        }
        let listed: BTreeMap<_, _> = listed
            .iter()
            .map(|shown| (shown.key.clone(), (shown.value.clone(), shown.freshness)))
            .collect();
        let differs = listed
            .keys()
            .chain(told.keys())
            .find(|key| listed.get(*key) != told.get(*key))
            .expect("they differ");
        let key = Key::new(space, differs.clone())
            .map_or_else(|_| differs.to_string(), |key| key.to_string());
        Err(Broken::at(
            node,
            format!(
                "{key} is listed as {:?}, the watcher was told {:?}",
                listed.get(differs),
                told.get(differs)
            ),
        ))
    }
}
