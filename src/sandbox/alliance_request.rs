//! What the merchant sends to the bank: a signed request, and what makes the bank believe it.

use serde_json::{Map, Value};

use super::alliance_errors::BankError;
use super::http::Request;
use super::shared::Shared;
use crate::jose::json;

/// Milliseconds by which `ts` may differ from our clock.
const WINDOW: u64 = 60 * 1000;
/// A `ts` from here on is in milliseconds: as seconds it would be in the year 5138.
const MILLISECONDS: i64 = 100_000_000_000;

const NO_JWS: BankError =
    BankError::unreadable("The body is not a JWS, nor an object that holds one.");
const NO_OBJECT: BankError = BankError::unreadable("The payload is not a JSON object.");
const NOT_SIGNED: BankError = BankError::incorrect("The signature, or the key it names, is wrong.");
const WRONG_TARGET: BankError = BankError::incorrect("targetUrl is not the path of the request.");
const WRONG_TIME: BankError = BankError::incorrect("ts is missing, or more than a minute off.");

/// What a request asks for, if the merchant has signed it just now and for this path.
pub(super) fn believed(
    shared: &Shared,
    request: &Request,
) -> Result<Map<String, Value>, BankError> {
    let compact = compact(&request.body).ok_or(NO_JWS)?;
    // Takes `alg` only if it is the key's, and `kid` only if it is the merchant's.
    let jws = shared.alliance.merchant.verify(&compact);
    let jws = jws.map_err(|_| NOT_SIGNED)?;
    let path = request.target.split('?').next();
    let target = jws.header.get("targetUrl").and_then(Value::as_str);
    if target.is_none() || target != path {
        return Err(WRONG_TARGET);
    }
    let at = jws.header.get("ts").and_then(milliseconds);
    if at.is_none_or(|at| at.abs_diff(shared.clock.now()) > WINDOW) {
        return Err(WRONG_TIME);
    }
    match json::parse(&jws.payload) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err(NO_OBJECT),
    }
}

/// The JWS: bare, or as the one member of an object.
fn compact(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?.trim();
    if !text.starts_with('{') {
        return (!text.is_empty()).then(|| text.to_owned());
    }
    let wrapper = json::parse(text.as_bytes()).ok()?;
    let mut members = wrapper.as_object()?.values();
    match (members.next(), members.next()) {
        (Some(Value::String(jws)), None) => Some(jws.clone()),
        _ => None,
    }
}

/// Of a number, or of its digits in a string. The documentation has both units.
fn milliseconds(ts: &Value) -> Option<i64> {
    let ts = match ts {
        Value::String(digits) => {
            let are_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| are_digits)?
        }
        _ => ts.as_i64()?,
    };
    match ts < MILLISECONDS {
        true => ts.checked_mul(1000),
        false => Some(ts),
    }
}
