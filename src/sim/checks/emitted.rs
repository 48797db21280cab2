//! The emit rule: what may be sent (rule 6 of [`crate::crdt`]).

use super::super::check::{Broken, Checker};
use super::super::world::{Sent, Step, World};
use super::moments::name_of;
use crate::model::ReplicaId;
use crate::wire::{Answer, Body, HeadInfo, Part, Request};

/// `upto` is always the sender's own head, and `base` at least its watermark, else it is a reset; entries lie in
/// between, in ascending order, none left out; nobody is sent what is its own. And the heads that are told are
/// the sender's own.
#[derive(Debug, Default)]
pub struct Emitted;

impl Checker for Emitted {
    fn name(&self) -> &'static str {
        "emitted"
    }

    fn step(&mut self, world: &World, step: &Step) -> Result<(), Broken> {
        for sent in &step.sent {
            match sent {
                Sent::Frame(frame) => {
                    let Body::Delta(delta) = frame.body() else {
                        continue;
                    };
                    if delta.reset.is_some() {
                        return Err(Broken::at(step.node, "gossiped a reset"));
                    }
                    let log = world.log(frame.header().replica, delta.incarnation);
                    if log.is_none_or(|log| log.hash_at(delta.upto).is_none()) {
                        return Err(Broken::at(
                            step.node,
                            format!("gossiped up to {}, where its head never stood", delta.upto),
                        ));
                    }
                }
                Sent::Response { to, response } => match &response.answer {
                    Answer::Parts { parts, .. } => check_parts(world, step.node, *to, parts)?,
                    Answer::Heads { heads, .. } => check_heads(world, step.node, heads)?,
                    _ => {}
                },
                Sent::Request { request, .. } => {
                    if let Request::Have(heads) = request.as_ref() {
                        check_heads(world, step.node, heads)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn check_heads(world: &World, node: usize, heads: &[HeadInfo]) -> Result<(), Broken> {
    for info in heads {
        let map = world
            .replica(node)
            .and_then(|replica| replica.map(info.replica));
        let known = map.map(|map| (map.incarnation, map.head));
        let told = (info.head.incarnation, info.head.seq);
        if known.is_some_and(|known| known != told) {
            let of = name_of(world, info.replica);
            let text = format!("told that its head of {of} is {told:?}, it is {known:?}");
            return Err(Broken::at(node, text));
        }
    }
    Ok(())
}

fn check_parts(world: &World, node: usize, to: ReplicaId, parts: &[Part]) -> Result<(), Broken> {
    for part in parts {
        let own = part.header.header().replica == to;
        if own && !part.entries.is_empty() {
            return Err(Broken::at(node, "sent the asker its own entries"));
        }
        if !own {
            check_part(world, node, part)?;
        }
    }
    Ok(())
}

fn check_part(world: &World, node: usize, part: &Part) -> Result<(), Broken> {
    let header = part.header.header();
    let Some(map) = world
        .replica(node)
        .and_then(|replica| replica.map(header.replica))
    else {
        return Ok(());
    };
    let wrong = |text: String| {
        let of = name_of(world, header.replica);
        Err(Broken::at(node, format!("sent a part of {of} {text}")))
    };
    if header.incarnation != map.incarnation {
        return wrong("of another life than it knows".to_owned());
    }
    if let Some(upto) = part.upto
        && upto != map.head
    {
        return wrong(format!("up to {upto}, its head is {}", map.head));
    }
    let floor = part.reset.unwrap_or_default().max(part.after);
    if part.reset.is_none() && part.after == part.base && part.base < map.watermark {
        return wrong(format!(
            "from {} without a reset, its watermark is {}",
            part.base, map.watermark
        ));
    }
    if part.after > part.base && map.watermark > floor {
        return wrong("going on although it has collected meanwhile".to_owned());
    }
    if part
        .reset
        .is_some_and(|reset| part.after == 0 && reset != map.watermark)
    {
        return wrong(format!(
            "that resets with watermark {:?}, its own is {}",
            part.reset, map.watermark
        ));
    }
    let mut after = part.after;
    for (_, entry) in &part.entries {
        if entry.seq() <= after {
            return wrong(format!("with {} after {after}", entry.seq()));
        }
        after = entry.seq();
    }
    let held = world
        .replica(node)
        .map(|replica| replica.entries(header.replica, part.after))
        .unwrap_or_default();
    let same = held
        .iter()
        .zip(&part.entries)
        .all(|((_, held), (_, sent))| held.seq() == sent.seq());
    let complete = part.upto.is_none() || held.len() == part.entries.len();
    if !same || !complete {
        return wrong("that leaves entries out".to_owned());
    }
    Ok(())
}
