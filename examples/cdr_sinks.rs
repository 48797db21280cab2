//! Shows call records on their way into databases: switches publish each record as an event, and sinks write
//! them to SQLite and PostgreSQL, routed by a field. Records that came while a sink was down are caught up
//! with from what the other nodes remember; none is written twice.
//!
//! No tokio here: this is `presence_mesh::blocking`. In three terminals:
//!
//! ```sh
//! cargo run --features examples --example cdr_sinks -- switch berlin
//! cargo run --features examples --example cdr_sinks -- sink eu calls.sqlite ADDRESS-OF-BERLIN
//! cargo run --features examples --example cdr_sinks -- sink us "host=/run/postgresql user=cdr" ADDRESS-OF-BERLIN
//! ```
//!
//! Each line typed to the switch, `eu` or `us`, ends a call in that region.

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use presence_mesh::blocking::{EventStream, Mesh};
use presence_mesh::{Event, EventItem, Filter, MeshKey, Preset, PublishedEvent};

/// How long a sink may be down. Bounded also by `Limits::remembered_events` and `remembered_bytes`.
const REMEMBER: Duration = Duration::from_secs(3600);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["switch", name, join @ ..] => switch(&start(name, join)?, name),
        ["sink", region, database, join @ ..] => {
            let mesh = start(&format!("sink-{region}"), join)?;
            // The routing rule. Any condition on any fields will do: `seconds >= 60`, `queue ^= sales`.
            let routed = Filter::kind("call.ended").and(format!("region = {region}").parse()?);
            sink(mesh.events().subscribe(routed.remembered())?, database)
        }
        _ => Err("switch NAME [JOIN]... or sink REGION DATABASE JOIN...".into()),
    }
}

fn start(name: &str, join: &[&str]) -> Result<Mesh, Box<dyn Error>> {
    let builder = Mesh::builder("calls")
        .node(name)
        .key(MeshKey::from_bytes([7; 32])) // yours comes from a file: `key_file`
        .listen("127.0.0.1:0")?
        .join(join)?
        .preset(Preset::Local)
        .mdns(false)
        .remember(REMEMBER);
    let mesh = Mesh::start(builder)?;
    println!("listening {}", mesh.addresses().join(","));
    Ok(mesh)
}

fn switch(mesh: &Mesh, name: &str) -> Result<(), Box<dyn Error>> {
    for (number, region) in (1u64..).zip(std::io::stdin().lines()) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let record = Event::new("call.ended")
            .with("switch", name)
            .with("region", region?.trim())
            .with("caller", format!("PJSIP/{}", 100 + number % 7))
            .with("ended_at", now)
            .with("seconds", 17 * number % 600);
        mesh.events().publish(record)?;
        println!("ended {number}");
    }
    mesh.leave();
    Ok(())
}

fn sink(records: EventStream, database: &str) -> Result<(), Box<dyn Error>> {
    let mut database = open(database)?;
    for item in records {
        match item {
            EventItem::Event(record) => {
                let written = if database.write(&record)? {
                    "wrote"
                } else {
                    "had"
                };
                let switch = text(&record, "switch").unwrap_or_default();
                println!("{written} {switch} {}", record.seq);
            }
            // Longer down than is remembered, or too slow: what is missing must be had from elsewhere.
            EventItem::Gap(gap) => eprintln!("records are missing: {gap:?}"),
            _ => {}
        }
    }
    Ok(())
}

/// One statement for both. Replica, incarnation and number are an event's name for ever: whatever is given
/// again, because a sink was down or the program ended between writing and noting it down, is there already.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS calls (
    replica TEXT, incarnation BIGINT, seq BIGINT, switch TEXT, caller TEXT, ended_at BIGINT, seconds BIGINT,
    PRIMARY KEY (replica, incarnation, seq))";
const WRITE: &str = "INSERT INTO calls VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";

trait Database {
    /// Whether it was not there yet.
    fn write(&mut self, record: &PublishedEvent) -> Result<bool, Box<dyn Error>>;
}

fn open(database: &str) -> Result<Box<dyn Database>, Box<dyn Error>> {
    if database.contains('=') {
        let mut client = postgres::Client::connect(database, postgres::NoTls)?;
        client.batch_execute(TABLE)?;
        return Ok(Box::new(client));
    }
    let file = rusqlite::Connection::open(database)?;
    file.execute_batch(TABLE)?;
    Ok(Box::new(file))
}

impl Database for rusqlite::Connection {
    fn write(&mut self, record: &PublishedEvent) -> Result<bool, Box<dyn Error>> {
        let (replica, incarnation, seq) = name(record)?;
        let (switch, caller) = (text(record, "switch"), text(record, "caller"));
        let (ended_at, seconds) = (number(record, "ended_at"), number(record, "seconds"));
        let row = (replica, incarnation, seq, switch, caller, ended_at, seconds);
        Ok(self.execute(WRITE, row)? == 1)
    }
}

impl Database for postgres::Client {
    fn write(&mut self, record: &PublishedEvent) -> Result<bool, Box<dyn Error>> {
        let (replica, incarnation, seq) = name(record)?;
        let (switch, caller) = (text(record, "switch"), text(record, "caller"));
        let (ended_at, seconds) = (number(record, "ended_at"), number(record, "seconds"));
        let row: [&(dyn postgres::types::ToSql + Sync); 7] = [
            &replica,
            &incarnation,
            &seq,
            &switch,
            &caller,
            &ended_at,
            &seconds,
        ];
        Ok(self.execute(WRITE, &row)? == 1)
    }
}

fn name(record: &PublishedEvent) -> Result<(String, i64, i64), Box<dyn Error>> {
    let incarnation = record.incarnation.0.try_into()?;
    Ok((
        record.replica.to_string(),
        incarnation,
        record.seq.try_into()?,
    ))
}

/// What a record lacks is NULL: one that is odd must not keep the others out.
fn text<'a>(record: &'a PublishedEvent, field: &str) -> Option<&'a str> {
    record.get(field).and_then(|value| value.as_str())
}

fn number(record: &PublishedEvent, field: &str) -> Option<i64> {
    record.get(field).and_then(|value| value.as_i64())
}
