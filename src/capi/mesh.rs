//! The handle on a running node.

use std::ffi::{CString, c_char};
use std::time::Duration;

use super::config::pmesh_config;
use super::result::{
    Failure, PMESH_NOT_STARTED, PMESH_STOPPED, PMESH_TIMED_OUT, guard, pmesh_result,
};
use super::text::{Out, c_string, reference};
use crate::blocking;

/// A running node: made by pmesh_start, freed by pmesh_free.
#[derive(Debug)]
pub struct pmesh_mesh {
    pub(super) mesh: blocking::Mesh,
    id: CString,
    addresses: CString,
}

/// Starts a node on a thread of its own. Returns when it listens; never waits for a join and never fails
/// because of one. The config is left as it is, to be freed by the caller.
///
/// # Safety
/// `config`: a config, used by no other thread meanwhile. `out`: where to put the node, which pmesh_free frees.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_start(
    config: *const pmesh_config,
    out: *mut *mut pmesh_mesh,
) -> pmesh_result {
    guard(|| {
        // SAFETY: as asked of the caller.
        let (config, out) = unsafe { (reference("config", config)?, Out::new(out)?) };
        let mesh = blocking::Mesh::start(config.builder.clone())
            .map_err(|error| Failure::of(PMESH_NOT_STARTED, &error))?;
        let id = c_string(&mesh.id().to_string());
        let addresses = c_string(&mesh.addresses().join(","));
        let mesh = Box::new(pmesh_mesh {
            mesh,
            id,
            addresses,
        });
        out.give(Box::into_raw(mesh));
        Ok(())
    })
}

/// The node's replica id. NULL when `mesh` is; else valid until the node is freed, and not to be freed itself.
///
/// # Safety
/// `mesh`: a node, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_id(mesh: *const pmesh_mesh) -> *const c_char {
    // SAFETY: as asked of the caller.
    unsafe { mesh.as_ref() }.map_or(std::ptr::null(), |mesh| mesh.id.as_ptr())
}

/// Where the node listens, each address good for another's `join`, separated by commas. NULL when `mesh` is;
/// else valid until the node is freed, and not to be freed itself.
///
/// # Safety
/// `mesh`: a node, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_addresses(mesh: *const pmesh_mesh) -> *const c_char {
    // SAFETY: as asked of the caller.
    unsafe { mesh.as_ref() }.map_or(std::ptr::null(), |mesh| mesh.addresses.as_ptr())
}

/// Waits until the first exchange with a peer is done, or there was no peer for 5 s; at most `timeout_ms`
/// (negative: as long as it takes). PMESH_TIMED_OUT when it is not so by then.
///
/// # Safety
/// `mesh`: a node.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_ready(mesh: *const pmesh_mesh, timeout_ms: i64) -> pmesh_result {
    guard(|| {
        // SAFETY: as asked of the caller.
        let mesh = unsafe { reference("mesh", mesh) }?;
        let within = u64::try_from(timeout_ms).map_or(Duration::MAX, Duration::from_millis);
        if mesh.mesh.ready(within) {
            Ok(())
        } else {
            Err(Failure::new(PMESH_TIMED_OUT, "the node is not ready yet"))
        }
    })
}

/// To how many other nodes there is a connection.
///
/// # Safety
/// `mesh`: a node. `out`: where to put the number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_peers_connected(
    mesh: *const pmesh_mesh,
    out: *mut usize,
) -> pmesh_result {
    guard(|| {
        // SAFETY: as asked of the caller.
        let (mesh, out) = unsafe { (reference("mesh", mesh)?, Out::new(out)?) };
        out.give(mesh.mesh.status().peers_connected);
        Ok(())
    })
}

/// Leaves the mesh: the others see this node gone at once. Returns when the goodbye is sent and all
/// connections are closed; watches end, writes are refused afterwards. The node is still to be freed.
///
/// # Safety
/// `mesh`: a node.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_leave(mesh: *const pmesh_mesh) -> pmesh_result {
    guard(|| {
        // SAFETY: as asked of the caller.
        unsafe { reference("mesh", mesh) }?.mesh.leave();
        Ok(())
    })
}

/// Frees a node. One that has not left ends now, and the others find out by its silence.
///
/// # Safety
/// `mesh`: a node that is not used any more, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_free(mesh: *mut pmesh_mesh) {
    guard(|| {
        if !mesh.is_null() {
            // SAFETY: made by `Box::into_raw` in `pmesh_start`, and the caller gives it back.
            drop(unsafe { Box::from_raw(mesh) });
        }
        Ok(())
    });
}

/// The node has left: nothing more comes.
pub(super) fn stopped() -> Failure {
    Failure::new(PMESH_STOPPED, "the node has left the mesh")
}
