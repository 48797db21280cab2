//! Files that cannot be used are moved aside, not deleted.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// So many are kept; the oldest goes.
const KEPT: u32 = 3;

/// Moves a file out of the way. Returns where it is now: the latest is always number 1.
pub(super) fn move_aside(path: &Path) -> io::Result<PathBuf> {
    for number in (1..KEPT).rev() {
        match fs::rename(numbered(path, number), numbered(path, number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let moved = numbered(path, 1);
    fs::rename(path, &moved)?;
    Ok(moved)
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".broken-{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_three_are_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.redb");
        for content in ["a", "b", "c", "d", "e"] {
            fs::write(&path, content).expect("written");
            assert_eq!(move_aside(&path).expect("moved"), numbered(&path, 1));
        }
        let kept = (1..=KEPT).map(|number| fs::read_to_string(numbered(&path, number)));
        let kept: Vec<String> = kept.map(|text| text.expect("it is there")).collect();
        assert_eq!(kept, ["e", "d", "c"]);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 3);
    }
}
