//! The content encryptions that can be allowed: their JWE names and josekit's code for each.

use josekit::jwe::JweContentEncryption;
use josekit::jwe::enc::{A128CBC_HS256, A128GCM, A192GCM, A256GCM};
use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use serde::de::value::Error;

/// Length of every authentication tag, in bytes.
pub(super) const TAG_LENGTH: usize = 16;

/// A content encryption, known by its JWE name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Enc {
    #[serde(rename = "A128GCM")]
    A128Gcm,
    #[serde(rename = "A192GCM")]
    A192Gcm,
    #[serde(rename = "A256GCM")]
    A256Gcm,
    #[serde(rename = "A128CBC-HS256")]
    A128CbcHs256,
}

impl Enc {
    pub(super) fn from_name(name: &str) -> Option<Enc> {
        let known: Result<Enc, Error> = Enc::deserialize(name.into_deserializer());
        known.ok()
    }

    /// Its name in RFC 7518.
    pub fn name(self) -> &'static str {
        self.josekit().name()
    }

    pub(super) fn josekit(self) -> &'static dyn JweContentEncryption {
        match self {
            Enc::A128Gcm => &A128GCM,
            Enc::A192Gcm => &A192GCM,
            Enc::A256Gcm => &A256GCM,
            Enc::A128CbcHs256 => &A128CBC_HS256,
        }
    }

    /// Mastercard's own library writes 16-byte IVs for GCM; CBC knows no other.
    pub(super) fn takes_iv_of(self, length: usize) -> bool {
        length == 16 || (length == 12 && self != Enc::A128CbcHs256)
    }
}
