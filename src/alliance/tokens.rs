//! The token calls: change a token's state, read one token, list a customer's.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Client;
use super::answer::Said;
use crate::domain::{ProgramToken, TokenCommand, TokenReading, TokenStatus, without_full_numbers};
use crate::settings::AllianceSettings;
use crate::upstream::CallFailure;

const UPDATE: &str = "/ecom/jws/token/state/update_v1";
const GET: &str = "/ecom/jws/token/get_v1";
const LIST: &str = "/ecom/jws/token/list/by-customer-id_v1";

/// Fields of a token that are kept as they come.
const DETAILS: [&str; 2] = ["maskedPan", "merchantId"];

impl Client {
    /// Asks the bank to bring a token into the state that the command leads to. False where the bank
    /// says that it updated nothing.
    ///
    /// # Errors
    /// [`CallFailure`].
    pub fn update_state(
        &self,
        token: &ProgramToken,
        command: TokenCommand,
    ) -> Result<bool, CallFailure> {
        let payload = json!({ "token": token.expose(), "state": state(command) });
        let said = self.call(UPDATE, &payload, Some(token))?;
        match said.fields.get("token").and_then(named_token) {
            Some(named) if named != *token => return Err(said.unusable("other-token")),
            Some(_) => {}
            None => return Err(said.unusable("wrong-schema")),
        }
        let updated = said.fields.get("tokenUpdated").and_then(Value::as_bool);
        updated.ok_or_else(|| said.unusable("wrong-schema"))
    }

    /// Reads one token.
    ///
    /// # Errors
    /// [`CallFailure`], of class [`NotThere`](crate::upstream::FailureClass::NotThere) where the bank
    /// has no such token.
    pub fn get_token(&self, token: &ProgramToken) -> Result<TokenReading, CallFailure> {
        let payload = self.asking("token", token.expose());
        let said = self.call(GET, &payload, Some(token))?;
        let mut readings = self.readings(&said)?;
        match (readings.pop(), readings.is_empty()) {
            (None, _) => Err(said.not_there()),
            (Some(reading), true) if reading.token == *token => Ok(reading),
            _ => Err(said.unusable("other-token")),
        }
    }

    /// Reads all tokens of a customer.
    ///
    /// # Errors
    /// [`CallFailure`].
    pub fn list_tokens(&self, customer_id: &str) -> Result<Vec<TokenReading>, CallFailure> {
        let said = self.call(LIST, &self.asking("customerId", customer_id), None)?;
        let readings = self.readings(&said)?;
        let is_theirs = |reading: &TokenReading| reading.customer.as_deref() == Some(customer_id);
        match readings.iter().all(is_theirs) {
            true => Ok(readings),
            false => Err(said.unusable("other-customer")),
        }
    }

    /// What a read sends: whom or what it is about, and the merchant where one is set.
    fn asking(&self, name: &str, value: &str) -> Value {
        match self.0.settings.merchant_id.as_str() {
            "" => json!({ name: value }),
            merchant => json!({ name: value, "merchantId": merchant }),
        }
    }

    fn readings(&self, said: &Said) -> Result<Vec<TokenReading>, CallFailure> {
        let list = said.fields.get("result").and_then(Value::as_array);
        let readings = list.and_then(|list| {
            let entries = list.iter();
            entries
                .map(|entry| reading(entry, &self.0.settings))
                .collect()
        });
        readings.ok_or_else(|| said.unusable("wrong-schema"))
    }
}

/// The bank's word for where a command leads.
fn state(command: TokenCommand) -> &'static str {
    match command {
        TokenCommand::Suspend => "SUSPENDED",
        TokenCommand::Resume => "ACTIVE",
        TokenCommand::Deactivate => "DELETED",
    }
}

fn reading(entry: &Value, settings: &AllianceSettings) -> Option<TokenReading> {
    let detail = |name: &&str| {
        let value = without_full_numbers(entry.get(*name)?);
        (!value.is_null()).then(|| ((*name).to_owned(), value))
    };
    let details: BTreeMap<String, Value> = DETAILS.iter().filter_map(detail).collect();
    // Shown in the bank's word where it is none of ours: it must not be a number.
    let word = without_full_numbers(entry.get("status")?);
    Some(TokenReading {
        token: named_token(entry.get("token")?)?,
        status: status(word.as_str()?, settings),
        contract: None,
        customer: entry.get("customerId").and_then(text),
        expiry: None,
        details,
    })
}

fn named_token(value: &Value) -> Option<ProgramToken> {
    ProgramToken::parse(value.as_str()?)
}

fn status(word: &str, settings: &AllianceSettings) -> TokenStatus {
    match word {
        "ACTIVE" => TokenStatus::Active,
        "SUSPENDED" => TokenStatus::Suspended,
        "OBSOLETE" => TokenStatus::Obsolete,
        "DELETED" => TokenStatus::Deleted,
        other => match settings.status_words.meaning(other) {
            Some(known) => known.clone(),
            None => TokenStatus::other(other),
        },
    }
}

/// An id, which may come as a number.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
