//! Publishing and subscribing.

use std::ffi::{c_char, c_void};
use std::time::Duration;

use futures::StreamExt as _;

use super::event::{pmesh_field, slice, value_of};
use super::mesh::pmesh_mesh;
use super::result::{Failure, PMESH_BAD_ARGUMENT, guard, pmesh_result};
use super::taken::{Items, Taken};
use super::text::{Out, reference, text};
use super::watch::{asked, calling, pmesh_callback, pmesh_watch};
use crate::{Event, Filter};

/// Publishes an event: subscribers on all nodes have it as soon as the network brings it, each at most once.
/// Never waits, and never fails because the network is down. `ttl_ms`: for how long it is worth delivering; 0
/// takes the default, 60 s or for as long as events are remembered.
///
/// # Safety
/// `mesh`: a node. `kind`: a text. `fields`: `field_count` fields, which are copied; NULL when there are none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_publish(
    mesh: *const pmesh_mesh,
    kind: *const c_char,
    fields: *const pmesh_field,
    field_count: usize,
    ttl_ms: u64,
) -> pmesh_result {
    guard(|| {
        // SAFETY: as asked of the caller.
        let (mesh, kind) = unsafe { (reference("mesh", mesh)?, text("kind", kind)?) };
        let mut event = Event::new(kind);
        // SAFETY: as asked of the caller.
        for field in unsafe { slice("fields", fields, field_count) }? {
            // SAFETY: as asked of the caller.
            let (name, value) = unsafe { value_of(field) }?;
            event = event.with(name, value);
        }
        if ttl_ms > 0 {
            event = event.time_to_live(Duration::from_millis(ttl_ms));
        }
        mesh.mesh.events().publish(event)?;
        Ok(())
    })
}

/// Subscribes to the events whose kind matches `kind` (`*` any run of characters, `?` one) and of which all
/// conditions hold, each written `NAME OP VALUE` with OP one of `=`, `!=`, `>=`, `<=`, `^=` (begins with):
/// `slot >= 700`. `remembered`: also those from before, as far as nodes remember them. The items, of kind
/// PMESH_EVENT or PMESH_GAP, are taken by pmesh_watch_next; one who does not take them in time is told a gap.
///
/// # Safety
/// `mesh`: a node. `kind`: a text. `conditions`: `condition_count` texts; NULL when there are none. `out`: where
/// to put the watch, which pmesh_watch_free frees. It may outlive the node.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_subscribe(
    mesh: *const pmesh_mesh,
    kind: *const c_char,
    conditions: *const *const c_char,
    condition_count: usize,
    remembered: bool,
    out: *mut *mut pmesh_watch,
) -> pmesh_result {
    guard(|| {
        // SAFETY: as asked of the caller.
        let items = unsafe { items(mesh, kind, conditions, condition_count, remembered) }?;
        // SAFETY: as asked of the caller.
        let out = unsafe { Out::new(out) }?;
        out.give(asked(items));
        Ok(())
    })
}

/// Like pmesh_subscribe, but hands each item to `callback`, as pmesh_watch_call does.
///
/// # Safety
/// As pmesh_subscribe and pmesh_watch_call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_subscribe_call(
    mesh: *const pmesh_mesh,
    kind: *const c_char,
    conditions: *const *const c_char,
    condition_count: usize,
    remembered: bool,
    callback: pmesh_callback,
    user_data: *mut c_void,
    out: *mut *mut pmesh_watch,
) -> pmesh_result {
    guard(|| {
        // SAFETY: as asked of the caller.
        let items = unsafe { items(mesh, kind, conditions, condition_count, remembered) }?;
        // SAFETY: as asked of the caller.
        let out = unsafe { Out::new(out) }?;
        // SAFETY: as asked of the caller.
        out.give(unsafe { calling(items, callback, user_data) }?);
        Ok(())
    })
}

/// # Safety
/// As `pmesh_subscribe`.
unsafe fn items(
    mesh: *const pmesh_mesh,
    kind: *const c_char,
    conditions: *const *const c_char,
    condition_count: usize,
    remembered: bool,
) -> Result<Items, Failure> {
    // SAFETY: as asked of the caller.
    let (mesh, kind) = unsafe { (reference("mesh", mesh)?, text("kind", kind)?) };
    let mut filter = Filter::kind(kind);
    // SAFETY: as asked of the caller.
    for condition in unsafe { slice("conditions", conditions, condition_count) }? {
        // SAFETY: as asked of the caller.
        let condition = unsafe { text("a condition", *condition) }?;
        let refused = |error| Failure::of(PMESH_BAD_ARGUMENT, &error);
        filter = filter.and(condition.parse().map_err(refused)?);
    }
    if remembered {
        filter = filter.remembered();
    }
    let refused = |error| Failure::of(PMESH_BAD_ARGUMENT, &error);
    filter.check().map_err(refused)?;
    let events = mesh.mesh.handle().events().subscribe(filter)?;
    Ok(Box::pin(events.map(Taken::Event)))
}
