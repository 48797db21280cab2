//! The C interface: the header is that of the sources, and a C program and a Rust program share lamps.

#[path = "support/beside.rs"]
mod beside;
#[path = "support/nodes.rs"]
mod nodes;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use nodes::{DEADLINE, builder, id, peer, start, state, until};
use presence_mesh::{DeviceState, MessageCounts, Standing};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The header that the sources make.
fn header() -> String {
    let config = cbindgen::Config::from_file(root().join("include/cbindgen.toml"));
    let mut builder = cbindgen::Builder::new().with_config(config.expect("it is a config"));
    let mut sources: Vec<PathBuf> = fs::read_dir(root().join("src/capi"))
        .expect("the sources are there")
        .map(|entry| entry.expect("they can be read").path())
        .collect();
    sources.sort();
    for source in sources {
        builder = builder.with_src(source);
    }
    let mut header = Vec::new();
    builder
        .generate()
        .expect("cbindgen reads the sources")
        .write(&mut header);
    let header = String::from_utf8(header).expect("it is text");
    // What rustdoc calls so is about pointers.
    header.replace(" # Safety\n", " Pointers:\n")
}

/// `UPDATE_HEADER=1` writes it.
#[test]
fn the_header_is_that_of_the_sources() {
    let path = root().join("include/presence_mesh.h");
    if std::env::var_os("UPDATE_HEADER").is_some() {
        fs::write(&path, header()).expect("it can be written");
    }
    let found = fs::read_to_string(&path).expect("the header is there");
    assert!(
        found == header(),
        "include/presence_mesh.h is not what src/capi makes: UPDATE_HEADER=1 cargo test --features capi --test capi"
    );
}

/// A C program that was compiled and runs. Killed when dropped.
struct Program {
    child: Child,
    lines: Receiver<String>,
    heard: Vec<String>,
}

impl Program {
    /// Compiles `tests/c/NAME.c` against the header and the shared library, and runs it.
    fn start(name: &str, arguments: &[&str]) -> Self {
        let library = beside::example("libpresence_mesh_c.so");
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join(name);
        let compiled = Command::new("cc")
            .args(["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-g"])
            .arg("-I")
            .arg(root().join("include"))
            .arg(root().join("tests/c").join(format!("{name}.c")))
            .arg(&library)
            .arg(format!(
                "-Wl,-rpath,{}",
                library.parent().expect("it lies in a folder").display()
            ))
            .arg("-o")
            .arg(&program)
            .output()
            .expect("there is a C compiler");
        assert!(
            compiled.status.success(),
            "{}",
            String::from_utf8_lossy(&compiled.stderr)
        );
        let mut child = Command::new(&program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        let stdout = BufReader::new(child.stdout.take().expect("it was piped"));
        let (sender, lines) = channel();
        // The program is loaded; its folder may go when its output has ended.
        thread::spawn(move || {
            let _folder = folder;
            stdout
                .lines()
                .map_while(Result::ok)
                .all(|line| sender.send(line).is_ok())
        });
        Self {
            child,
            lines,
            heard: Vec::new(),
        }
    }

    /// Waits for a line that begins like this.
    fn says(&mut self, wanted: &str) -> String {
        loop {
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) if line.starts_with(wanted) => return line,
                Ok(line) => self.heard.push(line),
                Err(_) => panic!("no {wanted:?} after {:#?}", self.heard),
            }
        }
    }

    fn tell(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("it was piped");
        writeln!(stdin, "{line}").expect("the program listens");
    }

    fn ends_well(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().expect("a child of ours").success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_c_program_and_a_rust_program_exchange_lamps() {
    let rust = start(builder(1)).await;
    rust.devices()
        .set("PJSIP/100", DeviceState::Ringing)
        .expect("a write");
    let key = nodes::KEY.to_text();
    let mut c = tokio::task::spawn_blocking({
        let address = rust.addresses()[0].clone();
        move || Program::start("lamps", &[key.trim(), &address])
    })
    .await
    .expect("no panic");
    let c_id = c.says("started ").split_off("started ".len());

    // By the file descriptor, what was there and what changes.
    c.says("fd: entry PJSIP/100 6 live node1");
    rust.devices()
        .set("PJSIP/100", DeviceState::InUse)
        .expect("a write");
    c.says("fd: change PJSIP/100 6 -> 2");
    // By the callback, on a thread of its own.
    rust.mailboxes()
        .set("100", MessageCounts::new(3, 1))
        .expect("a write");
    c.says("callback: change 100@default 3/1");
    // By asking.
    c.tell("list");
    c.says("list: PJSIP/100 2");
    c.says("list: PJSIP/200 1");
    until("the lamp of the C program is seen", || {
        state(&rust, "PJSIP/200") == Some(DeviceState::NotInUse)
    })
    .await;

    c.tell("leave");
    c.says("fd: stopped");
    c.says("callback: stopped");
    c.says("left");
    until("the C program is gone at once", || {
        rust.peers().iter().any(|peer| {
            peer.replica.to_string() == c_id && peer.standing == Standing::Gone && peer.left
        })
    })
    .await;
    assert_eq!(peer(&rust, id(1)), None, "nobody is a peer of itself");
    c.ends_well();
}

/// Mistakes that C makes easy are refused in words; nothing is written through a NULL.
#[test]
fn mistakes_come_back_as_codes_and_words() {
    let mut c = Program::start("mistakes", &[]);
    c.says("done");
    c.ends_well();
}
