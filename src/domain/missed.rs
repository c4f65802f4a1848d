//! What seems to have been missed of a card: the kinds, their thresholds, and what of a card tells.

use super::card::digits_differ;
use super::{Card, Precedence, Rank, SilenceRules, Status, TokenStatus};

/// A kind of card of which something seems to have been missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// ACTIVE, its token is about to end or has ended, and nothing was told of the token lately.
    TokenExpires,
    /// SUSPENDED for so long that the resumption may have passed us by.
    SuspendedLong,
    /// A fresh cryptogram has been due for long.
    CryptogramMissing,
    /// Masked digits or an expiry that are no older than the token are not the token's.
    DigitsDisagree,
}

impl Missed {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::TokenExpires,
        Self::SuspendedLong,
        Self::CryptogramMissing,
        Self::DigitsDisagree,
    ];

    /// The kind's name, as shown and asked for.
    pub fn name(self) -> &'static str {
        match self {
            Self::TokenExpires => "token-expires",
            Self::SuspendedLong => "suspended-long",
            Self::CryptogramMissing => "cryptogram-missing",
            Self::DigitsDisagree => "digits-disagree",
        }
    }

    /// The kind of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What is the matter with such cards.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::TokenExpires => "the token ends soon and no refresh came",
            Self::SuspendedLong => "suspended for long",
            Self::CryptogramMissing => "a refresh without a fresh cryptogram",
            Self::DigitsDisagree => "masked digits that are not the token's",
        }
    }

    /// What to do about them.
    pub fn advice(self) -> String {
        match self {
            Self::CryptogramMissing => "`tokenkeep outbox list` shows what became of their calls, \
                 `tokenkeep check` whether their program can be called"
                .to_owned(),
            _ => format!(
                "`tokenkeep reconcile --missed {}` asks their program what is true of them",
                self.name()
            ),
        }
    }
}

/// From when on something counts as missed. A time is in milliseconds; none means that the kind is not
/// looked for.
#[derive(Debug, Clone)]
pub struct MissedRules {
    /// So long before its end a token must have been told of, and so lately.
    pub token_expires: Option<i64>,
    pub suspended_long: Option<i64>,
    pub cryptogram_missing: Option<i64>,
    pub digits_disagree: Option<i64>,
    /// The programs for whose cards cryptograms are obtained in advance.
    pub cryptogram_programs: Vec<String>,
    pub silence: Option<SilenceRules>,
    /// The programs whose silence counts.
    pub programs: Vec<String>,
}

impl MissedRules {
    /// The time after which a card is of this kind.
    pub fn time(&self, kind: Missed) -> Option<i64> {
        match kind {
            Missed::TokenExpires => self.token_expires,
            Missed::SuspendedLong => self.suspended_long,
            Missed::CryptogramMissing => self.cryptogram_missing,
            Missed::DigitsDisagree => self.digits_disagree,
        }
    }
}

/// What of a card can become something missed once it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signs {
    /// When the token of an ACTIVE card ends, milliseconds since 1970, UTC.
    pub token_ends_at: Option<i64>,
    /// When the other side last told of the token; 0 for never: a registration is the merchant's word.
    pub token_told_at: i64,
    pub is_suspended: bool,
    pub lacks_cryptogram: bool,
    pub digits_disagree: bool,
}

impl Signs {
    /// The signs of a card; an ended one has none.
    pub fn of(card: &Card) -> Self {
        let is_living = card.terminal.is_none();
        let status = card.known_status().filter(|_| is_living);
        let (token_ends_at, token_told_at) = match card.tokens.is_empty() {
            true => of_the_token(card),
            false => of_its_tokens(card),
        };
        Self {
            token_ends_at: token_ends_at.filter(|_| status == Some(Status::Active)),
            token_told_at,
            is_suspended: status == Some(Status::Suspended),
            lacks_cryptogram: card.cryptogram_is_due(),
            digits_disagree: is_living && digits_disagree(card),
        }
    }
}

/// When a card's one token ends, and when it was last told of.
fn of_the_token(card: &Card) -> (Option<i64>, i64) {
    let token = card.token.as_ref();
    let ends_at = token.and_then(|token| token.expiry?.ends_at());
    let told = token.filter(|token| token.rank != Rank::LOWEST);
    (ends_at, told.map_or(0, |token| token.received_at))
}

/// The same of the ACTIVE one that ends first, where a card has tokens of its own.
fn of_its_tokens(card: &Card) -> (Option<i64>, i64) {
    let active = card.tokens.iter();
    let active = active.filter(|token| token.status() == Some(&TokenStatus::Active));
    let ends = active.filter_map(|token| Some((token.expiry?.ends_at()?, token.read)));
    let first = ends.min_by_key(|(ends_at, _)| *ends_at);
    first.map_or((None, 0), |(ends_at, read)| {
        (Some(ends_at), read.map_or(0, Rank::time))
    })
}

/// A refresh is suspected, or the item that set the token named other digits itself.
fn digits_disagree(card: &Card) -> bool {
    let Some(token) = &card.token else {
        return false;
    };
    let not_outdated = |field: &str| {
        let received = card.masked.get(field)?;
        let is_outdated = received.rank.against(token.rank) == Precedence::Older;
        received.value.as_str().filter(|_| !is_outdated)
    };
    card.refresh_is_suspected() || digits_differ(&token.number, token.expiry, not_outdated)
}
