//! Logs, to stderr.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

/// For a node. libp2p tells each failed dial as an error of its own; what an operator can act on, `presence_mesh` says.
pub const OPERATOR: &str =
    "info,libp2p=error,yamux=error,multistream_select=error,hickory=error,netlink=error";

/// In the demonstration cuts are made on purpose, and told by other means.
pub const DEMO: &str = "error,libp2p=off,yamux=off,multistream_select=off";

/// Starts logging what `filter` says, or `RUST_LOG` when it is set.
pub fn start(filter: &str) {
    let filter = match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(text) if !text.is_empty() => EnvFilter::new(text),
        _ => EnvFilter::new(filter),
    };
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
