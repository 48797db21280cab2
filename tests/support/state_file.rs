//! What lies in the saved state of a running node, as a killed process would leave it.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};

const ENTRIES: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("entries");

/// The names of all keys on the disk now. `None` when the copy was torn: then it was made in the midst of a write.
pub fn saved_keys(file: &Path) -> Option<BTreeSet<String>> {
    let copy = file.with_extension("copy");
    let _ = fs::remove_file(&copy);
    fs::copy(file, &copy).ok()?;
    let database = Database::builder()
        .set_check_integrity_on_open(true)
        .create(&copy)
        .ok()?;
    let read = database.begin_read().ok()?;
    let entries = read.open_table(ENTRIES).ok()?;
    let mut names = BTreeSet::new();
    for row in entries.iter().ok()? {
        let (key, _) = row.ok()?;
        // Four bytes of origin and one of space come before the name.
        names.insert(String::from_utf8_lossy(&key.value()[5..]).into_owned());
    }
    Some(names)
}
