//! The guides in `docs`, and the README, are true: every command is run as it is written, says what it is said to
//! say, and what it claims of the PBX holds. A command that nothing here knows how to run fails.
//!
//! Few are not run as they are: of the guides those that [`Offices::perform`] lists, done by who stands in for their
//! program; of the README those of [`NOT_OURS`], which other tests run. Each with its reason.

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
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use guide::{Step, fits, steps};
use offices::Offices;
use presence_mesh::Preset;
use process::{Deadline, PROGRAM, World, clean};
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
    clean(command);
    command.env("PATH", path).env("LC_ALL", "C.UTF-8");
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
    for file in ["docs/two-offices.md", "docs/replacing-res_corosync.md"] {
        for step in steps(file) {
            assert!(!step.hosts.is_empty(), "{}: on which server?", step.place);
            for host in &step.hosts {
                follow(&step, |line| offices.perform(host, line));
            }
        }
    }
    for host in ["berlin", "paris"] {
        let pbx = offices.pbx(host);
        assert_eq!(pbx.violations(), [""; 0]);
        assert_eq!(
            pbx.remote_lamps(),
            0,
            "what the mesh told {host}'s PBX is taken back"
        );
    }
}

/// Each in a folder of its own. `cargo` is not run here: that the programs of a guide compile is what the
/// documentation tests are for (`src/lib.rs`).
#[test]
fn what_needs_one_machine_alone_runs_as_written() {
    for file in [
        "docs/simulating.md",
        "docs/embedding.md",
        "docs/failures.md",
    ] {
        let folder = TempDir::new().expect("a temporary folder");
        for step in steps(file) {
            assert_eq!(step.hosts, [""; 0], "{}", step.place);
            follow(&step, |line| {
                let mut command = Command::new("timeout");
                command.args(["100", "sh", "-c", line]).current_dir(&folder);
                on_path(&mut command);
                command.stdin(Stdio::null()).output().expect("timeout runs")
            });
        }
    }
}

/// The tests above name them; a guide that is added must be followed, too.
#[test]
fn every_guide_is_followed_and_the_readme_leads_to_it() {
    let followed = [
        "embedding",
        "failures",
        "replacing-res_corosync",
        "simulating",
        "two-offices",
    ];
    let guides = guide::guides();
    let names: Vec<_> = guides
        .iter()
        .filter_map(|file| file.file_stem()?.to_str())
        .collect();
    assert_eq!(names, followed);
    let readme = guide::text("README.md");
    for name in names {
        assert!(readme.contains(&format!("](docs/{name}.md)")), "{name}");
    }
}

/// Why a line of the README is not a command of the built program.
const NOT_OURS: [(&str, &str); 8] = [
    ("cargo test ", "the check runs this very line"),
    (
        "cargo rustc ",
        "the check builds the library; tests/capi.rs uses it",
    ),
    (
        "cargo build --release ",
        "the release build, for the package",
    ),
    ("cargo install cargo-deb", "the check installs it"),
    ("packaging/build-deb", "tests/package.rs runs it"),
    ("systemctl start presence-mesh", "the guides run it"),
    (REAL_STACK, "a program of its own, with tests of its own"),
    (
        "apt install ./target/debian/",
        "tests/package.rs installs the package",
    ),
];
/// The same program, built first.
const BUILT_FIRST: &str = "cargo run --release --features daemon -- ";
const REAL_STACK: &str = "cargo run --release --manifest-path simulations/real-stack/Cargo.toml";

/// With `--help` at its end a command line is read, flag by flag and value by value, and nothing is done.
#[test]
fn every_command_that_is_named_anywhere_is_one() {
    let mut lines: Vec<(String, String)> = Vec::new();
    let texts = guide::guides()
        .into_iter()
        .map(|file| format!("docs/{}", file.file_name().expect("a file").display()));
    for file in texts.chain(["README.md".to_owned()]) {
        let named = guide::named_in_prose(&guide::text(&file)).into_iter();
        lines.extend(named.map(|line| (file.clone(), line)));
    }
    for step in steps("README.md") {
        let line = step.command.split("  #").next().unwrap_or_default().trim();
        if !NOT_OURS.iter().any(|(start, _)| line.starts_with(start)) {
            let line = line
                .strip_prefix(BUILT_FIRST)
                .map_or(line.to_owned(), |rest| format!("presence-mesh {rest}"));
            lines.push((step.place, line));
        }
    }
    assert!(lines.len() > 20, "{lines:#?}");
    for (place, line) in lines {
        assert!(
            line.starts_with("presence-mesh "),
            "{place}: nothing here runs {line:?}"
        );
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{} --help", line.replace('…', ""))]);
        on_path(&mut command);
        let output = command.stdin(Stdio::null()).output().expect("sh runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{place}: {line}: {said}");
    }
}

/// Those commands of the README that ask a node, as they are written, of a node that has something to tell.
#[test]
fn the_readmes_questions_are_answered() {
    let world = World::new();
    let berlin = world.start("berlin", &[], &["--remember", "60s"]);
    let paris = world.start("paris", &[&berlin], &[]);
    paris.await_peers(1);
    berlin.put("/api/v1/devices/PJSIP%2F100", r#"{"state":"INUSE"}"#);
    let shell = |line: &str| {
        let mut command = Command::new("timeout");
        command.args(["60", "sh", "-c", line]);
        on_path(&mut command);
        command.env("PRESENCE_MESH_HTTP", berlin.http.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command
    };
    let (mut asked, mut subscriber) = (Vec::new(), None);
    for step in steps("README.md") {
        let words: Vec<&str> = step.command.split_whitespace().collect();
        match words[..] {
            ["presence-mesh", "events", "subscribe", ..] => {
                let all = format!("{} --remembered", step.command);
                subscriber = Some(shell(&format!("exec {all}")).spawn().expect("sh runs"));
            }
            [
                "presence-mesh",
                what @ ("explain" | "peers" | "status" | "events"),
                ..,
            ] => {
                follow(&step, |line| shell(line).output().expect("sh runs"));
                asked.push(what.to_owned());
            }
            _ => {}
        }
    }
    assert_eq!(asked, ["events", "explain", "peers", "status"]);
    let mut subscriber = subscriber.expect("the README subscribes");
    let mut line = String::new();
    let mut said = BufReader::new(subscriber.stdout.take().expect("it is piped"));
    said.read_line(&mut line).expect("UTF-8");
    assert!(
        line.contains("call.parked") && line.contains("701"),
        "{line}"
    );
    subscriber.kill().expect("a child of ours");
    subscriber.wait().expect("a child of ours");
}

/// What a reader would copy into a file is taken by what reads that file.
#[test]
fn what_is_to_be_copied_into_files_is_good() {
    let folder = TempDir::new().expect("a temporary folder");
    let config = folder.path().join("presence-mesh.toml");
    let sections = guide::blocks("README.md", "toml");
    assert_eq!(sections.len(), 1);
    std::fs::write(&config, format!("mesh = \"acme\"\n{}", sections[0])).expect("it is writable");
    let output = process::run(&["config", "check", &config.display().to_string()]);
    assert!(output.status.success(), "{}", process::text(&output.stderr));

    let manifest: toml::Table = guide::text("Cargo.toml").parse().expect("TOML");
    let version = |dependency: &toml::Value| {
        let version = dependency
            .as_str()
            .or_else(|| dependency.get("version")?.as_str());
        version.map(|version| version.split('.').next().unwrap_or_default().to_owned())
    };
    for block in guide::blocks("docs/embedding.md", "toml") {
        let block: toml::Table = block.parse().expect("TOML");
        for (name, dependency) in block["dependencies"].as_table().expect("a table") {
            if name != "presence-mesh" {
                assert_eq!(
                    version(dependency),
                    version(&manifest["dependencies"][name]),
                    "{name}"
                );
            }
        }
    }
}

/// The table of what happens when: its times are those of the code, and each row names where it was provoked.
#[test]
fn every_failure_in_the_table_was_provoked() {
    let text = guide::text("docs/failures.md");
    let rows = |heading: &str| -> Vec<Vec<String>> {
        let table = text
            .lines()
            .skip_while(|line| !line.starts_with(heading))
            .skip(2);
        let table = table.take_while(|line| line.starts_with('|'));
        let cells = |line: &str| {
            line.trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().to_owned())
                .collect()
        };
        table.map(cells).collect()
    };
    let presets = rows("| preset |");
    assert_eq!(presets.len(), 3);
    for row in presets {
        let name = row[0].split('`').nth(1).expect("a name");
        let timing = name.parse::<Preset>().expect("a preset").timing();
        let shown = |time: Duration| format!("{} s", time.as_secs_f64());
        assert_eq!(
            row[2..],
            [shown(timing.stale_after), shown(timing.gone_after)],
            "{name}"
        );
        assert_eq!(timing.forget_after, Duration::from_secs(7 * 86_400));
        assert_eq!(timing.max_clock_drift, Duration::from_secs(5));
    }
    let failures = rows("| when |");
    assert!(failures.len() > 20, "{failures:#?}");
    for row in failures {
        let named: Vec<&str> = row[3].split('`').skip(1).step_by(2).collect();
        let provoked = match named[..] {
            [scenario] => guide::root().join("simulations").join(scenario).exists(),
            [file, test] => guide::text(&format!("tests/{file}")).contains(&format!("fn {test}()")),
            _ => false,
        };
        assert!(provoked, "{row:?}");
    }
}

/// Of the README and the guides, to files and to headings.
#[test]
fn links_lead_somewhere() {
    let root = guide::root();
    let files = guide::guides().into_iter().chain([root.join("README.md")]);
    for file in files {
        let text = std::fs::read_to_string(&file).expect("it can be read");
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let there = if path.is_empty() {
                file.clone()
            } else {
                file.parent().expect("a folder").join(path)
            };
            assert!(there.exists(), "{}: {target}", file.display());
            if !heading.is_empty() {
                let text = std::fs::read_to_string(&there).expect("it can be read");
                let mut headings = text
                    .lines()
                    .filter(|line| line.starts_with('#'))
                    .map(anchor);
                assert!(
                    headings.any(|found| found == heading),
                    "{}: {target}",
                    file.display()
                );
            }
        }
    }
}

/// As code hosts make them of headings.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
