//! The pages as people meet them: in a real browser, served by real nodes.

mod support {
    pub mod browser;
    pub mod crowd;
    pub mod process;
}

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use support::browser::{Browser, Page};
use support::crowd::Crowd;
use support::process::{PATIENCE, World, program, request, request_in_full, wait_for};

/// The demonstration; killed when dropped.
struct Demo {
    child: Child,
    http: SocketAddr,
}

impl Demo {
    fn start(flags: &[&str]) -> Self {
        let mut child = program()
            .args(["demo", "--headless", "--http", "127.0.0.1:0"])
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let http = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let rest = line.strip_prefix("http: http://")?;
            rest.split(' ').next()?.parse().ok()
        });
        // What it says later must go somewhere.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let http = http.expect("it says where it listens");
        Self { child, http }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    fn get(&self, path: &str) -> Value {
        let (_, body) = request(self.http, "GET", path, &[], "");
        serde_json::from_str(&body).unwrap_or(Value::Null)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const DEVICE: &str = "/api/v1/devices/PJSIP%2F100";
const LIVE: &str = "document.getElementById('pill').classList.contains('live')";

/// Whether the middle of the window shows a row: it does from the frame after a jump on.
const DRAWN: &str = "document.elementsFromPoint(innerWidth * .15, innerHeight / 2).some((e) => e.classList.contains('row'))";

/// The promise, on a page: never is an old lamp shown as a live one.
#[test]
fn lamps_change_live_and_are_all_stale_once_the_server_is_dead() {
    let Some(browser) = Browser::start("pages") else {
        return;
    };
    let world = World::new();
    let people = world.path("people.csv");
    fs::write(&people, "key,name,extension\nPJSIP/100,Anna Berger,100\n").unwrap();
    let mut berlin = {
        let mut command = world.command("berlin", &[]);
        command.env("PRESENCE_MESH_PEOPLE_FILE", &people);
        support::process::Node::spawn("berlin", command, &world.path("berlin.log"))
    };
    let paris = world.start("paris", &[&berlin], &[]);
    paris.await_peers(1);
    paris.put(DEVICE, r#"{"state":"NOT_INUSE"}"#);
    paris.put("/api/v1/mailboxes/100", r#"{"new":3,"old":1}"#);

    let at = |path: &str| format!("http://{}{path}", berlin.http);
    let pages = ["/", "/wall"].map(|path| browser.page(&at(path), 360, 740));
    let mesh = browser.page(&at("/mesh"), 1280, 800);
    for page in &pages {
        page.await_js(
            "document.querySelector('.row.s-free:not(.stale) .mail')?.textContent.includes('3')",
            PATIENCE,
        );
        page.js("performance.mark('loaded')");
    }
    mesh.await_js(
        "document.getElementById('rows').children.length === 2",
        PATIENCE,
    );
    for (state, shape) in [
        ("RINGING", "ringing"),
        ("INUSE", "inuse"),
        ("BUSY", "busy"),
        ("ONHOLD", "hold"),
    ] {
        paris.put(DEVICE, &json!({ "state": state }).to_string());
        for page in &pages {
            page.await_js(
                &format!("document.querySelector('.row.s-{shape}:not(.stale)')"),
                PATIENCE,
            );
        }
    }
    // What a screen reader says; what stands in boxes of its own is told apart by spaces.
    let name = pages[0].accessible_name(".row").replace(" ,", ",");
    assert!(
        name.starts_with("Anna Berger, extension 100, Paris, On hold"),
        "{name}"
    );
    for page in pages.iter().chain([&mesh]) {
        assert_eq!(
            page.js("performance.getEntriesByType('navigation').length"),
            1
        );
        assert_eq!(page.complaints(), [""; 0]);
    }

    berlin.kill();
    for page in pages.iter().chain([&mesh]) {
        page.await_js(
            "!document.getElementById('strip').hidden && document.body.classList.contains('lost')",
            Duration::from_secs(5),
        );
        let strip = page.js("document.getElementById('strip').textContent");
        assert!(strip.as_str().unwrap().contains("No connection"), "{strip}");
    }
    for page in &pages {
        assert_eq!(
            page.js("document.querySelectorAll('.row:not(.stale)').length"),
            0
        );
        // The age counts up.
        let age = "document.querySelector('.row .words').textContent.match(/· (\\d+) s ago/)?.[1]";
        page.await_js(&format!("{age} >= 1"), PATIENCE);
        page.await_js(&format!("{age} >= 3"), PATIENCE);
    }
}

#[test]
fn a_node_that_comes_back_is_shown_live_again() {
    let Some(browser) = Browser::start("pages") else {
        return;
    };
    let world = World::new();
    let mut berlin = world.start("berlin", &[], &[]);
    berlin.put(DEVICE, r#"{"state":"INUSE"}"#);
    let page = browser.page(&format!("http://{}/", berlin.http), 1280, 800);
    page.await_js(
        "document.querySelector('.row.s-inuse:not(.stale)')",
        PATIENCE,
    );
    let wall = browser.page(&format!("http://{}/wall", berlin.http), 1280, 800);
    wall.await_js(LIVE, PATIENCE);
    berlin.kill();
    for page in [&page, &wall] {
        page.await_js(
            "document.querySelector('.row.stale')",
            Duration::from_secs(5),
        );
    }
    // What the sites say of themselves when the wall first says again that it is live.
    wall.js(
        "void (window.said = new Promise((done) => { const pill = document.getElementById('pill'); \
         const notes = () => [...document.querySelectorAll('.site .note')].map((note) => note.textContent); \
         new MutationObserver(() => pill.classList.contains('live') && done(notes())).observe(pill, { attributes: true }); }))",
    );

    let http = berlin.http.to_string();
    let berlin = world.start("berlin", &[], &["--http", &http]);
    wall.await_js(LIVE, PATIENCE);
    assert_eq!(wall.js("said"), json!(["0 free"]));
    berlin.put(DEVICE, r#"{"state":"RINGING"}"#);
    page.await_js("document.querySelector('.row.s-ringing:not(.stale)') && document.getElementById('strip').hidden", PATIENCE);
}

#[test]
fn search_chips_and_card_work_with_the_keyboard_alone() {
    let Some(browser) = Browser::start("pages") else {
        return;
    };
    let demo = Demo::start(&["--phones", "2000"]);
    let page = browser.page(&demo.url("/"), 1280, 800);
    page.await_js(
        &format!("{LIVE} && document.querySelector('.row')"),
        PATIENCE,
    );
    let drawn = page.js("document.querySelectorAll('.row').length");
    assert!(drawn.as_u64() < Some(800), "{drawn} rows are drawn of 2000");

    let press = |key: &str| {
        page.js(&format!(
            "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}', bubbles: true, cancelable: true }}))"
        ))
    };
    press("/");
    assert_eq!(page.js("document.activeElement.id"), "q");
    page.js("(q => { q.value = 'anna berger 100'; q.dispatchEvent(new Event('input')); })(document.activeElement)");
    page.await_js(
        "document.querySelectorAll('.site:not([hidden]) .row').length === 1",
        PATIENCE,
    );
    press("ArrowDown");
    page.js("document.activeElement.click()");
    page.await_js(
        "document.getElementById('card').open && document.querySelector('.stamps li')",
        PATIENCE,
    );
    let card = page.js("document.getElementById('card').textContent");
    let card = card.as_str().unwrap();
    for part in [
        "Anna Berger",
        "Who says so",
        "Berlin",
        "Why",
        "stamp",
        "PJSIP/100",
    ] {
        assert!(card.contains(part), "{part}: {card}");
    }
    page.js("document.querySelector('.close').click()");
    page.await_js("document.activeElement.classList.contains('row')", PATIENCE);
    page.js("document.querySelector('[data-chip=mail]').click()");
    assert_eq!(
        page.js("document.querySelector('[aria-pressed=true]').dataset.chip"),
        "mail"
    );
    assert_eq!(page.complaints(), [""; 0]);
}

/// What is drawn follows from the window, not from how many lamps there are; and searching asks nobody.
#[test]
fn ten_thousand_lamps_are_drawn_as_few_are() {
    let Some(browser) = Browser::start("pages") else {
        return;
    };
    let sizes = [("/", 360, 740), ("/", 1280, 800), ("/wall", 1920, 1080)];
    let drawn = |crowd: &Crowd, path: &str, width, height| {
        let page = browser.page(&crowd.url(path), width, height);
        page.await_js(
            &format!("{LIVE} && document.querySelector('.row:not(.stale)')"),
            PATIENCE,
        );
        let drawn = "document.querySelectorAll('.row').length";
        let first = settled(&page, drawn);
        page.js(
            "scrollTo({ top: document.documentElement.scrollHeight / 3, behavior: 'instant' })",
        );
        page.await_js(DRAWN, PATIENCE);
        let then = settled(&page, drawn);
        (page, [first, then])
    };
    let worlds = [World::new(), World::new()];
    let [few, many] = [(&worlds[0], 1_000), (&worlds[1], 10_000)]
        .map(|(world, lamps)| Crowd::start(world, lamps));
    for (path, width, height) in sizes {
        let (page, of_few) = drawn(&few, path, width, height);
        page.close();
        let (page, of_many) = drawn(&many, path, width, height);
        for (few, many) in of_few.iter().zip(&of_many) {
            let (few, many) = (few.as_u64().unwrap(), many.as_u64().unwrap());
            assert!(
                0 < few && many < 2 * few + 60,
                "{path} at {width}: {few} rows of 1,000, {many} of 10,000"
            );
        }
        // The middle of the list is somewhere in the middle of it, and says so.
        let place = "Number(document.elementsFromPoint(innerWidth * .15, innerHeight / 2).map((e) => \
            e.closest('[aria-posinset]')).find(Boolean).getAttribute('aria-posinset'))";
        let place = page.js(place).as_u64();
        assert!(place > Some(500), "{path}: {place:?}");
        // Going back draws rows before others: they are read out in the order in which they are seen.
        page.js("scrollBy({ top: -innerHeight * 2, behavior: 'instant' })");
        let wrong = "[...document.querySelectorAll('.list')].flatMap((list) => { \
            const { top, height } = list.getBoundingClientRect(); let last = 0; \
            return [...list.querySelectorAll('[aria-posinset]')].filter((item) => { \
                const at = Number(item.ariaPosInSet), before = last; last = at; \
                const due = top + height / item.ariaSetSize * (at - 1); \
                return at <= before || Math.abs(item.getBoundingClientRect().top - due) > 1; }); }).length";
        page.await_js(DRAWN, PATIENCE);
        assert_eq!(page.js(wrong), 0, "{path}");
        assert_eq!(page.complaints(), [""; 0]);
        page.close();
    }

    let page = browser.page(&many.url("/"), 1280, 800);
    page.await_js(
        &format!("{LIVE} && document.querySelector('.row')"),
        PATIENCE,
    );
    let requests = "performance.getEntriesByType('resource').length";
    let before = page.js(requests);
    let search = |text: &str| {
        page.js(&format!(
            "(() => {{ const q = document.getElementById('q'); q.value = '{text}'; q.dispatchEvent(new Event('input')); \
             return [...document.querySelectorAll('.site:not([hidden]) .name')].map((e) => e.textContent); }})()"
        ))
    };
    assert_eq!(
        search("chloe 9994"),
        json!(["Chloé Kowalski"]),
        "no accents are needed"
    );
    let all = search("");
    assert!(all.as_array().unwrap().len() > 20, "{all}");
    for text in ["greta", "oslo 77", "pjsip/1234", "nobody at all", ""] {
        search(text);
    }
    // Rows are used again for others: none may keep what it said before.
    let wrong = "[...document.querySelectorAll('.row')].filter((e) => e.querySelector('.name').textContent !== e.row.name || \
        e.querySelector('.ext').childNodes[1].data !== e.row.ext || e.row.drawn?.body !== e).length";
    assert_eq!(page.js(wrong), 0);
    assert_eq!(page.js(requests), before, "a search asks nobody");
}

/// What an expression comes to once it comes to the same twice.
fn settled(page: &Page<'_>, expression: &str) -> Value {
    let mut last = page.js(expression);
    wait_for("a page at rest", PATIENCE, || {
        let now = page.js(expression);
        (std::mem::replace(&mut last, now.clone()) == now).then_some(now)
    })
}

/// The controls act on real nodes, and the page tells what HTTP tells.
#[test]
fn the_demo_is_cut_healed_and_killed_from_its_page() {
    let Some(browser) = Browser::start("pages") else {
        return;
    };
    let demo = Demo::start(&[]);
    let page = browser.page(&demo.url("/mesh"), 1280, 800);
    let click = |text: &str| {
        let button = format!(
            "[...document.querySelectorAll('#controls button')].find(b => b.textContent.startsWith('{text}'))"
        );
        page.await_js(&format!("{button} && !{button}.disabled"), PATIENCE);
        page.js(&format!("{button}.click()"));
    };
    let stale = || {
        let lamps = demo.get("/api/v1/devices");
        let lamps = lamps.as_array().cloned().unwrap_or_default();
        lamps
            .iter()
            .filter(|lamp| lamp["freshness"] != "live")
            .count()
    };
    click("Cut");
    page.await_js(
        "document.querySelectorAll('.link.cut').length === 6",
        PATIENCE,
    );
    wait_for("stale lamps", PATIENCE, || (stale() == 24).then_some(()));
    page.await_js(
        "document.getElementById('facts').textContent.includes('24 not live')",
        PATIENCE,
    );
    // Nobody looks at a cut for less than some seconds.
    wait_for("lamps of three seconds ago", PATIENCE, || {
        let lamps = demo.get("/api/v1/devices");
        let lamps = lamps.as_array().expect("a list").iter();
        let far: Vec<_> = lamps.filter(|lamp| lamp["freshness"] != "live").collect();
        assert!(far.iter().all(|lamp| lamp["freshness"] == "stale"));
        let old = |lamp: &&Value| lamp["age_ms"].as_u64() > Some(3_000);
        far.iter().all(old).then_some(())
    });
    click("Heal");
    page.await_js(
        "document.getElementById('log').textContent.includes('HEALED')",
        PATIENCE,
    );
    page.await_js(
        "document.getElementById('facts').textContent.includes('equal on all 5')",
        PATIENCE,
    );

    // The node that is shown: another one takes its place.
    click("Kill Berlin");
    page.await_js(
        "document.getElementById('node').textContent === 'paris'",
        PATIENCE,
    );
    assert_eq!(demo.get("/api/v1/status")["node"], "paris");
    wait_for("stale lamps", PATIENCE, || (stale() == 8).then_some(()));
    click("Revive Berlin");
    wait_for("live lamps", PATIENCE, || (stale() == 0).then_some(()));

    page.js("(l => { l.value = 50; l.dispatchEvent(new Event('change')); })(document.getElementById('latency'))");
    wait_for("latency", PATIENCE, || {
        (demo.get("/api/v1/demo")["latency_ms"] == 50).then_some(())
    });
    assert_eq!(page.complaints(), [""; 0]);
}

/// WCAG 2.2 AA, as far as a program can judge it.
#[test]
fn nothing_serious_bars_anybody_from_a_page() {
    let Some(browser) = Browser::start("pages") else {
        return;
    };
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/axe/axe.min.js");
    let axe = fs::read_to_string(folder).unwrap();
    let demo = Demo::start(&[]);
    for (path, width, height) in [
        ("/", 360, 740),
        ("/", 1280, 800),
        ("/wall", 1920, 1080),
        ("/wall", 1280, 500),
        ("/mesh", 1280, 800),
        ("/mesh", 360, 740),
    ] {
        let page = browser.page(&demo.url(path), width, height);
        let ready = if path == "/mesh" {
            "document.querySelector('#rows tr')"
        } else {
            "document.querySelector('.row')"
        };
        for scheme in ["light", "dark"] {
            page.prefer("prefers-color-scheme", scheme);
            page.await_js(ready, PATIENCE);
            page.js(&axe);
            check(&page, &format!("{path} {width} {scheme}"));
            let wide = page.js("document.documentElement.scrollWidth");
            assert!(
                wide.as_u64() <= Some(width.into()),
                "{path} at {width} is {wide} wide"
            );
        }
        if path != "/mesh" {
            page.js(SPACED);
            page.await_js(FITS, PATIENCE);
        }
        if path == "/" {
            page.js("document.querySelector('.row').click()");
            page.await_js("document.querySelector('.stamps li')", PATIENCE);
            check(&page, &format!("{path} {width} card"));
        }
    }
}

/// The lines of text further apart, as WCAG 1.4.12 lets a reader have them.
const SPACED: &str = "(s => { s.replaceSync('* { line-height: 1.5 !important }'); document.adoptedStyleSheets = [s]; })(new CSSStyleSheet())";
/// Whether every row holds what is in it, and is as high as its place in the list.
const FITS: &str = "[...document.querySelectorAll('.list [aria-posinset]')].every(item => { \
    const box = (e) => e.getBoundingClientRect(), place = box(item.closest('.list')).height / item.ariaSetSize; \
    const row = item.querySelector('.row') ?? item, { top, bottom, height } = box(row); \
    return Math.abs(height - place) < 1 && [...row.querySelectorAll('.name, .words')].every(e => box(e).top >= top && box(e).bottom <= bottom); })";

fn check(page: &Page<'_>, what: &str) {
    let run = "axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }) \
               .then(result => result.violations.filter(v => v.impact === 'serious' || v.impact === 'critical') \
               .map(v => [v.id, v.help, ...v.nodes.slice(0, 3).map(n => n.html + ' ' + n.failureSummary)]))";
    let violations = page.js(run);
    assert_eq!(violations, json!([]), "{what}: {violations:#}");
}

#[test]
fn who_runs_no_scripts_gets_a_table_of_texts() {
    let world = World::new();
    let berlin = world.start("berlin", &[], &[]);
    berlin.put(
        "/api/v1/devices/PJSIP%2F%3C%2Fnoscript%3E%3Cscript%3E",
        r#"{"state":"INUSE"}"#,
    );
    berlin.put(DEVICE, r#"{"state":"RINGING"}"#);
    for path in ["/", "/wall"] {
        let (status, head, body) = request_in_full(berlin.http, "GET", path, &[], b"");
        assert_eq!(status, 200);
        let head = head.to_lowercase();
        assert!(
            head.contains("content-type: text/html")
                && head.contains("content-security-policy: default-src 'none';"),
            "{head}"
        );
        assert!(!head.contains("unsafe"), "{head}");
        let table = body
            .split("<table")
            .nth(1)
            .unwrap_or_else(|| panic!("{path} has no table"));
        assert!(
            table.contains("<th scope=\"row\">PJSIP/100</th>") && table.contains("▲ Ringing"),
            "{table}"
        );
        assert!(
            table.contains("PJSIP/&lt;/noscript&gt;&lt;script&gt;"),
            "{table}"
        );
    }
    let (_, _, found) = request_in_full(berlin.http, "GET", "/?q=%22%3Ejsip%2F100", &[], b"");
    assert!(
        found.contains("value=\"&quot;&gt;jsip/100\"") && !found.contains("▲ Ringing"),
        "{found}"
    );
    let (_, _, nodes) = request_in_full(berlin.http, "GET", "/mesh", &[], b"");
    assert!(nodes.contains("this node"), "{nodes}");
}

#[test]
fn strangers_and_typing_errors_are_answered_clearly_and_change_nothing() {
    let demo = Demo::start(&[]);
    let status = |method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
        let (status, head, body) =
            request_in_full(demo.http, method, path, headers, body.as_bytes());
        if status >= 400 {
            assert!(
                head.to_lowercase().contains("application/problem+json"),
                "{method} {path}: {head} {body}"
            );
        }
        status
    };
    let evil = [("Origin", "http://evil.example")];
    assert_eq!(status("POST", "/api/v1/demo/cut", &evil, "{}"), 403);
    assert_eq!(
        status(
            "POST",
            "/api/v1/demo/cut",
            &[("Sec-Fetch-Site", "cross-site")],
            "{}"
        ),
        403
    );
    assert_eq!(status("PUT", DEVICE, &evil, r#"{"state":"BUSY"}"#), 403);
    assert_eq!(demo.get("/api/v1/demo")["phase"], "whole");
    for (method, path, expected) in [
        ("POST", "/", 405),
        ("DELETE", "/wall", 405),
        ("PUT", "/web/style.css", 405),
        ("GET", "/api/v1/demo/cut", 405),
        ("GET", "/web/", 404),
        ("GET", "/web/../Cargo.toml", 404),
        ("GET", "/web/%2e%2e/Cargo.toml", 404),
        ("GET", "/wall/x", 404),
        ("POST", "/api/v1/demo/explode", 404),
        ("HEAD", "/", 200),
    ] {
        assert_eq!(status(method, path, &[], ""), expected, "{method} {path}");
    }
    assert_eq!(status("POST", "/api/v1/demo/kill", &[], "{}"), 400);
    assert_eq!(
        status("POST", "/api/v1/demo/kill", &[], r#"{"node":"atlantis"}"#),
        409
    );
    assert_eq!(status("POST", "/api/v1/demo/heal", &[], ""), 409);
    assert_eq!(
        status("POST", "/api/v1/demo/cut", &[], &"x".repeat(100_000)),
        413
    );

    let world = World::new();
    let berlin = world.start("berlin", &[], &[]);
    assert_eq!(
        berlin.get("/api/v1/demo").0,
        404,
        "a node that people rely on has no faults to provoke"
    );
    assert_eq!(berlin.get("/api/v1/people"), (200, json!([])));
}
