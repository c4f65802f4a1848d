//! The masked card: which of its fields are kept, and in what form.

use std::collections::BTreeMap;

use serde_json::Value;

use super::numbers::has_full_number;

/// Masked fields by name; those of `digitalCardData` are prefixed with `digitalCardData.`.
pub type MaskedFields = BTreeMap<String, Value>;

const DIGITAL_CARD_DATA: &str = "digitalCardData";

/// Text fields of `maskedCard` in the two published variants (Card API and Checkout).
const TEXT_FIELDS: [&str; 17] = [
    "srcPaymentCardId",
    "panBin",
    "panLastFour",
    "panExpirationMonth",
    "panExpirationYear",
    "tokenUniqueReference",
    "tokenBinRange",
    "tokenLastFour",
    "tokenExpirationMonth",
    "tokenExpirationYear",
    "paymentCardDescriptor",
    "paymentCardType",
    "serviceId",
    "paymentAccountReference",
    "dateOfCardCreated",
    "dateOfCardLastUsed",
    "countryCode",
];

/// Structured fields of `maskedCard`, kept as they come.
const STRUCTURED_FIELDS: [&str; 5] = [
    "digitalCardFeatures",
    "maskedBillingAddress",
    "dcf",
    "delegatedAuthenticationModels",
    "mfaEligibility",
];

/// Opaque references, which may hold long runs of digits by chance.
const REFERENCES: [&str; 5] = [
    "srcDigitalCardId",
    "srcPaymentCardId",
    "tokenUniqueReference",
    "panUniqueReference",
    "paymentAccountReference",
];

/// Fields of `digitalCardData`. `status` is a register of its own.
const DIGITAL_TEXT_FIELDS: [&str; 10] = [
    "descriptorName",
    "longDescription",
    "issuerName",
    "presentationName",
    "artUri",
    "artHeight",
    "artWidth",
    "foregroundColor",
    "isCoBranded",
    "coBrandedName",
];
const DIGITAL_STRUCTURED_FIELDS: [&str; 2] = ["pendingEvents", "authenticationMethods"];

/// Takes the known fields out of a `maskedCard`, lenient on type and length. Unknown fields are
/// ignored, as Mastercard asks; an absent or null field says nothing.
pub fn masked_fields(masked_card: &Value) -> MaskedFields {
    let mut fields = MaskedFields::new();
    let mut take = |source: &Value, prefix: &str, texts: &[&str], structured: &[&str]| {
        for name in texts {
            if let Some(text) = source
                .get(name)
                .and_then(as_text)
                .and_then(|t| tidy(name, t))
            {
                fields.insert(format!("{prefix}{name}"), Value::String(text));
            }
        }
        for name in structured {
            match source.get(name) {
                Some(value @ (Value::Array(_) | Value::Object(_)))
                    if *value == without_full_numbers(value) =>
                {
                    fields.insert(format!("{prefix}{name}"), value.clone());
                }
                _ => {}
            }
        }
    };
    take(masked_card, "", &TEXT_FIELDS, &STRUCTURED_FIELDS);
    if let Some(digital) = masked_card.get(DIGITAL_CARD_DATA) {
        let prefix = format!("{DIGITAL_CARD_DATA}.");
        take(
            digital,
            &prefix,
            &DIGITAL_TEXT_FIELDS,
            &DIGITAL_STRUCTURED_FIELDS,
        );
    }
    fields
}

/// Strings, numbers and booleans as text: Mastercard's samples mix them.
fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// Normalises one text field. `None` leaves it out: what could be a full number is never kept
/// among masked data.
fn tidy(name: &str, text: String) -> Option<String> {
    match name {
        // Padded, no digits at all would read as zeros.
        "panLastFour" | "tokenLastFour" | "tokenExpirationMonth" | "tokenExpirationYear"
            if text.is_empty() =>
        {
            None
        }
        "panLastFour" | "tokenLastFour" => Some(last_digits(&text, 4)),
        "panBin" | "tokenBinRange" => Some(text.chars().take(8).collect()),
        "panExpirationMonth" if text.len() == 1 => Some(format!("0{text}")),
        // A truth value, which in one of Mastercard's samples has a comma in it.
        "isCoBranded" if matches!(&*text, "true," | "false,") => {
            Some(text.trim_end_matches(',').to_owned())
        }
        // In a reference a long run of digits is no card number, unless it is all there is.
        name if REFERENCES.contains(&name) => {
            let only_digits = text.bytes().all(|b| b.is_ascii_digit());
            (!only_digits || !has_full_number(&text)).then_some(text)
        }
        _ => (!has_full_number(&text)).then_some(text),
    }
}

fn last_digits(text: &str, count: usize) -> String {
    let skip = text.chars().count().saturating_sub(count);
    text.chars().skip(skip).collect()
}

/// A value without anything that could be a full card or token number: what is kept in clear, or
/// for longer than the number itself. References are left as they are.
pub fn without_full_numbers(value: &Value) -> Value {
    match value {
        Value::String(text) if has_full_number(text) => Value::Null,
        Value::Number(number) if has_full_number(&number.to_string()) => Value::Null,
        Value::Array(items) => items.iter().map(without_full_numbers).collect(),
        Value::Object(fields) => {
            let scrubbed = fields.iter().map(|(name, value)| match value {
                Value::String(_) if REFERENCES.contains(&name.as_str()) => {
                    (name.clone(), value.clone())
                }
                _ => (name.clone(), without_full_numbers(value)),
            });
            Value::Object(scrubbed.collect())
        }
        other => other.clone(),
    }
}
