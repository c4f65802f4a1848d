//! The content encryptions that can be allowed: their JWE names and josekit's code for each.

use josekit::jwe::JweContentEncryption;
use josekit::jwe::enc::{A128CBC_HS256, A128GCM, A192GCM, A256GCM};

/// Length of every authentication tag, in bytes.
pub(super) const TAG_LENGTH: usize = 16;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Enc {
    A128Gcm,
    A192Gcm,
    A256Gcm,
    A128CbcHs256,
}

impl Enc {
    pub(super) fn from_name(name: &str) -> Option<Enc> {
        match name {
            "A128GCM" => Some(Enc::A128Gcm),
            "A192GCM" => Some(Enc::A192Gcm),
            "A256GCM" => Some(Enc::A256Gcm),
            "A128CBC-HS256" => Some(Enc::A128CbcHs256),
            _ => None,
        }
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
