//! The configuration file.

use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::given::Given;
use super::schema::{self, ENTRIES};
use super::{Problem, Settings};

/// Sets what the file says; every problem is told, with its line.
pub fn apply(settings: &mut Settings, path: &Path, text: &str, problems: &mut Vec<Problem>) {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut problem = |span: Range<usize>, message: String| {
        let line = 1 + text.as_bytes()[..span.start.min(text.len())]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        problems.push(Problem {
            place: format!("{}:{line}", path.display()),
            message,
        });
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // What follows a syntax error may not be what was meant.
        for error in errors {
            problem(error.span().unwrap_or_default(), error.message().to_owned());
        }
        return;
    }
    let mut set = |section: &str, table: &DeTable<'_>| {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if section.is_empty() && schema::sections().any(|section| section == name) {
                continue;
            }
            let Some(entry) = ENTRIES
                .iter()
                .find(|entry| entry.section == section && entry.name == name)
            else {
                problem(key.span(), unknown(section, name, value.get_ref()));
                continue;
            };
            if let Err(message) = entry.apply(settings, Given::Toml(value.get_ref()), Some(folder))
            {
                problem(value.span(), message);
            }
        }
    };
    set("", document.get_ref());
    let mut not_sections = Vec::new();
    for section in schema::sections() {
        let Some((key, value)) = document.get_ref().get_key_value(section) else {
            continue;
        };
        match value.get_ref() {
            DeValue::Table(table) => set(section, table),
            _ => not_sections.push((
                key.span(),
                format!("{section}: must be a section, [{section}]"),
            )),
        }
    }
    for (span, message) in not_sections {
        problem(span, message);
    }
    problems.sort_by_key(|problem| {
        problem
            .place
            .rsplit_once(':')
            .and_then(|(_, line)| line.parse::<usize>().ok())
    });
}

fn unknown(section: &str, name: &str, value: &DeValue<'_>) -> String {
    let what = if matches!(value, DeValue::Table(_)) {
        "section"
    } else {
        "key"
    };
    let full = if section.is_empty() {
        name.to_owned()
    } else {
        format!("{section}.{name}")
    };
    format!(
        "unknown {what} {full:?}, the nearest known key is {}",
        schema::nearest(section, name)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let all = Settings::from_text(text, Path::new("/x/pm.toml"))
            .err()
            .unwrap_or_default();
        all.into_iter()
            .map(|problem| format!("{}: {}", problem.place, problem.message))
            .collect()
    }

    #[test]
    fn an_unknown_key_is_told_with_line_and_nearest_key() {
        let text = "mesh = \"a\"\n\nlisen = [\"0.0.0.0:1\"]\n[discovery]\nmdsn = true\n[discovry]\nkad = true\n";
        let expected = [
            "/x/pm.toml:3: unknown key \"lisen\", the nearest known key is listen",
            "/x/pm.toml:5: unknown key \"discovery.mdsn\", the nearest known key is discovery.mdns",
            "/x/pm.toml:6: unknown section \"discovry\", the nearest known key is [discovery]",
        ];
        assert_eq!(problems(text), expected);
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_told_with_its_line() {
        let cases = [
            (
                "mesh = 3",
                "/x/pm.toml:1: mesh: must be a text, not a whole number",
            ),
            (
                "\nlisten = \"0.0.0.0:1\"",
                "/x/pm.toml:2: listen: must be a list of texts, not a text",
            ),
            (
                "join = [1]",
                "/x/pm.toml:1: join: must be a list of texts, not a list of something else",
            ),
            (
                "[discovery]\nmdns = \"on\"",
                "/x/pm.toml:2: discovery.mdns: must be true or false, not a text",
            ),
            (
                "[timing]\nbeat = 3",
                "/x/pm.toml:2: timing.beat: must be a text such as \"250ms\" or \"3s\", not a whole number",
            ),
            (
                "[limits]\nkey_bytes = 0",
                "/x/pm.toml:2: limits.key_bytes: must be 1 to 255, not 0",
            ),
            (
                "[limits]\norigins = -1",
                "/x/pm.toml:2: limits.origins: must be a whole number, 0 or more, not \"-1\"",
            ),
            (
                "preset = \"fast\"",
                "/x/pm.toml:1: preset: must be lan, wan or local, not \"fast\"",
            ),
            (
                "discovery = 1",
                "/x/pm.toml:1: discovery: must be a section, [discovery]",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(problems(text), [expected]);
        }
    }

    #[test]
    fn every_problem_is_told_in_the_order_of_lines() {
        let text = "[timing]\nbeat = \"x\"\n[http]\nlisten = \"y\"\n[asterisk]\nserver = \"z\"\n[security]\nban = [\"w\"]";
        let lines: Vec<String> = problems(text)
            .iter()
            .map(|line| line[..12].to_owned())
            .collect();
        assert_eq!(
            lines,
            [
                "/x/pm.toml:2",
                "/x/pm.toml:4",
                "/x/pm.toml:6",
                "/x/pm.toml:8"
            ]
        );
    }

    #[test]
    fn what_is_no_toml_is_told_with_its_line() {
        let all = problems("mesh = \"a\"\nnode = \n");
        assert!(all[0].starts_with("/x/pm.toml:2: "), "{all:?}");
        let all = problems("mesh = \"a\"\nmesh = \"b\"\n");
        assert!(all[0].starts_with("/x/pm.toml:2: "), "{all:?}");
    }

    /// The example of the contract, as it stands there.
    #[test]
    fn the_documented_example_is_good() {
        let text = r#"
mesh = "acme"                 # meshes with other names never mix
node = "berlin"               # shown to people
key_file = "mesh.key"         # shared by all nodes
data_dir = "/var/lib/presence-mesh"
listen = ["0.0.0.0:4747"]
join = ["paris.example.net:4747"]
preset = "lan"                # lan | wan | local
[discovery]
mdns = true
kad = false
[http]
listen = "127.0.0.1:4780"
[limits]
entries_per_origin = 1000
key_bytes = 255
value_bytes = 4096
[timing]
beat = "250ms"
stale_after = "3s"
gone_after = "10s"
forget_after = "7d"
[security]
allow = []
ban = []
[mailboxes]
merge = "sum"
[asterisk]
listen = "127.0.0.1:5099"
server = "sip:mesh@127.0.0.1:5060"
username = "mesh"
password_file = "asterisk.secret"
export = ["PJSIP/*"]
import = ["*"]
"#;
        assert_eq!(problems(text), [""; 0]);
    }
}
