//! Asking the running node for an invite.

use anyhow::Context as _;
use serde_json::json;

use super::connection::Connection;
use crate::api::{InviteObject, PREFIX};
use crate::cli::InviteArgs;
use crate::output;

/// `invite`: the line alone goes to stdout.
pub fn invite(args: &InviteArgs) -> anyhow::Result<()> {
    let mut wanted = json!({
        "address": args.dialled,
        "lifetime_s": args.expires.as_secs(),
    });
    if let Some(listen) = &args.listen {
        wanted["listen"] = json!(listen);
    }
    let connection = Connection::new(&args.read.target.address);
    let body = connection
        .post(&format!("{PREFIX}/invites"), &wanted.to_string())?
        .body;
    if args.read.json {
        return output::raw(&body);
    }
    let invite: InviteObject =
        serde_json::from_str(&body).context("the node's answer is none of this version")?;
    output::line(&invite.invite)?;
    eprintln!(
        "Good once, until {}, and secret until then. On the new machine:",
        invite.expires_at
    );
    eprintln!("  presence-mesh join --dir DIR --node NAME");
    eprintln!(
        "and paste the line there. It must reach this node at {}.",
        invite.address
    );
    Ok(())
}
