//! A mesh node for trying things out. It finds others by mDNS, or joins where it is told, and prints what
//! changes; each line `KEY STATE` on its input sets one of its own devices. End of input makes it leave.
//!
//! ```text
//! node --key-file mesh.key [--mesh acme] [--node berlin] [--listen 0.0.0.0:0] [--join HOST:PORT]... [--no-mdns]
//! ```

use std::error::Error;

use presence_mesh::{DeviceState, Mesh, Shown, Watch};
use tokio::sync::mpsc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (mut mesh, mut node, mut listen) =
        ("acme".to_owned(), "node".to_owned(), "0.0.0.0:0".to_owned());
    let (mut key_file, mut join, mut mdns) = (None, Vec::new(), true);
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("{flag} needs a value"))
        };
        match flag.as_str() {
            "--mesh" => mesh = value()?,
            "--node" => node = value()?,
            "--listen" => listen = value()?,
            "--join" => join.push(value()?),
            "--key-file" => key_file = Some(value()?),
            "--no-mdns" => mdns = false,
            _ => return Err(format!("unknown flag {flag}").into()),
        }
    }
    let key_file =
        key_file.ok_or("--key-file is needed: a file of 64 hexadecimal digits, mode 600")?;
    let builder = Mesh::builder(mesh)
        .node(node)
        .key_file(key_file)?
        .listen(listen)?
        .join(join)?
        .mdns(mdns);
    let mesh = builder.start().await?;
    println!("listening {}", mesh.addresses().join(","));

    let mut input = input_lines();
    let mut lamps = mesh.devices().watch("*")?;
    loop {
        tokio::select! {
            line = input.recv() => match line {
                Some(line) => set(&mesh, &line)?,
                None => break,
            },
            item = lamps.next() => match item {
                Some(Watch::Snapshot(all)) => all.iter().for_each(|lamp| println!("{}", text(lamp))),
                Some(Watch::Changed(change)) => match &change.new {
                    Some(lamp) => println!("{}", text(lamp)),
                    None => println!("{} withdrawn", change.key),
                },
                Some(_) => {}
                None => break,
            },
        }
    }
    mesh.leave().await;
    Ok(())
}

fn set(mesh: &Mesh, line: &str) -> Result<(), Box<dyn Error>> {
    let (key, state) = line.trim().rsplit_once(' ').ok_or("a line is KEY STATE")?;
    Ok(mesh.devices().set(key, state.parse()?)?)
}

fn text(lamp: &Shown<DeviceState>) -> String {
    let nodes: Vec<&str> = lamp
        .contributions
        .iter()
        .map(|contribution| &*contribution.node)
        .collect();
    format!(
        "{} {} {:?} {}",
        lamp.key,
        lamp.value,
        lamp.freshness,
        nodes.join(",")
    )
}

/// The lines of the standard input, read by a thread of their own.
fn input_lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        std::io::stdin()
            .lines()
            .map_while(Result::ok)
            .all(|line| sender.blocking_send(line).is_ok())
    });
    receiver
}
