//! The states a card can be in.

use serde::{Deserialize, Serialize};

/// The status of a living card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    Active,
    Suspended,
}

impl Status {
    /// Mastercard's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Suspended => "SUSPENDED",
        }
    }
}

/// How a card ended. Nothing leaves these states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TerminalState {
    /// The merchant asked for its deletion; Mastercard has not confirmed it yet.
    DeletePending,
    Cancelled,
    /// Its tokens were deactivated at the program they belong to.
    Deleted,
}

impl TerminalState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::DeletePending, Self::Cancelled, Self::Deleted];

    /// The word shown for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::DeletePending => "DELETE_PENDING",
            Self::Cancelled => "CANCELLED",
            Self::Deleted => "DELETED",
        }
    }
}

/// The mark that stays when a card has ended: the state, and when it was learned here
/// (milliseconds since 1970, UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminal {
    pub state: TerminalState,
    pub at: i64,
}

/// `digitalCardData.status` as a notification reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportedStatus {
    Known(Status),
    Cancelled,
    /// A word that is none of Mastercard's three, or none at all. Never makes a card usable.
    Unknown(String),
}

impl ReportedStatus {
    /// Reads the word strictly: anything but the three exact words is unknown.
    pub fn from_word(word: &str) -> Self {
        match word {
            "ACTIVE" => Self::Known(Status::Active),
            "SUSPENDED" => Self::Known(Status::Suspended),
            "CANCELLED" => Self::Cancelled,
            other => Self::Unknown(other.to_owned()),
        }
    }
}

/// What became of the cryptogram that belongs to the card's current `numberVersion`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CryptogramState {
    /// Sealed and ready to be handed out once.
    Stored,
    HandedOut,
    RanOut,
}

impl CryptogramState {
    /// The word shown for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::HandedOut => "handed_out",
            Self::RanOut => "ran_out",
        }
    }
}
