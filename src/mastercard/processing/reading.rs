//! What an answer says: opened where it is encrypted, read as tokens, or as the failure it is.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Client;
use crate::domain::{Expiry, ProgramToken, TokenReading, TokenStatus, without_full_numbers};
use crate::jose::{Keyring, OpenError, json};
use crate::mastercard::ErrorBody;
use crate::mastercard::errors::reason_of;
use crate::upstream::{Answer, CallFailure, FailureClass};

/// The most that is kept of a status nobody knows.
const LONGEST_STATUS: usize = 64;
/// In place of a status that could be a full number.
const OTHER: &str = "OTHER";
/// The fields of an element that are read by their meaning.
const READ: [&str; 5] = [
    "tokenNumber",
    "tokenStatus",
    "cardContractId",
    "clientId",
    "tokenExpiryDate",
];

impl Client {
    /// The content of a body, opened if it is encrypted. The error is a word for the failure's reason.
    pub(super) fn content(&self, body: &[u8], keyring: &Keyring) -> Result<Value, &'static str> {
        let value = json::parse(body).map_err(|_| "not-json")?;
        let Some(token) = self.encrypted(&value) else {
            return Ok(value);
        };
        let opened = keyring.open(token, None).map_err(|error| match error {
            OpenError::UnknownKey => "unknown-key",
            OpenError::Refused => "undecryptable",
        })?;
        json::parse(&opened).map_err(|_| "wrong-schema")
    }

    fn encrypted<'a>(&self, value: &'a Value) -> Option<&'a str> {
        value.get(&self.0.settings.encrypted_field)?.as_str()
    }

    /// What an answer that is no success means. Of an encrypted one that cannot be opened the status
    /// speaks alone.
    pub(super) fn failure(&self, answer: &Answer, keyring: &Keyring) -> CallFailure {
        let body = self.opened_error(&answer.body, keyring);
        let error = ErrorBody::parse(&body);
        let failure = error.refusal(answer.status, answer.retry_after);
        let settings = &self.0.settings;
        let by_status =
            settings.not_found_statuses.contains(&answer.status) && error.recoverable.is_none();
        let is_named = |reason| settings.not_found_codes.contains(&reason);
        let by_code = (400..500).contains(&answer.status) && reason_of(&body).is_some_and(is_named);
        match by_status || by_code {
            true => CallFailure {
                class: FailureClass::NotThere,
                ..failure
            },
            false => failure,
        }
    }

    fn opened_error<'a>(&self, body: &'a [u8], keyring: &Keyring) -> Cow<'a, [u8]> {
        let value = json::parse(body).unwrap_or_default();
        match self.encrypted(&value) {
            Some(token) => {
                let opened = keyring.open(token, None).unwrap_or_default();
                Cow::Owned(opened.to_vec())
            }
            None => Cow::Borrowed(body),
        }
    }

    /// One token as an element tells of it; none if number or status are missing.
    pub(super) fn reading(&self, element: &Value) -> Option<TokenReading> {
        let fields = element.as_object()?;
        let text = |name: &str| fields.get(name).and_then(text);
        let number = text("tokenNumber")?;
        Some(TokenReading {
            token: ProgramToken::parse(&number)?,
            status: self.status(fields.get("tokenStatus")?.as_str()?),
            contract: text("cardContractId"),
            customer: text("clientId"),
            expiry: text("tokenExpiryDate").and_then(|text| expiry(&text)),
            details: details(fields, &number),
        })
    }

    fn status(&self, word: &str) -> TokenStatus {
        let known = [
            ("active", TokenStatus::Active),
            ("suspended", TokenStatus::Suspended),
            ("deactivated", TokenStatus::Deleted),
        ];
        let is_it = |(known, _): &(&str, TokenStatus)| word.eq_ignore_ascii_case(known);
        if let Some((_, status)) = known.into_iter().find(is_it) {
            return status;
        }
        match self.0.settings.status_words.meaning(word) {
            Some(status) => status.clone(),
            None => TokenStatus::Other(plain(word)),
        }
    }
}

/// A word of the other side's, without what could do harm where it is shown.
fn plain(word: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_graphic() || *c == ' ';
    let plain: String = word.chars().filter(is_plain).take(LONGEST_STATUS).collect();
    let shown = without_full_numbers(&Value::from(plain.as_str()));
    match shown.is_null() {
        true => OTHER.to_owned(),
        false => plain,
    }
}

/// An id or a number, which may be text or a whole number. One too large to be read without loss is
/// none.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    }
}

/// `YYMM`.
fn expiry(text: &str) -> Option<Expiry> {
    let (year, month) = text.split_at_checked(2)?;
    (month.len() == 2).then(|| Expiry::parse(month, year))?
}

/// The other fields, without those in which the token's number or another could stand.
fn details(fields: &Map<String, Value>, number: &str) -> BTreeMap<String, Value> {
    let others = fields.iter().filter(|(name, value)| {
        let is_read = READ.contains(&name.as_str());
        !is_read && !name.contains(number) && !value.to_string().contains(number)
    });
    let others = others.map(|(name, value)| (name.clone(), value.clone()));
    match without_full_numbers(&Value::Object(others.collect())) {
        Value::Object(kept) => kept
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .collect(),
        _ => BTreeMap::new(),
    }
}
