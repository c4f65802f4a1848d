//! One element of a notification, read as far as it can be without a key.

use serde_json::{Map, Value};

use super::aliases::under_documented_names;
use super::event_time::first_event_time;
use crate::domain::{
    CardId, Hold, MaskedFields, ReportedStatus, WireForm, masked_fields, without_full_numbers,
};

/// Longer reason codes are cut: they are shown, never decided upon.
const MAX_REASON: usize = 64;
/// A longer text is no id, in characters.
const MAX_EVENT_ID: usize = 255;

/// An element that names its card.
pub struct Item {
    pub card_id: CardId,
    /// Milliseconds since 1970, UTC; none if it cannot be used.
    pub event_time: Option<i64>,
    /// Names the event, where the settings say in which field.
    pub event_id: Option<String>,
    /// Directional only; never decides anything.
    pub reason: Option<String>,
    pub status: ReportedStatus,
    pub masked: MaskedFields,
    pub payment: PaymentPart,
    /// The element without `paymentData` and event time, each field under its documented name: for
    /// the record and the identity.
    pub content: Value,
}

/// What stands in `paymentData`.
pub enum PaymentPart {
    Absent,
    /// A JWE, with the `keyFingerprintId` beside it.
    Jwe {
        token: String,
        fingerprint: Option<String>,
    },
    /// Already clear, as may happen inside the fully encrypted form.
    Clear(Value),
    /// A refresh without usable data.
    Missing,
}

/// The element cannot be read as a notification of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable(pub Hold);

impl Item {
    /// Reads an element. Only what is not an object, or names no card, is refused.
    pub fn read(element: Value, received_at: i64, wire: &WireForm) -> Result<Self, Unreadable> {
        let Value::Object(mut fields) = element else {
            return Err(Unreadable(Hold::NOT_A_NOTIFICATION));
        };
        under_documented_names(&mut fields, wire);
        let masked_card = fields.get("maskedCard").cloned().unwrap_or_default();
        let card_id = masked_card
            .get("srcDigitalCardId")
            .and_then(Value::as_str)
            .and_then(|id| CardId::parse(id).ok())
            .ok_or(Unreadable(Hold::NO_CARD_ID))?;
        let reason = text(fields.get("reasonCode"));
        let event_time = first_event_time(&fields, received_at, wire);
        for name in &wire.event_time_fields {
            fields.remove(name);
        }
        let payment = payment_part(&mut fields, reason.as_deref(), wire);
        Ok(Self {
            card_id,
            event_time,
            event_id: event_id(&fields, wire),
            reason: reason.map(|reason| shown(&reason)),
            status: reported_status(&masked_card, wire),
            masked: masked_fields(&masked_card),
            payment,
            content: Value::Object(fields),
        })
    }
}

/// Takes `paymentData` out of the element, so that no number stays in its content.
fn payment_part(
    fields: &mut Map<String, Value>,
    reason: Option<&str>,
    wire: &WireForm,
) -> PaymentPart {
    let is_refresh = reason.is_some_and(|reason| wire.refresh_reasons.iter().any(|r| r == reason));
    let fingerprint = fields.remove("keyFingerprintId");
    match fields.remove("paymentData") {
        Some(Value::String(token)) if !token.is_empty() => PaymentPart::Jwe {
            token,
            fingerprint: text(fingerprint.as_ref()),
        },
        Some(clear @ Value::Object(_)) => PaymentPart::Clear(clear),
        // With a refresh the data always comes: without it the refresh cannot be read.
        None | Some(Value::Null) if !is_refresh => PaymentPart::Absent,
        _ => PaymentPart::Missing,
    }
}

/// The first usable id among the fields that may hold it. A number that is not whole, or too large to
/// be read exactly, is none: two events must not look like one.
fn event_id(fields: &Map<String, Value>, wire: &WireForm) -> Option<String> {
    let id_of = |name: &String| match fields.get(name)? {
        Value::String(id) => (1..=MAX_EVENT_ID)
            .contains(&id.chars().count())
            .then(|| id.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    };
    wire.event_id_fields.iter().find_map(id_of)
}

/// Strict: exactly one of the known words, else unknown. A missing status is unknown too.
fn reported_status(masked_card: &Value, wire: &WireForm) -> ReportedStatus {
    let word = masked_card
        .get("digitalCardData")
        .and_then(|data| data.get("status"));
    match word {
        Some(Value::String(word)) => match wire.status(word) {
            ReportedStatus::Unknown(word) => ReportedStatus::Unknown(shown(&word)),
            known => known,
        },
        _ => ReportedStatus::Unknown(String::new()),
    }
}

fn text(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).map(str::to_owned)
}

/// Text that will be stored and shown: cut, and without control characters (PostgreSQL cannot hold
/// U+0000, a terminal obeys the others). A full number in it is withheld.
fn shown(text: &str) -> String {
    if without_full_numbers(&text.into()).is_null() {
        return "(withheld)".to_owned();
    }
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().take(MAX_REASON).map(clean).collect()
}
