//! How a command fails: with a sentence for its user and an exit code for scripts.

use std::fmt::Display;

use crate::store::StoreError;

/// A failed command.
#[derive(Debug)]
pub struct Failure {
    exit: u8,
    message: String,
}

impl Failure {
    /// Wrong use or settings: exit code 2.
    pub fn wrong(message: impl Display) -> Self {
        Self {
            exit: 2,
            message: message.to_string(),
        }
    }

    /// The thing asked about is not well: exit code 1.
    pub fn unwell(message: impl Display) -> Self {
        Self {
            exit: 1,
            message: message.to_string(),
        }
    }

    /// Tells it on standard error; returns the exit code.
    pub fn report(self) -> u8 {
        eprintln!("tokenkeep: {}", self.message);
        self.exit
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Schema(_) => Self::wrong(error),
            _ => Self::unwell(error),
        }
    }
}

/// Standard output was closed early, or the like.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::unwell(error)
    }
}
