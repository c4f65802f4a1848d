//! The tokens that the bank keeps, and how their states follow each other.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::random::Random;

pub(super) const ACTIVE: &str = "ACTIVE";
pub(super) const SUSPENDED: &str = "SUSPENDED";
/// Set by the bank itself only.
pub(super) const OBSOLETE: &str = "OBSOLETE";
/// For good.
pub(super) const DELETED: &str = "DELETED";
/// All states that there are.
pub(super) const STATES: [&str; 4] = [ACTIVE, SUSPENDED, OBSOLETE, DELETED];

/// What the merchant may ask for.
const ALLOWED: [(&str, &str); 4] = [
    (ACTIVE, SUSPENDED),
    (SUSPENDED, ACTIVE),
    (ACTIVE, DELETED),
    (SUSPENDED, DELETED),
];

/// Token and customer of those that are there from the start. The first one begins with a hyphen, as
/// tokens may.
const SEEDS: [(&str, &str); 3] = [
    ("-s9UCfCNN0YMk4ZOyZX8pWAt", "customer-1"),
    ("SRrSBe5DOb7lrZ_FS46fihty", "customer-1"),
    ("_T4wQm0nV2xJ8cLr5hYdGz1K", "customer-2"),
];

/// The merchant of all tokens.
const MERCHANT_ID: &str = "137d9304-0368-11ed-b939-0242ac120002";

/// A token of the bank. It is as good as a card number, so it cannot be printed.
#[derive(Clone)]
pub(super) struct BankToken {
    pub(super) token: String,
    pub(super) customer: String,
    pub(super) state: String,
    masked_pan: String,
}

impl BankToken {
    /// The token as it is read, under that name.
    pub(super) fn details(&self, token: &str) -> Value {
        json!({
            "token": token,
            "status": self.state,
            "maskedPan": self.masked_pan,
            "customerId": self.customer,
            "merchantId": MERCHANT_ID,
        })
    }
}

/// Why a token does not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BankFault {
    NoSuchToken,
    NotAllowed,
}

/// All tokens that there are.
pub(super) struct BankTokens {
    tokens: BTreeMap<String, BankToken>,
    random: Random,
}

impl BankTokens {
    /// The tokens that there are from the start; others are made up from `random`.
    pub(super) fn seeded(random: Random) -> Self {
        let mut tokens = Self {
            tokens: BTreeMap::new(),
            random,
        };
        for (token, customer) in SEEDS {
            tokens.add(token, customer);
        }
        tokens
    }

    /// Adds an active token, in the place of one of the same name if there is one.
    pub(super) fn add(&mut self, token: &str, customer: &str) {
        let new = BankToken {
            token: token.to_owned(),
            customer: customer.to_owned(),
            state: ACTIVE.to_owned(),
            masked_pan: format!("528529••••••{:04}", self.random.below(10_000)),
        };
        self.tokens.insert(token.to_owned(), new);
    }

    /// A token that there is not yet: 24 characters of base64url.
    pub(super) fn new_token(&mut self) -> String {
        URL_SAFE_NO_PAD.encode(self.random.bytes::<18>())
    }

    pub(super) fn get(&self, token: &str) -> Option<&BankToken> {
        self.tokens.get(token)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &BankToken> {
        self.tokens.values()
    }

    /// Gives a token any state, whatever it has. Returns whether there is such a token.
    pub(super) fn set(&mut self, token: &str, state: &str) -> bool {
        let known = self.tokens.get_mut(token);
        known
            .map(|known| state.clone_into(&mut known.state))
            .is_some()
    }

    /// The token, if the merchant may give it that state.
    pub(super) fn allowed(&self, token: &str, state: &str) -> Result<BankToken, BankFault> {
        let known = self.get(token).ok_or(BankFault::NoSuchToken)?;
        match ALLOWED.contains(&(known.state.as_str(), state)) {
            true => Ok(known.clone()),
            false => Err(BankFault::NotAllowed),
        }
    }
}
