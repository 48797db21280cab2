//! Shows a web service that embeds a mesh: each instance answers from its own copy, whoever wrote.
//!
//! `PUT /lamps/KEY` with a state as the body says something, `GET /lamps/KEY` and `GET /lamps` tell what all
//! instances say, and `GET /changes` follows it. Interrupted, it leaves the mesh and ends.
//!
//! ```sh
//! cargo run --features examples --example embed_axum -- 127.0.0.1:8080 127.0.0.1:4747 [OTHER'S MESH ADDRESS]
//! ```

use std::convert::Infallible;
use std::error::Error;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, Sse};
use axum::routing::get;
use axum::{Json, Router};
use futures::{Stream, StreamExt as _};
use presence_mesh::{DeviceState, FollowError, Mesh, MeshKey, Pattern, Shown, Watch};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let http = arguments.next().unwrap_or("127.0.0.1:8080".into());
    let listen = arguments.next().unwrap_or("127.0.0.1:0".into());
    let mesh = Mesh::builder("web")
        .node(&http)
        .key(MeshKey::from_bytes([7; 32])) // yours comes from a file: `key_file`
        .listen(listen)?
        .join(arguments)?
        .mdns(false)
        .start()
        .await?;

    // The handle is cheap to clone, and all clones are the same node: it is the service's state.
    let service = Router::new()
        .route("/lamps", get(list))
        .route("/lamps/{*key}", get(read).put(write))
        .route("/changes", get(changes))
        .with_state(mesh.clone());
    let listener = tokio::net::TcpListener::bind(&http).await?;
    println!(
        "http={} mesh={}",
        listener.local_addr()?,
        mesh.addresses().join(",")
    );
    let leave = async move {
        // Without a signal handler it would simply be killed, and the others find out by its silence.
        let _ = tokio::signal::ctrl_c().await;
        mesh.leave().await; // ends the streams of `/changes` too
    };
    axum::serve(listener, service)
        .with_graceful_shutdown(leave)
        .await?;
    Ok(())
}

async fn list(State(mesh): State<Mesh>) -> Json<Vec<Value>> {
    Json(
        mesh.devices()
            .list(&Pattern::any())
            .iter()
            .map(lamp)
            .collect(),
    )
}

async fn read(
    State(mesh): State<Mesh>,
    Path(key): Path<String>,
) -> Result<Json<Value>, StatusCode> {
    let shown = mesh.devices().get(&key).ok_or(StatusCode::NOT_FOUND)?;
    Ok(Json(lamp(&shown)))
}

/// Local and instant: answers whether or not any other instance can be reached.
async fn write(
    State(mesh): State<Mesh>,
    Path(key): Path<String>,
    body: String,
) -> Result<StatusCode, (StatusCode, String)> {
    let refused = |error: &dyn Error| (StatusCode::BAD_REQUEST, error.to_string());
    let state: DeviceState = body.trim().parse().map_err(|error| refused(&error))?;
    mesh.devices()
        .set(&key, state)
        .map_err(|error| refused(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

/// A watcher is a stream: what it gives goes to the browser as it comes.
async fn changes(
    State(mesh): State<Mesh>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, (StatusCode, String)> {
    let busy = |error: FollowError| (StatusCode::SERVICE_UNAVAILABLE, error.to_string());
    let lamps = mesh.devices().watch("*").map_err(busy)?;
    Ok(Sse::new(lamps.map(|item| {
        let (name, data) = match item {
            Watch::Snapshot(all) => ("snapshot", all.iter().map(lamp).collect()),
            Watch::Changed(change) => (
                "change",
                json!({ "key": &*change.key, "lamp": change.new.as_ref().map(lamp) }),
            ),
            _ => ("resync", Value::Null),
        };
        Ok(Event::default().event(name).data(data.to_string()))
    })))
}

fn lamp(shown: &Shown<DeviceState>) -> Value {
    json!({
        "key": &*shown.key,
        "state": shown.value.as_str(),
        "freshness": shown.freshness,
        "nodes": shown.contributions.iter().map(|said| &*said.node).collect::<Vec<_>>(),
    })
}
