//! The panel as people meet it: in a real terminal, with keys that are pressed.

mod support {
    pub mod process;
    pub mod terminal;
}

use std::fs;

use support::process::{PATIENCE, World, wait_for};
use support::terminal::Terminal;

/// What the terminal shows before a panel, and must show after it.
const BEFORE: &str = "what stood here before";
const SITES: [&str; 5] = ["berlin", "paris", "london", "madrid", "oslo"];

fn terminal(test: &str, columns: u32, lines: u32) -> Option<Terminal> {
    let terminal = Terminal::start(test, columns, lines)?;
    terminal.type_line(&format!("clear; echo {BEFORE}"));
    terminal.await_screen("echo", |screen| screen.starts_with(BEFORE));
    Some(terminal)
}

/// How many lamps are shown as old: hatched, or in ASCII between tildes.
fn hatched(screen: &str) -> usize {
    screen.matches('░').count() / 2
}

/// Whether any letter has a colour of its own: `39` and `49` are no colours.
fn coloured(screen: &str) -> bool {
    let sequences = screen.split("\u{1b}[").skip(1);
    let mut codes = sequences
        .filter_map(|text| text.split_once('m'))
        .flat_map(|(codes, _)| codes.split(';'));
    codes.any(|code| matches!(code.parse(), Ok(30..=38 | 40..=48 | 90..=107)))
}

/// The first five minutes of a newcomer.
#[test]
fn the_demonstration_is_cut_healed_explained_and_quit_by_keys() {
    let Some(terminal) = terminal("panel", 80, 24) else {
        return;
    };
    terminal.run("demo --http 127.0.0.1:0");
    let all = |screen: &str| SITES.iter().all(|site| screen.contains(site));
    // All forty, with what they show in words, on the smallest screen. One that is half painted is no failure.
    let words = ["Free", "On a call", "Ringing", "On hold", "Offline"];
    let lamps =
        |screen: &str| -> usize { words.iter().map(|word| screen.matches(word).count()).sum() };
    let up = terminal.await_screen("five sites", |screen| {
        all(screen)
            && screen.contains("40 lamps, all live")
            && lamps(screen) >= 40
            && screen.contains("x cut  h heal  k kill oslo")
    });
    assert!(coloured(&terminal.coloured()), "{up}");

    terminal.press(&["c"]);
    terminal.await_screen("ringing everywhere", |screen| {
        screen.contains("rings on all 5 sites after")
    });

    terminal.press(&["x"]);
    let cut = terminal.await_screen("stale lamps", |screen| {
        screen.contains("CUT: berlin paris | london madrid oslo, 24 of 40 lamps old")
            && hatched(screen) == 24
    });
    for line in cut.lines().skip(3).take(16) {
        let near: String = line.chars().take(32).collect();
        assert!(!near.contains('░'), "a lamp of this side is old: {line}");
    }
    // The far side sees it the other way round.
    terminal.press(&["Tab"]);
    terminal.await_screen("paris' view", |screen| {
        screen.contains("● alive         ● this node")
    });
    terminal.press(&["Tab"]);
    terminal.await_screen("london's view", |screen| {
        hatched(screen) == 16 && {
            let heads = screen.lines().nth(2).unwrap_or_default();
            let london: String = heads.chars().skip(33).take(11).collect();
            london == "● this node"
        }
    });
    terminal.await_screen("a conflict", |screen| {
        screen.contains("600@default") || screen.contains("more ↓")
    });

    terminal.press(&["h"]);
    terminal.await_screen("convergence", |screen| {
        let line = screen.lines().next().unwrap_or_default();
        let told = line.trim().strip_prefix("converged in ");
        told.is_some_and(|told| told.contains(" entries exchanged, ") && told.contains(" conflict"))
            && hatched(screen) == 0
    });

    terminal.press(&["e"]);
    terminal.await_screen("an explanation", |screen| {
        screen.contains("decides: one server reports it") && screen.contains("by api")
    });
    terminal.press(&["Escape"]);
    terminal.press(&["/"]);
    terminal.press(&["b", "e", "r", "l", "i", "n"]);
    terminal.await_screen("what is looked for", |screen| {
        screen.contains("/berlin_") && screen.contains("8 found") && !screen.contains("Bernd")
    });
    terminal.press(&["Escape"]);
    terminal.await_screen("all again", all);
    terminal.press(&["?"]);
    terminal.await_screen("help", |screen| {
        screen.contains("cut the network in two") && screen.contains("p50, p99")
    });
    terminal.press(&["q"]);
    let after = terminal.await_shell(BEFORE);
    assert!(
        after.contains("demo over:") && after.contains("the 5 nodes agree"),
        "{after}"
    );
}

#[test]
fn a_node_is_killed_and_revived_and_a_report_is_written() {
    let Some(terminal) = terminal("panel", 120, 40) else {
        return;
    };
    terminal.run("demo --http 127.0.0.1:0 --ascii");
    let up = terminal.await_screen("the demonstration", |screen| {
        screen.contains("40 lamps, all live")
    });
    assert!(up.is_ascii(), "{up}");
    terminal.press(&["k"]);
    terminal.await_screen("a node that is killed", |screen| {
        screen.contains("x killed") && screen.contains("k revive oslo") && screen.contains("8 old")
    });
    terminal.press(&["k"]);
    terminal.await_screen("a node that is back", |screen| {
        screen.contains("REVIVE oslo") && screen.contains("40 lamps, all live, digests equal")
    });
    terminal.press(&["r"]);
    terminal.await_screen("word of a report", |screen| {
        screen.contains("report written to ./")
    });
    let reports = fs::read_dir(terminal.folder()).unwrap();
    let reports = reports.filter_map(Result::ok).map(|entry| entry.path());
    let report = reports
        .filter(|path| path.extension().is_some_and(|end| end == "txt"))
        .find_map(|path| fs::read_to_string(path).ok())
        .unwrap();
    assert!(
        report.contains("KILL oslo, without a goodbye") && report.contains("PJSIP/100"),
        "{report}"
    );
    // Ctrl-C is a key here, and ends it as q does.
    terminal.press(&["C-c"]);
    terminal.await_shell(BEFORE);
}

/// The promise, in `top`: an old lamp is never shown as a live one.
#[test]
fn a_node_that_is_lost_is_said_at_once_and_found_again() {
    let Some(terminal) = terminal("panel", 80, 24) else {
        return;
    };
    let world = World::new();
    let mut berlin = world.start("berlin", &[], &[]);
    let paris = world.start("paris", &[&berlin], &[]);
    paris.await_peers(1);
    paris.put("/api/v1/devices/PJSIP%2F200", r#"{"state":"INUSE"}"#);
    berlin.put("/api/v1/mailboxes/200", r#"{"new":3,"old":1}"#);
    let http = berlin.http.to_string();
    terminal.run(&format!("top --http {http}"));
    let shown = terminal.await_screen("both nodes and the lamp", |screen| {
        screen.contains("2 nodes, 1 lamp, all live")
            && screen.contains("PJSIP/200")
            && screen.contains("✉3")
    });
    assert!(
        shown.contains("On a call") && shown.contains("● this node"),
        "{shown}"
    );
    assert!(
        !shown.contains("x cut") && !shown.contains("seen everywhere"),
        "{shown}"
    );
    paris.put("/api/v1/devices/PJSIP%2F200", r#"{"state":"RINGING"}"#);
    // What the node itself has measured of writes since we look.
    let written = std::cell::Cell::new(3);
    terminal.await_screen("how long others' writes take", |screen| {
        written.set(written.get() + 1);
        let counts = format!(r#"{{"new":{},"old":1}}"#, written.get());
        paris.put("/api/v1/mailboxes/200", &counts);
        screen.contains("others' seen in p50 <=")
    });
    terminal.await_screen("the change", |screen| {
        screen.contains("▲") && screen.contains("Ringing")
    });
    let parked = r#"{"kind":"call.parked","fields":{"slot":701}}"#;
    let posted = support::process::request(paris.http, "POST", "/api/v1/events", &[], parked);
    assert_eq!(posted.0, 202, "{posted:?}");
    terminal.await_screen("the event", |screen| {
        screen.contains("event call.parked from paris: slot=701")
    });
    terminal.press(&["e"]);
    terminal.await_screen("an explanation", |screen| {
        screen.contains("device PJSIP/200") && screen.contains("decides: one server reports it")
    });
    terminal.press(&["Escape"]);

    berlin.kill();
    let lost = terminal.await_screen("word of the loss", |screen| {
        screen.contains("NO CONNECTION") && hatched(screen) == 1
    });
    assert!(lost.contains("Ringing ~"), "{lost}");
    // The end of the connection told it, not a long silence.
    assert!(
        lost.contains("no connection: ") && !lost.contains("has said nothing"),
        "{lost}"
    );
    let berlin = world.start("berlin", &[&paris], &["--http", &http]);
    berlin.await_peers(1);
    terminal.await_screen("the node again", |screen| {
        screen.contains("all live") && screen.contains("connected again") && hatched(screen) == 0
    });
    // SIGTERM gives the terminal back, too.
    rustix::process::kill_process(terminal.child(), rustix::process::Signal::TERM).unwrap();
    terminal.await_shell(BEFORE);
    drop(berlin);
}

/// A node that is stopped keeps its connections: only its silence tells.
#[test]
fn a_node_that_stands_still_is_lost_too() {
    let Some(terminal) = terminal("panel", 80, 24) else {
        return;
    };
    let world = World::new();
    let berlin = world.start("berlin", &[], &[]);
    berlin.put("/api/v1/devices/PJSIP%2F100", r#"{"state":"BUSY"}"#);
    terminal.run(&format!("top --http {}", berlin.http));
    terminal.await_screen("the lamp", |screen| screen.contains("1 lamp, all live"));
    rustix::process::kill_process(berlin.process(), rustix::process::Signal::STOP).unwrap();
    terminal.await_screen("word of the silence", |screen| {
        screen.contains("NO CONNECTION") && hatched(screen) == 1
    });
    rustix::process::kill_process(berlin.process(), rustix::process::Signal::CONT).unwrap();
    terminal.await_screen("the node again", |screen| {
        screen.contains("all live") && hatched(screen) == 0
    });
    terminal.press(&["q"]);
    terminal.await_shell(BEFORE);
}

#[test]
fn the_panel_follows_the_size_of_the_terminal_and_leaves_colours_out_when_told() {
    let Some(terminal) = terminal("panel", 80, 24) else {
        return;
    };
    terminal.type_line("export NO_COLOR=1");
    terminal.run("demo --http 127.0.0.1:0");
    terminal.await_screen("the demonstration", |screen| screen.contains("all live"));
    let screen = terminal.coloured();
    assert!(!coloured(&screen), "{screen:?}");
    terminal.resize(120, 40);
    terminal.await_screen("a wide screen", |screen| {
        screen.lines().any(|line| line.chars().count() > 100) && screen.contains("q quit")
    });
    terminal.resize(30, 10);
    terminal.await_screen("what is needed", |screen| screen.contains("needs 40 x 12"));
    terminal.resize(80, 24);
    terminal.await_screen("the demonstration again", |screen| {
        screen.contains("40 lamps")
    });
    terminal.press(&["q"]);
    terminal.await_shell(BEFORE);
}

#[test]
fn lines_are_printed_where_nobody_wants_a_panel() {
    let Some(terminal) = terminal("panel", 120, 40) else {
        return;
    };
    terminal.run("demo --plain --for 1s --http 127.0.0.1:0");
    let screen = terminal.await_screen("the summary", |screen| screen.contains("demo over:"));
    assert!(
        screen.contains("demo mesh up: 5 nodes, 40 phones") && screen.contains("seen on all 5 in"),
        "{screen}"
    );

    let world = World::new();
    let berlin = world.start("berlin", &[], &[]);
    let mut top = support::process::program()
        .args(["top", "--http", &berlin.http.to_string()])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufReader::new(top.stdout.take().unwrap());
    let mut lines = std::io::BufRead::lines(lines).map_while(Result::ok);
    assert!(lines.next().unwrap().ends_with("  connected"));
    berlin.put("/api/v1/devices/PJSIP%2F100", r#"{"state":"BUSY"}"#);
    let line = lines.next().unwrap();
    assert!(line.ends_with("  PJSIP/100  - -> [X] Busy"), "{line}");
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&top),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    let status = wait_for("the end of top", PATIENCE, || top.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    let gone = berlin.http.to_string();
    drop(berlin);
    let output = support::process::run(&["top", "--http", &gone]);
    assert_eq!(output.status.code(), Some(3), "nobody answers: {output:?}");
}
