//! Alliance Bank's tokens: read, and given another state.
//!
//! Requests are signed, and so is every answer of the service, errors too; only what stands in front
//! of it has no key to sign with.

use serde_json::{Map, Value, json};

use super::alliance_errors::BankError;
use super::alliance_keys::{FOREIGN_KID, KID};
use super::alliance_request::believed;
use super::bank_tokens::{BankFault, BankToken};
use super::calls::Operation;
use super::errors::Refusal;
use super::faults::{ErrorShape, Fault, another};
use super::http::{Answer, Request};
use super::keys::wrongly_signed;
use super::shared::Shared;
use crate::jose::SignError;

/// The bank's own word for it is not documented: this one is the sandbox's.
const NOT_FOUND: BankError = BankError::within_200("b_token_not_found", "There is no such token.");
const NOT_ALLOWED: BankError = BankError::within_200(
    "b_invalid_request",
    "The token's state does not allow this one to follow.",
);
const NOT_GIVEN: BankError = BankError::within_200(
    "b_invalid_request",
    "A member of the payload is missing or not text.",
);

/// What a request under `/ecom/jws/token` asks for.
pub(super) fn operation(path: &[&str]) -> Option<Operation> {
    match path {
        ["state", "update_v1"] => Some(Operation::UpdateTokenState),
        ["get_v1"] => Some(Operation::GetToken),
        ["list", "by-customer-id_v1"] => Some(Operation::ListTokens),
        _ => None,
    }
}

/// The true answer, but for a fault of its content.
pub(super) fn answer(
    shared: &Shared,
    request: &Request,
    operation: Operation,
    fault: Option<&Fault>,
) -> Answer {
    let answered = believed(shared, request).and_then(|asked| match (fault, operation) {
        (Some(Fault::ErrorWithin200(code) | Fault::PlainError(code)), _) => {
            Err(BankError::planned(200, Some(code)))
        }
        (_, Operation::UpdateTokenState) => update(shared, &asked, fault),
        (_, Operation::GetToken) => get(shared, &asked, fault),
        _ => list(shared, &asked, fault),
    });
    match answered {
        Ok(body) => sent(shared, 200, &body, fault),
        Err(error) => sent(shared, error.status, &error.body(), fault),
    }
}

/// An error on demand.
pub(super) fn planned(shared: &Shared, status: u16, shape: ErrorShape) -> Answer {
    match shape {
        ErrorShape::Service { detail } => {
            let error = BankError::planned(status, detail);
            sent(shared, status, &error.body(), None)
        }
        ErrorShape::Gateway { .. } => {
            Answer::json(status, &BankError::planned(status, None).body())
        }
    }
}

fn update(
    shared: &Shared,
    asked: &Map<String, Value>,
    fault: Option<&Fault>,
) -> Result<Value, BankError> {
    let (token, state) = (text(asked, "token")?, text(asked, "state")?);
    let mut tokens = shared.bank_tokens();
    let known = tokens.allowed(token, state).map_err(|why| match why {
        BankFault::NoSuchToken => NOT_FOUND,
        BankFault::NotAllowed => NOT_ALLOWED,
    })?;
    let is_updated = fault != Some(&Fault::NotUpdated) && tokens.set(token, state);
    Ok(json!({
        "tokenUpdated": is_updated,
        "customerId": known.customer,
        "token": named(&known, fault),
    }))
}

fn get(
    shared: &Shared,
    asked: &Map<String, Value>,
    fault: Option<&Fault>,
) -> Result<Value, BankError> {
    let tokens = shared.bank_tokens();
    let token = tokens.get(text(asked, "token")?).ok_or(NOT_FOUND)?;
    Ok(json!({ "result": [token.details(&named(token, fault))] }))
}

fn list(
    shared: &Shared,
    asked: &Map<String, Value>,
    fault: Option<&Fault>,
) -> Result<Value, BankError> {
    let customer = text(asked, "customerId")?;
    let tokens = shared.bank_tokens();
    let tokens = tokens.all().filter(|token| token.customer == customer);
    let tokens = tokens.map(|token| token.details(&named(token, fault)));
    Ok(json!({ "result": tokens.collect::<Vec<_>>() }))
}

fn text<'a>(asked: &'a Map<String, Value>, name: &str) -> Result<&'a str, BankError> {
    asked.get(name).and_then(Value::as_str).ok_or(NOT_GIVEN)
}

/// The token that an answer names: the one that was meant, but for a fault that names another.
fn named(token: &BankToken, fault: Option<&Fault>) -> String {
    match fault {
        Some(Fault::OtherCard) => another(&token.token),
        _ => token.token.clone(),
    }
}

fn sent(shared: &Shared, status: u16, body: &Value, fault: Option<&Fault>) -> Answer {
    if let Some(Fault::Unsigned | Fault::PlainError(_)) = fault {
        return Answer::json(status, body);
    }
    match signed(shared, body, fault) {
        Ok(Some(jws)) => Answer::new(status, "text/plain", jws),
        Ok(None) | Err(_) => Refusal::internal().answer(),
    }
}

fn signed(
    shared: &Shared,
    body: &Value,
    fault: Option<&Fault>,
) -> Result<Option<String>, SignError> {
    let keys = &shared.alliance;
    match fault {
        Some(Fault::ForeignKid) => keys.sign(body, FOREIGN_KID).map(Some),
        Some(Fault::WrongSignature) => {
            let other = keys.sign(&Value::Null, KID)?;
            Ok(wrongly_signed(&keys.sign(body, KID)?, &other))
        }
        _ => keys.sign(body, KID).map(Some),
    }
}
