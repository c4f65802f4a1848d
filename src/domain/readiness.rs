//! Whether a card may be charged now, and why not if not.

use super::{Card, Status};

/// Why a card may not be charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    Suspended,
    StatusUnknown,
    RefreshUnreadable,
    TokenExpired,
}

impl Reason {
    /// The reason's name, as shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Suspended => "suspended",
            Self::StatusUnknown => "status-unknown",
            Self::RefreshUnreadable => "refresh-unreadable",
            Self::TokenExpired => "token-expired",
        }
    }
}

/// What does not stop a charge and should be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warning {
    /// What came later names another token: a refresh seems to have passed us by.
    RefreshSuspected,
    /// Mastercard says that it does not know the card.
    NotFoundThere,
}

impl Warning {
    /// The warning's name, as shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::RefreshSuspected => "refresh-suspected",
            Self::NotFoundThere => "not-found-there",
        }
    }
}

/// What should be known before the card is charged.
pub fn warnings(card: &Card) -> Vec<Warning> {
    let suspected = card.refresh_is_suspected();
    let not_there = not_there_since(card).is_some();
    let all = [
        suspected.then_some(Warning::RefreshSuspected),
        not_there.then_some(Warning::NotFoundThere),
    ];
    all.into_iter().flatten().collect()
}

/// Since when the other side says that it does not know the card, or a living token of it
/// (milliseconds since 1970, UTC).
pub fn not_there_since(card: &Card) -> Option<i64> {
    let living = card.tokens.iter().filter(|token| !token.has_ended());
    let of_tokens = living.filter_map(|token| token.not_there_since).min();
    card.not_there_since.or(of_tokens)
}

/// Everything that stands against charging the card at `now` (milliseconds since 1970, UTC).
pub fn reasons(card: &Card, now: i64) -> Vec<Reason> {
    let expired = || {
        let expiry = card.token.as_ref().and_then(|token| token.expiry);
        expiry.is_some_and(|expiry| expiry.is_past(now))
    };
    let mut reasons = Vec::new();
    match card.known_status() {
        Some(Status::Active) => {}
        Some(Status::Suspended) => reasons.push(Reason::Suspended),
        None => reasons.push(Reason::StatusUnknown),
    }
    if card.refresh_is_unreadable() {
        reasons.push(Reason::RefreshUnreadable);
    }
    if expired() {
        reasons.push(Reason::TokenExpired);
    }
    reasons
}

/// Whether the card may be charged at `now`: not ended, and nothing stands against it.
pub fn may_charge(card: &Card, now: i64) -> bool {
    card.terminal.is_none() && reasons(card, now).is_empty()
}
