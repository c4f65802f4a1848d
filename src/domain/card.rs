//! A card: its registers, each with the rank of what last set it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    CardToken, CryptogramState, Expiry, Precedence, Rank, Status, Terminal, TokenNumber,
    TokenStatus,
};

/// A card's id (`srcDigitalCardId`): opaque, case-sensitive, 1 to 64 printable ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CardId(String);

/// The text is not a card id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a card id has 1 to 64 printable ASCII characters and no space")]
pub struct CardIdFault;

impl CardId {
    /// Takes an id as it came. The published limit is 36; the slack costs nothing.
    pub fn parse(text: &str) -> Result<Self, CardIdFault> {
        let well_formed =
            (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(CardIdFault)
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for CardId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value with the rank and the receipt (milliseconds since 1970) of what last set it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register<T> {
    pub value: T,
    pub rank: Rank,
    pub received_at: i64,
}

/// The token register: number and expiry move together.
#[derive(Clone)]
pub struct Token {
    pub number: TokenNumber,
    pub expiry: Option<Expiry>,
    pub rank: Rank,
    pub received_at: i64,
    /// When number or expiry last changed here, milliseconds since 1970.
    pub refreshed_at: i64,
    /// What calls for a fresh cryptogram, if anything does (the refresh table).
    pub checkout_wanted: Option<CheckoutReason>,
    /// The number the merchant registered: what it held before any notification.
    pub registered: Option<TokenNumber>,
}

/// Which change of a token calls for a fresh cryptogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckoutReason {
    NumberChanged,
    /// Only if the policy says so.
    ExpiryChanged,
}

impl CheckoutReason {
    /// As it is shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::NumberChanged => "number changed",
            Self::ExpiryChanged => "expiry changed",
        }
    }
}

impl Token {
    fn wants_checkout(&self) -> bool {
        match self.checkout_wanted {
            // The number the merchant registered is no change for it, whichever came first.
            Some(CheckoutReason::NumberChanged) => self.registered.as_ref() != Some(&self.number),
            Some(CheckoutReason::ExpiryChanged) => true,
            None => false,
        }
    }
}

/// The item of this card that was received last, to recognise an untimed repeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatestItem {
    pub sequence: i64,
    pub index: i32,
    /// Keyed hash of its content; none while it cannot be read.
    pub digest: Option<String>,
}

/// Everything known of one card. The token is not part of its serialised form: a full number is
/// never serialised, the store seals it in a table of its own.
#[derive(Clone, Serialize, Deserialize)]
pub struct Card {
    pub id: CardId,
    /// The program the merchant registered the card under.
    pub registered_program: Option<String>,
    pub consumer_reference: Option<String>,
    pub status: Option<Register<Status>>,
    /// Rank of the latest notification whose status is unknown.
    pub status_held: Option<Rank>,
    pub masked: BTreeMap<String, Register<Value>>,
    #[serde(skip)]
    pub token: Option<Token>,
    /// Rank of the latest refresh that could not be read.
    pub refresh_held: Option<Rank>,
    /// Rises with any change of the token; 0 before the first known one.
    pub version: u32,
    /// Rises when the token number changes; 0 before the first known one.
    pub number_version: u32,
    /// The cryptogram of the current `number_version`, if there is or was one.
    pub cryptogram: Option<CryptogramState>,
    /// The expiry alone changed since the last new number or Checkout: the cryptogram stays, and the
    /// next payment had better ask for a fresh one.
    #[serde(default)]
    pub checkout_recommended: bool,
    /// The tokens of a program where a card has tokens of its own; elsewhere there is none here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<CardToken>,
    /// The status of the card contract, as the issuer told it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract_status: Option<String>,
    pub terminal: Option<Terminal>,
    /// When everything kept of it was destroyed, milliseconds since 1970, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased_at: Option<i64>,
    /// When Mastercard last said that it does not know the card, milliseconds since 1970, UTC.
    #[serde(default)]
    pub not_there_since: Option<i64>,
    /// Rank of the latest Checkout answer whose token could not be brought together with ours.
    #[serde(default)]
    pub token_doubted: Option<Rank>,
    pub latest_item: Option<LatestItem>,
    /// When anything last changed here, milliseconds since 1970, UTC.
    pub updated_at: i64,
    /// How many inputs have been decided for this card: the order `rebuild` repeats them in.
    pub inputs_decided: i64,
}

impl Card {
    /// A card of which nothing is known yet.
    pub fn new(id: CardId) -> Self {
        Self {
            id,
            registered_program: None,
            consumer_reference: None,
            status: None,
            status_held: None,
            masked: BTreeMap::new(),
            token: None,
            refresh_held: None,
            version: 0,
            number_version: 0,
            cryptogram: None,
            checkout_recommended: false,
            tokens: Vec::new(),
            contract_status: None,
            terminal: None,
            erased_at: None,
            not_there_since: None,
            token_doubted: None,
            latest_item: None,
            updated_at: 0,
            inputs_decided: 0,
        }
    }

    /// The status, if one is known that no later unknown one puts in doubt. Where a card has tokens of
    /// its own it is usable as long as one of them is.
    pub fn known_status(&self) -> Option<Status> {
        if !self.tokens.is_empty() {
            let any = |status| {
                self.tokens
                    .iter()
                    .any(|token| token.status() == Some(&status))
            };
            return match (any(TokenStatus::Active), any(TokenStatus::Suspended)) {
                (true, _) => Some(Status::Active),
                (false, true) => Some(Status::Suspended),
                (false, false) => None,
            };
        }
        let register = self.status.as_ref()?;
        (!outranks(self.status_held, Some(register.rank))).then_some(register.value)
    }

    /// The word shown as status: the terminal state, Mastercard's word, or none.
    pub fn status_word(&self) -> Option<&'static str> {
        match self.terminal {
            Some(terminal) => Some(terminal.state.word()),
            None => self.known_status().map(Status::word),
        }
    }

    /// A refresh that cannot be read is newer than the token we hold.
    pub fn refresh_is_unreadable(&self) -> bool {
        outranks(
            self.refresh_held,
            self.token.as_ref().map(|token| token.rank),
        )
    }

    /// A fresh cryptogram is to be asked for: the number changed other than by registration, the
    /// card is ACTIVE, and for this `number_version` there is none and was none.
    pub fn cryptogram_is_due(&self) -> bool {
        self.terminal.is_none()
            && self.cryptogram.is_none()
            && self.known_status() == Some(Status::Active)
            && self.token.as_ref().is_some_and(Token::wants_checkout)
    }

    /// Masked token digits or expiry newer than our token differ from it, or a Checkout answer did: a
    /// refresh seems to have passed us by.
    pub fn refresh_is_suspected(&self) -> bool {
        let Some(token) = &self.token else {
            return false;
        };
        if outranks(self.token_doubted, Some(token.rank)) {
            return true;
        }
        let newer = |field: &str| {
            let received = self.masked.get(field)?;
            let is_newer = received.rank.against(token.rank) == Precedence::Newer;
            received.value.as_str().filter(|_| is_newer)
        };
        digits_differ(&token.number, token.expiry, newer)
    }

    /// Leaves nothing of a card that has ended but its id, its state and the time.
    pub fn erase(&mut self, now: i64) {
        *self = Self {
            terminal: self.terminal,
            erased_at: Some(now),
            updated_at: now,
            inputs_decided: self.inputs_decided,
            ..Self::new(self.id.clone())
        };
    }

    /// The token of this id, if it is one of the card.
    pub fn token_of_id(&self, id: &str) -> Option<&CardToken> {
        self.tokens.iter().find(|token| token.id == id)
    }

    /// A masked field's value as text.
    pub fn masked_text(&self, field: &str) -> Option<&str> {
        self.masked
            .get(field)
            .and_then(|register| register.value.as_str())
    }
}

/// Whether something held back is later than what the register was set by.
fn outranks(held: Option<Rank>, set_by: Option<Rank>) -> bool {
    match (held, set_by) {
        (Some(held), Some(set_by)) => held.against(set_by) == Precedence::Newer,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// Whether masked token digits or expiry, where `masked` has them, differ from a number and expiry.
/// They come unpadded at times.
pub(super) fn digits_differ<'a>(
    number: &TokenNumber,
    expiry: Option<Expiry>,
    masked: impl Fn(&str) -> Option<&'a str>,
) -> bool {
    let differs = |field: &str, pad: fn(&str) -> String, ours: Option<String>| {
        let padded = masked(field).map(pad);
        padded.is_some() && ours.is_some() && padded != ours
    };
    let four = |text: &str| format!("{text:0>4}");
    let two = |text: &str| format!("{text:0>2}");
    let year = |text: &str| {
        if text.len() == 2 {
            format!("20{text}")
        } else {
            text.to_owned()
        }
    };
    differs("tokenLastFour", four, Some(number.last_four()))
        || differs("tokenExpirationMonth", two, expiry.map(Expiry::month))
        || differs("tokenExpirationYear", year, expiry.map(Expiry::year))
}
