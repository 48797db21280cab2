//! Names for people: a directory that says whose phone a key is.

use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::exit;

/// More would not be a directory of people; the file is read into memory as a whole.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

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

/// The people, or which line is wrong and why.
fn parse(text: &str) -> Result<Vec<Person>, (usize, String)> {
    let mut records = records(text.trim_start_matches('\u{feff}'))?.into_iter();
    let (_, heads) = records
        .next()
        .ok_or_else(|| (1, "the first line names no columns".to_owned()))?;
    let column = |name: &str| {
        heads
            .iter()
            .position(|head| head.trim().eq_ignore_ascii_case(name))
    };
    let needed =
        |name: &str| column(name).ok_or_else(|| (1, format!("there is no column {name:?}")));
    let (key, name) = (needed("key")?, needed("name")?);
    let (extension, site) = (column("extension"), column("site"));
    let person = |(line, fields): (usize, Vec<String>)| {
        let field = |column: usize| {
            fields
                .get(column)
                .map(|field| field.trim().to_owned())
                .unwrap_or_default()
        };
        let optional = |column: Option<usize>| column.map(field).filter(|field| !field.is_empty());
        let person = Person {
            key: field(key),
            name: field(name),
            extension: optional(extension),
            site: optional(site),
        };
        if fields.len() > heads.len() {
            return Err((
                line,
                format!("{} fields, but {} columns", fields.len(), heads.len()),
            ));
        }
        if person.key.is_empty() || person.name.is_empty() {
            return Err((line, "a person needs a key and a name".to_owned()));
        }
        Ok(person)
    };
    records.map(person).collect()
}

/// A record's fields, and the line it begins at.
type Record = (usize, Vec<String>);

/// The records of a CSV file (RFC 4180) with the line each begins at; empty lines are passed over.
fn records(text: &str) -> Result<Vec<Record>, (usize, String)> {
    let mut records = Vec::new();
    let (mut line, mut began) = (1, 1);
    let mut fields: Vec<String> = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        line += usize::from(letter == '\n');
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => field.extend(letters.next()),
            '"' if quoted || field.is_empty() => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            '\r' if !quoted && letters.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                if !(fields.is_empty() && field.is_empty()) {
                    fields.push(std::mem::take(&mut field));
                    records.push((began, std::mem::take(&mut fields)));
                }
                began = line;
            }
            letter => field.push(letter),
        }
    }
    if quoted {
        return Err((began, "a quoted field does not end".to_owned()));
    }
    if !(fields.is_empty() && field.is_empty()) {
        fields.push(field);
        records.push((began, fields));
    }
    Ok(records)
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
            ("", 1, "no columns"),
            ("key,extension\na,1", 1, "\"name\""),
            ("key,name\na,b\nc", 3, "needs a key and a name"),
            ("key,name\na,b,c", 2, "3 fields, but 2 columns"),
            ("key,name\na,\"b\n\n", 2, "does not end"),
        ];
        for (text, line, problem) in cases {
            let (found, told) = parse(text).unwrap_err();
            assert!(
                found == line && told.contains(problem),
                "{text:?}: {found} {told}"
            );
        }
    }
}
