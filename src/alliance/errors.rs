//! The bank's error object, and what it means for a call.

use serde_json::{Map, Value};

use crate::domain::ProgramToken;
use crate::domain::could_hold_a_number;
use crate::settings::AllianceSettings;
use crate::upstream::{Answer, CallFailure, FailureClass};

/// Our word where the answer has none.
const NO_WORDS: &str = "http-error";
const LONGEST_WORD: usize = 64;

/// Whether an answer is an error: its HTTP status need not say so.
pub(super) fn is_error(fields: &Map<String, Value>) -> bool {
    let kind = fields.get("msgType").and_then(Value::as_str);
    fields.get("msgCode").is_some_and(|code| !code.is_null())
        || kind.is_some_and(|kind| kind.eq_ignore_ascii_case("ERROR"))
}

/// What an answer that is no success means. The bank's code decides where the settings know it, else
/// the HTTP status does.
pub(super) fn failure(
    answer: &Answer,
    fields: &Map<String, Value>,
    settings: &AllianceSettings,
    token: Option<&ProgramToken>,
) -> CallFailure {
    let code = fields.get("msgCode").and_then(Value::as_str);
    let code = code.unwrap_or_default();
    let is_among = |codes: &[String]| codes.iter().any(|known| known == code);
    let class = if is_among(&settings.retry_codes) {
        FailureClass::Retry
    } else if is_among(&settings.denied_codes) {
        FailureClass::Denied
    } else if is_among(&settings.not_found_codes) {
        FailureClass::NotThere
    } else {
        class_of(answer.status)
    };
    // A token is made of the same characters as a code: one that holds ours is no word to be shown.
    let names_token = token.is_some_and(|token| code.contains(token.expose()));
    let reason = match is_word(code) && !names_token {
        true => code,
        false => NO_WORDS,
    };
    answer.refused(class, reason)
}

fn class_of(status: u16) -> FailureClass {
    match status {
        401 | 403 => FailureClass::Denied,
        408 | 425 | 429 => FailureClass::Retry,
        // What the bank refuses with a success's status would be refused again.
        200..=299 | 400..=499 => FailureClass::Refused,
        // The rest has no documented meaning that would rule out a later success.
        _ => FailureClass::Retry,
    }
}

fn is_word(code: &str) -> bool {
    (1..=LONGEST_WORD).contains(&code.len())
        && code
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
        && !could_hold_a_number(code)
}
