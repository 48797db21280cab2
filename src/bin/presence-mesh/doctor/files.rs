//! Secrets and folders.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use presence_mesh::{Identity, MeshKey};
use rustix::fs::{Access, access};

use super::report::Report;
use crate::settings::Settings;

/// Looks at the data folder, the mesh's key and the identity.
pub fn check(settings: &Settings, report: &mut Report) {
    let folder = match settings.data_folder() {
        Ok(folder) => folder,
        Err(error) => {
            report.wrong_with("data-dir", format!("{error:#}"), "set data_dir");
            return;
        }
    };
    data_dir(&folder, report);
    let key_file = settings
        .key_file
        .clone()
        .unwrap_or_else(|| folder.join("mesh.key"));
    secret(
        "mesh-key",
        &key_file,
        |text| MeshKey::parse(text).err().map(|error| error.to_string()),
        report,
    );
    let identity = folder.join("identity.key");
    match identity.symlink_metadata() {
        Ok(_) => secret(
            "identity",
            &identity,
            |text| Identity::parse(text).err().map(|error| error.to_string()),
            report,
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => report.fine(
            "identity",
            format!("{} is made at the first start", identity.display()),
        ),
        // A folder that cannot be entered is a finding of its own, and says nothing of what is in it.
        Err(error) => report.skipped(
            "identity",
            format!("{} cannot be looked at: {error}", identity.display()),
        ),
    }
}

fn data_dir(folder: &Path, report: &mut Report) {
    let name = folder.display();
    // One that is not there is made at the start, if the nearest one above it lets us.
    let there = folder.ancestors().find(|above| above.exists());
    let writable = there.is_some_and(|folder| {
        folder.is_dir() && access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok()
    });
    if writable {
        report.fine("data-dir", format!("{name} can be written"));
    } else {
        report.wrong_with(
            "data-dir",
            format!("{name} cannot be written by this user"),
            format!(
                "install -d -m 700 -o USER {name}, with the node's user; or run doctor as that user"
            ),
        );
    }
}

fn secret(
    check: &'static str,
    path: &Path,
    problem: impl Fn(&str) -> Option<String>,
    report: &mut Report,
) {
    let name = path.display();
    let mode = match fs::metadata(path) {
        Ok(metadata) => metadata.permissions().mode() & 0o777,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            report.wrong_with(
                check,
                format!("{name} is not there"),
                "presence-mesh invite on a node that runs, presence-mesh join here; or copy it from there, mode 0600",
            );
            return;
        }
        Err(error) => {
            report.wrong_with(
                check,
                format!("{name} cannot be looked at: {error}"),
                "run doctor as the node's user or as root",
            );
            return;
        }
    };
    if mode & 0o077 != 0 {
        report.wrong_with(
            check,
            format!("{name} can be read by group or others (mode {mode:o})"),
            format!("chmod 600 {name}"),
        );
        return;
    }
    match fs::read_to_string(path) {
        Err(error) => report.wrong_with(
            check,
            format!("{name} cannot be read: {error}"),
            "run doctor as the node's user or as root",
        ),
        Ok(text) => match problem(&text) {
            Some(problem) => report.wrong_with(
                check,
                format!("{name}: {problem}"),
                "put back the file from a backup or, the mesh's key, from another node",
            ),
            None => report.fine(check, format!("{name}, mode {mode:o}")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_that_cannot_be_looked_at_is_not_called_missing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut settings = Settings::default();
        settings.data_dir = Some(file.path().to_owned());
        let mut report = Report::default();
        check(&settings, &mut report);
        let text = report.to_text();
        assert!(text.contains("identity.key cannot be looked at"), "{text}");
        assert!(!text.contains("is made at the first start"), "{text}");
    }
}
