//! A frame before it is signed.

use std::sync::Arc;

use bytes::Bytes;

use super::frame::Frame;
use super::header::Header;
use super::keys::{Identity, MeshId};
use crate::crdt::Delta;

/// A frame that is to be gossiped, and as a rule not signed yet: a signature costs tens of µs, which nobody who waits
/// for a replica behind a lock should wait for.
#[derive(Debug, Clone)]
pub struct Draft(State);

#[derive(Debug, Clone)]
enum State {
    Signed(Bytes),
    Unsigned {
        identity: Arc<Identity>,
        mesh: MeshId,
        header: Header,
        delta: Option<Delta>,
    },
}

impl Draft {
    pub(crate) fn new(
        identity: Arc<Identity>,
        mesh: MeshId,
        header: Header,
        delta: Option<Delta>,
    ) -> Self {
        Self(State::Unsigned {
            identity,
            mesh,
            header,
            delta,
        })
    }

    /// One that had to be signed at once.
    pub(crate) fn signed(bytes: Bytes) -> Self {
        Self(State::Signed(bytes))
    }

    /// The frame's bytes, signed. Call it outside any lock.
    pub fn sign(self) -> Bytes {
        self.sign_frame().1
    }

    /// The same, and the frame that its bytes are, unless it had been signed before.
    pub(crate) fn sign_frame(self) -> (Option<Frame>, Bytes) {
        match self.0 {
            State::Signed(bytes) => (None, bytes),
            State::Unsigned {
                identity,
                mesh,
                header,
                delta,
            } => {
                let (frame, bytes) = Frame::sign(&identity, mesh, header, delta);
                (Some(frame), bytes)
            }
        }
    }
}
