//! Every state of a small world, checked: the shipped core under `stateright`.
//!
//! Two models. `one_origin`: an origin's map and two or three copies of it, two keys, values set and deleted,
//! a network that loses, repeats and reorders, answers from any base by any copy, pending ranges, tombstones
//! collected by anyone at any time, and a second life of the origin. `shared_key`: two origins that write one
//! key, their clocks equal or one ahead, time moving on, tombstones collected anywhere. The models only decide
//! who does what next. What a delta holds, what becomes of it, and who wins is decided by the shipped
//! `OriginMap::piece`, `Pending::accept` (with `OriginMap::accept` in it), `OriginMap::collect`,
//! `latest_writer`, `write_over` and `HybridClock`.
//!
//! In every state: J, M, A and O of `presence_mesh::crdt`, and the closed healing schedule is run on a copy of
//! the state and must end with all replicas equal, in `one_origin` also when the origin is dead. That the
//! properties can fail is shown by wrong senders and wrong readers, each of which must be found out.
//!
//! A larger run, about a minute in an optimised build, with the same properties:
//!
//! ```text
//! MESH_EXHAUSTIVE=large cargo test --release --no-default-features --test exhaustive -- --nocapture every_state
//! ```

#![allow(missing_docs)]

use std::collections::BTreeSet;
use std::hash::Hash;
use std::time::Instant;

use stateright::{Checker, Expectation, HasDiscoveries, Model};

#[path = "exhaustive/canonical.rs"]
mod canonical;
#[path = "exhaustive/one_origin.rs"]
mod one_origin;
#[path = "exhaustive/shared_key.rs"]
mod shared_key;

use one_origin::{OneOrigin, Senders};
use shared_key::{Readings, SharedKey};

/// Three replicas in all: the origin and two copies.
const ORIGIN: OneOrigin = OneOrigin {
    copies: 2,
    writes: 3,
    lives: 1,
    in_flight: 2,
    pending: 1,
    senders: Senders::Right,
};

const SHARED: SharedKey = SharedKey {
    writes: 2,
    readers: 0,
    in_flight: 2,
    ahead_ms: 0,
    ticks: 0,
    readings: Readings::Right,
};

#[test]
fn every_state_keeps_the_invariants_and_heals() {
    let mut states = 0;
    let origins = [
        OneOrigin { lives: 2, ..ORIGIN },
        OneOrigin {
            writes: 4,
            in_flight: 1,
            ..ORIGIN
        },
        OneOrigin {
            copies: 3,
            ..ORIGIN
        },
        OneOrigin {
            in_flight: 3,
            pending: 2,
            ..ORIGIN
        },
    ];
    let shared = [
        SHARED,
        SharedKey {
            in_flight: 1,
            ahead_ms: 7,
            ticks: 1,
            ..SHARED
        },
        SharedKey {
            writes: 1,
            readers: 1,
            ..SHARED
        },
    ];
    for model in origins {
        states += explore(model);
    }
    for model in shared {
        states += explore(model);
    }
    if std::env::var("MESH_EXHAUSTIVE").is_ok_and(|size| size == "large") {
        states += explore(OneOrigin {
            writes: 4,
            ..ORIGIN
        });
        states += explore(OneOrigin {
            copies: 3,
            lives: 2,
            ..ORIGIN
        });
        states += explore(SharedKey {
            ahead_ms: 7,
            ticks: 1,
            ..SHARED
        });
    }
    println!("{states} distinct states, and from each the way to agreement");
    assert!(states >= 1_000_000, "only {states} distinct states");
}

/// An answer by someone who is behind, cut to fit a page, not being a reset where it must be, losing the
/// watermark, or claiming to follow where it does not; and a tombstone that was collected too early.
#[test]
fn wrong_senders_are_found_out() {
    let wrong = [
        Senders::ClaimMore,
        Senders::CutShort,
        Senders::NeverReset,
        Senders::ResetWithoutWatermark,
        Senders::BaseTooLow,
        Senders::CollectUnpublished,
    ];
    for senders in wrong {
        let steps = found_out(OneOrigin { senders, ..ORIGIN }, one_origin::J);
        println!("{senders:?} is found out after {steps} steps");
    }
}

/// And the healing schedule ends in disagreement where a wrong sender leads to it.
#[test]
fn wrong_senders_never_agree() {
    for senders in [
        Senders::CutShort,
        Senders::NeverReset,
        Senders::ResetWithoutWatermark,
    ] {
        let steps = found_out(OneOrigin { senders, ..ORIGIN }, one_origin::DEAD_CONVERGES);
        println!("{senders:?} disagrees for ever after {steps} steps");
    }
}

#[test]
fn wrong_readers_are_found_out() {
    let skewed = SharedKey {
        in_flight: 1,
        ahead_ms: 7,
        ticks: 1,
        ..SHARED
    };
    let wrong = [
        (
            Readings::StampWithoutReplica,
            SHARED,
            shared_key::ONE_WINNER,
        ),
        (Readings::TombstonesCompete, SHARED, shared_key::ONE_WINNER),
        (Readings::NeverNamed, skewed, shared_key::LAST_WRITER),
    ];
    for (readings, model, property) in wrong {
        let steps = found_out(SharedKey { readings, ..model }, property);
        println!("{readings:?} is found out after {steps} steps");
    }
}

/// Visits every state and demands every property. Returns how many states there are.
fn explore<M>(model: M) -> usize
where
    M: Model + std::fmt::Debug + Send + Sync + 'static,
    M::State: Clone + std::fmt::Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + std::fmt::Debug + PartialEq,
{
    let (started, name) = (Instant::now(), format!("{model:?}"));
    let checker = model
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.spawn_bfs().join();
    let (states, steps) = (checker.unique_state_count(), checker.state_count());
    println!(
        "{name}: {states} states, {steps} steps, {:.1?}",
        started.elapsed()
    );
    for property in checker.model().properties() {
        let path = checker.discovery(property.name);
        match property.expectation {
            Expectation::Sometimes => assert!(
                path.is_some(),
                "{name}: it never happens that {}",
                property.name
            ),
            _ => assert!(
                path.is_none(),
                "{name}: {} fails: {:#?}",
                property.name,
                path.map(|path| path.into_actions())
            ),
        }
    }
    states
}

/// Demands that a wrong model breaks this property. Returns after how many steps, at the least.
fn found_out<M>(model: M, property: &'static str) -> usize
where
    M: Model + std::fmt::Debug + Send + Sync + 'static,
    M::State: Clone + Hash + PartialEq + Send + Sync,
    M::Action: Clone + PartialEq,
{
    let name = format!("{model:?}");
    let wanted = HasDiscoveries::AnyOf(BTreeSet::from([property]));
    // One thread, so that it is the same path every time.
    let checker = model.checker().finish_when(wanted).spawn_bfs().join();
    let path = checker.discovery(property);
    let path = path.unwrap_or_else(|| panic!("{name} keeps: {property}"));
    path.into_actions().len()
}
