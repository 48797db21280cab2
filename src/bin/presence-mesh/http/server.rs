//! Taking connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use super::App;
use super::caller::Caller;

/// Connections open at once; further ones wait in the system's backlog until one ends.
const MAX_CONNECTIONS: usize = 1_280;
/// A client that sends its headers slower than this, or is idle for this long between requests, is let go.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// Request line and headers together; hyper answers 431 beyond it. Also bounds what is buffered of a body.
const MAX_HEADER_BYTES: usize = 32 * 1024;
/// How long to wait when the system has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound listener.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Binds, so that a taken address is noticed before anything else is started.
    pub async fn bind(address: &str) -> anyhow::Result<Self> {
        allow_files();
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot serve HTTP on {address}"))?;
        let address = listener
            .local_addr()
            .context("a bound listener has an address")?;
        Ok(Self { listener, address })
    }

    /// Where it listens, with the port it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the task is aborted.
    pub fn serve(self, app: App) -> JoinHandle<()> {
        let router = app.router(self.address.ip().is_loopback());
        tokio::spawn(async move {
            let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
            let mut connections = JoinSet::new();
            loop {
                let slot = slots
                    .clone()
                    .acquire_owned()
                    .await
                    .expect("the semaphore is never closed");
                while connections.try_join_next().is_some() {}
                let (stream, from) = match self.listener.accept().await {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!(%error, "cannot take an http connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                };
                // Small answers should not wait for more.
                let _ = stream.set_nodelay(true);
                let caller = Caller {
                    from,
                    to: stream.local_addr().unwrap_or(self.address),
                };
                let router = TowerToHyperService::new(router.clone());
                let service = service_fn(move |mut request: Request<Incoming>| {
                    request.extensions_mut().insert(caller);
                    router.call(request)
                });
                connections.spawn(async move {
                    let served = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(HEADER_TIMEOUT)
                        .max_buf_size(MAX_HEADER_BYTES)
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                    if let Err(error) = served {
                        tracing::debug!(%error, "http connection ended");
                    }
                    drop(slot);
                });
            }
        })
    }
}

/// Lets the process open as many files as it may: each connection is one, and the usual soft limit of 1,024 is
/// meant for programs that call `select`.
fn allow_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "cannot raise the number of open files");
    }
}
