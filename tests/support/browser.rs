//! A real Chromium without a window, driven by the DevTools protocol over two pipes.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::cell::{Cell, RefCell};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::process::{Deadline, PATIENCE};

/// How often a condition within a page is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A browser; ended when dropped.
pub struct Browser {
    child: Child,
    commands: RefCell<ChildStdin>,
    messages: Receiver<Value>,
    /// What came that was no answer.
    events: RefCell<Vec<Value>>,
    next: Cell<u64>,
    _profile: TempDir,
}

/// A page in a window of its own, so that it is seen.
pub struct Page<'a> {
    browser: &'a Browser,
    session: String,
}

impl Browser {
    /// `None` where there is no Chromium; that is said on the real standard error, and is a failure where
    /// `MESH_TESTS_REQUIRE` names `chromium`.
    pub fn start(test: &str) -> Option<Self> {
        let version = Command::new("chromium").arg("--version").output();
        if version.is_ok_and(|output| output.status.success()) {
            return Some(Self::open());
        }
        let required = std::env::var("MESH_TESTS_REQUIRE").unwrap_or_default();
        assert!(
            !required.split(',').any(|word| word.trim() == "chromium"),
            "{test}: there is no chromium"
        );
        // The harness swallows what `eprintln!` says in a test that passes.
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: there is no chromium");
        None
    }

    fn open() -> Self {
        let profile = TempDir::new().expect("a temporary folder");
        // Chromium reads commands from descriptor 3 and writes to 4; a shell puts them there.
        let line = "exec chromium --headless=new --no-sandbox --disable-gpu --no-first-run --remote-debugging-pipe \
                    --user-data-dir=\"$0\" about:blank 3<&0 4>&1 </dev/null >/dev/null 2>&1";
        let mut child = Command::new("sh")
            .args(["-c", line])
            .arg(profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, messages) = channel();
        thread::spawn(move || {
            for message in output.split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("the protocol is JSON");
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        Self {
            commands: RefCell::new(child.stdin.take().expect("it is piped")),
            child,
            messages,
            events: RefCell::default(),
            next: Cell::new(1),
            _profile: profile,
        }
    }

    /// Opens a page of this size.
    pub fn page(&self, url: &str, width: u32, height: u32) -> Page<'_> {
        let target = json!({"url": "about:blank", "newWindow": true});
        let target = self.call(None, "Target.createTarget", target)["targetId"].clone();
        let attach = json!({"targetId": target, "flatten": true});
        let attached = self.call(None, "Target.attachToTarget", attach);
        let session = attached["sessionId"]
            .as_str()
            .expect("it has a name")
            .to_owned();
        let page = Page {
            browser: self,
            session,
        };
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            page.call(domain, json!({}));
        }
        let on = json!({"enabled": true});
        page.call("Emulation.setFocusEmulationEnabled", on);
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
        page.call("Emulation.setDeviceMetricsOverride", size);
        page.call("Page.navigate", json!({"url": url}));
        page
    }

    fn call(&self, session: Option<&str>, method: &str, params: Value) -> Value {
        let id = self.next.replace(self.next.get() + 1);
        let mut command = json!({"id": id, "method": method, "params": params});
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        let sent = write!(self.commands.borrow_mut(), "{command}\0");
        sent.expect("the browser runs");
        let deadline = Deadline::after(PATIENCE);
        loop {
            match self.messages.recv_timeout(deadline.left()) {
                Ok(message) if message["id"] == id => {
                    assert!(message["error"].is_null(), "{method}: {message}");
                    return message["result"].clone();
                }
                Ok(event) => self.events.borrow_mut().push(event),
                Err(RecvTimeoutError::Timeout) if !deadline.is_over() => {}
                Err(_) => panic!("the browser does not answer {method}"),
            }
        }
    }
}

impl Page<'_> {
    fn call(&self, method: &str, params: Value) -> Value {
        self.browser.call(Some(&self.session), method, params)
    }

    /// `("prefers-color-scheme", "dark")`.
    pub fn prefer(&self, feature: &str, value: &str) {
        let features = json!({"features": [{"name": feature, "value": value}]});
        self.call("Emulation.setEmulatedMedia", features);
    }

    /// What an expression, awaited, comes to.
    pub fn js(&self, expression: &str) -> Value {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let result = self.call("Runtime.evaluate", params);
        assert!(
            result["exceptionDetails"].is_null(),
            "{expression}: {result}"
        );
        result["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub fn await_js(&self, expression: &str, within: Duration) {
        let deadline = Deadline::after(within);
        loop {
            // While a page is being loaded there may be no document.
            if self.js(&format!(
                "Boolean(document.readyState !== 'loading' && ({expression}))"
            )) == true
            {
                return;
            }
            let text = || self.js("document.body.innerText");
            assert!(
                !deadline.is_over(),
                "not within {within:?}: {expression}\n{}",
                text()
            );
            thread::sleep(LOOK_EVERY);
        }
    }

    /// What a screen reader calls the first element that `selector` matches.
    pub fn accessible_name(&self, selector: &str) -> String {
        let find = json!({"expression": format!("document.querySelector('{selector}')")});
        let found = self.call("Runtime.evaluate", find);
        let which = json!({"objectId": found["result"]["objectId"], "fetchRelatives": false});
        let tree = self.call("Accessibility.getPartialAXTree", which);
        let name = &tree["nodes"][0]["name"]["value"];
        name.as_str().expect("it has a name").to_owned()
    }

    pub fn close(self) {
        self.call("Page.close", json!({}));
    }

    /// What is seen, as a PNG in base64.
    pub fn screenshot(&self) -> String {
        let picture = self.call("Page.captureScreenshot", json!({}));
        picture["data"].as_str().expect("a picture").to_owned()
    }

    /// Errors, warnings and broken policies that the browser reported of this page so far.
    pub fn complaints(&self) -> Vec<String> {
        self.js("1");
        let events = self.browser.events.borrow();
        let mine = events
            .iter()
            .filter(|event| event["sessionId"] == self.session);
        let bad = mine.filter(|event| {
            let level = &event["params"]["entry"]["level"];
            let kind = &event["params"]["type"];
            match event["method"].as_str() {
                Some("Runtime.exceptionThrown") => true,
                Some("Log.entryAdded") => level == "error" || level == "warning",
                Some("Runtime.consoleAPICalled") => kind == "error" || kind == "warning",
                _ => false,
            }
        });
        bad.map(|event| event["params"].to_string()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
