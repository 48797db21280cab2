//! The PBX's own configuration, compared with what the bridge needs.

use std::fs;
use std::path::Path;

use super::report::Report;
use crate::bridge;
use crate::settings::Settings;

/// A block of `pjsip.conf`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Block {
    name: String,
    kind: String,
    /// It takes keys from elsewhere, too.
    inherits: bool,
    keys: Vec<(String, String)>,
}

/// Compares `file` with what `asterisk config` prints.
pub fn check(settings: &Settings, file: Option<&Path>, report: &mut Report) {
    let Some(file) = file else {
        return report.skipped(
            "pjsip-conf",
            "no --pjsip FILE: only what the PBX answers is judged".to_owned(),
        );
    };
    let name = file.display();
    let (wanted, found) = match (bridge::pjsip_text(settings), fs::read_to_string(file)) {
        (Ok(wanted), Ok(found)) => (wanted, found),
        (Err(error), _) => {
            return report.wrong_with("pjsip-conf", format!("{error:#}"), "correct [asterisk]");
        }
        (_, Err(error)) => {
            return report.wrong_with(
                "pjsip-conf",
                format!("{name} cannot be read: {error}"),
                "name the right file, or run doctor as root",
            );
        }
    };
    let problems = compare(&blocks(&wanted), &blocks(&found));
    if problems.is_empty() {
        return report.fine("pjsip-conf", format!("{name} has all blocks"));
    }
    let elsewhere = if found
        .lines()
        .any(|line| line.trim_start().starts_with("#include"))
    {
        " (what it includes was not read)"
    } else {
        ""
    };
    for problem in problems {
        report.wrong_with(
            "pjsip-conf",
            format!("{name}: {problem}{elsewhere}"),
            "presence-mesh asterisk config prints the blocks; then asterisk -rx 'core reload'",
        );
    }
}

fn compare(wanted: &[Block], found: &[Block]) -> Vec<String> {
    let mut problems = Vec::new();
    for block in wanted {
        let Block { name, kind, .. } = block;
        let same = |other: &&Block| other.name == *name && other.kind == *kind;
        let Some(there) = found.iter().find(same) else {
            problems.push(format!("[{name}] type={kind} is missing"));
            continue;
        };
        for (key, value) in &block.keys {
            let value_there = there.keys.iter().rfind(|(other, _)| other == key);
            match value_there {
                // The password is not ours to print; lifetimes are a matter of taste.
                _ if ["password", "expiration"].contains(&key.as_str()) => {}
                Some((_, other)) if essence(key, other) == essence(key, value) => {}
                Some((_, other)) => problems.push(format!(
                    "[{name}] type={kind} has {key}={other}, it must be {value}"
                )),
                None if there.inherits => {}
                None => problems.push(format!("[{name}] type={kind} lacks {key}={value}")),
            }
        }
    }
    problems
}

/// What counts of a value: where a URI leads to, not how we are called there.
fn essence<'a>(key: &str, value: &'a str) -> &'a str {
    match value.rsplit_once('@') {
        Some((_, host)) if key == "server_uri" => host,
        _ => value,
    }
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for line in text.lines() {
        let line = line.split(';').next().unwrap_or_default().trim();
        if let Some((name, rest)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            blocks.push(Block {
                name: name.to_owned(),
                inherits: rest.contains('(') && rest.trim() != "(!)",
                ..Block::default()
            });
        } else if let (Some((key, value)), Some(block)) = (line.split_once('='), blocks.last_mut())
        {
            let (key, value) = (key.trim(), value.trim_start_matches('>').trim());
            if key == "type" {
                value.clone_into(&mut block.kind);
            } else {
                block.keys.push((key.to_owned(), value.to_owned()));
            }
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: &str = "[mesh]\ntype=endpoint\nauth=mesh\n[mesh]\ntype=auth\nusername=mesh\npassword=CHANGE-ME\n\
        [mesh-mwi]\ntype=outbound-publish\nserver_uri=sip:berlin@127.0.0.1:5099 ; why\nexpiration=60\n";

    fn problems(found: &str) -> Vec<String> {
        compare(&blocks(WANTED), &blocks(found))
    }

    #[test]
    fn what_is_there_in_other_words_is_no_finding() {
        assert_eq!(problems(WANTED), [""; 0]);
        let other = "; ours\n[global]\nx = y\n[mesh]  ; us\ntype = auth\nusername => mesh\npassword = x\n\
            [mesh](common)\ntype = endpoint\n[mesh-mwi]\ntype=outbound-publish\nserver_uri=sip:pbx@127.0.0.1:5099\n";
        assert_eq!(problems(other), [""; 0]);
    }

    #[test]
    fn missing_blocks_and_wrong_keys_are_found() {
        assert_eq!(
            problems(&WANTED.replace("type=auth", "type=aor")),
            ["[mesh] type=auth is missing"]
        );
        assert_eq!(
            problems(&WANTED.replace("auth=mesh\n", "")),
            ["[mesh] type=endpoint lacks auth=mesh"]
        );
        assert_eq!(
            problems(&WANTED.replace(":5099", ":5098")),
            [
                "[mesh-mwi] type=outbound-publish has server_uri=sip:berlin@127.0.0.1:5098, it must be \
                 sip:berlin@127.0.0.1:5099"
            ]
        );
        assert_eq!(problems("").len(), 3);
    }
}
