//! Digest authentication as a client (RFC 2617, MD5, with and without `qop=auth`): what Asterisk asks for.

use std::fmt;

use ezk_sip_types::Name;
use ezk_sip_types::header::typed::{
    Algorithm, AlgorithmValue, AuthChallenge, DigestChallenge, QopOption,
};
use md5::{Digest, Md5};

use super::message::Response;

/// User name and password. `Debug` shows no password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) username: String,
    pub(super) password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// The challenge in force on one stream. A nonce is used for many requests, counted by `nc`.
#[derive(Debug, Clone)]
pub(super) struct Challenge {
    digest: DigestChallenge,
    /// 407 instead of 401: the answer goes into `Proxy-Authorization`.
    proxy: bool,
    uses: u32,
}

impl Challenge {
    /// Takes the challenge out of a 401 or 407. `None` when it asks for something else than MD5 digest.
    pub(super) fn from_response(response: &Response) -> Option<Self> {
        let proxy = response.status == 407;
        let name = if proxy {
            Name::PROXY_AUTHENTICATE
        } else {
            Name::WWW_AUTHENTICATE
        };
        // Several challenges may be offered, one header each; the first that is understood is taken.
        let challenges: Vec<AuthChallenge> = response.headers.get(name).ok()?;
        challenges.into_iter().find_map(|challenge| {
            let AuthChallenge::Digest(digest) = challenge else {
                return None;
            };
            let md5 = matches!(
                digest.algorithm,
                Algorithm::AlgorithmValue(AlgorithmValue::MD5)
            );
            let qop = digest.qop.is_empty()
                || digest.qop.iter().any(|qop| matches!(qop, QopOption::Auth));
            (md5 && qop).then_some(Self {
                digest,
                proxy,
                uses: 0,
            })
        })
    }

    /// Whether the server only says that the nonce is too old: the password was right.
    pub(super) fn is_stale(&self) -> bool {
        self.digest.stale
    }

    /// The header that answers the challenge for one more request.
    pub(super) fn answer(
        &mut self,
        credentials: &Credentials,
        method: &str,
        uri: &str,
        cnonce: &str,
    ) -> (&'static str, String) {
        self.uses += 1;
        let Credentials { username, password } = credentials;
        let DigestChallenge {
            realm,
            nonce,
            opaque,
            qop,
            ..
        } = &self.digest;
        let ha1 = md5_hex(&format!("{username}:{realm}:{password}"));
        let ha2 = md5_hex(&format!("{method}:{uri}"));
        let count = format!("{:08x}", self.uses);
        let with_qop = !qop.is_empty();
        let response = match with_qop {
            true => md5_hex(&format!("{ha1}:{nonce}:{count}:{cnonce}:auth:{ha2}")),
            false => md5_hex(&format!("{ha1}:{nonce}:{ha2}")),
        };
        let mut value = format!(
            "Digest username=\"{username}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\", algorithm=MD5"
        );
        if with_qop {
            value.push_str(&format!(", qop=auth, nc={count}, cnonce=\"{cnonce}\""));
        }
        if let Some(opaque) = opaque {
            value.push_str(&format!(", opaque=\"{opaque}\""));
        }
        (
            if self.proxy {
                "Proxy-Authorization"
            } else {
                "Authorization"
            },
            value,
        )
    }
}

fn md5_hex(text: &str) -> String {
    Md5::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::message::Message;
    use super::*;

    fn response(status: &str, header: &str) -> Response {
        let text = format!("SIP/2.0 {status}\r\n{header}\r\nContent-Length: 0\r\n\r\n");
        match Message::parse(&Bytes::from(text)) {
            Ok(Message::Response(response)) => response,
            other => panic!("{other:?}"),
        }
    }

    fn credentials(username: &str, password: &str) -> Credentials {
        Credentials {
            username: username.into(),
            password: password.into(),
        }
    }

    /// The example of RFC 2617, 3.5.
    #[test]
    fn the_rfc_example_gives_the_rfc_answer() {
        let response = response(
            "401 Unauthorized",
            r#"WWW-Authenticate: Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41""#,
        );
        let mut challenge = Challenge::from_response(&response).expect("digest");
        let (name, value) = challenge.answer(
            &credentials("Mufasa", "Circle Of Life"),
            "GET",
            "/dir/index.html",
            "0a4f113b",
        );
        assert_eq!(name, "Authorization");
        assert!(
            value.contains(r#"response="6629fae49393a05397450978507c4ef1""#),
            "{value}"
        );
        assert!(value.contains("nc=00000001"), "{value}");
        let (_, second) = challenge.answer(
            &credentials("Mufasa", "Circle Of Life"),
            "GET",
            "/dir/index.html",
            "x",
        );
        assert!(second.contains("nc=00000002"), "{second}");
    }

    #[test]
    fn a_proxy_without_qop_gets_the_older_form() {
        let response = response(
            "407 Proxy Authentication Required",
            r#"Proxy-Authenticate: Digest realm="r",nonce="n""#,
        );
        let (name, value) = Challenge::from_response(&response).expect("digest").answer(
            &credentials("u", "p"),
            "PUBLISH",
            "sip:a",
            "c",
        );
        assert_eq!(name, "Proxy-Authorization");
        let ha1 = md5_hex("u:r:p");
        let ha2 = md5_hex("PUBLISH:sip:a");
        let expected = md5_hex(&format!("{ha1}:n:{ha2}"));
        assert!(
            value.contains(&format!("response=\"{expected}\"")),
            "{value}"
        );
        assert!(!value.contains("qop") && !value.contains("nc="), "{value}");
    }

    #[test]
    fn other_schemes_and_algorithms_are_not_answered() {
        for header in [
            r#"WWW-Authenticate: Basic realm="r""#,
            r#"WWW-Authenticate: Digest realm="r",nonce="n",algorithm=SHA-256"#,
            r#"WWW-Authenticate: Digest realm="r",nonce="n",qop="auth-int""#,
            r#"WWW-Authenticate: Digest realm="r""#,
            "WWW-Authenticate: \"",
            "X: y",
        ] {
            assert!(
                Challenge::from_response(&response("401 Unauthorized", header)).is_none(),
                "{header}"
            );
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        assert!(!format!("{:?}", credentials("mesh", "hunter2")).contains("hunter2"));
    }
}
