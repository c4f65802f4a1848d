//! The amount of a transaction, as decimal text: no amount passes through a float.

/// Digits, before and after the point together.
const MOST_DIGITS: usize = 13;

/// What Checkout is told a payment is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amount {
    value: String,
    currency: String,
}

/// The text is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmountFault {
    #[error("an amount is a decimal number with 1 to 13 digits, such as 12.50")]
    Value,
    #[error("a currency is three capital letters (ISO 4217)")]
    Currency,
}

impl Amount {
    /// Takes a decimal number without sign, exponent or needless leading zeros, and a currency code.
    ///
    /// # Errors
    /// [`AmountFault`], naming which of the two is wrong.
    pub fn parse(value: &str, currency: &str) -> Result<Self, AmountFault> {
        if !is_decimal(value) {
            return Err(AmountFault::Value);
        }
        if currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(AmountFault::Currency);
        }
        Ok(Self {
            value: value.to_owned(),
            currency: currency.to_owned(),
        })
    }

    /// The JSON object that Checkout takes. What was parsed needs no escaping.
    pub(super) fn json(&self) -> String {
        format!(
            r#"{{"transactionAmount":{},"transactionCurrencyCode":"{}"}}"#,
            self.value, self.currency
        )
    }
}

/// Whether the text is also a JSON number as it stands.
fn is_decimal(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let has_point = usize::from(text.contains('.'));
    digits(whole)
        && digits(fraction)
        && text.len() - has_point <= MOST_DIGITS
        && (whole == "0" || !whole.starts_with('0'))
}
