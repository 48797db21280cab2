//! A real terminal without a window: tmux, with a server of its own.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::process::{Deadline, PATIENCE, PROGRAM, text};

/// How often the screen is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(30);
/// What the shell says when it waits. No program of ours says so.
const PROMPT: &str = "shell>";

/// A shell in a terminal; both ended when dropped.
pub struct Terminal {
    folder: TempDir,
}

impl Terminal {
    /// `None` where there is no tmux; that is said on the real standard error, and is a failure where
    /// `MESH_TESTS_REQUIRE` names `tmux`.
    pub fn start(test: &str, columns: u32, lines: u32) -> Option<Self> {
        let version = Command::new("tmux").arg("-V").output();
        if version.is_ok_and(|output| output.status.success()) {
            return Some(Self::open(columns, lines));
        }
        let required = std::env::var("MESH_TESTS_REQUIRE").unwrap_or_default();
        assert!(
            !required.split(',').any(|word| word.trim() == "tmux"),
            "{test}: there is no tmux"
        );
        // The harness swallows what `eprintln!` says in a test that passes.
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: there is no tmux");
        None
    }

    fn open(columns: u32, lines: u32) -> Self {
        let terminal = Self {
            folder: TempDir::new().expect("a temporary folder"),
        };
        let (columns, lines) = (columns.to_string(), lines.to_string());
        let shell = format!("PS1='{PROMPT} ' exec sh");
        let size = ["-x", &columns, "-y", &lines];
        let arguments = [&["new-session", "-d"], &size[..], &[&shell]].concat();
        terminal.tmux(&arguments);
        terminal.await_screen("a prompt", |screen| screen.contains(PROMPT));
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("tmux");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PRESENCE_MESH_") {
                command.env_remove(name);
            }
        }
        let output = command
            .args(["-L", "presence-mesh", "-f", "/dev/null", "-u"])
            .args(arguments)
            .current_dir(&self.folder)
            .env("TMUX_TMPDIR", self.folder.path())
            .env("LC_ALL", "C.UTF-8")
            .env_remove("TMUX")
            .env_remove("NO_COLOR")
            .output()
            .expect("tmux starts");
        assert!(
            output.status.success(),
            "tmux {arguments:?}: {}",
            text(&output.stderr)
        );
        output
    }

    /// Where the shell stands.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Types a command line of the program.
    pub fn run(&self, arguments: &str) {
        self.type_line(&format!("{PROGRAM} {arguments}"));
    }

    pub fn type_line(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.tmux(&["send-keys", "Enter"]);
    }

    /// Presses keys, by the names tmux has for them.
    pub fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// The screen as a person sees it, line by line.
    pub fn screen(&self) -> String {
        text(&self.tmux(&["capture-pane", "-p"]).stdout)
    }

    /// The same with the sequences that colour it.
    pub fn coloured(&self) -> String {
        text(&self.tmux(&["capture-pane", "-e", "-p"]).stdout)
    }

    /// What tmux knows of the terminal, such as `alternate_on`.
    pub fn state(&self, name: &str) -> String {
        let format = format!("#{{{name}}}");
        let output = self.tmux(&["display-message", "-p", &format]);
        text(&output.stdout).trim().to_owned()
    }

    /// The process that runs in the foreground below the shell.
    pub fn child(&self) -> rustix::process::Pid {
        let shell = self.state("pane_pid");
        let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"));
        let child = children.expect("a shell").trim().parse().ok();
        let child = child.and_then(rustix::process::Pid::from_raw);
        child.expect("the shell runs a program")
    }

    pub fn resize(&self, columns: u32, lines: u32) {
        let (columns, lines) = (columns.to_string(), lines.to_string());
        self.tmux(&["resize-window", "-x", &columns, "-y", &lines]);
    }

    /// Waits until the screen is as wanted; the screen.
    pub fn await_screen(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Deadline::after(PATIENCE);
        loop {
            let screen = self.screen();
            if wanted(&screen) {
                return screen;
            }
            assert!(
                !deadline.is_over(),
                "no {what} within {PATIENCE:?}:\n{screen}"
            );
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits until the shell has its terminal again, and that is as it was.
    pub fn await_shell(&self, before: &str) -> String {
        let back = |screen: &str| screen.contains(before) && screen.trim_end().ends_with(PROMPT);
        let screen = self.await_screen("prompt below what stood there before", back);
        assert_eq!(self.state("alternate_on"), "0", "{screen}");
        assert_eq!(self.state("cursor_flag"), "1", "{screen}");
        // Raw mode would echo nothing.
        self.type_line(
            "stty -a | tr ';' '\\n' | grep -c -- '-echo \\|-icanon\\|-isig'; echo checked",
        );
        let checked = |screen: &str| screen.lines().any(|line| line.trim() == "checked");
        let after = self.await_screen("answer of the shell", checked);
        let count = after
            .lines()
            .rev()
            .skip_while(|line| line.trim() != "checked")
            .nth(1);
        assert_eq!(count.map(str::trim), Some("0"), "{after}");
        screen
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux")
            .args(["-L", "presence-mesh", "kill-server"])
            .env("TMUX_TMPDIR", self.folder.path())
            .output();
    }
}
