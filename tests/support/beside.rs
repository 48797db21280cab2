//! Finding examples, which `cargo test` builds beside the tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The built example called `file`. Panics when it is not there, or older than a source it is made of: `cargo
/// test --test NAME` builds no examples.
pub fn example(file: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this test is a file");
    let folder = test
        .parent()
        .and_then(Path::parent)
        .expect("it lies in deps")
        .join("examples");
    let path = folder.join(file);
    let again = "run `cargo build --examples` with the features of the test first, or `cargo test` without --test";
    let Some(built) = modified(&path) else {
        panic!("{} is not there: {again}", path.display());
    };
    // Lists, in make's syntax, what cargo made it of.
    let sources = fs::read_to_string(path.with_extension("d")).unwrap_or_default();
    let mut sources = sources.split_ascii_whitespace().skip(1);
    if let Some(newer) = sources.find(|source| modified(Path::new(source)) > Some(built)) {
        panic!("{} is older than {newer}: {again}", path.display());
    }
    path
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|file| file.modified()).ok()
}
