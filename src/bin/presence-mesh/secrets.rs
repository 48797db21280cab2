//! Secrets that the service manager hands over.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The credential of this file's name, when systemd hands one over that is not empty (`LoadCredential=`,
/// `SetCredential=` as its default).
///
/// A service with a user of its own cannot read root's files: systemd reads them and lays them into a folder that
/// only this service can enter. Their own permissions say nothing, so whoever uses them must not ask.
pub fn credential(file: &Path) -> Option<PathBuf> {
    let folder = env::var_os("CREDENTIALS_DIRECTORY")?;
    within(Path::new(&folder), file)
}

fn within(folder: &Path, file: &Path) -> Option<PathBuf> {
    let credential = folder.join(file.file_name()?);
    let there = fs::read(&credential).is_ok_and(|text| !text.trim_ascii().is_empty());
    there.then_some(credential)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_found_by_the_name_of_the_file_it_stands_for() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mesh.key"), "x").unwrap();
        fs::write(folder.path().join("asterisk.secret"), "\n").unwrap();
        let found = |file: &str| within(folder.path(), Path::new(file));
        assert_eq!(
            found("/etc/presence-mesh/mesh.key"),
            Some(folder.path().join("mesh.key"))
        );
        assert_eq!(
            found("/etc/presence-mesh/asterisk.secret"),
            None,
            "an empty default"
        );
        assert_eq!(found("/etc/presence-mesh/other.key"), None);
        assert_eq!(found("/"), None);
    }
}
