//! The identity of an item: a keyed hash of its event's id, else of what it says; never of the bytes
//! received.

use serde_json::{Value, json};

use super::Item;
use crate::domain::ReportedStatus;
use crate::jose::{KeyedDigest, StorageKeys, json::canonical};

/// Keyed hash of (card, event time, reason, status, canonical decrypted content), or of (card, event
/// id) where the item has an id of its event.
///
/// A retry may be encrypted anew, so the decrypted data is hashed, not the JWE. `payment` is the
/// decrypted `paymentData`, if there is any. Untimed items hash to the same value when they say the
/// same.
///
/// The id stands in the place of everything else: a repeat stays one even if it is sent with another
/// time or in other words, and equal content under two ids is two events.
pub fn identity(keys: &StorageKeys, item: &Item, payment: Option<&Value>) -> KeyedDigest {
    let card_id = item.card_id.as_str();
    if let Some(id) = &item.event_id {
        return keys.digest(&[b"event", card_id.as_bytes(), id.as_bytes()]);
    }
    let status = match &item.status {
        ReportedStatus::Known(status) => status.word(),
        ReportedStatus::Cancelled => "CANCELLED",
        ReportedStatus::Unknown(word) => word,
    };
    let head = json!([card_id, item.event_time, item.reason, status]);
    let content = canonical(&item.content);
    let payment = canonical(payment.unwrap_or(&Value::Null));
    keys.digest(&[b"identity", &canonical(&head), &content, &payment])
}
