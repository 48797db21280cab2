//! What was deleted never returns.

use std::collections::BTreeMap;

use super::super::check::{Broken, Checker};
use super::super::world::World;
use super::moments::name_of;
use crate::model::{Key, SpaceId, Value};

/// When all is settled, everybody holds of everybody exactly what its users last said: nothing lost, and
/// nothing returned that was withdrawn, collected or not.
#[derive(Debug, Default)]
pub struct Deleted;

/// Readers looked at, evenly spread over the nodes.
const READERS: usize = 24;

impl Checker for Deleted {
    fn name(&self) -> &'static str {
        "deleted"
    }

    fn settled(&mut self, world: &World) -> Result<(), Broken> {
        let stride = world.len().div_ceil(READERS).max(1);
        for node in (0..world.len()).step_by(stride) {
            let Some(replica) = world.replica(node) else {
                continue;
            };
            for origin in 0..world.scenario().nodes.len() {
                if world.replica(origin).is_none() || world.is_fenced(origin) {
                    continue;
                }
                let entries = replica.entries(world.id(origin), 0);
                let held: BTreeMap<&Key, &Value> = entries
                    .iter()
                    .filter(|(key, _)| {
                        [SpaceId::DEVICES, SpaceId::MAILBOXES].contains(&key.space())
                    })
                    .filter_map(|(key, entry)| Some((key, entry.value()?)))
                    .collect();
                let said: BTreeMap<&Key, &Value> = world.said(origin).iter().collect();
                if held == said {
                    continue;
                }
                let differs = held
                    .keys()
                    .chain(said.keys())
                    .find(|key| held.get(*key) != said.get(*key))
                    .expect("they differ");
                return Err(Broken::at(
                    node,
                    format!(
                        "holds {:?} under {differs} of {}, whose users last said {:?}",
                        held.get(differs),
                        name_of(world, world.id(origin)),
                        said.get(differs)
                    ),
                ));
            }
        }
        Ok(())
    }
}
