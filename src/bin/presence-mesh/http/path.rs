//! Keys in paths.

use percent_encoding::percent_decode_str;

use super::Problem;

/// The key after `prefix`, decoded exactly once.
///
/// `PJSIP%2F100` and `PJSIP/100` name the same key: all that follows the prefix is the key.
pub fn key(path: &str, prefix: &str, limit: usize) -> Result<String, Problem> {
    let raw = path
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or_default();
    if raw.is_empty() {
        return Err(Problem::bad_request("the path names no key"));
    }
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
    if key.len() > limit {
        return Err(Problem::bad_request(format!(
            "the key is {} bytes long, the limit is {limit}",
            key.len()
        )));
    }
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
}
