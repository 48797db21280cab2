//! Binding, and starting the driver.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::config::{NetConfig, StartError};
use super::shared::{Command, Shared};

/// Binds all listeners and starts the driver task. Returns the bound addresses, with `/p2p/…`.
pub(crate) async fn start(
    config: NetConfig,
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
) -> Result<(Vec<String>, AbortHandle), StartError> {
    let _ = (config, shared, commands);
    Err(StartError::Network("not written yet".into()))
}
