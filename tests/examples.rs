//! Every example does what it says at its top.

#[path = "support/beside.rs"]
mod beside;
#[path = "../examples/failover.rs"]
#[allow(dead_code, reason = "its `main` is run as a program")]
mod failover;
#[path = "support/nodes.rs"]
mod nodes;
#[path = "support/running.rs"]
mod running;
#[path = "support/postgres.rs"]
mod server;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use nodes::{builder, connected, id, start, until};
use presence_mesh::{Links, MeshKey};
use running::Running;
use server::Postgres;

/// `hello` joins a server on the internet that is not there, which must not trouble it.
#[test]
fn hello_shows_its_own_lamp_and_leaves() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("mesh.key");
    fs::write(&key, MeshKey::from_bytes([42; 32]).to_text()).expect("a key file");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("its permissions");
    let hello = beside::example("hello");
    // It listens on a port that it names: in a network of its own, where one can be made.
    let own_network = "ip link set lo up && exec \"$0\"";
    let alone = |program: &Path| {
        let mut command = Command::new("unshare");
        command.args(["-rn", "sh", "-c", own_network]).arg(program);
        command
    };
    let can = alone(Path::new("true")).output();
    let mut command = match can {
        Ok(tried) if tried.status.success() => alone(&hello),
        _ => Command::new(&hello),
    };
    let mut hello = Running::start(command.current_dir(folder.path()));
    hello.says("1 lamps");
    hello.interrupt();
    hello.ends_well();
}

#[test]
fn watch_shows_values_and_freshness_as_they_change() {
    let mut watch = example("watch", &[]);
    for line in [
        "snapshot of 0 lamps",
        "PJSIP/100: nothing -> RINGING (live)",
        "PJSIP/100: RINGING (live) -> INUSE (live)",
        "PJSIP/100: INUSE (live) -> INUSE (stale)",
        "PJSIP/100: INUSE (stale) -> UNAVAILABLE (gone)",
        "the watch has ended: true",
    ] {
        assert_eq!(watch.says(""), line);
    }
    watch.ends_well();
}

#[test]
fn custom_state_is_the_latest_writers_or_each_nodes_own() {
    let mut custom = example("custom_state", &[]);
    for line in [
        "sales: 4 waiting, says whoever wrote last",
        "berlin: 12 calls",
        "paris: 30 calls",
        "refused: bad value",
    ] {
        assert_eq!(custom.says(""), line);
    }
    custom.ends_well();
}

#[test]
fn what_one_web_service_is_told_the_other_answers() {
    let mut one = example("embed_axum", &["127.0.0.1:0"]);
    let (http_one, mesh) = addresses(&one.says("http="));
    let mut two = example("embed_axum", &["127.0.0.1:0", "127.0.0.1:0", &mesh]);
    let (http_two, _) = addresses(&two.says("http="));
    let changes = request(&http_two, "GET", "/changes", "", "event: snapshot");
    assert!(changes.starts_with("HTTP/1.1 200"), "{changes}");

    let written = request(&http_one, "PUT", "/lamps/PJSIP/100", "INUSE", "\r\n\r\n");
    assert!(written.starts_with("HTTP/1.1 204"), "{written}");
    let changes = request(&http_two, "GET", "/changes", "", "PJSIP/100");
    assert!(changes.contains("\"state\":\"INUSE\""), "{changes}");
    let lamp = request(&http_two, "GET", "/lamps/PJSIP/100", "", "}");
    assert!(lamp.contains("\"freshness\":\"live\""), "{lamp}");
    let refused = request(&http_one, "PUT", "/lamps/PJSIP/100", "RED", "state");
    assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");
    for service in [one, two] {
        service.interrupt();
        service.ends_well();
    }
}

fn addresses(line: &str) -> (String, String) {
    let mut fields = line
        .split(' ')
        .map(|field| field.split_once('=').expect("NAME=VALUE").1);
    let mut next = || fields.next().expect("two addresses").to_owned();
    (next(), next())
}

/// What is answered, until `wanted` is in it.
fn request(http: &str, method: &str, path: &str, body: &str, wanted: &str) -> String {
    let mut socket = TcpStream::connect(http).expect("the service listens");
    socket
        .set_read_timeout(Some(nodes::DEADLINE))
        .expect("a socket");
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {http}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    socket
        .write_all(request.as_bytes())
        .expect("the service reads");
    let mut answer = String::new();
    let mut buffer = [0; 4096];
    while !answer.contains(wanted) {
        let read = socket.read(&mut buffer).expect("the service answers");
        assert!(read > 0, "no {wanted:?} in {answer:?}");
        answer.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    answer
}

/// One of three servers is killed: one of the others goes on from the last state that it saw, the third does
/// not; and when the killed one is back it does not push itself forward.
#[test]
fn a_killed_server_is_followed_by_one_that_goes_on_from_the_last_state() {
    let mut berlin = example("failover", &["berlin"]);
    let address = berlin.says("listening ").split_off("listening ".len());
    berlin.says("serves from step 0");
    let mut others = ["paris", "rome"].map(|name| example("failover", &[name, &address]));
    for other in &mut others {
        other.says("stands by");
        other.says("sees step");
    }
    // Known to each other, too: what berlin was the link for must outlive it.
    running::wait_for("all know each other", || {
        let met = |other: &running::Running| !other.heard("is connected to 2").is_empty();
        others.iter().all(met).then_some(())
    });
    let last = berlin
        .kill()
        .iter()
        .filter_map(|line| number("makes step ", line))
        .max();
    let last = last.expect("berlin served");

    let next = running::wait_for("another server", || {
        others
            .iter()
            .position(|other| !other.heard("serves").is_empty())
    });
    let from =
        number("serves from step ", &others[next].says("serves from step ")).expect("a step");
    let seen = others[next].heard("sees step ");
    let seen = seen
        .iter()
        .filter_map(|line| number("sees step ", line))
        .max();
    assert!(
        seen <= Some(from) && from <= last,
        "{seen:?} <= {from} <= {last}"
    );
    others[next].says(&format!("makes step {}", from + 1));
    let idle = 1 - next;
    others[idle].says(&format!("sees step {}", from + 5));
    assert_eq!(others[idle].heard("serves"), Vec::<String>::new());

    let address = others[next]
        .heard("listening ")
        .remove(0)
        .split_off("listening ".len());
    let mut berlin = example("failover", &["berlin", &address]);
    berlin.says("stands by from step");
    berlin.says("sees step");
}

fn number(what: &str, line: &str) -> Option<u64> {
    line.strip_prefix(what)?.parse().ok()
}

/// Both sides of a cut come to serve; healed, one stays, and neither side's steps are lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_cut_one_server_stays_and_no_step_is_lost() {
    let links = Links::new();
    let one = start(builder(1).links(links.clone())).await;
    let joining = builder(2).links(links.clone()).join(one.addresses());
    let two = start(joining.expect("addresses")).await;
    until("two nodes are connected", || {
        connected(&one, id(2)) && connected(&two, id(1))
    })
    .await;

    let lines = [(); 2].map(|()| Arc::new(Mutex::new(Vec::<String>::new())));
    for (mesh, lines) in [&one, &two].into_iter().zip(&lines) {
        let (mesh, lines) = (mesh.clone(), lines.clone());
        tokio::spawn(async move {
            let say = |line| lines.lock().expect("nobody panics").push(line);
            let ended = failover::take_part(&mesh, say).await;
            ended.map_err(|error| error.to_string())
        });
    }
    let steps = |node: usize| {
        let lines = lines[node].lock().expect("nobody panics");
        lines
            .iter()
            .filter_map(|line| number("makes step ", line))
            .max()
            .unwrap_or(0)
    };
    let serves = |node: usize| {
        let lines = lines[node].lock().expect("nobody panics");
        let role = lines.iter().rev().find(|line| line.contains(" from step "));
        role.is_some_and(|role| role.starts_with("serves"))
    };
    until("one serves", || {
        steps(0) + steps(1) > 5 && serves(0) != serves(1)
    })
    .await;

    links.cut(id(1), id(2));
    until("each side has a server", || serves(0) && serves(1)).await;
    let both = steps(0).max(steps(1));
    until("both go on", || steps(0) > both + 5 && steps(1) > both + 5).await;
    links.mend(id(1), id(2));
    until("one of them stays", || serves(0) != serves(1)).await;
    let counted = steps(0).max(steps(1));
    let stays = usize::from(serves(1));
    until("it goes on from the furthest state", || {
        steps(stays) > counted + 5
    })
    .await;
    assert!(serves(stays) && !serves(1 - stays), "it is settled");
}

fn example(name: &str, arguments: &[&str]) -> Running {
    Running::start(Command::new(Path::new(&beside::example(name))).args(arguments))
}

#[test]
fn events_pass_filters_wait_for_the_late_and_drop_for_the_slow() {
    let mut events = example("events", &[]);
    for line in [
        "parked by berlin: caller=PJSIP/101 slot=712",
        "parked by berlin: caller=PJSIP/102 slot=713",
        "rome, later: event 1: caller=PJSIP/100 slot=701",
        "rome, later: event 2: caller=PJSIP/101 slot=712",
        "rome, later: event 3: caller=PJSIP/102 slot=713",
    ] {
        assert_eq!(events.says(""), line);
    }
    let dropped = events.says("dropped ").split_off("dropped ".len());
    let (dropped, first) = dropped.split_once(", then n=").expect("the next one");
    assert_eq!(
        dropped, first,
        "what was dropped is exactly what is missing"
    );
    events.ends_well();
}

/// A sink is killed, records go on, it is started again: all that were for it are in its database, once each,
/// and none that were not.
#[test]
fn call_records_are_routed_to_two_databases_and_none_is_lost_or_doubled() {
    let test = "call_records_are_routed_to_two_databases_and_none_is_lost_or_doubled";
    let Some(server) = Postgres::new(test) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("calls.sqlite").display().to_string();
    let mut berlin = Switch::start("berlin", &[]);
    let address = berlin.address();
    let mut paris = Switch::start("paris", &[&address]);
    let sink = |region: &str, database: &str| {
        let join = ["sink", region, database, &address];
        let mut sink = example("cdr_sinks", &join);
        sink.says("listening ");
        sink
    };
    let (mut eu, us) = (sink("eu", &file), sink("us", &server.address()));
    for region in ["eu", "us", "eu", "us", "us"] {
        berlin.ends_call(region);
        paris.ends_call(region);
    }
    let wrote = |sink: &Running, count: usize| {
        running::wait_for("records in the database", || {
            (sink.heard("wrote ").len() == count).then_some(())
        });
    };
    wrote(&eu, 4);
    wrote(&us, 6);

    eu.kill();
    for region in ["eu", "us", "eu"] {
        berlin.ends_call(region);
        paris.ends_call(region);
    }
    wrote(&us, 8);
    eu = sink("eu", &file);
    wrote(&eu, 4); // what it missed, and not what it had
    berlin.ends_call("eu");
    eu.says("wrote berlin 9");

    let expected = |region| {
        let mut expected = [berlin.calls(region), paris.calls(region)].concat();
        expected.sort();
        expected
    };
    let question = "SELECT switch, seq FROM calls ORDER BY switch, seq";
    let database = rusqlite::Connection::open(&file).expect("the sink made it");
    let mut rows = database.prepare(question).expect("SQL");
    let rows = rows
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("rows");
    let rows: Vec<(String, i64)> = rows.map(|row| row.expect("a row")).collect();
    assert_eq!(rows, expected("eu"));
    assert_eq!(server.rows(question), expected("us"));
}

/// A switch, and the calls that have ended on it.
struct Switch {
    name: String,
    program: Running,
    ended: Vec<String>,
}

impl Switch {
    fn start(name: &str, join: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            program: example("cdr_sinks", &[&["switch", name], join].concat()),
            ended: Vec::new(),
        }
    }

    fn address(&mut self) -> String {
        self.program
            .says("listening ")
            .split_off("listening ".len())
    }

    fn ends_call(&mut self, region: &str) {
        self.program.tell(region);
        self.ended.push(region.to_owned());
        self.program.says(&format!("ended {}", self.ended.len()));
    }

    /// Node and number of those that ended in a region.
    fn calls(&self, region: &str) -> Vec<(String, i64)> {
        let all = (1..).zip(&self.ended);
        let there = all.filter(|(_, ended)| *ended == region);
        there
            .map(|(number, _)| (self.name.clone(), number))
            .collect()
    }
}
