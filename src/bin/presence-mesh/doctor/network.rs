//! Ports, here and there.

use std::io::ErrorKind;
use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _,
};
use std::thread;
use std::time::Duration;

use super::report::Report;
use crate::address;
use crate::settings::Settings;

/// A dial that takes longer than this will not do for a mesh, either.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);

/// Looks at where the node listens, and dials whom it joins.
pub fn check(settings: &Settings, runs: bool, report: &mut Report) {
    for listen in &settings.listen {
        let address = match resolve(listen) {
            Ok(address) => address,
            Err(problem) => {
                report.wrong_with("mesh-port", problem, "correct listen");
                continue;
            }
        };
        if runs {
            listens(listen, address, report);
        } else {
            can_be_had(listen, address, report);
        }
    }
    if settings.join.is_empty() {
        return report.skipped("join", "no node is named to join".to_owned());
    }
    // All at once: each may take its time.
    let dialled: Vec<_> = thread::scope(|scope| {
        let dials: Vec<_> = settings
            .join
            .iter()
            .map(|join| (join, scope.spawn(|| dial(join))))
            .collect();
        let ended = dials.into_iter().map(|(join, dial)| {
            let result = dial.join();
            (
                join,
                result.unwrap_or_else(|_| Err("the dial failed".to_owned())),
            )
        });
        ended.collect()
    });
    for (join, result) in dialled {
        match result {
            Ok(()) => report.fine("join", format!("{join} answers")),
            Err(problem) => report.wrong_with(
                "join",
                format!("{join} does not answer: {problem}"),
                "is that node up, its name right, and its port open from here? One live node is enough to join",
            ),
        }
    }
}

fn listens(listen: &str, address: SocketAddr, report: &mut Report) {
    if address.port() == 0 {
        return report.skipped("mesh-port", format!("{listen}: any free port"));
    }
    let mut dialled = address;
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => dialled.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => dialled.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    match TcpStream::connect_timeout(&dialled, DIAL_TIMEOUT) {
        Ok(_) => report.fine("mesh-port", format!("{listen} takes connections")),
        Err(error) => report.wrong_with(
            "mesh-port",
            format!("the node runs, but nobody listens at {listen}: {error}"),
            "restart the node: it was started with another configuration, or the address has gone",
        ),
    }
}

fn can_be_had(listen: &str, address: SocketAddr, report: &mut Report) {
    match TcpListener::bind(address) {
        Ok(_) => report.fine("mesh-port", format!("{listen} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => report.wrong_with(
            "mesh-port",
            format!("{listen} is taken by another program"),
            format!(
                "ss -ltnp 'sport = :{}' tells which; stop it, or change listen",
                address.port()
            ),
        ),
        Err(error) => report.wrong_with(
            "mesh-port",
            format!("{listen} cannot be listened on: {error}"),
            "change listen to an address of this machine and a port above 1023",
        ),
    }
}

fn dial(join: &str) -> Result<(), String> {
    let address = resolve(join)?;
    TcpStream::connect_timeout(&address, DIAL_TIMEOUT)
        .map(drop)
        .map_err(|error| error.to_string())
}

fn resolve(text: &str) -> Result<SocketAddr, String> {
    let plain = text.split("/p2p/").next().unwrap_or(text);
    let host_port = address::parse(plain)?;
    let mut found = host_port
        .to_socket_addrs()
        .map_err(|error| format!("{text}: {error}"))?;
    found.next().ok_or_else(|| format!("{text} has no address"))
}
