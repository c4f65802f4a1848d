//! A program of Alliance Bank: tokens that a merchant holds there.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::StatusWords;
use super::address::address_or_none;
use super::processing::header_value;

/// What the bank's signature may be made with; the registered key decides which.
const ALGORITHMS: [&str; 6] = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"];

/// What calls to Alliance Bank need. See `default.toml` for what each setting means.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AllianceSettings {
    pub kid: String,
    pub signing_key: String,
    /// Empty: as the key has it.
    #[serde(deserialize_with = "algorithm_or_none")]
    pub signature_alg: String,
    pub verification_keys: String,
    #[serde(deserialize_with = "address_or_none")]
    pub verification_url: String,
    pub merchant_id: String,
    pub ts_unit: TimestampUnit,
    pub ts_type: TimestampType,
    pub method: CallMethod,
    #[serde(deserialize_with = "header_value")]
    pub content_type: String,
    /// Empty: the body is the bare signed text.
    pub jws_field: String,
    pub retry_codes: Vec<String>,
    pub denied_codes: Vec<String>,
    pub not_found_codes: Vec<String>,
    pub status_words: StatusWords,
}

impl Default for AllianceSettings {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Self {
            kid: String::new(),
            signing_key: String::new(),
            signature_alg: String::new(),
            verification_keys: String::new(),
            verification_url: String::new(),
            merchant_id: String::new(),
            ts_unit: TimestampUnit::default(),
            ts_type: TimestampType::default(),
            method: CallMethod::default(),
            content_type: "text/plain".to_owned(),
            jws_field: String::new(),
            retry_codes: words(&[
                "b_server_is_overloaded",
                "b_service_unavailable",
                "b_unknown_error",
            ]),
            denied_codes: words(&["b_expired_token", "b_used_token"]),
            not_found_codes: Vec::new(),
            status_words: StatusWords::default(),
        }
    }
}

/// What the time in a signed request counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimestampUnit {
    #[default]
    Milliseconds,
    Seconds,
}

/// How the time in a signed request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimestampType {
    #[default]
    Number,
    String,
}

/// The method of the bank's token calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum CallMethod {
    #[default]
    Post,
    Put,
}

impl CallMethod {
    /// The word of HTTP for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

fn algorithm_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    match name.is_empty() || ALGORITHMS.contains(&name.as_str()) {
        true => Ok(name),
        false => Err(D::Error::custom(format!(
            "must be one of {}, or empty",
            ALGORITHMS.join(", ")
        ))),
    }
}
