//! A program that a test runs: what it says is waited for, and it does not outlive the test.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Long enough for anything on a loaded machine; nothing waits for it to pass.
const DEADLINE: Duration = Duration::from_secs(40);

/// Killed when dropped.
pub struct Running {
    child: Child,
    said: Arc<Said>,
    /// How many lines [`Running::says`] is through with.
    taken: usize,
}

/// All lines so far, and whether that is all.
#[derive(Default)]
struct Said {
    lines: Mutex<(Vec<String>, bool)>,
    more: Condvar,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = BufReader::new(child.stdout.take().expect("it was piped"));
        let said = Arc::new(Said::default());
        let listener = said.clone();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                listener.lines.lock().expect("nobody panics").0.push(line);
                listener.more.notify_all();
            }
            listener.lines.lock().expect("nobody panics").1 = true;
            listener.more.notify_all();
        });
        Self {
            child,
            said,
            taken: 0,
        }
    }

    /// The next line that begins like this; earlier ones are passed over.
    pub fn says(&mut self, wanted: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        let mut lines = self.said.lines.lock().expect("nobody panics");
        loop {
            while let Some(line) = lines.0.get(self.taken) {
                self.taken += 1;
                if line.starts_with(wanted) {
                    return line.clone();
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || lines.1 {
                let said = lines.0.clone();
                drop(lines);
                panic!("no {wanted:?} in {said:#?}");
            }
            lines = self
                .said
                .more
                .wait_timeout(lines, left)
                .expect("nobody panics")
                .0;
        }
    }

    /// All lines so far that begin like this.
    pub fn heard(&self, wanted: &str) -> Vec<String> {
        let lines = self.said.lines.lock().expect("nobody panics");
        let lines = lines.0.iter().filter(|line| line.starts_with(wanted));
        lines.cloned().collect()
    }

    pub fn tell(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("it was piped");
        writeln!(stdin, "{line}").expect("the program listens");
    }

    /// As Ctrl-C does.
    pub fn interrupt(&self) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::INT)
            .expect("a child of ours");
    }

    /// As a power cut would; all that it said.
    pub fn kill(mut self) -> Vec<String> {
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("a child of ours");
        let lines = self.said.lines.lock().expect("nobody panics");
        let ended = |lines: &mut (Vec<String>, bool)| !lines.1;
        let all = self.said.more.wait_timeout_while(lines, DEADLINE, ended);
        all.expect("nobody panics").0.0.clone()
    }

    pub fn ends_well(mut self) {
        drop(self.child.stdin.take());
        let status = wait_for("end of the program", || {
            self.child.try_wait().expect("a child of ours")
        });
        assert!(status.success(), "{status} after {:#?}", self.heard(""));
    }
}

/// What `look` finds, as soon as it finds something.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "no {what} within {DEADLINE:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
