//! Names for people: a directory that says whose phone a key is.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use csv::{ReaderBuilder, StringRecord};
use serde::{Deserialize, Serialize};

use crate::exit;

/// More would not be a directory of people; the file is read into memory as a whole.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
const HEADS: &str = "write the names of the columns there, as in key,name,extension,site";

/// Whose phone it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Person {
    pub key: String,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
    /// `None`: the node that says something of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
}

/// Reads a CSV file whose first line names its columns: `key` and `name`, and if wanted `extension` and `site`,
/// in any order.
pub fn read(path: &Path) -> anyhow::Result<Vec<Person>> {
    let load = || {
        let size = std::fs::metadata(path)?.len();
        anyhow::ensure!(size <= MAX_FILE_BYTES, "it is over {MAX_FILE_BYTES} bytes");
        Ok(std::fs::read_to_string(path)?)
    };
    let text = load().with_context(|| format!("cannot read {}", path.display()));
    let text = text.map_err(|error| exit::usage(format!("{error:#}")))?;
    parse(&text)
        .map_err(|(line, problem)| exit::usage(format!("{}:{line}: {problem}", path.display())))
}

/// The people, or which line is wrong, why, and what to do.
fn parse(text: &str) -> Result<Vec<Person>, (u64, String)> {
    // A quoted field that does not end goes on over the end of its line, of the last one, too.
    let text = format!("{}\n", text.trim_start_matches('\u{feff}'));
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut records = reader.records();
    let heads = match records.next() {
        Some(heads) => heads.map_err(unreadable)?,
        None => return Err((1, format!("the first line names no columns: {HEADS}"))),
    };
    let column = |name: &str| {
        heads
            .iter()
            .position(|head| head.trim().eq_ignore_ascii_case(name))
    };
    let needed = |name: &str| {
        let line = line_of(&text, &heads);
        column(name).ok_or_else(|| (line, format!("there is no column {name:?}: {HEADS}")))
    };
    let (key, name) = (needed("key")?, needed("name")?);
    let (extension, site) = (column("extension"), column("site"));
    let person = |record: csv::Result<StringRecord>| {
        let record = record.map_err(unreadable)?;
        let refused = |problem: &str| Err((line_of(&text, &record), problem.to_owned()));
        if record.iter().any(|field| field.contains('\n')) {
            return refused(
                "a quoted field does not end: give it its second quotation mark, and write one that belongs to it twice",
            );
        }
        if record.len() > heads.len() {
            let (fields, columns) = (record.len(), heads.len());
            return refused(&format!(
                "{fields} fields, but {columns} columns: put what has a comma in it in quotation marks"
            ));
        }
        let field = |column: usize| record.get(column).unwrap_or_default().trim().to_owned();
        let optional = |column: Option<usize>| column.map(field).filter(|field| !field.is_empty());
        let person = Person {
            key: field(key),
            name: field(name),
            extension: optional(extension),
            site: optional(site),
        };
        if person.key.is_empty() || person.name.is_empty() {
            return refused("a person needs a key and a name: fill in both, or remove the line");
        }
        Ok(person)
    };
    records.map(person).collect()
}

/// The line a record begins at. The reader's own count begins at the empty lines before it.
fn line_of(text: &str, record: &StringRecord) -> u64 {
    let Some(position) = record.position() else {
        return 1;
    };
    let start = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let rest = text.as_bytes().get(start..).unwrap_or_default();
    let breaks = rest.iter().take_while(|byte| b"\r\n".contains(byte));
    position.line() + breaks.filter(|&&byte| byte == b'\n').count() as u64
}

/// Text in memory is read whole, and records may differ in length: there is nothing left that could fail.
fn unreadable(error: csv::Error) -> (u64, String) {
    let line = error.position().map_or(1, csv::Position::line);
    (line, error.to_string())
}

/// Whose a key is, for people who read tables.
#[derive(Debug, Default)]
pub struct Directory {
    by_key: BTreeMap<String, Person>,
    /// The keys of those who have a number, by that.
    by_number: BTreeMap<String, String>,
}

impl Directory {
    /// Of two lines with one key the last counts, of two with one number the first.
    pub fn new(people: Vec<Person>) -> Self {
        let mut directory = Self::default();
        for person in people {
            let number = person.extension.as_deref();
            let number = number.unwrap_or_else(|| number_of(&person.key)).to_owned();
            let key = person.key.clone();
            directory.by_number.entry(number).or_insert(key.clone());
            directory.by_key.insert(key, person);
        }
        directory
    }

    /// The name of who has the key, or, of a mailbox, of who has its number.
    pub fn name(&self, key: &str) -> Option<&str> {
        let by_number = || {
            let (number, _context) = key.split_once('@')?;
            self.by_key.get(self.by_number.get(number)?)
        };
        let person = self.by_key.get(key).or_else(by_number)?;
        Some(&person.name)
    }
}

/// `100` of `PJSIP/100`.
fn number_of(key: &str) -> &str {
    key.rsplit(['/', ':']).next().unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_come_in_any_order_and_quotes_hold_commas() {
        let text = "\u{feff}Name,key,site\r\n\"Berger, Anna \"\"Anni\"\"\",PJSIP/100,Berlin\r\n\r\nLuc,PJSIP/101,\n";
        let people = parse(text).unwrap();
        let anna = Person {
            key: "PJSIP/100".into(),
            name: "Berger, Anna \"Anni\"".into(),
            extension: None,
            site: Some("Berlin".into()),
        };
        assert_eq!(people[0], anna);
        assert_eq!((people[1].name.as_str(), &people[1].site), ("Luc", &None));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let cases = [
            ("", 1, "names no columns: write"),
            ("\nkey,extension\na,1", 2, "\"name\": write"),
            ("key,name\na,b\n\r\n\nc", 5, "needs a key and a name: fill"),
            ("key,name\na,b,c", 2, "3 fields, but 2 columns: put"),
            ("key,name\na,\"b\nc,d\n", 2, "does not end: give"),
            ("key,name\na,b\nc,\"d", 3, "does not end: give"),
        ];
        for (text, line, problem) in cases {
            let (found, told) = parse(text).unwrap_err();
            assert!(
                found == line && told.contains(problem),
                "{text:?}: {found} {told}"
            );
        }
    }

    #[test]
    fn a_mailbox_is_its_owners_by_number() {
        let people = parse("key,name,extension\nPJSIP/abc,Anna,100\nPJSIP/101,Luc,\n").unwrap();
        let directory = Directory::new(people);
        let cases = [
            ("PJSIP/abc", Some("Anna")),
            ("100@default", Some("Anna")),
            ("101@sales", Some("Luc")),
            ("PJSIP/100", None),
            ("100", None),
            ("9@default", None),
        ];
        for (key, name) in cases {
            assert_eq!(directory.name(key), name, "{key}");
        }
    }
}
