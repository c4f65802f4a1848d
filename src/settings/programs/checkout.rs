//! A program of Mastercard Checkout: a merchant's cards on file.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::BaseStringForm;
use super::address::address_or_none;
use crate::jose::json;

/// What calls to Checkout and the Card API need. See `default.toml` for what each setting means.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckoutSettings {
    pub src_client_id: String,
    pub src_dpa_id: String,
    pub service_id: String,
    pub consumer_key: String,
    pub signing_key: String,
    pub signing_key_password_file: String,
    pub key_fingerprint_id: String,
    pub dynamic_data_type: DynamicDataType,
    /// Further fields of every Checkout request.
    #[serde(deserialize_with = "json_object")]
    pub checkout_fields: Map<String, Value>,
    #[serde(deserialize_with = "address_or_none")]
    pub verification_url: String,
    pub get_card_token: bool,
    pub transactions_from: InstantForm,
    pub accept_unverified_checkout: bool,
    pub oauth_base_string: BaseStringForm,
}

/// What Checkout is asked for beside the token. `NONE` is left out: with it the card's own number
/// would come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DynamicDataType {
    #[default]
    CardApplicationCryptogramShortForm,
    CardApplicationCryptogramLongForm,
    CardholderAuthenticationCryptogram,
    DynamicCardSecurityCode,
}

impl DynamicDataType {
    /// Mastercard's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::CardApplicationCryptogramShortForm => "CARD_APPLICATION_CRYPTOGRAM_SHORT_FORM",
            Self::CardApplicationCryptogramLongForm => "CARD_APPLICATION_CRYPTOGRAM_LONG_FORM",
            Self::CardholderAuthenticationCryptogram => "CARDHOLDER_AUTHENTICATION_CRYPTOGRAM",
            Self::DynamicCardSecurityCode => "DYNAMIC_CARD_SECURITY_CODE",
        }
    }
}

/// How an instant is written in a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstantForm {
    #[default]
    Iso8601,
    EpochMilliseconds,
}

/// A JSON object as text; empty text is an empty one.
fn json_object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(Map::new());
    }
    match json::parse(text.as_bytes()) {
        Ok(Value::Object(fields)) => Ok(fields),
        _ => Err(D::Error::custom("not a JSON object")),
    }
}
