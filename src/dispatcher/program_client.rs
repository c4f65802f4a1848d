//! The client of a program, of whatever kind it is.

use crate::alliance;
use crate::mastercard::{self, processing};

/// Makes the calls of one program. Cheap to clone.
#[derive(Clone)]
pub enum ProgramClient {
    Checkout(mastercard::Client),
    Processing(processing::Client),
    Alliance(alliance::Client),
}

impl ProgramClient {
    /// What an operator should know of this program before it is called.
    pub fn remarks(&self) -> &[String] {
        match self {
            Self::Checkout(client) => client.remarks(),
            Self::Processing(client) => client.remarks(),
            Self::Alliance(client) => client.remarks(),
        }
    }

    /// Whether it uses a key that lies in the repository: never in production.
    pub fn holds_demonstration_key(&self) -> bool {
        match self {
            Self::Checkout(client) => client.holds_demonstration_key(),
            Self::Processing(client) => client.holds_demonstration_key(),
            Self::Alliance(client) => client.holds_demonstration_key(),
        }
    }

    /// The client of Checkout and the Card API, if the program is one of theirs.
    pub fn checkout(&self) -> Option<&mastercard::Client> {
        match self {
            Self::Checkout(client) => Some(client),
            Self::Processing(_) | Self::Alliance(_) => None,
        }
    }
}
