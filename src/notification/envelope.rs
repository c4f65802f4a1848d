//! The request body: a plain list of elements, or the same list as one JWE.

use serde_json::{Map, Value};

use super::aliases::under_documented_names;
use super::event_time::first_event_time;
use crate::domain::WireForm;
use crate::jose::json::{self, JsonFault};

const PLAIN: &str = "digitalCardUpdateNotifications";
const ENCRYPTED: &str = "encryptedDigitalCardUpdateNotifications";
const FINGERPRINT: &str = "keyFingerprintId";

/// A body that can be kept.
pub struct Envelope {
    pub list: List,
    beside: Map<String, Value>,
}

/// The form in which the list came.
pub enum List {
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
    pub fn parse(body: &[u8], wire: &WireForm) -> Result<Self, EnvelopeFault> {
        let Value::Object(mut fields) = json::parse(body)? else {
            return Err(EnvelopeFault::NotAnObject);
        };
        under_documented_names(&mut fields, wire);
        let mut take = |name: &str| fields.remove(name).filter(|value| !value.is_null());
        let plain = take(PLAIN);
        let encrypted = take(ENCRYPTED).map(|token| EncryptedList {
            token,
            fingerprint: fields
                .get(FINGERPRINT)
                .and_then(Value::as_str)
                .map(str::to_owned),
        });
        let list = match (plain, encrypted) {
            (Some(list), None) => List::Plain(list),
            (None, Some(encrypted)) => List::Encrypted(encrypted),
            (Some(list), Some(encrypted)) => List::Both(list, encrypted),
            (None, None) => return Err(EnvelopeFault::NeitherField),
        };
        Ok(Self {
            list,
            beside: fields,
        })
    }

    /// The event time beside the list, where it counts.
    pub fn event_time(&self, received_at: i64, wire: &WireForm) -> Option<i64> {
        time_beside_list(&self.beside, received_at, wire)
    }

    /// The number of elements that can be counted without a key.
    pub fn visible_items(&self) -> usize {
        match &self.list {
            List::Plain(Value::Array(elements)) | List::Both(Value::Array(elements), _) => {
                elements.len()
            }
            _ => 1,
        }
    }
}

/// What a decrypted list holds.
pub struct Elements {
    pub list: Vec<Value>,
    /// The event time beside the list, where it counts.
    pub event_time: Option<i64>,
}

/// The elements of a decrypted list: a bare array, an object that holds it, or a single element.
///
/// The plaintext of the encrypted form is not published, so all three are taken. `None` if it is
/// none of them.
pub fn elements(list: Value, received_at: i64, wire: &WireForm) -> Option<Elements> {
    let without_time = |list| Elements {
        list,
        event_time: None,
    };
    match list {
        Value::Array(elements) => Some(without_time(elements)),
        Value::Object(mut fields) => {
            under_documented_names(&mut fields, wire);
            match fields.remove(PLAIN) {
                Some(Value::Array(list)) => Some(Elements {
                    list,
                    event_time: time_beside_list(&fields, received_at, wire),
                }),
                Some(_) => None,
                None => Some(without_time(vec![Value::Object(fields)])),
            }
        }
        _ => None,
    }
}

fn time_beside_list(fields: &Map<String, Value>, received_at: i64, wire: &WireForm) -> Option<i64> {
    wire.event_time_beside_list
        .then(|| first_event_time(fields, received_at, wire))?
}
