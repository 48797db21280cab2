//! Taking back what the PBX was told, from the ledger alone.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::config::{AsteriskConfig, AsteriskError};
use super::eid::Eid;
use super::link::Link;
use super::reconcile::Reconciler;
use super::speaker::{Speaker, SpeakerParts};
use super::{Prepared, prepare};

/// Empties mailboxes of which the ledger does not say under whom they were told: any EID but a real one.
const NOBODY: Eid = Eid::from_bytes([0x02, 0, 0, 0, 0, 0]);

/// What [`withdraw_from_ledger`] did.
///
/// ```
/// use presence_mesh::bridge::asterisk::Withdrawal;
/// fn told(done: &Withdrawal) -> String {
///     match &done.refusal {
///         None => format!("{} taken back", done.withdrawn),
///         Some(refusal) => format!("{} left: {refusal}", done.left),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Withdrawal {
    /// How many slots were taken back.
    pub withdrawn: usize,
    /// How many were not, and stay in the ledger.
    pub left: usize,
    /// Why the PBX refused, and what to do about it.
    pub refusal: Option<String>,
}

/// Takes back all that this node ever told its PBX, while the node is not running. Gives up after `within`.
///
/// Cancel safe: dropped half-way, what was taken back is, and the rest stays in the ledger.
///
/// # Errors
/// When the ledger is in use by a running node or cannot be opened, or no socket can be had.
///
/// ```no_run
/// # async fn example() -> Result<(), presence_mesh::bridge::asterisk::AsteriskError> {
/// use presence_mesh::bridge::asterisk::{AsteriskConfig, withdraw_from_ledger};
/// use std::time::Duration;
/// let config = AsteriskConfig::new(([127, 0, 0, 1], 5099).into(), "sip:mesh@127.0.0.1:5060", "asterisk.ledger");
/// let done = withdraw_from_ledger(&config, Duration::from_secs(10)).await?;
/// println!("{} taken back, {} left", done.withdrawn, done.left);
/// # Ok(())
/// # }
/// ```
pub async fn withdraw_from_ledger(
    config: &AsteriskConfig,
    within: Duration,
) -> Result<Withdrawal, AsteriskError> {
    // The configured port may be taken by something else meanwhile, and nothing is listened for.
    let Prepared {
        target,
        to,
        socket,
        ledger,
        clock,
        seed,
    } = prepare(config, SocketAddr::new(config.listen.ip(), 0)).await?;
    let (rows, _) = ledger.rows()?;
    let total = rows.len();
    let reconciler = Arc::new(Mutex::new(Reconciler::new(rows, config.timing.streams)));
    reconciler
        .lock()
        .expect("no holder of this lock panics")
        .withdraw_all();
    let (link, mut statements) = Link::start(socket, clock, seed, to);
    let mut speaker = Speaker::new(SpeakerParts {
        reconciler: reconciler.clone(),
        ledger: Arc::new(ledger),
        link: link.sender(),
        to,
        target,
        own_eid: NOBODY,
        streams: config.timing.streams,
        retransmit: config.timing.retransmit,
        backoff: config.timing.backoff,
        clock,
        seed,
    });
    let ends_at = clock.now() + within;
    let left = loop {
        speaker.pump(true);
        let now = clock.now();
        // Counting costs; while something is under way there is something left.
        if !speaker.is_telling() || now >= ends_at {
            let left = reconciler
                .lock()
                .expect("no holder of this lock panics")
                .told_slots();
            if left == 0 || now >= ends_at {
                break left;
            }
        }
        let wake = speaker
            .next_at()
            .unwrap_or(ends_at)
            .clamp(now + Duration::from_millis(1), ends_at);
        tokio::select! {
            _ = speaker.event() => {}
            Some(_) = statements.recv() => {}
            () = clock.sleep_until(Some(wake)) => {}
        }
    };
    let refusal = speaker.last_refusal().map(str::to_owned);
    speaker.close().await;
    Ok(Withdrawal {
        withdrawn: total - left,
        left,
        refusal,
    })
}
