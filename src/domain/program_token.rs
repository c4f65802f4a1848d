//! Tokens of programs whose cards have tokens of their own: Mastercard Processing Digital and Alliance
//! Bank. What is kept of one stands beside its card; its secret text does not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroize;

use super::{Expiry, Rank, Register};

/// The longest text that is taken for a token.
const LONGEST: usize = 255;
/// Of a word of the other side that is none of ours, as much is kept.
const LONGEST_WORD: usize = 64;

/// The text by which a program knows a token: a number, or a bank's url-safe text, which may begin
/// with `-`. Wiped from memory when dropped; `expose` is the only way out.
#[derive(Clone)]
pub struct ProgramToken(String);

impl ProgramToken {
    /// Takes 1 to 255 visible ASCII characters; none for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let is_token =
            (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_token.then(|| Self(text.to_owned()))
    }

    /// The full text: only for sealing it, for its keyed hash, and for the program it belongs to.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The last four characters, which may be shown.
    pub fn last_four(&self) -> String {
        // Of a text this short they would be all of it.
        let start = self.0.len().saturating_sub(4).max(self.0.len() / 2);
        self.0.get(start..).unwrap_or_default().to_owned()
    }
}

impl PartialEq for ProgramToken {
    /// Compares in a time that does not depend on where the two differ.
    fn eq(&self, other: &Self) -> bool {
        let pairs = self.0.bytes().zip(other.0.bytes());
        self.0.len() == other.0.len() && pairs.fold(0, |all, (a, b)| all | (a ^ b)) == 0
    }
}

impl Drop for ProgramToken {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// What a program says a token may be used for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TokenStatus {
    Active,
    Suspended,
    /// Set by the bank itself: not usable, and not the merchant's to change.
    Obsolete,
    /// Final.
    Deleted,
    /// A word that is none of these: never makes a token usable.
    Other(String),
}

impl TokenStatus {
    /// The word shown for it.
    pub fn word(&self) -> &str {
        match self {
            Self::Active => "ACTIVE",
            Self::Suspended => "SUSPENDED",
            Self::Obsolete => "OBSOLETE",
            Self::Deleted => "DELETED",
            Self::Other(word) => word,
        }
    }

    /// The status that the word is shown for.
    pub fn from_word(word: &str) -> Self {
        let known = [Self::Active, Self::Suspended, Self::Obsolete, Self::Deleted];
        let named = known.into_iter().find(|status| status.word() == word);
        named.unwrap_or_else(|| Self::Other(word.to_owned()))
    }

    /// A word of the other side that none of ours is known for; what does not belong in a word is
    /// left out.
    pub fn other(word: &str) -> Self {
        let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' ');
        Self::Other(word.chars().filter(plain).take(LONGEST_WORD).collect())
    }
}

/// What a merchant may want of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TokenCommand {
    Suspend,
    Resume,
    /// Final.
    Deactivate,
}

impl TokenCommand {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Suspend, Self::Resume, Self::Deactivate];

    /// Mastercard's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Suspend => "SUSPEND",
            Self::Resume => "RESUME",
            Self::Deactivate => "DEACTIVATE",
        }
    }

    /// The command that the word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|command| command.word() == word)
    }

    /// The status that it leads to.
    pub fn target(self) -> TokenStatus {
        match self {
            Self::Suspend => TokenStatus::Suspended,
            Self::Resume => TokenStatus::Active,
            Self::Deactivate => TokenStatus::Deleted,
        }
    }
}

/// A token as a program's read answered it.
pub struct TokenReading {
    pub token: ProgramToken,
    pub status: TokenStatus,
    /// The card it belongs to, where the program names one (`cardContractId`).
    pub contract: Option<String>,
    /// Whose it is, where the program names them (`clientId`, `customerId`).
    pub customer: Option<String>,
    pub expiry: Option<Expiry>,
    /// Further fields as they came, without any full number.
    pub details: BTreeMap<String, Value>,
}

/// A token of a card as it is kept: its registers, and never its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardToken {
    /// Ours, so that it can be named without its text.
    pub id: String,
    pub last_four: String,
    /// None until the program has said one.
    pub status: Option<Register<TokenStatus>>,
    pub expiry: Option<Expiry>,
    pub customer: Option<String>,
    pub details: BTreeMap<String, Value>,
    /// As of when it was last read.
    pub read: Option<Rank>,
    /// Since when it waits to be linked to a replaced card, milliseconds since 1970, UTC.
    pub relinking_since: Option<i64>,
    /// Since when the program says that it does not know it, milliseconds since 1970, UTC.
    pub not_there_since: Option<i64>,
}

impl CardToken {
    /// A token of which nothing is known yet.
    pub fn new(id: String, last_four: String) -> Self {
        Self {
            id,
            last_four,
            status: None,
            expiry: None,
            customer: None,
            details: BTreeMap::new(),
            read: None,
            relinking_since: None,
            not_there_since: None,
        }
    }

    /// Its status, if one is known.
    pub fn status(&self) -> Option<&TokenStatus> {
        self.status.as_ref().map(|register| &register.value)
    }

    /// Whether it is gone for good.
    pub fn has_ended(&self) -> bool {
        self.status() == Some(&TokenStatus::Deleted)
    }
}
