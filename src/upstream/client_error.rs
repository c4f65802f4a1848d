//! Why a program's client cannot be made.

use std::path::PathBuf;

use crate::jose::{JwksFault, KeyError};

/// Why a program cannot be called. Its calls wait until that is mended.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("programs.{program}.{setting} is empty")]
    Unset {
        program: String,
        setting: &'static str,
    },
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("{path}: {fault}", path = .0.display(), fault = .1)]
    KeySet(PathBuf, JwksFault),
    #[error("the keys that verify: {0}")]
    KeySets(#[from] JwksFault),
}

impl ClientError {
    /// The first of a program's settings that is empty and must not be.
    pub(crate) fn first_unset(
        program: &str,
        settings: &[(&'static str, &str)],
    ) -> Result<(), Self> {
        let empty = settings.iter().find(|(_, value)| value.is_empty());
        match empty {
            None => Ok(()),
            Some((setting, _)) => Err(Self::Unset {
                program: program.to_owned(),
                setting,
            }),
        }
    }
}
