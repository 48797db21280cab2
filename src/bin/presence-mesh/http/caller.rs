//! Who sends a request, for what not everyone on this machine may ask.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::http::StatusCode;
use rustix::process::geteuid;

use super::Problem;

/// The two ends of the connection over which a request came.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    pub from: SocketAddr,
    pub to: SocketAddr,
}

impl Caller {
    /// Lets through a process of this machine that runs as the node's own user or as root: it could read the
    /// mesh's key anyway. Neither the LAN nor another user of this machine could, and must not come by it here.
    pub fn must_hold_our_key(self) -> Result<(), Problem> {
        let forbidden = |detail: &str| Problem::new(StatusCode::FORBIDDEN, detail);
        if !self.from.ip().to_canonical().is_loopback() {
            return Err(forbidden(
                "this can be asked for on the node's own machine only",
            ));
        }
        let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"].map(fs::read_to_string);
        let user = tables
            .iter()
            .flatten()
            .find_map(|table| owner(table, self.from, self.to));
        match user {
            Some(0) => Ok(()),
            Some(user) if user == geteuid().as_raw() => Ok(()),
            Some(_) => Err(forbidden(
                "this can be asked for by the node's own user and by root only: try sudo",
            )),
            None => Err(forbidden(
                "the system does not tell which user asks for this",
            )),
        }
    }
}

/// The user whose socket leads from `from` to `to`, in a table as Linux prints it.
fn owner(table: &str, from: SocketAddr, to: SocketAddr) -> Option<u32> {
    let canonical = |address: SocketAddr| (address.ip().to_canonical(), address.port());
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (local, remote) = (fields.next()?, fields.next()?);
        let ends = (read_end(local)?, read_end(remote)?);
        let user = fields.nth(4)?;
        (ends == (canonical(from), canonical(to)))
            .then(|| user.parse().ok())
            .flatten()
    })
}

/// `0100007F:1F90`: words of the address as numbers of this machine, and the port.
fn read_end(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let word = |number: usize| {
        let digits = address.get(8 * number..8 * number + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let ip: IpAddr = if address.len() == 8 {
        Ipv4Addr::from(word(0)?).into()
    } else {
        let mut bytes = [0; 16];
        for (number, part) in bytes.chunks_exact_mut(4).enumerate() {
            part.copy_from_slice(&word(number)?);
        }
        Ipv6Addr::from(bytes).into()
    };
    Some((ip.to_canonical(), u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_owner_of_a_connection_is_found() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(host) else {
                continue;
            };
            let to = listener.local_addr().unwrap();
            let client = TcpStream::connect(to).unwrap();
            let caller = Caller {
                from: client.local_addr().unwrap(),
                to,
            };
            assert_eq!(caller.must_hold_our_key(), Ok(()), "{host}");
        }
    }

    /// The client's row counts, not the server's own at the other end of the same connection.
    #[test]
    fn the_clients_row_is_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:12AC 0100007F:8AA6 01 00000000:00000000 00:00000000 00000000     7        0 1 2 0 20\n\
            1: 0100007F:8AA6 0100007F:12AC 01 00000000:00000000 00:00000000 00000000  1000        0 1 2 0 20\n\
            nonsense\n";
        let (from, to) = ("127.0.0.1:35494", "127.0.0.1:4780");
        let read = |from: &str, to: &str| owner(table, from.parse().unwrap(), to.parse().unwrap());
        if cfg!(target_endian = "little") {
            assert_eq!(read(from, to), Some(1000));
            assert_eq!(read("[::ffff:127.0.0.1]:35494", to), Some(1000));
            assert_eq!(read("127.0.0.1:35495", to), None);
        }
    }

    #[test]
    fn other_machines_may_not_ask() {
        let caller = Caller {
            from: "192.0.2.1:5000".parse().unwrap(),
            to: "192.0.2.2:4780".parse().unwrap(),
        };
        assert_eq!(caller.must_hold_our_key().unwrap_err().status, 403);
    }
}
