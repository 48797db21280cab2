//! Taking connections.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::http::StatusCode;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioTimer;
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, getrlimit, nice, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::App;
use super::caller::Caller;
use super::idle::{Answering, Idle, Place};
use super::socket::{Socket, refusal};

/// Connections open at once. For a further one that which has waited for a request for longest is ended; while all
/// are at work, it gets 503.
const MAX_CONNECTIONS: usize = 1_280;
/// Connections that the system holds until they are taken: a burst.
const BACKLOG: u32 = 1_024;
/// What the system may hold of an answer that is not read, twice this with its own bookkeeping. By itself it would
/// take 4 MiB for each client that does not read.
const SEND_BUFFER_BYTES: u32 = 128 * 1024;
/// A client that sends its headers slower than this, or is idle for this long between requests, is let go.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// Request line and headers together; hyper answers 431 beyond it. Also bounds what is buffered of a body.
const MAX_HEADER_BYTES: usize = 32 * 1024;
/// Refused connections heard out at once; further ones are closed as soon as they are told.
const MAX_REFUSED: usize = 64;
/// How much of what a refused one says is taken, and for how long.
const REFUSED_BYTES: u64 = 64 * 1024;
const REFUSED_FOR: Duration = Duration::from_secs(2);
/// How long to wait when the system has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Threads that answer.
const THREADS: usize = 2;
/// How much they give way to those of the mesh, and to a PBX on this machine: lamps first, then those who look.
const NICENESS: i32 = 5;

/// A bound listener.
#[derive(Debug)]
pub struct Server {
    listener: StdListener,
    address: SocketAddr,
}

impl Server {
    /// Binds, so that a taken address is noticed before anything else is started.
    pub async fn bind(address: &str) -> anyhow::Result<Self> {
        allow_files();
        let listener = listen(address)
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

    /// Serves until what is returned is dropped, on threads of its own: however many ask, the mesh goes first.
    pub fn serve(self, app: App) -> anyhow::Result<Serving> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("http")
            .on_thread_start(|| {
                // Refused or not, they work.
                let _ = nice(NICENESS);
            })
            .enable_all()
            .build()
            .context("cannot start the threads that serve HTTP")?;
        let router = app.router(self.address.ip().is_loopback());
        runtime.spawn(async move {
            match TcpListener::from_std(self.listener) {
                Ok(listener) => accept(listener, self.address, router).await,
                Err(error) => tracing::error!(%error, "cannot serve http"),
            }
        });
        Ok(Serving(Some(runtime)))
    }
}

/// A server at work; dropped, it ends.
#[derive(Debug)]
pub struct Serving(Option<Runtime>);

impl Drop for Serving {
    fn drop(&mut self) {
        // Within another runtime, where nothing may wait.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

async fn listen(address: &str) -> std::io::Result<StdListener> {
    let mut last = std::io::ErrorKind::AddrNotAvailable.into();
    for address in lookup_host(address).await? {
        let bind = || {
            let socket = match address {
                SocketAddr::V4(_) => TcpSocket::new_v4(),
                SocketAddr::V6(_) => TcpSocket::new_v6(),
            }?;
            socket.set_reuseaddr(true)?;
            // Those who connect get the same.
            socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)?.into_std()
        };
        match bind() {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn accept(listener: TcpListener, address: SocketAddr, router: Router) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let idle = Arc::<Idle>::default();
    let mut connections = JoinSet::new();
    let mut refused = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        while refused.try_join_next().is_some() {}
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot take an http connection");
                idle.end_oldest();
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if slots.available_permits() == 0 && !idle.end_oldest() {
            if let Some(stream) = refuse(stream)
                && refused.len() < MAX_REFUSED
            {
                refused.spawn(tokio::time::timeout(REFUSED_FOR, hear_out(stream)));
            }
            continue;
        }
        let slot = slots
            .clone()
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        // Small answers should not wait for more.
        let _ = stream.set_nodelay(true);
        let caller = Caller {
            from,
            to: stream.local_addr().unwrap_or(address),
        };
        let place = Place::new(&idle);
        let router = router.clone();
        connections.spawn(async move {
            serve(stream, caller, &place, router).await;
            drop(slot);
        });
    }
}

async fn serve(stream: TcpStream, caller: Caller, place: &Arc<Place>, router: Router) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let at_work = place.work();
        request.extensions_mut().insert(caller);
        let answer = router.call(request);
        async move {
            let answer = answer.await?;
            Ok::<_, std::convert::Infallible>(answer.map(|body| Answering::new(body, at_work)))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_header_size(MAX_HEADER_BYTES)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(Socket::new(stream), service);
    tokio::select! {
        served = connection => if let Err(error) = served {
            tracing::debug!(%error, "http connection ended");
        },
        () = place.must_end() => tracing::debug!("http connection made room"),
    }
}

/// Says that there is no room, as far as that can be said at once.
fn refuse(stream: TcpStream) -> Option<TcpStream> {
    let answer = refusal(
        StatusCode::SERVICE_UNAVAILABLE,
        "too many connections are at work",
    );
    let mut stream = stream.into_std().ok()?;
    // What is left unread would make the system take the answer back.
    let _ = stream.read(&mut [0; 4_096]);
    stream.write_all(&answer).ok()?;
    TcpStream::from_std(stream).ok()
}

/// Ends an answered connection when the other side does: what it asks too late would make the system reset it, and
/// the answer be lost.
async fn hear_out(mut stream: TcpStream) -> std::io::Result<()> {
    stream.shutdown().await?;
    let mut rest = stream.take(REFUSED_BYTES);
    tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
    Ok(())
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
