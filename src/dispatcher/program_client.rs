//! The client of a program, of whatever kind it is.

use crate::alliance;
use crate::jose::KeyDescription;
use crate::mastercard::{self, processing};
use crate::upstream::Algorithms;

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

    /// What an inventory tells of its keys.
    pub fn keys(&self) -> Vec<KeyDescription> {
        match self {
            Self::Checkout(client) => client.keys(),
            Self::Processing(client) => client.keys(),
            Self::Alliance(client) => client.keys(),
        }
    }

    /// How its requests and its answers are protected.
    pub fn algorithms(&self) -> Algorithms {
        match self {
            Self::Checkout(client) => client.algorithms(),
            Self::Processing(client) => client.algorithms(),
            Self::Alliance(client) => client.algorithms(),
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
