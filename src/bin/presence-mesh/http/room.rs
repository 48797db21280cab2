//! What long answers take up while they wait to be read.

use axum::body::Bytes;
use axum::http::StatusCode;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Problem;

/// All long answers together that somebody has not read yet. Half a million lamps are one of this size.
const ROOM_BYTES: usize = 256 * 1024 * 1024;
/// Shorter ones need no room: they are bounded by the number of connections.
const LONG_BYTES: usize = 64 * 1024;
/// What room is counted in.
const UNIT_BYTES: usize = 1024;

static ROOM: Semaphore = Semaphore::const_new(ROOM_BYTES / UNIT_BYTES);

/// Bytes that take up room until the last copy of them is dropped.
struct Held {
    bytes: Vec<u8>,
    _room: SemaphorePermit<'static>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Who reads slowly, or not at all, costs others an answer, and never the node its memory. The room is free again
/// once all is read, or when the connection is given up.
///
/// # Errors
/// 503 when too much waits already.
pub fn hold(mut bytes: Vec<u8>) -> Result<Bytes, Problem> {
    if bytes.len() <= LONG_BYTES {
        return Ok(bytes.into());
    }
    bytes.shrink_to_fit();
    let units = u32::try_from(bytes.len().div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
    let full = |_| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many long answers wait to be read",
        )
    };
    let room = ROOM.try_acquire_many(units).map_err(full)?;
    Ok(Bytes::from_owner(Held { bytes, _room: room }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test, as the room is the whole process's.
    #[test]
    fn room_is_free_again_when_the_last_copy_is_dropped() {
        let bytes = vec![7; ROOM_BYTES / 2 + 1];
        let held = hold(bytes.clone()).expect("there is room for one");
        assert!(hold(bytes.clone()).is_err(), "and not for two");
        assert!(hold(vec![7; LONG_BYTES]).is_ok(), "short ones need none");
        let part = held.slice(5..6);
        drop(held);
        assert!(hold(bytes.clone()).is_err(), "a part of it is still read");
        drop(part);
        assert!(hold(bytes).is_ok());
    }
}
