//! The request body: a plain list of elements, or the same list as one JWE.

use serde_json::Value;

use crate::jose::json::{self, JsonFault};

const PLAIN: &str = "digitalCardUpdateNotifications";
const ENCRYPTED: &str = "encryptedDigitalCardUpdateNotifications";
const FINGERPRINT: &str = "keyFingerprintId";

/// A body that can be kept.
pub enum Envelope {
    /// The plain list, as it came: its elements are looked at later, one by one.
    Plain(Value),
    Encrypted(EncryptedList),
    /// Both forms at once: which one is meant is not known.
    Both(Value, EncryptedList),
}

/// The fully encrypted list.
pub struct EncryptedList {
    /// A JWE, or whatever stood in its place.
    pub token: Value,
    /// A `keyFingerprintId` beside it.
    pub fingerprint: Option<String>,
}

/// Why a body cannot be kept. Quotes nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeFault {
    #[error("the body is not JSON (line {line}, column {column})")]
    NotJson { line: usize, column: usize },
    #[error("the body holds the same key twice in one object")]
    DuplicateKey,
    #[error("the body is nested too deeply")]
    TooDeep,
    #[error("the body is not a JSON object")]
    NotAnObject,
    #[error("the body has neither {PLAIN} nor {ENCRYPTED}")]
    NeitherField,
}

impl From<JsonFault> for EnvelopeFault {
    fn from(fault: JsonFault) -> Self {
        match fault {
            JsonFault::NotJson { line, column } => Self::NotJson { line, column },
            JsonFault::DuplicateKey => Self::DuplicateKey,
            JsonFault::TooDeep => Self::TooDeep,
        }
    }
}

impl Envelope {
    /// Reads a body as far as is needed to know that it can be kept. A null field counts as absent.
    pub fn parse(body: &[u8]) -> Result<Self, EnvelopeFault> {
        let Value::Object(mut fields) = json::parse(body)? else {
            return Err(EnvelopeFault::NotAnObject);
        };
        let mut take = |name: &str| fields.remove(name).filter(|value| !value.is_null());
        let plain = take(PLAIN);
        let encrypted = take(ENCRYPTED).map(|token| EncryptedList {
            token,
            fingerprint: fields
                .get(FINGERPRINT)
                .and_then(Value::as_str)
                .map(str::to_owned),
        });
        match (plain, encrypted) {
            (Some(list), None) => Ok(Self::Plain(list)),
            (None, Some(encrypted)) => Ok(Self::Encrypted(encrypted)),
            (Some(list), Some(encrypted)) => Ok(Self::Both(list, encrypted)),
            (None, None) => Err(EnvelopeFault::NeitherField),
        }
    }

    /// The number of elements that can be counted without a key.
    pub fn visible_items(&self) -> usize {
        match self {
            Self::Plain(Value::Array(elements)) | Self::Both(Value::Array(elements), _) => {
                elements.len()
            }
            _ => 1,
        }
    }
}

/// The elements of a list: a bare array, an object that holds it, or a single element.
///
/// The plaintext of the encrypted form is not published, so all three are taken. `None` if it is
/// none of them.
pub fn elements(list: Value) -> Option<Vec<Value>> {
    match list {
        Value::Array(elements) => Some(elements),
        Value::Object(mut fields) => match fields.remove(PLAIN) {
            Some(Value::Array(elements)) => Some(elements),
            Some(_) => None,
            None => Some(vec![Value::Object(fields)]),
        },
        _ => None,
    }
}
