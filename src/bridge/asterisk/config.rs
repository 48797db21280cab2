//! What the bridge is told at its start.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ezk_sip_types::uri::SipUri;
use thiserror::Error;

use super::ledger::LedgerError;
use super::transaction::Retransmit;
use crate::{FollowError, Pattern};

/// Which Asterisk, how it is reached, and what is shared with it.
///
/// ```
/// use presence_mesh::bridge::asterisk::AsteriskConfig;
/// let listen = "127.0.0.1:5099".parse()?;
/// let mut config = AsteriskConfig::new(listen, "sip:mesh@127.0.0.1:5060", "/var/lib/presence-mesh/asterisk.ledger");
/// config.password = Some("CHANGE-ME".into());
/// config.export = vec!["PJSIP/*".into()];
/// assert!(!format!("{config:?}").contains("CHANGE-ME"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AsteriskConfig {
    /// Where the PBX publishes to. Whoever can reach it may speak for the PBX: keep it on loopback.
    pub listen: SocketAddr,
    /// Where we publish to: `sip:mesh@127.0.0.1:5060`. Its user part is the name of the PBX's inbound
    /// publication. UDP only.
    pub server: String,
    /// The endpoint we are on the PBX, and our name in its digest authentication.
    pub username: String,
    /// The password of that endpoint's auth block; `None` when it has none.
    pub password: Option<Password>,
    /// Which of the PBX's devices the mesh is told. Default: all. Never are `MWI:*`, `Local/*`, devices that
    /// are not cachable, and our own endpoint.
    pub export: Vec<Pattern>,
    /// Which of the mesh's devices the PBX is told. Default: all, with the same exceptions.
    pub import: Vec<Pattern>,
    /// The file that remembers what the PBX was told. Losing it means lamps that nobody can put out.
    pub ledger: PathBuf,
    /// How long things take.
    pub timing: AsteriskTiming,
}

impl AsteriskConfig {
    /// The defaults for these three.
    pub fn new(listen: SocketAddr, server: impl Into<String>, ledger: impl Into<PathBuf>) -> Self {
        Self {
            listen,
            server: server.into(),
            username: "mesh".into(),
            password: None,
            export: vec![Pattern::any()],
            import: vec![Pattern::any()],
            ledger: ledger.into(),
            timing: AsteriskTiming::default(),
        }
    }

    /// Reads the server's URI.
    pub(super) fn server(&self) -> Result<Server, AsteriskError> {
        let fail = |reason| AsteriskError::Server {
            uri: self.server.clone(),
            reason,
        };
        let uri: SipUri = self
            .server
            .parse()
            .map_err(|_| fail("it is not a sip uri such as sip:mesh@127.0.0.1:5060"))?;
        if uri.sips {
            return Err(fail("sips is not supported, use udp on loopback"));
        }
        match uri
            .uri_params
            .get_val("transport")
            .map(|transport| transport.to_ascii_lowercase())
        {
            None => {}
            Some(transport) if transport == "udp" => {}
            Some(_) => return Err(fail("only udp is supported")),
        }
        let user = self
            .server
            .split_once(':')
            .and_then(|(_, rest)| rest.split_once('@'))
            .map(|(user, _)| user);
        let Some(user) = user.filter(|user| !user.is_empty() && !user.contains(':')) else {
            return Err(fail(
                "it needs a user part: the name of the pbx's inbound publication",
            ));
        };
        use ezk_sip_types::print::AppendCtx as _;
        let host = uri.host_port.host.default_print_ctx().to_string();
        let port = uri.host_port.port.unwrap_or(5060);
        Ok(Server {
            user: user.to_owned(),
            host_port: format!("{host}:{port}"),
        })
    }
}

/// The parts of the server's URI that are needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) user: String,
    pub(super) host_port: String,
}

/// A password that is not shown.
///
/// ```
/// use presence_mesh::bridge::asterisk::Password;
/// assert_eq!(format!("{:?}", Password::from("CHANGE-ME")), "Password(hidden)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Password {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(hidden)")
    }
}

/// How long things take. Made by [`AsteriskTiming::default`] and changed field by field: there will be more of
/// them.
///
/// ```
/// use presence_mesh::bridge::asterisk::AsteriskTiming;
/// use std::time::Duration;
/// let mut timing = AsteriskTiming::default();
/// timing.gone_after = Duration::from_secs(30); // a PBX that restarts slowly
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct AsteriskTiming {
    /// How often the PBX is asked for a sign of life. 1 s.
    pub probe: Duration,
    /// Silence of the PBX after which what it said is shown stale. 3 s, as the mesh's `lan`.
    pub stale_after: Duration,
    /// Silence of the PBX after which its devices are withdrawn. 10 s, as the mesh's `lan`; a restart of
    /// Asterisk that takes longer blinks.
    pub gone_after: Duration,
    /// How often everything is asked for again. 10 min: finds what a lost PUBLISH left wrong.
    pub refresh: Duration,
    /// A dump is complete when nothing came for that long. 2 s.
    pub dump_quiet: Duration,
    /// How long after our start everyone may claim what an earlier life told the PBX; longer than the mesh's
    /// `gone_after`. 15 s.
    pub judge_after: Duration,
    /// A gap in our own running that counts as a pause: the PBX's queue to us may have overflowed. 5 s.
    pub pause: Duration,
    /// How long a shutdown may take to take everything back. 5 s.
    pub shutdown: Duration,
    /// How often an unanswered PUBLISH is repeated.
    pub retransmit: Retransmit,
    /// The first wait after a refusal that concerns all PUBLISHes alike (wrong password, missing block);
    /// doubles up to 60 times that. 1 s.
    pub backoff: Duration,
    /// How long our publications are asked to last. 3600 s; longer outlives longer silences without being
    /// taken for a restart of the PBX.
    pub expires: Duration,
    /// How many ordered streams of PUBLISHes there are. 4 (a guess): a dump of 10,000 states on loopback takes
    /// seconds either way, but one lost datagram then holds up a quarter of them for half a second.
    pub streams: usize,
}

impl Default for AsteriskTiming {
    fn default() -> Self {
        Self {
            probe: Duration::from_secs(1),
            stale_after: Duration::from_secs(3),
            gone_after: Duration::from_secs(10),
            refresh: Duration::from_secs(600),
            dump_quiet: Duration::from_secs(2),
            judge_after: Duration::from_secs(15),
            pause: Duration::from_secs(5),
            shutdown: Duration::from_secs(5),
            retransmit: Retransmit::default(),
            backoff: Duration::from_secs(1),
            expires: Duration::from_secs(3600),
            streams: 4,
        }
    }
}

/// The bridge cannot start; nothing was changed.
///
/// ```
/// use presence_mesh::bridge::asterisk::{AsteriskConfig, AsteriskError, pjsip_config};
/// let config = AsteriskConfig::new(([127, 0, 0, 1], 5099).into(), "sips:mesh@127.0.0.1", "asterisk.ledger");
/// assert!(matches!(pjsip_config(&config, "berlin"), Err(AsteriskError::Server { .. })));
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AsteriskError {
    /// The address to listen on cannot be had.
    #[error("cannot listen for asterisk on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What went wrong.
        #[source]
        cause: std::io::Error,
    },
    /// The URI of the PBX is not usable.
    #[error("the asterisk server {uri:?} is not usable: {reason}")]
    Server {
        /// What was given.
        uri: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The name of the PBX does not resolve.
    #[error("the asterisk server {host:?} does not resolve")]
    Resolve {
        /// Host and port.
        host: String,
        /// What went wrong; `None` when the name has no address.
        #[source]
        cause: Option<std::io::Error>,
    },
    /// The ledger is not usable.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The mesh's node has as many watches as it may.
    #[error(transparent)]
    Watch(#[from] FollowError),
    /// A timing makes no sense.
    #[error("{field} is out of bounds: {bound}")]
    Timing {
        /// Which one.
        field: &'static str,
        /// What it must be.
        bound: &'static str,
    },
}

impl AsteriskTiming {
    /// Checks that the timings make sense together. Nothing is clamped.
    pub(super) fn check(&self) -> Result<(), AsteriskError> {
        let rules = [
            (
                "probe",
                self.probe >= Duration::from_millis(10),
                "at least 10 ms",
            ),
            (
                "stale_after",
                self.stale_after > self.probe,
                "more than probe",
            ),
            (
                "gone_after",
                self.gone_after >= self.stale_after,
                "at least stale_after",
            ),
            (
                "refresh",
                self.refresh >= self.dump_quiet,
                "at least dump_quiet",
            ),
            (
                "dump_quiet",
                self.dump_quiet >= Duration::from_millis(10),
                "at least 10 ms",
            ),
            (
                "pause",
                self.pause >= Duration::from_millis(100),
                "at least 100 ms",
            ),
            (
                "backoff",
                self.backoff >= Duration::from_millis(10),
                "at least 10 ms",
            ),
            (
                "expires",
                self.expires >= Duration::from_secs(10),
                "at least 10 s",
            ),
            ("streams", (1..=32).contains(&self.streams), "1 to 32"),
            (
                "retransmit.first",
                self.retransmit.first >= Duration::from_millis(10),
                "at least 10 ms",
            ),
            (
                "retransmit.longest",
                self.retransmit.longest >= self.retransmit.first,
                "at least retransmit.first",
            ),
        ];
        match rules.into_iter().find(|(_, holds, _)| !holds) {
            Some((field, _, bound)) => Err(AsteriskError::Timing { field, bound }),
            None => Ok(()),
        }
    }
}

/// The blocks for `pjsip.conf` that join an Asterisk to this bridge, filled in.
///
/// `node` names the PBX towards us; only letters, digits, `-` and `_` of it are used.
///
/// ```
/// use presence_mesh::bridge::asterisk::{AsteriskConfig, pjsip_config};
/// let config = AsteriskConfig::new(([127, 0, 0, 1], 5099).into(), "sip:mesh@127.0.0.1:5060", "asterisk.ledger");
/// println!("{}", pjsip_config(&config, "berlin")?);
/// # Ok::<(), presence_mesh::bridge::asterisk::AsteriskError>(())
/// ```
pub fn pjsip_config(config: &AsteriskConfig, node: &str) -> Result<String, AsteriskError> {
    let Server {
        user: publication, ..
    } = config.server()?;
    let endpoint = &config.username;
    let word = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') {
            c
        } else {
            '-'
        }
    };
    let node: String = node.chars().map(word).collect();
    let listen = match config.listen.ip() {
        ip if ip.is_unspecified() => SocketAddr::new([127, 0, 0, 1].into(), config.listen.port()),
        _ => config.listen,
    };
    let auth = match config.password {
        Some(_) => format!(
            "auth={endpoint}                     ; without auth anyone with From user {endpoint:?} may publish\n\
             [{endpoint}]\ntype=auth\nauth_type=userpass\nusername={endpoint}\n\
             password=CHANGE-ME            ; what stands in password_file\n"
        ),
        None => format!(
            "; no password is configured: anyone with From user {endpoint:?} may publish here\n"
        ),
    };
    Ok(format!(
        "; presence-mesh on this host. In asterisk.conf, [options] needs a unique, stable entityid=02:…
; Modules: res_pjsip_pubsub, res_pjsip_outbound_publish, res_pjsip_publish_asterisk.
[{endpoint}]                        ; who we are for this server
type=endpoint
{auth}[{publication}]
type=inbound-publication      ; Request-URI user \"{publication}\"
endpoint={endpoint}
event_asterisk-devicestate=mesh
event_asterisk-mwi=mesh
[mesh]
type=asterisk-publication
device_state=yes
mailbox_state=yes
devicestate_publish=mesh-devicestate
mailboxstate_publish=mesh-mwi
[mesh-devicestate]
type=outbound-publish
server_uri=sip:{node}@{listen}      ; UDP on purpose: Asterisk ignores all SIP until booted, UDP repeats
event=asterisk-devicestate
expiration=60
[mesh-mwi]
type=outbound-publish
server_uri=sip:{node}@{listen}
event=asterisk-mwi
expiration=60
"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> AsteriskConfig {
        AsteriskConfig::new(
            "127.0.0.1:5099".parse().expect("valid"),
            "sip:mesh@127.0.0.1:5060",
            "ledger",
        )
    }

    #[test]
    fn the_server_is_a_sip_uri_over_udp() {
        let expected = Server {
            user: "mesh".into(),
            host_port: "127.0.0.1:5060".into(),
        };
        for uri in [
            "sip:mesh@127.0.0.1:5060",
            "sip:mesh@127.0.0.1",
            "sip:mesh@127.0.0.1;transport=udp",
        ] {
            let config = AsteriskConfig {
                server: uri.into(),
                ..config()
            };
            assert_eq!(config.server().expect(uri), expected);
        }
        let ipv6 = AsteriskConfig {
            server: "sip:mesh@[::1]:5062".into(),
            ..config()
        };
        assert_eq!(ipv6.server().expect("valid").host_port, "[::1]:5062");
        for uri in [
            "mesh@127.0.0.1",
            "sip:127.0.0.1",
            "sips:mesh@a",
            "sip:mesh@a;transport=tcp",
            "",
        ] {
            assert!(
                AsteriskConfig {
                    server: uri.into(),
                    ..config()
                }
                .server()
                .is_err(),
                "{uri}"
            );
        }
    }

    #[test]
    fn the_blocks_name_our_addresses() {
        let config = AsteriskConfig {
            password: Some("hunter2".into()),
            server: "sip:hall@10.0.0.1".into(),
            ..config()
        };
        let text = pjsip_config(&config, "büro 1").expect("valid");
        for line in [
            "[hall]\ntype=inbound-publication",
            "endpoint=mesh\n",
            "server_uri=sip:b-ro-1@127.0.0.1:5099",
            "auth=mesh",
            "type=auth",
            "devicestate_publish=mesh-devicestate",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert!(!text.contains("hunter2"), "no secret is printed");
    }

    #[test]
    fn timings_that_make_no_sense_are_named() {
        assert!(AsteriskTiming::default().check().is_ok());
        let timing = AsteriskTiming {
            stale_after: Duration::from_millis(500),
            ..AsteriskTiming::default()
        };
        assert!(
            timing
                .check()
                .expect_err("too short")
                .to_string()
                .contains("stale_after")
        );
    }
}
