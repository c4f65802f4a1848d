//! The decrypted `paymentData`: token number and expiry, nested or flat; and why it is held if it does
//! not open.

use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::domain::{Expiry, Hold, PaymentData, TokenNumber};
use crate::jose::OpenError;
use crate::jose::json::canonical;

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

/// The flat form, to be sealed: what [`payment_data`] reads.
pub fn payment_json(data: &PaymentData) -> Zeroizing<Vec<u8>> {
    canonical(&json!({
        "paymentToken": data.number.expose(),
        "tokenExpirationMonth": data.expiry.map(Expiry::month),
        "tokenExpirationYear": data.expiry.map(Expiry::year),
    }))
}

/// Why what is encrypted is held when it does not open.
pub fn hold_of(error: OpenError) -> Hold {
    match error {
        OpenError::UnknownKey => Hold::UNKNOWN_KEY,
        OpenError::Refused => Hold::UNREADABLE,
    }
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
