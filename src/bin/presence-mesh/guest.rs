//! Root in a folder of somebody else's: what it makes there becomes theirs, or the service could not read it later.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::process::geteuid;

/// Gives what root made in a folder to whom the folder belongs, when told to and when dropped.
#[derive(Debug)]
pub struct Guest {
    folder: PathBuf,
}

impl Guest {
    pub fn of(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Nothing happens to others than root, and in root's own folders. What cannot be given stays as it is.
    pub fn give(&self) {
        if geteuid().is_root()
            && let Err(error) = give_all(&self.folder)
        {
            let folder = self.folder.display();
            tracing::warn!(%folder, %error, "what root made there cannot be given to its owner");
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.give();
    }
}

fn give_all(folder: &Path) -> io::Result<()> {
    let owner = match fs::metadata(folder) {
        Ok(owner) if owner.uid() != 0 => owner,
        Ok(_) => return Ok(()),
        // It was never made.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in fs::read_dir(folder)? {
        // The folder's owner may put in anything: what is looked at is what is given, and no name of another file.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = open(entry?.path(), flags, Mode::empty()) else {
            continue;
        };
        let file = File::from(file);
        let own = file.metadata()?;
        if own.is_file() && own.uid() == 0 && own.nlink() == 1 {
            fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
        }
    }
    Ok(())
}
