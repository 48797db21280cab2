//! Every public item of the API has an example, async functions say what dropping their futures does, and enums can
//! grow. Reads the sources, as `layering.rs` does; that the examples compile and hold is what the doctests are for.
//!
//! A type has an example in its own docs. A function is named in an example of its own docs or of its type's. The
//! layers below the API (`crdt`, `wire`, `proto`, `sim`, `zoo`) have one for each module, and for what the API
//! re-exports of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders and files of the API. Inner types that stand there as well are `pub(crate)` or below.
const API: [&str; 29] = [
    "blocking",
    "blocking.rs",
    "bridge",
    "bridge.rs",
    "config.rs",
    "error.rs",
    "events.rs",
    "mesh",
    "mesh.rs",
    "metrics",
    "metrics.rs",
    "model",
    "net/config.rs",
    "net/counters.rs",
    "net/invites.rs",
    "net/links.rs",
    "net/links_table.rs",
    "net/redeem.rs",
    "persist.rs",
    "proto/config.rs",
    "proto/counters.rs",
    "proto/error.rs",
    "proto/shown.rs",
    "proto/statistics.rs",
    "space",
    "space.rs",
    "watch.rs",
    "wire/invite.rs",
    "wire/keys.rs",
];

/// Modules with an example of their own.
const LAYERS: [&str; 5] = ["crdt.rs", "proto.rs", "sim.rs", "wire.rs", "zoo.rs"];

/// Types that need no example, and why.
const EXEMPT: [(&str, &str); 3] = [
    ("Config", "of the sans-io core: in the example of `proto`"),
    ("NetConfig", "public in a private module only"),
    ("StateFile", "public in a private module only"),
];

/// A public type or function.
#[derive(Debug)]
struct Item {
    place: String,
    /// The type it belongs to; its own name for a type, none for a function outside of one.
    owner: String,
    name: String,
    what: What,
    docs: String,
    attributes: String,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    Type,
    Enum,
    Function,
    Async,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files() -> Vec<PathBuf> {
    let mut waiting: Vec<PathBuf> = API.iter().map(|name| root().join(name)).collect();
    let mut files = Vec::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("sources can be read");
            waiting.extend(entries.map(|entry| entry.expect("sources can be read").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The public items of a file, those hidden from the docs left out. Reads what rustfmt writes: items of a file
/// begin at the margin, those of an `impl` four spaces from it.
fn items(path: &Path) -> Vec<Item> {
    let text = fs::read_to_string(path).expect("sources can be read");
    let place = path.strip_prefix(root()).expect("it is below src");
    let (mut items, mut owner) = (Vec::new(), String::new());
    let (mut docs, mut attributes, mut open) = (String::new(), String::new(), false);
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if line == "mod tests {" {
            break;
        }
        if let Some(doc) = trimmed.strip_prefix("///") {
            docs.push_str(doc.trim());
            docs.push('\n');
            continue;
        }
        if open || trimmed.starts_with("#[") {
            attributes.push_str(trimmed);
            open = !trimmed.ends_with(']');
            continue;
        }
        if let Some(rest) = line.strip_prefix("impl") {
            owner = implemented(rest);
        }
        let indent = line.len() - trimmed.len();
        if indent <= 4
            && let Some((what, name)) = declared(trimmed)
        {
            let is_type = matches!(what, What::Type | What::Enum);
            let of_owner = indent == 4 && !owner.is_empty();
            if (indent == 0 || of_owner && !is_type) && !attributes.contains("doc(hidden)") {
                items.push(Item {
                    place: format!("src/{}:{}", place.display(), number + 1),
                    owner: match (is_type, of_owner) {
                        (true, _) => name.clone(),
                        (false, true) => owner.clone(),
                        (false, false) => String::new(),
                    },
                    name,
                    what,
                    docs: std::mem::take(&mut docs),
                    attributes: std::mem::take(&mut attributes),
                });
            }
        }
        docs.clear();
        attributes.clear();
    }
    items
}

/// The type of which a block implements methods; empty when it implements a trait, whose methods have docs of
/// their own.
fn implemented(after_impl: &str) -> String {
    if after_impl.contains(" for ") {
        return String::new();
    }
    // Past the parameters of the block.
    let mut depth = 0;
    let subject = after_impl.trim_start_matches(|c| {
        depth += i32::from(c == '<') - i32::from(c == '>');
        depth > 0 || c == '>' || c == ' '
    });
    word(subject)
}

/// What a line declares to everyone, and its name.
fn declared(line: &str) -> Option<(What, String)> {
    let mut rest = line.strip_prefix("pub ")?;
    let mut is_async = false;
    for qualifier in ["const ", "async "] {
        if let Some(after) = rest.strip_prefix(qualifier) {
            is_async |= qualifier == "async ";
            rest = after;
        }
    }
    let (kind, rest) = rest.split_once(' ')?;
    let what = match kind {
        "struct" | "trait" | "type" => What::Type,
        "enum" => What::Enum,
        "fn" if is_async => What::Async,
        "fn" => What::Function,
        _ => return None,
    };
    Some((what, word(rest)))
}

fn word(text: &str) -> String {
    let part_of_a_name = |c: &char| c.is_alphanumeric() || *c == '_';
    text.chars().take_while(part_of_a_name).collect()
}

/// What stands in the blocks of Rust code of docs, hidden lines left out.
fn example(docs: &str) -> String {
    let (mut inside, mut code) = (None, String::new());
    for line in docs.lines().map(str::trim) {
        if let Some(language) = line.strip_prefix("```") {
            let rust = matches!(language, "" | "no_run");
            inside = if inside.is_none() { Some(rust) } else { None };
        } else if inside == Some(true) && !line.starts_with("# ") {
            code.push_str(line);
            code.push('\n');
        }
    }
    code
}

/// Whether code names it as a whole word.
fn names(code: &str, name: &str) -> bool {
    let part_of_a_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name).any(|(at, _)| {
        !code[..at].ends_with(part_of_a_name)
            && !code[at + name.len()..].starts_with(part_of_a_name)
    })
}

fn all_items() -> Vec<Item> {
    let items: Vec<Item> = files().iter().flat_map(|path| items(path)).collect();
    // A reader that misses items would find nothing wrong with them.
    for known in [
        "Mesh::leave",
        "Space::set_many",
        "Asterisk::shutdown",
        "MessageCounts::plus",
    ] {
        let there = |item: &Item| format!("{}::{}", item.owner, item.name) == known;
        assert!(items.iter().any(there), "{known} was not found");
    }
    let exempt = |item: &Item| EXEMPT.iter().any(|(name, _)| *name == item.owner);
    items.into_iter().filter(|item| !exempt(item)).collect()
}

fn complain(wrong: Vec<&Item>, what: &str) {
    let lines: Vec<String> = wrong
        .iter()
        .map(|item| format!("{}: {} {}", item.place, item.owner, item.name))
        .collect();
    assert!(
        lines.is_empty(),
        "{} {what}:\n{}",
        lines.len(),
        lines.join("\n")
    );
}

#[test]
fn every_public_item_has_an_example() {
    let items = all_items();
    // Types of the same name in different files: any one's example will do for its methods.
    let mut of_types: BTreeMap<&str, String> = BTreeMap::new();
    for item in items.iter().filter(|item| item.owner == item.name) {
        of_types
            .entry(&item.name)
            .or_default()
            .push_str(&example(&item.docs));
    }
    let lacks = |item: &&Item| match item.what {
        What::Type | What::Enum => example(&item.docs).is_empty(),
        What::Function | What::Async => {
            let of_type = of_types.get(item.owner.as_str()).map_or("", String::as_str);
            !names(&example(&item.docs), &item.name) && !names(of_type, &item.name)
        }
    };
    let wrong = items.iter().filter(lacks).collect();
    complain(wrong, "items have no example that names them");
}

#[test]
fn async_functions_say_what_dropping_the_future_does() {
    let items = all_items();
    let silent = |item: &&Item| {
        let docs = item.docs.to_lowercase().replace('\n', " ");
        let said = docs.contains("cancel safe") || docs.contains("dropping the future");
        item.what == What::Async && !said
    };
    let wrong = items.iter().filter(silent).collect();
    complain(
        wrong,
        "async functions do not say whether they are cancel safe",
    );
}

#[test]
fn public_enums_can_grow() {
    let items = all_items();
    let closed =
        |item: &&Item| item.what == What::Enum && !item.attributes.contains("#[non_exhaustive]");
    complain(items.iter().filter(closed).collect(), "enums cannot grow");
}

#[test]
fn every_layer_shows_how_it_is_used() {
    for layer in LAYERS {
        let text = fs::read_to_string(root().join(layer)).expect("sources can be read");
        let docs: Vec<&str> = text
            .lines()
            .map_while(|line| line.strip_prefix("//!"))
            .collect();
        let code = example(&docs.join("\n"));
        assert!(!code.is_empty(), "src/{layer} has no example");
    }
}
