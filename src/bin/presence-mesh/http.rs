//! The HTTP API of a node.
//!
//! [`Server`] takes connections, [`guard`] keeps strangers' pages away, one file each answers for keys,
//! the stream, events, and the node itself; [`Problem`] is how anything is refused.

mod answer;
mod events;
mod exposed;
mod guard;
mod keys;
mod node;
mod path;
mod problem;
mod server;
mod stream;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::get;
use presence_mesh::{DeviceState, MAX_KEY_BYTES, MAX_VALUE_BYTES, Mesh, MessageCounts};
use tokio::sync::Semaphore;

pub use problem::Problem;
pub use server::Server;

use crate::bridge::Readiness;

/// Streams open at once; each holds a watcher and a task. Further ones get 503.
const MAX_STREAMS: usize = 256;

/// What the routes answer from. Cheap to clone.
#[derive(Clone)]
pub struct App {
    mesh: Mesh,
    /// `None`: there is no bridge to wait for.
    bridge: Option<Readiness>,
    limits: Limits,
    streams: Arc<Semaphore>,
    /// Whether the node has left the mesh, or its driver died.
    stopped: Arc<AtomicBool>,
}

/// The longest things HTTP takes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub key_bytes: usize,
    pub value_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            key_bytes: MAX_KEY_BYTES,
            value_bytes: MAX_VALUE_BYTES,
        }
    }
}

impl App {
    /// Must be called within a tokio runtime.
    pub fn new(mesh: Mesh, bridge: Option<Readiness>, limits: Limits) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let mut peers = mesh.watch_peers();
        let ended = stopped.clone();
        tokio::spawn(async move {
            while peers.next().await.is_some() {}
            ended.store(true, Ordering::Relaxed);
        });
        Self {
            mesh,
            bridge,
            limits,
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            stopped,
        }
    }

    /// All routes. `loopback`: whether only this machine can reach them.
    fn router(self, loopback: bool) -> Router {
        // A key's slashes may come as they are: everything after the prefix is the key.
        Router::new()
            .route("/", get(node::index))
            .route("/livez", get(node::livez))
            .route("/readyz", get(node::readyz))
            .route("/api/v1/status", get(node::status))
            .route("/api/v1/peers", get(node::peers))
            .route("/api/v1/stream", get(stream::stream))
            .route(
                "/api/v1/events",
                get(events::subscribe).post(events::publish),
            )
            .merge(keys::routes::<DeviceState>())
            .merge(keys::routes::<MessageCounts>())
            .fallback(not_found)
            .method_not_allowed_fallback(method_not_allowed)
            .layer(middleware::from_fn(move |request, next| {
                guard::check(loopback, request, next)
            }))
            .with_state(self)
    }
}

async fn not_found(request: Request) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        format!("there is nothing at {}", request.uri().path()),
    )
}

async fn method_not_allowed(method: Method, request: Request) -> impl IntoResponse {
    let path = request.uri().path();
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{method} does not work on {path}"),
    )
}
