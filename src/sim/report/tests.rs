//! Claims about whole reports.

use std::fs;

use serde_json::{Value, json};

use super::page::page;
use super::write;
use crate::model::DeviceState::{self, *};
use crate::proto::Freshness::{self, *};
use crate::sim::{
    Band, Chance, Fault, Figures, Histogram, LampStep, MAX_LINES, NodeFigures, Outcome, Recording,
    Scenario, Verb, Verdict, Violation,
};

/// A run with a cut of the mesh and a crash of one node, such as the simulator would tell of.
fn run() -> (Scenario, Outcome, Recording) {
    let mut scenario = Scenario::new("split-heal", 5, 60_000_000);
    scenario.about = "Three nodes are cut from two for twenty seconds.".to_owned();
    scenario.nodes[0] = "<b>&\"quoted\"".to_owned();
    let fault = |at_us, until_us, verb| Fault {
        at_us,
        until_us: Some(until_us),
        verb,
    };
    scenario.faults = vec![
        fault(
            10_000_000,
            30_000_000,
            Verb::Partition(vec![vec![0, 1, 2], vec![3, 4]]),
        ),
        fault(34_000_000, 40_000_000, Verb::Isolate(2)),
        fault(5_000_000, 55_000_000, Verb::Loss(Chance(50_000))),
    ];
    let band = |from_us, until_us, nodes: &[usize], label: &str, cut| Band {
        from_us,
        until_us,
        nodes: nodes.to_vec(),
        label: label.to_owned(),
        cut,
    };
    let mut recording = Recording {
        lamps: vec!["PJSIP/n0-100".to_owned(), "PJSIP/n3-100".to_owned()],
        bands: vec![
            band(5_000_000, 55_000_000, &[], "loss 5 %", false),
            band(
                10_000_000,
                30_000_000,
                &[],
                "partition n0 n1 n2 | n3 n4",
                true,
            ),
            band(34_000_000, 40_000_000, &[2], "isolate <i>n2</i>", true),
        ],
        divergence: (0..180)
            .map(|half| {
                let at_us = half * 500_000;
                let cut = (10_000_000..31_000_000).contains(&at_us);
                (at_us, if cut { 2 } else { (half % 7 == 0).into() })
            })
            .collect(),
        lines: vec![json!({"at_us": 1, "write": "a"}), json!({"at_us": 2})],
        ..Recording::default()
    };
    recording.steps = steps();
    let mut seen = Histogram::default();
    let mut delivery = Histogram::default();
    for n in 1..2_000_u64 {
        seen.add(900 + n * n / 3);
        delivery.add(300 + n * 4);
    }
    for n in 0..60 {
        seen.add(2_000_000 + n * 300_000);
    }
    let nodes = scenario.nodes.iter().zip(1..).map(|(name, n)| NodeFigures {
        name: name.clone(),
        sent_bytes: 310_000 * n,
        sent_messages: 1_203 * n,
        received_bytes: 1_700_000 / n,
        received_messages: 8_000 / n,
        copies: 2_345,
        entries: 22,
    });
    let outcome = Outcome {
        scenario: scenario.name.clone(),
        seed: 42,
        verdict: Verdict::Pass,
        trace_hash: "00112233445566778899aabbccddeeff".to_owned(),
        figures: Figures {
            virtual_us: 90_000_000,
            events: 123_456,
            writes: 300,
            seen,
            converged_us: Some(1_250_000),
            frames: 345,
            copies: 4_321,
            deliveries: 1_380,
            delivery,
            payload_elements: 5_678,
            metadata_units: 910,
            lost: 77,
            nodes: nodes.collect(),
            ..Figures::default()
        },
    };
    (scenario, outcome, recording)
}

/// A lamp of node 0 and one of node 3, as five nodes show them.
fn steps() -> Vec<LampStep> {
    let mut steps = Vec::new();
    let mut step = |at_us, node, lamp, shown: Option<(DeviceState, Freshness)>| {
        steps.push(LampStep {
            at_us,
            node,
            lamp,
            shown,
        });
    };
    let calls = [
        (500_000, NotInUse),
        (6_000_000, Ringing),
        (9_000_000, InUse),
        (16_000_000, NotInUse),
        (22_000_000, Ringing),
        (22_800_000, InUse),
        (44_000_000, OnHold),
        (48_000_000, RingInUse),
        (53_000_000, Busy),
        (58_000_000, NotInUse),
        (70_000_000, Unavailable),
        (78_000_000, Unknown),
    ];
    for lamp in [0, 1] {
        for node in 0..5 {
            let away = (node < 3) != (lamp == 0);
            for (at_us, state) in calls {
                let at_us = at_us + 7_000 * node as u64 + 1_500_000 * lamp as u64;
                let cut = (10_000_000..31_000_000).contains(&at_us) && away;
                let alone = (34_000_000..41_000_000).contains(&at_us) && node == 2;
                if !cut && !alone {
                    step(at_us, node, lamp, Some((state, Live)));
                }
            }
            if away {
                step(13_000_000, node, lamp, Some((InUse, Stale)));
                step(20_000_000, node, lamp, Some((Unavailable, Gone)));
                step(30_400_000, node, lamp, Some((InUse, Live)));
            } else if node == 2 {
                step(37_000_000, node, lamp, Some((InUse, Stale)));
                step(40_300_000, node, lamp, Some((InUse, Live)));
            }
        }
    }
    step(62_000_000, 4, 0, None);
    step(66_000_000, 4, 0, Some((NotInUse, Live)));
    steps.sort_by_key(|step| step.at_us);
    steps
}

fn broken(outcome: &mut Outcome) {
    outcome.verdict = Verdict::Fail(Violation {
        checker: "lamp-lie".to_owned(),
        at_us: 71_250_000,
        node: Some("n4".to_owned()),
        text: "PJSIP/n0-100 is shown live, <expected> stale\nsince 68 s".to_owned(),
    });
    outcome.figures.virtual_us = 71_250_000;
    outcome.figures.converged_us = None;
}

/// A run of the greatest size, with names that need the most room.
fn huge() -> (Scenario, Outcome, Recording) {
    let (_, mut outcome, mut recording) = run();
    let nodes = 1_000;
    let mut scenario = Scenario::new("thousand-nodes", nodes, 600_000_000);
    for (at, name) in scenario.nodes.iter_mut().enumerate() {
        *name = format!("office-with-a-rather-long-name-{at:04}.example.net");
    }
    outcome.figures.virtual_us = 630_000_000;
    outcome.figures.nodes = (scenario.nodes.iter().zip(0..))
        .map(|(name, n): (_, u64)| NodeFigures {
            name: name.clone(),
            sent_bytes: 1_000_000_000_000 + n * 7_919 % 100_000,
            sent_messages: 1_000_000_000,
            received_bytes: 1_000_000_000_000,
            received_messages: 1_000_000_000,
            copies: 1_000_000_000,
            entries: 1_000_000,
        })
        .collect();
    recording.lamps = (0..9).map(|lamp| format!("PJSIP/{lamp}")).collect();
    recording.steps = (0..MAX_LINES)
        .map(|n| LampStep {
            // A crowd at first, then what is just long enough to be drawn.
            at_us: match n as u64 {
                n if n < CROWD => n * 10,
                n => CROWD * 10 + (n - CROWD) * 19_400,
            },
            node: n % 12,
            lamp: n / 12 % 3,
            shown: Some((DeviceState::ALL[n / 36 * 7 % 9], Live)),
        })
        .collect();
    recording.divergence = (0..MAX_LINES as u64)
        .map(|n| (n * 3_100, (n * 7_919 % 1_000) as usize))
        .collect();
    recording.bands = (0..20_000)
        .map(|n| Band {
            from_us: n * 30_000,
            until_us: n * 30_000 + 14_000,
            nodes: (0..1_000).step_by(2).collect(),
            label: format!("partition {}", n % 400),
            cut: true,
        })
        .collect();
    scenario.faults = (0..20_000)
        .map(|n| Fault {
            at_us: n * 30_000,
            until_us: None,
            verb: Verb::Partition(vec![(0..1_000).step_by(2).collect()]),
        })
        .collect();
    (scenario, outcome, recording)
}

/// Steps of the largest run that come in a crowd.
const CROWD: u64 = 168_000;

fn parse(page: &str) -> roxmltree::Document<'_> {
    let options = roxmltree::ParsingOptions {
        allow_dtd: true,
        ..roxmltree::ParsingOptions::default()
    };
    roxmltree::Document::parse_with_options(page, options).expect("the page is well-formed")
}

fn text(document: &roxmltree::Document) -> String {
    let texts = document.descendants().filter(|node| node.is_text());
    texts.filter_map(|node| node.text()).collect()
}

/// Well-formed, says everything that a screen reader needs, and names no shape or pattern that is not there.
fn check(page: &str) {
    let document = parse(page);
    let mut ids = Vec::new();
    for node in document.descendants() {
        ids.extend(node.attribute("id"));
        let inner = node
            .ancestors()
            .skip(1)
            .any(|above| above.has_tag_name("svg"));
        if node.has_tag_name("svg") && !inner && node.attribute("aria-hidden").is_none() {
            assert_eq!(node.attribute("role"), Some("img"));
            assert!(
                node.attribute("aria-label")
                    .is_some_and(|label| !label.is_empty())
            );
        }
        assert!(!node.has_tag_name("script"));
    }
    for node in document.descendants() {
        if let Some(target) = node.attribute("href") {
            assert!(ids.contains(&&target[1..]), "{target}");
        }
    }
    for foreign in ["http:", "https:", "src=", "@import", "NaN", "inf%"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
}

#[test]
fn pages_are_well_formed_and_load_nothing() {
    let (scenario, mut outcome, recording) = run();
    check(&page(&scenario, &outcome, &recording));
    broken(&mut outcome);
    check(&page(&scenario, &outcome, &recording));
}

#[test]
fn every_figure_is_on_the_page() {
    let (scenario, outcome, recording) = run();
    let page = page(&scenario, &outcome, &recording);
    let figures = serde_json::to_value(&outcome.figures).expect("figures are JSON");
    for name in figures.as_object().expect("an object").keys() {
        let listed = page.contains(&format!("<code>{name}</code>"));
        assert!(listed || name == "nodes", "{name}");
    }
    for shown in [
        "123,456",
        "4,321",
        "1,380",
        "5,678",
        "910",
        "1.25 s",
        "90 s",
        "1,550,000",
        "3.13",
    ] {
        assert!(page.contains(&format!(">{shown}</")), "{shown}");
    }
}

#[test]
fn the_verdict_is_a_word_with_the_line_that_replays_it() {
    let (scenario, mut outcome, recording) = run();
    let passed = page(&scenario, &outcome, &recording);
    assert!(passed.contains("<h1>PASS "));
    let line = "presence-mesh sim replay simulations/split-heal.toml --seed 42</code>";
    assert!(passed.contains(line));

    broken(&mut outcome);
    let failed = page(&scenario, &outcome, &recording);
    assert!(failed.contains("<h1>FAIL ") && failed.contains(line));
    let document = parse(&failed);
    let text = text(&document);
    for part in [
        "lamp-lie at 71.250000 s at n4",
        "shown live, <expected> stale",
        "not reached",
    ] {
        assert!(text.contains(part), "{part}");
    }
}

/// Names come from files.
#[test]
fn names_are_text_and_never_markup() {
    let (mut scenario, mut outcome, mut recording) = run();
    let name = "<b>&\"quoted\"";
    let hostile = "</style></svg><script>alert('1')</script>\u{0}\u{202e}";
    scenario.about = hostile.to_owned();
    outcome.scenario = format!("a'b {hostile}");
    outcome.trace_hash = hostile.to_owned();
    recording.lamps[0] = hostile.to_owned();
    recording.bands[0].label = hostile.to_owned();
    let page = page(&scenario, &outcome, &recording);
    check(&page);
    assert!(!page.contains("<b>&"));
    let document = parse(&page);
    assert!(text(&document).contains(name));
    assert!(text(&document).contains("sim replay 'simulations/a'\\''b </style>"));
}

#[test]
fn an_empty_recording_gives_a_page_that_says_so() {
    let scenario = Scenario::new("clean", 3, 1_000_000);
    let outcome = Outcome {
        scenario: "clean".to_owned(),
        seed: 0,
        verdict: Verdict::Pass,
        trace_hash: String::new(),
        figures: Figures::default(),
    };
    let page = page(&scenario, &outcome, &Recording::default());
    check(&page);
    for said in [
        "Nothing was recorded over time",
        "nothing to measure",
        "Nothing was sent",
    ] {
        assert!(page.contains(said), "{said}");
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let reports = [run(), run()].map(|(scenario, outcome, recording)| {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let report = folder.path().join("made/if/absent");
        write(&report, &scenario, &outcome, &recording).expect("the report is written");
        ["index.html", "result.json", "trace.ndjson", "metrics.csv"]
            .map(|name| fs::read(report.join(name)).expect("it was written"))
    });
    assert_eq!(reports[0], reports[1]);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("a file for the test");
    let (scenario, outcome, recording) = run();
    let error = write(&file.join("report"), &scenario, &outcome, &recording);
    let error = error.expect_err("a file is no folder").to_string();
    assert!(
        error.starts_with("cannot make the folder /") && error.ends_with("file/report"),
        "{error}"
    );
}

#[test]
fn scripts_find_the_fields_they_were_promised() {
    let (_, mut outcome, mut recording) = run();
    let result = |outcome: &Outcome| -> Value {
        serde_json::from_slice(&super::data::result(outcome)).expect("it is JSON")
    };
    let passed = result(&outcome);
    assert_eq!(passed["scenario"], "split-heal");
    assert_eq!(passed["seed"], 42);
    assert_eq!(passed["verdict"], "pass");
    assert_eq!(passed["violation"], Value::Null);
    assert_eq!(passed["trace_hash"], "00112233445566778899aabbccddeeff");
    assert_eq!(passed["figures"]["writes"], 300);
    assert_eq!(passed["figures"]["seen"]["count"], 2_059);
    broken(&mut outcome);
    let failed = result(&outcome);
    assert_eq!(failed["verdict"], "fail");
    assert_eq!(failed["violation"]["checker"], "lamp-lie");
    assert_eq!(failed["violation"]["at_us"], 71_250_000);

    recording.left_out = 3;
    let trace = String::from_utf8(super::data::trace(&recording)).expect("it is text");
    let lines: Vec<Value> = (trace.lines())
        .map(|line| serde_json::from_str(line).expect("a JSON object a line"))
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[2], json!({"left_out": 3}));

    let metrics = super::data::metrics(&outcome);
    let rows: Vec<&str> = metrics.lines().collect();
    assert_eq!(rows.len(), 7);
    assert!(rows[0].starts_with("node,sent_bytes,sent_messages,received_bytes,"));
    assert!(rows[1].starts_with("\"<b>&\"\"quoted\"\"\",310000,1203,1700000,8000,"));
    assert!(rows[6].starts_with("(total),4650000,18045,"), "{}", rows[6]);
}

/// A page that a mail program or a phone can hold.
#[test]
fn the_largest_run_gives_a_page_below_two_megabytes() {
    let (scenario, outcome, recording) = huge();
    let page = page(&scenario, &outcome, &recording);
    check(&page);
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    for said in [
        "12 of 1,000 nodes",
        "Recorded but not drawn: PJSIP/3",
        "is drawn together",
    ] {
        assert!(page.contains(said), "{said}");
    }
}

/// What is shown stale must never look live, even where it is too short for a clock.
#[test]
fn what_is_stale_is_hatched_and_what_is_gone_is_crossed() {
    let mut svg = String::new();
    let look = super::segments::Look::Shown(InUse, Stale);
    super::lamp::draw(&mut svg, look, 0.0, 0.01, 0.1, "");
    assert!(
        svg.starts_with("<g class=\"old\">") && svg.contains("hatched"),
        "{svg}"
    );
    let mut svg = String::new();
    let look = super::segments::Look::Shown(InUse, Gone);
    super::lamp::draw(&mut svg, look, 0.0, 50.0, 300.0, "");
    assert!(svg.contains("#g-off") && !svg.contains("call"), "{svg}");
}
