//! What a PUBLISH says: the JSON bodies of `asterisk-devicestate` and `asterisk-mwi`.

use serde::Serialize;
use serde_json::{Map, Value};
use thiserror::Error;

use super::eid::{Eid, ParseEidError};
use crate::{
    CountsError, DeviceState, Key, KeyError, MAX_MESSAGE_COUNT, MailboxName, MessageCounts,
    SpaceId, UnknownDeviceState,
};

/// One of the two event packages Asterisk distributes its states by.
///
/// ```
/// use presence_mesh::bridge::asterisk::Package;
/// assert_eq!(Package::from_event("asterisk-mwi;id=1"), Some(Package::Mwi));
/// assert_eq!(Package::Mwi.name(), "asterisk-mwi");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Package {
    /// Device states.
    DeviceState,
    /// Message counts.
    Mwi,
}

impl Package {
    /// Both.
    pub const ALL: [Package; 2] = [Package::DeviceState, Package::Mwi];

    /// As in the `Event` header.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeviceState => "asterisk-devicestate",
            Self::Mwi => "asterisk-mwi",
        }
    }

    /// The package of an `Event` header, whose parameters are ignored.
    pub fn from_event(event: &str) -> Option<Self> {
        let name = event.split(';').next().unwrap_or_default().trim();
        Self::ALL
            .into_iter()
            .find(|package| package.name().eq_ignore_ascii_case(name))
    }
}

/// The JSON body of one PUBLISH: one statement of one server.
///
/// ```
/// use presence_mesh::bridge::asterisk::{Body, Package};
/// let json = br#"{"type":"devicestate","device":"PJSIP/alice","state":"INUSE","cachable":1,"eid":"02:00:00:00:00:0a"}"#;
/// let body = Body::parse(Package::DeviceState, json)?;
/// assert_eq!(body.eid().to_string(), "02:00:00:00:00:0a");
/// assert_eq!(body.to_json().as_bytes(), json);
/// # Ok::<(), presence_mesh::bridge::asterisk::BodyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body {
    /// The server with this EID says what a device of its own does.
    Device {
        /// `PJSIP/alice`
        device: String,
        /// What it does there.
        state: DeviceState,
        /// Not cachable: passes once, is kept by nobody.
        cachable: bool,
        /// Whose state it is.
        eid: Eid,
    },
    /// The server with this EID says how many messages wait.
    Mailbox {
        /// `100@default`; Asterisk also has boxes without a context.
        mailbox: MailboxName,
        /// Old and new; urgent ones are not distributed.
        counts: MessageCounts,
        /// Whose count it is.
        eid: Eid,
    },
    /// "Send me everything you have."
    Refresh {
        /// Who asks.
        eid: Eid,
    },
}

impl Body {
    /// Whose statement it is.
    pub const fn eid(&self) -> Eid {
        match self {
            Self::Device { eid, .. } | Self::Mailbox { eid, .. } | Self::Refresh { eid } => *eid,
        }
    }

    /// Reads a body of `package`. Strict: every field must be there and of its type. (Asterisk itself takes
    /// an unknown state as UNKNOWN and a missing `cachable` as 0; it never sends either.)
    pub fn parse(package: Package, bytes: &[u8]) -> Result<Self, BodyError> {
        let value: Value =
            serde_json::from_slice(bytes).map_err(|error| BodyError::Json(error.to_string()))?;
        let Value::Object(fields) = value else {
            return Err(BodyError::NoObject);
        };
        let kind = text(&fields, "type")?;
        let eid = text(&fields, "eid")?.parse()?;
        match (package, kind) {
            (_, "refresh") => Ok(Self::Refresh { eid }),
            (Package::DeviceState, "devicestate") => {
                let device = text(&fields, "device")?;
                Key::new(SpaceId::DEVICES, device).map_err(BodyError::Name)?;
                let state = text(&fields, "state")?.parse()?;
                let cachable = integer(&fields, "cachable")? != 0;
                Ok(Self::Device {
                    device: device.to_owned(),
                    state,
                    cachable,
                    eid,
                })
            }
            (Package::Mwi, "mailboxstate") => {
                let mailbox = text(&fields, "uniqueid")?
                    .parse()
                    .map_err(BodyError::Name)?;
                let counts =
                    MessageCounts::new(count(&fields, "new")?, count(&fields, "old")?).checked()?;
                Ok(Self::Mailbox {
                    mailbox,
                    counts,
                    eid,
                })
            }
            (_, kind) => Err(BodyError::Kind {
                kind: clip(kind),
                package: package.name(),
            }),
        }
    }

    /// The bytes as Asterisk writes them: no blanks, its order of fields.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Device<'a> {
            r#type: &'a str,
            device: &'a str,
            state: &'a str,
            cachable: u8,
            eid: String,
        }
        #[derive(Serialize)]
        struct Mailbox<'a> {
            r#type: &'a str,
            uniqueid: &'a str,
            old: u32,
            new: u32,
            eid: String,
        }
        #[derive(Serialize)]
        struct Refresh<'a> {
            r#type: &'a str,
            eid: String,
        }
        let json = match self {
            Self::Device {
                device,
                state,
                cachable,
                eid,
            } => serde_json::to_string(&Device {
                r#type: "devicestate",
                device,
                state: state.as_str(),
                cachable: u8::from(*cachable),
                eid: eid.to_string(),
            }),
            Self::Mailbox {
                mailbox,
                counts,
                eid,
            } => {
                // Asterisk folds urgent messages into the new ones (app_voicemail.c) and sends no more than that.
                let add = |a: u32, b: u32| a.saturating_add(b).min(MAX_MESSAGE_COUNT);
                serde_json::to_string(&Mailbox {
                    r#type: "mailboxstate",
                    uniqueid: mailbox.as_str(),
                    old: add(counts.old, counts.urgent_old),
                    new: add(counts.new, counts.urgent_new),
                    eid: eid.to_string(),
                })
            }
            Self::Refresh { eid } => serde_json::to_string(&Refresh {
                r#type: "refresh",
                eid: eid.to_string(),
            }),
        };
        json.expect("a struct of strings and integers is always JSON")
    }
}

/// The body was refused; nothing was taken from it.
///
/// ```
/// use presence_mesh::bridge::asterisk::{Body, BodyError, Package};
/// assert_eq!(Body::parse(Package::Mwi, b"[]"), Err(BodyError::NoObject));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BodyError {
    /// It is not JSON.
    #[error("the body is not JSON: {0}")]
    Json(String),
    /// It is JSON, but not an object.
    #[error("the body is not a JSON object")]
    NoObject,
    /// A field is missing.
    #[error("the field {0:?} is missing")]
    Missing(&'static str),
    /// A field is of another type.
    #[error("the field {field:?} is not {expected}")]
    WrongType {
        /// Which one.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// The type is unknown, or belongs to the other package.
    #[error("the type {kind:?} does not belong to {package}")]
    Kind {
        /// What stood there.
        kind: String,
        /// The package of the PUBLISH.
        package: &'static str,
    },
    /// A count is negative or too large.
    #[error("the field {field:?} is {value}, it must be 0 to {MAX_MESSAGE_COUNT}")]
    Count {
        /// Which one.
        field: &'static str,
        /// What stood there.
        value: i64,
    },
    /// A count is too large.
    #[error(transparent)]
    Counts(#[from] CountsError),
    /// The device or mailbox cannot be a key.
    #[error("the name is refused: {0}")]
    Name(KeyError),
    /// The state is none of Asterisk's.
    #[error(transparent)]
    State(#[from] UnknownDeviceState),
    /// The EID is none.
    #[error(transparent)]
    Eid(#[from] ParseEidError),
}

fn text<'a>(fields: &'a Map<String, Value>, field: &'static str) -> Result<&'a str, BodyError> {
    match fields.get(field) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(BodyError::WrongType {
            field,
            expected: "a string",
        }),
        None => Err(BodyError::Missing(field)),
    }
}

fn integer(fields: &Map<String, Value>, field: &'static str) -> Result<i64, BodyError> {
    let value = fields.get(field).ok_or(BodyError::Missing(field))?;
    match (value.as_i64(), value.as_u64()) {
        (Some(value), _) => Ok(value),
        (None, Some(_)) => Ok(i64::MAX),
        (None, None) => Err(BodyError::WrongType {
            field,
            expected: "an integer",
        }),
    }
}

fn count(fields: &Map<String, Value>, field: &'static str) -> Result<u32, BodyError> {
    let value = integer(fields, field)?;
    u32::try_from(value)
        .ok()
        .filter(|count| *count <= MAX_MESSAGE_COUNT)
        .ok_or(BodyError::Count { field, value })
}

/// A stranger's text in an error or a log line stays short.
fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Eid = Eid::from_bytes([2, 0, 0, 0, 0, 0x0a]);

    #[test]
    fn bodies_are_written_byte_for_byte_as_asterisk_does() {
        let device = Body::Device {
            device: "PJSIP/alice".into(),
            state: DeviceState::InUse,
            cachable: true,
            eid: A,
        }
        .to_json();
        assert_eq!(
            device,
            r#"{"type":"devicestate","device":"PJSIP/alice","state":"INUSE","cachable":1,"eid":"02:00:00:00:00:0a"}"#
        );
        let mailbox = "100@default".parse().expect("valid");
        let mailbox = Body::Mailbox {
            mailbox,
            counts: MessageCounts::new(2, 1),
            eid: A,
        }
        .to_json();
        assert_eq!(
            mailbox,
            r#"{"type":"mailboxstate","uniqueid":"100@default","old":1,"new":2,"eid":"02:00:00:00:00:0a"}"#
        );
        assert_eq!(
            Body::Refresh { eid: A }.to_json(),
            r#"{"type":"refresh","eid":"02:00:00:00:00:0a"}"#
        );
    }

    #[test]
    fn urgent_messages_count_as_new_ones() {
        let mailbox = "100@default".parse().expect("valid");
        let counts = MessageCounts {
            new: 1,
            old: 2,
            urgent_new: 3,
            urgent_old: 4,
        };
        let json = Body::Mailbox {
            mailbox,
            counts,
            eid: A,
        }
        .to_json();
        assert!(json.contains(r#""old":6,"new":4"#), "{json}");
    }

    #[test]
    fn hostile_bodies_are_refused_with_a_reason() {
        let name = "x".repeat(64 * 1024);
        let long = format!(
            r#"{{"type":"devicestate","device":"{name}","state":"INUSE","cachable":1,"eid":"{A}"}}"#
        );
        let deep = "[".repeat(50_000);
        let device_bodies = [
            ("", "not JSON"),
            ("{", "not JSON"),
            ("[]", "not a JSON object"),
            (deep.as_str(), "not JSON"),
            (long.as_str(), "65536 bytes"),
            (
                r#"{"type":"devicestate","device":"PJSIP/a","state":"INUSE","cachable":1}"#,
                "\"eid\" is missing",
            ),
            (
                r#"{"type":"devicestate","device":"PJSIP/a","state":"INUSE","cachable":1,"eid":7}"#,
                "not a string",
            ),
            (
                r#"{"type":"devicestate","device":"PJSIP/a","state":"INUSE","cachable":1,"eid":"x"}"#,
                "not an eid",
            ),
            (
                r#"{"type":"devicestate","device":"PJSIP/a","cachable":1,"eid":"02:00:00:00:00:0a"}"#,
                "\"state\" is missing",
            ),
            (
                r#"{"type":"devicestate","device":7,"state":"INUSE","cachable":1,"eid":"02:00:00:00:00:0a"}"#,
                "not a string",
            ),
            (
                r#"{"type":"devicestate","device":"a","state":"FLYING","cachable":1,"eid":"02:00:00:00:00:0a"}"#,
                "FLYING",
            ),
            (
                r#"{"type":"devicestate","device":"a","state":"INUSE","cachable":"1","eid":"02:00:00:00:00:0a"}"#,
                "not an integer",
            ),
            (
                r#"{"type":"devicestate","device":"a\r\nb","state":"INUSE","cachable":1,"eid":"02:00:00:00:00:0a"}"#,
                "control",
            ),
            (
                r#"{"type":"devicestate","device":"","state":"INUSE","cachable":1,"eid":"02:00:00:00:00:0a"}"#,
                "empty",
            ),
            (
                r#"{"type":"mailboxstate","uniqueid":"100","old":1,"new":1,"eid":"02:00:00:00:00:0a"}"#,
                "does not belong",
            ),
            (
                r#"{"type":"presence","eid":"02:00:00:00:00:0a"}"#,
                "does not belong",
            ),
            (r#"{"eid":"02:00:00:00:00:0a"}"#, "\"type\" is missing"),
        ];
        for (body, reason) in device_bodies {
            let error = Body::parse(Package::DeviceState, body.as_bytes())
                .expect_err("must be refused")
                .to_string();
            assert!(error.contains(reason), "{error} should say {reason}");
            assert!(
                error.len() < 300,
                "an error must not repeat a stranger's 64 kB"
            );
        }
        for count in [
            "-1",
            "2147483648",
            "18446744073709551615",
            "1e400",
            "1.5",
            "\"1\"",
            "null",
            "true",
        ] {
            let body = format!(
                r#"{{"type":"mailboxstate","uniqueid":"100","old":{count},"new":1,"eid":"{A}"}}"#
            );
            assert!(
                Body::parse(Package::Mwi, body.as_bytes()).is_err(),
                "{count}"
            );
        }
        assert!(Body::parse(Package::DeviceState, b"\xff\xfe{}").is_err());
    }
}
