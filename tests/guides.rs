//! The guides in `docs`, and the README, are true: every command is run as it is written, says what it is said to
//! say, and what it claims of the PBX holds. A command that nothing here knows how to run fails.

#[path = "support/asterisk.rs"]
mod asterisk;
#[path = "support/guide.rs"]
mod guide;
#[path = "support/netns.rs"]
mod netns;
#[path = "support/offices.rs"]
mod offices;
#[path = "support/process.rs"]
mod process;

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use guide::{Step, fits, steps};
use offices::Offices;
use process::{Deadline, PROGRAM};
use tempfile::TempDir;

/// How long a reader would look again before taking a guide for wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// Commands that read and change nothing: what they say may need a moment to become true.
const READS: [&str; 8] = [
    "presence-mesh devices",
    "presence-mesh mailboxes",
    "presence-mesh explain",
    "presence-mesh peers",
    "presence-mesh status",
    "presence-mesh doctor",
    "presence-mesh ping",
    "asterisk -rx 'core show hint",
];

/// Puts the built program on the command's path, and takes our own settings from its environment.
fn on_path(command: &mut Command) {
    let folder = Path::new(PROGRAM).parent().expect("it is in a folder");
    let mut path = OsString::from(folder);
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PRESENCE_MESH_") {
            command.env_remove(name);
        }
    }
    command
        .env("PATH", path)
        .env("NO_COLOR", "1")
        .env("LC_ALL", "C.UTF-8");
}

/// Runs a command until it says what the guide says.
fn follow(step: &Step, mut run: impl FnMut(&str) -> Output) {
    let Step {
        place,
        command,
        says,
        ..
    } = step;
    let failing = says
        .iter()
        .any(|line| line.contains("WRONG") || line.contains("FAIL"));
    let again = READS.iter().any(|read| command.starts_with(read));
    let deadline = Deadline::after(PATIENCE);
    loop {
        let output = run(command);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let all = text(&output.stdout) + &text(&output.stderr);
        let as_said = fits(says, &all);
        if output.status.code() == Some(i32::from(failing)) && as_said.is_ok() {
            return;
        }
        if !again || deadline.is_over() {
            let status = output.status;
            panic!(
                "{place}: {command}\n{status}, missing {:?} in\n{all}",
                as_said.err()
            );
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// On two machines, each with an Asterisk that is what its files say.
#[test]
fn two_offices_are_joined_cut_and_mended_and_res_corosync_is_replaced() {
    let Some(mut offices) = Offices::new("two_offices") else {
        return;
    };
    for step in steps("docs/two-offices.md") {
        assert!(!step.hosts.is_empty(), "{}: on which server?", step.place);
        for host in &step.hosts {
            follow(&step, |line| offices.perform(host, line));
        }
    }
    for host in ["berlin", "paris"] {
        assert_eq!(offices.pbx(host).violations(), [""; 0]);
    }
}
