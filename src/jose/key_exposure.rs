//! Whether anybody but this user could read or change the key folder.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};

use super::KeyError;

/// Group and world may write.
const WRITABLE: u32 = 0o022;
/// The world may read.
const READABLE: u32 = 0o004;
/// All that lies here is private.
const PRIVATE: [&str; 3] = ["payload", "signing", "storage"];

/// A file or folder that others could read or change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {how}", .path.display())]
pub struct Exposed {
    pub path: PathBuf,
    pub how: &'static str,
}

/// All that others could change below the key folder `root`, itself included, and the private files that
/// the world may read: those of the folders for private keys, and those named here, wherever they lie.
///
/// # Errors
/// [`KeyError::Io`] where a folder or a file cannot be looked at.
pub fn exposed_files(root: &Path, private: &[PathBuf]) -> Result<Vec<Exposed>, KeyError> {
    let failed = |error: io::Error| KeyError::io(root, &error);
    let mut look = Look {
        root,
        private,
        writable: writable_at(root).map_err(failed)?,
        found: Vec::new(),
    };
    look.take_in(root, &fs::metadata(root).map_err(failed)?);
    look.look_through(root)?;
    for file in private.iter().filter(|file| !file.starts_with(root)) {
        // One that is not there is told where it is read.
        if let Ok(data) = fs::metadata(file) {
            look.writable = writable_at(file).map_err(|error| KeyError::io(file, &error))?;
            look.take_in(file, &data);
        }
    }
    Ok(look.found)
}

/// The rights to write that count at a place: on a file system that nobody can write to, as secrets are
/// mounted into containers, none do.
fn writable_at(place: &Path) -> io::Result<u32> {
    let mount = statvfs(place)?;
    match mount.f_flag.contains(StatVfsMountFlags::RDONLY) {
        true => Ok(0),
        false => Ok(WRITABLE),
    }
}

/// Whether group or world may write a file, or the world may read it.
pub(crate) fn is_exposed(file: &Path) -> io::Result<bool> {
    Ok(fs::metadata(file)?.permissions().mode() & (WRITABLE | READABLE) != 0)
}

struct Look<'a> {
    root: &'a Path,
    private: &'a [PathBuf],
    writable: u32,
    found: Vec<Exposed>,
}

impl Look<'_> {
    fn look_through(&mut self, folder: &Path) -> Result<(), KeyError> {
        for entry in fs::read_dir(folder).map_err(|error| KeyError::io(folder, &error))? {
            let path = entry.map_err(|error| KeyError::io(folder, &error))?.path();
            let data = match fs::metadata(&path) {
                Ok(data) => data,
                // It is gone meanwhile, or a link to nothing: nothing is read from it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(KeyError::io(&path, &error)),
            };
            self.take_in(&path, &data);
            // What a link to a folder leads to is met where it is.
            if data.is_dir() && !path.is_symlink() {
                self.look_through(&path)?;
            }
        }
        Ok(())
    }

    fn take_in(&mut self, path: &Path, data: &Metadata) {
        let mode = data.permissions().mode();
        let owner = data.uid();
        let is_private = data.is_file() && self.is_private(path);
        let how = if owner != 0 && owner != rustix::process::geteuid().as_raw() {
            "belongs neither to this user nor to root (chown)"
        } else if is_private && mode & (self.writable | READABLE) != 0 {
            "may be read or written by others (chmod 0600)"
        } else if mode & self.writable != 0 {
            "may be written by others (chmod go-w)"
        } else {
            return;
        };
        let path = path.to_owned();
        self.found.push(Exposed { path, how });
    }

    fn is_private(&self, path: &Path) -> bool {
        let below = path.strip_prefix(self.root);
        let is_in_folder =
            below.is_ok_and(|below| PRIVATE.iter().any(|name| below.starts_with(name)));
        is_in_folder || self.private.iter().any(|private| private == path)
    }
}
