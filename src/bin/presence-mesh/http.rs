//! The HTTP API of a node, and its pages.
//!
//! [`Server`] takes connections, [`guard`] keeps strangers' pages away, one file each answers for keys,
//! the stream, events, and the node itself; [`Problem`] is how anything is refused. [`pages`] are for people, and
//! follow [`panel`]; [`View`] is the node they all show. What many follow is made once, in a [`broadcast`].

mod answer;
mod bridge;
mod broadcast;
mod caller;
mod demo;
mod events;
mod exposed;
mod guard;
mod idle;
mod invites;
mod keys;
mod metrics;
mod node;
mod pages;
mod panel;
mod path;
mod problem;
mod room;
mod served;
mod server;
mod socket;
mod stream;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use presence_mesh::bridge::asterisk::AsteriskMonitor;
use presence_mesh::{DeviceState, MAX_KEY_BYTES, MAX_VALUE_BYTES, Mesh, MessageCounts, Presence};
use tokio::sync::Semaphore;

pub use problem::Problem;
pub use server::Server;
pub use view::View;

use crate::bridge::Readiness;
use crate::demo::Stage;
use crate::people::Person;

/// Streams open at once; each holds a connection. Further ones get 503. A page holds one.
const MAX_STREAMS: usize = 1_024;

/// What the routes answer from. Cheap to clone.
#[derive(Clone)]
pub struct App {
    view: View,
    /// `None`: there is no bridge to wait for.
    bridge: Option<Readiness>,
    monitor: Option<AsteriskMonitor>,
    limits: Limits,
    people: Arc<[Person]>,
    /// `None`: this is no demonstration.
    stage: Option<Stage>,
    streams: Arc<Semaphore>,
    broadcasts: Arc<broadcast::Broadcasts>,
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
    pub fn new(view: View) -> Self {
        Self {
            view,
            broadcasts: Arc::default(),
            bridge: None,
            monitor: None,
            limits: Limits::default(),
            people: Arc::default(),
            stage: None,
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
        }
    }

    /// Ready only when the bridge is.
    pub fn with_bridge(mut self, bridge: Option<Readiness>) -> Self {
        self.bridge = bridge;
        self
    }

    /// With what the bridge counts.
    pub fn with_monitor(mut self, monitor: Option<AsteriskMonitor>) -> Self {
        self.monitor = monitor;
        self
    }

    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// With names for people.
    pub fn with_people(mut self, people: Vec<Person>) -> Self {
        self.people = people.into();
        self
    }

    /// With what `/mesh` provokes faults by.
    pub fn with_stage(mut self, stage: Stage) -> Self {
        self.stage = Some(stage);
        self
    }

    /// The node that is shown. Not to be kept.
    fn mesh(&self) -> Mesh {
        self.view.mesh()
    }

    /// All routes. `loopback`: whether only this machine can reach them.
    fn router(self, loopback: bool) -> Router {
        // A key's slashes may come as they are: everything after the prefix is the key.
        let stage = self.stage.as_ref().map(|_| demo::routes());
        Router::new()
            .route("/api/v1", get(node::index))
            .route("/livez", get(node::livez))
            .route("/readyz", get(node::readyz))
            .route("/metrics", get(metrics::metrics))
            .route("/api/v1/status", get(node::status))
            .route("/api/v1/peers", get(node::peers))
            .route("/api/v1/ping", get(node::ping))
            .route("/api/v1/bridge", get(bridge::bridge))
            .route("/api/v1/invites", post(invites::invite))
            .route("/api/v1/stream", get(stream::stream))
            .route("/api/v1/people", get(node::people))
            .route("/api/v1/panel", get(panel::panel))
            .merge(pages::routes())
            .merge(stage.unwrap_or_default())
            .route(
                "/api/v1/events",
                get(events::subscribe).post(events::publish),
            )
            .merge(keys::routes::<DeviceState>())
            .merge(keys::routes::<MessageCounts>())
            .merge(keys::routes::<Presence>())
            .merge(keys::routes::<serde_json::Value>())
            .merge(keys::routes::<exposed::Apart>())
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
