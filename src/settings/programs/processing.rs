//! A program of Mastercard Processing Digital: an issuer's tokens.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::Error;
use serde::de::{Error as _, IntoDeserializer as _};
use serde::{Deserialize, Deserializer};

use super::{BaseStringForm, StatusWords, required_text};
use crate::jose::Enc;

/// Headers that the client writes itself, and those that say how far a request reaches.
const OWN_HEADERS: [&str; 7] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "correlation-id",
    "host",
    "transfer-encoding",
];

/// What calls to Mastercard Processing Digital need. See `default.toml` for what each setting means.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProcessingSettings {
    pub consumer_key: String,
    pub signing_key: String,
    pub signing_key_password_file: String,
    pub oauth_base_string: BaseStringForm,
    pub encryption_key: String,
    pub encryption_kid: String,
    #[serde(deserialize_with = "content_encryption")]
    pub encryption_enc: String,
    #[serde(deserialize_with = "required_text")]
    pub encrypted_field: String,
    pub payload_encryption: bool,
    #[serde(deserialize_with = "required_text")]
    pub tokens_field: String,
    #[serde(deserialize_with = "header_value")]
    pub content_type: String,
    pub extra_headers: ExtraHeaders,
    pub not_found_statuses: Vec<u16>,
    pub not_found_codes: Vec<String>,
    pub status_query: String,
    pub status_words: StatusWords,
}

impl Default for ProcessingSettings {
    fn default() -> Self {
        Self {
            consumer_key: String::new(),
            signing_key: String::new(),
            signing_key_password_file: String::new(),
            oauth_base_string: BaseStringForm::default(),
            encryption_key: String::new(),
            encryption_kid: String::new(),
            encryption_enc: "A256GCM".to_owned(),
            encrypted_field: "encryptedData".to_owned(),
            payload_encryption: true,
            tokens_field: "tokens".to_owned(),
            content_type: "application/json;charset=utf-8".to_owned(),
            extra_headers: ExtraHeaders::default(),
            not_found_statuses: vec![404, 410],
            not_found_codes: Vec::new(),
            status_query: String::new(),
            status_words: StatusWords::default(),
        }
    }
}

/// Headers that every request carries beside those of the client. A value may be a secret.
#[derive(Clone, Default)]
pub struct ExtraHeaders(BTreeMap<String, String>);

impl ExtraHeaders {
    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let headers = self.0.iter();
        headers.map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Shows the names only.
impl fmt::Debug for ExtraHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<'de> Deserialize<'de> for ExtraHeaders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let headers = BTreeMap::<String, String>::deserialize(deserializer)?;
        for (name, value) in &headers {
            let is_own = OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str());
            if is_own || !is_header_name(name) {
                return Err(D::Error::custom(format!(
                    "{name:?} is no header that may be added"
                )));
            }
            if !is_header_value(value) {
                return Err(D::Error::custom(format!(
                    "the value of {name} is not plain ASCII text"
                )));
            }
        }
        Ok(Self(headers))
    }
}

/// The name of a content encryption of the GCM kind: Mastercard's libraries encrypt with no other.
fn content_encryption<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    let known: Result<Enc, Error> = Enc::deserialize(name.as_str().into_deserializer());
    match known {
        Ok(Enc::A128Gcm | Enc::A192Gcm | Enc::A256Gcm) => Ok(name),
        _ => Err(D::Error::custom("must be A128GCM, A192GCM or A256GCM")),
    }
}

fn is_header_name(name: &str) -> bool {
    let is_mark = |byte: u8| b"!#$%&'*+-.^_`|~".contains(&byte);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || is_mark(byte);
    !name.is_empty() && name.bytes().all(fits)
}

fn is_header_value(value: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    !value.is_empty() && value.trim() == value && value.bytes().all(fits)
}

pub(super) fn header_value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let value = String::deserialize(deserializer)?;
    match is_header_value(&value) {
        true => Ok(value),
        false => Err(D::Error::custom("must be plain ASCII text")),
    }
}
