//! A PostgreSQL server of a test's own.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::running::wait_for;

/// It refuses to run as root: then it is run as `nobody`.
const NOBODY: u32 = 65534;

/// Runs until dropped; listens on a Unix socket in a folder of its own.
pub struct Postgres {
    folder: TempDir,
    server: Option<Child>,
}

impl Postgres {
    /// `None` where PostgreSQL is not installed; that is said on the real standard error, and is a failure where
    /// `MESH_TESTS_REQUIRE` names `postgres`.
    pub fn new(test: &str) -> Option<Self> {
        let Some(programs) = programs() else {
            let problem = "PostgreSQL is not installed (Debian: postgresql)";
            let required = std::env::var("MESH_TESTS_REQUIRE").unwrap_or_default();
            assert!(
                !required.split(',').any(|word| word.trim() == "postgres"),
                "{test}: {problem}"
            );
            // The harness swallows what `eprintln!` says in a test that passes.
            let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {problem}");
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        if rustix::process::geteuid().is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).expect("root may");
        }
        let made = unprivileged(&programs.join("initdb"))
            .args([
                "-A",
                "trust",
                "-U",
                "cdr",
                "-E",
                "UTF8",
                "--locale=C",
                "--no-sync",
                "-D",
            ])
            .arg(&data)
            .output()
            .expect("initdb runs");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        // Neither TCP nor a log that nobody reads; `-F`: what is written need not outlive the test.
        let server = unprivileged(&programs.join("postgres"))
            .args(["-h", "", "-F", "-k"])
            .arg(folder.path())
            .arg("-D")
            .arg(&data)
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).expect("a log"))
            .spawn()
            .expect("postgres runs");
        let postgres = Self {
            folder,
            server: Some(server),
        };
        wait_for("answer of PostgreSQL", || {
            postgres::Client::connect(&postgres.address(), postgres::NoTls).ok()
        });
        Some(postgres)
    }

    /// What a question for a text and a number is answered.
    pub fn rows(&self, question: &str) -> Vec<(String, i64)> {
        let client = postgres::Client::connect(&self.address(), postgres::NoTls);
        let rows = client.expect("it runs").query(question, &[]).expect("SQL");
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// Where it is reached.
    pub fn address(&self) -> String {
        format!(
            "host={} user=cdr dbname=postgres",
            self.folder.path().display()
        )
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            // The quick way to end: its own processes go with it.
            let process = rustix::process::Pid::from_child(&server);
            let _ = rustix::process::kill_process(process, rustix::process::Signal::QUIT);
            let _ = server.wait();
        }
    }
}

fn unprivileged(program: &Path) -> Command {
    let mut command = Command::new(program);
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    // It wants to know where it is, and must be allowed to.
    command.current_dir("/");
    command
}

/// The folder of its programs: Debian keeps them out of the path, one folder for each version.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    folders.extend(versions.flatten().map(|version| version.path().join("bin")));
    let complete = |folder: &PathBuf| {
        ["initdb", "postgres"]
            .iter()
            .all(|program| folder.join(program).exists())
    };
    folders.into_iter().find(complete)
}
