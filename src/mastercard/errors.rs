//! The two forms in which Mastercard writes an error: the service's and the gateway's.

use std::time::Duration;

use serde_json::Value;

use crate::domain::could_hold_a_number;
use crate::jose::json;
use crate::upstream::{Answer, CallFailure, FailureClass};

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
        match Form::of(body) {
            Some(Form::Gateway(error)) => gateway(&error),
            Some(Form::Service(error)) => service(&error),
            None => Self::default(),
        }
    }

    /// What an answer of this status with this error means.
    pub(super) fn refusal(&self, status: u16, retry_after: Option<Duration>) -> CallFailure {
        let class = class_of(status, self);
        CallFailure::refused(class, status, &self.words(), retry_after)
    }

    /// The same for a call that asks about one card: not finding the card is an answer.
    ///
    /// A 404 in the gateway's form speaks of the address called, not of the card.
    pub(super) fn refusal_about_a_card(
        &self,
        status: u16,
        retry_after: Option<Duration>,
    ) -> CallFailure {
        let refusal = self.refusal(status, retry_after);
        match status {
            404 | 410 if self.recoverable.is_none() => CallFailure {
                class: FailureClass::NotThere,
                ..refusal
            },
            _ => refusal,
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

/// The error inside an answer.
enum Form {
    /// `{Source, ReasonCode, Description, Recoverable, Details}`.
    Gateway(Value),
    /// `{status, reason, message, errordetail}`, or the older `{code, status, message, details}` where
    /// `status` is the word and `code` the number.
    Service(Value),
}

impl Form {
    fn of(body: &[u8]) -> Option<Self> {
        let Ok(Value::Object(mut fields)) = json::parse(body) else {
            return None;
        };
        // A whole error stands inside `value` at times.
        let error = match fields.remove("value") {
            Some(inner @ Value::Object(_)) => inner,
            _ => Value::Object(fields),
        };
        match error.get("Errors").and_then(|errors| errors.get("Error")) {
            Some(errors) => first(errors).cloned().map(Self::Gateway),
            None => Some(Self::Service(error)),
        }
    }
}

/// The reason that an error names, in its own words: to be compared, never to be kept.
pub(super) fn reason_of(body: &[u8]) -> Option<String> {
    let reason = match Form::of(body)? {
        Form::Gateway(error) => error.get("ReasonCode").cloned(),
        Form::Service(error) => error.get("reason").or_else(|| error.get("status")).cloned(),
    };
    match reason? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What an answer that is no success means.
pub(super) fn refusal(answer: &Answer) -> CallFailure {
    ErrorBody::parse(&answer.body).refusal(answer.status, answer.retry_after)
}

/// The same for a call that asks about one card.
pub(super) fn refusal_about_a_card(answer: &Answer) -> CallFailure {
    let error = ErrorBody::parse(&answer.body);
    error.refusal_about_a_card(answer.status, answer.retry_after)
}

/// The class of an answer that is no success. The gateway's hint decides where it gives one, except
/// that a refused credential is refused whatever the hint, and a limit of rate or time passes.
fn class_of(status: u16, error: &ErrorBody) -> FailureClass {
    match (status, error.recoverable) {
        (408 | 425 | 429, _) | (_, Some(true)) => FailureClass::Retry,
        (401 | 403, _) => FailureClass::Denied,
        (_, Some(false)) | (400..=499, None) => FailureClass::Refused,
        // The rest has no documented meaning that would rule out a later success.
        _ => FailureClass::Retry,
    }
}

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
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
        && !could_hold_a_number(text);
    Some(if is_word { text } else { OTHER }.to_owned())
}
