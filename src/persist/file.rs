//! The file.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase as _, StorageError, Table,
    TableDefinition, WriteTransaction,
};

use super::rows::{
    Head, Number, OWN, entry_bytes, facts_bytes, from_bytes, key_bytes, read_entry, read_facts,
    read_key, to_bytes,
};
use crate::crdt::Entry;
use crate::model::{Incarnation, Key, ReplicaId};
use crate::proto::{Changes, OriginChanges, Saved, SavedOrigin};
use crate::wire::MeshId;

type Rows = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// `format`, `mesh`, `replica`, `head`.
const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
/// By public key: number and facts.
const ORIGINS: Rows = TableDefinition::new("origins");
/// By number and key: entries, our own included.
const ENTRIES: Rows = TableDefinition::new("entries");
/// By public key: last incarnation and frame.
const GRAVES: Rows = TableDefinition::new("graves");

/// The version of what lies in the tables. A file of another one is not guessed at.
const FORMAT: u64 = 1;
/// Pages kept in memory. Everything is read once and written in passing: more would help nobody.
const CACHE_BYTES: usize = 16 << 20;
/// What is taken of the replica at once, in bytes: a millisecond's work, so that nobody waits longer for it.
const SLICE_BYTES: usize = 128 << 10;

/// The open file.
#[derive(Debug)]
pub(super) struct StateFile {
    database: Database,
    pub(super) path: PathBuf,
    pub(super) me: ReplicaId,
    pub(super) mesh: MeshId,
    numbers: BTreeMap<ReplicaId, Number>,
    next: Number,
}

/// Why a file cannot be used.
#[derive(Debug)]
pub(super) enum Unusable {
    /// Somebody has it open.
    InUse,
    /// It is there and makes no sense.
    Broken(String),
    /// The disk or the folder.
    Io(io::Error),
}

impl StateFile {
    /// Opens the file, readable by its owner alone, or makes it; checks every page and reads all there is.
    pub(super) fn open(
        path: &Path,
        me: ReplicaId,
        mesh: MeshId,
    ) -> Result<(Self, Saved), Unusable> {
        // The database promises errors for files it did not write; should it panic all the same, that says as much.
        catch_unwind(|| Self::open_unguarded(path, me, mesh))
            .unwrap_or_else(|_| Err(Unusable::Broken("reading it panicked".to_owned())))
    }

    fn open_unguarded(path: &Path, me: ReplicaId, mesh: MeshId) -> Result<(Self, Saved), Unusable> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        drop(options.mode(0o600).open(path).map_err(Unusable::Io)?);
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(true)
            .create(path)?;
        let mut file = Self {
            database,
            path: path.to_owned(),
            me,
            mesh,
            numbers: BTreeMap::new(),
            next: OWN + 1,
        };
        let read = file.database.begin_read().map_err(storage)?;
        let blank = read.list_tables().map_err(storage)?.next().is_none();
        if blank {
            drop(read);
            file.prepare().map_err(|error| Unusable::from(*error))?;
            return Ok((file, Saved::default()));
        }
        let saved = file.read(&read)?;
        Ok((file, saved))
    }

    /// Makes the tables of a new file.
    fn prepare(&self) -> Result<(), Box<redb::Error>> {
        let write = self.database.begin_write().map_err(boxed)?;
        {
            let mut meta = write.open_table(META).map_err(boxed)?;
            let format = FORMAT.to_le_bytes();
            for (name, value) in [
                ("format", &format[..]),
                ("mesh", self.mesh.as_bytes()),
                ("replica", self.me.public_key()),
            ] {
                meta.insert(name, value).map_err(boxed)?;
            }
            for table in [ORIGINS, ENTRIES, GRAVES] {
                write.open_table(table).map_err(boxed)?;
            }
        }
        write.commit().map_err(boxed)
    }

    fn read(&mut self, read: &ReadTransaction) -> Result<Saved, Unusable> {
        let meta = read.open_table(META).map_err(storage)?;
        let value = |name| -> Result<Option<Vec<u8>>, Unusable> {
            let value = meta.get(name).map_err(storage)?;
            Ok(value.map(|value| value.value().to_vec()))
        };
        match value("format")? {
            Some(found) if found == FORMAT.to_le_bytes() => {}
            Some(found) => {
                let found = <[u8; 8]>::try_from(found).map_or(0, u64::from_le_bytes);
                return Err(broken(format!(
                    "its format is {found}, this program reads {FORMAT}"
                )));
            }
            None => return Err(broken("it is no saved state of a node")),
        }
        if value("mesh")?.as_deref() != Some(self.mesh.as_bytes()) {
            return Err(broken("it belongs to another mesh"));
        }
        if value("replica")?.as_deref() != Some(self.me.public_key()) {
            return Err(broken("it belongs to another identity"));
        }
        let head: Head = match value("head")? {
            Some(bytes) => from_bytes(&bytes).ok_or_else(|| broken("its head makes no sense"))?,
            None => Head {
                next: OWN + 1,
                ..Head::default()
            },
        };
        self.next = head.next;
        let mut saved = Saved {
            incarnation: head.incarnation,
            hlc: head.hlc,
            wall_ms: head.wall_ms,
            ..Saved::default()
        };
        let mut entries = read_entries(read)?;
        saved.own = entries.remove(&OWN).unwrap_or_default();
        for row in rows(read, ORIGINS)? {
            let (replica, bytes) = row?;
            let row = replica_id(&replica).zip(read_facts(&bytes, &self.mesh));
            let (replica, (number, facts)) =
                row.ok_or_else(|| broken("an origin makes no sense"))?;
            self.numbers.insert(replica, number);
            let entries = entries.remove(&number).unwrap_or_default();
            saved.others.insert(replica, SavedOrigin { facts, entries });
        }
        if !entries.is_empty() {
            return Err(broken("it holds entries of nobody"));
        }
        for row in rows(read, GRAVES)? {
            let (replica, bytes) = row?;
            let end: Option<(Incarnation, u64)> = from_bytes(&bytes);
            let row = replica_id(&replica).zip(end);
            let (replica, end) = row.ok_or_else(|| broken("a grave makes no sense"))?;
            saved.graves.insert(replica, end);
        }
        Ok(saved)
    }

    /// Writes all changes there are in one transaction; they are on disk when this returns. Says whether there
    /// were any. After an error the file is not to be used any more.
    pub(super) fn write(
        &mut self,
        mut changes: impl FnMut(usize) -> Option<Changes>,
    ) -> Result<bool, String> {
        let written = catch_unwind(AssertUnwindSafe(|| {
            let Some(first) = changes(SLICE_BYTES) else {
                return Ok(false);
            };
            self.write_all(first, &mut changes)
                .map(|()| true)
                .map_err(|error| error.to_string())
        }));
        written.unwrap_or_else(|_| Err("writing panicked".to_owned()))
    }

    fn write_all(
        &mut self,
        first: Changes,
        changes: &mut impl FnMut(usize) -> Option<Changes>,
    ) -> Result<(), Box<redb::Error>> {
        let write = self.database.begin_write().map_err(boxed)?;
        let mut next = Some(first);
        let mut transaction = Transaction::begin(&write, &mut self.numbers, &mut self.next)?;
        while let Some(piece) = next.take() {
            let complete = piece.complete;
            transaction.apply(self.me, piece)?;
            if !complete {
                next = changes(SLICE_BYTES);
            }
        }
        drop(transaction);
        write.commit().map_err(boxed)
    }
}

/// The tables during one transaction.
struct Transaction<'a> {
    meta: Table<'a, &'static str, &'static [u8]>,
    origins: Table<'a, &'static [u8], &'static [u8]>,
    entries: Table<'a, &'static [u8], &'static [u8]>,
    graves: Table<'a, &'static [u8], &'static [u8]>,
    numbers: &'a mut BTreeMap<ReplicaId, Number>,
    next: &'a mut Number,
}

impl<'a> Transaction<'a> {
    fn begin(
        write: &'a WriteTransaction,
        numbers: &'a mut BTreeMap<ReplicaId, Number>,
        next: &'a mut Number,
    ) -> Result<Self, Box<redb::Error>> {
        Ok(Self {
            meta: write.open_table(META).map_err(boxed)?,
            origins: write.open_table(ORIGINS).map_err(boxed)?,
            entries: write.open_table(ENTRIES).map_err(boxed)?,
            graves: write.open_table(GRAVES).map_err(boxed)?,
            numbers,
            next,
        })
    }

    fn apply(&mut self, me: ReplicaId, changes: Changes) -> Result<(), Box<redb::Error>> {
        if changes.anew {
            for table in [&mut self.origins, &mut self.entries, &mut self.graves] {
                table.retain(|_, _| false).map_err(boxed)?;
            }
            self.numbers.clear();
        }
        for origin in changes.origins {
            self.apply_origin(me, origin)?;
        }
        for (replica, end) in changes.graves {
            let key = &replica.public_key()[..];
            match end {
                Some(end) => drop(
                    self.graves
                        .insert(key, &to_bytes(&end)[..])
                        .map_err(boxed)?,
                ),
                None => drop(self.graves.remove(key).map_err(boxed)?),
            }
        }
        let head = Head {
            incarnation: changes.incarnation,
            hlc: changes.hlc,
            wall_ms: changes.wall_ms,
            next: *self.next,
        };
        self.meta
            .insert("head", &to_bytes(&head)[..])
            .map_err(boxed)?;
        Ok(())
    }

    fn apply_origin(
        &mut self,
        me: ReplicaId,
        changes: OriginChanges,
    ) -> Result<(), Box<redb::Error>> {
        let replica = changes.replica;
        let known = self.numbers.get(&replica).copied();
        let key = &replica.public_key()[..];
        let number = match (&changes.facts, known) {
            _ if replica == me => OWN,
            (Some(facts), known) => {
                let number = known.unwrap_or(*self.next);
                if known.is_none() {
                    *self.next += 1;
                    self.numbers.insert(replica, number);
                }
                let facts = facts_bytes(number, facts);
                self.origins.insert(key, &facts[..]).map_err(boxed)?;
                number
            }
            (None, Some(number)) => {
                self.numbers.remove(&replica);
                self.origins.remove(key).map_err(boxed)?;
                return self.drop_entries(number);
            }
            (None, None) => return Ok(()),
        };
        if changes.anew && (number == OWN || known.is_some()) {
            self.drop_entries(number)?;
        }
        for (key, entry) in changes.rows {
            let key = key_bytes(number, &key);
            match entry {
                Some(entry) => drop(
                    self.entries
                        .insert(&key[..], &entry_bytes(&entry)[..])
                        .map_err(boxed)?,
                ),
                None => drop(self.entries.remove(&key[..]).map_err(boxed)?),
            }
        }
        Ok(())
    }

    fn drop_entries(&mut self, number: Number) -> Result<(), Box<redb::Error>> {
        let (from, to) = (number.to_be_bytes(), (number + 1).to_be_bytes());
        self.entries
            .retain_in(&from[..]..&to[..], |_, _| false)
            .map_err(boxed)
    }
}

/// All entries, by their origin's number.
fn read_entries(
    read: &ReadTransaction,
) -> Result<BTreeMap<Number, BTreeMap<Key, Entry>>, Unusable> {
    let mut all: BTreeMap<Number, Vec<(Key, Entry)>> = BTreeMap::new();
    let mut last: Option<(Number, Vec<(Key, Entry)>)> = None;
    for row in rows(read, ENTRIES)? {
        let (key, bytes) = row?;
        let row = read_key(&key).zip(read_entry(&bytes));
        let ((number, key), entry) = row.ok_or_else(|| broken("an entry makes no sense"))?;
        match &mut last {
            Some((current, entries)) if *current == number => entries.push((key, entry)),
            _ => all.extend(last.replace((number, vec![(key, entry)]))),
        }
    }
    all.extend(last);
    // They are in order already, of which the map makes use.
    let maps = all
        .into_iter()
        .map(|(number, entries)| (number, entries.into_iter().collect()));
    Ok(maps.collect())
}

type Row = (Vec<u8>, Vec<u8>);

fn rows(
    read: &ReadTransaction,
    table: Rows,
) -> Result<impl Iterator<Item = Result<Row, Unusable>>, Unusable> {
    let table = read.open_table(table).map_err(storage)?;
    let rows = table.range::<&[u8]>(..).map_err(storage)?;
    Ok(rows.map(|row| {
        let (key, value) = row.map_err(storage)?;
        Ok((key.value().to_vec(), value.value().to_vec()))
    }))
}

fn replica_id(bytes: &[u8]) -> Option<ReplicaId> {
    Some(ReplicaId::from_public_key(bytes.try_into().ok()?))
}

fn broken(reason: impl Into<String>) -> Unusable {
    Unusable::Broken(reason.into())
}

fn boxed(error: impl Into<redb::Error>) -> Box<redb::Error> {
    Box::new(error.into())
}

fn storage(error: impl Into<redb::Error>) -> Unusable {
    Unusable::from(error.into())
}

impl From<redb::Error> for Unusable {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Self::InUse,
            // Cut off, or begun with something else.
            redb::Error::Io(error)
                if [io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof]
                    .contains(&error.kind()) =>
            {
                Self::Broken(error.to_string())
            }
            redb::Error::Io(error) => Self::Io(error),
            other => Self::Broken(other.to_string()),
        }
    }
}

impl From<DatabaseError> for Unusable {
    fn from(error: DatabaseError) -> Self {
        redb::Error::from(error).into()
    }
}

impl From<StorageError> for Unusable {
    fn from(error: StorageError) -> Self {
        redb::Error::from(error).into()
    }
}

#[cfg(test)]
mod tests;
