//! `join`: the files of a new node, with the mesh's key fetched from one that runs.

use std::io::{self, BufRead, IsTerminal as _};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use presence_mesh::Invite;

use crate::cli::JoinArgs;
use crate::init::Files;
use crate::settings::Settings;
use crate::{exit, logs, settings, span};

/// More than any invite, and than what may stand before it.
const MAX_INPUT_BYTES: u64 = 8_192;

/// Fetches the mesh's key, then writes `mesh.key`, `identity.key` and `presence-mesh.toml`; changes nothing when one
/// of them is there.
pub fn run(args: &JoinArgs) -> anyhow::Result<()> {
    logs::start(logs::OPERATOR);
    let node = match &args.node {
        Some(node) => node.clone(),
        None => settings::name(&Settings::default().node_name())
            .map_err(|problem| exit::usage(format!("the host's name: {problem}; give --node")))?,
    };
    if io::stdin().is_terminal() {
        eprintln!("Paste the invite, and press Enter:");
    }
    let invite = read(io::stdin().lock())?;
    // Before the invite is used up.
    let mut files = Files::prepare(&args.dir, args.data_dir.as_deref())?;
    // The one the node will have: who gave the invite is told it, and may let nobody else in.
    let identity = files.identity()?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let welcome = runtime
        .block_on(invite.redeem(&identity))
        .map_err(|error| anyhow::anyhow!("{error}{}", expired(&invite)))?;
    files.write(
        &welcome.key,
        &identity,
        invite.mesh(),
        &node,
        &[welcome.join],
    )
}

/// The first line that is not empty.
fn read(input: impl BufRead) -> anyhow::Result<Invite> {
    for line in input.take(MAX_INPUT_BYTES).lines() {
        let line = line.context("cannot read the invite from stdin")?;
        if !line.trim().is_empty() {
            return Ok(line.parse()?);
        }
    }
    Err(exit::usage(
        "no invite on stdin: presence-mesh invite gives one on a machine whose node runs",
    ))
}

/// What this machine's clock says of it. A hint only: that clock may be wrong, and the other node decides.
fn expired(invite: &Invite) -> String {
    let end = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(invite.expires_at()));
    match end.map(|end| SystemTime::now().duration_since(end)) {
        Some(Ok(since)) => format!(
            " (it expired {} ago by this machine's clock)",
            span::age(since)
        ),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "presence-mesh://MUE84i9m9wpmWyyyQd2ZYj@berlin.example.net:4747/acme\
        ?node=12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp&expires=1";

    #[test]
    fn the_first_line_is_read_and_no_more() {
        let text = format!("\r\n  {LINE}\r\nwhatever follows\n");
        assert_eq!(read(text.as_bytes()).unwrap().to_text(), LINE);
        assert!(
            read(&b"\n"[..])
                .unwrap_err()
                .to_string()
                .contains("no invite")
        );
        assert!(
            read(&b"5a5a\n"[..])
                .unwrap_err()
                .to_string()
                .contains("begins with")
        );
        let endless = io::repeat(b' ');
        assert!(read(io::BufReader::new(endless)).is_err());
        assert!(read(&b"\xff\xfe\n"[..]).is_err());
    }

    #[test]
    fn what_has_expired_says_so() {
        assert!(expired(&LINE.parse().unwrap()).contains("expired"));
        let late = LINE.replace("expires=1", "expires=99999999999");
        assert_eq!(expired(&late.parse().unwrap()), "");
        let never = LINE.replace("expires=1", &format!("expires={}", u64::MAX));
        assert_eq!(expired(&never.parse().unwrap()), "");
    }
}
