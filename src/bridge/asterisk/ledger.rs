//! The ledger: what the PBX has been told, on disk, so that it can be taken back.
//!
//! States injected into Asterisk outlive us, cannot be listed by EID, and the expiry of a publication removes
//! nothing (all observed live). So what is not in here burns for ever: **the row of a slot is on disk, synced,
//! before the slot is first told.** Later values of the same slot are written without a sync: to take a slot
//! back only its name is needed.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use thiserror::Error;

use super::body::Body;
use super::eid::Eid;
use crate::{DeviceState, MailboxName, MessageCounts};

/// One thing the PBX can be told: what Asterisk keeps one value for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Slot {
    /// A device under one EID.
    Device(String, Eid),
    /// A mailbox; Asterisk keeps one count for it, whosever it is.
    Mailbox(String),
}

/// What a slot is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Telling {
    /// A device's state.
    State(DeviceState),
    /// A mailbox's counts, and whose they are.
    Counts(MessageCounts, Eid),
}

impl Slot {
    /// The body that says `telling` of this slot; `None` takes it back. `fallback` is under whom a mailbox is
    /// emptied of which nobody remembers whose counts it was told.
    pub(super) fn body(
        &self,
        telling: Option<Telling>,
        last: Option<Telling>,
        fallback: Eid,
    ) -> Body {
        match self {
            Self::Device(device, eid) => {
                let state = match telling {
                    Some(Telling::State(state)) => state,
                    _ => DeviceState::Invalid,
                };
                Body::Device {
                    device: device.clone(),
                    state,
                    cachable: true,
                    eid: *eid,
                }
            }
            Self::Mailbox(name) => {
                let last_eid = match last {
                    Some(Telling::Counts(_, eid)) => eid,
                    _ => fallback,
                };
                let (counts, eid) = match telling {
                    Some(Telling::Counts(counts, eid)) => (counts, eid),
                    _ => (MessageCounts::default(), last_eid),
                };
                let mailbox =
                    MailboxName::from_str(name).expect("slots are made of checked names only");
                Body::Mailbox {
                    mailbox,
                    counts,
                    eid,
                }
            }
        }
    }

    fn to_key(&self) -> String {
        match self {
            Self::Device(device, eid) => format!("d {eid} {device}"),
            Self::Mailbox(name) => format!("m {name}"),
        }
    }

    fn from_key(key: &str) -> Option<Self> {
        match key.split_once(' ')? {
            ("d", rest) => {
                let (eid, device) = rest.split_once(' ')?;
                Some(Self::Device(device.to_owned(), eid.parse().ok()?))
            }
            ("m", name) => Some(Self::Mailbox(
                MailboxName::from_str(name).ok()?.as_str().to_owned(),
            )),
            _ => None,
        }
    }
}

/// A row: a slot, what it was last told as far as that reached the disk, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LedgerRow {
    pub(super) slot: Slot,
    pub(super) telling: Option<Telling>,
    pub(super) at: SystemTime,
}

/// A change of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LedgerChange {
    /// The slot is about to be told this.
    Tell(Slot, Telling, SystemTime),
    /// The slot was taken back.
    Forget(Slot),
}

const ROWS: TableDefinition<'static, &str, &str> = TableDefinition::new("told");
const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");
/// The version of the format. A file of another version is refused, not guessed at.
const FORMAT: u64 = 1;

/// The file.
#[derive(Debug)]
pub(super) struct Ledger {
    database: Database,
}

impl Ledger {
    /// Opens the ledger, or makes it.
    pub(super) fn open(path: &Path) -> Result<Self, LedgerError> {
        let fail = |cause: redb::Error| match cause {
            redb::Error::DatabaseAlreadyOpen => LedgerError::InUse {
                path: path.to_owned(),
            },
            cause => LedgerError::Broken {
                path: path.to_owned(),
                cause: Box::new(cause),
            },
        };
        let database = Database::create(path).map_err(|error| fail(error.into()))?;
        let ledger = Self { database };
        ledger
            .prepare(path)
            .map_err(|error| error.unwrap_or_else(fail))?;
        Ok(ledger)
    }

    fn prepare(&self, path: &Path) -> Result<(), FormatOr> {
        let write = self.database.begin_write()?;
        {
            let mut meta = write.open_table(META)?;
            let found = meta.get("format")?.map(|found| found.value());
            match found {
                Some(FORMAT) => {}
                None => drop(meta.insert("format", FORMAT)?),
                Some(found) => {
                    return Err(FormatOr::Format(LedgerError::Format {
                        path: path.to_owned(),
                        found,
                    }));
                }
            }
            write.open_table(ROWS)?;
        }
        write.commit()?;
        Ok(())
    }

    /// All rows. A row that makes no sense is left out and counted: it was not written by us.
    pub(super) fn rows(&self) -> Result<(Vec<LedgerRow>, usize), LedgerError> {
        let mut rows = Vec::new();
        let mut foreign = 0;
        let read = self.database.begin_read().map_err(LedgerError::write)?;
        let table = read.open_table(ROWS).map_err(LedgerError::write)?;
        for row in table.iter().map_err(LedgerError::write)? {
            let (key, value) = row.map_err(LedgerError::write)?;
            match Slot::from_key(key.value()) {
                Some(slot) => {
                    let (telling, at) = read_value(value.value());
                    rows.push(LedgerRow { slot, telling, at });
                }
                None => foreign += 1,
            }
        }
        Ok((rows, foreign))
    }

    /// Writes changes. With `sync` they, and all earlier ones, are on disk when this returns; without they are
    /// when the next synced ones are, or after [`Ledger::close`].
    pub(super) fn write(&self, changes: &[LedgerChange], sync: bool) -> Result<(), LedgerError> {
        let mut write = self.database.begin_write().map_err(LedgerError::write)?;
        let durability = if sync {
            Durability::Immediate
        } else {
            Durability::None
        };
        write
            .set_durability(durability)
            .map_err(LedgerError::write)?;
        {
            let mut table = write.open_table(ROWS).map_err(LedgerError::write)?;
            for change in changes {
                match change {
                    LedgerChange::Tell(slot, telling, at) => {
                        let value = write_value(*telling, *at);
                        table
                            .insert(slot.to_key().as_str(), value.as_str())
                            .map_err(LedgerError::write)?;
                    }
                    LedgerChange::Forget(slot) => {
                        table
                            .remove(slot.to_key().as_str())
                            .map_err(LedgerError::write)?;
                    }
                }
            }
        }
        write.commit().map_err(LedgerError::write)
    }
}

fn write_value(telling: Telling, at: SystemTime) -> String {
    let at = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    match telling {
        Telling::State(state) => format!("{at} {state}"),
        Telling::Counts(
            MessageCounts {
                new,
                old,
                urgent_new,
                urgent_old,
            },
            eid,
        ) => {
            format!("{at} {eid} {new} {old} {urgent_new} {urgent_old}")
        }
    }
}

fn read_value(text: &str) -> (Option<Telling>, SystemTime) {
    let fields: Vec<&str> = text.split(' ').collect();
    let ms = fields
        .first()
        .and_then(|at| at.parse().ok())
        .unwrap_or_default();
    let at = SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_millis(ms))
        .unwrap_or(SystemTime::UNIX_EPOCH);
    let telling = match fields.as_slice() {
        [_, state] => state.parse().ok().map(Telling::State),
        [_, eid, new, old, urgent_new, urgent_old] => (|| {
            let counts = MessageCounts {
                new: new.parse().ok()?,
                old: old.parse().ok()?,
                urgent_new: urgent_new.parse().ok()?,
                urgent_old: urgent_old.parse().ok()?,
            };
            Some(Telling::Counts(counts.checked().ok()?, eid.parse().ok()?))
        })(),
        _ => None,
    };
    (telling, at)
}

/// The ledger cannot be used. Without it nothing new is told to the PBX: it could not be taken back.
///
/// ```
/// use presence_mesh::bridge::asterisk::LedgerError;
/// let error = LedgerError::InUse { path: "asterisk.ledger".into() };
/// assert!(error.to_string().starts_with("the ledger asterisk.ledger is in use"));
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// A running node holds the file.
    #[error("the ledger {path} is in use: stop the node that runs with it first", path = path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be opened or made.
    #[error("the ledger {path} cannot be opened", path = path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        cause: Box<redb::Error>,
    },
    /// The file was written by another version.
    #[error("the ledger {path} has format {found}, this program reads format {FORMAT}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// Reading or writing failed; nothing of the batch was written.
    #[error("the ledger cannot be read or written")]
    Write(#[source] Box<redb::Error>),
}

impl LedgerError {
    fn write(cause: impl Into<redb::Error>) -> Self {
        Self::Write(Box::new(cause.into()))
    }
}

/// Either our own finding or the database's.
enum FormatOr {
    Format(LedgerError),
    Database(redb::Error),
}

impl FormatOr {
    fn unwrap_or_else(self, fail: impl FnOnce(redb::Error) -> LedgerError) -> LedgerError {
        match self {
            Self::Format(error) => error,
            Self::Database(cause) => fail(cause),
        }
    }
}

impl<E: Into<redb::Error>> From<E> for FormatOr {
    fn from(cause: E) -> Self {
        Self::Database(cause.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EID: Eid = Eid::from_bytes([2, 0, 0, 0, 0, 9]);

    fn device() -> Slot {
        Slot::Device("PJSIP/a b".into(), EID)
    }

    fn mailbox() -> Slot {
        Slot::Mailbox("100@default".into())
    }

    #[test]
    fn rows_survive_and_are_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger");
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let counts = Telling::Counts(
            MessageCounts {
                new: 1,
                old: 2,
                urgent_new: 3,
                urgent_old: 4,
            },
            EID,
        );
        let tell = [
            LedgerChange::Tell(device(), Telling::State(DeviceState::InUse), at),
            LedgerChange::Tell(mailbox(), counts, at),
        ];
        let ledger = Ledger::open(&path).expect("made");
        ledger.write(&tell, true).expect("written");
        drop(ledger);
        let ledger = Ledger::open(&path).expect("opened");
        let expected = vec![
            LedgerRow {
                slot: device(),
                telling: Some(Telling::State(DeviceState::InUse)),
                at,
            },
            LedgerRow {
                slot: mailbox(),
                telling: Some(counts),
                at,
            },
        ];
        assert_eq!(ledger.rows().expect("read"), (expected, 0));
        ledger
            .write(&[LedgerChange::Forget(device())], false)
            .expect("written");
        assert_eq!(ledger.rows().expect("read").0.len(), 1);
    }

    /// The file as it lies on disk when the process is killed: what was synced is there.
    #[test]
    fn a_synced_row_is_in_a_copy_of_the_open_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, copy) = (folder.path().join("ledger"), folder.path().join("copy"));
        let ledger = Ledger::open(&path).expect("made");
        let change = LedgerChange::Tell(
            device(),
            Telling::State(DeviceState::Ringing),
            SystemTime::now(),
        );
        ledger.write(&[change], true).expect("written");
        std::fs::copy(&path, &copy).expect("copied");
        let rows = Ledger::open(&copy)
            .expect("a killed process leaves a file that opens")
            .rows()
            .expect("read")
            .0;
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].slot, device());
    }

    #[test]
    fn a_ledger_in_use_a_foreign_file_and_another_format_are_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger");
        let ledger = Ledger::open(&path).expect("made");
        assert!(matches!(
            Ledger::open(&path),
            Err(LedgerError::InUse { .. })
        ));
        let write = ledger.database.begin_write().expect("a transaction");
        write
            .open_table(META)
            .expect("a table")
            .insert("format", 7)
            .expect("inserted");
        write.commit().expect("committed");
        drop(ledger);
        assert!(matches!(
            Ledger::open(&path),
            Err(LedgerError::Format { found: 7, .. })
        ));
        let foreign = folder.path().join("foreign");
        std::fs::write(&foreign, "this is not a ledger, it is a letter".repeat(100))
            .expect("written");
        assert!(matches!(
            Ledger::open(&foreign),
            Err(LedgerError::Broken { .. })
        ));
    }

    #[test]
    fn slots_are_taken_back_under_whom_they_were_told() {
        let last = Telling::Counts(MessageCounts::new(3, 1), EID);
        let other = Eid::from_bytes([2, 0, 0, 0, 0, 1]);
        assert_eq!(
            mailbox().body(None, Some(last), other).to_json(),
            r#"{"type":"mailboxstate","uniqueid":"100@default","old":0,"new":0,"eid":"02:00:00:00:00:09"}"#
        );
        assert_eq!(mailbox().body(None, None, other).eid(), other);
        assert!(
            device()
                .body(None, None, other)
                .to_json()
                .contains(r#""state":"INVALID","cachable":1,"eid":"02:00:00:00:00:09""#)
        );
    }
}
