//! The identity of an item: a keyed hash of what it says, never of the bytes received.

use serde_json::{Value, json};

use super::Item;
use crate::domain::ReportedStatus;
use crate::jose::{StorageKeys, json::canonical};

/// Keyed hash of (card, event time, reason, status, canonical decrypted content).
///
/// A retry may be encrypted anew, so the decrypted data is hashed, not the JWE. `payment` is the
/// decrypted `paymentData`, if there is any. Untimed items hash to the same value when they say the
/// same.
pub fn identity(keys: &StorageKeys, item: &Item, payment: Option<&Value>) -> String {
    let status = match &item.status {
        ReportedStatus::Known(status) => status.word(),
        ReportedStatus::Cancelled => "CANCELLED",
        ReportedStatus::Unknown(word) => word,
    };
    let head = json!([item.card_id.as_str(), item.event_time, item.reason, status]);
    let content = canonical(&item.content);
    let payment = canonical(payment.unwrap_or(&Value::Null));
    keys.digest(&[b"identity", &canonical(&head), &content, &payment])
}
