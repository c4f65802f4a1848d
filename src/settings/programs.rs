//! The programs a merchant takes part in: where each is reached, and with which ids and keys.

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::jose::json;

const PLAIN_HTTP: &str = "http://";
const MOST_CALLS_A_SECOND: u32 = 1000;
const MOST_AT_ONCE: usize = 256;
/// Seconds. Longer than a claim of a call lasts would let two processes make it at once.
const LONGEST_ATTEMPT: u64 = 30;

/// A program the merchant takes part in. See `default.toml` for what each setting means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramSettings {
    pub kind: ProgramKind,
    #[serde(default = "sandbox", deserialize_with = "base_address")]
    pub base_url: String,
    #[serde(default)]
    pub src_client_id: String,
    #[serde(default)]
    pub src_dpa_id: String,
    #[serde(default)]
    pub service_id: String,
    #[serde(default)]
    pub consumer_key: String,
    #[serde(default)]
    pub signing_key: String,
    #[serde(default)]
    pub signing_key_password_file: String,
    #[serde(default)]
    pub key_fingerprint_id: String,
    #[serde(default)]
    pub dynamic_data_type: DynamicDataType,
    /// Further fields of every Checkout request.
    #[serde(default, deserialize_with = "json_object")]
    pub checkout_fields: Map<String, Value>,
    #[serde(default, deserialize_with = "address_or_none")]
    pub verification_url: String,
    #[serde(default)]
    pub get_card_token: bool,
    #[serde(default)]
    pub transactions_from: InstantForm,
    #[serde(default)]
    pub accept_unverified_checkout: bool,
    #[serde(default)]
    pub oauth_base_string: BaseStringForm,
    #[serde(default = "fifty", deserialize_with = "calls_a_second")]
    rate: u32,
    #[serde(default = "sixteen", deserialize_with = "at_once")]
    concurrency: usize,
    #[serde(default = "thirty", deserialize_with = "attempt")]
    timeout: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProgramKind {
    MastercardCheckout,
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

/// How the text that OAuth 1.0a signs is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BaseStringForm {
    /// As Mastercard's own libraries write it.
    #[default]
    Mastercard,
    /// To the letter of RFC 5849.
    Rfc5849,
}

/// What must not be where the service runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProgramFault {
    #[error("{0} is plain http: not in production")]
    PlainHttpInProduction(&'static str),
    #[error("{0} is plain http to another machine; use https")]
    PlainHttp(&'static str),
}

impl ProgramSettings {
    /// Calls that may begin in one second.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Calls that may be under way at once.
    pub fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// Time one attempt may take, from the connection to the last byte of the answer.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    /// Refuses what would send signed requests over the network in the clear: plain http at all in
    /// production, and to another machine everywhere.
    ///
    /// # Errors
    /// [`ProgramFault`] with the setting's name within the program.
    pub fn check(&self, production: bool) -> Result<(), ProgramFault> {
        for (name, url) in [
            ("base_url", &self.base_url),
            ("verification_url", &self.verification_url),
        ] {
            if !url.starts_with(PLAIN_HTTP) {
                continue;
            }
            if production {
                return Err(ProgramFault::PlainHttpInProduction(name));
            }
            if !host_of(url).is_some_and(is_loopback) {
                return Err(ProgramFault::PlainHttp(name));
            }
        }
        Ok(())
    }
}

/// The host of a well-formed address over http or https.
fn host_of(url: &str) -> Option<&str> {
    let rest = ["https://", PLAIN_HTTP]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme))?;
    let authority = rest.split('/').next()?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_port = match port.strip_prefix(':') {
        Some(digits) => digits.parse::<u16>().is_ok(),
        None => port.is_empty(),
    };
    (is_port && !host.is_empty()).then_some(host)
}

fn is_loopback(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

/// An address to call: a user, a query or a fragment in it is a mistake, and so is what is not plain
/// visible ASCII.
fn is_address(url: &str) -> bool {
    host_of(url).is_some()
        && url.bytes().all(|byte| byte.is_ascii_graphic())
        && !url.contains(['?', '#', '@', '\\', '"', '<', '>'])
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let url = String::deserialize(deserializer)?;
    match is_address(&url) {
        true => Ok(url),
        false => Err(D::Error::custom(
            "not an address: https://HOST/PATH, without user, query and fragment",
        )),
    }
}

/// An address that paths are appended to.
fn base_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(address(deserializer)?.trim_end_matches('/').to_owned())
}

fn address_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let url = String::deserialize(deserializer)?;
    match url.as_str() {
        "" => Ok(url),
        _ => address(serde::de::value::StringDeserializer::new(url)),
    }
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

fn calls_a_second<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(deserializer, MOST_CALLS_A_SECOND)
}

fn at_once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    within(deserializer, MOST_AT_ONCE)
}

fn attempt<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    within(deserializer, LONGEST_ATTEMPT)
}

/// A number from 1 to `most`.
fn within<'de, D, T>(deserializer: D, most: T) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + From<u8> + PartialOrd + std::fmt::Display,
{
    let number = T::deserialize(deserializer)?;
    match number >= T::from(1) && number <= most {
        true => Ok(number),
        false => Err(D::Error::custom(format!("must be from 1 to {most}"))),
    }
}

fn sandbox() -> String {
    "https://sandbox.api.mastercard.com/src/api/digital/payments".to_owned()
}

fn fifty() -> u32 {
    50
}

fn sixteen() -> usize {
    16
}

fn thirty() -> u64 {
    LONGEST_ATTEMPT
}
