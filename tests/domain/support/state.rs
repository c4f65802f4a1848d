//! The end state of a card: what must not depend on the order of arrival.

use std::collections::BTreeMap;

use serde_json::Value;
use tokenkeep::domain::{Card, may_charge};

use super::NOW;
use super::item::Token;

/// Values only. Verdicts, version counts and receipts may differ from order to order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    pub status: Option<&'static str>,
    pub is_terminal: bool,
    pub masked: BTreeMap<String, Value>,
    pub token: Option<Token>,
    pub has_cryptogram: bool,
    pub is_cryptogram_due: bool,
    pub is_refresh_unreadable: bool,
    pub is_refresh_suspected: bool,
    pub may_charge: bool,
}

impl State {
    pub fn of(card: &Card) -> Self {
        let masked = (card.masked.iter())
            .map(|(name, register)| (name.clone(), register.value.clone()))
            .collect();
        let token = card.token.as_ref().map(|token| Token {
            number: token.number.expose().to_owned(),
            expiry: token.expiry.map(|expiry| expiry.to_string()),
        });
        Self {
            status: card.status_word(),
            is_terminal: card.terminal.is_some(),
            masked,
            token,
            has_cryptogram: card.cryptogram.is_some(),
            is_cryptogram_due: card.cryptogram_is_due(),
            is_refresh_unreadable: card.refresh_is_unreadable(),
            is_refresh_suspected: card.refresh_is_suspected(),
            may_charge: may_charge(card, NOW),
        }
    }
}
