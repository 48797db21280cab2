//! Asking the PBX whether it is set up as the bridge needs it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;

use super::clock::Clock;
use super::config::{AsteriskConfig, AsteriskError};
use super::link::{Link, LinkSender};
use super::publisher::{Outcome, Publisher, Target, advice, probe};
use super::transaction::Retransmit;
use super::{Eid, Package, credentials, random_seed, resolve, sent_by};

/// Asks in nobody's name: any EID but a real one.
const NOBODY: Eid = Eid::from_bytes([0x02, 0, 0, 0, 0, 0]);
/// A publication that is opened for one question.
const SHORTLY_S: u32 = 30;

/// What [`check_pbx`] found.
///
/// ```
/// use presence_mesh::bridge::asterisk::{PbxCheckup, PbxVerdict};
/// fn is_well(found: &PbxCheckup) -> bool {
///     found.answers && found.packages.iter().all(|(_, verdict)| *verdict == PbxVerdict::Taken)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PbxCheckup {
    /// Where it was asked.
    pub asked: SocketAddr,
    /// Whether it answers SIP at all.
    pub answers: bool,
    /// What it says to a question of each package; empty when it does not answer.
    pub packages: Vec<(Package, PbxVerdict)>,
}

/// What the PBX says to a PUBLISH.
///
/// ```
/// use presence_mesh::bridge::asterisk::PbxVerdict;
/// let verdict = PbxVerdict::Refused { status: 404, advice: "name the publication" };
/// assert_ne!(verdict, PbxVerdict::Taken);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PbxVerdict {
    /// It takes it.
    Taken,
    /// It refuses it.
    Refused {
        /// The SIP status.
        status: u16,
        /// What to do about it.
        advice: &'static str,
    },
    /// It says nothing.
    Unanswered,
}

/// Asks the PBX for a sign of life (OPTIONS), then by a PUBLISH of each package to send all it knows, which changes
/// nothing there: it shows that user name and password are right and that the blocks for the bridge are there.
///
/// Needs neither the ledger nor the configured port, so it works beside a running bridge; what the PBX sends then
/// goes to that one. Takes three times `patience` at most. Cancel safe.
///
/// # Errors
/// When the server is no SIP URI, does not resolve, or no socket can be had.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use presence_mesh::bridge::asterisk::{AsteriskConfig, check_pbx};
/// let config = AsteriskConfig::new("127.0.0.1:5099".parse()?, "sip:mesh@127.0.0.1:5060", "");
/// let found = check_pbx(&config, std::time::Duration::from_secs(3)).await?;
/// println!("{:?}", found.packages);
/// # Ok(())
/// # }
/// ```
pub async fn check_pbx(
    config: &AsteriskConfig,
    patience: Duration,
) -> Result<PbxCheckup, AsteriskError> {
    let listen = SocketAddr::new(config.listen.ip(), 0);
    let to = resolve(config.server()?.host_port, listen).await?;
    let bind = |cause| AsteriskError::Bind {
        address: listen,
        cause,
    };
    let socket = UdpSocket::bind(listen).await.map_err(bind)?;
    let target = Target {
        uri: config.server.clone(),
        user: config.username.clone(),
        credentials: credentials(config),
        sent_by: sent_by(&socket, to).await.map_err(bind)?,
        expires_s: SHORTLY_S,
    };
    let (clock, seed) = (Clock::new(), random_seed());
    // What the PBX says of itself meanwhile is not listened to.
    let (link, _statements) = Link::start(socket, clock, seed, to);
    let retransmit = Retransmit {
        give_up: patience,
        ..config.timing.retransmit
    };
    let sign = Link::request(link.sender(), to, probe(&target, seed), retransmit).await;
    let mut packages = Vec::new();
    if sign.is_some() {
        for (number, package) in (1..).zip(Package::ALL) {
            let seed = seed.wrapping_add(number);
            let verdict = ask(link.sender(), to, package, &target, seed, retransmit, clock).await;
            packages.push((package, verdict));
        }
    }
    Ok(PbxCheckup {
        asked: to,
        answers: sign.is_some(),
        packages,
    })
}

async fn ask(
    link: LinkSender,
    to: SocketAddr,
    package: Package,
    target: &Target,
    seed: u64,
    retransmit: Retransmit,
    clock: Clock,
) -> PbxVerdict {
    let mut stream = Publisher::new(&format!("{seed:016x}"));
    let mut outgoing = stream.ask(package, NOBODY, target, seed, clock.now());
    loop {
        let Some(response) = Link::request(link.clone(), to, outgoing, retransmit).await else {
            return PbxVerdict::Unanswered;
        };
        match stream.answered(&response, target, seed, clock.now()) {
            Outcome::Taken { .. } => return PbxVerdict::Taken,
            Outcome::Again(next) => outgoing = next,
            Outcome::Refused { status, .. } => {
                let advice = advice(status);
                return PbxVerdict::Refused { status, advice };
            }
        }
    }
}
