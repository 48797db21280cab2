//! What is asked of every request before a route sees it.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Problem;

/// Refuses strangers' pages, and marks every answer as not to be kept.
pub async fn check(loopback: bool, request: Request, next: Next) -> Response {
    let refused = refusal(loopback, request.method(), request.uri(), request.headers());
    let mut response = match refused {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

fn refusal(loopback: bool, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Problem> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if headers.get_all(header::HOST).iter().nth(1).is_some() {
        return Some(Problem::bad_request("there is more than one Host"));
    }
    // A whole URL in the request line says it instead of the Host.
    let authority = uri.authority().map(Authority::as_str);
    let host = authority.or_else(|| text(header::HOST));
    // A page whose name was made to resolve to 127.0.0.1 sends that name; the same-origin policy does not
    // stop it, as its origin is that name. Clients without a Host are no browsers.
    if loopback && host.is_some_and(|host| !names_this_machine(host)) {
        return Some(Problem::new(
            StatusCode::FORBIDDEN,
            "the Host is not this machine",
        ));
    }
    if matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    let foreign_site = text(header::HeaderName::from_static("sec-fetch-site"))
        .is_some_and(|site| site != "same-origin" && site != "none");
    let foreign_origin = text(header::ORIGIN).is_some_and(|origin| {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        authority.is_none() || authority != host
    });
    (foreign_site || foreign_origin).then(|| {
        Problem::new(
            StatusCode::FORBIDDEN,
            "pages of another origin may not write",
        )
    })
}

/// Whether `host` (`name`, `name:port`, `[ipv6]:port`) is a loopback address or `localhost`.
fn names_this_machine(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').unwrap_or(("", rest)),
        None => host
            .find(':')
            .map_or((host, ""), |colon| host.split_at(colon)),
    };
    let port_is_one = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|port| port.parse::<u16>().is_ok());
    let loopback = name
        .parse::<IpAddr>()
        .is_ok_and(|address| address.is_loopback());
    port_is_one && (loopback || name.eq_ignore_ascii_case("localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(loopback: bool, method: Method, headers: &[(&'static str, &'static str)]) -> u16 {
        let headers = headers.iter().map(|(name, value)| {
            (
                header::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        refused(loopback, &method, "/", &headers.collect())
    }

    fn refused(loopback: bool, method: &Method, uri: &str, headers: &HeaderMap) -> u16 {
        let uri = uri.parse().unwrap();
        refusal(loopback, method, &uri, headers).map_or(200, |problem| problem.status.as_u16())
    }

    #[test]
    fn there_is_one_host() {
        let mut headers = HeaderMap::new();
        let host = HeaderValue::from_static("127.0.0.1:4780");
        headers.append(header::HOST, host.clone());
        let get = |uri: &str, headers: &HeaderMap| refused(true, &Method::GET, uri, headers);
        assert_eq!(get("http://127.0.0.1:4780/", &headers), 200);
        assert_eq!(get("http://evil.example/", &headers), 403);
        headers.append(header::HOST, host);
        assert_eq!(get("/", &headers), 400);
    }

    #[test]
    fn a_rebound_name_reads_nothing() {
        for host in [
            "localhost",
            "localhost:4780",
            "127.0.0.1:4780",
            "[::1]:4780",
            "[::1]",
            "LOCALHOST",
        ] {
            assert_eq!(status(true, Method::GET, &[("host", host)]), 200, "{host}");
        }
        let foreign = [
            "evil.example",
            "evil.example:4780",
            "10.0.0.1",
            "localhost.evil.example",
            "",
            "[::1",
            "127.0.0.1.evil",
        ];
        for host in foreign {
            assert_eq!(status(true, Method::GET, &[("host", host)]), 403, "{host}");
        }
        assert_eq!(status(true, Method::GET, &[]), 200);
        assert_eq!(
            status(false, Method::GET, &[("host", "berlin.example")]),
            200
        );
    }

    #[test]
    fn pages_of_another_origin_write_nothing() {
        const HOST: (&str, &str) = ("host", "127.0.0.1:4780");
        let cases: [(&[(&'static str, &'static str)], u16); 9] = [
            (&[HOST], 200),
            (&[HOST, ("origin", "http://127.0.0.1:4780")], 200),
            (
                &[
                    HOST,
                    ("origin", "http://127.0.0.1:4780"),
                    ("sec-fetch-site", "same-origin"),
                ],
                200,
            ),
            (&[HOST, ("origin", "http://evil.example")], 403),
            (&[HOST, ("origin", "http://127.0.0.1:9999")], 403),
            (&[HOST, ("origin", "null")], 403),
            (&[HOST, ("sec-fetch-site", "cross-site")], 403),
            (&[HOST, ("sec-fetch-site", "same-site")], 403),
            (&[("origin", "http://127.0.0.1:4780")], 403),
        ];
        for (headers, expected) in cases {
            for method in [Method::PUT, Method::DELETE, Method::POST] {
                assert_eq!(status(true, method, headers), expected, "{headers:?}");
            }
        }
        assert_eq!(
            status(
                true,
                Method::GET,
                &[HOST, ("origin", "http://evil.example")]
            ),
            200
        );
    }
}
