//! Guides as a test reads them: every command, where it is to be run, and what it is said to print.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Languages of fences that hold no commands. Rust is compiled and run as documentation tests.
const NO_COMMANDS: [&str; 7] = ["csv", "ini", "rust", "rust,no_run", "text", "toml", "yaml"];

/// A command of a guide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// `docs/two-offices.md:12`
    pub place: String,
    /// The servers named in bold before it, those of its paragraph together.
    pub hosts: Vec<String>,
    /// As it is written; of several lines where its quotes, its here-document or a `\`, `|` or `&&` say so.
    pub command: String,
    /// The lines that it must print in this order, others between them or not; see [`fits`].
    pub says: Vec<String>,
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Markdown files of `docs`.
pub fn guides() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("docs")).expect("the folder can be read");
    let files = entries.map(|entry| entry.expect("the folder can be read").path());
    let mut guides: Vec<PathBuf> = files
        .filter(|file| file.extension().is_some_and(|end| end == "md"))
        .collect();
    guides.sort();
    guides
}

pub fn text(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The commands of a guide, in their order.
pub fn steps(file: &str) -> Vec<Step> {
    let text = text(file);
    let lines: Vec<&str> = text.lines().collect();
    let (mut steps, mut hosts): (Vec<Step>, Vec<String>) = (Vec::new(), Vec::new());
    let (mut in_paragraph, mut at) = (false, 0);
    while let Some(line) = lines.get(at) {
        at += 1;
        let Some(language) = line.trim_start().strip_prefix("```") else {
            let named = bold(line);
            if !in_paragraph && !named.is_empty() {
                hosts.clear();
            }
            in_paragraph = !line.trim().is_empty() && (in_paragraph || !named.is_empty());
            hosts.extend(named);
            continue;
        };
        in_paragraph = false;
        let length = lines[at..].iter().position(|line| line.trim() == "```");
        let end = at + length.unwrap_or_else(|| panic!("{file}:{at}: a fence without an end"));
        match language {
            "sh" => steps.extend(commands(&lines, at..end).map(|(line, command)| Step {
                place: format!("{file}:{}", line + 1),
                hosts: hosts.clone(),
                command,
                says: Vec::new(),
            })),
            "text" => {
                let last = steps.last_mut();
                let last = last.unwrap_or_else(|| panic!("{file}:{at}: which command says this?"));
                assert!(
                    last.says.is_empty(),
                    "{file}:{at}: which command says this?"
                );
                last.says = lines[at..end].iter().map(|&line| line.to_owned()).collect();
            }
            other => assert!(
                NO_COMMANDS.contains(&other),
                "{file}:{at}: what is a fence of {other:?}?"
            ),
        }
        at = end + 1;
    }
    steps
}

/// Words between two asterisks that could be the name of a server.
fn bold(line: &str) -> Vec<String> {
    let words = line.split("**").skip(1).step_by(2);
    let name = |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase());
    words.filter(name).map(str::to_owned).collect()
}

/// The commands among these lines, each with the number of its first line; lines of comments are left out.
fn commands<'a>(
    lines: &'a [&str],
    mut range: Range<usize>,
) -> impl Iterator<Item = (usize, String)> + 'a {
    std::iter::from_fn(move || {
        let first =
            range.find(|&at| !lines[at].trim().is_empty() && !lines[at].starts_with('#'))?;
        let mut command = lines[first].to_owned();
        let here = command
            .split_once("<<'")
            .and_then(|(_, rest)| rest.split_once('\''));
        let here = here.map(|(end, _)| end.to_owned());
        let goes_on = |command: &str| match &here {
            Some(end) => !command.ends_with(&format!("\n{end}")),
            None => [" \\", " |", " &&"]
                .iter()
                .any(|end| command.ends_with(end)),
        };
        while goes_on(&command) {
            let next = range
                .next()
                .unwrap_or_else(|| panic!("{command:?} has no end"));
            command = format!("{command}\n{}", lines[next]);
        }
        Some((first, command))
    })
}

/// What stands in the fences of a language.
pub fn blocks(file: &str, language: &str) -> Vec<String> {
    let text = text(file);
    let fenced = text.split("\n```").skip(1).step_by(2);
    let of_language = fenced
        .filter_map(|block| block.split_once('\n'))
        .filter(|(name, _)| *name == language);
    of_language.map(|(_, block)| block.to_owned()).collect()
}

/// Commands that prose names between backticks.
pub fn named_in_prose(text: &str) -> Vec<String> {
    let prose: String = text.split("```").step_by(2).collect();
    let code = prose
        .split('`')
        .skip(1)
        .step_by(2)
        .map(|code| code.replace('\n', " "));
    code.filter(|code| code.starts_with("presence-mesh "))
        .collect()
}

/// Whether a command's output holds these lines, in this order: `…` stands for anything, a span of time or an amount
/// for any other in the same unit, blanks for any number of blanks.
pub fn fits(says: &[String], output: &str) -> Result<(), String> {
    let mut lines = output.lines();
    for wanted in says.iter().filter(|line| !line.trim().is_empty()) {
        let pattern = plain(wanted);
        if !lines.any(|line| like(&pattern, &plain(line))) {
            return Err(wanted.clone());
        }
    }
    Ok(())
}

/// A line with single blanks, and without the numbers of its spans and amounts.
fn plain(line: &str) -> String {
    const UNITS: [&str; 8] = ["µs", "ms", "s", "min", "kB", "MB", "times)", "messages"];
    let mut words: Vec<&str> = line.split_whitespace().collect();
    for at in 1..words.len() {
        let unit = words[at].trim_end_matches([',', ':']);
        let number = words[at - 1]
            .chars()
            .all(|c| c.is_ascii_digit() || ".,".contains(c));
        if UNITS.contains(&unit) && number {
            words[at - 1] = "N";
        }
    }
    words.join(" ")
}

fn like(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        if let Some(part) = last.replace(part) {
            let Some((_, after)) = rest.split_once(part) else {
                return false;
            };
            rest = after;
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}
