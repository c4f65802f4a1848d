//! Signs requests for one consumer key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::error::ErrorStack;
use openssl::rand::rand_bytes;
use openssl::sha::sha256;

use super::encoding::percent_encode;
use super::header::write_header;
use super::{NotAnAddress, Parameters, SigningKey, base_string, rfc5849_base_string};
use crate::settings::BaseStringForm;

const NONCE_LENGTH: usize = 16;
const ALPHANUMERICS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// What a request is signed with.
pub struct Signer {
    consumer_key: String,
    key: SigningKey,
    form: BaseStringForm,
}

/// Why a request cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SigningFault {
    #[error(transparent)]
    Address(#[from] NotAnAddress),
    #[error("OpenSSL failed to sign")]
    OpenSsl(#[from] ErrorStack),
}

impl Signer {
    /// A signer for the consumer key, with the private key that belongs to it.
    pub fn new(consumer_key: &str, key: SigningKey, form: BaseStringForm) -> Self {
        Self {
            consumer_key: consumer_key.to_owned(),
            key,
            form,
        }
    }

    /// Whether everybody has its key, because it lies in the repository.
    pub fn holds_demonstration_key(&self) -> bool {
        self.key.is_demonstration()
    }

    /// The key that it signs with.
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The `Authorization` header for one attempt. `nonce` and `timestamp` (seconds since 1970) must
    /// be fresh each time; `body` is what goes over the wire, empty where there is none.
    ///
    /// # Errors
    /// [`SigningFault`] if `url` is no address, or OpenSSL fails.
    pub fn authorization(
        &self,
        method: &str,
        url: &str,
        body: &[u8],
        nonce: &str,
        timestamp: i64,
    ) -> Result<String, SigningFault> {
        let timestamp = timestamp.to_string();
        let body_hash = body_hash(body);
        let mut parameters: Parameters = [
            ("oauth_body_hash", body_hash.as_str()),
            ("oauth_consumer_key", &self.consumer_key),
            ("oauth_nonce", nonce),
            ("oauth_signature_method", "RSA-SHA256"),
            ("oauth_timestamp", &timestamp),
            ("oauth_version", "1.0"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let text = match self.form {
            BaseStringForm::Mastercard => base_string(method, url, &parameters),
            BaseStringForm::Rfc5849 => rfc5849_base_string(method, url, &parameters),
        }?;
        let signature = STANDARD.encode(self.key.sign(text.as_bytes())?);
        parameters.insert("oauth_signature".to_owned(), percent_encode(&signature));
        Ok(write_header(&parameters))
    }
}

/// `oauth_body_hash`: base64 of the SHA-256 of the body's bytes.
pub fn body_hash(body: &[u8]) -> String {
    STANDARD.encode(sha256(body))
}

/// A fresh nonce: 16 random letters and digits.
///
/// # Errors
/// If the system gives no random bytes.
pub fn nonce() -> Result<String, ErrorStack> {
    let mut nonce = String::with_capacity(NONCE_LENGTH);
    while nonce.len() < NONCE_LENGTH {
        let mut random = [0; 32];
        rand_bytes(&mut random)?;
        // Six bits choose one of 62 characters or none, so that all are equally likely.
        let characters = random
            .iter()
            .filter_map(|byte| ALPHANUMERICS.get(usize::from(byte & 63)));
        let missing = NONCE_LENGTH - nonce.len();
        nonce.extend(characters.take(missing).map(|byte| char::from(*byte)));
    }
    Ok(nonce)
}
