//! How the program ends: 0 ok, 1 failed, 2 usage, 3 not ready or no node answers, 4 not found.

use std::io;
use std::process::ExitCode;

/// An end other than plain failure, with what to tell the user.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Exit {
    code: u8,
    message: String,
}

/// The command line or the configuration is wrong.
pub fn usage(message: impl Into<String>) -> anyhow::Error {
    Exit {
        code: 2,
        message: message.into(),
    }
    .into()
}

/// The node is not ready, or no node answers.
pub fn not_ready(message: impl Into<String>) -> anyhow::Error {
    Exit {
        code: 3,
        message: message.into(),
    }
    .into()
}

/// What was asked for does not exist.
pub fn not_found(message: impl Into<String>) -> anyhow::Error {
    Exit {
        code: 4,
        message: message.into(),
    }
    .into()
}

/// Tells the user why, and gives the code. Everything without a code of its own is a plain failure.
pub fn report(error: &anyhow::Error) -> ExitCode {
    // Whoever reads our output has read enough: `presence-mesh devices | head -1` is no failure.
    let closed = |cause: &(dyn std::error::Error + 'static)| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(closed) {
        return ExitCode::SUCCESS;
    }
    eprintln!("presence-mesh: {error:#}");
    let code = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Exit>())
        .map_or(1, |exit| exit.code);
    ExitCode::from(code)
}
