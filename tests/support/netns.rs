//! Two machines on one wire: network namespaces joined by a veth pair. Needs root and iproute2.

use std::io::Write as _;
use std::process::Command;

/// Two namespaces, `10.77.0.1` and `10.77.0.2`, removed when dropped.
pub struct Wire {
    names: [String; 2],
}

impl Wire {
    /// `None` where namespaces cannot be made; that is said on the real standard error, and is a failure where
    /// `MESH_TESTS_REQUIRE` names `netns`.
    pub fn new(test: &str) -> Option<Self> {
        match Self::make() {
            Ok(wire) => Some(wire),
            Err(problem) => {
                let required = std::env::var("MESH_TESTS_REQUIRE").unwrap_or_default();
                assert!(
                    !required.split(',').any(|word| word.trim() == "netns"),
                    "{test}: {problem}"
                );
                // The harness swallows what `eprintln!` says in a test that passes.
                let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {problem}");
                None
            }
        }
    }

    fn make() -> Result<Self, String> {
        let id = std::process::id();
        let wire = Self {
            names: [format!("pm{id}a"), format!("pm{id}b")],
        };
        let [a, b] = &wire.names;
        ip(&["netns", "add", a])?;
        ip(&["netns", "add", b])?;
        ip(&[
            "-n", a, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", b,
        ])?;
        for (name, address) in [(a, "10.77.0.1/24"), (b, "10.77.0.2/24")] {
            ip(&["-n", name, "link", "set", "lo", "up"])?;
            ip(&[
                "-n", name, "addr", "add", address, "brd", "+", "dev", "eth0",
            ])?;
            ip(&["-n", name, "link", "set", "eth0", "up"])?;
        }
        Ok(wire)
    }

    /// A command that will run on machine 0 or 1.
    pub fn command(&self, machine: usize, program: &std::path::Path) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.names[machine]])
            .arg(program);
        command
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for name in &self.names {
            // One that was never made cannot be removed.
            let _ = ip(&["netns", "del", name]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip")
        .args(arguments)
        .output()
        .map_err(|error| format!("cannot run ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "ip {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}
