//! The two forms in which Mastercard writes an error: the service's and the gateway's.

use serde_json::Value;

use crate::jose::json;

/// What is kept in place of a word that is none.
const OTHER: &str = "OTHER";
/// Our word where the answer has none.
const NO_WORDS: &str = "http-error";
const LONGEST_WORD: usize = 64;

/// What is kept of an error answer: only words, nothing of its texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorBody {
    /// The status that the body names.
    pub status: Option<u16>,
    pub reason: Option<String>,
    /// The reason of the first detail.
    pub detail: Option<String>,
    /// The gateway's hint; only its form has one.
    pub recoverable: Option<bool>,
}

impl ErrorBody {
    /// Reads either form, with the variations seen in Mastercard's samples. What is neither gives an
    /// empty one: the HTTP status alone decides then.
    pub fn parse(body: &[u8]) -> Self {
        let Ok(Value::Object(mut fields)) = json::parse(body) else {
            return Self::default();
        };
        // A whole error stands inside `value` at times.
        let error = match fields.remove("value") {
            Some(inner @ Value::Object(_)) => inner,
            _ => Value::Object(fields),
        };
        match error.get("Errors").and_then(|errors| errors.get("Error")) {
            Some(errors) => first(errors).map(gateway).unwrap_or_default(),
            None => service(&error),
        }
    }

    /// The reason, and the first detail's behind a slash.
    pub(super) fn words(&self) -> String {
        match (&self.reason, &self.detail) {
            (Some(reason), Some(detail)) => format!("{reason}/{detail}"),
            (Some(word), None) | (None, Some(word)) => word.clone(),
            (None, None) => NO_WORDS.to_owned(),
        }
    }
}

/// `{Source, ReasonCode, Description, Recoverable, Details}`.
fn gateway(error: &Value) -> ErrorBody {
    let recoverable = match error.get("Recoverable") {
        Some(Value::Bool(flag)) => Some(*flag),
        Some(Value::String(text)) => text.to_ascii_lowercase().parse().ok(),
        _ => None,
    };
    ErrorBody {
        reason: error.get("ReasonCode").and_then(word),
        recoverable,
        ..ErrorBody::default()
    }
}

/// `{status, reason, message, errordetail}`, or the older `{code, status, message, details}` where
/// `status` is the word and `code` the number.
fn service(error: &Value) -> ErrorBody {
    let number = |name: &str| error.get(name)?.as_u64()?.try_into().ok();
    let text = |name: &str| error.get(name).and_then(word);
    let details = ["errordetail", "details"].iter().find_map(|name| {
        let details = error.get(name).filter(|details| !details.is_null())?;
        first(details)
    });
    ErrorBody {
        status: number("status").or_else(|| number("code")),
        reason: text("reason").or_else(|| text("status")),
        detail: details
            .and_then(|detail| detail.get("reason"))
            .and_then(word),
        recoverable: None,
    }
}

/// The first of a list, or what stands in its place alone.
fn first(list: &Value) -> Option<&Value> {
    match list {
        Value::Array(items) => items.first(),
        alone => Some(alone),
    }
}

/// One of Mastercard's words. Anything else that is text becomes [`OTHER`], so that nothing the
/// answer says in its own words is stored or shown.
fn word(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let is_word = (1..=LONGEST_WORD).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
    Some(if is_word { text } else { OTHER }.to_owned())
}
