//! Clients that send what no client should: clear answers, nothing changed, and no more memory than is stated.

mod support {
    pub mod process;
}

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::process::{Node, PATIENCE, World, allow_files, request, request_in_full, wait_for};

const DEVICE: &str = "/api/v1/devices/PJSIP%2F100";
/// What a node may grow by, whoever asks for what: so much is held of all connections together that there may be,
/// and of those not more than [`MAX_CONNECTIONS`].
const RSS_KIB: u64 = 64 * 1024;
/// As the server has it.
const MAX_CONNECTIONS: usize = 1_280;
const MAX_STREAMS: usize = 1_024;

/// Sends these bytes and nothing else; everything that comes back.
fn exchange(node: &Node, bytes: &[u8]) -> String {
    let mut socket = connect(node);
    // A node that has read enough answers and closes: then not all can be written.
    let _ = socket.write_all(bytes);
    read(socket)
}

fn connect(node: &Node) -> TcpStream {
    let socket = TcpStream::connect(node.http).expect("the node listens");
    socket
        .set_read_timeout(Some(2 * PATIENCE))
        .expect("a socket");
    socket
}

/// Everything until the node closes.
fn read(mut socket: TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of an answer; a refusal has to be one in full.
fn status(what: &str, answer: &str) -> u16 {
    let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    let code: u16 = code.unwrap_or_else(|| panic!("{what}: {answer:?}"));
    if code >= 400 {
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let head = head.to_lowercase();
        assert!(
            head.contains("content-type: application/problem+json"),
            "{what}: {answer}"
        );
        // A HEAD has none.
        if !what.starts_with("HEAD") {
            let problem: Value =
                serde_json::from_str(body).unwrap_or_else(|_| panic!("{what}: {answer}"));
            assert_eq!(problem["status"], code, "{what}: {answer}");
            assert!(
                problem["detail"].is_string() && problem["type"] == "about:blank",
                "{what}: {answer}"
            );
        }
    }
    code
}

/// What is not to be changed by anything here, and what it costs at most.
struct Untouched {
    digest: String,
    devices: Value,
    rss: u64,
}

impl Untouched {
    fn begin(node: &Node) -> Self {
        node.put(DEVICE, r#"{"state":"INUSE"}"#);
        Self {
            digest: node.digest(),
            devices: Self::devices(node),
            rss: node.resident_kib(),
        }
    }

    fn end(self, node: &Node) {
        assert_eq!(node.digest(), self.digest, "something was changed");
        assert_eq!(Self::devices(node), self.devices);
        let grown = node.resident_kib().saturating_sub(self.rss);
        println!("{grown} KiB more memory");
        assert!(grown < RSS_KIB, "{grown} KiB");
    }

    /// Without what changes by itself.
    fn devices(node: &Node) -> Value {
        let all = node.get("/api/v1/devices").1;
        let all = all.as_array().expect("a list").iter();
        all.map(|object| Value::from(vec![object["key"].clone(), object["state"].clone()]))
            .collect()
    }
}

#[test]
fn what_is_no_request_is_refused_in_words() {
    let world = World::new();
    let node = world.start("berlin", &[], &[]);
    let untouched = Untouched::begin(&node);
    let host = format!("Host: {}\r\nConnection: close\r\n", node.http);
    let put =
        |headers: &str, body: &str| format!("PUT {DEVICE} HTTP/1.1\r\n{host}{headers}\r\n{body}");
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\n{host}\r\n");
    let long_header = format!("X: {}\r\n", "x".repeat(40_000));
    let many_headers: String = (0..200).map(|n| format!("X{n}: y\r\n")).collect();
    let chunks = format!("10000\r\n{}\r\n", "x".repeat(0x10000)).repeat(2);
    let nested = format!("{{\"state\":{}1{}}}", "[".repeat(2_000), "]".repeat(2_000));
    let length = |body: &str| format!("Content-Length: {}\r\n", body.len());
    let cases: &[(&str, String, u16)] = &[
        // No HTTP.
        ("nonsense", "NONSENSE\r\n\r\n".to_owned(), 400),
        (
            "tls",
            "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}\r\n\r\n".to_owned(),
            400,
        ),
        (
            "no colon",
            format!("GET / HTTP/1.1\r\n{host}nonsense\r\n\r\n"),
            400,
        ),
        (
            "space before the colon",
            format!("GET / HTTP/1.1\r\n{host}X : y\r\n\r\n"),
            400,
        ),
        ("HTTP/9.9", format!("GET / HTTP/9.9\r\n{host}\r\n"), 400),
        (
            "NUL in a header",
            format!("GET / HTTP/1.1\r\n{host}X: \0\r\n\r\n"),
            400,
        ),
        ("NUL in the path", get("/\0"), 400),
        (
            "a long header",
            format!("GET / HTTP/1.1\r\n{host}{long_header}\r\n"),
            431,
        ),
        (
            "many headers",
            format!("GET / HTTP/1.1\r\n{host}{many_headers}\r\n"),
            431,
        ),
        (
            "a very long path",
            get(&format!("/{}", "x".repeat(70_000))),
            431,
        ),
        (
            "two hosts",
            format!("GET / HTTP/1.1\r\n{host}Host: evil.example\r\n\r\n"),
            400,
        ),
        // Whose names lead here.
        (
            "another host",
            "GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n".to_owned(),
            403,
        ),
        (
            "a whole URL",
            format!("GET http://evil.example/api/v1/status HTTP/1.1\r\n{host}\r\n"),
            403,
        ),
        (
            "a host that is no text",
            "GET / HTTP/1.0\r\nHost: \u{e9}\r\n\r\n".to_owned(),
            403,
        ),
        (
            "a page of another origin asks first",
            format!(
                "OPTIONS {DEVICE} HTTP/1.1\r\n{host}Origin: http://evil.example\r\nAccess-Control-Request-Method: PUT\r\n\r\n"
            ),
            403,
        ),
        (
            "an unreadable origin",
            put("Origin: \u{e9}\r\nContent-Length: 0\r\n", ""),
            403,
        ),
        (
            "CONNECT elsewhere",
            format!("CONNECT evil.example:443 HTTP/1.1\r\n{host}\r\n"),
            403,
        ),
        // Methods.
        ("BREW", format!("BREW / HTTP/1.1\r\n{host}\r\n"), 405),
        (
            "OPTIONS",
            format!("OPTIONS {DEVICE} HTTP/1.1\r\n{host}\r\n"),
            405,
        ),
        (
            "TRACE",
            format!("TRACE /api/v1/status HTTP/1.1\r\n{host}\r\n"),
            405,
        ),
        (
            "HEAD of nothing",
            format!("HEAD /nothing HTTP/1.1\r\n{host}\r\n"),
            404,
        ),
        // Paths.
        ("two slashes", get("//api/v1/status"), 404),
        ("a slash at the end", get("/api/v1/status/"), 404),
        ("dots", get("/api/v1/../v1/status"), 404),
        ("encoded dots", get("/%2e%2e/%2e%2e/etc/passwd"), 404),
        ("dots in an asset", get("/web/..%2f..%2fCargo.toml"), 404),
        ("an encoded slash", get("/api/v1%2Fstatus"), 404),
        ("upper case", get("/API/v1/status"), 404),
        ("encoded NUL", get("/api/v1/devices/a%00b"), 404),
        ("encoded line", get("/api/v1/devices/a%0d%0aX:%20y"), 404),
        ("half an escape", get("/api/v1/devices/%e"), 400),
        ("half a letter", get("/api/v1/devices/%c3"), 400),
        (
            "a long key",
            get(&format!("/api/v1/devices/{}", "x".repeat(20_000))),
            400,
        ),
        (
            "a long namespace",
            get(&format!("/api/v1/custom/{}/k", "x".repeat(20_000))),
            400,
        ),
        // Queries.
        (
            "a pattern twice",
            get("/api/v1/devices?pattern=a&pattern=b"),
            400,
        ),
        (
            "a space twice",
            get("/api/v1/stream?space=device&space=mailbox"),
            400,
        ),
        (
            "a long pattern",
            get(&format!("/api/v1/devices?pattern={}", "*a".repeat(1_000))),
            400,
        ),
        (
            "an unknown condition",
            get("/api/v1/events?where=a&where=b"),
            400,
        ),
        // Bodies.
        (
            "a chunk of no length",
            put("Transfer-Encoding: chunked\r\n", "zz\r\n"),
            400,
        ),
        (
            "a chunk of any length",
            put("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n"),
            400,
        ),
        (
            "too many chunks",
            put("Transfer-Encoding: chunked\r\n", &chunks),
            413,
        ),
        (
            "an unknown coding",
            put("Transfer-Encoding: gzip\r\n", ""),
            400,
        ),
        ("no length", put("Content-Length: -1\r\n", ""), 400),
        (
            "two lengths",
            put(
                "Content-Length: 17\r\nContent-Length: 2\r\n",
                r#"{"state":"BUSY"}"#,
            ),
            400,
        ),
        (
            "a huge length",
            put(
                "Content-Length: 10000000000\r\nExpect: 100-continue\r\n",
                "",
            ),
            413,
        ),
        ("a nested body", put(&length(&nested), &nested), 400),
        (
            "a state twice",
            put(
                "Content-Length: 34\r\n",
                r#"{"state":"BUSY","state":"RINGING"}"#,
            ),
            400,
        ),
        (
            "half a letter in JSON",
            put("Content-Length: 18\r\n", r#"{"state":"\ud800"}"#),
            400,
        ),
        (
            "a number for JSON",
            put("Content-Length: 15\r\n", r#"{"state":1e999}"#),
            400,
        ),
    ];
    for (what, bytes, expected) in cases {
        let answer = exchange(&node, bytes.as_bytes());
        assert_eq!(status(what, &answer), *expected, "{what}: {answer}");
    }
    let bytes = b"PUT /api/v1/devices/x HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 13\r\n\r\n{\"state\":\"\xff\"}";
    assert_eq!(status("no UTF-8", &exchange(&node, bytes)), 400);
    // As old as it may be, and right.
    assert_eq!(
        status(
            "HTTP/1.0",
            &exchange(&node, b"GET /api/v1/status HTTP/1.0\r\n\r\n")
        ),
        200
    );
    untouched.end(&node);
}

/// A second request hidden within the first one's body is a body, and what comes after a bad request is not read.
#[test]
fn requests_are_answered_one_after_the_other_and_none_is_smuggled() {
    let world = World::new();
    let node = world.start("berlin", &[], &[]);
    let untouched = Untouched::begin(&node);
    let host = format!("Host: {}\r\n", node.http);
    let one = format!("GET /api/v1/devices/PJSIP/100 HTTP/1.1\r\n{host}\r\n");
    let last = format!("GET /api/v1/nothing HTTP/1.1\r\n{host}Connection: close\r\n\r\n");
    let answer = exchange(&node, (one.repeat(50) + &last).as_bytes());
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 50);
    assert!(answer.matches("HTTP/1.1 404").count() == 1, "{answer}");

    let write = format!(
        "PUT /api/v1/devices/smuggled HTTP/1.1\r\n{host}Content-Length: 16\r\n\r\n{{\"state\":\"BUSY\"}}"
    );
    let answer = exchange(&node, format!("{one}NONSENSE\r\n\r\n{write}").as_bytes());
    assert!(
        answer.contains("HTTP/1.1 200") && answer.contains("HTTP/1.1 400"),
        "{answer}"
    );
    assert!(
        answer.ends_with('}'),
        "nothing comes after the refusal: {answer}"
    );

    // The length says that all of it is one body; the coding, which counts, that the body is empty. Either way what
    // follows must not be taken for a request by one reader and for a body by another.
    let length = write.len() + 5;
    let both = format!(
        "PUT {DEVICE} HTTP/1.1\r\n{host}Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{write}"
    );
    let answer = exchange(&node, both.as_bytes());
    assert!(
        status("both", &answer) == 400 && answer.matches("HTTP/1.1").count() == 1,
        "{answer}"
    );
    untouched.end(&node);
}

/// Who is slow is let go after a while, and keeps nobody else waiting meanwhile.
#[test]
fn slow_clients_are_let_go_and_hinder_nobody() {
    const SLOW: usize = 300;
    allow_files();
    let world = World::new();
    let node = world.start("berlin", &[], &[]);
    let untouched = Untouched::begin(&node);
    let head = format!("PUT {DEVICE} HTTP/1.1\r\nHost: {}\r\n", node.http);
    let with = |bytes: &str| {
        let mut socket = connect(&node);
        socket.write_all(bytes.as_bytes()).expect("it reads");
        socket
    };
    let silent: Vec<_> = (0..SLOW).map(|_| connect(&node)).collect();
    let unended: Vec<_> = (0..SLOW).map(|_| with(&head)).collect();
    let bodiless: Vec<_> = (0..SLOW)
        .map(|_| with(&format!("{head}Content-Length: 16\r\n\r\n{{")))
        .collect();
    // One that goes on for as long as it may, a letter at a time.
    let mut dribbling = with(&head);
    let writing = dribbling.try_clone().expect("a socket");
    let dribble = thread::spawn(move || {
        let mut letters = 0;
        while (&writing).write_all(b"x").is_ok() && letters < 1_000 {
            letters += 1;
            thread::sleep(Duration::from_millis(50));
        }
        letters
    });
    let started = Instant::now();
    assert_eq!(node.get(DEVICE).0, 200);
    assert!(
        started.elapsed() < PATIENCE / 4,
        "others wait: {:?}",
        started.elapsed()
    );

    for socket in bodiless {
        let answer = read(socket);
        assert_eq!(
            status("a body that does not come", &answer),
            408,
            "{answer}"
        );
    }
    // No request was begun, or none was ended: there is nothing to answer.
    for socket in silent.into_iter().chain(unended) {
        assert_eq!(read(socket), "");
    }
    let mut rest = Vec::new();
    let _ = dribbling.read_to_end(&mut rest);
    let letters = dribble.join().expect("it writes");
    assert!(
        rest.is_empty() && letters < 1_000,
        "{letters} letters were taken"
    );
    untouched.end(&node);
}

/// The longest waiting make room: whoever asks for something gets an answer, and streams go on.
#[test]
fn ten_thousand_idle_connections_keep_nobody_from_an_answer() {
    const IDLE: usize = 10_000;
    allow_files();
    let world = World::new();
    let node = world.start("berlin", &[], &[]);
    let untouched = Untouched::begin(&node);
    let stream = node.stream("space=mailbox");
    let mut idle = Vec::with_capacity(IDLE);
    let mut longest = Duration::ZERO;
    for number in 0..IDLE {
        idle.push(connect(&node));
        if number % 500 == 0 {
            let started = Instant::now();
            assert_eq!(node.get(DEVICE).0, 200, "after {number}");
            longest = longest.max(started.elapsed());
        }
    }
    println!("with {IDLE} idle connections an answer took {longest:?} at most");
    assert!(longest < PATIENCE / 4, "{longest:?}");
    // The first ones are gone, the last ones can still ask.
    for socket in &mut idle[..IDLE - 2 * MAX_CONNECTIONS] {
        assert!(
            !matches!(socket.read(&mut [0; 1]), Ok(1..)),
            "it was told nothing"
        );
    }
    let mut last = idle.pop().expect("there are many");
    let ask = format!(
        "GET {DEVICE} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        node.http
    );
    last.write_all(ask.as_bytes()).expect("it is open");
    assert_eq!(status("the last", &read(last)), 200);
    untouched.end(&node);

    node.put("/api/v1/mailboxes/7", r#"{"new":1,"old":0}"#);
    stream.await_change("7@default", PATIENCE, |new| new["new"] == 1);
}

/// Nobody who is at work makes room: who comes too much is told so, and gets through once there is room.
#[test]
fn when_all_connections_are_at_work_others_are_told_so() {
    allow_files();
    let world = World::new();
    let node = world.start("berlin", &[], &[]);
    let untouched = Untouched::begin(&node);
    let mut streams = Vec::new();
    for _ in 0..MAX_STREAMS {
        let mut socket = connect(&node);
        let ask = format!("GET /api/v1/stream HTTP/1.0\r\nHost: {}\r\n\r\n", node.http);
        socket.write_all(ask.as_bytes()).expect("it reads");
        streams.push(socket);
    }
    for socket in &mut streams {
        let mut start = [0; 12];
        socket.read_exact(&mut start).expect("an answer");
        assert_eq!(&start[9..], b"200");
    }
    let (refused, _, problem) = request_in_full(node.http, "GET", "/api/v1/stream", &[], b"");
    assert_eq!(refused, 503, "{problem}");
    assert_eq!(node.get(DEVICE).0, 200, "all but streams goes on");

    let head = format!(
        "PUT {DEVICE} HTTP/1.1\r\nHost: {}\r\nContent-Length: 16\r\n\r\n",
        node.http
    );
    let writer = || {
        let mut socket = connect(&node);
        let _ = socket.write_all(head.as_bytes());
        socket
    };
    // Some more than there is room for: a few of them make room before they are read.
    let some = 2 * (MAX_CONNECTIONS - MAX_STREAMS);
    let mut writers: Vec<_> = (0..some).map(|_| writer()).collect();
    let ask = format!("GET {DEVICE} HTTP/1.0\r\nHost: {}\r\n\r\n", node.http);
    let refusal = wait_for("refusal", PATIENCE, || {
        let answer = exchange(&node, ask.as_bytes());
        if answer.starts_with("HTTP/1.1 503 ") {
            return Some(answer);
        }
        // It had a place, which is free now.
        writers.push(writer());
        None
    });
    assert_eq!(status("GET", &refusal), 503);
    assert!(refusal.contains("too many connections"), "{refusal}");

    // Who asks only once the refusal is there gets it all the same, in full and with an end.
    wait_for("refusal of one that asks late", PATIENCE, || {
        let mut late = connect(&node);
        late.set_read_timeout(Some(Duration::from_secs(1)))
            .expect("a socket");
        // Who has got a place hears nothing.
        late.peek(&mut [0; 1]).ok()?;
        late.set_read_timeout(Some(PATIENCE)).expect("a socket");
        late.write_all(ask.as_bytes()).expect("it is open");
        let mut answer = String::new();
        late.read_to_string(&mut answer).expect("no reset");
        assert_eq!(status("late", &answer), 503);
        Some(())
    });
    for writer in writers {
        let _ = writer.shutdown(Shutdown::Both);
    }
    wait_for("an answer", PATIENCE, || {
        let (status, _) = request(node.http, "GET", DEVICE, &[], "");
        (status == 200).then_some(())
    });
    untouched.end(&node);
}
