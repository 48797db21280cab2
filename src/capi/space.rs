//! Writing and reading.

use std::ffi::c_char;

use super::answer::pmesh_answer;
use super::entry::pmesh_counts;
use super::mesh::pmesh_mesh;
use super::result::{Failure, PMESH_NOT_FOUND, guard, pmesh_result};
use super::taken::{Apart, SpaceName};
use super::text::{Out, reference, text};
use super::value::{self, device_state, presence};
use crate::Pattern;

/// Says what this node knows of the device `key`: `state` is one of pmesh_device_state. Local and instant;
/// never fails because the network is down. Setting an equal value again sends nothing.
///
/// # Safety
/// `mesh`: a node. `key`: a text of 1 to 255 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_set_device(
    mesh: *const pmesh_mesh,
    key: *const c_char,
    state: u32,
) -> pmesh_result {
    guard(|| {
        // SAFETY: as asked of the caller.
        let (mesh, key) = unsafe { (reference("mesh", mesh)?, text("key", key)?) };
        Ok(mesh.mesh.devices().set(key, device_state(state)?)?)
    })
}

/// Says what this node knows of the mailbox `key`, `mailbox@context`; without a context it is `default`.
///
/// # Safety
/// `mesh`: a node. `key`: a text of 1 to 255 bytes. `counts`: counts, which are copied.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_set_mailbox(
    mesh: *const pmesh_mesh,
    key: *const c_char,
    counts: *const pmesh_counts,
) -> pmesh_result {
    guard(|| {
        // SAFETY: as asked of the caller.
        let (mesh, key) = unsafe { (reference("mesh", mesh)?, text("key", key)?) };
        // SAFETY: as asked of the caller.
        let counts = unsafe { reference("counts", counts) }?;
        Ok(mesh.mesh.mailboxes().set(key, (*counts).into())?)
    })
}

/// Says whether somebody can be reached: `status` as Asterisk spells it (`available`, `away`, `dnd`, see
/// pmesh_value). Of several writers the latest is shown.
///
/// # Safety
/// `mesh`: a node. `key`, `status`: texts. `subtype`, `message`: texts, or NULL for none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_set_presence(
    mesh: *const pmesh_mesh,
    key: *const c_char,
    status: *const c_char,
    subtype: *const c_char,
    message: *const c_char,
) -> pmesh_result {
    guard(|| {
        // SAFETY: as asked of the caller.
        let (mesh, key) = unsafe { (reference("mesh", mesh)?, text("key", key)?) };
        // SAFETY: as asked of the caller.
        let presence = unsafe { presence(status, subtype, message) }?;
        Ok(mesh.mesh.presence().set(key, presence)?)
    })
}

/// Says a value of one's own: any JSON of at most 4096 bytes. Of several writers the latest is shown.
///
/// # Safety
/// `mesh`: a node. `name_space`, `key`, `json`: texts; namespace and key take 254 bytes together at most.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_set_custom(
    mesh: *const pmesh_mesh,
    name_space: *const c_char,
    key: *const c_char,
    json: *const c_char,
) -> pmesh_result {
    guard(|| {
        // SAFETY: as asked of the caller.
        let (mesh, key) = unsafe { (reference("mesh", mesh)?, text("key", key)?) };
        // SAFETY: as asked of the caller.
        let (name_space, json) = unsafe { (text("namespace", name_space)?, text("json", json)?) };
        let value = value::json(json)?;
        Ok(mesh.mesh.custom(name_space)?.set(key, value)?)
    })
}

/// Says a value of one's own, of a key of which each node has its own and none is ever combined with another's:
/// the load of each server, say. The same namespace in pmesh_set_custom is another one.
///
/// # Safety
/// As pmesh_set_custom.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_set_custom_per_origin(
    mesh: *const pmesh_mesh,
    name_space: *const c_char,
    key: *const c_char,
    json: *const c_char,
) -> pmesh_result {
    guard(|| {
        // SAFETY: as asked of the caller.
        let (mesh, key) = unsafe { (reference("mesh", mesh)?, text("key", key)?) };
        // SAFETY: as asked of the caller.
        let (name_space, json) = unsafe { (text("namespace", name_space)?, text("json", json)?) };
        let value = Apart(value::json(json)?);
        Ok(mesh.mesh.custom_per_origin(name_space)?.set(key, value)?)
    })
}

/// Withdraws what this node said of `key` in `space`. PMESH_OK also when it said nothing.
///
/// # Safety
/// `mesh`: a node. `space`, `key`: texts; for `space` see pmesh_get.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_clear(
    mesh: *const pmesh_mesh,
    space: *const c_char,
    key: *const c_char,
) -> pmesh_result {
    guard(|| {
        // SAFETY: as asked of the caller.
        let (mesh, key) = unsafe { (reference("mesh", mesh)?, text("key", key)?) };
        // SAFETY: as asked of the caller.
        let space = SpaceName::parse(unsafe { text("space", space) }?)?;
        space.clear(&mesh.mesh, key)?;
        Ok(())
    })
}

/// What is known of `key`: an answer of kind PMESH_ENTRIES with one entry, or PMESH_NOT_FOUND.
/// `space` is `device`, `mailbox`, `presence`, or `custom/` or `custom-per-origin/` and a namespace. Of the last the
/// entry is this node's own, or without one the first of the others', with the contributions of all.
///
/// # Safety
/// `mesh`: a node. `space`, `key`: texts. `out`: where to put the answer, which pmesh_answer_free frees.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_get(
    mesh: *const pmesh_mesh,
    space: *const c_char,
    key: *const c_char,
    out: *mut *mut pmesh_answer,
) -> pmesh_result {
    guard(|| {
        // SAFETY: as asked of the caller.
        let (mesh, key) = unsafe { (reference("mesh", mesh)?, text("key", key)?) };
        // SAFETY: as asked of the caller.
        let space = SpaceName::parse(unsafe { text("space", space) }?)?;
        // SAFETY: as asked of the caller.
        let out = unsafe { Out::new(out) }?;
        let answer = space
            .get(&mesh.mesh, key)?
            .ok_or_else(|| Failure::new(PMESH_NOT_FOUND, format!("nothing is known of {key:?}")))?;
        out.give(answer.into_raw());
        Ok(())
    })
}

/// All keys of `space` that match `pattern` (`*` any run of characters, `?` one), ordered by key: an answer of
/// kind PMESH_ENTRIES. Of `custom-per-origin/` there is an entry for each node that says something of a key.
///
/// # Safety
/// `mesh`: a node. `space`, `pattern`: texts. `out`: where to put the answer, which pmesh_answer_free frees.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_list(
    mesh: *const pmesh_mesh,
    space: *const c_char,
    pattern: *const c_char,
    out: *mut *mut pmesh_answer,
) -> pmesh_result {
    guard(|| {
        // SAFETY: as asked of the caller.
        let (mesh, pattern) = unsafe { (reference("mesh", mesh)?, text("pattern", pattern)?) };
        // SAFETY: as asked of the caller.
        let space = SpaceName::parse(unsafe { text("space", space) }?)?;
        // SAFETY: as asked of the caller.
        let out = unsafe { Out::new(out) }?;
        let answer = space.list(&mesh.mesh, &Pattern::new(pattern))?;
        out.give(answer.into_raw());
        Ok(())
    })
}
