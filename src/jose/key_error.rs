//! What can be wrong with the key folder, said so that an operator can mend it. No message holds key content.

use std::io;
use std::path::{Path, PathBuf};

/// A fault in the key folder. Every message names the file or the kid, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The file or folder cannot be read or written.
    #[error("{}: {kind}; check that it exists and that this user may use it", .file.display())]
    Io { file: PathBuf, kind: io::ErrorKind },
    /// The file's content cannot serve as a key.
    #[error("{}: {problem}", .file.display())]
    Unusable {
        file: PathBuf,
        problem: &'static str,
    },
    /// `keys.toml` cannot be understood.
    #[error("{}: line {line} cannot be understood; known are default, retired, storage and the table [aliases]", .file.display())]
    Settings { file: PathBuf, line: usize },
    /// `keys.toml` names a key that is not there.
    #[error("{}: {setting} names {name:?}, but there is no {folder}/{name}.{extension}; add the file or remove the name", .file.display())]
    Missing {
        file: PathBuf,
        setting: &'static str,
        name: String,
        folder: &'static str,
        extension: &'static str,
    },
    /// `keys.toml` makes a retired key the default.
    #[error("{}: {kid:?} is the default and retired at once; name another default", .file.display())]
    RetiredDefault { file: PathBuf, kid: String },
    /// Two keys answer to one name.
    #[error(
        "the payload keys {first:?} and {second:?} both answer to {name:?}; keep one file per key, and each name once"
    )]
    Ambiguous {
        name: String,
        first: String,
        second: String,
    },
    /// What is there now would be refused at a start in production.
    #[error("{0}: not in production")]
    NotForProduction(String),
    /// A known name now stands for another key.
    #[error(
        "the {purpose} key {kid:?} is not the one that is known by this name (known {known}, found {found}); \
         put the known one back, or run `tokenkeep keys approve '{kid}'`"
    )]
    Substituted {
        purpose: &'static str,
        kid: String,
        known: String,
        found: String,
    },
    /// There is no key to seal rows with.
    #[error("{}: holds no storage key; run `tokenkeep keys generate`", .folder.display())]
    NoStorageKey { folder: PathBuf },
    /// A name that cannot be a key file's.
    #[error(
        "{name:?} cannot name a key file; use 1 to {most} of the characters A-Z a-z 0-9 . _ - and no dot in front"
    )]
    Name { name: String, most: usize },
    /// A new payload key of that size is not made.
    #[error("a payload key has 2048 to 4096 bits, not {bits}")]
    Size { bits: u32 },
    /// OpenSSL failed where the input cannot be to blame.
    #[error("OpenSSL failed while working on {kid:?}; check memory and the system's random source")]
    OpenSsl { kid: String },
}

impl KeyError {
    pub(crate) fn io(file: &Path, error: &io::Error) -> KeyError {
        KeyError::Io {
            file: file.to_owned(),
            kind: error.kind(),
        }
    }

    pub(crate) fn unusable(file: &Path, problem: &'static str) -> KeyError {
        KeyError::Unusable {
            file: file.to_owned(),
            problem,
        }
    }

    pub(crate) fn openssl(kid: &str) -> KeyError {
        KeyError::OpenSsl {
            kid: kid.to_owned(),
        }
    }
}
