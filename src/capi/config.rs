//! Describing a node before it starts.

use std::error::Error;
use std::ffi::c_char;
use std::time::Duration;

use super::result::{Failure, PMESH_BAD_ARGUMENT, guard, pmesh_result};
use super::text::{Out, reference, text};
use crate::{MeshBuilder, MeshKey, UnknownWord, blocking};

/// Describes a node: made by pmesh_config_new, used by pmesh_start, freed by pmesh_config_free.
#[derive(Debug)]
pub struct pmesh_config {
    pub(super) builder: MeshBuilder,
}

/// Begins to describe a node of the mesh called `mesh`. Meshes with other names never mix.
///
/// # Safety
/// `mesh`: a text. `out`: where to put the config, which pmesh_config_free frees.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_config_new(
    mesh: *const c_char,
    out: *mut *mut pmesh_config,
) -> pmesh_result {
    guard(|| {
        // SAFETY: as asked of the caller.
        let (mesh, out) = unsafe { (text("mesh", mesh)?, Out::new(out)?) };
        let builder = blocking::Mesh::builder(mesh);
        out.give(Box::into_raw(Box::new(pmesh_config { builder })));
        Ok(())
    })
}

/// Sets one thing. A name that may be repeated adds; of the others the last counts.
///
/// | name            | value                                                                            |
/// |-----------------|----------------------------------------------------------------------------------|
/// | `node`          | what people call this node                                                       |
/// | `key`           | the mesh's secret, 64 hexadecimal digits; this or `key_file` is needed           |
/// | `key_file`      | a file with the same, readable by its owner only                                 |
/// | `identity_file` | who this node is; made when it is not there                                      |
/// | `data_dir`      | a folder for what must survive a restart; made when it is not there              |
/// | `listen`        | `host:port`, port 0 takes a free one; may be repeated                            |
/// | `join`          | `host:port` of any live node; may be repeated                                    |
/// | `mdns`, `kad`   | `on` or `off`: find others on the LAN (default on), by a DHT (default off)       |
/// | `preset`        | `lan`, `wan` or `local`: how soon silence counts                                 |
/// | `mailboxes`     | `latest` or `sum`: how several writers of one mailbox combine                    |
/// | `remember_ms`   | for how long events are remembered, in ms; default 0: not at all                 |
///
/// # Safety
/// `config`: a config, used by no other thread meanwhile. `name`, `value`: texts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_config_set(
    config: *mut pmesh_config,
    name: *const c_char,
    value: *const c_char,
) -> pmesh_result {
    guard(|| {
        // SAFETY: as asked of the caller, who lets nobody else use the config now.
        let (name, value) = unsafe { (text("name", name)?, text("value", value)?) };
        // SAFETY: the same.
        let builder = unsafe { reference("config", config) }?.builder.clone();
        let builder = set(builder, name, value)?;
        // SAFETY: not NULL, as was just seen, and nobody else uses it.
        unsafe { (*config).builder = builder };
        Ok(())
    })
}

fn set(builder: MeshBuilder, name: &str, value: &str) -> Result<MeshBuilder, Failure> {
    let refused = |error: &dyn Error| Failure::of(PMESH_BAD_ARGUMENT, error);
    let other = |words: &str| {
        let text = format!("{name} is {value:?}, it must be {words}");
        Failure::new(PMESH_BAD_ARGUMENT, text)
    };
    let unknown = |error: UnknownWord| Failure::new(PMESH_BAD_ARGUMENT, format!("{name} {error}"));
    let switch = || match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(other("on or off")),
    };
    Ok(match name {
        "node" => builder.node(value),
        "key" => builder.key(MeshKey::parse(value).map_err(|error| refused(&error))?),
        "key_file" => builder.key_file(value).map_err(|error| refused(&error))?,
        "identity_file" => builder
            .identity_file(value)
            .map_err(|error| refused(&error))?,
        "data_dir" => builder.data_dir(value).map_err(|error| refused(&error))?,
        "listen" => builder.listen(value).map_err(|error| refused(&error))?,
        "join" => builder.join([value]).map_err(|error| refused(&error))?,
        "mdns" => builder.mdns(switch()?),
        "kad" => builder.kad(switch()?),
        "preset" => builder.preset(value.parse().map_err(unknown)?),
        "mailboxes" => builder.mailboxes(value.parse().map_err(unknown)?),
        "remember_ms" => {
            let span = value.parse().map_err(|_| other("a number of ms"))?;
            builder.remember(Duration::from_millis(span))
        }
        _ => {
            let text = format!("there is no setting {name:?}");
            return Err(Failure::new(PMESH_BAD_ARGUMENT, text));
        }
    })
}

/// Frees a config. Nodes that were started from it go on.
///
/// # Safety
/// `config`: a config that is not used any more, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pmesh_config_free(config: *mut pmesh_config) {
    guard(|| {
        if !config.is_null() {
            // SAFETY: made by `Box::into_raw` in `pmesh_config_new`, and the caller gives it back.
            drop(unsafe { Box::from_raw(config) });
        }
        Ok(())
    });
}
