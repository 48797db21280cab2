//! Logs, to stderr.

use std::io::{self, IsTerminal as _};

use tokio::sync::mpsc;
use tracing_subscriber::EnvFilter;

/// For a node. libp2p tells each failed dial as an error of its own; what an operator can act on, `presence_mesh` says.
pub const OPERATOR: &str =
    "info,libp2p=error,yamux=error,multistream_select=error,hickory=error,netlink=error";

/// In the demonstration cuts are made on purpose, and told by other means.
pub const DEMO: &str = "error,libp2p=off,yamux=off,multistream_select=off";

/// Lines that wait to be shown; more are dropped, as nobody may wait for a terminal.
const QUEUE: usize = 256;

/// Starts logging what `filter` says, or `RUST_LOG` when it is set.
pub fn start(filter: &str) {
    let filter = chosen(filter);
    let colour = io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colour)
        .finish();
    // Fails only when logging is on already, which is what we want.
    let _ = tracing::subscriber::set_global_default(subscriber);
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
