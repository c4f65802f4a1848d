//! Mastercard Processing Digital: the tokens of card contracts, and commands for them.
//!
//! Bodies are encrypted both ways, errors are plain.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::calls::Operation;
use super::contracts::{ACTIVE, ContractToken, DEACTIVATED, SUSPENDED};
use super::errors::{self, Refusal};
use super::faults::{Fault, another};
use super::http::{Answer, Request};
use super::shared::Shared;
use crate::jose::json;

/// Where the API is, as at Mastercard.
pub(super) const BASE_PATH: &str = "/global-processing/digital";

/// The only member of a body.
const ENCRYPTED: &str = "encryptedData";
/// How answers are encrypted.
const ENC: (&str, usize) = ("A256GCM", 12);
const CORRELATION_ID: &str = "X-MC-Correlation-ID";

/// What a request under [`BASE_PATH`] asks for, and the contract in its path.
pub(super) fn operation(method: &str, path: &[&str]) -> Option<(Operation, Option<String>)> {
    match (method, path) {
        ("PUT", ["cards", id, "tokens"]) => {
            Some((Operation::SetTokenStatus, Some((*id).to_owned())))
        }
        ("GET", ["cards", id, "tokens"]) => Some((Operation::ReadTokens, Some((*id).to_owned()))),
        ("GET", ["clients", _, "tokens"] | ["tokens", _]) => Some((Operation::ReadTokens, None)),
        _ => None,
    }
}

/// The address of a request that names a token, as it may be written down.
pub(super) fn shown(request: &Request) -> Option<String> {
    let segments = request.segments()?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let ["global-processing", "digital", "tokens", number] = segments.as_slice() else {
        return None;
    };
    Some(format!("{BASE_PATH}/tokens/{}", last_four(number)))
}

/// The part of a token number that may be shown.
pub(super) fn last_four(number: &str) -> String {
    let before = number.chars().count().saturating_sub(4);
    number.chars().skip(before).collect()
}

/// Suspends, resumes or deactivates one token of a contract, or all.
pub(super) fn command(shared: &Shared, request: &Request, contract: &str) -> Answer {
    let done = asked(shared, request).and_then(|(status, number)| {
        let number = number.as_deref();
        match shared.contracts().command(contract, number, status) {
            true => Ok(()),
            false => Err(not_there()),
        }
    });
    let nothing = Answer {
        status: 204,
        headers: Vec::new(),
        body: Vec::new(),
    };
    traced(done.map_or_else(|refusal| refusal, |()| nothing))
}

/// The status that tokens are to have, and the token if it is to be one only.
fn asked(shared: &Shared, request: &Request) -> Result<(&'static str, Option<String>), Answer> {
    let wrapper = object(&request.body, &[ENCRYPTED])?;
    let token = wrapper.get(ENCRYPTED).and_then(Value::as_str);
    let token = token.ok_or_else(|| refused("the body has no encryptedData"))?;
    let opened = shared.keys.open(token);
    let opened = opened.ok_or_else(|| {
        let description = "encryptedData is not encrypted to this side in an accepted form";
        errors::gateway(400, "DECRYPTION_FAILED", description, false)
    })?;
    let command = object(&opened, &["tokenStatus", "tokenNumber"])?;
    let status = match command.get("tokenStatus").and_then(Value::as_str) {
        Some("SUSPEND") => SUSPENDED,
        Some("RESUME") => ACTIVE,
        Some("DEACTIVATE") => DEACTIVATED,
        _ => return Err(refused("tokenStatus is not SUSPEND, RESUME or DEACTIVATE")),
    };
    match command.get("tokenNumber") {
        None => Ok((status, None)),
        Some(Value::String(number)) if !number.is_empty() => Ok((status, Some(number.clone()))),
        Some(_) => Err(refused("tokenNumber is not text")),
    }
}

/// A JSON object with no other members than these.
fn object(body: &[u8], known: &[&str]) -> Result<Map<String, Value>, Answer> {
    let Ok(Value::Object(members)) = json::parse(body) else {
        return Err(refused("the body, or what it holds, is not a JSON object"));
    };
    match members.keys().all(|name| known.contains(&name.as_str())) {
        true => Ok(members),
        false => Err(refused("a member is unknown")),
    }
}

/// Tells of the tokens of a contract or of a client, or of one token.
pub(super) fn read(shared: &Shared, request: &Request, fault: Option<&Fault>) -> Answer {
    let answered = found(shared, request, fault).and_then(|plaintext| {
        let token = shared.encrypted(&plaintext, ENC, fault);
        let token = token.map_err(|refusal| refusal.answer())?;
        Ok(Answer::json(200, &json!({ ENCRYPTED: token })))
    });
    traced(answered.unwrap_or_else(|refusal| refusal))
}

fn found(shared: &Shared, request: &Request, fault: Option<&Fault>) -> Result<Value, Answer> {
    let segments = request.segments().unwrap_or_default();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let wanted = wanted(request)?;
    let details = |token: &ContractToken| match fault {
        Some(Fault::OtherCard) => token.details(&another(&token.number)),
        _ => token.details(&token.number),
    };
    let contracts = shared.contracts();
    let tokens = match segments.as_slice() {
        [_, _, "tokens", number] => {
            return contracts.get(number).map(details).ok_or_else(not_there);
        }
        [_, _, "cards", id, _] => contracts.of_contract(id),
        [_, _, "clients", id, _] => contracts.of_client(id),
        _ => None,
    };
    let tokens = tokens.ok_or_else(not_there)?;
    let tokens = tokens
        .into_iter()
        .filter(|token| wanted.is_none_or(|active| (token.status == ACTIVE) == active));
    // Whether a list comes bare or in an object is not documented.
    Ok(json!({ "tokens": tokens.map(details).collect::<Vec<_>>() }))
}

/// Whether only active or only inactive tokens are asked for. The documentation does not spell the
/// values out, so case does not matter.
fn wanted(request: &Request) -> Result<Option<bool>, Answer> {
    let unreadable = || refused("the query cannot be read");
    let query = request.query().ok_or_else(unreadable)?;
    let status = query
        .get("status")
        .map(|status| status.to_ascii_lowercase());
    match status.as_deref() {
        None => Ok(None),
        Some("active") => Ok(Some(true)),
        Some("inactive") => Ok(Some(false)),
        Some(_) => Err(refused("status is neither active nor inactive")),
    }
}

/// No token, or none that is not deactivated. The words are the documented ones, status and reason are
/// not documented.
fn not_there() -> Answer {
    let refusal = Refusal {
        status: 404,
        reason: "TOKEN_NOT_FOUND_OR_DEACTIVATED",
        message: "Token not found or deactivated",
        detail: None,
    };
    refusal.answer()
}

fn refused(description: &str) -> Answer {
    errors::gateway(400, "INVALID_INPUT_VALUE", description, false)
}

fn traced(answer: Answer) -> Answer {
    answer.with(CORRELATION_ID, Uuid::now_v7().to_string())
}
