//! A text file of what is on show, to keep or to send to somebody.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::board::{Board, Network, Scope};
use super::log::Weight;
use crate::span;

/// Nobody reads more.
const MOST_A_SECOND: u32 = 10;

/// Writes a report into the working folder, and tells on the board where it is, or why there is none.
pub fn report(board: &mut Board, now: Instant) {
    let (text, weight) = match write(board, Path::new("."), now) {
        Ok(path) => (
            format!("report written to {}", path.display()),
            Weight::Good,
        ),
        Err(error) => (format!("cannot write a report here: {error}"), Weight::Bad),
    };
    board.note(now, &text, weight);
}

/// Writes a report into a new file in `folder`; where it is.
///
/// # Errors
/// When the file cannot be written. Nothing is ever overwritten.
fn write(board: &Board, folder: &Path, now: Instant) -> io::Result<PathBuf> {
    let time = jiff::Timestamp::now();
    let text = text(board, &format!("{time:.3}"), now);
    let stamp = time.strftime("%Y%m%dT%H%M%SZ");
    let mut again = 1;
    loop {
        let more = if again == 1 {
            String::new()
        } else {
            format!("-{again}")
        };
        let path = folder.join(format!("presence-mesh-report-{stamp}{more}.txt"));
        match File::create_new(&path) {
            Ok(mut file) => {
                file.write_all(text.as_bytes())?;
                return Ok(path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && again < MOST_A_SECOND => {
                again += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

fn text(board: &Board, time: &str, now: Instant) -> String {
    let mut text = format!("presence-mesh {}, {time}\n", env!("CARGO_PKG_VERSION"));
    // Writing into a text cannot fail.
    let _ = head(board, &mut text, now)
        .and_then(|()| nodes(board, &mut text))
        .and_then(|()| lamps(board, &mut text, now))
        .and_then(|()| log(board, &mut text));
    text
}

fn head(board: &Board, text: &mut String, now: Instant) -> std::fmt::Result {
    match &board.scope {
        Scope::Demo => writeln!(text, "The demonstration, as {} sees it.", own(board))?,
        Scope::Node(address) => writeln!(text, "The node {} at {address}.", own(board))?,
    }
    if let Some(status) = &board.status {
        writeln!(text, "Mesh {}, digest {}.", status.mesh, status.digest)?;
    }
    match &board.network {
        _ if !board.is_demo() => {}
        Network::Whole { agree: true } => writeln!(text, "All nodes hold the same.")?,
        Network::Whole { agree: false } => writeln!(text, "The nodes do not hold the same yet.")?,
        Network::Cut {
            sides: [left, right],
        } => {
            writeln!(
                text,
                "The network is cut: {} | {}.",
                left.join(" "),
                right.join(" ")
            )?;
        }
        Network::Healing => writeln!(text, "A cut is healing.")?,
    }
    if let Some(since) = board.lost() {
        let since = span::age(now.saturating_duration_since(since));
        writeln!(text, "NO CONNECTION for {since}: all of this is old.")?;
    }
    if let Some((median, p99)) = board.spread.as_ref().and_then(|spread| spread.quantiles()) {
        let (median, p99) = (span::took(median), span::took(p99));
        writeln!(
            text,
            "A change is on all nodes after {median} (median), {p99} (p99)."
        )?;
    }
    Ok(())
}

fn own(board: &Board) -> &str {
    board.own().map_or("?", |node| &node.name)
}

fn nodes(board: &Board, text: &mut String) -> std::fmt::Result {
    writeln!(text, "\nNodes")?;
    for node in board.nodes() {
        writeln!(
            text,
            "  {:<20} {:<16} {}",
            node.name,
            node.trust(),
            node.way()
        )?;
    }
    Ok(())
}

/// Those that are old first: they are why somebody writes a report.
fn lamps(board: &Board, text: &mut String, now: Instant) -> std::fmt::Result {
    let (mut old, mut live) = (String::new(), String::new());
    for site in board.lamps.sites() {
        for row in &site.rows {
            let look = board.lamps.look(row, board.lost(), now);
            let mail = match look.mail {
                Some((new, _)) => format!("{new} new messages"),
                None => String::new(),
            };
            let to = if look.age.is_some() {
                &mut old
            } else {
                &mut live
            };
            let key = row.key().map_or("", |(_, key)| key);
            let line = format!(
                "  {:<16} {:<20} {:<24} {:<3} {:<28} {mail}",
                site.name,
                key,
                row.name,
                look.ascii_shape,
                look.text(28)
            );
            writeln!(to, "{}", line.trim_end())?;
        }
    }
    let or_none = |text: String| {
        if text.is_empty() {
            "  none\n".to_owned()
        } else {
            text
        }
    };
    write!(
        text,
        "\nLamps that are not live\n{}\nLamps that are live\n{}",
        or_none(old),
        or_none(live)
    )
}

fn log(board: &Board, text: &mut String) -> std::fmt::Result {
    writeln!(text, "\nLog")?;
    for line in board.log.all() {
        writeln!(text, "  {}  {}", line.at, line.text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::panel::board::tests::top;
    use crate::panel::told::Told;

    #[test]
    fn a_report_says_what_is_old_and_overwrites_nothing() {
        let now = Instant::now();
        let folder = tempfile::TempDir::new().unwrap();
        let mut board = top(now);
        let live = std::fs::read_to_string(write(&board, folder.path(), now).unwrap()).unwrap();
        assert!(live.contains("Lamps that are not live\n  none\n"), "{live}");
        let again_in = Duration::from_secs(1);
        board.tell(
            Told::Lost {
                why: "refused".into(),
                again_in,
            },
            now,
        );
        let later = now + Duration::from_secs(42);
        let old = std::fs::read_to_string(write(&board, folder.path(), later).unwrap()).unwrap();
        for part in [
            "NO CONNECTION for 42 s",
            "On a call ~42s",
            "Lamps that are live\n  none",
            "no connection: refused",
        ] {
            assert!(old.contains(part), "no {part}:\n{old}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
