//! Values from C, and writes that take them whatever their space.

use std::ffi::c_char;

use super::entry::{pmesh_counts, pmesh_value};
use super::event::slice;
use super::mesh::pmesh_mesh;
use super::result::{Failure, PMESH_BAD_ARGUMENT, guard, pmesh_result};
use super::taken::{Apart, SpaceName};
use super::text::{Out, reference, text};
use crate::{DeviceState, MessageCounts, Presence, PresenceStatus, StateValue, Tracked, blocking};

/// A key, and the value it is given.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct pmesh_keyed_value {
    /// The key.
    pub key: *const c_char,
    /// The value: the field of the space is read, all others are not.
    pub value: pmesh_value,
}

/// Sets many keys of one space: others see all of them or none. `space` as in pmesh_get.
///
/// # Safety
/// `mesh`: a node. `space`: a text. `entries`: `entry_count` of them, which are copied; NULL when there are none.
/// Each `key` is a text, and of its value what its space names: for presence `status` is a text, `subtype` and
/// `message` are texts or NULL for none; for custom values `json` is a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_set_many(
    mesh: *const pmesh_mesh,
    space: *const c_char,
    entries: *const pmesh_keyed_value,
    entry_count: usize,
) -> pmesh_result {
    guard(|| {
        // SAFETY: as asked of the caller.
        let (mesh, space) = unsafe { (reference("mesh", mesh)?, text("space", space)?) };
        // SAFETY: as asked of the caller.
        let entries = unsafe { slice("entries", entries, entry_count) }?;
        let mesh = &mesh.mesh;
        // SAFETY: as asked of the caller.
        unsafe {
            match SpaceName::parse(space)? {
                SpaceName::Device => set_many(&mesh.devices(), entries),
                SpaceName::Mailbox => set_many(&mesh.mailboxes(), entries),
                SpaceName::Presence => set_many(&mesh.presence(), entries),
                SpaceName::Custom(namespace) => {
                    set_many(&mesh.custom::<serde_json::Value>(&namespace)?, entries)
                }
                SpaceName::CustomPerOrigin(namespace) => {
                    set_many(&mesh.custom_per_origin::<Apart>(&namespace)?, entries)
                }
            }
        }
    })
}

/// A key that is set for as long as this lives: made by pmesh_track, freed by pmesh_tracked_free.
#[derive(Debug)]
pub struct pmesh_tracked {
    token: Token,
}

#[derive(Debug)]
enum Token {
    Device(Tracked<DeviceState>),
    Mailbox(Tracked<MessageCounts>),
    Presence(Tracked<Presence>),
    Custom(Tracked<serde_json::Value>),
    CustomPerOrigin(Tracked<Apart>),
}

/// Says what this node knows of `key` until pmesh_tracked_free, which withdraws it; so does the end of the
/// process. Several on one key count: the newest living one's value is said. `space` as in pmesh_get.
///
/// # Safety
/// `mesh`: a node. `space`, `key`: texts. `value`: a value, as in pmesh_set_many. `out`: where to put what
/// pmesh_tracked_free frees. It may outlive the node.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_track(
    mesh: *const pmesh_mesh,
    space: *const c_char,
    key: *const c_char,
    value: *const pmesh_value,
    out: *mut *mut pmesh_tracked,
) -> pmesh_result {
    guard(|| {
        // SAFETY: as asked of the caller.
        let (mesh, key) = unsafe { (reference("mesh", mesh)?, text("key", key)?) };
        // SAFETY: as asked of the caller.
        let (space, value) = unsafe { (text("space", space)?, reference("value", value)?) };
        // SAFETY: as asked of the caller.
        let out = unsafe { Out::new(out) }?;
        let mesh = &mesh.mesh;
        // SAFETY: as asked of the caller.
        let token = unsafe {
            match SpaceName::parse(space)? {
                SpaceName::Device => Token::Device(track(&mesh.devices(), key, value)?),
                SpaceName::Mailbox => Token::Mailbox(track(&mesh.mailboxes(), key, value)?),
                SpaceName::Presence => Token::Presence(track(&mesh.presence(), key, value)?),
                SpaceName::Custom(namespace) => {
                    Token::Custom(track(&mesh.custom(&namespace)?, key, value)?)
                }
                SpaceName::CustomPerOrigin(namespace) => {
                    let space = mesh.custom_per_origin(&namespace)?;
                    Token::CustomPerOrigin(track(&space, key, value)?)
                }
            }
        };
        out.give(Box::into_raw(Box::new(pmesh_tracked { token })));
        Ok(())
    })
}

/// Changes the value. While a newer one on the same key lives, that one's is shown.
///
/// # Safety
/// `tracked`: what pmesh_track gave, used by no other thread meanwhile. `value`: a value of the same space, as in
/// pmesh_set_many.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_tracked_set(
    tracked: *const pmesh_tracked,
    value: *const pmesh_value,
) -> pmesh_result {
    guard(|| {
        // SAFETY: as asked of the caller.
        let tracked = unsafe { reference("tracked", tracked) }?;
        // SAFETY: as asked of the caller.
        let value = unsafe { reference("value", value) }?;
        // SAFETY: as asked of the caller.
        unsafe {
            match &tracked.token {
                Token::Device(token) => token.set(FromValue::from_value(value)?)?,
                Token::Mailbox(token) => token.set(FromValue::from_value(value)?)?,
                Token::Presence(token) => token.set(FromValue::from_value(value)?)?,
                Token::Custom(token) => token.set(FromValue::from_value(value)?)?,
                Token::CustomPerOrigin(token) => token.set(FromValue::from_value(value)?)?,
            }
        }
        Ok(())
    })
}

/// Withdraws the key, unless another of the same key lives, and frees it.
///
/// # Safety
/// `tracked`: what pmesh_track gave and is not used any more, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_tracked_free(tracked: *mut pmesh_tracked) {
    guard(|| {
        if !tracked.is_null() {
            // SAFETY: made by `Box::into_raw` in `pmesh_track`, and the caller gives it back.
            drop(unsafe { Box::from_raw(tracked) });
        }
        Ok(())
    });
}

/// # Safety
/// As `pmesh_set_many` for its entries.
unsafe fn set_many<T: FromValue>(
    space: &blocking::Space<T>,
    entries: &[pmesh_keyed_value],
) -> Result<(), Failure> {
    let entries = entries.iter().map(|entry| {
        // SAFETY: as asked of the caller.
        Ok(unsafe { (text("key", entry.key)?, T::from_value(&entry.value)?) })
    });
    let entries = entries.collect::<Result<Vec<_>, Failure>>()?;
    Ok(space.set_many(entries)?)
}

/// # Safety
/// As `pmesh_track` for its value.
unsafe fn track<T: FromValue>(
    space: &blocking::Space<T>,
    key: &str,
    value: &pmesh_value,
) -> Result<Tracked<T>, Failure> {
    // SAFETY: as asked of the caller.
    Ok(space.track(key, unsafe { T::from_value(value) }?)?)
}

/// What of C's values a space takes.
pub(super) trait FromValue: StateValue + Sized {
    /// # Safety
    /// The texts of `value` that this space names are NULL, or end with a NUL and stay as they are meanwhile.
    unsafe fn from_value(value: &pmesh_value) -> Result<Self, Failure>;
}

impl FromValue for DeviceState {
    unsafe fn from_value(value: &pmesh_value) -> Result<Self, Failure> {
        device_state(value.device_state)
    }
}

impl FromValue for MessageCounts {
    unsafe fn from_value(value: &pmesh_value) -> Result<Self, Failure> {
        Ok(value.counts.into())
    }
}

impl FromValue for Presence {
    unsafe fn from_value(value: &pmesh_value) -> Result<Self, Failure> {
        // SAFETY: as asked of the caller.
        unsafe { presence(value.status, value.subtype, value.message) }
    }
}

impl FromValue for serde_json::Value {
    unsafe fn from_value(value: &pmesh_value) -> Result<Self, Failure> {
        // SAFETY: as asked of the caller.
        json(unsafe { text("json", value.json) }?)
    }
}

impl FromValue for Apart {
    unsafe fn from_value(value: &pmesh_value) -> Result<Self, Failure> {
        // SAFETY: as asked of the caller.
        unsafe { serde_json::Value::from_value(value) }.map(Self)
    }
}

/// One of `pmesh_device_state`.
pub(super) fn device_state(number: u32) -> Result<DeviceState, Failure> {
    let known = u8::try_from(number).ok().and_then(DeviceState::from_number);
    known.ok_or_else(|| Failure::new(PMESH_BAD_ARGUMENT, format!("{number} is no device state")))
}

/// # Safety
/// `status` is a text or NULL, the others texts, or NULL for none.
pub(super) unsafe fn presence(
    status: *const c_char,
    subtype: *const c_char,
    message: *const c_char,
) -> Result<Presence, Failure> {
    // SAFETY: as asked of the caller.
    let status: PresenceStatus = unsafe { text("status", status) }?
        .parse()
        .map_err(|error| Failure::of(PMESH_BAD_ARGUMENT, &error))?;
    let mut presence = Presence::new(status);
    if !subtype.is_null() {
        // SAFETY: as asked of the caller.
        presence = presence.with_subtype(unsafe { text("subtype", subtype) }?);
    }
    if !message.is_null() {
        // SAFETY: as asked of the caller.
        presence = presence.with_message(unsafe { text("message", message) }?);
    }
    Ok(presence)
}

pub(super) fn json(text: &str) -> Result<serde_json::Value, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::of(PMESH_BAD_ARGUMENT, &error))
}

impl From<pmesh_counts> for MessageCounts {
    fn from(counts: pmesh_counts) -> Self {
        Self {
            new: counts.new_messages,
            old: counts.old_messages,
            urgent_new: counts.urgent_new,
            urgent_old: counts.urgent_old,
        }
    }
}
