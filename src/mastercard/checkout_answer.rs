//! What a signed Checkout answer must say before it is believed, and what is inside.

use serde_json::{Map, Value};

use super::seen::SeenIds;
use crate::domain::{CardId, Cryptogram, MaskedFields, PaymentData, WireForm, masked_fields};
use crate::jose::{Keyring, OpenError, json};
use crate::notification::{event_time, payment_data};

/// How far the time of a signature may lie from ours, in milliseconds.
const MAX_AGE: u64 = 600_000;
/// A cryptogram has about 28 characters; another kind of dynamic data may be longer.
const LONGEST_DYNAMIC_DATA: usize = 512;
const LONGEST_KIND: usize = 64;

/// A card's payment data, as Mastercard signed it for one request.
pub struct CheckoutAnswer {
    pub data: PaymentData,
    /// None where the answer has no dynamic data.
    pub cryptogram: Option<Cryptogram>,
    /// What kind of dynamic data the cryptogram is, in Mastercard's word; `NONE` without one.
    pub dynamic_data_type: String,
    /// Milliseconds since 1970, UTC.
    pub cryptogram_expires_at: Option<i64>,
    /// The signed masked card.
    pub masked: MaskedFields,
    /// The last four digits of the token as the signed masked card has them.
    pub token_last_four: Option<String>,
    /// To be sent with a call that follows directly.
    pub flow_id: Option<String>,
}

/// The two parts of a JWS.
pub(super) struct Signed {
    pub(super) header: Map<String, Value>,
    pub(super) payload: Map<String, Value>,
}

/// What an answer is held against.
pub(super) struct Expected<'a> {
    pub(super) correlation_id: &'a str,
    pub(super) card_id: &'a CardId,
    /// Milliseconds since 1970, UTC.
    pub(super) now: i64,
    pub(super) seen: &'a SeenIds,
}

/// Checks that the answer is for this request and this card, and opens it. The error is a word for
/// the failure's reason.
pub(super) fn read_signed(
    signed: Signed,
    expected: &Expected<'_>,
    keyring: &Keyring,
) -> Result<CheckoutAnswer, &'static str> {
    check_binding(&signed, expected)?;
    let mut plaintext = open(&signed.payload, keyring)?;
    let data = plaintext.get("token").and_then(payment_data);
    let dynamic = match plaintext.get_mut("dynamicData").map(Value::take) {
        None | Some(Value::Null) => DynamicData::none(),
        Some(fields) => DynamicData::read(fields).ok_or("wrong-schema")?,
    };
    if dynamic.expires_at.is_some_and(|at| at <= expected.now) {
        return Err("expired-cryptogram");
    }
    let masked = masked_fields(signed.payload.get("maskedCard").unwrap_or_default());
    let four = masked.get("tokenLastFour").and_then(Value::as_str);
    Ok(CheckoutAnswer {
        data: data.ok_or("wrong-schema")?,
        cryptogram: dynamic.value,
        dynamic_data_type: dynamic.kind,
        cryptogram_expires_at: dynamic.expires_at,
        token_last_four: four.map(|four| format!("{four:0>4}")),
        masked,
        flow_id: None,
    })
}

/// A right signature alone says nothing of the request: a captured answer has one, too.
fn check_binding(signed: &Signed, expected: &Expected<'_>) -> Result<(), &'static str> {
    let payload = &signed.payload;
    if payload.get("srcCorrelationId").and_then(Value::as_str) != Some(expected.correlation_id) {
        return Err("other-correlation-id");
    }
    let card = payload.get("maskedCard");
    let card_id = card.and_then(|card| card.get("srcDigitalCardId"));
    if card_id.and_then(Value::as_str) != Some(expected.card_id.as_str()) {
        return Err("other-card");
    }
    // Mastercard puts both into the header, where RFC 7519 has them in the payload.
    let either = |name: &str| signed.header.get(name).or_else(|| payload.get(name));
    let signed_at = either("iat").map(instant);
    if signed_at.is_some_and(|at| at.is_none_or(|at| at.abs_diff(expected.now) > MAX_AGE)) {
        return Err("not-signed-just-now");
    }
    match either("jti") {
        None => Ok(()),
        Some(Value::String(id)) if expected.seen.remember(id) => Ok(()),
        Some(_) => Err("repeated-answer"),
    }
}

fn open(payload: &Map<String, Value>, keyring: &Keyring) -> Result<Value, &'static str> {
    let text = |name: &str| payload.get(name).and_then(Value::as_str);
    let token = text("encryptedPayload").ok_or("wrong-schema")?;
    let opened = keyring.open(token, text("keyFingerprintId"));
    let plaintext = opened.map_err(|error| match error {
        OpenError::UnknownKey => "unknown-key",
        OpenError::Refused => "undecryptable",
    })?;
    json::parse(&plaintext).map_err(|_| "wrong-schema")
}

struct DynamicData {
    kind: String,
    value: Option<Cryptogram>,
    expires_at: Option<i64>,
}

impl DynamicData {
    fn none() -> Self {
        Self {
            kind: "NONE".to_owned(),
            value: None,
            expires_at: None,
        }
    }

    fn read(mut fields: Value) -> Option<Self> {
        let fields = fields.as_object_mut()?;
        let value = match fields.get_mut("dynamicDataValue").map(Value::take) {
            None | Some(Value::Null) => return Some(Self::none()),
            // Moved, not copied: the secret is in memory once.
            Some(Value::String(value)) => Cryptogram::new(value),
            Some(_) => return None,
        };
        let text = value.expose();
        let kind = fields.get("dynamicDataType")?.as_str()?;
        let expires_at = match fields.get("dynamicDataExpiration") {
            None | Some(Value::Null) => None,
            Some(time) => Some(instant(time)?),
        };
        let in_order = (1..=LONGEST_DYNAMIC_DATA).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic())
            && (1..=LONGEST_KIND).contains(&kind.len())
            && kind.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        in_order.then(|| Self {
            kind: kind.to_owned(),
            value: Some(value),
            expires_at,
        })
    }
}

/// An instant in any of the forms Mastercard writes one, however far ahead; milliseconds since 1970.
fn instant(value: &Value) -> Option<i64> {
    event_time(Some(value), i64::MAX, &WireForm::default())
}
