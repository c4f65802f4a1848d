//! The decrypted `paymentData`: token number and expiry, nested or flat.

use serde_json::Value;

use crate::domain::{Expiry, PaymentData, TokenNumber};

/// Reads `{paymentToken: {paymentToken, tokenExpirationMonth, tokenExpirationYear}}` or the same
/// without the outer object. `None` if there is no well-formed number, or an expiry is there and is
/// none: half a refresh is not applied.
pub fn payment_data(plaintext: &Value) -> Option<PaymentData> {
    let fields = match plaintext.get("paymentToken") {
        Some(nested @ Value::Object(_)) => nested,
        _ => plaintext,
    };
    let number = TokenNumber::parse(&digits(fields.get("paymentToken")?)?).ok()?;
    let month = present(fields, "tokenExpirationMonth");
    let year = present(fields, "tokenExpirationYear");
    let expiry = match (month, year) {
        (None, None) => None,
        (Some(month), Some(year)) => Some(Expiry::parse(&digits(month)?, &digits(year)?)?),
        _ => return None,
    };
    Some(PaymentData { number, expiry })
}

fn present<'a>(fields: &'a Value, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

/// Digits as text or as a whole number; never through a float.
fn digits(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.as_u64()?.to_string()),
        _ => None,
    }
}
