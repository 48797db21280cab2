//! Keys in paths.

use percent_encoding::percent_decode_str;

use super::Problem;

/// The key after `prefix`, decoded exactly once.
///
/// `PJSIP%2F100` and `PJSIP/100` name the same key: all that follows the prefix is the key.
pub fn key(path: &str, prefix: &str, limit: usize) -> Result<String, Problem> {
    let raw = after(path, prefix);
    if raw.is_empty() {
        return Err(Problem::bad_request("the path names no key"));
    }
    let key = decode(raw)?;
    if key.len() > limit {
        return Err(Problem::bad_request(format!(
            "the key is {} bytes long, the limit is {limit}",
            key.len()
        )));
    }
    Ok(key)
}

/// The namespace after `prefix`, as it stands in the path and decoded.
pub fn namespace<'a>(path: &'a str, prefix: &str) -> Result<(&'a str, String), Problem> {
    let raw = after(path, prefix).split('/').next().unwrap_or_default();
    Ok((raw, decode(raw)?))
}

fn after<'a>(path: &'a str, prefix: &str) -> &'a str {
    path.strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or_default()
}

fn decode(raw: &str) -> Result<String, Problem> {
    let bytes = raw.as_bytes();
    let escape = |at: usize| {
        bytes
            .get(at + 1..at + 3)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if (0..bytes.len()).any(|at| bytes[at] == b'%' && !escape(at)) {
        return Err(Problem::bad_request(
            "the key holds a % that is not followed by two hexadecimal digits",
        ));
    }
    let key = percent_decode_str(raw)
        .decode_utf8()
        .map_err(|_| Problem::bad_request("the key is not UTF-8"))?;
    Ok(key.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str) -> Result<String, String> {
        key(path, "/api/v1/devices", 255).map_err(|problem| problem.detail)
    }

    #[test]
    fn keys_are_decoded_once() {
        let cases = [
            ("/api/v1/devices/PJSIP%2F100", "PJSIP/100"),
            ("/api/v1/devices/PJSIP/100", "PJSIP/100"),
            ("/api/v1/devices/100%2525", "100%25"),
            ("/api/v1/devices/a%20b%3Fc%23d", "a b?c#d"),
            ("/api/v1/devices/%C3%A9", "é"),
            ("/api/v1/devices/..%2F..", "../.."),
            ("/api/v1/devices/a+b", "a+b"),
        ];
        for (path, expected) in cases {
            assert_eq!(parse(path).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for path in [
            "/api/v1/devices/",
            "/api/v1/devices",
            "/api/v1/devices/%",
            "/api/v1/devices/%4",
            "/api/v1/devices/%zz",
            "/api/v1/devices/%FF",
            "/api/v1/devices/%C3",
        ] {
            assert!(parse(path).is_err(), "{path}");
        }
        assert!(parse(&format!("/api/v1/devices/{}", "x".repeat(255))).is_ok());
        assert!(parse(&format!("/api/v1/devices/{}", "x".repeat(256))).is_err());
        assert!(parse(&format!("/api/v1/devices/{}", "%78".repeat(255))).is_ok());
    }

    #[test]
    fn a_namespace_ends_at_the_first_slash() {
        let cases = [
            ("/api/v1/custom/agents/night", ("agents", "agents")),
            ("/api/v1/custom/a%20b", ("a%20b", "a b")),
            ("/api/v1/custom/a%2Fb/c", ("a%2Fb", "a/b")),
            ("/api/v1/custom/", ("", "")),
        ];
        for (path, (raw, decoded)) in cases {
            let found = namespace(path, "/api/v1/custom").map_err(|problem| problem.detail);
            assert_eq!(found, Ok((raw, decoded.to_owned())), "{path}");
        }
    }
}
