//! Finding, reading and creating the files of the key folder.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::KeyError;

/// The largest file that is read, in bytes; a 4096-bit private key takes about 3,300.
const MAX_FILE: usize = 64 * 1024;

/// One key file; its name without the extension is the key's id.
pub(crate) struct KeyFile {
    pub(crate) id: String,
    pub(crate) path: PathBuf,
}

/// The files of `folder` with that extension, in order of their ids. A folder that is not there holds none.
pub(crate) fn list(folder: &Path, extension: &str) -> Result<Vec<KeyFile>, KeyError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| KeyError::io(folder, &error))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| KeyError::io(folder, &error))?.path();
        if path.extension().is_none_or(|found| found != extension) {
            continue;
        }
        let Some(id) = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .map(str::to_owned)
        else {
            return Err(KeyError::unusable(
                &path,
                "the file's name is not UTF-8; rename it",
            ));
        };
        files.push(KeyFile { id, path });
    }
    files.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    Ok(files)
}

/// Reads a file of the key folder `root`.
pub(crate) fn read(root: &Path, file: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let failed = |error: io::Error| KeyError::io(file, &error);
    let target = file.canonicalize().map_err(failed)?;
    // Links inside the folder are how secrets are mounted and swapped; one that leads out of it is a mistake or a trap.
    if !target.starts_with(root.canonicalize().map_err(failed)?) {
        return Err(KeyError::unusable(
            file,
            "is a link out of the key folder; put the file itself there",
        ));
    }
    if !target.metadata().map_err(failed)?.is_file() {
        return Err(KeyError::unusable(
            file,
            "is not a file; move it out of the key folder",
        ));
    }
    // Sized beforehand: a buffer that grows leaves copies of the key behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE + 1));
    let limit = MAX_FILE as u64 + 1;
    File::open(&target)
        .map_err(failed)?
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() > MAX_FILE {
        return Err(KeyError::unusable(
            file,
            "is larger than 64 KiB and no key; move it out of the key folder",
        ));
    }
    Ok(bytes)
}

/// Writes a new file that only its owner may use, in a folder that only its owner may enter. Never overwrites.
pub(super) fn create(file: &Path, content: &[u8]) -> Result<(), KeyError> {
    let failed = |error: io::Error| KeyError::io(file, &error);
    if let Some(folder) = file.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed)?;
    }
    let mut new = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .map_err(failed)?;
    new.write_all(content)
        .and_then(|()| new.sync_all())
        .map_err(|error| {
            // Half a key would stand in the way of the next attempt.
            drop(fs::remove_file(file));
            failed(error)
        })
}
