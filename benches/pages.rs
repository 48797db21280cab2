//! The pages with 10,000 lamps in a real browser, while 100 lamps change a second: `cargo bench --features daemon --bench
//! pages`. Needs Chromium. `PAGES_PICTURES=FOLDER` keeps a picture of each page.
//!
//! Prints when something is painted first, when the first lamps are drawn, how long frames are while the page is
//! scrolled through at 5,000 pixels a second, and how long a search takes from a key until the next frame.

#[path = "../tests/support/browser.rs"]
mod browser;
#[path = "../tests/support/crowd.rs"]
mod crowd;
#[path = "../tests/support/process.rs"]
mod process;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{env, fs, thread};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use browser::Browser;
use crowd::Crowd;
use process::{PATIENCE, World};
use serde_json::Value;

const LAMPS: usize = 10_000;
/// Each page is opened this often, and the least is told: what else the machine does is no cost of the page.
const ROUNDS: usize = 3;
const PAGES: [(&str, u32, u32); 3] = [("/", 360, 740), ("/", 1280, 800), ("/wall", 1920, 1080)];

/// When the first lamps were drawn, and when anything was painted, in ms after the page was asked for.
const LOADED: &str = "new Promise((done) => { const look = () => document.querySelector('.row:not(.stale)') \
    ? requestAnimationFrame(() => done({ paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime, \
      lamps: performance.now() })) : requestAnimationFrame(look); look(); })";

/// Whether the middle of the window shows a row: it does from the frame after a jump on.
const DRAWN: &str =
    "document.elementsFromPoint(innerWidth * .15, innerHeight / 2).some((element) => element.row)";

/// Frames while the page is scrolled for 4 s; and in how many of them the middle showed no row.
const SCROLLED: &str = "new Promise((done) => { const frames = []; let long = 0, blank = 0, down = true; \
    const watcher = new PerformanceObserver((list) => (long += list.getEntries().length)); \
    watcher.observe({ type: 'longtask' }); \
    let last = performance.now(); const start = last; \
    const frame = (now) => { frames.push(now - last); \
      if (scrollY + innerHeight >= document.documentElement.scrollHeight - 2) down = false; else if (scrollY === 0) down = true; \
      const middle = frames.length % 10 ? [] : document.elementsFromPoint(innerWidth * .15, innerHeight / 2); \
      if (middle.some((element) => element.matches('.list')) && !middle.some((element) => element.row)) blank++; \
      scrollBy({ top: (down ? 5 : -5) * (now - last), behavior: 'instant' }); last = now; \
      if (now - start < 4000) requestAnimationFrame(frame); else { watcher.disconnect(); \
        const first = frames.shift(); frames.sort((a, b) => a - b); \
        done({ first, frames: frames.length, p50: frames[frames.length >> 1], p95: frames[Math.floor(frames.length * .95)], \
          most: frames.at(-1), long, blank, rows: document.querySelectorAll('.row').length }); } }; \
    requestAnimationFrame(frame); })";

/// The longest of several searches, each from the key to the frame after the next, in ms.
const SEARCHED: &str = "(async () => { const search = document.getElementById('q'); let most = 0, handler = 0; \
    for (const text of ['a', 'an', 'ann', 'anna', 'anna b', '9', '99', '9999', 'nobody', '', 'oslo', '']) { \
      const start = performance.now(); search.value = text; search.dispatchEvent(new Event('input')); \
      handler = Math.max(handler, performance.now() - start); \
      await new Promise((done) => requestAnimationFrame(() => { const port = new MessageChannel(); \
        port.port1.onmessage = done; port.port2.postMessage(0); })); \
      most = Math.max(most, performance.now() - start); } return { most, handler }; })()";

fn main() {
    let Some(browser) = Browser::start("pages") else {
        return;
    };
    let world = World::new();
    let crowd = Crowd::start(&world, LAMPS);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 0.. {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                crowd.change(turn * 7, turn + 1);
                // A pace, not a synchronisation.
                thread::sleep(Duration::from_millis(10));
            }
        });
        for (path, width, height) in PAGES {
            tell(&browser, &crowd, path, width, height);
        }
        over.store(true, Ordering::SeqCst);
    });
}

fn tell(browser: &Browser, crowd: &Crowd, path: &str, width: u32, height: u32) {
    let mut all: Vec<[Value; 3]> = Vec::new();
    for _ in 0..ROUNDS {
        let page = browser.page(&crowd.url(path), width, height);
        page.await_js("location.protocol === 'http:' && document.body", PATIENCE);
        let loaded = page.js(LOADED);
        let scrolled = page.js(SCROLLED);
        page.js("scrollTo({ top: 0, behavior: 'instant' })");
        page.await_js(DRAWN, PATIENCE);
        let searched = if path == "/" {
            page.js(SEARCHED)
        } else {
            Value::Null
        };
        if let Some(folder) = env::var_os("PAGES_PICTURES") {
            let picture = BASE64_STANDARD.decode(page.screenshot()).expect("base64");
            let name = format!("{}-{width}.png", path.replace('/', "page"));
            fs::write(std::path::Path::new(&folder).join(name), picture).expect("a folder");
        }
        assert_eq!(page.complaints(), [""; 0]);
        page.close();
        all.push([loaded, scrolled, searched]);
    }
    let least = |part: usize, field: &str| {
        let figures = all
            .iter()
            .map(|round| round[part][field].as_f64().unwrap_or(f64::NAN));
        figures.fold(f64::INFINITY, f64::min)
    };
    println!(
        "{path} at {width}x{height}: painted after {:.0} ms, lamps after {:.0} ms",
        least(0, "paint"),
        least(0, "lamps")
    );
    println!(
        "    scrolling: frame p50 {:.1} ms, p95 {:.1} ms, longest {:.0} ms; {} long tasks, {} frames with a gap, {} rows drawn",
        least(1, "p50"),
        least(1, "p95"),
        least(1, "most"),
        least(1, "long"),
        least(1, "blank"),
        least(1, "rows")
    );
    if path == "/" {
        println!(
            "    search: {:.0} ms until it is painted, {:.0} ms of them the page's own",
            least(2, "most"),
            least(2, "handler")
        );
    }
    println!("    of all rounds: {}", serde_json::json!(all));
}
