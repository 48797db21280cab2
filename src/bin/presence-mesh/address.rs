//! TCP addresses for HTTP and SIP, as people write them.

/// Reads `host:port`, or a multiaddr such as `/ip4/127.0.0.1/tcp/4780`; gives `host:port`.
pub fn parse(text: &str) -> Result<String, String> {
    let problem = || {
        format!(
            "{text:?} is not an address: expected host:port, such as 127.0.0.1:4780 or [::1]:4780"
        )
    };
    let address = match text.strip_prefix('/') {
        None => text.to_owned(),
        Some(multiaddr) => match *multiaddr.split('/').collect::<Vec<_>>() {
            ["ip6", host, "tcp" | "udp", port] => format!("[{host}]:{port}"),
            ["ip4" | "dns" | "dns4" | "dns6", host, "tcp" | "udp", port] => {
                format!("{host}:{port}")
            }
            _ => return Err(problem()),
        },
    };
    let (host, port) = address.rsplit_once(':').ok_or_else(problem)?;
    let bare_ipv6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    if host.is_empty()
        || bare_ipv6
        || host.contains(['/', ' ', '@'])
        || port.parse::<u16>().is_err()
    {
        return Err(problem());
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn hosts_and_multiaddrs_are_read() {
        let cases = [
            ("127.0.0.1:4780", "127.0.0.1:4780"),
            ("[::1]:0", "[::1]:0"),
            ("localhost:80", "localhost:80"),
            ("/ip4/10.0.0.1/tcp/4780", "10.0.0.1:4780"),
            ("/ip6/::1/tcp/4780", "[::1]:4780"),
        ];
        for (text, address) in cases {
            assert_eq!(parse(text).as_deref(), Ok(address));
        }
    }

    #[test]
    fn other_texts_are_no_addresses() {
        for text in [
            "",
            "4780",
            ":4780",
            "::1:4780",
            "host:",
            "host:99999",
            "http://host:80",
            "/ip4/1.2.3.4",
            "a b:1",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
