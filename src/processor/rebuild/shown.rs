//! The registers of a card, as they are compared and shown: never with a full number.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::domain::{
    Card, CardToken, CheckoutReason, Expiry, Rank, Register, Token, TokenNumber, TokenStatus,
    WITHHELD, is_field_shown,
};
use crate::telemetry::timestamp;

/// The value of a register.
pub struct Shown {
    text: String,
    /// Compared, never shown.
    number: Option<TokenNumber>,
    pub rank: Option<Rank>,
    /// When what set it was received; empty where that is not kept.
    received: String,
    /// It follows from numbers, which are wiped when the card ends.
    pub is_of_number: bool,
    /// Digits that may not be shown of a card with the stored status.
    is_withheld: bool,
}

pub type Registers = BTreeMap<String, Shown>;

impl Shown {
    fn plain(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            number: None,
            rank: None,
            received: String::new(),
            is_of_number: false,
            is_withheld: false,
        }
    }

    fn count(count: i64) -> Self {
        Self::plain(count.to_string())
    }

    fn time(at: i64) -> Self {
        Self::plain(timestamp(at))
    }

    /// Something that is held back, by its rank.
    fn held(rank: Rank) -> Self {
        Self {
            rank: Some(rank),
            ..Self::plain("held")
        }
    }

    fn register<T>(register: &Register<T>, text: impl Into<String>) -> Self {
        Self {
            rank: Some(register.rank),
            received: timestamp(register.received_at),
            ..Self::plain(text)
        }
    }

    fn of_number(self) -> Self {
        Self {
            is_of_number: true,
            ..self
        }
    }

    pub fn same_value(&self, other: &Self) -> bool {
        self.text == other.text && self.number == other.number
    }

    pub fn equals(&self, other: &Self) -> bool {
        self.same_value(other) && self.rank == other.rank && self.received == other.received
    }

    pub fn in_words(&self) -> String {
        let mut words = match self.is_withheld {
            true => WITHHELD.to_owned(),
            false => self.text.clone(),
        };
        if let Some(rank) = self.rank {
            words.push_str(&format!(" of {rank}"));
        }
        if !self.received.is_empty() {
            words.push_str(&format!(", received {}", self.received));
        }
        words
    }
}

/// The registers of a card, as they are shown of one with this status.
pub fn registers(card: &Card, shown_as: Option<&str>) -> Registers {
    let named = |(name, shown): (&str, Option<Shown>)| Some((name.to_owned(), shown?));
    let mut found = Registers::new();
    found.extend(of_card(card).into_iter().filter_map(named));
    found.extend(of_numbers(card).into_iter().filter_map(named));
    found.extend(of_masked(card, shown_as));
    found.extend(card.token.iter().flat_map(of_token));
    found.extend(card.tokens.iter().flat_map(of_program_token));
    found
}

/// What does not follow from a number.
fn of_card(card: &Card) -> [(&'static str, Option<Shown>); 8] {
    let text = |text: &Option<String>| text.as_ref().map(Shown::plain);
    let status = card.status.as_ref();
    let end = card.terminal.as_ref();
    let end = end.map(|end| format!("{} at {}", end.state.word(), timestamp(end.at)));
    [
        ("status", status.map(|s| Shown::register(s, s.value.word()))),
        ("status (held)", card.status_held.map(Shown::held)),
        ("program", text(&card.registered_program)),
        ("consumerReference", text(&card.consumer_reference)),
        ("contractStatus", text(&card.contract_status)),
        ("notThereSince", card.not_there_since.map(Shown::time)),
        ("inputsDecided", Some(Shown::count(card.inputs_decided))),
        ("end", end.map(Shown::plain)),
    ]
}

/// What follows from numbers, but for the token itself.
fn of_numbers(card: &Card) -> [(&'static str, Option<Shown>); 8] {
    let latest = card.latest_item.as_ref().map(|item| {
        let digest = item.digest.as_deref().unwrap_or("no identity");
        Shown::plain(format!("{}.{}, {digest}", item.sequence, item.index))
    });
    let recommended = Shown::plain(card.checkout_recommended.to_string());
    let registers = [
        ("latestItem", latest),
        ("updatedAt", Some(Shown::time(card.updated_at))),
        ("version", Some(Shown::count(card.version.into()))),
        (
            "numberVersion",
            Some(Shown::count(card.number_version.into())),
        ),
        (
            "cryptogram",
            card.cryptogram.map(|state| Shown::plain(state.word())),
        ),
        ("checkoutRecommended", Some(recommended)),
        ("token (held)", card.refresh_held.map(Shown::held)),
        ("token (doubted)", card.token_doubted.map(Shown::held)),
    ];
    registers.map(|(name, shown)| (name, shown.map(Shown::of_number)))
}

/// The masked fields.
fn of_masked(card: &Card, shown_as: Option<&str>) -> impl Iterator<Item = (String, Shown)> {
    card.masked.iter().map(move |(name, register)| {
        let value = match &register.value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let shown = Shown {
            is_withheld: !is_field_shown(name, shown_as),
            ..Shown::register(register, value)
        };
        (format!("maskedCard.{name}"), shown)
    })
}

/// The token register: number and expiry move together.
fn of_token(token: &Token) -> Vec<(String, Shown)> {
    let ending = |number: &TokenNumber| format!("number ending in {}", number.last_four());
    let expiry = token.expiry.map(|expiry: Expiry| expiry.to_string());
    let register = Shown {
        number: Some(token.number.clone()),
        rank: Some(token.rank),
        received: timestamp(token.received_at),
        ..Shown::plain(format!(
            "{}, {}",
            ending(&token.number),
            expiry.as_deref().unwrap_or("no expiry")
        ))
        .of_number()
    };
    let wanted = token.checkout_wanted.map_or("none", CheckoutReason::word);
    let mut found = vec![
        ("token".to_owned(), register),
        (
            "token.refreshedAt".to_owned(),
            Shown::plain(timestamp(token.refreshed_at)).of_number(),
        ),
        (
            "token.checkoutWanted".to_owned(),
            Shown::plain(wanted).of_number(),
        ),
    ];
    if let Some(registered) = &token.registered {
        let shown = Shown {
            number: Some(registered.clone()),
            ..Shown::plain(ending(registered))
        };
        found.push(("token.registered".to_owned(), shown.of_number()));
    }
    found
}

/// A token of a program whose cards have tokens of their own.
fn of_program_token(token: &CardToken) -> Vec<(String, Shown)> {
    let name = |part: &str| format!("tokens.{}.{part}", token.id);
    let at = |at: Option<i64>| at.map_or("never".to_owned(), timestamp);
    let rest = format!(
        "ending in {}, {}, customer {}, {}, read as of {}, relinking since {}, not there since {}",
        token.last_four,
        token
            .expiry
            .map_or("no expiry".to_owned(), |expiry| expiry.to_string()),
        token.customer.as_deref().unwrap_or("none"),
        Value::from_iter(token.details.clone()),
        token
            .read
            .map_or("never".to_owned(), |rank| rank.to_string()),
        at(token.relinking_since),
        at(token.not_there_since),
    );
    let mut found = vec![(name("details"), Shown::plain(rest))];
    if let Some(status) = &token.status {
        let shown = Shown::register(status, TokenStatus::word(&status.value));
        found.push((name("status"), shown));
    }
    found
}
