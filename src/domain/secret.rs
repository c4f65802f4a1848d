//! Full numbers and cryptograms: types that cannot be printed, logged or serialised by accident.
//!
//! They implement neither `Debug`, `Display` nor `Serialize`. The only way out is `expose`, so a
//! search for `expose(` finds every place where a secret is touched.

use std::cmp::Ordering;

use zeroize::Zeroize;

/// A token number (DPAN), 12 to 19 digits. Wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenNumber(String);

/// The text is not a token number. Says nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token number has 12 to 19 digits")]
pub struct NotATokenNumber;

impl TokenNumber {
    /// Takes the digits of a token number.
    pub fn parse(digits: &str) -> Result<Self, NotATokenNumber> {
        let well_formed =
            (12..=19).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if well_formed {
            Ok(Self(digits.to_owned()))
        } else {
            Err(NotATokenNumber)
        }
    }

    /// The full number: only for sealing it and for handing it to who may have it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The last four digits, which may be shown.
    pub fn last_four(&self) -> String {
        let start = self.0.len().saturating_sub(4);
        self.0.get(start..).unwrap_or_default().to_owned()
    }
}

impl PartialOrd for TokenNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Numeric order, so that "the greater number" wins at equal event times.
impl Ord for TokenNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0.len(), &self.0).cmp(&(other.0.len(), &other.0))
    }
}

impl Drop for TokenNumber {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A cryptogram as Checkout gave it. Wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Cryptogram(String);

impl Cryptogram {
    /// Wraps a cryptogram.
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The value: only for sealing it and for handing it to who may have it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Cryptogram {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
