//! Logs: lines on stderr, JSON, or the journal's fields. What repeats is cut short.

mod journal;
mod limit;

use std::io::{self, IsTerminal as _};

use clap::ValueEnum;
use tokio::sync::mpsc;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::{EnvFilter, Registry, fmt};

use journal::Journal;
use limit::LIMIT;
pub use limit::tell_left_out;

/// For a node. libp2p tells each failed dial as an error of its own; what an operator can act on, `presence_mesh` says.
pub const OPERATOR: &str =
    "info,libp2p=error,yamux=error,multistream_select=error,hickory=error,netlink=error";

/// In the demonstration cuts are made on purpose, and told by other means.
pub const DEMO: &str = "error,libp2p=off,yamux=off,multistream_select=off";

/// Lines that wait to be shown; more are dropped, as nobody may wait for a terminal.
const QUEUE: usize = 256;

/// What logs look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A line each
    Text,
    /// A JSON object each
    Json,
    /// Fields of systemd's journal, such as MESH_PEER=
    Journal,
}

/// Starts logging what `filter` says, or `RUST_LOG` when it is set, as lines.
pub fn start(filter: &str) {
    start_as(filter, Some(Format::Text));
}

/// Like [`start`]; without a format, in the journal's fields when stderr is the journal, else as lines.
pub fn start_as(filter: &str, format: Option<Format>) {
    let filter = chosen(filter);
    let format = format.unwrap_or_else(|| {
        if stderr_is_the_journal() {
            Format::Journal
        } else {
            Format::Text
        }
    });
    let mut unreachable = None;
    let layer = match format {
        Format::Text => text(),
        Format::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(io::stderr)
            .with_filter(&LIMIT)
            .boxed(),
        Format::Journal => match Journal::reach() {
            Ok(journal) => journal.with_filter(&LIMIT).boxed(),
            Err(error) => {
                unreachable = Some(error);
                text()
            }
        },
    };
    let subscriber = Registry::default().with(layer).with(filter);
    // Fails only when logging is on already, which is what we want.
    let _ = tracing::subscriber::set_global_default(subscriber);
    if let Some(error) = unreachable {
        tracing::warn!(%error, "the journal cannot be reached: logging to stderr");
    }
}

fn text() -> Box<dyn tracing_subscriber::Layer<Registry> + Send + Sync> {
    let colour = io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(colour)
        .with_filter(&LIMIT)
        .boxed()
}

/// systemd says which file it gave a service as stderr; a wrapper may have put another in its place.
fn stderr_is_the_journal() -> bool {
    let Ok(journal) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let stderr = rustix::fs::fstat(io::stderr());
    stderr.is_ok_and(|stderr| journal == format!("{}:{}", stderr.st_dev, stderr.st_ino))
}

/// The same for whoever paints the terminal: logs wait as lines, without time or colour.
pub fn start_into_queue(filter: &str) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(QUEUE);
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(chosen(filter))
        .with_writer(move || Queue(sender.clone()))
        .with_ansi(false)
        .without_time()
        .finish();
    // As above.
    let _ = tracing::subscriber::set_global_default(subscriber);
    lines
}

fn chosen(filter: &str) -> EnvFilter {
    match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(text) if !text.is_empty() => EnvFilter::new(text),
        _ => EnvFilter::new(filter),
    }
}

/// Makes a line of each event, which comes in one piece.
struct Queue(mpsc::Sender<String>);

impl io::Write for Queue {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes).trim().to_owned();
        // Full: it is dropped.
        let _ = self.0.try_send(line);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
